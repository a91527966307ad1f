"""Looking into the attention of a U-Net and changing it, for as long as a ``with`` block lasts.

The network is diffusers' own and stays so: inside the block the chosen layers ask a rule, afterwards they have the
processors that they had. Layers are addressed by where they are (:class:`Place`): by part, block and layer, or by how
much coarser than the latent they are, never by an absolute size.

A rule gets a :class:`Call` and returns the layer's output. Frames of one clip are the batch, one guidance branch a
call, so that a rule never has to know which third of a batch it is in.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import nn
from torch.nn import functional

from vedit.errors import ResourceError

_NAME = re.compile(
    r"(?:(down|up)_blocks\.(\d+)|mid_block)\.attentions\.(\d+)\.(temporal_)?transformer_blocks\.(\d+)\.attn([12])"
)


@dataclass(frozen=True, eq=False)
class Place:
    """One attention layer of a U-Net.

    ``name``: of the module. ``part``: down, mid or up; ``block`` and ``layer`` count from 0 in it. ``factor``: side of
    a token in latents, so 1 at the resolution of the latent. ``text``: attends to the text instead of the picture.
    """

    name: str
    module: Any
    part: str
    block: int
    layer: int
    factor: int
    text: bool


def places(unet: nn.Module, *, text: bool, temporal: bool = False) -> list[Place]:
    """The layers that attend to the text, or those that attend to the picture, in the order of a U-Net's blocks.

    ``unet``: any of diffusers' U-Nets with ``down_blocks``, ``mid_block`` and ``up_blocks``. ``temporal``: instead, the
    layers of ``UNetSpatioTemporalConditionModel`` over frames; in their calls positions are the batch and frames the
    tokens.
    """
    levels = len(unet.down_blocks)  # type: ignore[arg-type]
    found = []
    for name, module in unet.named_modules():
        match = _NAME.fullmatch(name)
        if match is None or (match[6] == "2") is not text or (match[4] is not None) is not temporal:
            continue
        part, block = match[1] or "mid", int(match[2] or 0)
        depth = {"down": block, "mid": levels - 1, "up": levels - 1 - block}[part]
        found.append(Place(name, module, part, block, int(match[3]), 2**depth, text))
    return found


@dataclass(frozen=True, eq=False)
class Call:
    """One call of one layer. ``hidden``: (T, N, C), normalised; ``context``: (T, L, D), the text, or ``hidden``."""

    place: Place
    hidden: torch.Tensor
    context: torch.Tensor

    def project(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Query (T, heads, N, d), key and value (T, heads, L, d)."""
        attention = self.place.module
        context = self.context
        if self.place.text and attention.norm_cross:
            context = attention.norm_encoder_hidden_states(context)
        query, key, value = attention.to_q(self.hidden), attention.to_k(context), attention.to_v(context)
        query, key, value = (part.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for part in (query, key, value))
        if attention.norm_q is not None:
            query = attention.norm_q(query)
        if attention.norm_k is not None:
            key = attention.norm_k(key)
        return query, key, value

    def close(self, mixed: torch.Tensor) -> torch.Tensor:
        """Values mixed by attention, (T, heads, N, d), to the output of the layer, (T, N, C)."""
        attention = self.place.module
        joined = mixed.transpose(1, 2).flatten(2)
        return attention.to_out[1](attention.to_out[0](joined)) / attention.rescale_output_factor


Rule = Callable[[Call], torch.Tensor]
Pick = Callable[[torch.Tensor], torch.Tensor]


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """softmax(q·kᵀ/√d)·v: (T, heads, N, d) from (T, heads, N, d) and twice (T, heads, L, d)."""
    return functional.scaled_dot_product_attention(query, key, value)


def probabilities(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """softmax(q·kᵀ/√d): (T, heads, N, L) in the dtype of ``query``, the softmax taken in float32."""
    # Scaled before the product, which half precision could not hold otherwise.
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    return scores.float().softmax(dim=-1).to(query.dtype)


def plain(call: Call) -> torch.Tensor:
    """The rule that changes nothing."""
    return call.close(attend(*call.project()))


def cross_frame(pick: Pick) -> Rule:
    """The rule by which frames attend to the tokens of other frames; ``pick`` says of which (below)."""

    def rule(call: Call) -> torch.Tensor:
        query, key, value = call.project()
        return call.close(attend(query, pick(key), pick(value)))

    return rule


def of_frame(index: int) -> Pick:
    """Every frame attends to the frame ``index`` alone (Text2Video-Zero, eq. 9, with the first frame)."""
    return lambda tokens: tokens[index].expand_as(tokens)


def of_all(tokens: torch.Tensor) -> torch.Tensor:
    """Every frame attends to all of them: (T, heads, T·N, d)."""
    together = tokens.transpose(0, 1).flatten(1, 2)
    return together.expand(len(tokens), *together.shape)


class _Asking:
    """What stands in the place of a layer's processor. No module: the network has as many as before."""

    def __init__(self, place: Place, rule: Rule) -> None:
        self._place = place
        self._rule = rule

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        *rest: Any,
        **more: Any,
    ) -> torch.Tensor:
        if attention_mask is not None:
            raise ValueError(f"{self._place.name}: is asked with a mask, which no rule reads")
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        return self._rule(Call(self._place, hidden_states, context))


@contextmanager
def attention(where: Iterable[Place], rule: Rule) -> Iterator[None]:
    """While the block runs, the layers ``where`` do what ``rule`` says. The inner one of nested blocks counts."""
    with ExitStack() as stack:
        for place in where:
            stack.callback(place.module.set_processor, place.module.processor)
            place.module.set_processor(_Asking(place, rule))
        yield


@contextmanager
def residuals(
    unet: nn.Module, blocks: Iterable[tuple[int, int]], rule: Callable[[tuple[int, int], torch.Tensor], torch.Tensor]
) -> Iterator[None]:
    """While the block runs, ``rule`` sees and may change what ResNets of the up blocks add to their shortcut.

    ``blocks``: (up block, ResNet in it), both from 0; ``rule(which, residual)`` gets (T, C, h, w) and returns the same.
    """
    with ExitStack() as stack:
        for which in blocks:
            resnet: Any = unet.up_blocks[which[0]].resnets[which[1]]  # type: ignore[index, union-attr]
            convolution = getattr(resnet, "spatial_res_block", resnet).conv2

            def hook(module: nn.Module, inputs: Any, output: torch.Tensor, which: Any = which) -> torch.Tensor:
                return rule(which, output)

            stack.callback(convolution.register_forward_hook(hook).remove)
        yield


class Store:
    """Tensors by key, in half precision: in memory up to ``memory`` bytes, beyond that in a file of its own.

    The file has no name from the start, so it goes with the process however that ends. ``folder`` is where it lies,
    by default the system's folder for temporary files.
    """

    def __init__(self, memory: int, folder: Path | None = None) -> None:
        self.memory = memory
        self.in_memory = 0  # bytes
        self.on_disk = 0
        self._folder = folder
        self._held: dict[Hashable, torch.Tensor] = {}
        self._placed: dict[Hashable, tuple[int, torch.Size]] = {}
        self._file: IO[bytes] | None = None

    def __contains__(self, key: Hashable) -> bool:
        return key in self._held or key in self._placed

    def put(self, key: Hashable, tensor: torch.Tensor) -> None:
        """Keep a copy of ``tensor``. A key is written once: raises ``ValueError`` for one that is there."""
        if key in self:
            raise ValueError(f"{key} is in the store already")
        half = tensor.detach().to("cpu", torch.float16).contiguous()
        size = half.numel() * 2
        if self.in_memory + size <= self.memory:
            self._held[key] = half.clone() if half.data_ptr() == tensor.data_ptr() else half
            self.in_memory += size
            return
        try:
            if self._file is None:
                if self._folder is not None:
                    self._folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self._folder, prefix="vedit-attention-")  # noqa: SIM115
            self._file.seek(self.on_disk)
            self._file.write(half.numpy().data.cast("B"))
        except OSError as error:
            raise ResourceError(
                f"{self._folder or tempfile.gettempdir()}: cannot hold the source's attention "
                f"({error.strerror or error}, after {self.on_disk / 1e9:.1f} GB); make room there, or use -s maps=again"
            ) from None
        self._placed[key] = (self.on_disk, half.shape)
        self.on_disk += size

    def get(self, key: Hashable, like: torch.Tensor) -> torch.Tensor:
        """What was put there, in the dtype and on the device of ``like``. Raises ``KeyError``."""
        if key in self._held:
            return self._held[key].to(like)
        offset, shape = self._placed[key]
        assert self._file is not None
        half = torch.empty(shape, dtype=torch.float16)
        self._file.seek(offset)
        self._file.readinto(half.numpy().data.cast("B"))  # type: ignore[attr-defined]
        return half.to(like)

    def clear(self) -> None:
        """Forget everything."""
        self._held.clear()
        self._placed.clear()
        self.in_memory = self.on_disk = 0
        if self._file is not None:
            self._file.close()
            self._file = None
