"""Finds the frames at which a new shot starts, one frame at a time and without looking ahead.

Two things are compared with the last frame that showed anything: the arrangement of light and dark, wherever a pan
moved it and however bright a flash or a fade made it (normalised correlation over shifts), and the colours (a
histogram of hue and saturation). A cut changes the picture at once and by far more than the frames before it changed
among themselves.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

WIDTH, HEIGHT = 64, 36  # of the thumbnail that is compared
_MARGIN_X, _MARGIN_Y = 14, 8  # how far a pan may move it between two frames and still be recognised
_FLAT = 0.012  # standard deviation of luma below which a picture shows nothing (a slate, a flash, black)


class ShotDetector:
    """``push`` one frame after another; ``threshold`` in (0, 1): higher finds fewer cuts. Deterministic, keeps
    thumbnails only."""

    def __init__(self, threshold: float = 0.2, memory: int = 12) -> None:
        self.threshold = threshold
        self.score = 0.0
        self._recent: deque[float] = deque(maxlen=memory)
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def push(self, rgb_small: np.ndarray) -> bool:
        """(H, W, 3) uint8 RGB of any size; True if a new shot starts with this frame. The first frame is no cut."""
        luma, colors = _describe(rgb_small)
        self.score = 0.0
        if float(luma.std()) < _FLAT:
            # White of a flash, black between two scenes: judged by what comes after it.
            return False
        if self._last is None:
            self._last = (luma, colors)
            return False
        moved = 1.0 - _correlation(self._last[0], luma)
        recolored = 0.5 * float(np.abs(self._last[1] - colors).sum())
        self.score = 0.75 * moved + 0.25 * recolored
        self._last = (luma, colors)
        usual = float(np.mean(self._recent)) if self._recent else 0.0
        # Restless footage (a hand-held run, water) must be exceeded by far; calm footage only the fixed threshold.
        if self.score > self.threshold + min(usual, 0.4):
            self._recent.clear()
            return True
        self._recent.append(self.score)
        return False


def _describe(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    small = cv2.resize(rgb, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    luma = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0, (3, 3), 0)
    hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
    # Hue counts as much as it is saturated; what is grey falls into bins of its own.
    histogram = cv2.calcHist([hsv], [0, 1], None, [12, 4], [0, 180, 0, 256])
    histogram[:, 0] = histogram[:, 0].sum() / histogram.shape[0]
    histogram = cv2.GaussianBlur(histogram, (3, 3), 0, borderType=cv2.BORDER_REPLICATE)
    return luma, histogram / max(float(histogram.sum()), 1e-6)


def _correlation(before: np.ndarray, now: np.ndarray) -> float:
    """Best normalised correlation of the middle of one thumbnail anywhere in the other, both ways; at most 1."""
    best = 0.0
    for whole, part in ((before, now), (now, before)):
        middle = part[_MARGIN_Y : HEIGHT - _MARGIN_Y, _MARGIN_X : WIDTH - _MARGIN_X]
        if float(middle.std()) < _FLAT / 3:
            middle = part[2 : HEIGHT - 2, 2 : WIDTH - 2]
        best = max(best, float(cv2.matchTemplate(whole, np.ascontiguousarray(middle), cv2.TM_CCOEFF_NORMED).max()))
    return min(best, 1.0)
