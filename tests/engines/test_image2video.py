"""The image-to-video base beside diffusers' own pipeline, on the same weights and noise."""

import json

import numpy as np
import pytest
import torch

from vedit import weights
from vedit.engines.image2video import Image2Video, Image2VideoSettings
from vedit.engines.shared import Tally
from vedit.errors import ModelError
from vedit.weights.load import quietly

torch.set_num_threads(1)
FRAMES = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_models):
    return tiny_models.write_image2video(tmp_path_factory.mktemp("models") / "svd")


@pytest.fixture(scope="module")
def base(folder):
    return Image2Video.from_bundle(weights.open_bundle(folder, "image2video"), device="cpu", dtype=torch.float32)


@pytest.fixture
def pipeline(folder):
    from diffusers import StableVideoDiffusionPipeline
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    with quietly("diffusers"):
        found = StableVideoDiffusionPipeline.from_pretrained(
            str(folder),
            image_encoder=CLIPVisionModelWithProjection.from_pretrained(str(folder / "image_encoder")),
            feature_extractor=CLIPImageProcessor.from_pretrained(str(folder / "feature_extractor")),
            local_files_only=True,
        )
    found.set_progress_bar_config(disable=True)
    return found


def picture(tiny_models, height, width):
    """A frame in [-1, 1] and the same as 8-bit pixels."""
    from PIL import Image

    frame = tiny_models.clip_frames(1, height, width)[0]
    pixels = ((frame + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1, Image.fromarray(pixels)


@pytest.mark.parametrize(("height", "width"), [(128, 128), (256, 320)], ids=str)
@torch.inference_mode()
def test_agrees_with_the_pipeline(base, pipeline, tiny_models, height, width):
    frame, shown = picture(tiny_models, height, width)
    noise = torch.randn(FRAMES, 4, height // 8, width // 8, generator=torch.Generator().manual_seed(1))
    augmentation = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(2))
    wanted = pipeline(
        shown, height, width, num_frames=FRAMES, num_inference_steps=4, fps=9, motion_bucket_id=40,
        max_guidance_scale=2.5, noise_aug_strength=0.1, latents=noise[None].clone(),
        generator=torch.Generator().manual_seed(2), output_type="latent",
    ).frames[0]  # fmt: skip
    settings = Image2VideoSettings(steps=4, fps=9, motion_bucket=40, max_guidance=2.5, noise_augmentation=0.1)
    tally = Tally()
    condition = base.condition(frame, settings, noise=augmentation[0])
    found = base.sample(base.levels.start(noise), condition, settings, tally)
    assert tally.evaluations == 8
    scale = wanted.abs().max()
    torch.testing.assert_close(found / scale, wanted / scale, rtol=0, atol=2e-4)
    # What the network is told makes a difference, so agreeing says something.
    for changed in (
        {"fps_offset": 0}, {"motion_bucket": 200}, {"noise_augmentation": 0.0}, {"max_guidance": 1.0}
    ):  # fmt: skip
        other = settings.model_copy(update=changed)
        more = base.sample(base.levels.start(noise), base.condition(frame, other), other, Tally())
        assert float((more - wanted).abs().max() / scale) > 2e-3, changed


@torch.inference_mode()
def test_decodes_as_the_pipeline(base, pipeline):
    latents = torch.randn(FRAMES, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    wanted = pipeline.decode_latents(latents[None], FRAMES, FRAMES)[0].permute(1, 0, 2, 3)
    torch.testing.assert_close(base.codec.decode(latents), wanted)


def test_the_role_is_found_and_its_preset(folder):
    bundle = weights.open_bundle(folder, "image2video", verify=True)
    assert bundle.preset["frames"] == 6
    assert bundle.preset["fps_offset"] == -1
    assert weights.describe(str(folder)).roles == ("image2video",)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("unet/config.json", {"_class_name": "UNet2DConditionModel"}, "needs a UNetSpatioTemporalConditionModel"),
        ("unet/config.json", {"in_channels": 4}, "takes 4 channels for 4"),
    ],
)
def test_another_network_is_refused(tmp_path, tiny_models, file, change, message):
    folder = tiny_models.write_image2video(tmp_path / "svd")
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        weights.open_bundle(folder, "image2video")


def test_parts_that_do_not_fit_are_named(base, tiny_models):
    with pytest.raises(ModelError, match="reads pictures of width 24, its image encoder gives 16"):
        Image2Video(base.codec, base.encoder, tiny_models.image2video_unet(24), base.levels)


@torch.inference_mode()
def test_nanos_own_parts_fit(tmp_path, tiny_models):
    """A bundle whose image encoder is half of a CLIPModel and whose autoencoder has no temporal decoder."""
    bundle = weights.open_bundle(tiny_models.write_bundle(tmp_path / "tiny"), "image2video")
    base = Image2Video.from_bundle(bundle, device="cpu", dtype=torch.float32)
    settings = Image2VideoSettings(steps=2, **{k: v for k, v in bundle.preset.items() if k.startswith("fps")})
    condition = base.condition(tiny_models.clip_frames(1)[0], settings)
    noise = torch.randn(3, 4, 4, 5, generator=torch.Generator().manual_seed(0))
    frames = base.codec.decode(base.sample(base.levels.start(noise), condition, settings, Tally()))
    assert frames.shape == (3, 3, 32, 40)
    assert np.isfinite(frames.numpy()).all()
