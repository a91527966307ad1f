"""Clips of the moving world on disk, drawn and encoded once, read as memory maps while a recipe trains.

folder/latents.npy     (S, T, C, h, w) float16
folder/ends.npy        (S, 2, C, h, w) float16: first and last frame, encoded with noise on their pixels
folder/embeddings.npy  (S, 2, P) float16: first and last frame as CLIP's vectors
folder/numbers.npy     (S, 4) float32: frames a second, motion bucket, noise on the first frame, on the last
folder/frames.npy      (S, T, H, W, 3) uint8
folder/layers.npy, tracks.npy, owners.npy, centres.npy: as in :class:`vedit.world.moving.MovingClip`
folder/index.json      {"clips": S, "models": hash of what encoded them}; written last
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vedit.errors import VeditError
from vedit.training.nano import Rows
from vedit.weights.bundle import read_json
from vedit.world.moving import MovingClip, draw_several, motion_bucket

Encode = Callable[[Tensor], Tensor]  # (N, 3, H, W) in [-1, 1] to (N, C, h, w) or (N, P)
_PARTS = ("latents", "ends", "embeddings", "numbers", "frames", "layers", "tracks", "owners", "centres")
_AT_ONCE = 8  # scenes drawn by one call of a worker


@dataclass(frozen=True)
class Batch:
    """What a step trains on, B clips. ``reversed``: (B,) bool, those that run backwards; ``chosen``: (B,) which."""

    latents: Tensor  # (B, T, C, h, w)
    first: Tensor  # (B, C, h, w): the first frame, with noise on it or without
    embedding: Tensor  # (B, 1, P)
    ids: Tensor  # (B, 3): frames a second, motion bucket, noise
    chosen: np.ndarray
    reversed: np.ndarray

    def window(self, rng: np.random.Generator, side: int) -> Batch:
        """The same part of all frames, ``side`` latents high and wide, of each clip another one."""
        rows, columns = (
            rng.integers(0, length - side + 1, len(self.latents)) for length in self.latents.shape[-2:]
        )  # fmt: skip
        parts = [np.s_[..., y : y + side, x : x + side] for y, x in zip(rows, columns, strict=True)]
        latents = torch.stack([clip[part] for clip, part in zip(self.latents, parts, strict=True)])
        first = torch.stack([frame[part] for frame, part in zip(self.first, parts, strict=True)])
        return replace(self, latents=latents, first=first)


@dataclass(frozen=True)
class MovingClips:
    """An opened folder."""

    parts: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.parts["latents"])

    def batch(
        self, rng: np.random.Generator, size: int, *, noisy: float = 0.5, backwards: float = 0.5
    ) -> Batch:  # fmt: skip
        """Random clips. ``noisy`` of them have noise on the first frame, ``backwards`` of them run backwards."""
        chosen = np.sort(rng.choice(len(self), size=min(size, len(self)), replace=False))
        turned, spoiled = rng.random(len(chosen)) < backwards, rng.random(len(chosen)) < noisy
        return self.take(chosen, turned, spoiled)

    def take(self, chosen: np.ndarray, turned: np.ndarray, spoiled: np.ndarray) -> Batch:
        """The clips ``chosen``; ``turned`` and ``spoiled`` say which run backwards and which have a noisy frame."""
        latents = self.parts["latents"][chosen].astype(np.float32)
        latents[turned] = latents[turned, ::-1]
        end = turned.astype(int)
        numbers = self.parts["numbers"][chosen]
        first = np.where(
            spoiled[:, None, None, None], self.parts["ends"][chosen, end].astype(np.float32), latents[:, 0]
        )
        noise = np.where(spoiled, numbers[np.arange(len(chosen)), 2 + end], 0.0)
        embedding = self.parts["embeddings"][chosen, end].astype(np.float32)
        return Batch(
            torch.from_numpy(latents),
            torch.from_numpy(first.astype(np.float32)),
            torch.from_numpy(embedding)[:, None],
            torch.from_numpy(np.stack([numbers[:, 0], numbers[:, 1], noise], 1).astype(np.float32)),
            chosen,
            turned,
        )


def encode_clips(
    folder: Path,
    seed: int,
    scenes: int,
    each: int,
    side: int,
    frames: int,
    encode: Encode,
    embed: Encode,
    workers: int | None = None,
    models: str = "",
) -> MovingClips:
    """Draw ``each`` clips of ``scenes`` scenes into ``folder`` unless it holds them already, and open it.

    ``workers``: processes that draw; none: one a core; 0: this one. ``models``: a hash of what encodes and embeds.
    Raises ``VeditError`` for a folder whose clips were encoded by others.
    """
    count, index = scenes * each, folder / "index.json"
    if index.exists() and read_json(index).get("models", "") != models:
        raise VeditError(f"{folder}: its clips were encoded by other models; remove it, or choose another --data")
    if not index.exists():
        rows, at = Rows(folder, count), 0
        for clip in _drawn(seed, scenes, each, side, frames, workers):
            rng = np.random.default_rng([seed, 7, at])
            rows.put(at, **{name: value[None] for name, value in _encoded(clip, rng, encode, embed).items()})
            at += 1
            if at % 400 == 0:
                print(f"encoded {at} of {count} clips", flush=True)
        rows.finish({"clips": at, "models": models})
    return MovingClips({name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _PARTS})


def _encoded(clip: MovingClip, rng: np.random.Generator, encode: Encode, embed: Encode) -> dict[str, Any]:
    pixels = torch.from_numpy(clip.frames).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    ends = pixels[[0, -1]]
    strengths = np.exp(rng.uniform(np.log(0.005), np.log(0.1), 2)).astype(np.float32)
    noise = torch.from_numpy(rng.standard_normal(ends.shape, dtype=np.float32))
    spoiled = ends + torch.from_numpy(strengths).view(2, 1, 1, 1) * noise
    latents = encode(torch.cat([pixels, spoiled])).to(torch.float16).numpy()
    return {
        "latents": latents[:-2],
        "ends": latents[-2:],
        "embeddings": embed(ends).to(torch.float16).numpy(),
        "numbers": np.array([clip.fps, motion_bucket(clip.speed), *strengths], np.float32),
        "frames": clip.frames,
        "layers": clip.layers,
        "tracks": clip.tracks,
        "owners": clip.owners,
        "centres": clip.centres,
    }


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
