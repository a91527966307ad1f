"""Calling a 2D U-Net of diffusers on the frames of a clip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


def by_frame(
    unet: UNet2DConditionModel, latents: torch.Tensor, timestep: torch.Tensor | int, text: torch.Tensor
) -> torch.Tensor:
    """latents (B, T, C, h, w), timestep () or (B,), text (B or 1, L, D); returns (B, T, C', h, w).

    Frames are folded into the batch, clip after clip. The network computes in its own dtype; the result has that of
    ``latents``.
    """
    batch, frames = latents.shape[:2]
    timestep = torch.as_tensor(timestep, device=latents.device).expand(batch).repeat_interleave(frames)
    text = text.to(unet.dtype).expand(batch, -1, -1).repeat_interleave(frames, dim=0)
    output = unet(latents.flatten(0, 1).to(unet.dtype), timestep, text, return_dict=False)[0]
    return output.unflatten(0, (batch, frames)).to(latents.dtype)
