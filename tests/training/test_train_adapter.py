"""``train-adapter instructvid2vid`` on a folder of triplets, from a bundle of ours and from a plain 2D folder."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch

from tests.engines import tiny
from vedit import engines, weights
from vedit.engines.base import Window
from vedit.errors import InputError, UsageError
from vedit.training.recipes import instructvid2vid as recipe
from vedit.training.recipes.instructvid2vid import train
from vedit.world.triplets import draw


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triplets")
    draw(folder, 3, 2, frames=4, height=64, width=64, edits=1)
    return folder


def edited(model):
    engine = engines.load(
        "instructvid2vid", weights.open_bundle(model, "instruct", verify=True), {"steps": 2}, dtype="fp32"
    )
    frames = torch.linspace(-1, 1, 3 * 3 * 32 * 32).reshape(3, 3, 32, 32)
    return engine.edit(Window(frames, 0, 0, None), "snow").frames


@pytest.mark.parametrize("base", ["bundle", "diffusers"])
def test_a_trained_model_edits_and_differs_from_its_base(base, tmp_path, triplets):
    model = tiny.write_bundle(tmp_path / "m") if base == "bundle" else tiny.write_diffusers(tmp_path / "m")
    out = train(
        data=str(triplets), model=str(model), output=str(tmp_path / "out"), steps=3, batch=2, frames=2, size=32,
        learning_rate=1e-2, log=lambda _: None,
    )  # fmt: skip
    assert not torch.allclose(edited(out), edited(model), atol=1e-4)
    assert len((out / "training" / "log.jsonl").read_text().splitlines()) >= 1


def test_a_text_to_image_base_gets_room_for_the_source(tmp_path, triplets):
    model = tiny.write_diffusers(tmp_path / "m")
    config = json.loads((model / "unet" / "config.json").read_text())
    narrow = tiny.tiny_unet2d(in_channels=config["in_channels"] // 2)
    narrow.save_pretrained(model / "unet")
    out = train(
        data=str(triplets), model=str(model), output=str(tmp_path / "out"), steps=2, batch=2, frames=2, size=32,
        log=lambda _: None,
    )  # fmt: skip
    assert edited(out).shape == (3, 3, 32, 32)


def short(triplets, model, out, **more):
    """The shortest training there is."""
    given = {"steps": 1, "batch": 1, "frames": 2, "size": 32, "log": lambda _: None} | more
    return train(data=str(triplets), model=str(model), output=str(out), **given)


def test_the_trained_model_tells_of_itself(tmp_path, triplets):
    model = tiny.write_bundle(tmp_path / "base")
    (model / "README.md").write_text("# base\n\nof another kind\n")
    weights.write_manifest(model)
    short(triplets, model, tmp_path / "first")
    out = short(triplets, tmp_path / "first", tmp_path / "second", consistency="literal", consistency_weight=0.25)
    bundle = weights.open_bundle(out, "instruct", verify=True)
    assert bundle.name == "second"
    card = (out / "README.md").read_text()
    unet = (out / "instruct" / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    for told in ("# second", "first (sha256", "| consistency | literal |", "| consistency_weight | 0.25 |",
                 hashlib.sha256(unet).hexdigest()):  # fmt: skip
        assert told in card
    assert (out / "BASE.md").read_text().startswith("# first")
    assert (tmp_path / "first" / "BASE.md").read_text() == "# base\n\nof another kind\n"
    assert not [name for name in json.loads((out / "manifest.json").read_text())["files"] if "training" in name]
    state = json.loads((out / "training" / "state.json").read_text())  # its own, not that of the base's training
    assert state["identity"]["consistency"] == "literal"


def test_what_a_training_depends_on_is_not_changed_in_silence(tmp_path, triplets, monkeypatch):
    model, out = tiny.write_bundle(tmp_path / "m"), tmp_path / "out"

    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "fit", stopped)  # after encoding, before the first checkpoint
        with pytest.raises(KeyboardInterrupt):
            short(triplets, model, out, size=64)
    short(triplets, model, out)
    assert np.load(out / "training" / "latents" / "source.npy").shape[-2:] == (4, 4)
    with pytest.raises(UsageError, match="--resume"):
        short(triplets, model, out)
    with pytest.raises(UsageError, match=r"other settings \(size\)"):
        short(triplets, model, out, size=64, resume=True)
    other = draw(tmp_path / "others", 4, 2, frames=4, height=64, width=64, edits=1).parent
    with pytest.raises(UsageError, match=r"other settings \(data\)"):
        short(other, model, out, resume=True)
    assert short(triplets, model, out, resume=True) == out


def test_what_is_seen_is_as_large_as_in_an_edit(tmp_path):
    """Strokes and flakes of a clip that is shrunk to a square of training would be learnt too small."""
    folder = draw(tmp_path / "triplets", 5, 2, frames=4, height=64, width=96, edits=2).parent
    seen = recipe.FolderTriplets(folder, 2, 32, 64, seed=1)
    made = list(seen)
    assert (seen.clips, seen.edits) == (len(made), sum(len(one.edits) for one in made)) == (4, 8)
    places = set()
    for number, one in enumerate(made):
        source = folder / f"{number // 2:05d}" / "source.mp4"
        whole, at = recipe._read(source, 64)[2 * (number % 2) :][:2], None
        assert whole.shape == (2, 64, 96, 3) and one.source.shape == (2, 32, 32, 3)
        for y in range(0, 33, 8):
            for x in range(0, 65, 8):
                if np.array_equal(whole[:, y : y + 32, x : x + 32], one.source):
                    at = y, x
        assert at is not None
        places.add(at)
        for edited, _, label in one.edits:
            other = recipe._read(source.with_name(f"{label}.mp4"), 64)[2 * (number % 2) :][:2]
            assert np.array_equal(other[:, at[0] : at[0] + 32, at[1] : at[1] + 32], edited)
    assert len(places) > 1
    assert [one.source.sum() for one in recipe.FolderTriplets(folder, 2, 32, 64, seed=1)] == [
        one.source.sum() for one in made
    ]


def test_particles_that_the_noise_would_have_to_know_are_left_out(tmp_path, triplets):
    from safetensors.torch import load_file, save_file

    folder = draw(tmp_path / "triplets", 5, 1, frames=4, height=64, width=64, edits=3).parent
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    lines[0]["label"] = "snow"
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    model, said = tiny.write_bundle(tmp_path / "m"), []
    preset = model / "instruct" / "preset.json"
    name = json.loads(preset.read_text())["known_embeddings"]
    short(folder, model, tmp_path / "a", log=said.append)
    assert not any("left out" in line for line in said)
    known = load_file(model / name)
    save_file(known | {"fall": torch.zeros(len(known["directions"]))}, model / name)
    weights.write_manifest(model)
    short(folder, model, tmp_path / "b", log=said.append)
    assert any(line.startswith("left out 1 edits labelled snow or rain") for line in said)
    assert "2 edits of 2 frames" in said[-1] or any("4 edits of 2 frames" in line for line in said)


def test_no_model_is_written_over(tmp_path, triplets):
    model, other = tiny.write_bundle(tmp_path / "m"), tiny.write_bundle(tmp_path / "other")
    with pytest.raises(UsageError, match="is the model to start from"):
        short(triplets, model, model)
    with pytest.raises(UsageError, match="holds a model already"):
        short(triplets, model, other)


def test_wrong_wishes_are_named(tmp_path, triplets):
    model = tiny.write_bundle(tmp_path / "m")
    with pytest.raises(UsageError, match="--frames 64"):
        train(data=str(triplets), model=str(model), output=str(tmp_path / "a"), frames=64, log=lambda _: None)
    with pytest.raises(UsageError, match=r"--size 36: .* a multiple of 8"):
        train(data=str(triplets), model=str(model), output=str(tmp_path / "d"), size=36, log=lambda _: None)
    with pytest.raises(InputError, match="4 frames"):
        train(data=str(triplets), model=str(model), output=str(tmp_path / "b"), frames=6, log=lambda _: None)
    with pytest.raises(InputError, match=r"manifest\.jsonl"):
        train(data=str(tmp_path), model=str(model), output=str(tmp_path / "c"), log=lambda _: None)
