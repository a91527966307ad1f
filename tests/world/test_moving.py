"""Tracks, owners and layers of the moving world agree with its pixels."""

import numpy as np
import pytest

from vedit.world.moving import MASK_STRIDE, STRIDE, clips, draw_moving, motion_bucket


@pytest.fixture(scope="module")
def made():
    return [clip for index in range(6) for clip in clips(3, index, 128, 6, 2)]


def test_shapes_and_ranges(made):
    for clip in made:
        assert clip.frames.shape == (6, 128, 128, 3) and clip.frames.dtype == np.uint8
        assert clip.layers.shape == (6, 64, 64)
        assert clip.tracks.shape == (6, 256, 2) and clip.owners.shape == (256,)
        assert np.allclose(clip.tracks[0].reshape(16, 16, 2)[2, 3], [3 * STRIDE + 4, 2 * STRIDE + 4])
    assert len({clip.fps for clip in made}) > 1


def test_a_point_of_a_thing_stays_on_it(made):
    held = []
    for clip in made:
        for point in np.flatnonzero(clip.owners):
            for t in range(6):
                x, y = np.floor(clip.tracks[t, point] / MASK_STRIDE).astype(int)
                if 2 < x < 61 and 2 < y < 61:
                    near = clip.layers[t, y - 1 : y + 2, x - 1 : x + 2]
                    held.append(bool((near >= clip.owners[point]).any()))  # itself, or what hides it
    assert len(held) > 100
    assert np.mean(held) > 0.99  # the tip of a star may be too thin to be seen as it turns


def test_what_a_point_shows_moves_with_it(made):
    """Colours along true tracks change less than at the points where the tracks begin."""
    along, at = [], []
    for clip in made:
        span = np.abs(clip.tracks[-1] - clip.tracks[0]).max(-1)
        inside = ((clip.tracks > 1) & (clip.tracks < 126)).all((0, 2)) & (span > 4)
        x, y = np.round(clip.tracks[:, inside]).astype(int).transpose(2, 0, 1)
        colours = clip.frames[np.arange(6)[:, None], y, x].astype(float)
        along.append(np.abs(colours[-1] - colours[0]).mean(-1))
        at.append(np.abs(clip.frames[-1][y[0], x[0]].astype(float) - colours[0]).mean(-1))
    assert np.concatenate(along).mean() < 0.6 * np.concatenate(at).mean()


def test_things_move_in_many_ways(made):
    speeds = [clip.speed for clip in made]
    assert max(speeds) > 4 * min(speeds)
    assert motion_bucket(0.0) == 0.0 and motion_bucket(3.0) < motion_bucket(9.0) < 255.0
    scenes = [draw_moving(seed)[0] for seed in range(40)]
    things = [thing for scene in scenes for thing in scene.things]
    assert any(thing.textured for thing in things) and any(any(thing.bend) for thing in things)
    assert any(thing.wobble[0] > 0.02 for thing in things) and any(not any(thing.velocity) for thing in things)
