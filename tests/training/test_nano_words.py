"""The words in which nano does each of its edits best are found by what comes out."""

from __future__ import annotations

import numpy as np

from vedit.training.recipes.nano_words import best_words
from vedit.world import operations


def test_the_words_whose_edit_is_nearest_are_taken():
    frames = [np.random.default_rng(k).random((1, 32, 32, 3), dtype=np.float32) for k in range(2)]

    def edit(frame, text):
        share = {"weak": 0.2, "strong": 0.9, "too strong": 1.5}[text]
        return frame + share * (operations.apply("sepia", frame, seed=0) - frame)

    asked = {"sepia": ("weak", "strong", "too strong"), "nothing": ("strong", "weak")}
    assert best_words(edit, frames, asked) == {"sepia": "strong", "nothing": "weak"}
