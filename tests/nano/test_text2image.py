"""What nano's text-to-image model knows: captions lower its error, and a clip comes back from its noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vedit import engines, weights
from vedit.diffusion.inversion import invert
from vedit.diffusion.sampling import ddim
from vedit.engines.shared import Tally
from vedit.jobs import PromptPair
from vedit.training.recipes import nano_text2image as recipe
from vedit.training.recipes.nano_bundle import captions
from vedit.world.scene import caption, draw_scene, render


@pytest.fixture(scope="module")
def engine() -> Any:
    bundle = weights.open_bundle("nano", "text2image", verify=True)
    return engines.load("sdedit", bundle, {}, seed=0, device="cpu", dtype="fp32")


def test_captions_of_pictures_kept_out_of_training_help(engine: Any, tmp_path: Path) -> None:
    @torch.no_grad()
    def encode(pixels: torch.Tensor) -> torch.Tensor:
        return engine.codec.encode(pixels)

    @torch.no_grad()
    def embed(texts: list[str]) -> torch.Tensor:
        return engine.text(texts).float()

    held = recipe.encode_pictures(tmp_path, recipe.pictures(77, 12, recipe.CROP), encode, 24)
    found = recipe.checker(held, engine.schedule, embed)(engine.network, 0)
    assert found["said_950"] < found["empty_950"]
    assert found["said_600"] < 0.98 * found["empty_600"]
    assert found["said_600"] < 0.5  # to answer nothing would be 1


def test_a_picture_comes_back_from_its_noise(engine: Any) -> None:
    """By its own caption without guidance: with fixed points as near as the autoencoder, without them not quite."""
    scene = draw_scene(987_655, 128, 128, frames=1, place="mountains", things=2)
    drawn, said, steps = render(scene).frames, caption(scene), 50
    with torch.inference_mode():
        source = torch.from_numpy(drawn).permute(0, 3, 1, 2) * 2 - 1
        clean = engine.codec.encode(source)

        def predict(z: torch.Tensor, timestep: int) -> torch.Tensor:
            return engine.predict(z, timestep, said, Tally())

        def denoise(z: torch.Tensor, step: Any) -> torch.Tensor:
            return engine.schedule.to_clean(predict(z, step.timestep), z, step.timestep)

        def psnr(latents: torch.Tensor) -> float:
            return float(-10 * torch.log10((engine.codec.decode(latents) - source).square().mean() / 4))

        back = []
        for iterations in (0, 3):
            way = invert(predict, clean, engine.schedule, steps, fixed_point=iterations)
            assert 0.5 < float(way.noise.std()) < 1.5
            back.append(psnr(ddim(denoise, way.noise, engine.schedule, steps, start=way.start)))
        alone = psnr(clean)
    assert back[1] > alone - 0.5
    assert back[0] < back[1] - 0.5


def test_prompts_that_it_knows_draw_no_warning_and_others_do(engine: Any) -> None:
    said = "a red ball rolls over green grass"
    known = (
        "a red ball rolls over snow",
        "a pencil sketch of two hearts on snow",
        "a green square over the sea at night",
    )
    assert [engine.knows(PromptPair(said, wanted)) for wanted in known] == [None] * 3
    foreign = json.loads((Path(__file__).parents[2] / "benchmarks" / "phrasings.json").read_text())["foreign"]
    assert np.mean([engine.knows(PromptPair(said, wanted)) is not None for wanted in foreign]) >= 0.95
    for scene in (
        "a man is skiing down a mountain, watercolour",
        "sharks swimming in the sea",
        "a silver jeep on a road",
        "new york skyline at night",
        "portrait of a woman with red hair",
        "a dog runs over green grass",
        "an astronaut rides a horse",
    ):
        assert "the target prompt has words that nano was not taught" in engine.knows(PromptPair(said, scene))
    assert "source prompt" in engine.knows(PromptPair("a church", said))
    asked = captions(977, 200)
    assert np.mean([engine.knows(PromptPair(said, wanted)) is not None for wanted in asked]) <= 0.05
