"""The world's ground truth is true: flow, masks, tracks and object edits agree with the pixels."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from vedit.world.scene import PLACES, SHAPES, caption, draw_scene, layer_motion, recolour, remove, render, reshape


def moving_scene(seed: int = 3):
    scene = draw_scene(seed, 128, 160, frames=6, place="meadow", things=1)
    thing = replace(
        scene.things[0],
        start=(0.6, 0.5),
        velocity=(0.02, -0.01),
        spin=0.0,
        wobble=(0.0, 0.1),
        colour="red",
        shape="ball",
    )
    return replace(scene, things=(thing,), noise=0.0, pan=(0.01, 0.0), zoom=0.0, shake=0.0)


def test_a_scene_is_reproducible_from_its_seed():
    first, second = (render(draw_scene(11, 64, 64, frames=3)) for _ in range(2))
    assert np.array_equal(first.frames, second.frames) and first.caption == second.caption
    assert not np.array_equal(first.frames, render(draw_scene(12, 64, 64, frames=3)).frames)


@pytest.mark.parametrize("place", [*PLACES, "leaves"])
def test_every_place_can_be_drawn(place):
    drawn = render(draw_scene(5, 64, 80, frames=2, place=place))
    assert drawn.frames.shape == (2, 64, 80, 3) and drawn.frames.dtype == np.float32
    assert drawn.frames.min() >= 0 and drawn.frames.max() <= 1 and drawn.frames.std() > 0.01


def test_flow_carries_one_frame_onto_the_next():
    drawn = render(moving_scene())
    grid = np.stack(np.meshgrid(np.arange(160), np.arange(128)), -1).astype(np.float32)
    for t in range(5):
        warped = cv2.remap(drawn.frames[t + 1], grid + drawn.flow[t], None, cv2.INTER_LINEAR)
        inner = np.zeros((128, 160), bool)
        inner[8:-8, 8:-8] = True
        # Where a layer stays on top in both frames, the warped successor is the frame.
        landed = cv2.remap(drawn.layers[t + 1].astype(np.float32), grid + drawn.flow[t], None, cv2.INTER_NEAREST)
        same = inner & (landed == drawn.layers[t])
        moved = np.abs(warped - drawn.frames[t])[same].mean()
        still = np.abs(drawn.frames[t + 1] - drawn.frames[t])[same].mean()
        assert moved < 0.5 * still


def test_tracks_follow_the_mask():
    drawn = render(moving_scene())
    for t in range(6):
        ys, xs = np.nonzero(drawn.masks[t, 0])
        assert np.allclose([xs.mean(), ys.mean()], drawn.tracks[t, 0], atol=0.7)
    step = np.diff(drawn.tracks[:, 0], axis=0)
    assert np.allclose(step, [0.02 * 128, -0.01 * 128], atol=1e-3)


def test_an_object_edit_changes_the_object_and_nothing_else():
    scene = moving_scene()
    before = render(scene)
    for edited in (recolour(scene, 0, "blue"), remove(scene, 0), reshape(scene, 0, "ring")):
        after = render(edited)
        reach = cv2.dilate(np.any(before.masks[:, 0] | (after.layers == 1), axis=0).astype(np.uint8), np.ones((5, 5)))
        assert np.array_equal(before.frames[:, reach == 0], after.frames[:, reach == 0])
        assert np.abs(before.frames - after.frames)[before.masks[:, 0]].mean() > 0.02
    assert render(recolour(scene, 0, "blue")).masks[:, 0].sum() == before.masks[:, 0].sum()
    assert render(remove(scene, 0)).masks.sum() == 0


def test_every_shape_has_its_own_outline():
    areas = set()
    for shape in SHAPES:
        scene = moving_scene()
        areas.add(int(render(reshape(scene, 0, shape)).masks[0, 0].sum()))
    assert len(areas) == len(SHAPES)


def test_captions_name_what_is_there():
    scene = moving_scene()
    assert caption(scene) == "a red ball moves over green grass"
    assert caption(recolour(scene, 0, "orange")) == "an orange ball moves over green grass"
    assert "ball" not in caption(remove(scene, 0))


def test_the_motion_of_layers_is_that_of_tracks_and_flow():
    scene = moving_scene()
    bent = replace(scene.things[0], bend=(0.004, 0.006), spin=0.1)
    scene = replace(scene, things=(bent,))
    drawn, motion = render(scene), layer_motion(scene)
    assert np.allclose(motion[0], np.broadcast_to([[1, 0, 0], [0, 1, 0]], (2, 2, 3)))
    centre = np.append(drawn.tracks[0, 0], 1.0)
    assert np.allclose(motion[:, 1] @ centre, drawn.tracks[:, 0], atol=1e-3)
    steps = np.diff(drawn.tracks[:, 0], axis=0)
    assert np.ptp(steps[:, 1]) > 2.0  # its path is no line
    for layer in (0, 1):
        y, x = (int(v[len(v) // 2]) for v in np.nonzero(drawn.layers[0] == layer))
        assert np.allclose(motion[1, layer] @ [x, y, 1.0], drawn.flow[0, y, x] + [x, y], atol=1e-3)


def test_a_textured_thing_has_many_colours_and_the_same_mask():
    scene = moving_scene()
    plain, textured = (
        render(replace(scene, things=(replace(scene.things[0], size=0.2, textured=flag),))) for flag in (False, True)
    )
    assert np.array_equal(plain.masks, textured.masks)
    inside = plain.masks[0, 0]
    assert textured.frames[0][inside].std(axis=0).max() > 1.5 * plain.frames[0][inside].std(axis=0).max()
    assert "colourful ball" in textured.caption
