"""Where the weights of a network are while it runs, and how they lie there.

Diffusers has group offloading too; its hooks need accelerate, and copy weights back that have not changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

BACKEND = "inductor"  # what compiles


def place(
    network: Any,
    device: str,
    dtype: torch.dtype | None = None,
    *,
    offload: bool = False,
    whole: bool = False,
    channels_last: bool = False,
    compiled: bool = False,
) -> Any:
    """Make ``network`` ready to run on ``device`` in ``dtype``, None: its own. In place; returns it.

    ``offload``: weights wait in main memory and come for as long as their layer runs, with ``whole`` for as long as all
    of the network does. ``channels_last``: weights of 2D convolutions lie with the channels innermost. ``compiled``: by
    ``torch.compile``, as one graph; what cannot be one is an error when it runs.
    """
    nn.Module.to(network, device=None if offload else device, dtype=dtype)  # diffusers' own prints advice
    if channels_last:
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    if offload:
        for layer, tensors in _layers(network, whole):
            _bring_when_run(layer, tensors, torch.device(device))
    if compiled:
        network.compile(backend=BACKEND, fullgraph=True)
    return network


def _layers(network: nn.Module, whole: bool) -> Iterator[tuple[nn.Module, list[nn.Module]]]:
    """What is run as one, with the modules whose own tensors it needs."""
    holders = [module for module in network.modules() if _own(module)]
    if whole:
        yield network, holders
    else:
        yield from ((module, [module]) for module in holders)


def _own(module: nn.Module) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor | None] = {**module._parameters, **module._buffers}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _bring_when_run(layer: nn.Module, holders: list[nn.Module], device: torch.device) -> None:
    """Before ``layer`` runs, what ``holders`` have goes to the device; afterwards what waited is back in its place.

    Copies and kernels are queued on one stream, so that nobody has to wait, and what is freed is used again in order.
    """
    if device.type == "cuda":
        for holder in holders:
            for tensor in _own(holder).values():
                tensor.data = tensor.data.pin_memory()
    waiting: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def before(*_: Any) -> None:
        for holder in holders:
            stores: Any = (holder._parameters, holder._buffers)
            for slots in stores:
                waiting.append((slots, dict(slots)))
                slots.update({name: bring(tensor, device) for name, tensor in slots.items() if tensor is not None})

    def after(*_: Any) -> None:
        for slots, tensors in waiting:
            slots.update(tensors)
        waiting.clear()

    layer.register_forward_pre_hook(before)
    layer.register_forward_hook(after, always_call=True)


def bring(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A copy on the device, a parameter if ``tensor`` is one."""
    copy = tensor.detach().to(device, non_blocking=True)
    return nn.Parameter(copy, requires_grad=False) if isinstance(tensor, nn.Parameter) else copy
