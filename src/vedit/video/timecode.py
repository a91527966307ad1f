"""Points in time as people write them: ``--start`` and ``--end``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from vedit.errors import UsageError

_FRAME = re.compile(r"\d+")
_SECONDS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)s|(\d+\.\d*|\.\d+)")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d*)?)")


@dataclass(frozen=True)
class TimePoint:
    """A frame index (``frame`` set) or a time in seconds from the first frame (``seconds`` set); exactly one is set."""

    frame: int | None = None
    seconds: Fraction | None = None

    def reached(self, index: int, time: Fraction) -> bool:
        """Whether the frame ``index`` shown at ``time`` seconds from the first frame is at or after this point."""
        if self.frame is not None:
            return index >= self.frame
        assert self.seconds is not None
        return time >= self.seconds

    def __str__(self) -> str:
        return f"frame {self.frame}" if self.frame is not None else f"{float(self.seconds or 0):g} s"


def parse_time(text: str, option: str = "time") -> TimePoint:
    """``"75"`` is a frame, ``"2.5"`` and ``"2.5s"`` seconds, ``"00:00:02.500"`` a timecode; :class:`UsageError`
    otherwise."""
    text = text.strip()
    if _FRAME.fullmatch(text):
        return TimePoint(frame=int(text))
    if match := _SECONDS.fullmatch(text):
        return TimePoint(seconds=_fraction(match[1] or match[2]))
    if match := _CLOCK.fullmatch(text):
        hours, minutes, seconds = int(match[1] or 0), int(match[2]), _fraction(match[3])
        if minutes < 60 and seconds < 60:
            return TimePoint(seconds=hours * 3600 + minutes * 60 + seconds)
    raise UsageError(
        f"{option}: {text!r} is not a time; give a frame (75), seconds (2.5s or 2.5) or a timecode (00:00:02.500)"
    )


def _fraction(digits: str) -> Fraction:
    # "2." and ".5" are decimals to people, not to Fraction.
    whole, _, part = digits.partition(".")
    return Fraction(f"{whole or '0'}.{part or '0'}")


@dataclass(frozen=True)
class TimeRange:
    """The half-open range ``[start, end)``; ``None`` leaves that side open."""

    start: TimePoint | None = None
    end: TimePoint | None = None

    def contains(self, index: int, time: Fraction) -> bool:
        """Whether the frame ``index`` shown at ``time`` seconds from the first frame lies inside."""
        if self.start is not None and not self.start.reached(index, time):
            return False
        return self.end is None or not self.end.reached(index, time)

    def finished(self, index: int, time: Fraction) -> bool:
        """Whether this frame, and with it every later one, lies after the end."""
        return self.end is not None and self.end.reached(index, time)

    def check(self, rate: Fraction | None, frames: int | None, duration: Fraction | None) -> None:
        """:class:`UsageError` if nothing can lie inside, as far as the clip's rate (1/s), frames and duration (s)
        tell."""
        if self.start is None:
            return
        start, end = _seconds(self.start, rate), self.end and _seconds(self.end, rate)
        if start is not None and end is not None and start >= end:
            raise UsageError(f"--start ({self.start}) is not before --end ({self.end}); the range is [start, end)")
        if self.start.frame is not None and frames is not None and self.start.frame >= frames:
            raise UsageError(
                f"--start ({self.start}) is after the clip's last frame ({frames - 1}); choose an earlier start"
            )
        if self.start.seconds is not None and duration is not None and self.start.seconds >= duration:
            raise UsageError(
                f"--start ({self.start}) is after the clip's end ({float(duration):g} s); choose an earlier start"
            )


def _seconds(point: TimePoint, rate: Fraction | None) -> Fraction | None:
    if point.seconds is not None:
        return point.seconds
    return Fraction(point.frame or 0) / rate if rate else None


def parse_range(start: str | None, end: str | None) -> TimeRange:
    """``[start, end)`` from ``--start`` and ``--end``; :class:`UsageError` for no time, or a start that is not before
    the end."""
    first = None if start is None else parse_time(start, "--start")
    last = None if end is None else parse_time(end, "--end")
    if first and last:
        same_kind = (first.frame is None) == (last.frame is None)
        if same_kind and (first.frame or 0, first.seconds or 0) >= (last.frame or 0, last.seconds or 0):
            raise UsageError(f"--start ({first}) is not before --end ({last}); the range is [start, end)")
    if last and not last.frame and not last.seconds:
        raise UsageError("--end: the range [start, 0) is empty; give an end after the first frame")
    return TimeRange(first, last)
