"""Tracks: where points of a picture should be, as people write them (numpy only).

On the command line a track is ``"x,y x,y ..."``, each point with a time if wanted: ``10,20@48`` is frame 48,
``10,20@1.5s`` seconds. Files are JSON, ``{"tracks": [{"points": [[x, y], …], "times": […]}]}``, CSV with the header
``track,time,x,y``, or SVG, whose paths are tracks (:mod:`vedit.video.svg`). x and y are pixels of the displayed
picture. In files a time is a number of seconds from the first frame, or text as for ``--start``: ``"48"`` is a frame,
``"1.5s"`` seconds; in CSV, where a number is not told from text, ``48f`` is a frame and an empty field no time. Without
times the points spread evenly over the frames asked for (in time, where the frame rate varies). Between two times a
point moves in a straight line.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vedit.errors import InputError, UsageError
from vedit.video.places import TwiceError, lines_of
from vedit.video.timecode import parse_time

MOST_TIME = 1e9  # frames or seconds
_PARTS = ("points", "times")  # of a track in JSON
_FAR = 1e300  # further than any number of pixels that floats hold
_FRAME = re.compile(r"(\d+)f")
_POINT = re.compile(r"([^,@]+),([^,@]+)(?:@(.+))?")


@dataclass(frozen=True, eq=False)
class Track:
    """Where a point should be: ``points`` (K, 2) float64 at ``knots`` (K,), frames if ``frames`` else seconds."""

    name: str
    knots: np.ndarray
    points: np.ndarray
    frames: bool

    def at(self, index: int, time: Fraction | float) -> np.ndarray | None:
        """(2,): where the point should be at frame ``index``, shown at ``time`` seconds; None before and after the
        track."""
        now = float(index) if self.frames else float(time)
        slack = 1e-6
        if not self.knots[0] - slack <= now <= self.knots[-1] + slack:
            return None
        return self.held(index, time)

    def held(self, index: int, time: Fraction | float) -> np.ndarray:
        """The same, but before the track its first point and after it its last one."""
        return self.placed(float(index) if self.frames else float(time))

    def placed(self, now: float) -> np.ndarray:
        """The same, at a frame or second, whichever the track counts."""
        return np.array([np.interp(now, self.knots, self.points[:, axis]) for axis in (0, 1)])

    @property
    def length(self) -> float:
        """Of the way, in pixels."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())


@dataclass(frozen=True)
class Extent:
    """What tracks are for: a picture of ``width``×``height`` displayed pixels, and ``frames`` frames from the absolute
    index ``first`` on, over which tracks without times spread. ``seconds``: when the first and the last of them are
    shown, where frames do not follow each other evenly."""

    width: int
    height: int
    frames: int
    first: int = 0
    seconds: tuple[float, float] | None = None


def parse_track(text: str, extent: Extent, option: str = "--track") -> Track:
    """``"10,20 30,40"`` or ``"10,20@0 30,40@1.5s"`` as a track. Raises ``UsageError`` that names the option."""
    where = f"{option} {text!r}"
    points: list[Any] = []
    times: list[Any] = []
    for word in text.split():
        x, y, time = _point(word, where)
        points.append([x, y])
        times.append(time)
    given = [time for time in times if time is not None]
    if given and len(given) < len(times):
        raise UsageError(f"{where}: {len(given)} of its {len(times)} points have times; give all of them one, or none")
    try:
        return _track(where, points, given or None, extent)
    except InputError as error:
        raise UsageError(str(error)) from None


def parse_point(text: str, extent: Extent, option: str = "--follow") -> np.ndarray:
    """(2,): one point of the picture, ``"x,y"``. Raises ``UsageError``."""
    where = f"{option} {text!r}"
    x, y, time = _point(text.strip(), where)
    if time is not None:
        raise UsageError(f"{where}: takes a point of the first edited frame, without a time; give x,y")
    if not _within(x, y, extent):
        raise UsageError(_outside(where, x, y, extent))
    return np.array([x, y])


def read_tracks(path: str | Path, width: int, height: int, frames: int) -> list[Track]:
    """The tracks of a file, for a clip of that displayed size and number of frames.

    Raises ``InputError`` that names the track or line, for what cannot be read or lies outside of the picture.
    """
    tracks, _ = read_motion(path, Extent(width, height, frames))
    if not tracks:
        raise InputError(f"{path}: holds no track; give at least one")
    return tracks


@dataclass(frozen=True)
class Entry:
    """A region as it stands in a JSON file, and in which line."""

    value: Any
    line: int


def read_motion(path: str | Path, extent: Extent) -> tuple[list[Track], list[Entry]]:
    """The tracks of a file, and the ``regions`` of a JSON one as they stand there. Raises ``InputError``."""
    from vedit.video.svg import paths

    name = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{name}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read ({error}); tracks are JSON, CSV or SVG text") from None
    regions: list[Entry] = []
    kind = Path(path).suffix.lower()
    if kind == ".csv":
        found = _from_csv(name, text)
    elif kind == ".svg":
        found = [_Raw(key, list(points), None) for key, points in paths(name, text, extent.width, extent.height)]
    else:
        found, regions = _from_json(name, text)
    tracks = [
        _track(
            f"{name}{raw.key}", raw.points, raw.times, extent,
            raw.places(name, raw.lines), raw.places(name, raw.time_lines),
        )
        for raw in found
    ]  # fmt: skip
    return tracks, regions


@dataclass(frozen=True)
class _Raw:
    """A track as it stands in a file. ``key``: the line, if known, and what to call it; ``lines``: of each point;
    ``time_lines``: of each time, if they stand elsewhere."""

    key: str
    points: list[Any]
    times: list[Any] | None
    lines: list[int] | None = None
    time_lines: list[int] | None = None

    def places(self, file: str, lines: list[int] | None) -> list[str] | None:
        """What to call each of its points, or times, of which ``lines`` tells where they stand."""
        called = self.key.partition(": ")[2]
        return None if lines is None else [f"{file}:{line}: {called}" for line in lines]


def _from_json(name: str, text: str) -> tuple[list[_Raw], list[Entry]]:
    shape = 'tracks are {"tracks": [{"points": [[x, y], ...]}]}'
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{name}:{error.lineno}: not JSON ({error.msg}, column {error.colno}); {shape}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not JSON ({error}); {shape}") from None
    try:
        lines = lines_of(text)
    except TwiceError as error:
        raise InputError(f"{name}:{error.line}: {error.key!r} stands there twice; which of them counts?") from None
    if not isinstance(content, dict) or not {"tracks", "regions"} & content.keys():
        raise InputError(f"{name}:1: has no list of tracks; {shape}")
    _only(name, content, ("tracks", "regions"), lines, ())
    tracks, regions = content.get("tracks", []), content.get("regions", [])
    if not isinstance(tracks, list) or not all(isinstance(track, dict) for track in tracks):
        raise InputError(f"{name}:{lines['tracks',]}: its tracks are no list of objects; {shape}")
    if not isinstance(regions, list):
        line = lines[("regions",)]
        raise InputError(f"{name}:{line}: its regions are no list; each is [x, y, width, height] or the name of a mask")
    found: list[_Raw] = []
    for number, track in enumerate(tracks):
        points, times = track.get("points"), track.get("times")
        begins = lines[("tracks", number)]
        _only(name, track, _PARTS, lines, ("tracks", number))
        key = f":{lines.get(('tracks', number, 'points'), begins)}: track {number}"
        if not isinstance(points, list) or not (times is None or isinstance(times, list)):
            raise InputError(f"{name}{key}: needs points, a list of [x, y], and times, if any, as a list")
        for place, point in enumerate(points):
            if not (isinstance(point, list) and len(point) == 2 and all(_is_number(value) for value in point)):
                line = lines[("tracks", number, "points", place)]
                raise InputError(f"{name}:{line}: track {number}: {_short(point)} is no point; give [x, y], in pixels")
        own = [[lines["tracks", number, part, k] for k in range(len(track.get(part) or []))] for part in _PARTS]
        found.append(_Raw(key, points, times, own[0], own[1] or None))
    return found, [Entry(region, lines[("regions", number)]) for number, region in enumerate(regions)]


def _only(
    file: str, found: dict[str, Any], known: tuple[str, ...], lines: Mapping[Any, int], at: tuple[Any, ...]
) -> None:
    """Raise ``InputError`` for a key that means nothing: ``time`` for ``times`` would be another motion, unsaid."""
    for key in found:
        if key not in known:
            line = lines.get((*at, key), lines.get(at, 1))
            raise InputError(f"{file}:{line}: {_short(key)} is not known here; there is {' and '.join(known)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not abs(value) >= _FAR  # NaN is one


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _from_csv(name: str, text: str) -> list[_Raw]:
    reader = csv.reader(text.splitlines())
    try:
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"{name}:{reader.line_num}: not CSV ({error}); tracks are lines of track,time,x,y") from None
    header = [cell.strip() for cell in (rows or [[]])[0]]
    if header != ["track", "time", "x", "y"]:
        raise InputError(f"{name}:1: the header is {','.join(header)!r}; it should be track,time,x,y")
    found: dict[str, _Raw] = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        if len(row) != 4:
            raise InputError(f"{name}:{number}: has {len(row)} fields; there should be four, track,time,x,y")
        key = row[0].strip()
        track = found.setdefault(key, _Raw(f":{number}: track {key}", [], [], []))
        assert track.times is not None and track.lines is not None
        track.lines.append(number)
        try:
            track.points.append([float(row[2]), float(row[3])])
        except ValueError:
            raise InputError(
                f"{name}:{number}: x and y are {row[2]!r} and {row[3]!r}; they should be numbers"
            ) from None
        track.times.append(_time_of_cell(row[1].strip(), f"{name}:{number}"))
        if (track.times[0] is None) != (track.times[-1] is None):
            raise InputError(
                f"{name}:{number}: only some points of track {key} have times; give all of them one, or none"
            )
    if not found:
        raise InputError(f"{name}:{len(rows)}: nothing after the header; give a line of track,time,x,y for each point")
    return [replace(raw, times=None) if raw.times and raw.times[0] is None else raw for raw in found.values()]


def _time_of_cell(text: str, where: str) -> Any:
    """None for an empty one."""
    if not text:
        return None
    frame = _FRAME.fullmatch(text)
    time: Any = text
    with contextlib.suppress(ValueError):  # a time code
        time = frame[1] if frame else float(text)
    _time(where, time)
    return time


def _point(word: str, where: str) -> tuple[float, float, str | None]:
    """x, y and the time, if any, of one word."""
    match = _POINT.fullmatch(word)
    try:
        if match is None:
            raise ValueError
        return float(match[1]), float(match[2]), match[3]
    except ValueError:
        raise UsageError(f"{where}: {word!r} is no point; write x,y or x,y@TIME, in pixels of the picture") from None


def _track(
    where: str,
    points: list[Any],
    times: list[Any] | None,
    extent: Extent,
    called: list[str] | None = None,
    timed: list[str] | None = None,
) -> Track:
    """``called``: how to call each point, where that is not ``where``; ``timed``: and each time, if otherwise."""
    places = np.array(points, np.float64).reshape(len(points), 2)
    called = called or [where] * len(places)
    if len(places) < 2:
        count = f"{len(places)} point{'s' * (len(places) != 1)}"
        raise InputError(f"{called[0] if len(places) else where}: has {count}; a track needs two at least")
    for name, (x, y) in zip(called, places, strict=True):
        if not _within(x, y, extent):
            raise InputError(_outside(name, x, y, extent))
    if times is None:
        if extent.seconds is not None:
            return Track(where, np.linspace(*extent.seconds, len(places)), places, False)
        return Track(where, np.linspace(extent.first, extent.first + extent.frames - 1, len(places)), places, True)
    if len(times) != len(places):
        raise InputError(f"{where}: has {len(places)} points and {len(times)} times; give one for each")
    called = timed or called
    read = [_time(name, time) for name, time in zip(called, times, strict=True)]
    if len({kind for kind, _ in read}) > 1:
        other = next(place for place, (kind, _) in enumerate(read) if kind != read[0][0])
        raise InputError(f"{called[other]}: mixes frames and seconds; give all times in one of them")
    knots = np.array([value for _, value in read])
    backwards = np.flatnonzero(~(np.diff(knots) > 0))  # also for NaN
    if len(backwards):
        raise InputError(f"{called[int(backwards[0]) + 1]}: its times do not increase")
    return Track(where, knots, places, read[0][0])


def _within(x: float, y: float, extent: Extent) -> bool:
    return 0 <= x <= extent.width - 1 and 0 <= y <= extent.height - 1  # False for NaN too


def _outside(where: str, x: float, y: float, extent: Extent) -> str:
    return f"{where}: the point {x:g},{y:g} is not in the picture of {extent.width}×{extent.height} pixels"


def _time(where: str, time: Any) -> tuple[bool, float]:
    """Whether it is a frame, and its number or seconds."""
    if isinstance(time, (int, float)) and not isinstance(time, bool):
        if not 0 <= time < MOST_TIME:  # False for NaN too
            raise InputError(f"{where}: {time} is not a time; give seconds from the first frame on")
        return False, float(time)
    try:
        point = parse_time(str(time), where)
    except UsageError as error:
        raise InputError(str(error)) from None
    value = point.frame if point.frame is not None else point.seconds or 0
    if value >= MOST_TIME:
        raise InputError(f"{where}: {str(time)[:20]!r} is not a time of a clip")
    return point.frame is not None, float(value)


def sampled(tracks: list[Track], extent: Extent, seconds: Callable[[int], float]) -> np.ndarray:
    """(frames, N, 2) float64: where the tracks are at every frame of ``extent``; ``seconds``: when a frame is shown."""
    indices = range(extent.first, extent.first + extent.frames)
    held = [[track.held(i, seconds(i)) for track in tracks] for i in indices]
    return np.array(held, np.float64).reshape(len(indices), len(tracks), 2)
