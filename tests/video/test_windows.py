from __future__ import annotations

import random

import pytest

from vedit.video.windows import Window, WindowPlanner, plan_windows


def planned_online(length: int, frames: int, overlap: int, first: int) -> list[Window]:
    planner = WindowPlanner(frames, overlap, first)
    windows: list[Window] = []
    for index in range(first, first + length):
        assert planner.oldest <= index
        if window := planner.push():
            windows.append(window)
        assert index + 1 - planner.oldest <= frames, "more frames are kept than a window holds"
    if window := planner.end_shot():
        windows.append(window)
    return windows


@pytest.mark.parametrize(("frames", "overlap"), [(1, 0), (2, 1), (8, 0), (8, 2), (8, 7), (16, 4)])
def test_plan_and_planner_agree_and_every_frame_has_one_window(frames: int, overlap: int) -> None:
    for length in range(3 * frames + 5):
        for first in (0, 7):
            windows = plan_windows(length, frames, overlap, first)
            assert windows == planned_online(length, frames, overlap, first)
            assert [i for w in windows for i in w.produces] == list(range(first, first + length))
            for k, w in enumerate(windows):
                assert w.count == min(frames, length)
                assert w.reference == 0 if k == 0 else w.reference >= overlap
                assert first <= w.first
                assert w.end <= first + length


def test_last_window_stays_full_by_taking_more_reference() -> None:
    assert plan_windows(18, 8, 2) == [Window(0, 8, 0), Window(6, 8, 2), Window(10, 8, 4)]
    assert plan_windows(5, 8, 2) == [Window(0, 5, 0)]


def test_frames_that_a_later_window_needs_are_never_called_old() -> None:
    rng = random.Random(0)
    for _ in range(200):
        frames = rng.randint(1, 9)
        planner = WindowPlanner(frames, rng.randrange(frames))
        oldest = 0
        for _ in range(rng.randint(1, 4)):
            if rng.random() < 0.4:
                planner.skip(rng.randint(1, 5))
            for _ in range(rng.randint(0, 30)):
                oldest = planner.oldest
                window = planner.push()
                assert window is None or window.first >= oldest
            oldest = planner.oldest
            window = planner.end_shot()
            assert window is None or window.first >= oldest


def test_skipping_inside_a_shot_and_impossible_overlaps_are_refused() -> None:
    planner = WindowPlanner(4, 1)
    planner.push()
    with pytest.raises(ValueError, match="between shots"):
        planner.skip()
    for frames, overlap in ((0, 0), (4, 4), (4, -1)):
        with pytest.raises(ValueError, match="overlap"):
            plan_windows(5, frames, overlap)
