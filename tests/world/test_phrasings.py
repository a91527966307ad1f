"""What people say: counts, no leak from the test phrasings into training, variety, captions."""

from __future__ import annotations

import re

import numpy as np
import pytest

from vedit.world import lexicon, phrasings
from vedit.world.operations import OPERATIONS

NAMES = [*OPERATIONS, *phrasings.OBJECT_EDITS]


def words(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9{}]+", text.lower().replace("'", "")))


def test_every_edit_has_words() -> None:
    assert set(phrasings.TRAIN) == set(phrasings.TEST) == set(NAMES)
    assert set(lexicon.LEXICON) == set(lexicon.PATTERNS) == set(OPERATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_counts(name: str) -> None:
    train, test = ({words(text) for text in texts[name]} for texts in (phrasings.TRAIN, phrasings.TEST))
    assert len(train) >= 12
    assert len(test) >= 4
    assert not train & test
    assert not any(phrasings.held_out(name, text) for text in phrasings.TRAIN[name])


def test_no_sentence_asks_for_two_different_edits() -> None:
    owner: dict[str, str] = {}
    for texts in (phrasings.TRAIN, phrasings.TEST):
        for name, sentences in texts.items():
            for sentence in sentences:
                assert owner.setdefault(words(sentence), name) == name


@pytest.mark.parametrize("name", NAMES)
def test_drawn_instructions_are_varied_and_never_held_out(name: str) -> None:
    rng = np.random.default_rng(0)
    kept = {words(phrasings.fill(text, thing="red ball", colour="blue", shape="star")) for text in phrasings.TEST[name]}
    drawn = [phrasings.draw_instruction(name, rng, thing="red ball", colour="blue", shape="star") for _ in range(600)]
    assert not kept & {words(text) for text in drawn}
    assert len({words(text) for text in drawn}) > (480 if name in OPERATIONS else 150)
    for text in drawn:
        assert text.strip() == text
        assert 0 < len(text) < 160
        assert not re.search(r"[\[\]{}|]|  ", text), text


def test_test_phrasings_are_not_drawn_under_another_name() -> None:
    rng = np.random.default_rng(1)
    kept = {words(text) for texts in phrasings.TEST.values() for text in texts}
    drawn = {words(phrasings.draw_instruction(name, rng)) for name in OPERATIONS for _ in range(200)}
    assert not kept & drawn


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_hand_written_phrasings_are_drawn_too(name: str) -> None:
    rng = np.random.default_rng(2)
    drawn = {words(phrasings.draw_instruction(name, rng)) for _ in range(1500)}
    assert len(drawn & {words(text) for text in phrasings.TRAIN[name]}) >= 6


def test_same_state_same_sentence() -> None:
    one, two = (phrasings.draw_instruction("snow", np.random.default_rng(7)) for _ in range(2))
    assert one == two


def test_both_spellings_and_cases_occur() -> None:
    rng = np.random.default_rng(3)
    drawn = " ".join(phrasings.draw_instruction(name, rng) for name in ("vivid", "watercolour") for _ in range(400))
    for expected in ("colour", "color", "watercolor ", "please", "Make ", "MAKE "):
        assert expected in drawn or expected.lower() in drawn


def test_slots_are_filled() -> None:
    rng = np.random.default_rng(4)
    for name in phrasings.OBJECT_EDITS:
        for _ in range(50):
            text = phrasings.draw_instruction(name, rng, thing="dog", colour="lavender", shape="house").lower()
            assert "dog" in text or "do" in text
    assert phrasings.fill("put a {shape} on the {object}", thing="box", shape="egg") == "put an egg on the box"


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_captions(name: str) -> None:
    rng = np.random.default_rng(5)
    alone = {phrasings.describe(name, rng) for _ in range(200)}
    shown = {phrasings.describe(name, rng, "a red ball over grass") for _ in range(200)}
    assert len(alone) > 15
    assert len(shown) > 15
    assert all("a red ball over grass" in text for text in shown)


def test_nonsense_lists_are_apart() -> None:
    tune, test = set(phrasings.NONSENSE_TUNE), set(phrasings.NONSENSE_TEST)
    assert len(tune) >= 25
    assert len(test) >= 25
    assert not tune & test


def test_unknown_names_are_refused() -> None:
    with pytest.raises(KeyError):
        phrasings.draw_instruction("glitter", np.random.default_rng(0))


def test_articles_agree() -> None:
    assert phrasings.fill("a {shape}", shape="oval") == "an oval"
    assert phrasings.fill("an {shape}", shape="ring") == "a ring"
    assert phrasings.fill("a {colour} one", colour="useful") == "a useful one"
