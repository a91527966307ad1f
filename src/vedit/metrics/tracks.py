"""Motion fidelity: whether points of the edit go where a track asked them to go.

Tracks come as JSON, ``{"tracks": [{"points": [[x, y], …], "times": […]}]}``, or as CSV with the header
``track,time,x,y``; x and y are pixels of the displayed picture. A time is a number of seconds from the first frame, or
text as for ``--start``: ``"48"`` is a frame, ``"1.5s"`` seconds. JSON without ``times`` spreads the points evenly over
the clip. Between two times a point moves in a straight line.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vedit.errors import InputError, UsageError
from vedit.metrics.accumulate import Mean, Moment
from vedit.metrics.pictures import ABSENT, Picture
from vedit.video.timecode import parse_time

_GRID = 5  # points a side of the patch that is followed
_REACH = 1 / 40  # half the side of the patch, as a share of the picture's short side
_AGREE = 1.0  # pixels between a point and where the way back leads
_ENOUGH = 3  # points of the patch that have to agree
_LUCAS_KANADE: dict[str, Any] = {
    "winSize": (21, 21),
    "maxLevel": 4,
    "criteria": (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 0.01),
}


@dataclass(frozen=True, eq=False)
class Track:
    """Where a point should be: ``points`` (K, 2) float64 at ``knots`` (K,), frames if ``frames`` else seconds."""

    name: str
    knots: np.ndarray
    points: np.ndarray
    frames: bool

    def at(self, index: int, time: Fraction) -> np.ndarray | None:
        """(2,): where the point should be; None before and after the track."""
        now = float(index) if self.frames else float(time)
        slack = 1e-6
        if not self.knots[0] - slack <= now <= self.knots[-1] + slack:
            return None
        return np.array([np.interp(now, self.knots, self.points[:, axis]) for axis in (0, 1)])


def read_tracks(path: str | Path, width: int, height: int, frames: int) -> list[Track]:
    """The tracks of a file, for a clip of that displayed size and number of frames.

    Raises ``InputError`` that names the track or line, for what cannot be read or lies outside of the picture.
    """
    name = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{name}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read ({error}); tracks are JSON or CSV text") from None
    found = _from_csv(name, text) if name.lower().endswith(".csv") else _from_json(name, text)
    if not found:
        raise InputError(f"{name}: holds no track; give at least one")
    return [_track(f"{name}: track {key}", points, times, width, height, frames) for key, points, times in found]


_Raw = tuple[str, list[Any], list[Any] | None]  # name, points, times


def _from_json(name: str, text: str) -> list[_Raw]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(
            f'{name}: not JSON ({error}); tracks are {{"tracks": [{{"points": [[x, y], ...]}}]}}'
        ) from None
    tracks = content.get("tracks") if isinstance(content, dict) else None
    if not isinstance(tracks, list) or not all(isinstance(track, dict) for track in tracks):
        raise InputError(f'{name}: has no list of tracks; it should be {{"tracks": [{{"points": [[x, y], ...]}}]}}')
    found: list[_Raw] = []
    for number, track in enumerate(tracks):
        points, times = track.get("points"), track.get("times")
        if not isinstance(points, list) or not (times is None or isinstance(times, list)):
            raise InputError(f"{name}: track {number} needs points, a list of [x, y], and times, if any, as a list")
        found.append((str(number), points, times))
    return found


def _from_csv(name: str, text: str) -> list[_Raw]:
    rows = csv.reader(text.splitlines())
    header = [cell.strip() for cell in next(rows, [])]
    if header != ["track", "time", "x", "y"]:
        raise InputError(f"{name}:1: the header is {','.join(header)!r}; it should be track,time,x,y")
    found: dict[str, tuple[list[Any], list[Any]]] = {}
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        if len(row) != 4:
            raise InputError(f"{name}:{number}: has {len(row)} fields; there should be four, track,time,x,y")
        points, times = found.setdefault(row[0].strip(), ([], []))
        try:
            points.append([float(row[2]), float(row[3])])
        except ValueError:
            raise InputError(
                f"{name}:{number}: x and y are {row[2]!r} and {row[3]!r}; they should be numbers"
            ) from None
        times.append(_seconds_if_number(row[1].strip()))
    return [(key, points, times) for key, (points, times) in found.items()]


def _seconds_if_number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _track(where: str, points: list[Any], times: list[Any] | None, width: int, height: int, frames: int) -> Track:
    try:
        places = np.array(points, np.float64).reshape(len(points), 2)
    except (ValueError, TypeError):
        raise InputError(f"{where}: its points are not all [x, y] of two numbers") from None
    if len(places) < 2:
        raise InputError(f"{where}: has {len(places)} points; a track needs two at least")
    for x, y in places:
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):  # also for NaN
            raise InputError(f"{where}: the point {x:g},{y:g} is not in the picture of {width}×{height} pixels")
    if times is None:
        return Track(where, np.linspace(0, frames - 1, len(places)), places, True)
    if len(times) != len(places):
        raise InputError(f"{where}: has {len(places)} points and {len(times)} times; give one for each")
    read = [_time(where, time) for time in times]
    if len({kind for kind, _ in read}) > 1:
        raise InputError(f"{where}: mixes frames and seconds; give all times in one of them")
    knots = np.array([value for _, value in read])
    if not (np.diff(knots) > 0).all():  # also for NaN
        raise InputError(f"{where}: its times do not increase")
    return Track(where, knots, places, read[0][0])


def _time(where: str, time: Any) -> tuple[bool, float]:
    """Whether it is a frame, and its number or seconds."""
    if isinstance(time, (int, float)) and not isinstance(time, bool):
        if not math.isfinite(time) or time < 0:
            raise InputError(f"{where}: {time} is not a time; give seconds from the first frame on")
        return False, float(time)
    try:
        point = parse_time(str(time), where)
    except UsageError as error:
        raise InputError(str(error)) from None
    if point.frame is not None:
        return True, float(point.frame)
    return False, float(point.seconds or 0)


class MotionFidelity:
    """Follows the start of every track through the edit, and measures how far from the asked way it is."""

    def __init__(self, tracks: list[Track]) -> None:
        self._tracks = tracks
        self._places: list[np.ndarray | None] = [None] * len(tracks)
        self._last = [math.nan] * len(tracks)
        self._mean = Mean()
        self._before: Picture | None = None

    def update(self, moment: Moment) -> dict[str, float]:
        """The mean distance over the tracks that run at this frame and began before it."""
        distances = []
        for number, track in enumerate(self._tracks):
            asked = track.at(moment.index, moment.time)
            if asked is None:
                continue
            place = self._places[number]
            if place is None or self._before is None:
                self._places[number] = asked
                continue
            place = follow(self._before, moment.edited, place)
            self._places[number] = place
            self._last[number] = float(np.linalg.norm(place - asked))
            self._mean.add(self._last[number])
            distances.append(self._last[number])
        self._before = moment.edited
        return {"motion_fidelity": float(np.mean(distances))} if distances else {}

    def result(self) -> dict[str, float]:
        """Over all tracks. Raises ``InputError`` for a track that runs over fewer than two frames."""
        for track, distance in zip(self._tracks, self._last, strict=True):
            if math.isnan(distance):
                raise InputError(f"{track.name}: runs over fewer than two frames of the clip; check its times")
        return {"motion_fidelity": self._mean.value, "motion_endpoint": float(np.mean(self._last))}


def follow(before: Picture, after: Picture, place: np.ndarray) -> np.ndarray:
    """(2,): where the patch around ``place`` (x, y) went, by the median of its points that pyramidal Lucas-Kanade finds
    and finds back. It stays where it was if too few of them agree."""
    height, width = after.luma.shape
    reach = max(2.0, _REACH * min(height, width))
    side = np.linspace(-reach, reach, _GRID)
    patch = (place + np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)).astype(np.float32)
    patch = patch[((patch >= 0) & (patch <= np.array([width - 1, height - 1]))).all(-1)]
    if not len(patch):
        return place
    here, there = (np.rint(picture.luma).astype(np.uint8) for picture in (before, after))
    found, forth, _ = cv2.calcOpticalFlowPyrLK(here, there, patch[:, None], ABSENT, **_LUCAS_KANADE)
    home, back, _ = cv2.calcOpticalFlowPyrLK(there, here, found, ABSENT, **_LUCAS_KANADE)
    gap = np.linalg.norm(home[:, 0] - patch, axis=-1)
    good = (forth[:, 0] == 1) & (back[:, 0] == 1) & (gap < _AGREE)
    if good.sum() < min(_ENOUGH, len(patch)):
        return place
    return place + np.median(found[good, 0] - patch[good], axis=0).astype(np.float64)
