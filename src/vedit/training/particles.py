"""Noise that says where falling particles are, so that a single denoising step can put them somewhere.

From pure noise one step gives the mean of all answers; of falling snow that is a haze. If in training the noise is not
drawn independently of the answer but coupled with it, as flow models do with their minibatches (Pooladian et al. 2023,
"Multisample Flow Matching"), each noise has one answer. Here the coupling is exact: a share p of the cells of white
noise lies above Φ⁻¹(1 − p), and where p is the share of cells that hold a particle's centre, exactly those cells are
given the values above it, the larger particles the higher ones, and all the others the values below. Seen without the
picture, the noise is white as ever.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from vedit.diffusion.noise import CELLS
from vedit.training.latents import Latents
from vedit.world import operations

CELL = 8 // CELLS  # pixels: side of a cell in the latents of an autoencoder of stride 8


def particle_marks(name: str, frames: int, side: int, unit: float, seed: int, start: int) -> np.ndarray:
    """Which cells hold a particle of operation ``name``, a key of ``operations.FALLS``: (T, side/4, side/4) uint8.

    0: none; else the rank of its size among all, 1 to 255. ``unit``: pixels in one height of the whole frame;
    ``seed`` and ``start`` as for :func:`vedit.world.operations.apply`.
    """
    fall = operations.FALLS[name](seed, side, side, unit)
    rank = np.argsort(np.argsort(fall.size)) + 1
    marks = np.zeros((frames, side // CELL, side // CELL), np.uint8)
    for t in range(frames):
        cells = np.floor(fall.positions(start + t) * unit / CELL).astype(int)
        inside = np.all((cells >= 0) & (cells < side // CELL), axis=1)
        value = np.maximum(1, np.round(255 * rank / len(rank))).astype(np.uint8)
        for (x, y), v in zip(cells[inside], value[inside], strict=True):
            marks[t, y, x] = max(marks[t, y, x], v)
    return marks


def density(name: str) -> float:
    """Share of cells that hold a particle of operation ``name``, where a frame is 256 pixels high."""
    fall = operations.FALLS[name](0, 256, 256, 256.0)
    return len(fall.place) / (fall.span[0] * fall.span[1]) * (CELL / 256) ** 2


def couple(noise: Tensor, marks: Tensor, share: Tensor) -> Tensor:
    """White noise (B, T, C, h, w) changed so that its cells are high where ``marks`` has particles, and only there.

    A cell is as high as the sum of its channels; :func:`vedit.diffusion.noise.falling_noise` has the same cells.
    ``marks``: (B, T, h·CELLS, w·CELLS) in [0, 1]; ``share`` (B,): of the cells that hold particles.
    """
    cells = pixel_shuffle(noise.double(), CELLS)
    if marks.shape[-1] != cells.shape[-1]:
        raise ValueError(f"marks {tuple(marks.shape)} do not fit noise {tuple(noise.shape)}")
    p, marked = share.view(-1, 1, 1, 1, 1).double(), marks[:, :, None].double()
    root = math.sqrt(cells.shape[2])
    total = cells.sum(dim=2, keepdim=True) / root
    level = torch.special.ndtr(total)
    below = level * (1 - p)
    above = 1 - p + p * (marked - level / 255).clamp(1e-3, 1 - 1e-3)
    wanted = torch.special.ndtri(torch.where(marked > 0, above, below).clamp(1e-7, 1 - 1e-7))
    return pixel_unshuffle(cells + (wanted - total) / root, CELLS).to(noise)


@dataclass(frozen=True)
class ParticleClips:
    """Triplets whose edits have particles, with where these are: ``marks`` (P, T, h·r, w·r) uint8, as above."""

    latents: Latents
    marks: np.ndarray

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """``source``, ``edited``, ``text`` as :meth:`Latents.batch`; ``marks`` in [0, 1] and ``share`` for couple."""
        chosen = self.latents.choose(rng, size)
        marks = torch.from_numpy(self.marks[chosen].astype(np.float32) / 255)
        share = torch.tensor([density(self.latents.pairs[i][3]) for i in chosen])
        return *self.latents.take(rng, chosen), marks, share


def slanting(rng: np.random.Generator, name: str) -> int:
    """A seed of operation ``name``. Of rain, one whose streaks lean one certain way, since no noise says which."""
    while True:
        seed = int(rng.integers(2**31))
        velocity = operations.FALLS[name](seed, 256, 256, 256.0).velocity[0]
        if name != "rain" or 0.15 < velocity[0] / velocity[1] < 0.23:
            return seed
