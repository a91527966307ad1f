"""nano's text-to-image recipe: true captions, a start from the instruct model, steps that train and resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.engines import tiny
from vedit import weights
from vedit.diffusion.schedule import Schedule
from vedit.nets.text import TextEncoder
from vedit.training.recipes import nano_text2image as recipe
from vedit.training.recipes.nano_instruct import SPATIAL
from vedit.world.scene import COLOURS, draw_scene, render

torch.set_num_threads(1)
SCHEDULE = Schedule.from_config(recipe.SCHEDULER)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A tiny codec and text encoder."""
    bundle = weights.open_bundle(tiny.write_bundle(tmp_path_factory.mktemp("models") / "tiny"))
    codec = weights.load_vae(bundle.components["vae"])
    words = TextEncoder(
        weights.load_clip(bundle.components["clip"]), weights.load_tokenizer(bundle.components["tokenizer"])
    )
    return torch.no_grad()(codec.encode), torch.no_grad()(lambda texts: words(texts).float()), codec


@pytest.fixture(scope="module")
def data(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return tuple(
        recipe.encode_pictures(folder / str(side), recipe.pictures(5, 2, side), parts[0], 6)
        for side in (recipe.CROP, recipe.SIZE)
    )


def test_the_network_is_the_instruct_models_with_the_noisy_latents_alone():
    assert {k: v for k, v in recipe.LAYOUT.items() if k != "in_channels"} == {
        k: v for k, v in SPATIAL.items() if k != "in_channels"
    }
    assert recipe.LAYOUT["in_channels"] == recipe.LAYOUT["out_channels"] == SPATIAL["in_channels"] // 2
    wide = tiny.tiny_unet2d()
    latents, text = torch.randn(2, tiny.CHANNELS, 8, 8), torch.randn(2, tiny.LENGTH, tiny.WIDTH)
    with torch.no_grad():
        expected = wide(torch.cat([latents, torch.zeros_like(latents)], 1), 5, text).sample
        narrow = recipe.narrowed(wide, tiny.CHANNELS)
        torch.testing.assert_close(narrow(latents, 5, text).sample, expected)
    assert narrow.config["in_channels"] == tiny.CHANNELS


def test_the_schedule_is_stable_diffusions():
    plain = Schedule.scaled_linear(offset=1, final_alpha_cumprod=None)
    assert torch.equal(SCHEDULE.alphas_cumprod, plain.alphas_cumprod) and SCHEDULE.prediction == "epsilon"
    assert SCHEDULE.timesteps(50) == plain.timesteps(50)


def test_a_crops_caption_names_what_it_shows_and_nothing_else():
    """By colour: a thing's pixels are in the crop exactly when its colour is in the caption."""
    told = silent = 0
    for seed in range(40):
        scene = draw_scene(seed, recipe.SIZE, recipe.SIZE, frames=1, place="meadow", things=2)
        drawn = render(scene)
        marked = replace(drawn, frames=np.repeat(drawn.layers[..., None], 3, -1).astype(np.float32))
        found = recipe.view(scene, marked, recipe.CROP, np.random.default_rng(seed))
        if found is None:
            continue
        layers, content = found
        for index, thing in enumerate(scene.things):
            shown = float((layers[..., 0] == index + 1).sum())
            whole = float(drawn.masks[0, index].sum())
            named = f"{thing.colour} {thing.shape}" in content
            told, silent = told + named, silent + (not named)
            assert named == (shown >= recipe.SEEN * max(whole, 1) and shown > 24), content
    assert told > 10 and silent > 10
    assert set(COLOURS) >= {"red", "blue"}


def test_pictures_are_of_their_size_and_words_vary():
    made = list(recipe.pictures(3, 3, recipe.CROP))
    assert 3 <= len(made) <= 9 and any(picture.operation == "nothing" for picture in made)
    assert all(picture.pixels.shape == (recipe.CROP, recipe.CROP, 3) for picture in made)
    assert any(picture.operation != "nothing" for picture in made)
    rng = np.random.default_rng(0)
    texts = {recipe.put_into_words("a red ball moves over sand", "nothing", rng) for _ in range(40)}
    assert "a red ball rolls over sand" in texts and "a red ball over sand" in texts and len(texts) > 8
    assert all("red ball" in text and "sand" in text for text in texts)
    sketches = {recipe.put_into_words("a red ball moves over sand", "pencil-sketch", rng) for _ in range(20)}
    assert all("red ball" in text for text in sketches) and sketches.isdisjoint(texts)


def test_latents_are_encoded_once(parts, data, tmp_path):
    crops, whole = data
    assert crops.latents.shape[1:] == (tiny.CHANNELS, 16, 16) and whole.latents.shape[1:] == (tiny.CHANNELS, 32, 32)
    drawn = list(recipe.pictures(5, 2, recipe.CROP))
    expected = parts[0](torch.from_numpy(drawn[0].pixels)[None].permute(0, 3, 1, 2) * 2 - 1)
    torch.testing.assert_close(torch.from_numpy(crops.latents[:1].astype(np.float32)), expected, atol=2e-3, rtol=2e-3)
    assert crops.rows == [(picture.content, picture.operation) for picture in drawn][:6]

    def never(_):
        raise AssertionError("encoded again")

    folder = Path(crops.latents.filename).parent
    assert recipe.encode_pictures(folder, iter(()), never, 6).rows == crops.rows
    latents, texts = crops.batch(np.random.default_rng(1), 3)
    assert latents.shape == (3, tiny.CHANNELS, 16, 16) and len(texts) == 3


def test_the_loss_of_a_network_that_knows_the_noise_is_zero_and_captions_are_left_out():
    clean, text, empty = torch.randn(64, 2, 4, 4), torch.ones(64, 3, 5), torch.zeros(1, 3, 5)
    seen = {}

    def network(noisy, timestep, states, return_dict):
        alpha, sigma = SCHEDULE.alpha_sigma(timestep, noisy)
        seen["dropped"] = float((states.sum(dim=(1, 2)) == 0).float().mean())
        return ((noisy - alpha * clean) / sigma,)

    def loss(**changes):
        settings = recipe.Settings(**changes)
        generator = torch.Generator().manual_seed(0)
        return recipe.denoising_loss(network, SCHEDULE, clean, text, empty, settings, generator)

    assert loss() < 1e-3 and 0.01 < seen["dropped"] < 0.25
    assert loss(drop_text=1.0) < 1e-3 and seen["dropped"] == 1.0
    timestep = torch.tensor([1, 999])
    snr = SCHEDULE.snr(timestep)
    # The geometric mean of the losses on ε and on v, whose squares are ε's times (SNR + 1)/SNR.
    even = recipe.loss_weight(SCHEDULE, timestep, 0.0)
    assert torch.allclose(even**2, (snr + 1) / snr)
    weight = recipe.loss_weight(SCHEDULE, timestep, 5.0)
    assert weight[0] == pytest.approx(float(even[0]) * 5.0 / float(snr[0])) and weight[1] == even[1]


def test_training_that_is_cut_off_resumes_to_the_same_weights(data, parts, tmp_path):
    crops, whole = data

    class Cut(Exception):
        pass

    def run(folder, *, cut=False, resume=False):
        torch.manual_seed(0)
        network = tiny.sd_unet2d()
        settings = recipe.Settings(steps=3, batch=2, whole_batch=1, whole_share=0.4, save_every=2)
        start = network.conv_in.weight.detach().clone()

        def check(trained, step):
            if cut:
                raise Cut
            return {"held": 0.0}

        average = recipe.fit(
            folder, network, SCHEDULE, crops, whole, parts[1], settings, resume=resume, check=check
        )  # fmt: skip
        assert not torch.equal(network.conv_in.weight, start)
        return network, average

    whole_network, whole_average = run(tmp_path / "whole")
    with pytest.raises(Cut):
        run(tmp_path / "parts", cut=True)
    network, average = run(tmp_path / "parts", resume=True)
    for a, b in zip(whole_network.parameters(), network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(value, average.values[name]) for name, value in whole_average.values.items())


def test_the_check_and_the_grid(data, parts, tmp_path):
    _, embed, codec = parts
    network = tiny.sd_unet2d()
    drawn = []
    figures = recipe.checker(data[0], SCHEDULE, embed, lambda _, step: drawn.append(step))(network, 7)
    assert set(figures) == {f"{name}_{level}" for name in ("said", "empty") for level in (200, 600, 950)}
    assert drawn == [7] and all(np.isfinite(value) for value in figures.values())
    recipe.draw_grid(
        network, SCHEDULE, embed, torch.no_grad()(codec.decode), tmp_path / "g" / "a.png", tiny.CHANNELS, 4, steps=2
    )
    picture = cv2.imread(str(tmp_path / "g" / "a.png"))
    assert picture is not None and picture.shape == (64, 128, 3)
