"""Clips of the moving world on disk, drawn once, read as memory maps while a recipe trains.

folder/numbers.npy     (S, 2) float32: frames a second, motion bucket
folder/frames.npy      (S, T, H, W, 3) uint8
folder/layers.npy, tracks.npy, owners.npy, centres.npy: as in :class:`vedit.world.moving.MovingClip`
folder/index.json      {"clips": S}; written last
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from vedit.errors import VeditError
from vedit.training.moving import Moving
from vedit.training.nano import Rows
from vedit.world.moving import USUAL_RATE, MovingClip, draw_several, motion_bucket, speed_of
from vedit.world.pasted import paste

_PARTS = ("numbers", "frames", "layers", "tracks", "owners", "centres")
_AT_ONCE = 8  # scenes drawn by one call of a worker


@dataclass(frozen=True)
class MovingClips:
    """An opened folder."""

    parts: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.parts["frames"])


def draw_clips(
    folder: Path, seed: int, scenes: int, each: int, side: int, frames: int, workers: int | None = None
) -> MovingClips:
    """Draw ``each`` clips of ``scenes`` scenes into ``folder`` unless it holds them already, and open it.

    ``workers``: processes that draw; none: one a core; 0: this one. Raises ``VeditError`` for a folder of other clips.
    """
    count = scenes * each
    if not (folder / "index.json").exists():
        rows, at = Rows(folder, count), 0
        for clip in _drawn(seed, scenes, each, side, frames, workers):
            found = {name: getattr(clip, name)[None] for name in _PARTS if name != "numbers"}
            rows.put(at, numbers=np.array([[clip.fps, motion_bucket(clip.speed)]], np.float32), **found)
            at += 1
            if at % 400 == 0:
                print(f"drew {at} of {count} clips", flush=True)
        rows.finish({"clips": at})
    found = MovingClips({name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _PARTS})
    shape = found.parts["frames"].shape[:4]
    if shape != (count, frames, side, side):
        raise VeditError(f"{folder}: holds other clips, {shape}; remove it, or choose another --data")
    return found


def _drawn(seed: int, scenes: int, each: int, side: int, frames: int, workers: int | None) -> Iterator[MovingClip]:
    """All clips in their order, drawn by several processes a little ahead of what is taken."""
    jobs = [(seed, first, min(first + _AT_ONCE, scenes), each, side, frames) for first in range(0, scenes, _AT_ONCE)]
    if workers == 0:
        for job in jobs:
            yield from draw_several(job)
        return
    # Spawned: what torch holds in this process does not survive a fork.
    with ProcessPoolExecutor(workers or os.cpu_count() or 1, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(draw_several, job) for job in jobs[:8]]
        for index in range(len(jobs)):
            yield from waiting.pop(0).result()
            if index + 8 < len(jobs):
                waiting.append(pool.submit(draw_several, jobs[index + 8]))


@dataclass(frozen=True)
class View:
    """What is seen of a drawn clip: a random square, ``least`` to ``most`` pixels wide, at ``side`` pixels."""

    side: int
    least: int
    most: int


class WorldClips:
    """Clips of the moving world, whose tracks are true; forwards or backwards, mirrored and turned or not.

    ``view``: what is seen of each, by default the whole clip. Half of the clips have tracks at every second point of
    the grid only, so that those of a small thing do not always overlap.
    """

    def __init__(self, clips: MovingClips, identity: str, view: View | None = None) -> None:
        self.identity = identity if view is None else f"{identity}:{view.side}:{view.least}:{view.most}"
        self._clips, self._name, self._view = clips, identity, view

    def __len__(self) -> int:
        return len(self._clips)

    def at(self, view: View) -> WorldClips:
        """The same clips, seen in another way; of squares, none is larger than the clips."""
        whole = min(self._clips.parts["frames"].shape[2:4])
        return WorldClips(self._clips, self._name, View(view.side, min(view.least, whole), min(view.most, whole)))

    def draw(self, rng: np.random.Generator) -> Moving:
        """See :class:`vedit.training.moving.Source`."""
        return self.take(int(rng.integers(len(self._clips))), rng)

    def take(self, index: int, rng: np.random.Generator) -> Moving:
        """The clip ``index``, in a random view."""
        parts = self._clips.parts
        pixels, tracks, layers = (np.array(parts[name][index]) for name in ("frames", "tracks", "layers"))
        height, width = pixels.shape[1:3]
        seen = in_sight(tracks, layers, parts["owners"][index], (height, width))
        fps, bucket = (float(value) for value in parts["numbers"][index, :2])
        things = (layers > 0).repeat(height // layers.shape[1], 1).repeat(width // layers.shape[2], 2)
        things = things.astype(np.float32)
        if self._view is not None:
            view = self._view
            square = int(rng.integers(view.least, view.most + 1))
            x, y = (int(rng.integers(length - square + 1)) for length in (width, height))
            factor = view.side / square
            pixels, things = (
                np.stack([_resized(frame[y : y + square, x : x + square], view.side) for frame in clip])
                for clip in (pixels, things)
            )
            tracks = (tracks - [x, y] + 0.5) * factor - 0.5  # a pixel's place is its centre
            seen &= ((tracks >= 0) & (tracks <= view.side - 1)).all((0, 2))
            bucket = motion_bucket(factor * speed_of(bucket))
        if rng.random() < 0.5:
            seen = _thinned(seen, rng)
        tracks = tracks[:, seen]
        if rng.random() < 0.5:
            pixels, things, tracks = (
                pixels[:, :, ::-1], things[:, :, ::-1], tracks * [-1, 1] + [pixels.shape[2] - 1, 0]
            )  # fmt: skip
        if rng.random() < 0.5:
            pixels, things, tracks = (
                pixels[:, ::-1], things[:, ::-1], tracks * [1, -1] + [0, pixels.shape[1] - 1]
            )  # fmt: skip
        if rng.random() < 0.5:
            pixels, things, tracks = pixels.transpose(0, 2, 1, 3), things.transpose(0, 2, 1), tracks[..., ::-1]
        if rng.random() < 0.5:
            pixels, things, tracks = pixels[::-1], things[::-1], tracks[::-1]
        pixels, tracks, things = (np.ascontiguousarray(a) for a in (pixels, tracks, np.maximum(things, things[:1])))
        return Moving(pixels, tracks, (fps, bucket), things, clip=index)


class Mixed:
    """Clips of a view, of which a ``share`` is taken apart for a still picture before which shapes travel.

    See :mod:`vedit.world.pasted`: what tracks mean is learnt from these within some hundred steps, and from the others
    alone not in a thousand.
    """

    def __init__(self, clips: WorldClips, share: float) -> None:
        self.identity = f"{clips.identity}, pasted {share:g}"
        self._clips, self._share = clips, share

    def draw(self, rng: np.random.Generator) -> Moving:
        """See :class:`vedit.training.moving.Source`."""
        drawn = self._clips.draw(rng)
        if rng.random() >= self._share:
            return drawn
        count = len(drawn.pixels)
        clip = paste(drawn.pixels[int(rng.integers(count))], rng, count)
        speed = float(np.linalg.norm(np.diff(clip.tracks, axis=0), axis=-1).mean() * clip.things.mean())
        things = np.maximum(clip.things, clip.things[:1])
        return Moving(clip.frames, clip.tracks, (float(USUAL_RATE), motion_bucket(speed)), things, few=True)


def _resized(picture: np.ndarray, side: int) -> np.ndarray:
    import cv2

    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


def _thinned(seen: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of points on a square grid, (N,) bool, those in every second row and column; all, where none is left."""
    side = math.isqrt(len(seen))
    row, column = np.divmod(np.arange(len(seen)), side)
    odd = rng.integers(0, 2, 2)
    some = seen & (row % 2 == odd[0]) & (column % 2 == odd[1])
    return some if some.any() else seen


def in_sight(tracks: np.ndarray, layers: np.ndarray, owners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N,) bool: which points stay in a picture of ``size`` (height, width), and on top of what else is there.

    ``tracks`` (T, N, 2), ``layers`` (T, h, w) samples of a picture at even distances, ``owners`` (N,) their layers.
    """
    height, width = size
    inside = ((tracks >= 0) & (tracks <= [width - 1, height - 1])).all((0, 2))
    step = height // layers.shape[1]
    at = (np.rint(tracks).astype(int) // step).clip(0, [layers.shape[2] - 1, layers.shape[1] - 1])
    seen = layers[np.arange(len(tracks))[:, None], at[..., 1], at[..., 0]]
    return inside & (seen == owners).all(0)
