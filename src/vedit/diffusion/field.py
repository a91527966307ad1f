"""Which token of a keyframe a token resembles most, and how two keyframes share a frame between them.

Geyer et al., "TokenFlow: Consistent Diffusion Features for Consistent Video Editing" (2023), section 4.2.
"""

from __future__ import annotations

import torch
from torch.nn import functional

MATCHES_AT_ONCE = 2**26  # similarities


def nearest(tokens: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """For each token (n, N, C) the index of the one of ``keys`` (M, C) with the highest cosine: (n, N)."""
    keys = functional.normalize(keys.float(), dim=-1)
    flat = functional.normalize(tokens.float(), dim=-1).flatten(0, 1)
    rows = max(1, MATCHES_AT_ONCE // len(keys))
    return torch.cat([(part @ keys.T).argmax(dim=-1) for part in flat.split(rows)]).unflatten(0, tokens.shape[:2])


def shares(frames: range, own: float, previous: float) -> torch.Tensor:
    """The weight of the own keyframe for each frame, (n,): sigmoid of how far, of both keyframes' places ``own`` and
    ``previous``, the previous one's is."""
    index = torch.tensor(list(frames), dtype=torch.float32)
    to_own, to_previous = (index - own).abs(), (index - previous).abs()
    return torch.sigmoid(to_previous / (to_own + to_previous))
