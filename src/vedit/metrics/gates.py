"""``--fail-under METRIC=VALUE`` and ``--fail-over METRIC=VALUE``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vedit.errors import UsageError
from vedit.metrics.registry import known


@dataclass(frozen=True)
class Gate:
    """A bound on a measure: the lowest that passes, or with ``over`` the highest."""

    metric: str
    bound: float
    over: bool

    @property
    def option(self) -> str:
        """As it was typed."""
        return f"--fail-{'over' if self.over else 'under'} {self.metric}={self.bound:g}"

    def passed(self, value: float) -> bool:
        """Whether ``value``, which may be infinite, keeps within the bound; no number does not."""
        if math.isnan(value):
            return False
        return value <= self.bound if self.over else value >= self.bound


def parse_gates(under: Sequence[str], over: Sequence[str]) -> tuple[Gate, ...]:
    """Raises ``UsageError`` for what is not METRIC=VALUE with a metric that exists and a number."""
    made = [_gate(text, "--fail-under", False) for text in under]
    return (*made, *(_gate(text, "--fail-over", True) for text in over))


def _gate(text: str, option: str, over: bool) -> Gate:
    name, equals, value = text.partition("=")
    name = name.strip().replace("-", "_").lower()
    if not equals or not name:
        raise UsageError(f"{option} {text}: expected METRIC=VALUE, as in {option} psnr=30")
    known(name, option)
    try:
        bound = float(value)
    except ValueError:
        bound = math.nan
    if math.isnan(bound):
        raise UsageError(f"{option} {text}: {value.strip()!r} is not a number")
    if math.isinf(bound) and (over or bound < 0):
        raise UsageError(f"{option} {text}: no figure could change the outcome; give a finite number")
    return Gate(name, bound, over)
