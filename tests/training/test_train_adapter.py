"""``train-adapter instructvid2vid`` on a folder of triplets, from a bundle of ours and from a plain 2D folder."""

from __future__ import annotations

import json

import pytest
import torch

from tests.engines import tiny
from vedit import engines, weights
from vedit.engines.base import Window
from vedit.errors import InputError, UsageError
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


def test_wrong_wishes_are_named(tmp_path, triplets):
    model = tiny.write_bundle(tmp_path / "m")
    with pytest.raises(UsageError, match="--frames 64"):
        train(data=str(triplets), model=str(model), output=str(tmp_path / "a"), frames=64, log=lambda _: None)
    with pytest.raises(InputError, match="4 frames"):
        train(data=str(triplets), model=str(model), output=str(tmp_path / "b"), frames=6, log=lambda _: None)
    with pytest.raises(InputError, match=r"manifest\.jsonl"):
        train(data=str(tmp_path), model=str(model), output=str(tmp_path / "c"), log=lambda _: None)
