"""Measures over time: warp error with the source's flow, and InstructVid2Vid's three temporal ones."""

from __future__ import annotations

import cv2
import numpy as np

from vedit.metrics.accumulate import Mean, Moment
from vedit.metrics.pictures import ABSENT, grid

BLOCK, SEARCH = 16, 7  # pixels


def warp_difference(before: np.ndarray, after: np.ndarray, back: np.ndarray) -> np.ndarray:
    """(h, w): squared difference, mean over channels, between ``after`` and ``before`` warped to it.

    Pictures (h, w, 3) float32; ``back`` (h, w, 2) leads from each pixel of ``after`` to where it was in ``before``.
    """
    warped = cv2.remap(before, grid(*back.shape[:2]) + back, ABSENT, cv2.INTER_LINEAR)
    return ((after - warped) ** 2).mean(-1)


class WarpError:
    """Mean squared difference to the frame before, warped by the source's flow, where that can be trusted."""

    def __init__(self) -> None:
        self._mean = Mean()

    def update(self, moment: Moment) -> dict[str, float]:
        """The step's own error, if any pixel of it can be trusted."""
        if moment.source_step is None or moment.edited_step is None:
            return {}
        step, trusted = moment.edited_step, moment.source_step.trusted
        count = int(trusted.sum())
        if not count:
            return {}
        error = warp_difference(step.before.small, step.after.small, moment.source_step.back)
        value = float(error[trusted].mean(dtype=np.float64))
        self._mean.add(value, count)
        return {"warp_error": value}

    def result(self) -> dict[str, float]:
        """Over all trusted pixels; NaN if there are none."""
        return {"warp_error": self._mean.value}


class Temporal:
    """InstructVid2Vid names three measures, frame differencing, optical flow and block matching, and no formula: these
    are ours. A lower figure alone rewards a frozen video, hence the source's own beside each."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._of = {
            name: measure
            for name, measure in {
                "frame_difference": lambda step: float(np.abs(step.after.small - step.before.small).mean() * 255),
                "optical_flow": lambda step: float(np.linalg.norm(step.back, axis=-1).mean()),
                "block_matching": lambda step: block_residual(step.before.grey, step.after.grey),
            }.items()
            if name in wanted
        }
        self._means = {name: Mean() for name in self._of}

    def update(self, moment: Moment) -> dict[str, float]:
        """The step's own figures."""
        if moment.edited_step is None:
            return {}
        values = {name: measure(moment.edited_step) for name, measure in self._of.items()}
        for name, value in values.items():
            self._means[name].add(value)
        return values

    def result(self) -> dict[str, float]:
        """Means over all steps."""
        return {name: mean.value for name, mean in self._means.items()}


def block_residual(before: np.ndarray, after: np.ndarray) -> float:
    """Mean absolute residual in grey levels after the best match of every block of ``after`` in ``before``.

    Both (h, w) uint8. Blocks of 16×16 from the top left, whole ones only; full search within ±7 pixels, inside the
    picture.
    """
    height, width = (side // BLOCK * BLOCK for side in after.shape)
    rows, columns = height // BLOCK, width // BLOCK
    here = after[:height, :width]
    padded = cv2.copyMakeBorder(before, SEARCH, SEARCH, SEARCH, SEARCH, cv2.BORDER_REPLICATE)
    top, left = np.arange(rows)[:, None] * BLOCK, np.arange(columns)[None] * BLOCK
    best = np.full((rows, columns), np.inf, np.float32)
    for dy in range(-SEARCH, SEARCH + 1):
        for dx in range(-SEARCH, SEARCH + 1):
            there = padded[SEARCH + dy : SEARCH + dy + height, SEARCH + dx : SEARCH + dx + width]
            difference = cv2.absdiff(here, there).astype(np.float32)
            cost = cv2.resize(difference, (columns, rows), interpolation=cv2.INTER_AREA)
            inside = (top + dy >= 0) & (top + dy + BLOCK <= before.shape[0])
            inside = inside & (left + dx >= 0) & (left + dx + BLOCK <= before.shape[1])
            np.minimum(best, np.where(inside, cost, np.inf), out=best)
    return float(best.mean(dtype=np.float64))
