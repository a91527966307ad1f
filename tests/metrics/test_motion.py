"""Warp error, the three temporal measures, and motion fidelity."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest

from vedit.errors import InputError
from vedit.metrics import motion
from vedit.metrics.pictures import Picture, Step, shrink, trusted
from vedit.metrics.tracks import MotionFidelity, read_tracks

TEMPORAL = frozenset({"frame_difference", "optical_flow", "block_matching"})


@pytest.fixture
def sliding(synth):
    """Frames of 320×256 that slide by 3 pixels a step: at 256 nothing is scaled."""
    return synth.moving_frames(5, 320, 256, step=3)


def test_warp_error_is_zero_for_a_translation_with_its_true_flow(sliding):
    before, after = (Picture(frame).small for frame in sliding[:2])
    back = np.zeros((256, 320, 2), np.float32)
    back[..., 0] = 3  # what is at x now was at x + 3
    forth = -back
    seen = trusted(back, forth)
    assert not seen[:, -3:].any()  # came into the picture
    assert seen[:, 4:-3].all()
    assert float(motion.warp_difference(before, after, back)[seen].max()) == 0
    assert float(motion.warp_difference(before, after, -back)[seen].mean()) > 1e-4


def test_warp_error_of_a_translation_with_estimated_flow(run, sliding):
    moving = run(motion.WarpError(), sliding)["warp_error"]
    unwarped = np.mean([(Picture(a).small - Picture(b).small) ** 2 for a, b in pairwise(sliding)])
    assert moving < 0.02 * float(unwarped)


def test_warp_error_takes_the_flow_of_the_source(run, sliding):
    assert run(motion.WarpError(), sliding, [frame // 2 for frame in sliding])["warp_error"] < 1e-4
    # A frozen edit of a moving source does not move with it.
    assert run(motion.WarpError(), sliding, [sliding[0]] * 5)["warp_error"] > 1e-3
    # A frozen source says that nothing moves: then its frozen edit is perfect.
    assert run(motion.WarpError(), [sliding[0]] * 5, [sliding[1]] * 5)["warp_error"] == 0


def test_warp_error_is_weighed_by_the_pixels_that_can_be_trusted(sliding):
    step = Step(Picture(sliding[0]), Picture(sliding[1]))
    assert 0.8 < float(step.trusted.mean()) < 1


def test_the_check_of_the_flow_refuses_what_does_not_lead_home():
    back = np.zeros((20, 20, 2), np.float32)
    forth = np.zeros((20, 20, 2), np.float32)
    forth[:, :10, 1] = 1.0  # 1² is not below 0.01·1² + 0.5
    forth[:, 10:, 1] = 0.5
    assert not trusted(back, forth)[:, :10].any()
    assert trusted(back, forth)[:, 10:].all()


def test_a_frozen_video_has_no_change(run, sliding):
    found = run(motion.Temporal(TEMPORAL), [sliding[0]] * 3)
    assert found == dict.fromkeys(TEMPORAL, 0.0)


def test_temporal_measures_of_a_translation(run, sliding):
    found = run(motion.Temporal(TEMPORAL), sliding)
    difference = np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairwise(sliding)])
    assert found["frame_difference"] == pytest.approx(float(difference), rel=1e-4)
    assert found["optical_flow"] == pytest.approx(3, rel=0.1)
    # Only the blocks at the right edge have nowhere to come from.
    assert found["block_matching"] < 0.2 * found["frame_difference"]


def test_only_the_temporal_measures_that_are_wanted(run, sliding):
    assert set(run(motion.Temporal(frozenset({"optical_flow"})), sliding[:2])) == {"optical_flow"}


def test_block_matching_by_brute_force():
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 256, (2, 40, 50), dtype=np.uint8)
    best = []
    for top in (0, 16):
        for left in (0, 16, 32):
            block = after[top : top + 16, left : left + 16].astype(int)
            best.append(
                min(
                    float(np.abs(block - before[top + dy : top + dy + 16, left + dx : left + dx + 16]).mean())
                    for dy in range(-7, 8)
                    for dx in range(-7, 8)
                    if 0 <= top + dy <= 24 and 0 <= left + dx <= 34
                )
            )
    assert motion.block_residual(before, after) == pytest.approx(np.mean(best), rel=1e-4)


@pytest.mark.parametrize(
    ("size", "expected"), [((100, 50), (512, 256)), ((300, 512), (256, 437)), ((256, 300), (256, 300))]
)
def test_motion_is_measured_at_one_size(size, expected):
    assert shrink(np.zeros((*size, 3), np.float32)).shape[:2] == expected


# tracks


def wandering(count: int = 8, step: tuple[int, int] = (4, 2)) -> tuple[list[np.ndarray], np.ndarray]:
    """A textured patch that moves over a plain ground, and where its centre is, (T, 2)."""
    rng = np.random.default_rng(1)
    patch = np.kron(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), np.ones((4, 4, 1), np.uint8))
    places = np.array([[60 + step[0] * t, 50 + step[1] * t] for t in range(count)])
    frames = []
    for x, y in places:
        frame = np.full((160, 200, 3), 90, np.uint8)
        frame[y - 16 : y + 16, x - 16 : x + 16] = patch
        frames.append(frame)
    return frames, places - 0.5


def tracks_of(folder, content, suffix: str = ".json", frames: int = 8):
    path = folder / f"tracks{suffix}"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_tracks(path, 200, 160, frames)


def test_motion_fidelity_of_an_edit_that_follows_its_track(run, tmp_path):
    frames, places = wandering()
    found = run(MotionFidelity(tracks_of(tmp_path, {"tracks": [{"points": places.tolist()}]})), frames)
    assert found["motion_fidelity"] < 0.3
    assert found["motion_endpoint"] < 0.3


def test_motion_fidelity_of_an_edit_that_goes_elsewhere(run, tmp_path):
    frames, places = wandering(step=(4, 2))
    asked = places[0] + np.arange(8)[:, None] * [-4, 2]
    found = run(MotionFidelity(tracks_of(tmp_path, {"tracks": [{"points": asked.tolist()}]})), frames)
    assert found["motion_endpoint"] == pytest.approx(7 * 8, abs=0.5)
    assert found["motion_fidelity"] == pytest.approx(4 * 8, abs=0.5)


def test_two_points_and_times_are_enough(run, tmp_path):
    frames, places = wandering()
    ends = [places[0].tolist(), places[-1].tolist()]
    evenly = tracks_of(tmp_path, {"tracks": [{"points": ends}]})
    assert run(MotionFidelity(evenly), frames)["motion_fidelity"] < 0.3
    in_seconds = tracks_of(tmp_path, {"tracks": [{"points": ends, "times": [0, 0.7]}]})
    assert run(MotionFidelity(in_seconds), frames)["motion_fidelity"] < 0.3
    in_frames = f"track,time,x,y\na,0.0s,{ends[0][0]},{ends[0][1]}\na,0.7s,{ends[1][0]},{ends[1][1]}\n"
    assert run(MotionFidelity(tracks_of(tmp_path, in_frames, ".csv")), frames)["motion_fidelity"] < 0.3
    later = {"tracks": [{"points": [places[3].tolist(), places[6].tolist()], "times": ["3", "6"]}]}
    assert run(MotionFidelity(tracks_of(tmp_path, later)), frames)["motion_fidelity"] < 0.3


@pytest.mark.parametrize(
    ("content", "suffix", "said"),
    [
        ("{", ".json", "not JSON"),
        ("[]", ".json", "list of tracks"),
        ({"tracks": []}, ".json", "no track"),
        ({"tracks": [{"points": [[1, 2]]}]}, ".json", "two at least"),
        ({"tracks": [{"points": [[1, 2], [3]]}]}, ".json", "is no point"),
        ({"tracks": [{"points": [[1, 2], [200, 2]]}]}, ".json", "200,2 is not in the picture of 200×160"),
        ({"tracks": [{"points": [[1, 2], [math.nan, 2]]}]}, ".json", "nan,2 is not in the picture"),
        ({"tracks": [{"points": [[1, 2], [3, 4]], "times": [0]}]}, ".json", "2 points and 1 times"),
        ({"tracks": [{"points": [[1, 2], [3, 4]], "times": [1, 1]}]}, ".json", "do not increase"),
        ({"tracks": [{"points": [[1, 2], [3, 4]], "times": [0, math.nan]}]}, ".json", "not a time"),
        ({"tracks": [{"points": [[1, 2], [3, 4]], "times": ["0", 1]}]}, ".json", "mixes"),
        ("x,y\n", ".csv", "track,time,x,y"),
        ("track,time,x,y\n1,0,2\n", ".csv", ":2: has 3 fields"),
        ("track,time,x,y\n1,0,2,here\n", ".csv", ":2: x and y"),
        ("track,time,x,y\n1,soon,2,3\n1,0,2,3\n", ".csv", "is not a time"),
    ],
)
def test_tracks_that_cannot_be_used(tmp_path, content, suffix, said):
    with pytest.raises(InputError, match=said):
        tracks_of(tmp_path, content, suffix)


def test_a_track_that_is_over_before_it_begins(run, tmp_path):
    frames, _ = wandering()
    tracks = tracks_of(tmp_path, {"tracks": [{"points": [[10, 10], [20, 20]], "times": [5, 6]}]})
    with pytest.raises(InputError, match="fewer than two frames"):
        run(MotionFidelity(tracks), frames)
