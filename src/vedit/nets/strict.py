"""Filling a module from a state dictionary with every key and shape accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from vedit.errors import ModelError


def fill(module: nn.Module, state: Mapping[str, torch.Tensor], where: str) -> None:
    """Load ``state`` with every key and shape accounted for. Raises ``ModelError`` that lists what is off."""
    check(module.state_dict(), state, where)
    module.load_state_dict(state)


def fill_parameters(parameters: Mapping[str, nn.Parameter], state: Mapping[str, torch.Tensor], where: str) -> None:
    """The same for some parameters of a module, by the names that they have in ``state``."""
    check(parameters, state, where)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state[name])


def check(own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], where: str) -> None:
    """Raise ``ModelError`` unless ``state`` has the keys and shapes of ``own``."""
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or unexpected:
        error = ModelError(f"{where}: {account(missing, unexpected)}; the file does not belong to this configuration")
        error.add_note("\n".join([f"missing: {key}" for key in missing] + [f"unexpected: {key}" for key in unexpected]))
        raise error
    for key, tensor in own.items():
        if tensor.shape != state[key].shape:
            raise ModelError(f"{where}: {key} has shape {tuple(state[key].shape)}, expected {tuple(tensor.shape)}")


def account(missing: Sequence[str], unexpected: Sequence[str]) -> str:
    """One phrase that counts missing and unexpected keys and names the first of them."""
    parts = []
    for name, keys in (("missing", missing), ("unexpected", unexpected)):
        if keys:
            parts.append(f"{len(keys)} {name} keys ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})")
    return ", ".join(parts)
