"""Motion fidelity: whether points of the edit go where a track asked them to go. Tracks: :mod:`vedit.video.tracks`."""

from __future__ import annotations

import math

import numpy as np

from vedit.errors import InputError
from vedit.metrics.accumulate import Mean, Moment
from vedit.metrics.pictures import Picture
from vedit.video.follow import follow_patches
from vedit.video.tracks import Track, read_tracks

__all__ = ["MotionFidelity", "Track", "follow", "read_tracks"]


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
    """(2,): where the patch around ``place`` (x, y) went; it stays where it was if that cannot be told."""
    here, there = (np.rint(picture.luma).astype(np.uint8) for picture in (before, after))
    found = follow_patches(here, there, place[None])[0]
    return place if np.isnan(found).any() else found
