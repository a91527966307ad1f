"""Regions of the picture (``--region``): boxes and masks, which track belongs to which, and a drawing of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from vedit.errors import InputError, UsageError, VeditError
from vedit.video.mask import BLACK, read_picture
from vedit.video.tracks import Entry, Extent, Track

_FAR = 1e9  # pixels that no picture has
_COLOURS = ((255, 80, 60), (70, 200, 90), (80, 140, 255), (250, 200, 50), (220, 90, 240), (60, 220, 220))


@dataclass(frozen=True, eq=False)
class Region:
    """What is edited: ``grey`` (H, W) uint8 in displayed orientation, white inside; ``name`` as it was given;
    ``where``: the place in a file, if it was given there."""

    name: str
    grey: np.ndarray
    where: str = ""

    def holds(self, point: np.ndarray) -> bool:
        """Whether the pixel at ``point`` (x, y) lies inside."""
        x, y = (round(float(value)) for value in point)
        return bool(self.grey[y, x] > BLACK)


def parse_region(text: str, extent: Extent, option: str = "--region") -> Region:
    """``"x,y,width,height"`` in pixels, or the name of a picture that is white inside.

    Raises ``UsageError`` for a box and ``InputError`` for a picture that cannot be used.
    """
    parts = text.split(",")
    here = _is_here(Path(text))
    if len(parts) == 4 and not here:
        try:
            numbers = [float(part) for part in parts]
        except ValueError:
            numbers = None
        if numbers is not None:
            return _box(text, numbers, f"{option} {text}", extent, UsageError)
    if not here:
        raise UsageError(f"{option} {text}: is neither a box, x,y,width,height, nor a picture that is here")
    return _picture(text, option, extent)


def region_of(found: Entry, file: str, extent: Extent) -> Region:
    """A region of a tracks file: ``[x, y, width, height]``, or a picture's name beside it. Raises ``InputError``."""
    entry, where = found.value, f"{file}:{found.line}: the region"
    if isinstance(entry, str):
        path = Path(file).parent / entry
        if not _is_here(path):
            raise InputError(f"{where} {entry}: no such picture ({path})")
        return replace(_picture(str(path), where, extent), where=where)
    numbers = isinstance(entry, list) and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in entry
    )
    if not numbers or len(entry) != 4:
        raise InputError(f"{where} {entry!r} is neither [x, y, width, height] nor the name of a picture")
    name = ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in entry)
    return replace(_box(name, entry, f"{where} {name}", extent, InputError), where=where)


def _is_here(path: Path) -> bool:
    """Whether there is such a file; no for what no file can be called."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a null
        return False


def _box(name: str, numbers: Sequence[float], where: str, extent: Extent, error: type[VeditError]) -> Region:
    if not all(abs(value) < _FAR for value in numbers):  # False for NaN too
        raise error(f"{where}: is not four numbers; give x,y,width,height in pixels")
    x, y, width, height = (round(value) for value in numbers)
    if width < 1 or height < 1:
        raise error(f"{where}: is empty, {width}×{height} pixels; give x,y,width,height")
    if x < 0 or y < 0 or x + width > extent.width or y + height > extent.height:
        raise error(f"{where}: reaches out of the picture of {extent.width}×{extent.height} pixels")
    grey = np.zeros((extent.height, extent.width), np.uint8)
    grey[y : y + height, x : x + width] = 255
    return Region(name, grey)


def _picture(path: str, option: str, extent: Extent) -> Region:
    grey = read_picture(path, option)
    if grey.shape != (extent.height, extent.width):
        raise InputError(
            f"{option} {path}: is {grey.shape[1]}×{grey.shape[0]}, but the clip is shown at "
            f"{extent.width}×{extent.height}; scale it to that size"
        )
    if not (grey > BLACK).any():
        raise InputError(f"{option} {path}: is black all over, so nothing would be edited; white is what is edited")
    return Region(path, grey)


def union(regions: Sequence[Region]) -> np.ndarray:
    """(H, W) uint8: white where any of them is."""
    return np.maximum.reduce([region.grey for region in regions])


def _holder(track: Track, regions: Sequence[Region]) -> int | None:
    """The first region that holds a track's first point."""
    return next((number for number, region in enumerate(regions) if region.holds(track.points[0])), None)


def owner(track: Track, regions: Sequence[Region], error: type[VeditError] = UsageError) -> int:
    """Which region a track belongs to: the first that holds its first point. Raises ``error`` if none does, or if the
    track leads out of all regions."""
    found = _holder(track, regions)
    names = ", ".join(region.name for region in regions)
    if found is None:
        x, y = track.points[0]
        raise error(f"{track.name}: its first point {x:g},{y:g} is in no region ({names}); begin it inside")
    outside = next((point for point in track.points if not any(region.holds(point) for region in regions)), None)
    if outside is None:  # what lies between two points inside is on the way too; a pixel more or less is no matter
        near = cv2.dilate(union(regions), np.ones((3, 3), np.uint8)) > BLACK
        way = np.round(_densely(track.points)).astype(int)
        outside = next((place for place in way if not near[place[1], place[0]]), None)
    if outside is not None:
        raise error(
            f"{track.name}: leads to {outside[0]:g},{outside[1]:g}, which is in no region ({names}), and nothing moves "
            "outside; make the region larger"
        )
    return found


def _densely(points: np.ndarray) -> np.ndarray:
    """(K, 2): a track's points and those between them, at most a pixel apart."""
    steps = np.abs(np.diff(points, axis=0)).max(1, initial=0.0)
    parts = [np.linspace(a, b, int(np.ceil(step)) + 1) for a, b, step in zip(points, points[1:], steps, strict=False)]
    return np.concatenate([points[:1], *parts])


def bounds(grey: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, width and height of what is not black."""
    x, y, width, height = cv2.boundingRect((grey > BLACK).astype(np.uint8))
    return int(x), int(y), int(width), int(height)


def _marked(track: Track, most: int) -> np.ndarray:
    """Where a track has marks: at its own times, if these are few, else at times that are about evenly apart."""
    if 2 < len(track.knots) <= most and (not track.frames or (track.knots == track.knots.round()).all()):
        return track.knots
    even = np.linspace(track.knots[0], track.knots[-1], most)
    return np.unique(even.round()) if track.frames else even


def draw(rgb: np.ndarray, regions: Sequence[Region], tracks: Sequence[Track], marks: int = 5) -> np.ndarray:
    """A frame (H, W, 3) uint8 with the regions' outlines and the tracks, with dots along them, and times that fit."""
    picture = rgb.copy()
    outside = union(regions) <= BLACK if regions else np.zeros(rgb.shape[:2], bool)
    picture[outside] = (picture[outside].astype(np.uint16) * 5 // 8).astype(np.uint8)
    unit = max(1, round(min(rgb.shape[:2]) / 300))
    for number, region in enumerate(regions):
        inside = (region.grey > BLACK).astype(np.uint8)
        outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, _COLOURS[number % len(_COLOURS)], unit, cv2.LINE_AA)
    for number, track in enumerate(tracks):
        # A way that was found in the clip may leave its region between two frames.
        own = _holder(track, regions)
        colour = _COLOURS[(number if own is None else own) % len(_COLOURS)]
        line = np.round(track.points * 16).astype(np.int32)[:, None]
        cv2.polylines(picture, [line], False, (0, 0, 0), 3 * unit, cv2.LINE_AA, 4)
        cv2.polylines(picture, [line], False, colour, unit, cv2.LINE_AA, 4)
        written: list[tuple[int, int, int]] = []  # left, right and base of the times that stand there
        marked = list(_marked(track, marks))
        for knot in [marked[0], marked[-1], *marked[1:-1]]:
            x, y = np.round(track.placed(float(knot))).astype(int)
            cv2.circle(picture, (int(x), int(y)), 2 * unit, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(picture, (int(x), int(y)), 2 * unit - 1, colour, -1, cv2.LINE_AA)
            text = f"{knot:.0f}" if track.frames else f"{knot:.2f}s"
            place = (min(int(x) + 3 * unit, rgb.shape[1] - 8 * unit * len(text)), max(int(y) - 3 * unit, 10 * unit))
            (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.35 * unit, 3 * unit)
            if any(left < place[0] + wide and place[0] < right and abs(base - place[1]) < high + 2 * unit
                   for left, right, base in written):  # fmt: skip
                continue  # it could not be read
            written.append((place[0], place[0] + wide, place[1]))
            for tone, width in (((0, 0, 0), 3 * unit), ((255, 255, 255), unit)):
                cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.35 * unit, tone, width, cv2.LINE_AA)
    return picture
