"""What a measure is while the videos pass by: something that takes moments and gives figures at the end."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np

from vedit.metrics.pictures import Picture, Step


@dataclass(frozen=True, eq=False)
class Moment:
    """One instant of source and edit. ``index`` counts from 0, ``time`` is in seconds from the first frame.

    The steps lead here from the frame before and are None at the first. ``mask`` is (H, W) bool, true where the edit
    was wanted. For the source's own figures ``edited`` is the source.
    """

    index: int
    time: Fraction
    source: Picture
    edited: Picture
    source_step: Step | None = None
    edited_step: Step | None = None
    mask: np.ndarray | None = None
    reference: Picture | None = None


class Accumulator(Protocol):
    """One or a few measures of one edit. Holds sums, never frames but the last."""

    def update(self, moment: Moment) -> dict[str, float]:
        """Take the next moment; returns what is known of it alone, by the name of the measure."""
        ...

    def result(self) -> dict[str, float]:
        """The figures, by the name of the measure. Infinite for the PSNR of equal pictures; NaN where none is
        defined."""
        ...


class Mean:
    """A running mean."""

    def __init__(self) -> None:
        self.total, self.weight = 0.0, 0.0

    def add(self, value: float, weight: float = 1.0) -> None:
        """Take ``value``, counted ``weight`` times."""
        self.total += value * weight
        self.weight += weight

    @property
    def value(self) -> float:
        """NaN if there was nothing."""
        return self.total / self.weight if self.weight else float("nan")
