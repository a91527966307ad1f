"""The real nano model at one step, on files with something to lose: only the picture changes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vedit import render
from vedit.jobs import EditJob

TESTS = Path(__file__).resolve().parents[1]
KINDS = [
    "variable frame rate, long last frame",
    "turned by 90°",
    "4:2:2, 10 bit, Matroska",
    "SRT in Matroska",
    "transparent WebM",
]


@pytest.fixture
def contract(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The table of the video tests, which draws the files and looks at them."""
    monkeypatch.syspath_prepend(str(TESTS))
    return importlib.import_module("video.contract")


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_picture_changes(tmp_path: Path, contract: Any, kind: str) -> None:
    (case,) = [case for case in contract.CASES if case.name == kind]
    source = case.make(tmp_path)
    target = tmp_path / f"edited{Path(case.target).suffix}"
    job = EditJob.build(
        input=str(source), output=str(target), prompt="turn it black and white", settings={"steps": 1}, size=64
    )
    done = render.run(render.plan(job))
    before, after = contract.facts(source, None), contract.facts(target, None)
    assert after.columns == before.columns
    assert after.packets == before.packets
    assert [w for w in done.warnings if "drift" not in w] == []
    colour = [np.abs(np.diff(np.stack(f.frames).astype(float), axis=-1)).mean() for f in (before, after)]
    assert colour[1] < 0.6 * colour[0]
