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


@pytest.fixture
def overflowing(tmp_path, tiny_models):
    """An AutoencoderKL whose decoder leaves what fp16 can hold; each of its weights is still within."""
    tiny_models.write_diffusers(tmp_path)
    codec = weights.load_vae(tmp_path / "vae")
    with torch.no_grad():
        codec.vae.post_quant_conv.weight.mul_(100.0)
        codec.vae.decoder.conv_in.weight.mul_(1e5)
    assert codec.vae.decoder.conv_in.weight.abs().max() < torch.finfo(torch.float16).max
    return codec


@torch.no_grad()
def test_an_overflow_in_fp16_goes_on_in_fp32(overflowing, tiny_models):
    latents = overflowing.encode(tiny_models.clip_frames(3))
    wanted = overflowing.decode(latents)
    assert wanted.isfinite().all()
    half = overflowing.to(torch.float16)
    assert not half.vae.decode(half.unscale(latents).half()).sample.isfinite().all(), "nothing overflows here"
    assert half.dtype == torch.float16
    assert not half.overflowed
    again = half.encode(tiny_models.clip_frames(3))
    assert not half.overflowed, "the encoder stays within"
    torch.testing.assert_close(again, latents, atol=0.05, rtol=0)
    torch.testing.assert_close(half.decode(latents), wanted, atol=0.01, rtol=0)
    assert half.overflowed
    assert half.dtype == torch.float32


@torch.no_grad()
def test_what_comes_in_as_no_number_is_not_the_codec_s_fault(overflowing):
    half = overflowing.to(torch.float16)
    assert not half.decode(torch.full((1, 4, 4, 4), float("nan"))).isfinite().any()
    assert not half.overflowed
    assert half.dtype == torch.float16


def test_what_an_autoencoder_computes_in_beside_fp16(tmp_path, tiny_models):
    """Stable Video Diffusion's says beforehand that fp16 is too narrow; diffusers sets the flag for every other too."""
    tiny_models.write_image2video(tmp_path / "svd")
    tiny_models.write_diffusers(tmp_path / "sd")
    svd, sd = (weights.load_vae(tmp_path / name / "vae") for name in ("svd", "sd"))
    assert svd.beside(torch.float16) == torch.float32
    assert svd.beside(torch.bfloat16) == torch.bfloat16
    assert sd.vae.config["force_upcast"]
    assert sd.beside(torch.float16) == torch.float16
    assert svd.can_overflow
    assert sd.can_overflow


@pytest.mark.parametrize(("frames", "at_once", "expected"), [
    (5, 4, [5]), (9, 4, [5, 4]), (14, 4, [5, 5, 4]), (25, 4, [5, 4, 4, 4, 4, 4]), (3, 4, [3]), (4, 1, [1, 1, 1, 1]),
])  # fmt: skip
def test_a_decoder_that_mixes_frames_is_never_left_with_one(monkeypatch, frames, at_once, expected):
    """However large they are, unless memory is limited: then ``at_once`` is 1."""
    from diffusers import AutoencoderKLTemporalDecoder

    from vedit.nets import codec as module

    torch.manual_seed(0)
    vae = AutoencoderKLTemporalDecoder(block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2)
    coder = module.Codec(vae.eval(), pixels_at_once=1)
    assert coder.mixes_frames
    monkeypatch.setattr(module, "TOGETHER", 4)
    if at_once == 1:
        coder.limit(1, None)
    seen, decode = [], vae.decode
    monkeypatch.setattr(vae, "decode", lambda z, num_frames: seen.append((len(z), num_frames)) or decode(z, num_frames))
    with torch.no_grad():
        made = coder.decode(torch.zeros(frames, 4, 2, 2))
    assert seen == [(count, count) for count in expected]
    assert made.shape == (frames, 3, 4, 4)
