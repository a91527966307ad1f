"""CLIP measures against plain formulas in float64, on a tiny model of random weights."""

from __future__ import annotations

import json
import shutil
from typing import Any

import numpy as np
import pytest
import torch

from vedit.errors import ModelError
from vedit.metrics import clip
from vedit.metrics.accumulate import Moment
from vedit.metrics.clip import Encoder
from vedit.metrics.pictures import Picture

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def encoder(tiny_clip) -> Encoder:
    return Encoder.load("clip", str(tiny_clip))


def pictures(seed: int, count: int = 5) -> list[Picture]:
    rng = np.random.default_rng(seed)
    return [Picture(rng.integers(0, 256, (40, 56, 3), dtype=np.uint8)) for _ in range(count)]


def seen(encoder: Encoder, *groups: list[Picture]) -> list[np.ndarray]:
    for group in groups:
        encoder.see(group)
    return [np.stack([picture.embeddings[encoder.key] for picture in group]) for group in groups]


def through(accumulator, source: list[Picture], edited: list[Picture]) -> dict[str, float]:
    for index, (one, other) in enumerate(zip(source, edited, strict=True)):
        accumulator.update(Moment(index, index, one, other))
    return accumulator.result()


def test_embeddings_are_those_of_the_model_alone(encoder, tiny_clip):
    """Against transformers' own classes, and a resize and crop by hand in Pillow."""
    from PIL import Image
    from transformers import CLIPModel

    picture = pictures(0, 1)[0]
    side = json.loads((tiny_clip / "preprocessor_config.json").read_text())["size"]["shortest_edge"]
    small = Image.fromarray(picture.rgb).resize((int(56 * side / 40), side), Image.Resampling.BICUBIC)
    left = (small.width - side) // 2
    crop = np.asarray(small.crop((left, 0, left + side, side)), np.float32) / 255
    pixels = torch.from_numpy((crop - 0.5) / 0.25).permute(2, 0, 1)[None]
    model: Any = CLIPModel.from_pretrained(tiny_clip).eval()
    with torch.no_grad():
        expected = model.get_image_features(pixel_values=pixels).pooler_output[0].double().numpy()
    (found,) = seen(encoder, [picture])
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), atol=1e-4)


def test_consistency_over_all_pairs_is_the_mean_over_all_pairs(encoder):
    edited = pictures(1)
    (e,) = seen(encoder, edited)
    cosines = e @ e.T
    found = through(clip.Consistency(encoder), edited, edited)
    assert found["frame_consistency_all"] == pytest.approx(cosines[~np.eye(5, dtype=bool)].mean(), abs=1e-12)
    assert found["frame_consistency_adjacent"] == pytest.approx(np.diag(cosines, 1).mean(), abs=1e-12)
    assert found["frame_consistency_all"] != found["frame_consistency_adjacent"]


def test_both_consistencies_are_equal_for_two_frames_and_one_for_a_frozen_video(encoder):
    two = pictures(2, 2)
    seen(encoder, two)
    found = through(clip.Consistency(encoder), two, two)
    assert found["frame_consistency_all"] == pytest.approx(found["frame_consistency_adjacent"], abs=1e-12)
    assert found["frame_consistency_all"] < 1 - 1e-6
    frozen = [two[0]] * 4
    found = through(clip.Consistency(encoder), frozen, frozen)
    assert found == pytest.approx({"frame_consistency_all": 1, "frame_consistency_adjacent": 1}, abs=1e-12)


def test_alignment_accuracy_and_direction_by_their_formulas(encoder):
    source, edited = pictures(3), pictures(4)
    s, e = seen(encoder, source, edited)
    target, origin = encoder.read("snow"), encoder.read("a red 9")
    found = through(clip.Alignment("textual_alignment", encoder, "snow", 100.0), source, edited)
    assert found["textual_alignment"] == pytest.approx(100 * (e @ target).mean(), abs=1e-10)
    found = through(clip.Direction(encoder, "snow", "a red 9"), source, edited)
    assert found["frame_accuracy"] == np.mean(e @ target > e @ origin)
    change = target - origin
    along = [(b - a) @ change / (np.linalg.norm(b - a) * np.linalg.norm(change)) for a, b in zip(s, e, strict=True)]
    assert found["directional_similarity"] == pytest.approx(np.mean(along), abs=1e-10)


def test_an_edit_that_changes_nothing_goes_in_no_direction(encoder):
    source = pictures(5)
    seen(encoder, source)
    assert through(clip.Direction(encoder, "snow", "sepia"), source, source)["directional_similarity"] == 0


def test_pickscore_uses_the_models_own_scale(encoder):
    assert encoder.logit_scale == pytest.approx(float(np.exp(2.6592)), rel=1e-4)


def test_nano_has_a_clip_model():
    from vedit.weights.clip import open_clip

    found = open_clip("nano")
    assert (found.name, found.clip.name) == ("nano", "clip")
    assert len(found.sha256) == 64


def test_a_hub_id_comes_from_the_local_cache_only(tmp_path, tiny_clip, monkeypatch):
    folder = tmp_path / "models--owner--clip"
    shutil.copytree(tiny_clip, folder / "snapshots" / "abc")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert Encoder.load("clip", "owner/clip").name == "owner/clip"
    with pytest.raises(ModelError, match="vedit models pull owner/other"):
        Encoder.load("clip", "owner/other")


@pytest.mark.parametrize("lost", ["preprocessor_config.json", "vocab.json", "model.safetensors", "config.json"])
def test_a_model_that_lacks_a_file(tmp_path, tiny_clip, lost):
    folder = shutil.copytree(tiny_clip, tmp_path / "clip")
    (folder / lost).unlink()
    with pytest.raises(ModelError, match=lost.replace(".", r"\.")):
        Encoder.load("clip", str(folder))


def test_damaged_weights_are_an_error(tmp_path, tiny_clip):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny_clip, tmp_path / "clip")
    state = load_file(folder / "model.safetensors")
    state["visual_projection.weight"][:] = float("nan")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not a number"):
        Encoder.load("clip", str(folder)).see(pictures(0, 1))
