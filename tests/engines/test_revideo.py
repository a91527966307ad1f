"""ReVideo as an engine: the base where the control is untrained, tracks, the region, windows."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from vedit import engines, weights
from vedit.diffusion.noise import frame_noise
from vedit.engines.base import Drag, Share, Window
from vedit.engines.shared import Tally
from vedit.errors import ModelError, UsageError
from vedit.weights import adapter, write_manifest
from vedit.weights.bundle import read_json

_SPEC = importlib.util.spec_from_file_location("controls", Path(__file__).with_name("controls.py"))
assert _SPEC is not None and _SPEC.loader is not None
controls = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(controls)

torch.set_num_threads(1)
FRAMES, HEIGHT, WIDTH = 5, 32, 40


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_models):
    return tiny_models.write_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def adapters(model, tmp_path_factory):
    """Of a control that is untrained, and of one that has something to say."""
    folder = tmp_path_factory.mktemp("adapters")
    return {by: controls.write_control(model, folder / str(by), by) for by in (0.0, 1.0)}


@pytest.fixture(scope="module")
def frames(tiny_models):
    return tiny_models.clip_frames(FRAMES, HEIGHT, WIDTH)


def engine(model, control, seed: int = 0, **settings) -> Any:
    bundle = weights.open_bundle(model, "image2video")
    settings = {"steps": 3, "max_guidance": 2.0} | settings
    return engines.load("revideo", bundle, settings, seed=seed, dtype="fp32", adapter=str(control))


def drag(step=(2.0, 0.0), frame=None, frames=FRAMES) -> Drag:
    mask = torch.zeros(HEIGHT, WIDTH)
    mask[8:24, 8:32] = 1
    way = torch.tensor([12.0, 16.0]) + torch.arange(frames)[:, None] * torch.tensor(step)
    return Drag(mask, way[:, None].double(), 0, frame)


def test_untrained_it_is_the_base_alone(model, adapters, frames):
    found = engine(model, adapters[0.0], seed=4, hold=False)
    edited = found.edit(Window(frames, 0), drag())
    base = found.base
    condition = base.condition(frames[0], found.settings, seed=4)
    shape = base.codec.encode(frames[:1]).shape[1:]
    noise = frame_noise(4, range(FRAMES), shape)
    expected = base.codec.decode(base.sample(base.levels.start(noise), condition, found.settings, Tally()))
    assert torch.equal(edited.frames, expected)
    assert edited.evaluations == 2 * 3
    assert torch.equal(edited.reconstruction, base.codec.decode(base.codec.encode(frames)))


def test_tracks_and_their_order_in_time_matter(model, adapters, frames):
    found = engine(model, adapters[1.0])
    right, again, left = (found.edit(Window(frames, 0), drag(step)).frames for step in ((2, 0), (2, 0), (-2, 0)))
    assert torch.equal(right, again)
    assert not torch.allclose(right, left, atol=1e-4)
    across = found.edit(Window(frames, 0), drag((0, 2))).frames
    assert not torch.allclose(right, across, atol=1e-4)


def test_what_lies_in_the_region_after_the_first_frame_is_not_seen(model, adapters, frames):
    """Only the first frame and what is outside decide: the content condition is black inside."""
    found = engine(model, adapters[1.0])
    inside, outside = frames.clone(), frames.clone()
    inside[1:, :, 8:24, 8:32] = 0.3
    outside[1:, :, :8] = 0.3
    before = found.edit(Window(frames, 0), drag()).frames
    assert torch.equal(found.edit(Window(inside, 0), drag()).frames, before)
    assert not torch.allclose(found.edit(Window(outside, 0), drag()).frames, before, atol=1e-4)


def test_the_first_frame_stays_as_it_was_given(model, adapters, frames):
    found = engine(model, adapters[1.0])
    codec = found.base.codec
    kept = found.edit(Window(frames, 0), drag()).frames[0]
    assert torch.allclose(kept, codec.decode(codec.encode(frames[:1]))[0], atol=1e-3)
    other = torch.full((3, HEIGHT, WIDTH), 0.4)
    edited = found.edit(Window(frames, 0), drag(frame=other)).frames[0]
    inside = drag().mask.bool()
    mixed = torch.where(inside, other, frames[0])
    assert torch.allclose(edited, codec.decode(codec.encode(mixed[None]))[0], atol=1e-3)
    free = engine(model, adapters[1.0], hold=False).edit(Window(frames, 0), drag()).frames[0]
    assert not torch.allclose(free, kept, atol=1e-2)


def test_the_next_window_begins_with_what_the_last_one_made(model, adapters, tiny_models):
    frames = tiny_models.clip_frames(8, HEIGHT, WIDTH)
    found, asked = engine(model, adapters[1.0]), drag(frames=8)
    first = found.edit(Window(frames[:5], 0), asked)
    for start, reference in ((4, 1), (3, 2)):
        second = found.edit(Window(frames[start:], start, reference, first.carry), asked)
        inside = asked.mask.bool()
        made = torch.where(inside, first.frames[start:5], frames[start:5])
        assert torch.equal(second.frames[:reference], made)
        other = replace(first.carry, frames=-first.frames)
        changed = found.edit(Window(frames[start:], start, reference, other), asked)
        assert not torch.equal(changed.frames[-1], second.frames[-1])


def test_before_the_third_stage_gamma_is_a_half(model, tmp_path, frames):
    third = engine(model, controls.write_control(model, tmp_path / "third", 1.0, stage=3))
    second = engine(model, controls.write_control(model, tmp_path / "second", 1.0, stage=2))
    window = Window(frames, 0)
    assert not torch.allclose(third.edit(window, drag()).frames, second.edit(window, drag()).frames, atol=1e-4)


def test_after_the_last_place_nothing_moves():
    asked = drag(frames=3)
    assert asked.at(1, 4).tolist() == asked.places[[1, 2, 2, 2]].tolist()


def test_a_model_that_carries_its_control(model, adapters, tmp_path, frames):

    bundle = weights.open_bundle(model, "image2video")
    with pytest.raises(UsageError, match="carries no control"):
        engines.load("revideo", bundle, {})
    folder = shutil.copytree(model, tmp_path / "own")
    shutil.copy(adapters[1.0] / adapter.FILE, folder / "image2video" / "revideo.safetensors")
    preset = read_json(folder / "image2video" / "preset.json") | {
        "carries": {"revideo": "image2video/revideo.safetensors"}
    }
    (folder / "image2video" / "preset.json").write_text(json.dumps(preset))
    write_manifest(folder)
    own = engines.load("revideo", weights.open_bundle(folder, "image2video"), {"steps": 2}, dtype="fp32")
    assert own.edit(Window(frames, 0), drag()).frames.shape == frames.shape


def test_an_adapter_for_something_else(model, adapters, tmp_path):
    about, tensors = adapter.load(adapters[0.0], "revideo", weights.open_bundle(model, "image2video"))
    adapter.save(tmp_path / "wide", replace(about, network=about.network | {"widths": [16, 16, 16, 16]}), tensors)
    adapter.save(tmp_path / "odd", replace(about, network=about.network | {"fusion": "other"}), tensors)
    for name in ("wide", "odd"):
        with pytest.raises(ModelError, match=name):
            engine(model, tmp_path / name)


def test_an_edited_first_frame_counts_wherever_the_edit_begins(model, adapters, frames):
    """Its index is an estimate where frames come at varying times."""
    found = engine(model, adapters[1.0])
    asked = drag(frame=torch.full((3, HEIGHT, WIDTH), 0.4))
    plain, edited = (found.edit(Window(frames, 3), one).frames for one in (replace(asked, frame=None), asked))
    assert not torch.equal(plain[0], edited[0])
    with pytest.raises(ValueError, match="shares no frame"):
        found.edit(Window(frames, 3, 0, found.edit(Window(frames, 0), asked).carry), asked)


def test_held_frames_end_as_they_were_given_in_half_precision_too(model, adapters, frames, monkeypatch):
    found: Any = engines.load("revideo", weights.open_bundle(model, "image2video"), {"steps": 3, "max_guidance": 2.0},
                              dtype="bf16", adapter=str(adapters[1.0]))  # fmt: skip
    ended = []
    sample = found.base.sample
    monkeypatch.setattr(found.base, "sample", lambda *args, **more: ended.append(sample(*args, **more)) or ended[-1])
    first = found.edit(Window(frames, 0), drag())
    found.edit(Window(frames, 3, 2, first.carry), drag())
    known = torch.where(drag().mask.bool(), first.frames[3:], frames[:2])
    for latents, given in zip(ended, (frames[:1], known), strict=True):
        torch.testing.assert_close(latents[: len(given)], found.base.codec.encode(given).float(), rtol=0, atol=1e-5)


def two_regions(first=(2.0, 0.0), second=(-2.0, 0.0)) -> tuple[Drag, Drag, Drag]:
    """Both at once, and each by itself."""
    masks = [torch.zeros(HEIGHT, WIDTH) for _ in range(2)]
    masks[0][8:24, 2:16] = 1
    masks[1][8:24, 24:38] = 1
    starts, steps = torch.tensor([[8.0, 16.0], [30.0, 16.0]]), torch.tensor([first, second])
    places = (starts + torch.arange(FRAMES)[:, None, None] * steps).double()
    ones = [Drag(mask, places[:, number : number + 1]) for number, mask in enumerate(masks)]
    return Drag(masks[0] + masks[1], places), ones[0], ones[1]


def test_regions_apart_are_each_edited_as_if_it_were_the_only_one(model, adapters, frames):
    """At its region and around it; without ``apart`` they are told of together, and one changes the other."""
    both, left, right = two_regions()
    found = engine(model, adapters[1.0], apart=True)
    made, *alone = (found.edit(Window(frames, 0), prompt) for prompt in (both, left, right))
    assert torch.equal(made.frames[..., :20], alone[0].frames[..., :20])
    assert torch.equal(made.frames[..., 24:], alone[1].frames[..., 24:])
    assert made.evaluations == 2 * alone[0].evaluations
    foreseen = engines.work(
        "revideo", weights.open_bundle(model, "image2video"), found.settings, [Share(FRAMES, regions=2)]
    )
    assert foreseen.evaluations == made.evaluations
    together = engine(model, adapters[1.0]).edit(Window(frames, 0), both)
    assert together.evaluations == alone[0].evaluations
    assert not torch.allclose(together.frames, made.frames, atol=1e-4)


def test_one_region_is_edited_alike_apart_or_not(model, adapters, frames):
    found = [
        engine(model, adapters[1.0], apart=apart).edit(Window(frames, 0), drag()).frames for apart in (True, False)
    ]
    assert torch.equal(*found)


def test_regions_apart_go_on_from_their_own_windows(model, adapters, frames):
    both, left, _ = two_regions()
    found = engine(model, adapters[1.0], apart=True)
    made = []
    for prompt in (both, left):
        first = found.edit(Window(frames[:3], 0), prompt)
        made.append(found.edit(Window(frames[2:], 2, 1, first.carry), prompt).frames)
    assert torch.equal(made[0][..., :20], made[1][..., :20])
