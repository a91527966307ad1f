"""A codec that starts as the best linear one: patches, principal components, and a residual network around them.

nano's VAE. diffusers' ``AutoencoderTiny`` and ``AutoencoderKL`` upsample by repeating pixels, so from a flat field of
latents their decoders cannot paint anything but a flat picture; at sixteen channels and stride 8 they end below the
principal components of 8×8 patches. Here both halves hold that linear codec and learn what to add to it, at the
latents' resolution, which is also several times cheaper.
"""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """x + convolution(SiLU(convolution(SiLU(x)))), 3×3, no norms; the second convolution starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        return hidden + self.second(functional.silu(self.first(functional.silu(hidden))))


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """``encode``: (B, 3, H, W) in [-1, 1] → ``latent_dist`` of (B, C, H/p, W/p); ``decode`` → ``sample`` (B, 3, H, W).

    Deterministic: the distribution has no width, so mode and sample agree. H and W are multiples of the patch size p.
    """

    @register_to_config
    def __init__(
        self,
        in_channels: int = 3,
        latent_channels: int = 16,
        patch_size: int = 8,
        encoder_width: int = 128,
        encoder_layers: int = 2,
        decoder_width: int = 192,
        decoder_layers: int = 4,
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()
        pixels = in_channels * patch_size**2
        self.encoder_linear = nn.Conv2d(pixels, latent_channels, 1)
        self.encoder = nn.Sequential(
            nn.Conv2d(pixels, encoder_width, 1),
            *(Residual(encoder_width) for _ in range(encoder_layers)),
            nn.SiLU(),
            nn.Conv2d(encoder_width, latent_channels, 1),
        )
        self.decoder_linear = nn.Conv2d(latent_channels, pixels, 1)
        self.decoder = nn.Sequential(
            nn.Conv2d(latent_channels, decoder_width, 3, padding=1),
            *(Residual(decoder_width) for _ in range(decoder_layers)),
            nn.SiLU(),
            nn.Conv2d(decoder_width, pixels, 3, padding=1),
        )
        for last in (self.encoder[-1], self.decoder[-1]):
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    @torch.no_grad()
    def start_from_components(self, matrix: Tensor, mean: Tensor) -> None:
        """Make it the linear codec z = matrix·(patch − mean): matrix (C, 3·p²), mean (3·p²,)."""
        back = torch.linalg.pinv(matrix)
        self.encoder_linear.weight.copy_(matrix[..., None, None])
        self.encoder_linear.bias.copy_(-matrix @ mean)  # type: ignore[union-attr]
        self.decoder_linear.weight.copy_(back[..., None, None])
        self.decoder_linear.bias.copy_(mean)  # type: ignore[union-attr]

    def encode(self, x: Tensor, return_dict: bool = True) -> AutoencoderKLOutput | tuple[DiagonalGaussianDistribution]:
        """Latents, before ``scaling_factor``, as diffusers' autoencoders give them."""
        patches = functional.pixel_unshuffle(x, self.config["patch_size"])
        latents = self.encoder_linear(patches) + self.encoder(patches)
        exact = DiagonalGaussianDistribution(torch.cat([latents, torch.zeros_like(latents)], 1), deterministic=True)
        return AutoencoderKLOutput(latent_dist=exact) if return_dict else (exact,)

    def decode(self, z: Tensor, return_dict: bool = True) -> DecoderOutput | tuple[Tensor]:
        """Pixels, about in [-1, 1]."""
        sample = functional.pixel_shuffle(self.decoder_linear(z) + self.decoder(z), self.config["patch_size"])
        return DecoderOutput(sample=sample) if return_dict else (sample,)
