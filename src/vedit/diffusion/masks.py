"""Masks of an edit, from the attention to the words that change, and blending by them.

Qi et al., "FateZero: Fusing Attentions for Zero-shot Text-based Video Editing" (2023), section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional


def of_words(
    maps: Sequence[torch.Tensor], words: Sequence[int], size: tuple[int, int], threshold: float
) -> torch.Tensor:
    """Where pictures attend to ``words``: (T, 1, h, w), 1 where more than ``threshold`` of the most in the frame.

    ``maps``: attention to the text of some layers of one ``size`` (h, w), (T, heads, h·w, L) each, whose mean counts;
    it is spread by a pixel to all sides.
    """
    found = torch.stack([layer[..., list(words)].float().sum(-1).mean(1) for layer in maps]).mean(0)
    found = functional.max_pool2d(found.unflatten(-1, size)[:, None], 3, stride=1, padding=1)
    found = found / found.amax(dim=(2, 3), keepdim=True).clamp_min(1e-12)
    return (found > threshold).float()


def blended(inside: torch.Tensor, outside: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Latents (T, C, h, w) that are ``inside``'s where the mask (T, 1, h', w') is 1, ``outside``'s where it is 0."""
    mask = functional.interpolate(mask, size=inside.shape[-2:], mode="nearest").to(inside)
    return mask * inside + (1.0 - mask) * outside
