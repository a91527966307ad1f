import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from vedit import weights
from vedit.errors import ModelError
from vedit.weights import adapter
from vedit.weights.adapter import FILE, About

TENSORS = {"units.a": torch.arange(6.0).reshape(2, 3), "temporal.b": torch.ones(4)}


@pytest.fixture
def bundle(tmp_path, tiny_models):
    return weights.open_bundle(tiny_models.write_bundle(tmp_path / "tiny"))


def about(bundle, **changes):
    made = About("tcve", bundle.name, bundle.parts_sha256, {"weight": 0.1, "places": "decoder"}, "a cat", {"steps": 3})
    return replace(made, card="# Cat\n\nA card.", **changes)


def test_all_that_went_in_comes_out_of_one_file(tmp_path, bundle):
    wanted = about(bundle)
    file = adapter.save(tmp_path / "out", wanted, TENSORS)
    assert [path.name for path in file.parent.iterdir()] == [FILE]
    for named in (file, file.parent):
        found, tensors = adapter.load(named, "tcve", bundle)
        assert found == wanted
        assert tensors.keys() == TENSORS.keys()
        assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_another_base_is_refused_by_name_and_hash_and_a_new_card_is_not_another_base(tmp_path, bundle, tiny_models):
    file = adapter.save(tmp_path / "out", about(bundle), TENSORS)
    before = bundle.sha256
    (bundle.path / "README.md").write_text("a new card")
    weights.write_manifest(bundle.path)
    carded = weights.open_bundle(bundle.path)
    assert carded.sha256 != before
    adapter.load(file, "tcve", carded)
    other = tiny_models.write_bundle(tmp_path / "other", name="other", temporal_noise=0.2)
    with pytest.raises(ModelError, match=r"trained on tiny \(.{12}\), and this model is other .*--model"):
        adapter.load(file, "tcve", weights.open_bundle(other))


def test_the_hash_of_the_parts_sees_a_changed_weight_without_a_manifest_too(tmp_path, tiny_models):
    path = tiny_models.write_diffusers(tmp_path / "model")
    before = weights.open_bundle(path).parts_sha256
    assert weights.open_bundle(path).parts_sha256 == before
    file = path / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    state["conv_in.bias"] = state["conv_in.bias"] + 1
    save_file(state, file, metadata={"format": "pt"})
    assert weights.open_bundle(path).parts_sha256 != before


def test_what_cannot_be_used_is_named(tmp_path, bundle):
    file = adapter.save(tmp_path / "out", about(bundle), TENSORS)
    with pytest.raises(ModelError, match="for tcve, not for tune-a-video"):
        adapter.load(file, "tune-a-video", bundle)
    with pytest.raises(ModelError, match=r"nowhere.*no such adapter.*train-adapter"):
        adapter.load(tmp_path / "nowhere", "tcve", bundle)
    plain = tmp_path / "plain.safetensors"
    save_file(TENSORS, plain)
    with pytest.raises(ModelError, match="not an adapter of vedit"):
        adapter.load(plain, "tcve", bundle)
    plain.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ModelError, match="cannot be read"):
        adapter.load(plain, "tcve", bundle)
    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    save_file(TENSORS, plain, metadata=metadata | {"vedit": json.dumps({"schema": 9})})
    with pytest.raises(ModelError, match="schema 9"):
        adapter.load(plain, "tcve", bundle)
    save_file(TENSORS, plain, metadata=metadata | {"vedit": json.dumps({"schema": 1, "method": "tcve"})})
    with pytest.raises(ModelError, match="damaged"):
        adapter.load(plain, "tcve", bundle)
    adapter.save(tmp_path / "out", about(bundle), TENSORS | {"units.a": torch.tensor([float("nan")])})
    with pytest.raises(ModelError, match=r"units\.a is not finite"):
        adapter.load(file, "tcve", bundle)
