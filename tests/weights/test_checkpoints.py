"""The registry: it reads without the network, and its facts fit together and with the libraries."""

from __future__ import annotations

import re

import pytest

from vedit import engines
from vedit.errors import ModelError
from vedit.weights import checkpoints, open_bundle
from vedit.weights.bundle import COMPONENTS

ROWS = checkpoints.known()
# What the checkpoints are made of, as diffusers and transformers build them by these settings, in thousands.
LEVELS = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}
ENCODER = LEVELS | {"down_block_types": ("DownEncoderBlock2D",) * 4}


@pytest.fixture(scope="module")
def sizes() -> dict[str, int]:
    """Parameters by the name of a network, built without memory."""
    import torch
    from diffusers import (
        AutoencoderKL,
        AutoencoderKLTemporalDecoder,
        MotionAdapter,
        UNet2DConditionModel,
        UNetSpatioTemporalConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

    text = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
    vision = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16}
    with torch.device("meta"):
        networks = {
            "sd": UNet2DConditionModel(cross_attention_dim=768),
            "ip2p": UNet2DConditionModel(cross_attention_dim=768, in_channels=8),
            "svd": UNetSpatioTemporalConditionModel(),
            "vae": AutoencoderKL(**ENCODER, up_block_types=("UpDecoderBlock2D",) * 4),
            "svd vae": AutoencoderKLTemporalDecoder(**ENCODER),
            "text": CLIPTextModel(CLIPTextConfig(**text)),
            "vision": CLIPVisionModelWithProjection(CLIPVisionConfig(**vision, patch_size=14, projection_dim=1024)),
            "motion": MotionAdapter(),
            "motion without middle": MotionAdapter(use_motion_mid_block=False),
        }
    return {name: sum(one.numel() for one in network.parameters()) for name, network in networks.items()}


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        ("timbrooks/instruct-pix2pix", "ip2p,vae,text"),
        ("CompVis/stable-diffusion-v1-4", "sd,vae,text"),
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "sd,vae,text"),
        ("insv2v", "ip2p,motion without middle,vae,text"),
        ("stabilityai/stable-video-diffusion-img2vid", "svd,svd vae,vision"),
        ("stabilityai/stable-video-diffusion-img2vid-xt", "svd,svd vae,vision"),
        ("guoyww/animatediff-motion-adapter-v1-5-2", "motion"),
        ("guoyww/animatediff-motion-adapter-v1-5-3", "motion without middle"),
    ],
)
def test_parameters_are_those_of_the_architecture(sizes, model, parts):
    row = checkpoints.find(model)
    assert row is not None
    assert row.parameters == round(sum(sizes[part] for part in parts.split(",")) / 1e6, 1)


def test_every_row_says_what_a_person_must_know():
    assert len({row.id.casefold() for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.licence, row.id
        assert row.terms, row.id
        assert row.revision is None or re.fullmatch(r"[0-9a-f]{40}", row.revision)
        assert row.on_hub or row.home
        assert row.roles or row.why, f"{row.id}: nothing runs it and nothing says why"
        assert not (row.parts and row.files)
        assert "\n" not in row.terms + row.why


def test_every_role_and_recipe_is_one(monkeypatch):
    from importlib.util import find_spec

    for row in ROWS:
        for recipe in row.trains:
            assert find_spec(f"vedit.training.recipes.{recipe.replace('-', '_')}"), recipe
    for role in engines.ROLES.values():
        assert checkpoints.with_role(role), f"no checkpoint for {role}"


@pytest.mark.parametrize("role", sorted(COMPONENTS))
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_pairing_runs_or_says_why_not(row, role, monkeypatch, tmp_path):
    """Not one of them is here: what could run says how to get it, the others why they never will, before a download."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        open_bundle(row.id, role)
    said = str(caught.value)
    assert "\n" not in said
    if role in row.roles:
        assert f"vedit models pull {row.id}" in said
    else:
        assert said.startswith(f"{row.id}: ")
        assert re.search(r"; (take \S+/\S+|no public checkpoint of the registry)", said)


def test_find_and_resembling():
    assert checkpoints.find("compvis/Stable-Diffusion-v1-4") is checkpoints.find("CompVis/stable-diffusion-v1-4")
    assert checkpoints.find("nano") is None
    assert checkpoints.resembling("compvis/stable-diffusion-v14")[0] == "CompVis/stable-diffusion-v1-4"
    assert checkpoints.resembling("qqqq") == []
