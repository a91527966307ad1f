"""Stills of the world on disk: drawn once, by several processes, read as a memory map."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np

from vedit.world.scene import draw_scene, render


def _draw(job: tuple[str, int, int, int, int]) -> None:
    import cv2

    cv2.setNumThreads(1)
    path, seed, first, last, size = job
    stills = np.load(path, mmap_mode="r+")
    for index in range(first, last):
        frame = render(draw_scene(seed * 1_000_000 + index, size, size, frames=1)).frames[0]
        stills[index] = np.round(frame * 255).astype(np.uint8)
    stills.flush()


def draw_stills(path: Path, seed: int, count: int, size: int = 256, workers: int | None = None) -> np.ndarray:
    """``(count, size, size, 3)`` uint8 memory map of stills; drawn if ``path`` is not there yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        np.lib.format.open_memmap(partial, "w+", np.uint8, (count, size, size, 3)).flush()
        edges = np.linspace(0, count, 33).astype(int)
        jobs = [(str(partial), seed, int(a), int(b), size) for a, b in pairwise(edges) if b > a]
        with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
            list(pool.map(_draw, jobs))
        partial.replace(path)
    return np.load(path, mmap_mode="r")
