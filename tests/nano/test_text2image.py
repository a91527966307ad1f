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
from vedit.world.scene import draw_scene, render


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


def test_a_clip_comes_back_from_its_noise(engine: Any) -> None:
    drawn = render(draw_scene(987_655, 128, 128, frames=1, place="forest", things=1)).frames
    said, steps = "a forest floor", 50
    with torch.inference_mode():
        clean = engine.codec.encode(torch.from_numpy(drawn).permute(0, 3, 1, 2) * 2 - 1)

        def predict(z: torch.Tensor, timestep: int) -> torch.Tensor:
            return engine.predict(z, timestep, said, Tally())

        def denoise(z: torch.Tensor, step: Any) -> torch.Tensor:
            return engine.schedule.to_clean(predict(z, step.timestep), z, step.timestep)

        way = invert(predict, clean, engine.schedule, steps, fixed_point=2)
        assert 0.5 < float(way.noise.std()) < 1.5
        back = ddim(denoise, way.noise, engine.schedule, steps, start=way.start)
        alone, again = (engine.codec.decode(latents) for latents in (clean, back))
    assert float(-10 * torch.log10((alone - again).square().mean() / 4)) > 30


def test_prompts_that_it_knows_draw_no_warning_and_others_do(engine: Any) -> None:
    said = "a red ball rolls over green grass"
    known = (
        "a red ball rolls over snow",
        "a pencil sketch of two hearts on snow",
        "a green square over the sea at night",
    )
    assert [engine.knows(PromptPair(said, wanted)) for wanted in known] == [None] * 3
    foreign = json.loads((Path(__file__).parents[2] / "benchmarks" / "phrasings.json").read_text())["foreign"]
    assert np.mean([engine.knows(PromptPair(said, wanted)) is not None for wanted in foreign]) >= 0.4
    assert "target prompt" in engine.knows(PromptPair(said, "an astronaut rides a horse"))
