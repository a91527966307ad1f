"""Layers that mix frames: a residual temporal convolution, and the layer that pairs it with temporal attention.

Activations come as diffusers' 2D blocks leave them, frames folded into the batch: (B·T, C, h, w).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional


class TemporalConvolution(nn.Module):
    """x + f(x), where f is ``layers`` times GroupNorm, SiLU, and a convolution of 3 frames × 1 × 1.

    The last convolution starts at zero, so that the layer starts as the identity (InstructVid2Vid's inflation of a 2D
    network; the residual form is that of ModelScope's text-to-video U-Net). Normalisation is over the whole clip, so
    that differences of brightness between frames are seen.
    """

    def __init__(self, channels: int, groups: int = 32, layers: int = 1) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(groups, channels) for _ in range(layers))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, kernel_size=(3, 1), padding=(1, 0)) for _ in range(layers)
        )
        last = self.convolutions[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, hidden: torch.Tensor, frames: int) -> torch.Tensor:
        """(B·T, C, h, w) to the same; ``frames`` is T."""
        clips, (channels, height, width) = hidden.shape[0] // frames, hidden.shape[1:]
        # A clip becomes one picture of T rows and h·w columns: a 3×1 kernel then runs over time alone.
        residual = hidden.reshape(clips, frames, channels, height * width).transpose(1, 2)
        residual = residual.contiguous(memory_format=torch.channels_last)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            residual = convolution(functional.silu(norm(residual)))
        return hidden + residual.transpose(1, 2).reshape(hidden.shape)


class TemporalLayer(nn.Module):
    """A temporal convolution, then temporal attention; either may be absent.

    It stands where ``UNetMotionModel`` keeps its motion modules, after each ResNet block and its spatial attention,
    and answers to their call, which is the only one inside the blocks that is told the number of frames.
    """

    def __init__(self, convolution: TemporalConvolution | None, attention: nn.Module | None) -> None:
        super().__init__()
        self.convolution = convolution
        self.attention = attention

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: Any = None,
        timestep: Any = None,
        class_labels: Any = None,
        num_frames: int = 1,
        cross_attention_kwargs: Any = None,
    ) -> torch.Tensor:
        """(B·T, C, h, w) to the same. The unnamed conditions are those of a motion module, and unused."""
        if self.convolution is not None:
            hidden_states = self.convolution(hidden_states, num_frames)
        if self.attention is not None:
            hidden_states = self.attention(hidden_states, num_frames=num_frames)
        return hidden_states
