"""What goes in comes out: every row of the table, and that the page with it is true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from . import contract

PAGE = Path(__file__).resolve().parents[2] / "docs" / "contract.md"


def test_no_kind_is_there_twice() -> None:
    names = [(case.name, case.target) for case in contract.CASES]
    assert len(set(names)) == len(names) >= 20
    assert PAGE.read_text(encoding="utf-8").count("\n| ") - 1 == len(names)


def test_what_a_cut_file_tells_is_on_the_page() -> None:
    assert PAGE.read_text(encoding="utf-8").endswith(contract.TAIL)


@pytest.mark.parametrize("case", contract.CASES, ids=lambda case: case.name)
def test_a_row(tmp_path: Path, case: contract.Case) -> None:
    row = contract.run(case, tmp_path)
    assert row.changed == set(case.changes), {
        name: (row.source.columns[name], row.result.columns[name]) for name in row.changed
    }
    assert len(row.warnings) == len(case.said), row.warnings
    assert all(word in warning for word, warning in zip(case.said, row.warnings, strict=True)), row.warnings
    if "streams" not in case.changes:
        assert row.result.packets == row.source.packets
    for before, after in zip(row.source.frames, row.result.frames, strict=True):
        assert before.shape == after.shape
        assert np.abs(before.astype(int) - after).mean() < 8  # a lossy encoder, and a dithered GIF
    assert row.markdown() in PAGE.read_text(encoding="utf-8").splitlines(), (
        f"docs/contract.md is not up to date (python scripts/contract.py):\n{row.markdown()}"
    )
