"""Tune-A-Video's inflation of a 2D diffusion U-Net.

Wu et al., "Tune-A-Video: One-Shot Tuning of Image Diffusion Models for Text-to-Video Generation" (2023), section 4: the
self-attention of a frame looks at the first and at the previous frame, and each transformer block ends with attention
over the frames at every position. The 2D network itself is diffusers', used and not copied: what is added hangs on its
blocks as hooks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from torch import nn

from vedit.nets.framewise import by_frame

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    # The blocks of diffusers hand an attention more than its forward names.
    Call = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class TuneAVideoConfig:
    """``attention``: what a frame's self-attention sees, the first and the previous frame, or itself as in 2D.

    ``temporal``: attention over the frames at the end of every transformer block.
    """

    attention: Literal["sparse-causal", "frame"] = "sparse-causal"
    temporal: bool = True


class TemporalAttention(nn.Module):
    """x + attention(norm(x)) over the frames at every position; starts as the identity.

    The public code leaves the bias of the output at random, so that its inflated network is not the 2D one at the
    start; here weight and bias are zero. The norm has no weights, since the method does not train it.
    """

    def __init__(self, channels: int, heads: int, head_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.attention = zeroed(Attention(channels, heads=heads, dim_head=head_channels, bias=False))

    def forward(self, hidden: torch.Tensor, frames: int) -> torch.Tensor:
        """(B·T, N, C) to the same; ``frames`` is T."""
        rows = hidden.unflatten(0, (-1, frames)).transpose(1, 2)  # (B, N, T, C)
        mixed = self.attention(self.norm(rows.flatten(0, 1))).unflatten(0, rows.shape[:2])
        return hidden + mixed.transpose(1, 2).flatten(0, 1)


class TuneAVideoUNet(nn.Module):
    """A 2D U-Net that edits clips: diffusers' own, with sparse-causal and temporal attention hung on its blocks.

    Takes the 2D network over: freezes it, and from then on it is only to be called through this. At the start it is
    that network with sparse-causal attention; with ``attention="frame"`` it is that network, frame by frame.
    """

    def __init__(self, unet: UNet2DConditionModel, config: TuneAVideoConfig | None = None) -> None:
        super().__init__()
        self.config = config or TuneAVideoConfig()
        self.unet = unet.requires_grad_(False)
        self.temporal = nn.ModuleDict()
        self._frames = 1
        for name, block in transformer_blocks(unet):
            self_attention: Any = block.attn1
            if self.config.attention == "sparse-causal":
                self_attention.register_forward_pre_hook(self._look_back, with_kwargs=True)
            if self.config.temporal:
                heads = self_attention.heads
                layer = TemporalAttention(block.dim, heads, self_attention.inner_dim // heads)
                self.temporal[name.replace(".", "-")] = layer.to(unet.device, unet.dtype)
                block.register_forward_hook(_Mix(self, layer))
        for parameter in self.trained().values():
            parameter.requires_grad_(True)

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that the method trains, by name: both attentions' queries, and all of the temporal ones."""
        found = {}
        for name, parameter in self.named_parameters():
            queries = name.endswith(("attn1.to_q.weight", "attn2.to_q.weight"))
            if queries or name.startswith("temporal."):
                found[name] = parameter
        return found

    def forward(self, latents: torch.Tensor, timestep: torch.Tensor | int, text: torch.Tensor) -> torch.Tensor:
        """latents (B, T, C, h, w), timestep () or (B,), text (B or 1, L, D); returns (B, T, C', h, w)."""
        self._frames = latents.shape[1]
        return by_frame(self.unet, latents, timestep, text)

    def _look_back(self, module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> Call:
        return arguments, named | {"encoder_hidden_states": sparse_causal(arguments[0], self._frames)}


class _Mix:
    """The hook at the end of a transformer block. An object, so that a copy of the network hooks to the copy."""

    def __init__(self, network: TuneAVideoUNet, layer: TemporalAttention) -> None:
        self.network = network
        self.layer = layer

    def __call__(self, module: nn.Module, arguments: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        return self.layer(output, self.network._frames)


def sparse_causal(hidden: torch.Tensor, frames: int) -> torch.Tensor:
    """What keys and values are made of: the tokens of the first frame, then those of the previous one.

    (B·T, N, C) to (B·T, 2N, C). The first frame is its own previous one. (Tune-A-Video, eq. 3.)
    """
    clip = hidden.unflatten(0, (-1, frames))
    first = clip[:, :1]
    previous = torch.cat([first, clip[:, :-1]], dim=1)
    return torch.cat([first.expand_as(clip), previous], dim=2).flatten(0, 1)


def transformer_blocks(unet: nn.Module) -> Iterator[tuple[str, Any]]:
    """The transformer blocks of a U-Net by name, in the order of its modules."""
    return ((name, module) for name, module in unet.named_modules() if isinstance(module, BasicTransformerBlock))


def zeroed(attention: Attention) -> Attention:
    """The attention with its output projection at zero: nothing is added until it is trained."""
    layers: Any = attention.to_out
    nn.init.zeros_(layers[0].weight)
    nn.init.zeros_(layers[0].bias)
    return attention
