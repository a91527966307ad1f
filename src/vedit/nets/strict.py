"""Filling a module from a state dictionary with every key and shape accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from vedit.errors import ModelError


def fill(module: nn.Module, state: Mapping[str, torch.Tensor], where: str) -> None:
    """Load ``state`` with every key and shape accounted for. Raises ``ModelError`` that lists what is off."""
    own = module.state_dict()
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or unexpected:
        raise ModelError(f"{where}: {account(missing, unexpected)}; the file does not belong to this configuration")
    for key, tensor in own.items():
        if tensor.shape != state[key].shape:
            raise ModelError(f"{where}: {key} has shape {tuple(state[key].shape)}, expected {tuple(tensor.shape)}")
    module.load_state_dict(state)


def account(missing: Sequence[str], unexpected: Sequence[str]) -> str:
    """One phrase that counts missing and unexpected keys and names the first of them."""
    parts = []
    for name, keys in (("missing", missing), ("unexpected", unexpected)):
        if keys:
            parts.append(f"{len(keys)} {name} keys ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})")
    return ", ".join(parts)
