"""Clips composed on the spot: the tracks lie on what moves, and nothing else does."""

import numpy as np

from vedit.world.pasted import GRAIN, paste


def draw(seed: int):
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8).repeat(6, 0).repeat(6, 1)
    return paste(picture, rng, 6)


def test_nothing_but_the_shapes_moves():
    for seed in range(20):
        clip = draw(seed)
        assert clip.frames.shape == (6, 48, 48, 3) and clip.frames.dtype == np.uint8
        still = clip.things.max(0) == 0
        change = clip.frames[1:].astype(float) - clip.frames[:1]
        assert still.mean() > 0.2
        assert np.abs(change[:, still]).max() < 8 * GRAIN
        assert np.abs(change[:, ~still]).max() > 40 or np.ptp(clip.tracks, axis=0).max() < 1


def test_tracks_lie_on_the_shapes_and_go_as_they_do():
    hits, total = 0, 0
    for seed in range(40):
        clip = draw(seed)
        assert clip.tracks.shape[0] == 6 and 1 <= clip.tracks.shape[1] <= 6
        assert clip.tracks.min() >= 0 and clip.tracks.max() <= 47
        middle = np.rint(clip.tracks[:, 0]).astype(int)  # the first track is the middle of the first shape
        hits += sum(clip.things[t, y, x] > 0.4 for t, (x, y) in enumerate(middle))
        total += 6
        column = clip.things.sum((1, 2))
        assert column.max() < 1.6 * column.min() + 60, "a shape keeps its size"
    assert hits > 0.97 * total  # the middle of some triangles is near their rim


def test_the_same_numbers_draw_the_same_clip():
    assert np.array_equal(draw(3).frames, draw(3).frames) and not np.array_equal(draw(3).frames, draw(4).frames)
