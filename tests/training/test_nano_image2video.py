"""The recipe of nano's image-to-video model, on tiny parts."""

import json

import numpy as np
import pytest
import torch

from vedit import weights
from vedit.engines.image2video import Image2Video, Image2VideoSettings
from vedit.engines.shared import Tally
from vedit.errors import VeditError
from vedit.training.moving_clips import encode_clips
from vedit.training.recipes.nano_image2video import (
    PRESET,
    SCHEDULER,
    Settings,
    checker,
    draw_grid,
    export,
    fit,
    generate,
    loss_of,
)

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def parts(tmp_path_factory, tiny_models):
    folder = tiny_models.write_bundle(tmp_path_factory.mktemp("models") / "tiny")
    codec = weights.load_vae(folder / "vae")
    encoder = weights.load_image_encoder(folder / "clip", folder / "clip")
    return folder, torch.no_grad()(codec.encode), torch.no_grad()(encoder), codec


@pytest.fixture(scope="module")
def data(tmp_path_factory, parts):
    return encode_clips(tmp_path_factory.mktemp("data") / "clips", 1, 4, 2, 64, 4, parts[1], parts[2], workers=0)


def settings(**changes):
    return Settings(**{"steps": 3, "batch": 2, "whole_share": 0.0, "save_every": 2} | changes)


def test_what_is_kept_is_what_was_drawn(data, parts):
    assert len(data) == 8
    pixels = torch.from_numpy(data.parts["frames"][3]).permute(0, 3, 1, 2).float() / 127.5 - 1
    torch.testing.assert_close(
        torch.from_numpy(data.parts["latents"][3].astype(np.float32)), parts[1](pixels), atol=2e-2, rtol=1e-2
    )
    batch = data.take(np.array([3]), np.array([True]), np.array([False]))
    backwards = torch.from_numpy(data.parts["latents"][3, ::-1].astype(np.float32))
    torch.testing.assert_close(batch.latents[0], backwards)
    torch.testing.assert_close(batch.first[0], backwards[0])
    torch.testing.assert_close(
        batch.embedding[0, 0], torch.from_numpy(data.parts["embeddings"][3, 1].astype(np.float32))
    )
    assert batch.ids[0, 2] == 0
    noisy = data.take(np.array([3]), np.array([False]), np.array([True]))
    assert noisy.ids[0, 2] == data.parts["numbers"][3, 2] > 0
    assert not torch.equal(noisy.first[0], noisy.latents[0, 0])


def test_a_window_is_the_same_part_of_every_frame(data):
    whole = data.take(np.array([1, 2]), np.array([False, False]), np.array([False, False]))
    side = whole.latents.shape[-1] - 3
    part = whole.window(np.random.default_rng(4), side)
    places = []
    for index in range(2):
        assert torch.equal(part.first[index], part.latents[index, 0])
        places += [
            (index, y, x)
            for y in range(4)
            for x in range(4)
            if torch.equal(part.latents[index], whole.latents[index, ..., y : y + side, x : x + side])
        ]
    assert [place[0] for place in places] == [0, 1] and places[0][1:] != places[1][1:]
    assert torch.equal(part.ids, whole.ids)


def test_early_steps_see_windows(tmp_path, data, tiny_models):
    seen = []

    class Spy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, sample, *_, return_dict):
            seen.append(sample.shape[-1])
            return (sample[:, :, : sample.shape[2] // 2] * self.weight,)

    fit(tmp_path / "run", Spy(), data, None, settings(steps=6, window=5, window_share=0.5))
    assert seen == [5, 5, 5, 8, 8, 8]


def test_a_run_that_goes_on_from_weights_says_so(tmp_path, data, tiny_models):
    fit(tmp_path / "run", tiny_models.image2video_unet(), data, None, settings(steps=1), began="a" * 64)
    identity = json.loads((tmp_path / "run" / "state.json").read_text())["identity"]
    assert identity["began"] == "a" * 64
    with pytest.raises(VeditError, match="other settings \\(began\\)"):
        fit(tmp_path / "run", tiny_models.image2video_unet(), data, None, settings(steps=1), resume=True)


def test_a_kept_folder_is_opened_and_not_drawn_again(tmp_path, parts):
    first = encode_clips(tmp_path / "clips", 2, 1, 1, 64, 3, parts[1], parts[2], workers=0)

    def refuse(_):
        raise AssertionError("encoded again")

    again = encode_clips(tmp_path / "clips", 2, 1, 1, 64, 3, refuse, refuse)
    with pytest.raises(VeditError, match="encoded by other models"):
        encode_clips(tmp_path / "clips", 2, 1, 1, 64, 3, refuse, refuse, models="b")
    assert np.array_equal(first.parts["latents"], again.parts["latents"])


def test_the_loss_knows_its_target(data):
    """A network that returns v itself has no loss; one that returns nothing has that of v."""
    batch = data.batch(np.random.default_rng(0), 4)
    told = {}

    def spy(sample, level, embedding, ids, return_dict):
        told.update(sample=sample, level=level, embedding=embedding, ids=ids)
        return (torch.zeros_like(batch.latents),)

    loss = loss_of(spy, batch, settings(drop_picture=0.0, drop_embedding=0.0), torch.Generator().manual_seed(0))
    sigma = torch.exp(4 * told["level"]).view(-1, 1, 1, 1, 1)
    z, first = told["sample"].chunk(2, dim=2)
    torch.testing.assert_close(first, batch.first[:, None].expand_as(first))
    noise = (z * torch.sqrt(1 + sigma**2) - batch.latents) / sigma
    target = (noise - sigma * batch.latents) / torch.sqrt(1 + sigma**2)
    torch.testing.assert_close(loss, target.square().mean(), rtol=1e-3, atol=1e-4)
    assert torch.equal(told["ids"], batch.ids)
    loss_of(spy, batch, settings(drop_picture=1.0), torch.Generator().manual_seed(0))
    assert not told["embedding"].any() and not told["sample"].chunk(2, dim=2)[1].any() and told["ids"].any()
    loss_of(spy, batch, settings(drop_picture=0.0, drop_embedding=1.0), torch.Generator().manual_seed(0))
    assert not told["embedding"].any() and told["sample"].chunk(2, dim=2)[1].any()


def test_a_resumed_run_ends_at_the_same_weights(tmp_path, data, tiny_models):
    def train(out, steps, resume=False):
        network = tiny_models.image2video_unet()
        return fit(
            tmp_path / out, network, data, data, settings(steps=4, save_every=2, whole_share=0.5), resume=resume
        ), network

    straight, _ = train("straight", 4)

    def stop(network, step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(
            tmp_path / "broken", tiny_models.image2video_unet(), data, data,
            settings(steps=4, save_every=2, whole_share=0.5), check=stop,
        )  # fmt: skip
    resumed, _ = train("broken", 4, resume=True)
    for name, value in straight.values.items():
        torch.testing.assert_close(resumed.values[name], value, rtol=0, atol=0)


def test_the_check_sees_a_frozen_clip_and_draws(tmp_path, data, parts, tiny_models):
    network = tiny_models.image2video_unet()
    figures = checker(
        data,
        "cpu",
        lambda truth, made, step: draw_grid(truth, made, torch.no_grad()(parts[3].decode), tmp_path / "grid.png"),
    )(network, 1)
    assert set(figures) == {"loss_0.5", "loss_3", "loss_20", "first_error", "change"}
    assert (tmp_path / "grid.png").stat().st_size > 1000

    def still(sample, level, embedding, ids, return_dict):
        """What a network says that holds every frame for the first one."""
        z = sample.chunk(2, dim=2)[0]
        first = torch.from_numpy(data.parts["latents"][: len(z), :1].astype(np.float32))
        sigma = torch.exp(4 * level).view(-1, 1, 1, 1, 1)
        alpha = 1 / torch.sqrt(1 + sigma**2)
        return ((alpha * z - first) / (sigma * alpha),)

    assert checker(data, "cpu")(still, 1)["change"] < 0.05  # type: ignore[arg-type]


def test_what_is_exported_opens_and_samples_alike(tmp_path, data, parts, tiny_models):
    """The recipe's own sampler and the engines' base make the same clip of the same noise."""
    folder = tiny_models.write_bundle(tmp_path / "tiny")
    export(tiny_models.image2video_unet(), folder / "image2video")
    weights.write_manifest(folder)
    bundle = weights.open_bundle(folder, "image2video")
    assert bundle.preset == PRESET | {"max_frames": 32}
    assert json.loads((folder / "image2video/scheduler/scheduler_config.json").read_text()) == SCHEDULER
    base = Image2Video.from_bundle(bundle, device="cpu", dtype=torch.float32)
    batch = data.take(np.array([0]), np.array([False]), np.array([False]))
    made = generate(base.network, batch, steps=3)
    chosen = Image2VideoSettings(steps=3, max_guidance=PRESET["max_guidance"], fps_offset=0, noise_augmentation=0.0)
    condition = base.condition(torch.zeros(3, 64, 64), chosen)
    condition = type(condition)(batch.embedding, batch.first[0], batch.ids)
    noise = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(3))[0]
    with torch.inference_mode():
        found = base.sample(base.levels.start(noise), condition, chosen, Tally())
    assert float((found - made[0]).abs().mean() / made.abs().mean()) < 0.1  # one of them rounds to bf16
