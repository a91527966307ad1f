"""Sentences that ask for something else: reproducible, varied, and never those kept for testing."""

from __future__ import annotations

import numpy as np
import pytest

from vedit.world import foreign, phrasings
from vedit.world.foreign import draw_foreign


def draws(seed: int, count: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [draw_foreign(rng) for _ in range(count)]


def test_the_same_state_gives_the_same_sentences() -> None:
    assert draws(3, 100) == draws(3, 100) != draws(4, 100)


def test_they_are_varied_and_filled_in() -> None:
    texts = draws(0, 3000)
    assert len(set(texts)) > 2000
    for text in texts:
        assert text == text.strip() != ""
        assert not set("{}|[]") & set(text)


def test_none_is_kept_for_testing_or_asks_for_an_edit_of_ours() -> None:
    texts = set(draws(1, 3000))
    assert texts & set(phrasings.NONSENSE_TUNE)
    assert not texts & set(phrasings.NONSENSE_TEST)
    for known in (phrasings.TRAIN, phrasings.TEST):
        assert not any(texts & set(sentences) for sentences in known.values())


def test_one_that_is_kept_for_testing_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "NONSENSE_TUNE", (*phrasings.NONSENSE_TEST, "knead the dough"))
    texts = set(draws(2, 1500))
    assert "knead the dough" in texts
    assert not texts & set(phrasings.NONSENSE_TEST)
