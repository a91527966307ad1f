"""Noise that belongs to frames: the same seed and absolute frame give the same noise, whatever the window.

A share ρ of the variance is common to all frames of the clip, ε_i = √ρ·ε_shared + √(1−ρ)·ε_i_own, the "mixed noise" of
Ge et al. 2023, "Preserve Your Own Correlation" (PYoCo). Every frame's noise keeps unit variance.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence

import torch

CELLS = 2  # cells of falling noise along a side of a latent position; of 16 channels each then has four


def frame_noise(seed: int | str, frames: Iterable[int], shape: Sequence[int], share: float = 0.0) -> torch.Tensor:
    """Noise of the given absolute frame indices: (T, *shape) float32 on the CPU, unit variance.

    ``share`` in [0, 1] is the part of the variance common to all frames. Raises ``ValueError`` outside of it.
    """
    own = [_keyed_noise(f"{seed}:frame:{frame}", shape) for frame in frames]
    return _mix(_keyed_noise(f"{seed}:shared", shape), torch.stack(own), share)


def falling_noise(seed: int | str, frames: Iterable[int], shape: Sequence[int], speed: float) -> torch.Tensor:
    """White noise that falls through the picture: (T, C, h, w) float32 on the CPU, unit variance, keyed as above.

    One endless strip of noise moves down by ``speed`` latent positions a frame, as noise that is carried along with
    what it makes (Chang et al. 2024, "How I Warped Your Noise", here with a motion of whole cells, so that it stays
    exactly white). A latent position has :data:`CELLS` × ``CELLS`` cells if its channels can be shared among them.
    """
    channels, height, width = shape
    fine = CELLS if channels % CELLS**2 == 0 else 1
    depth, rows, columns = channels // fine**2, height * fine, width * fine
    tiles: dict[int, torch.Tensor] = {}

    def tile(index: int) -> torch.Tensor:
        if index not in tiles:
            tiles[index] = _keyed_noise(f"{seed}:strip:{index}", (depth, rows, columns))
        return tiles[index]

    made = []
    for frame in frames:
        top, within = divmod(-round(speed * fine * frame), rows)
        strip = torch.cat([tile(top), tile(top + 1)], dim=1)[:, within : within + rows]
        made.append(torch.nn.functional.pixel_unshuffle(strip, fine))
    return torch.stack(made)


def clip_noise(shape: Sequence[int], share: float, generator: torch.Generator) -> torch.Tensor:
    """Mixed noise for training: (B, T, ...) float32, the shared part drawn once per clip of the batch."""
    batch, frames, *rest = shape
    shared = torch.randn(batch, 1, *rest, generator=generator)
    return _mix(shared, torch.randn(batch, frames, *rest, generator=generator), share)


def _mix(shared: torch.Tensor, own: torch.Tensor, share: float) -> torch.Tensor:
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"share of common noise must be from 0 to 1, got {share}")
    return math.sqrt(share) * shared + math.sqrt(1.0 - share) * own


def _keyed_noise(key: str, shape: Sequence[int]) -> torch.Tensor:
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    generator = torch.Generator("cpu").manual_seed(int.from_bytes(digest, "little") >> 1)
    return torch.randn(tuple(shape), generator=generator)
