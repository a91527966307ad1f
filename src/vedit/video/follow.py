"""Following points through a clip: pyramidal Lucas-Kanade, believed only where the way back leads home."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np

_GRID = 5  # points a side of the patch that is followed
_REACH = 1 / 40  # half the side of the patch, as a share of the picture's short side
_AGREE = 1.0  # pixels between a point and where the way back leads
_ENOUGH = 3  # points of the patch that have to agree
_ABSENT: Any = None
_LUCAS_KANADE: dict[str, Any] = {
    "winSize": (21, 21),
    "maxLevel": 4,
    "criteria": (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 0.01),
}


def follow_points(here: np.ndarray, there: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where ``points`` (N, 2) of a frame went in the next one, float32, and (N,) bool whether that can be believed.

    ``here`` and ``there``: (H, W) uint8.
    """
    if not len(points):
        return points.astype(np.float32), np.zeros(0, bool)
    points = points.astype(np.float32)
    found, forth, _ = cv2.calcOpticalFlowPyrLK(here, there, points[:, None], _ABSENT, **_LUCAS_KANADE)
    home, back, _ = cv2.calcOpticalFlowPyrLK(there, here, found, _ABSENT, **_LUCAS_KANADE)
    gap = np.linalg.norm(home[:, 0] - points, axis=-1)
    return found[:, 0], (forth[:, 0] == 1) & (back[:, 0] == 1) & (gap < _AGREE)


def follow_patches(here: np.ndarray, there: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N, 2) float64: where the patches around ``places`` (N, 2) went, each by the median of its points; NaN where too
    few agree, and for places that are NaN."""
    height, width = there.shape
    reach = max(2.0, _REACH * min(height, width))
    side = np.linspace(-reach, reach, _GRID)
    patches = places[:, None] + np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    within = (patches >= 0) & (patches <= np.array([width - 1, height - 1]))  # False for NaN
    inside = np.logical_and.reduce(within, axis=-1)
    found, good = follow_points(here, there, patches[inside])  # all at once: the pyramids of the frames are built once
    moves = np.full(patches.shape, np.nan)
    moves[inside] = np.where(good[:, None], found - patches[inside].astype(np.float32), np.nan)
    went = np.full(places.shape, np.nan)
    for number in range(len(places)):
        agree = ~np.isnan(moves[number, :, 0])
        if agree.sum() >= max(1, min(_ENOUGH, int(inside[number].sum()))):
            went[number] = places[number] + np.median(moves[number, agree], axis=0)
    return went


def follow_through(frames: Iterable[np.ndarray], points: np.ndarray) -> np.ndarray:
    """(T, N, 2) float64: the ways of the patches around ``points`` (N, 2) in the first of ``frames`` (H, W) uint8; NaN
    from the frame on where one is lost. Two frames are in memory."""
    ways: list[np.ndarray] = []
    before: np.ndarray | None = None
    for frame in frames:
        if before is None:
            places = points.astype(np.float64)
        else:
            places = follow_patches(before, frame, ways[-1])
        ways.append(places)
        before = frame
    return np.array(ways).reshape(len(ways), len(points), 2)


def tracks_of(frames: np.ndarray, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """Tracks (T, N, 2) float32 of a grid of points, ``grid`` pixels apart in the first frame, and (N,) bool: whether
    each could be followed to the end. ``frames``: (T, H, W) uint8."""
    height, width = frames.shape[1:]
    x = np.arange(grid / 2, width, grid)
    y = np.arange(grid / 2, height, grid)
    points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2).astype(np.float32)
    way, good = [points], np.ones(len(points), bool)
    for here, there in itertools.pairwise(frames):
        points, seen = follow_points(here, there, points)
        inside = ((points >= 0) & (points <= np.array([width - 1, height - 1], np.float32))).all(-1)
        good &= seen & inside
        way.append(points)
    return np.stack(way), good
