"""The longer requests: there are some for every edit, and no trace of their notation is left in an instruction."""

from __future__ import annotations

import re

import numpy as np
import pytest

from vedit.world import phrasings
from vedit.world.colloquial import COLLOQUIAL
from vedit.world.operations import OPERATIONS

NAMES = [*OPERATIONS, *phrasings.OBJECT_EDITS]
SLOTS = {"{it}", "{v}", "{p}"}
OBJECT_SLOTS = {
    "recolour": {"{it}", "{object}", "{colour}"},
    "remove": {"{it}", "{object}"},
    "replace": {"{it}", "{object}", "{shape}"},
}


def test_every_edit_has_some() -> None:
    assert set(COLLOQUIAL) == set(NAMES)
    for name, patterns in COLLOQUIAL.items():
        assert len(patterns) >= 4, name
        assert len(set(patterns)) == len(patterns), name


@pytest.mark.parametrize("name", NAMES)
def test_brackets_match_and_slots_are_known(name: str) -> None:
    rng = np.random.default_rng(0)
    for pattern in COLLOQUIAL[name]:
        depth = 0
        for sign in pattern:
            depth += (sign == "[") - (sign == "]")
            assert depth >= 0, pattern
        assert depth == 0, pattern
        for _ in range(10):
            chosen = phrasings._choose(pattern, rng)
            assert set(re.findall(r"\{.*?\}", chosen)) <= OBJECT_SLOTS.get(name, SLOTS), pattern
            # An alternative outside of brackets would leave its stroke.
            assert not re.search(r"[\[\]|/]", chosen), chosen


@pytest.mark.parametrize("name", NAMES)
def test_no_notation_is_left_in_an_instruction(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        text = phrasings.draw_instruction(name, rng, thing="red ball", colour="blue", shape="star")
        assert not re.search(r"[\[\]{}|]", text), text
    # Each of the longer requests in turn, with everything else that is done to a sentence.
    for pattern in COLLOQUIAL[name]:
        monkeypatch.setitem(phrasings.COLLOQUIAL, name, (pattern,))
        for _ in range(12):
            text = phrasings.draw_instruction(name, rng, thing="red ball", colour="blue", shape="star")
            assert not re.search(r"[\[\]{}|]", text), text
