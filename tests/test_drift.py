"""Colour drift: what the source does by itself does not count."""

from __future__ import annotations

import numpy as np
import pytest

from vedit.render.drift import ColorDrift


def measure(count: int, change, source=lambda t: 0.5) -> list[float] | None:
    drift = ColorDrift()
    for k in range(count):
        time = k / 25
        before = np.full((8, 8, 3), source(time))
        drift.add(before, change(before, time), time)
    return drift.grey_levels()


def test_a_tint_that_grows_is_measured():
    tint = np.array([10.0, 0.0, -5.0]) / 255
    assert measure(101, lambda image, t: image + tint * (t / 4)) == pytest.approx([10, 0, -5], abs=0.05)


@pytest.mark.parametrize(
    "source",
    [lambda t: 0.5, lambda t: 0.5 + 0.3 * np.sin(7 * t), lambda t: 0.2 + 0.05 * t**2],
    ids=["still", "flicker", "dawn"],
)
@pytest.mark.parametrize("edit", [lambda x, t: x, lambda x, t: 1 - x, lambda x, t: 0.6 * x + 0.2])
def test_an_edit_that_stays_the_same_does_not_drift(edit, source):
    found = measure(200, edit, source)
    assert found is not None
    assert max(map(abs, found)) < 0.05


def test_too_few_frames_have_no_drift():
    assert measure(3, lambda image, t: image) is None
    assert ColorDrift().grey_levels() is None


def test_what_a_mask_leaves_out_does_not_count():
    """A region's crop drifted by thirty grey levels around it, where the result is the source."""
    small = np.zeros((8, 8), np.uint8)
    small[2:4, 2:4] = 255
    weights = small, np.repeat(np.repeat(small, 2, 0), 2, 1)
    drift = {name: ColorDrift() for name in ("outside", "inside")}
    for k in range(50):
        time = k / 25
        before = np.full((8, 8, 3), 0.5)
        away, there = before + 0.1 * time, before.copy()
        away[2:4, 2:4] = 0.5
        there[2:4, 2:4] += 0.1 * time
        drift["outside"].add(before, np.repeat(np.repeat(away, 2, 0), 2, 1), time, weights)
        drift["inside"].add(before, np.repeat(np.repeat(there, 2, 0), 2, 1), time, weights)
    assert drift["outside"].grey_levels() == pytest.approx([0, 0, 0], abs=1e-3)
    assert drift["inside"].grey_levels() == pytest.approx([255 * 0.1 * 49 / 25] * 3, rel=1e-3)
    nothing = ColorDrift()
    nothing.add(before, before, 0.0, (small, np.zeros((8, 8), np.uint8)))
    assert nothing.frames == 0
