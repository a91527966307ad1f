import pytest
import torch

from vedit import weights

torch.set_num_threads(1)


@pytest.fixture(scope="module", params=["tiny", "kl"])
def codec(request, tmp_path_factory, tiny_models):
    folder = tmp_path_factory.mktemp("codec")
    if request.param == "tiny":
        tiny_models.write_vae(folder / "vae")
    else:
        tiny_models.write_diffusers(folder)
    return weights.load_vae(folder / "vae")


@torch.no_grad()
def test_shapes_and_determinism(codec, tiny_models):
    frames = tiny_models.clip_frames(5)
    latents = codec.encode(frames)
    assert (codec.channels, codec.stride) == (4, 8)
    assert latents.shape == (5, 4, 4, 5)
    assert codec.decode(latents).shape == frames.shape
    assert latents.dtype == codec.decode(latents).dtype == torch.float32
    assert torch.equal(latents, codec.encode(frames))


@torch.no_grad()
def test_chunks_do_not_matter(codec, tiny_models):
    frames = tiny_models.clip_frames(5)
    latents = codec.encode(frames)
    picture = codec.decode(latents)
    try:
        codec.pixels_at_once = 2 * frames.shape[-1] * frames.shape[-2]
        torch.testing.assert_close(codec.encode(frames), latents)
        torch.testing.assert_close(codec.decode(latents), picture)
    finally:
        codec.pixels_at_once = 8 * 256 * 256


@torch.no_grad()
def test_scaling_is_that_of_the_autoencoder(codec, tiny_models):
    frames, vae = tiny_models.clip_frames(2), codec.vae
    encoded = vae.encode(frames)
    raw = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
    torch.testing.assert_close(codec.unscale(codec.encode(frames)), raw)
    torch.testing.assert_close(codec.encode(frames), raw * vae.config["scaling_factor"])
    torch.testing.assert_close(codec.decode(codec.encode(frames)), vae.decode(raw).sample)


def test_sides_must_divide_by_the_stride(codec, tiny_models):
    with pytest.raises(ValueError, match="divide by 8"):
        codec.encode(tiny_models.clip_frames(1, 30, 40))
