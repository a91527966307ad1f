"""Whether the colours of a result wander over the clip: what people see as a tint that grows window by window."""

from __future__ import annotations

import numpy as np


class ColorDrift:
    """Sums only: memory does not grow with the clip.

    A frame's mean colour after the edit is explained by its mean before it and by time, result = a · source + b +
    c · time, by least squares in each channel over all edited frames; ``c`` over the whole length is the drift. What
    the source itself does (a pan, a dusk) is in the first term and does not count. Where a mask or a region limits the
    edit, the means are of what lies in it.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._squares = np.zeros((3, 3, 3))  # channel, then the normal equations over (source, 1, time)
        self._crosses = np.zeros((3, 3))
        self._first: float | None = None
        self._last = 0.0

    def add(
        self, source: np.ndarray, result: np.ndarray, time: float, weights: tuple[np.ndarray, np.ndarray] | None = None
    ) -> None:
        """A frame before and after, both (h, w, 3) of any sizes in [0, 1]; ``time`` in seconds. ``weights``, each
        (h, w) as its picture: how much of the edit is seen where. A frame in which hardly any is does not count."""
        if weights is not None and not all(part.any() for part in weights):
            return
        before, after = (
            _mean(image, None if weights is None else weights[k]) for k, image in enumerate((source, result))
        )
        self._first = time if self._first is None else self._first
        self._last = time
        for channel in range(3):
            row = np.array([before[channel], 1.0, time - self._first])
            self._squares[channel] += np.outer(row, row)
            self._crosses[channel] += row * after[channel]
        self.frames += 1

    def grey_levels(self) -> list[float] | None:
        """Drift of red, green and blue from the first edited frame to the last, of 255; None for too few frames."""
        if self.frames < 4 or self._first is None or self._last <= self._first:
            return None
        length = self._last - self._first
        scale = np.array([1.0, 1.0, 1.0 / length])
        found = []
        for squares, crosses in zip(self._squares, self._crosses, strict=True):
            # In units of the whole length; a little ridge for a source that stands still or fades evenly.
            matrix = squares * np.outer(scale, scale) + 1e-9 * self.frames * np.eye(3)
            found.append(255 * float(np.linalg.solve(matrix, crosses * scale)[2]))
        return found


def _mean(image: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """(3,): mean colour of (h, w, 3), as ``weights`` (h, w) count."""
    pixels = image.reshape(-1, 3)
    if weights is None:
        return pixels.mean(0, dtype=np.float64)
    share = weights.reshape(-1).astype(np.float64)
    return share @ pixels / share.sum()
