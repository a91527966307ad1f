"""Pixels to latents and back, whatever the autoencoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

PIXELS_AT_ONCE = 8 * 256 * 256
TOGETHER = 4  # frames at least that a decoder that mixes them sees at once, however large, unless it is limited


class Codec(nn.Module):
    """``PatchAutoencoder``, diffusers' ``AutoencoderTiny`` or ``AutoencoderKL`` over the frames of a clip.

    Deterministic: the mode of the posterior, where there is one. Latents are scaled to about unit variance, as the
    diffusion network wants them. The decoder of an ``AutoencoderKLTemporalDecoder`` sees the frames that it decodes at
    once as a clip.

    Diffusers' larger autoencoders may overflow in fp16. What comes out as no number is computed again in fp32, and so
    is all that follows; ``overflowed`` tells.
    """

    def __init__(self, vae: Any, pixels_at_once: int = PIXELS_AT_ONCE) -> None:
        super().__init__()
        self.vae = vae
        self.pixels_at_once = pixels_at_once
        self.limited = False
        self.overflowed = False

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return next(self.vae.parameters()).dtype

    @property
    def mixes_frames(self) -> bool:
        """Whether what the decoder makes of a frame depends on those that it decodes with it."""
        return type(self.vae).__name__ == "AutoencoderKLTemporalDecoder"

    def decoded_at_once(self, pixels: int) -> int:
        """How many frames of so many pixels are decoded together; where they are mixed, up to twice as many."""
        return max(TOGETHER if self.mixes_frames and not self.limited else 1, self.pixels_at_once // pixels)

    @property
    def can_overflow(self) -> bool:
        """Whether fp16 may be too narrow for it: what is planned for fp16 has to leave room for fp32."""
        return type(self.vae).__name__.startswith("AutoencoderKL")

    def beside(self, dtype: torch.dtype) -> torch.dtype:
        """What it should compute in where the networks do in ``dtype``: fp32 for fp16, where Stable Video Diffusion's
        says beforehand that it overflows. (Diffusers sets the same flag for every ``AutoencoderKL``; most never do.)"""
        says = self.mixes_frames and bool(self.vae.config.get("force_upcast"))
        return torch.float32 if says and dtype == torch.float16 else dtype

    @property
    def channels(self) -> int:
        """Of the latents."""
        return int(self.vae.config["latent_channels"])

    @property
    def stride(self) -> int:
        """Pixels per latent, along each side."""
        patch = self.vae.config.get("patch_size")
        return int(patch) if patch else 2 ** (len(self.vae.config["block_out_channels"]) - 1)

    @property
    def _scale_shift(self) -> tuple[float, float]:
        config = self.vae.config
        return float(config.get("scaling_factor") or 1.0), float(config.get("shift_factor") or 0.0)

    @property
    def can_tile(self) -> bool:
        """Whether the autoencoder can see a picture in overlapping tiles."""
        return hasattr(self.vae, "enable_tiling") and hasattr(self.vae, "tile_latent_min_size")

    def limit(self, pixels_at_once: int | None, tile: int | None) -> None:
        """Hold less memory: at most so many pixels at once, and pictures in tiles of ``tile`` pixels. None: as it is.

        Tiles overlap and are blended, and change the result a little; a network that cannot tile ignores them. Fewer
        frames at once change what a decoder makes that mixes them.
        """
        if pixels_at_once is not None:
            self.pixels_at_once, self.limited = pixels_at_once, True
        if tile is not None and self.can_tile:
            self.vae.tile_sample_min_size, self.vae.tile_latent_min_size = tile, tile // self.stride
            self.vae.enable_tiling()

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        """(T, 3, H, W) in [-1, 1] to (T, C, H/stride, W/stride) float32. H and W are multiples of the stride."""
        stride = self.stride
        if frames.shape[-2] % stride or frames.shape[-1] % stride:
            raise ValueError(f"frames of {frames.shape[-1]}×{frames.shape[-2]} pixels: sides must divide by {stride}")
        scale, shift = self._scale_shift
        at_once = max(1, self.pixels_at_once // frames.shape[-2:].numel())
        return (self._chunked(self._encode, frames, at_once) - shift) * scale

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """(T, C, h, w) to (T, 3, h·stride, w·stride) float32, about in [-1, 1]."""
        pixels = latents.shape[-2:].numel() * self.stride**2
        return self._chunked(self._decode, self.unscale(latents), self.decoded_at_once(pixels))

    def unscale(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents as the autoencoder itself has them: what InstructPix2Pix and InsV2V are conditioned on."""
        scale, shift = self._scale_shift
        return latents / scale + shift

    def _encode(self, frames: torch.Tensor) -> torch.Tensor:
        output = self.vae.encode(frames)
        return output.latents if hasattr(output, "latents") else output.latent_dist.mode()

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        frames = {"num_frames": len(latents)} if self.mixes_frames else {}
        return self.vae.decode(latents, **frames).sample

    def _chunked(self, function: Any, batch: torch.Tensor, at_once: int) -> torch.Tensor:
        # Evenly, so that no frame is left over by itself where frames are mixed.
        parts = batch.tensor_split(max(1, len(batch) // at_once)) if self.mixes_frames else batch.split(at_once)
        return torch.cat([self._finite(function, part) for part in parts])

    def _finite(self, function: Any, part: torch.Tensor) -> torch.Tensor:
        """``function(part)`` in float32, if need be from fp32 weights; what comes in as no number stays none."""
        made = function(part.to(self.dtype)).float()
        if self.dtype != torch.float16 or bool(made.isfinite().all()) or not bool(part.isfinite().all()):
            return made
        torch.nn.Module.to(self.vae, torch.float32)  # diffusers' own prints advice
        self.overflowed = True
        return function(part.float())
