"""What the tests of the video networks share: tiny 2D networks, clips for them, and the 2D answer to compare with."""

from __future__ import annotations

import torch

from tests.engines import tiny

CHANNELS = tiny.CHANNELS


def unet2d():
    """A 2D network that turns noisy latents into noise; always the same weights."""
    return tiny.tiny_unet2d(CHANNELS)


def inputs(clips=2, frames=3, seed=0):
    """Latents, timesteps and texts."""
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(clips, frames, CHANNELS, 4, 6, generator=generator)
    return latents, torch.tensor([10, 700][:clips]), torch.randn(clips, tiny.LENGTH, tiny.WIDTH, generator=generator)


def per_frame(unet, latents, timestep, text):
    """Each frame on its own, through the 2D network."""
    with torch.no_grad():
        frames = [
            [unet(frame[None], t, words[None]).sample[0] for frame in clip]
            for clip, t, words in zip(latents, timestep, text, strict=True)
        ]
    return torch.stack([torch.stack(clip) for clip in frames])


def disturb(network, scale=0.3):
    """Move everything that trains away from where it starts."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in network.trained().values():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return network
