import json
import socket

import pytest
import torch
from safetensors.torch import load_file, save_file

from vedit import engines, weights
from vedit.engines.base import Window
from vedit.errors import ModelError
from vedit.weights.load import load_tensors

torch.set_num_threads(1)

LOADERS = {
    "vae": ("vae", "diffusion_pytorch_model.safetensors", weights.load_vae),
    "clip": ("clip", "model.safetensors", weights.load_clip),
    "unet": ("instruct/unet", "diffusion_pytorch_model.safetensors", weights.load_unet),
}


@pytest.fixture(scope="module")
def pix2pix(tmp_path_factory, tiny_models):
    return tiny_models.write_diffusers(tmp_path_factory.mktemp("models") / "pix2pix")


@pytest.mark.parametrize("part", LOADERS)
def test_keys_are_accounted_for(tiny, part):
    folder, name, load = LOADERS[part]
    file = tiny / folder / name
    state = load_file(file)
    load(tiny / folder)
    key = sorted(key for key in state if key.endswith("weight"))[0]
    last = key.rpartition(".")[2]
    changes = {
        "missing": {name: tensor for name, tensor in state.items() if name != key},
        "unexpected": state | {"stranger": torch.zeros(1)},
        "shape": state | {key: torch.zeros(1, 1)},
    }
    for what, changed in changes.items():
        save_file(changed, file, metadata={"format": "pt"})
        with pytest.raises(ModelError) as caught:
            load(tiny / folder)
        message = str(caught.value)
        assert "\n" not in message
        assert str(tiny / folder) in message
        if what != "shape":
            assert what in message
            assert (last if what == "missing" else "stranger") in message


@pytest.mark.parametrize("part", LOADERS)
@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.ckpt", "weights.pt"])
def test_pickles_are_refused(tiny, part, name):
    folder, file, load = LOADERS[part]
    (tiny / folder / file).rename(tiny / folder / name)
    with pytest.raises(ModelError, match=f"{name}: is a pickle and is refused"):
        load(tiny / folder)
    (tiny / folder / name).unlink()
    with pytest.raises(ModelError, match=f"{file}: missing"):
        load(tiny / folder)


@pytest.mark.parametrize("part", LOADERS)
def test_damaged_files_are_one_line(tiny, part):
    folder, file, load = LOADERS[part]
    (tiny / folder / file).write_bytes(b"no tensors here")
    with pytest.raises(ModelError, match="cannot be read") as caught:
        load(tiny / folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", LOADERS)
def test_another_kind_of_network_is_refused(tiny, part):
    folder, _, load = LOADERS[part]
    config = tiny / folder / "config.json"
    config.write_text(json.dumps({"_class_name": "Other", "model_type": "other"}))
    with pytest.raises(ModelError, match=r"describes a [Oo]ther"):
        load(tiny / folder)
    with pytest.raises(ModelError, match="missing"):
        load(tiny / "nowhere")


@pytest.mark.parametrize("part", LOADERS)
def test_dtype_and_mode(tiny, part):
    folder, _, load = LOADERS[part]
    module = load(tiny / folder, torch.bfloat16)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.bfloat16}
    assert not module.training
    assert {parameter.dtype for parameter in load(tiny / folder).parameters()} == {torch.float32}


def test_nothing_is_printed(tiny, capfd):
    for folder, _, load in LOADERS.values():
        load(tiny / folder)
    weights.load_tokenizer(tiny / "tokenizer")
    assert capfd.readouterr() == ("", "")


def test_tokenizer(tiny):
    tokenizer = weights.load_tokenizer(tiny / "tokenizer")
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("No snow!")["input_ids"])
    assert tokens[1:-1] == [
        "no</w>",
        "sn",
        "ow</w>",
        "!</w>",
    ]
    (tiny / "tokenizer" / "merges.txt").unlink()
    with pytest.raises(ModelError, match=r"merges\.txt: missing"):
        weights.load_tokenizer(tiny / "tokenizer")


def test_single_files(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    assert torch.equal(load_tensors(tmp_path / "a.safetensors")["a"], torch.ones(2))
    with pytest.raises(ModelError, match="missing"):
        load_tensors(tmp_path / "b.safetensors")
    with pytest.raises(ModelError, match="pickle"):
        load_tensors(tmp_path / "b.pt")


def test_schedule(tiny):
    assert weights.load_schedule(tiny / "instruct" / "scheduler").prediction == "v"


def test_a_whole_instructpix2pix_folder_edits_without_network(pix2pix, tiny_models, monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    bundle = weights.open_bundle(pix2pix)
    engine = engines.load("instructvid2vid", bundle, {"steps": 2}, dtype="fp32")
    edited = engine.edit(Window(tiny_models.clip_frames(3), 0), "snow")
    assert edited.frames.isfinite().all()
    assert edited.evaluations == 6
    assert engine.knows("anything") is None


def test_the_fp16_variant_is_used_where_it_is_all_there_is(pix2pix):
    file = pix2pix / "unet" / "diffusion_pytorch_model.safetensors"
    half = file.with_name("diffusion_pytorch_model.fp16.safetensors")
    file.rename(half)
    try:
        assert weights.load_unet(pix2pix / "unet").dtype == torch.float32
    finally:
        half.rename(file)
