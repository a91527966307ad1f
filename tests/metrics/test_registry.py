"""Which measures are chosen, and gates."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from vedit.errors import UsageError
from vedit.metrics.gates import Gate, parse_gates
from vedit.metrics.registry import GROUPS, MEASURES, choose

README = Path(__file__).resolve().parents[2] / "README.md"
BARE = frozenset({"clip"})


def names(measures) -> list[str]:
    return [measure.name for measure in measures]


def test_by_default_all_that_what_is_given_allows():
    assert "psnr" in names(choose(None, BARE))
    assert not {"psnr_unedited", "textual_alignment", "pickscore"} & set(names(choose(None, BARE)))
    assert {"psnr_unedited", "textual_alignment"} <= set(names(choose(None, BARE | {"mask", "prompt"})))


def test_names_and_groups_and_what_gates_ask_for():
    assert names(choose("ssim, psnr", BARE)) == ["psnr", "ssim"]
    assert names(choose("warp-error", BARE)) == names(choose("Warp_Error", BARE)) == ["warp_error"]
    assert names(choose("temporal", BARE)) == list(GROUPS["temporal"])
    assert names(choose("clip", BARE)) == ["frame_consistency_all", "frame_consistency_adjacent"]
    assert names(choose("psnr", BARE, ["warp_error"])) == ["psnr", "warp_error"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("psnt", "did you mean psnr"),
        ("psnr,nonsense-zzz", "no such metric"),
        (" , ", "names none"),
        ("psnr_unedited", "--mask"),
        ("reference", "--reference"),
        ("frame_accuracy", "--prompt and --source-prompt"),
    ],
)
def test_what_cannot_be_measured(wanted, said):
    with pytest.raises(UsageError, match=said):
        choose(wanted, BARE)


def test_gates():
    under, over = parse_gates(["psnr=30"], ["warp-error=0.01"])
    assert (under, over) == (Gate("psnr", 30, False), Gate("warp_error", 0.01, True))
    assert under.passed(30) and not under.passed(29.9) and under.passed(math.inf) and not under.passed(math.nan)
    assert over.passed(0.01) and not over.passed(0.011) and not over.passed(math.nan)


@pytest.mark.parametrize("text", ["psnr", "psnr=", "psnr=high", "psnr=nan", "=3", "psnt=3", "psnr=-inf"])
def test_what_is_no_gate(text):
    with pytest.raises(UsageError, match="--fail-under"):
        parse_gates([text], [])


def test_the_readme_names_every_measure():
    text = README.read_text(encoding="utf-8")
    assert [name for name in MEASURES if f"`{name}`" not in text] == []
