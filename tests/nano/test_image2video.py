"""nano's own image-to-video parts beside diffusers' pipeline, on the same weights and noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vedit import weights
from vedit.engines.image2video import Image2Video, Image2VideoSettings
from vedit.engines.shared import Tally

torch.set_num_threads(1)
FRAMES, SIDE = 8, 64


@pytest.fixture(scope="module")
def bundle():
    return weights.open_bundle("nano", "image2video")


@pytest.fixture(scope="module")
def base(bundle):
    return Image2Video.from_bundle(bundle, device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module")
def pipeline(bundle):
    from diffusers import EulerDiscreteScheduler, StableVideoDiffusionPipeline
    from transformers import CLIPImageProcessor, CLIPModel, CLIPVisionModelWithProjection

    parts = bundle.components
    both = CLIPModel.from_pretrained(str(parts["image_encoder"]), dtype=torch.float32)
    pictures = CLIPVisionModelWithProjection(both.config.vision_config)
    own = {name: value for name, value in both.state_dict().items() if name.startswith("vis")}
    assert pictures.load_state_dict(own, strict=False).missing_keys == []
    vae = weights.load_vae(parts["vae"], torch.float32).vae
    vae.register_to_config(block_out_channels=(1, 1, 1))  # the pipeline takes its stride from their number
    found = StableVideoDiffusionPipeline(
        vae,
        pictures.eval(),
        weights.load_image2video_unet(parts["unet"], torch.float32),
        EulerDiscreteScheduler.from_pretrained(str(parts["scheduler"])),
        CLIPImageProcessor.from_pretrained(str(parts["feature_extractor"])),
    )
    found.set_progress_bar_config(disable=True)
    return found


@torch.inference_mode()
def test_agrees_with_the_pipeline(bundle, base, pipeline):
    from PIL import Image

    from vedit.world.scene import draw_scene, render

    drawn = render(draw_scene(9_000_000, SIDE, SIDE, 1, place="leaves", things=2)).frames[0]
    pixels = np.round(drawn * 255).astype(np.uint8)
    frame = torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1
    noise = torch.randn(FRAMES, base.codec.channels, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(1))
    assert bundle.preset["fps_offset"] == 0  # and the pipeline takes one off
    wanted = pipeline(
        Image.fromarray(pixels), SIDE, SIDE, num_frames=FRAMES, num_inference_steps=4, fps=13, motion_bucket_id=80,
        min_guidance_scale=1.0, max_guidance_scale=2.0, noise_aug_strength=0.0, latents=noise[None].clone(),
        output_type="latent",
    ).frames[0]  # fmt: skip
    settings = Image2VideoSettings(
        steps=4, fps=12, fps_offset=0, motion_bucket=80, min_guidance=1.0, max_guidance=2.0, noise_augmentation=0.0
    )
    made = base.sample(base.levels.start(noise), base.condition(frame, settings), settings, Tally())
    scale = wanted.abs().max()
    torch.testing.assert_close(made / scale, wanted / scale, rtol=0, atol=5e-4)
    other = settings.model_copy(update={"fps": 24})
    told = base.sample(base.levels.start(noise), base.condition(frame, other), other, Tally())
    assert float((told - wanted).abs().max() / scale) > 2e-3
