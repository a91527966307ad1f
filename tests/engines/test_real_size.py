"""Every method through Stable Diffusion 1.5's own network at 512×512, on the meta device: shapes without numbers."""

from typing import Any

import pytest
import torch

from vedit import engines
from vedit.diffusion.attention import places
from vedit.diffusion.schedule import Schedule
from vedit.engines.shared import Tally
from vedit.jobs import PromptPair

WORDS = [("a", [1]), ("red", [2]), ("ball", [3])]


@pytest.fixture(scope="module")
def unet():
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        return UNet2DConditionModel(cross_attention_dim=768)  # the defaults are SD 1.x's, the text width aside


class Texts(torch.nn.Module):
    """Stands in for CLIP ViT-L/14's text tower."""

    width, length, can_embed = 768, 77, False

    def forward(self, texts):
        return torch.empty(1, 77, 768, device="meta")

    def words(self, text):
        return WORDS if text == "source" else [*WORDS[:2], ("cube", [3])]


def build(method, unet, **settings) -> Any:
    codec: Any = torch.nn.Module()
    codec.channels, codec.beside = 4, lambda dtype: dtype
    kind = engines._engine(method)
    schedule = Schedule.scaled_linear(offset=1, final_alpha_cumprod=None)
    settings = kind.Settings(steps=1, **settings)
    return kind(codec, Texts(), unet, schedule, settings, device="meta")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("sdedit", {"strength": 1.0}),
        ("text2video-zero", {}),
        ("fatezero", {"mask_threshold": 0.3}),
        ("tokenflow", {"batch": 4}),
        ("tokenflow", {"batch": 4, "variant": "sdedit", "inversion_steps": 2}),
    ],
    ids=str,
)
def test_a_step_at_real_size(unet, method, settings):
    engine = build(method, unet, **settings)
    source = torch.empty(8, 4, 64, 64, device="meta")
    with torch.inference_mode():
        latents, kept = engine.denoise(source, range(8), PromptPair("source", "target"), None, Tally(), None)
        assert latents.shape == source.shape
        more, _ = engine.denoise(source[:3], range(8, 11), PromptPair("source", "target"), kept, Tally(), None)
    assert more.shape == (3, 4, 64, 64)


def test_tokens_are_those_of_the_address_map(unet):
    """Methods, section A: 64², 32², 16² and 8² tokens of 320, 640, 1280 and 1280 channels."""
    found = {(64 // place.factor, place.module.to_q.in_features) for place in places(unet, text=False)}
    assert found == {(64, 320), (32, 640), (16, 1280), (8, 1280)}
