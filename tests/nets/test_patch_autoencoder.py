"""nano's VAE: it starts as the linear codec that it is given, and is the same after a round trip through a folder."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch

from vedit import weights
from vedit.nets.patch_autoencoder import PatchAutoencoder, Residual

torch.set_num_threads(1)

CHANNELS = 5


def small(patch: int, **more: Any) -> PatchAutoencoder:
    torch.manual_seed(0)
    return PatchAutoencoder(
        latent_channels=CHANNELS,
        patch_size=patch,
        encoder_width=8,
        encoder_layers=1,
        decoder_width=8,
        decoder_layers=2,
        **more,
    ).eval()


def disturbed(patch: int, **more: Any) -> PatchAutoencoder:
    """With no weight left at zero."""
    vae = small(patch, **more)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return vae


def components(patch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A linear codec: matrix (C, 3, p, p) and mean (3, p, p), float64."""
    generator = torch.Generator().manual_seed(2)
    shape = (CHANNELS, 3, patch, patch)
    return torch.randn(shape, generator=generator).double(), torch.rand(shape[1:], generator=generator).double()


def started(patch: int) -> PatchAutoencoder:
    vae = small(patch).double()
    matrix, mean = components(patch)
    vae.start_from_components(matrix.flatten(1), mean.flatten())
    return vae


def pictures(patch: int, seed: int = 3) -> torch.Tensor:
    """Two of three by four patches, float64."""
    return torch.rand(2, 3, 3 * patch, 4 * patch, generator=torch.Generator().manual_seed(seed)).double() * 2 - 1


def encoded(vae: Any, frames: torch.Tensor) -> torch.Tensor:
    return vae.encode(frames).latent_dist.mode()


def decoded(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    return vae.decode(latents).sample


def in_patches(frames: torch.Tensor, patch: int) -> torch.Tensor:
    """(B, 3, H, W) to (B, 3, h, p, w, p)."""
    return frames.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))


def linear_encode(frames: torch.Tensor, patch: int) -> torch.Tensor:
    matrix, mean = components(patch)
    return torch.einsum("kcij,bchiwj->bkhw", matrix, in_patches(frames, patch) - mean[:, None, :, None])


def linear_decode(latents: torch.Tensor, patch: int) -> torch.Tensor:
    matrix, mean = components(patch)
    back = torch.linalg.pinv(matrix.flatten(1)).unflatten(0, mean.shape)
    spread = torch.einsum("cijk,bkhw->bchiwj", back, latents) + mean[:, None, :, None]
    return spread.flatten(4, 5).flatten(2, 3)


@pytest.mark.parametrize("patch", [4, 8])
@torch.no_grad()
def test_it_starts_as_the_linear_codec(patch):
    vae, frames = started(patch), pictures(patch)
    latents = encoded(vae, frames)
    torch.testing.assert_close(latents, linear_encode(frames, patch))
    torch.testing.assert_close(decoded(vae, latents), linear_decode(latents, patch))
    # What is learnt on top adds nothing yet, not even rounding.
    patches = torch.nn.functional.pixel_unshuffle(frames, patch)
    assert torch.equal(latents, vae.encoder_linear(patches))
    assert not vae.encoder(patches).any()
    assert not vae.decoder(latents).any()


@pytest.mark.parametrize("patch", [4, 8])
@torch.no_grad()
def test_what_lies_in_the_span_comes_back(patch):
    vae = started(patch)
    latents = torch.randn(2, CHANNELS, 3, 4, generator=torch.Generator().manual_seed(4)).double()
    frames = linear_decode(latents, patch)
    torch.testing.assert_close(encoded(vae, frames), latents)
    torch.testing.assert_close(decoded(vae, encoded(vae, frames)), frames)
    outside = pictures(patch)
    assert (decoded(vae, encoded(vae, outside)) - outside).abs().max() > 0.1


@torch.no_grad()
def test_a_residual_block_starts_as_the_identity():
    hidden = torch.randn(2, 6, 5, 7, generator=torch.Generator().manual_seed(5))
    block = Residual(6)
    assert torch.equal(block(hidden), hidden)
    block.second.weight.fill_(0.1)
    assert not torch.equal(block(hidden), hidden)


def test_the_learnt_part_can_leave_its_start():
    vae, frames = small(4), pictures(4).float()
    (decoded(vae, encoded(vae, frames)) - frames).square().mean().backward()
    for last in (vae.encoder[-1], vae.decoder[-1]):
        (gradient,) = (p.grad for p in last.parameters() if p.ndim > 1)
        assert gradient is not None
        assert gradient.abs().max() > 0


@torch.no_grad()
def test_the_distribution_has_no_width():
    vae, frames = disturbed(4), pictures(4).float()
    exact = cast(Any, vae.encode(frames)).latent_dist
    assert torch.equal(exact.sample(), exact.mode())
    (same,) = vae.encode(frames, return_dict=False)
    assert torch.equal(same.mode(), exact.mode())
    (sample,) = vae.decode(exact.mode(), return_dict=False)
    assert torch.equal(sample, decoded(vae, exact.mode()))


@pytest.mark.parametrize(("patch", "scale"), [(4, 1.0), (8, 0.5)])
@torch.no_grad()
def test_a_round_trip_through_a_folder_changes_nothing(tmp_path, patch, scale):
    vae, frames = disturbed(patch, scaling_factor=scale), pictures(patch).float()
    vae.save_pretrained(tmp_path / "vae")
    codec = weights.load_vae(tmp_path / "vae")
    assert isinstance(codec.vae, PatchAutoencoder)
    assert (codec.stride, codec.channels) == (patch, CHANNELS)
    raw = encoded(vae, frames)
    latents = codec.encode(frames)
    assert torch.equal(latents, raw * scale)
    assert torch.equal(codec.unscale(latents), raw)
    assert torch.equal(codec.decode(latents), decoded(vae, raw))
    assert latents.shape == (2, CHANNELS, 3, 4)
    assert codec.decode(latents).shape == frames.shape


@pytest.mark.parametrize(("height", "width"), [(18, 16), (16, 18), (4, 4)])
def test_sides_must_divide_by_the_patch(tmp_path, height, width):
    vae = small(8)
    vae.save_pretrained(tmp_path / "vae")
    with pytest.raises(ValueError, match=f"{width}×{height} pixels: sides must divide by 8"):
        weights.load_vae(tmp_path / "vae").encode(torch.zeros(1, 3, height, width))
    with pytest.raises(RuntimeError):
        vae.encode(torch.zeros(1, 3, height, width))
