"""A picture as one vector, for what reads a picture by cross-attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class ImageEncoder(nn.Module):
    """The pictures' half of CLIP: transformers' ``CLIPModel`` or ``CLIPVisionModelWithProjection``.

    Pictures are made ready as Stable Video Diffusion was trained: squeezed to the encoder's square whatever their
    aspect, nothing cut off. ``mean`` and ``deviation``: of the encoder's colours, for pictures in [0, 1].
    """

    def __init__(self, network: nn.Module, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        config: Any = network.config
        self._config = getattr(config, "vision_config", config)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation, dtype=torch.float32).view(3, 1, 1), persistent=False)

    @property
    def width(self) -> int:
        """Of the vectors."""
        return int(self._config.projection_dim)

    @property
    def side(self) -> int:
        """Of the square that it sees, pixels."""
        return int(self._config.image_size)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) in [-1, 1] to (N, P) float32, not normalised."""
        square = (squeeze(pictures.float(), self.side) + 1.0) / 2.0
        mean, deviation = (torch.as_tensor(values).float() for values in (self.mean, self.deviation))
        network: Any = self.network
        pixels = ((square - mean) / deviation).to(next(network.parameters()).dtype)
        if hasattr(network, "get_image_features"):
            return network.get_image_features(pixel_values=pixels).pooler_output.float()
        return network(pixel_values=pixels).image_embeds.float()


def squeeze(pictures: torch.Tensor, side: int) -> torch.Tensor:
    """(N, C, H, W) to (N, C, side, side): a Gaussian against aliasing, then bicubic with aligned corners.

    The Gaussian is of σ = (factor − 1)/2 pixels along each side and ends at 2·σ.
    """
    for axis in (-2, -1):
        deviation = max((pictures.shape[axis] / side - 1.0) / 2.0, 0.001)
        length = int(max(4.0 * deviation, 3.0)) | 1
        at = torch.arange(length, dtype=torch.float32, device=pictures.device) - length // 2
        weights = torch.exp(-0.5 * (at / deviation) ** 2)
        shape = (1, 1, -1, 1) if axis == -2 else (1, 1, 1, -1)
        kernel = (weights / weights.sum()).view(shape).expand(pictures.shape[1], -1, -1, -1).to(pictures)
        half = length // 2
        padding = (0, 0, half, half) if axis == -2 else (half, half, 0, 0)
        padded = functional.pad(pictures, padding, mode="reflect")
        pictures = functional.conv2d(padded, kernel, groups=pictures.shape[1])
    return functional.interpolate(pictures, size=(side, side), mode="bicubic", align_corners=True)
