"""What nano's image-to-video model and its control do: a thing goes where its track leads, an edited frame spreads.

Scenes and measures are those of the benchmarks, which are tested here on clips of which the answer is known.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vedit import engines, weights

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def benchmark(name: str) -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def drag() -> Any:
    return benchmark("drag_motion")


@pytest.fixture(scope="module")
def tasks(drag: Any) -> list[Any]:
    found = [drag.make_task(seed) for seed in range(7_000_000, 7_000_016)]
    return [task for task in found if task is not None][:3]


@pytest.fixture(scope="module")
def bundle() -> Any:
    return weights.open_bundle("nano", "image2video", verify=True)


def test_the_measures_know_the_truth_from_a_thing_that_stays(drag: Any, tasks: list[Any]) -> None:
    assert len(tasks) == 3
    for task in tasks:
        truth = drag.of_result(task.truth, task)
        assert truth["end_share"] < 0.05 and truth["error_share"] < 0.05
        assert truth["overlap"] >= drag.TOLD and truth["seam"] == 0
        still = np.repeat(task.truth[:1], len(task.truth), 0)
        stays = drag.of_result(still, task)
        assert 0.9 < stays["end_share"] <= 1.1 or np.linalg.norm(task.way[-1] - task.way[0]) < 0.9 * task.length
        assert stays["overlap"] < truth["overlap"] and stays["inside"] < 40
        gone = drag.of_result(task.empty, task)
        assert gone["overlap"] == 0


def test_a_perfect_model_is_brought_to_size_without_a_seam(drag: Any, tasks: list[Any]) -> None:
    task = tasks[0]
    made = drag.finished(task, drag.sized(task.truth, 64), drag.sized(task.source, 64))
    assert np.array_equal(made.result[:, ~task.inside], task.source[:, ~task.inside])
    figures = drag.of_result(made.result, task)
    assert figures["overlap"] > 0.5 and figures["end_share"] < 0.1 and abs(figures["seam"]) < 3


def test_a_thing_goes_where_its_track_leads(drag: Any, tasks: list[Any], bundle: Any) -> None:
    engine = engines.load("revideo", bundle, {}, seed=0, device="cpu", dtype="auto")
    side = int(bundle.preset["crop"])
    rows = [drag.measure(engine, task, tasks[k - 1], side)[0] for k, task in enumerate(tasks)]
    assert np.mean([row["end_share"] for row in rows]) <= 0.35
    assert np.mean([row["shuffled_share"] for row in rows]) >= 0.6
    assert np.mean([row["opposite"] for row in rows]) > 0.6
    assert np.mean([row["overlap"] for row in rows]) > 0.4


def test_an_edited_first_frame_spreads_over_a_clip_that_moves(bundle: Any) -> None:
    """Nearer to the true edit than the clip as it was and than the edited frame throughout; in what changes, which is
    little and small, than the clip as it was."""
    first_frame = benchmark("first_frame")
    engine = engines.load("anyv2v", bundle, {}, seed=0, device="cpu")
    rows: dict[str, list[Any]] = {"made": [], "source": [], "repeat": []}
    for task in first_frame.tasks(4, 8_000_000, 128):
        result = first_frame.edited(engine, task, 64)
        still = np.repeat(task.truth[:1], len(task.truth), 0)
        for name, video in (("made", result), ("source", task.source), ("repeat", still)):
            rows[name].append(first_frame.figures(video, task))
    mean = {name: {key: np.mean([row[key] for row in found]) for key in found[0]} for name, found in rows.items()}
    assert mean["made"]["changed"] > mean["source"]["changed"] + 1
    for other in ("source", "repeat"):
        assert mean["made"]["truth"] > mean[other]["truth"] + 1
