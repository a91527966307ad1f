from __future__ import annotations

from fractions import Fraction

import pytest

from vedit.errors import UsageError
from vedit.video.timecode import TimePoint, parse_range, parse_time


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("0", TimePoint(frame=0)),
        ("75", TimePoint(frame=75)),
        ("2.5", TimePoint(seconds=Fraction(5, 2))),
        ("2.5s", TimePoint(seconds=Fraction(5, 2))),
        ("2s", TimePoint(seconds=Fraction(2))),
        (".1", TimePoint(seconds=Fraction(1, 10))),
        ("3.", TimePoint(seconds=Fraction(3))),
        ("00:00:02.500", TimePoint(seconds=Fraction(5, 2))),
        ("01:02:03", TimePoint(seconds=Fraction(3723))),
        ("1:30", TimePoint(seconds=Fraction(90))),
        ("100:00:00.001", TimePoint(seconds=Fraction(360000001, 1000))),
    ],
)
def test_times(text: str, point: TimePoint) -> None:
    assert parse_time(text) == point


@pytest.mark.parametrize(
    "text", ["", "-1", "1e3", "2,5", "s", ".", "00:61:00", "00:00:60", "1:2:3:4", "nan", "10m", "٣x"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="--start"):
        parse_time(text, "--start")


def test_seconds_are_exact() -> None:
    # 0.1 s at 30 fps is exactly frame 3; in binary floating point it is not.
    point = parse_time("0.1")
    assert point.reached(3, Fraction(3, 30))
    assert not point.reached(2, Fraction(2999999, 30000000))


def test_range_is_half_open() -> None:
    chosen = parse_range("2", "0.5s")
    times = [Fraction(k, 10) for k in range(10)]
    assert [k for k, t in enumerate(times) if chosen.contains(k, t)] == [2, 3, 4]
    assert [chosen.finished(k, t) for k, t in enumerate(times)].index(True) == 5
    assert all(parse_range(None, None).contains(k, t) for k, t in enumerate(times))


@pytest.mark.parametrize(
    ("start", "end"), [("5", "5"), ("6", "5"), ("2.5s", "00:00:02.500"), (None, "0"), (None, "0s")]
)
def test_empty_ranges_are_usage_errors(start: str | None, end: str | None) -> None:
    with pytest.raises(UsageError, match=r"--(start|end)"):
        parse_range(start, end)


def test_range_is_checked_against_the_clip() -> None:
    clip = {"rate": Fraction(10), "frames": 30, "duration": Fraction(3)}
    parse_range("29", None).check(**clip)
    for start, end in (("30", None), ("3.0", None), ("20", "1.5s")):
        with pytest.raises(UsageError, match="--start"):
            parse_range(start, end).check(**clip)
