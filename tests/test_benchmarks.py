"""The benchmarks whose scenes and tables the documentation rests on."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def prompts() -> Any:
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module("prompt_edit")
    finally:
        sys.path.remove(folder)


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
    assert cells[10:] == ["6", "4", "700"]
