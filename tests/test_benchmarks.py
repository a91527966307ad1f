"""The benchmarks whose scenes and tables the documentation rests on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="module")
def prompts(benchmark: Any) -> Any:
    return benchmark("prompt_edit")


@pytest.fixture(scope="module")
def first_frame(benchmark: Any) -> Any:
    return benchmark("first_frame")


@pytest.fixture(scope="module")
def drag_clip(benchmark: Any) -> Any:
    return benchmark("drag_clip")


@pytest.fixture(scope="module")
def drag_motion(benchmark: Any) -> Any:
    return benchmark("drag_motion")


@pytest.mark.parametrize("category", ["style", "object", "background", "several"])
@pytest.mark.parametrize("seed", [0, 1])
def test_only_what_is_asked_for_differs_from_the_source(prompts: Any, category: str, seed: int) -> None:
    scene, source, truth, said, wanted, mask = prompts.pair(category, seed, 2)
    assert said != wanted and len(scene.things) == 2
    assert source.frames.shape == truth.shape == (2, prompts.SIZE, prompts.SIZE, 3)
    apart = np.abs(source.frames - truth).max(-1)
    if category == "style":
        assert mask is None and (apart > 0.02).mean() > 0.3
        return
    assert 0.002 < mask.mean() < 1 and (apart[mask] > 0.02).mean() > 0.2
    assert (apart[~mask] <= 0.02).mean() > 0.99  # shadows and the noise of the camera aside


def test_no_edit_is_written_over_a_file_of_its_case(prompts: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """One was once, and all methods were given what had been through the autoencoder."""
    monkeypatch.setattr(prompts, "CATEGORIES", ("object",))
    (case,) = prompts.draw_cases(tmp_path, 1, 2)
    files = [Path(case[name]) for name in ("source", "truth", "mask")]
    assert len({*files}) == 3 and all(file.is_file() for file in files)
    for label in ("source", "truth", "mask", "codec", "without units"):
        assert prompts.edited_file(case, label) not in files


def test_the_table_has_means_and_spreads_by_category(prompts: Any) -> None:
    rows: list[dict[str, Any]] = [
        {"label": "tcve", "category": "style", "psnr_reference": value, "warp_error": 0.5, "seconds": 2.0, **more}
        for value, more in ((10.0, {"peak_rss_mb": 700.0, "training_seconds": 4.0}), (14.0, {"psnr_unedited": None}))
    ]
    (line,) = prompts.table([*rows, rows[0] | {"category": "object"}], ["tcve"]).splitlines()[2:]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:6] == ["tcve", "12.0 ± 2.8", "10.0", "–", "–", "11.3 ± 2.3"]
    assert cells[6:10] == ["–", "0.5000 ± 0.0000", "–", "–"]
    assert cells[10:] == ["2", "4", "700"]


def test_methods_are_compared_clip_by_clip(prompts: Any) -> None:
    rows = [
        {"label": label, "category": "style", "seed": seed, "psnr_reference": value}
        for label, values in {"a": (10.0, 12.0, None), "b": (9.0, 13.0, 20.0)}.items()
        for seed, value in enumerate(values)
    ]
    first, second = prompts.paired(rows, ["a", "b"]).splitlines()[2:]
    assert [cell.strip() for cell in first.strip("|").split("|")] == ["a", "", "0.0 ± 1.4, 1/2"]
    assert second.startswith("| b | 0.0 ± 1.4, 1/2 |")


def test_a_method_can_be_asked_for_with_settings(prompts: Any) -> None:
    assert prompts.asked_for("sdedit") == {"method": "sdedit", "label": "sdedit", "own": {}}
    own = {"variant": "sdedit", "batch": "2"}
    asked = prompts.asked_for("tokenflow:variant=sdedit+batch=2")
    assert asked == {"method": "tokenflow", "label": "tokenflow variant=sdedit+batch=2", "own": own}


@pytest.mark.parametrize("kind", ["recolour", "reshape", "remove", "tone"])
def test_a_first_frame_edit_changes_what_it_says(first_frame: Any, kind: str) -> None:
    task = next(task for task in (first_frame.make_task(seed, kind, 128) for seed in range(3, 30)) if task is not None)
    apart = np.abs(task.truth - task.source).max(-1)
    assert task.source.shape == task.truth.shape == (first_frame.FRAMES, 128, 128, 3)
    assert (apart[task.changed] > 0.06).all() and (apart[~task.changed] <= 0.06).all()
    assert (task.changed.mean() > 0.4) == (kind == "tone")


def test_first_frame_figures_know_the_truth_the_source_and_noise(first_frame: Any) -> None:
    task = first_frame.tasks(1, 3, 128)[0]
    rng = np.random.default_rng(0)
    noisy = task.truth + rng.normal(0, 0.05, task.truth.shape).astype(np.float32)
    worse = task.truth.copy()
    worse[-1] = noisy[-1]
    exact, rough, unedited, late = (first_frame.figures(clip, task) for clip in (task.truth, noisy, task.source, worse))
    assert exact["truth"] == exact["changed"] == exact["rest"] == np.inf
    assert exact["warp"] == exact["warp_truth"]
    for key in ("truth", "changed", "rest", "last"):
        assert rough[key] == pytest.approx(-20 * np.log10(0.05), abs=0.5)
    assert rough["warp"] > 5 * exact["warp"]
    assert unedited["rest"] > unedited["truth"] > unedited["changed"]
    assert late["last"] == pytest.approx(rough["last"], abs=0.1) and late["truth"] > rough["truth"] + 5
    capped = first_frame.summary([exact | {"scene": "a"}, rough | {"scene": "b"}])
    assert capped["truth"] == pytest.approx((60 + rough["truth"]) / 2, abs=1e-3) and "scene" not in capped


def test_a_patch_is_found_where_it_went(drag_clip: Any) -> None:
    """Along its way and the other way round, and for what it is likest to where it is gone."""
    rng = np.random.default_rng(1)
    ground = rng.integers(0, 90, (80, 120, 3), dtype=np.uint8)
    thing = rng.integers(120, 255, (16, 16, 3), dtype=np.uint8)

    def clip(step: int) -> np.ndarray:
        frames = np.repeat(ground[None], 6, 0)
        for index, frame in enumerate(frames):
            at = 52 + step * index
            frame[32:48, at : at + 16] = thing
        return frames

    for step in (4, 0, -4):
        places, score = drag_clip.matched(clip(step), (20, 20, 90, 40), np.array([60.0, 40.0]), 16)
        assert np.array_equal(places - places[0], np.arange(6)[:, None] * [step, 0])
        assert places[0].tolist() == [60, 40] and score > 0.99
    gone = clip(4)
    gone[-1] = ground
    assert drag_clip.matched(gone, (20, 20, 90, 40), np.array([60.0, 40.0]), 16)[1] < 0.5


def test_the_side_is_that_of_the_colour_even_blurred(drag_clip: Any) -> None:
    first = np.full((60, 120, 3), (20, 60, 200), np.uint8)
    ends = [first.copy() for _ in range(2)]
    for frame, x in zip((first, *ends), (60, 84, 36), strict=True):
        frame[22:38, x - 8 : x + 8] = (230, 200, 20)
    way = np.array([[60.0, 30.0], [72.0, 30.0], [84.0, 30.0]])
    there, other = (drag_clip.side(first, cv2.GaussianBlur(end, (0, 0), 6), way, 16) for end in ends)
    assert there > 100 and other == pytest.approx(-there, abs=1)
    gone = np.full((60, 120, 3), (20, 60, 200), np.uint8)
    assert drag_clip.side(first, gone, way, 16) == 0


def test_what_differs_beyond_a_region_is_told_of_every_plane(drag_clip: Any) -> None:
    inside = np.zeros((8, 8), bool)
    inside[2:5, 2:5] = True  # half of a sample of the colours lies in it
    source = [np.full((2, 8, 8), 9, np.uint8), np.full((2, 4, 4), 9, np.uint8)]
    made = [plane.copy() for plane in source]
    made[0][:, 2:5, 2:5] += 50
    made[1][:, 1:3, 1:3] += 50
    assert drag_clip.beyond(made, source, inside) == 0
    made[1][1, 3, 3] -= 7
    assert drag_clip.beyond(made, source, inside) == 7
    made[0][0, 7, 0] += 11
    assert drag_clip.beyond(made, source, inside) == 11


def test_a_drawn_clip_has_a_thing_where_its_track_begins(drag_clip: Any, tmp_path: Path) -> None:
    region, track = drag_clip.draw(tmp_path / "drawn.mp4", 3, 128)
    x, y, width, height = map(int, region.split(","))
    start = [int(value) for value in track.split()[0].split(",")]
    frames, planes = drag_clip.read(tmp_path / "drawn.mp4")
    assert frames.shape == (3, 128, 128, 3) and len(planes) == 3
    red, green, _ = frames[0, start[1], start[0]].astype(int)
    assert red > green + 80 and x < start[0] < x + width and y < start[1] < y + height


def test_a_border_step_is_seen_around_any_region(drag_motion: Any) -> None:
    inside = np.zeros((16, 16), bool)
    inside[4:9, 3:12] = inside[9:12, 3:6] = True
    clip = np.zeros((3, 16, 16, 3))
    assert drag_motion.border_step(clip, inside) == 0
    clip[1:, inside] = 0.2
    assert drag_motion.border_step(clip, inside) == pytest.approx(51)
    clip[1] = 0
    assert drag_motion.border_step(clip, inside) == pytest.approx(25.5)


@pytest.mark.parametrize("use", ["motion", "content", "follow", "both", "outline", "two"])
def test_a_scene_of_each_use_has_its_truth(drag_motion: Any, use: str) -> None:
    (task,) = drag_motion.make_tasks(1, 7_000_000, use)
    figures = drag_motion.of_result(task.truth, task)
    assert figures["end_share"] < 0.05 and figures["overlap"] >= drag_motion.TOLD
    assert not (task.mask & ~task.inside).any()
    assert (task.inside.sum() == np.prod(np.ptp(np.nonzero(task.inside), 1) + 1)) == (use != "outline")
    first = np.abs(task.truth[0] - task.source[0]).max(-1) > 0.1
    assert task.changed == (use in ("content", "follow", "both")) == bool(first.sum() > 20)
    if use == "follow":  # by the tracker, from the same start, and not as exactly as the truth
        assert np.array_equal(task.told[0], task.way[0]) and np.isfinite(task.told).all()
        assert 0 < np.linalg.norm(task.told - task.way, axis=1).mean() < 0.5 * task.length
    else:
        assert task.told is task.way
    if use in ("content", "follow"):  # the source's own thing goes the same way
        moved = np.abs(task.source[-1] - task.empty[-1]).max(-1) > 0.1
        assert np.linalg.norm(drag_motion.centre(moved) - drag_motion.centre(task.mask[-1])) < 3


def test_the_motion_of_the_source_is_found_in_a_region(first_frame: Any) -> None:
    """Of a picture that slides by two pixels a frame, what stays inside."""
    ground = cv2.GaussianBlur(np.random.default_rng(2).random((64, 96, 3)).astype(np.float32), (0, 0), 1.5)
    ground = (ground - ground.min()) / np.ptp(ground)
    clip = np.stack([ground[:, 2 * index : 2 * index + 64] for index in range(6)])
    inside = np.zeros((64, 64), bool)
    inside[16:48, 8:56] = True
    ways = first_frame.ways_in(clip, inside)
    assert ways.shape[0] == 6 and 3 <= ways.shape[1] <= first_frame.MOST
    assert np.abs(ways - ways[:1] - np.arange(6)[:, None, None] * [-2.0, 0.0]).max() < 0.4
    at = np.round(ways).astype(int)
    assert inside[at[..., 1], at[..., 0]].all()
