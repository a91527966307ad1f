"""The recipe of nano's image-to-video model, on tiny parts."""

import contextlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vedit import weights
from vedit.diffusion.edm import EDM, c_noise
from vedit.engines.image2video import Image2Video, Image2VideoSettings
from vedit.engines.revideo import Settings as Told
from vedit.engines.shared import Tally
from vedit.errors import VeditError
from vedit.nets.revideo import ReVideoConfig, ReVideoUNet, begin_with_motion, trajectory_map
from vedit.training.common import Run, sha256, step_rng
from vedit.training.moving_clips import Mixed, View, WorldClips, draw_clips
from vedit.training.recipes import nano_image2video as recipe
from vedit.training.recipes import nano_revideo
from vedit.training.revideo import Trainer, draw_batch
from vedit.weights import adapter

torch.set_num_threads(1)
CONFIG = ReVideoConfig((16, 16, 16, 16), 11, 2.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_models):
    return tiny_models.write_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_clips(tmp_path_factory.mktemp("data") / "clips", 1, 4, 2, 64, 4, workers=0)


@pytest.fixture
def base(folder):
    parts = weights.open_bundle(folder, "image2video").components
    return Image2Video(
        weights.load_vae(parts["vae"]),
        weights.load_image_encoder(parts["image_encoder"], parts["feature_extractor"]),
        weights.load_image2video_unet(parts["unet"]),
        EDM.from_config(recipe.SCHEDULER),
    )


def control(base):
    torch.manual_seed(1)
    made = ReVideoUNet(base.network, ReVideoConfig.of(base.network.config, base.codec.stride))
    begin_with_motion(made.control)
    return made


def settings(**changes):
    return replace(recipe.TOGETHER, **{"steps": 4, "batch": 2, "save_every": 2, "log_every": 1, "warm": 1} | changes)


def test_a_kept_folder_is_opened_and_not_drawn_again(tmp_path, data, monkeypatch):
    assert len(data) == 8 and data.parts["numbers"].shape == (8, 2)
    first = draw_clips(tmp_path / "clips", 2, 1, 1, 64, 3, workers=0)
    monkeypatch.setattr("vedit.training.moving_clips.draw_several", None)
    again = draw_clips(tmp_path / "clips", 2, 1, 1, 64, 3, workers=0)
    assert np.array_equal(first.parts["frames"], again.parts["frames"])


def test_a_view_scales_pictures_tracks_things_and_motion_alike(data):
    """The same clip, seen whole, at its size and at half of it: what is at a track stays at the track."""
    source = WorldClips(data, "test")
    halves, wholes = source.at(View(32, 64, 64)), source.at(View(64, 64, 64))
    for index in range(len(data)):
        half, whole = (view.take(index, np.random.default_rng([9, index])) for view in (halves, wholes))
        assert half.pixels.shape == (4, 32, 32, 3) and half.things is not None and whole.things is not None
        assert half.things.mean() == pytest.approx(whole.things.mean(), abs=1e-3)
        inner = ((whole.tracks >= 0.5) & (whole.tracks <= 62.5)).all((0, 2))  # half a small pixel is lost at the rim
        np.testing.assert_allclose(half.tracks * 2 + 0.5, whole.tracks[:, inner], atol=1e-5)
        assert half.numbers is not None and whole.numbers is not None
        assert half.numbers[0] == whole.numbers[0] and half.numbers[1] <= whole.numbers[1]
        small = whole.pixels.reshape(4, 32, 2, 32, 2, 3).mean((2, 4))
        assert np.abs(half.pixels - small).max() <= 1.0


class Given:
    identity = "given"

    def __init__(self, clip):
        self.clip = clip

    def draw(self, rng):
        return self.clip


def test_some_clips_are_pasted_and_tell_all_their_tracks(data):
    view = WorldClips(data, "test").at(View(32, 32, 64))
    mixed = Mixed(view, 0.5)
    drawn = [mixed.draw(np.random.default_rng(seed)) for seed in range(40)]
    pasted = [clip for clip in drawn if clip.few]
    assert 10 < len(pasted) < 30 and all(clip.tracks.shape[1] <= 6 for clip in pasted)
    assert all(clip.pixels.shape == (4, 32, 32, 3) for clip in drawn)
    for clip in pasted:
        assert clip.things is not None and bool((clip.things >= clip.things[:1]).all())
    only = draw_batch(Mixed(view, 1.0), settings(batch=1, alone=0.0), CONFIG, 5, 8)
    clip = max((c for c in pasted if c.tracks.shape[1] > 1), key=lambda c: np.ptp(c.tracks, axis=0).max())
    # Every track is told of: at its places the map is not nothing where it moves.
    steps = np.linalg.norm(np.diff(clip.tracks, axis=0), axis=-1)
    told = draw_batch(Given(clip), settings(batch=1, alone=0.0), CONFIG, 5, 8).given.motion[0]
    for track, far in zip(clip.tracks.transpose(1, 0, 2), steps.T, strict=True):
        for frame in range(1, 4):
            x, y = np.rint(track[frame]).astype(int)
            assert (float(told[frame, :, y, x].abs().max()) > 0) == (far[frame - 1] > 0)
    boxed = draw_batch(Given(clip), replace(settings(batch=1, alone=0.0), stage=3), CONFIG, 5, 8)
    assert boxed.given.content is not None and only.given.content is None


def test_small_squares_first_and_large_ones_at_the_end():
    asked = replace(recipe.TOGETHER, steps=1000)
    early, late = ([recipe.size_of_step(step, asked) for step in range(*span)] for span in ((0, 600), (600, 1000)))
    assert {side for side, _ in early} == {48, 64} and {side for side, _ in late} == {48, 64, 96}
    assert np.mean([side == 48 for side, _ in early]) > 0.5 > 0.35 > np.mean([side == 48 for side, _ in late])
    assert {count for side, count in late if side == 96} == {3}


def test_base_and_prior_learn_together_and_resume_to_the_same_weights(tmp_path, data, base, folder):
    """One step moves the base and the control's motion, not what later stages train."""
    source = WorldClips(data, "test")

    def train(name, steps, network, resume=False):
        asked = settings()
        run = Run(tmp_path / name, {"recipe": "test"}, resume)
        trainer = recipe.Together(base, network, Told(), asked, source)
        # Not smaller: at 32 pixels the tiny network halves a map of one place, whose gradient in bf16 has been seen to
        # read memory that nobody wrote (oneDNN of torch 2.13, weights of a convolution of stride 2).
        trainer.batch = lambda step: draw_batch(  # type: ignore[method-assign]
            source.at(View(64, 64, 64)), asked, network.control.config, step, base.codec.stride
        )

        def stop(_, step):
            if step == steps:
                raise KeyboardInterrupt
            return {"first_error": 0.5}

        with contextlib.suppress(KeyboardInterrupt):
            trainer.fit(run, check=stop)
        return {name: p.detach().clone() for name, p in network.named_parameters()}

    began = {name: p.detach().clone() for name, p in control(base).named_parameters()}

    def fresh():
        base.network.load_state_dict({n.removeprefix("base."): p for n, p in began.items() if n.startswith("base.")})
        return control(base)

    straight = train("straight", 99, fresh())
    train("broken", 2, fresh())
    resumed = train("broken", 99, fresh(), resume=True)
    for name, value in straight.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)
    changed = {name for name, value in straight.items() if not torch.equal(value, began[name])}
    assert "base.conv_in.weight" in changed and "control.motion.layers.conv_out.weight" in changed
    assert not any(name.startswith(("control.gate.", "control.content.")) for name in changed)
    assert '"first_error": 0.5' in (tmp_path / "straight" / "log.jsonl").read_text()


def test_motion_is_heard_from_the_first_step_on(base):
    """Torch's own weights let a hundredth of it through."""
    told = torch.zeros(1, 2, 64, 64)
    told[:, :, 24:40, 24:40] = 3.0
    network = control(base)
    heard = [network.control.fused(network.control.motion(part)) for part in (told, torch.zeros_like(told))]
    assert 0.1 < float((heard[0] - heard[1]).std()) < 10


def test_with_few_tracks_the_region_holds_all_that_moves_and_every_track_is_told(data, base):
    source = Mixed(WorldClips(data, "test").at(View(32, 64, 64)), 1.0)
    config, asked = control(base).control.config, settings(stage=3, batch=4, alone=0.0)
    batch = draw_batch(source, asked, config, 1, base.codec.stride)
    region = batch.given.mask[:, 0]
    assert 0 < float(region.mean()) < 1
    assert float((batch.things.amax(1) * (1 - region)).max()) == 0
    whole = draw_batch(source, replace(asked, stage=1), config, 1, base.codec.stride)
    assert float(whole.given.mask.min()) == 1
    rng = step_rng(asked.seed, 1, 40 + asked.stage)
    first = source.draw(rng)
    told = trajectory_map(torch.from_numpy(np.ascontiguousarray(first.tracks)), 32, 32, config.kernel, config.sigma)
    assert torch.equal(batch.given.motion[0], told)


def test_the_loss_counts_more_where_things_are(data, base):
    """All the weight on things gives the error there; none gives the mean over all."""
    source = Mixed(WorldClips(data, "test").at(View(32, 64, 64)), 1.0)
    network = control(base)
    asked = settings(things=0.0, dropout=0.0, drop_embedding=0.0, noisy_share=0.0, alone=0.0)
    batch = draw_batch(source, asked, network.control.config, 1, base.codec.stride)
    assert 0 < float(batch.things.mean()) < 1

    def loss(things, where):
        given = replace(batch, things=where)
        return float(Trainer(base, network, Told(), replace(asked, things=things), source).loss(0, given))

    every = loss(0.0, batch.things)
    assert loss(5.0, torch.ones_like(batch.things)) == pytest.approx(every, rel=1e-5)
    inside, outside = loss(1e6, batch.things), loss(1e6, 1 - batch.things)
    assert min(inside, outside) < every < max(inside, outside)


def test_a_share_of_the_clips_is_seen_at_the_level_from_which_sampling_begins(data, base):
    source, network, told = WorldClips(data, "test").at(View(32, 64, 64)), control(base), []
    network.forward = lambda sample, level, *rest: told.append(level) or sample[:, :, : sample.shape[2] // 2]  # type: ignore[method-assign]
    for share in (0.0, 0.5, 1.0):
        asked = settings(batch=8, terminal_share=share, alone=0.0)
        batch = draw_batch(source, asked, network.control.config, 1, base.codec.stride)
        Trainer(base, network, Told(noise_augmentation=0.0), asked, source).loss(0, batch)
    top = c_noise(torch.tensor([base.levels.sigma_max]))
    assert [int((level == top).sum()) for level in told][::2] == [0, 8]
    assert 0 < int((told[1] == top).sum()) < 8


def test_first_frames_have_noise_of_which_the_network_is_told(data, base):
    source = WorldClips(data, "test").at(View(32, 64, 64))
    network, told = control(base), []
    network.forward = lambda sample, *rest: told.append((sample, rest)) or sample[:, :, : sample.shape[2] // 2]  # type: ignore[method-assign]
    for share in (0.0, 1.0):
        asked = settings(noisy_share=share, dropout=0.0, drop_embedding=0.0, alone=0.0)
        batch = draw_batch(source, asked, network.control.config, 1, base.codec.stride)
        Trainer(base, network, Told(noise_augmentation=0.0), asked, source).loss(0, batch)
    (clean, (_, _, none, *_)), (noisy, (_, _, some, *_)) = told
    assert not none[:, 2].any() and bool((some[:, 2] >= 0.005).all()) and bool((some[:, 2] <= 0.1).all())
    assert not torch.equal(clean.chunk(2, 2)[1], noisy.chunk(2, 2)[1])


def test_the_check_compares_tracks_and_draws(tmp_path, data, base):
    held = WorldClips(data, "held")
    drawn = tmp_path / "grid.png"
    check = recipe.checker(base, held, lambda pairs, step: recipe.draw_grid(pairs, base.codec.decode, drawn))
    network = control(base)
    figures = check(network, 1)
    kinds = {f"{k}{n}_{s}" for k in ("", "pasted_") for n in ("true", "other", "none") for s in (4, 20)}
    assert set(figures) == kinds | {"first_error", "change"}
    assert figures["true_4"] == figures["other_4"] == figures["none_4"], "an untrained control is silent"
    assert drawn.stat().st_size > 1000
    with torch.no_grad():
        for layer in network.control.skips:
            layer.weight.normal_(0, 0.5)
    figures = check(network, 1)
    assert figures["pasted_true_4"] != figures["pasted_other_4"] != figures["pasted_none_4"]


def test_the_autoencoder_begins_as_principal_components_and_only_its_decoder_learns(tmp_path, data):
    recipe.train_vae(tmp_path, WorldClips(data, "test"), 2, 1, "cpu", False)
    codec = weights.load_vae(tmp_path / "vae")
    assert codec.stride == 4 and codec.channels == 5
    pixels = torch.from_numpy(np.array(data.parts["frames"][0])).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        latents, halves = codec.encode(pixels), codec.encode(0.5 * pixels)
        black = codec.encode(0 * pixels)
    torch.testing.assert_close(halves, (latents + black) / 2, atol=2e-3, rtol=0)  # it is linear
    error = float((codec.decode(latents) - pixels).square().mean())
    assert error < 0.1 * float(pixels.square().mean())
    assert {t.dtype for t in load_file(tmp_path / "vae" / "diffusion_pytorch_model.safetensors").values()} == {
        torch.float16
    }
    recipe.train_vae(tmp_path / "more", WorldClips(data, "other"), 2, 2, "cpu", False, start=tmp_path)
    more = weights.load_vae(tmp_path / "more" / "vae")
    with torch.inference_mode():
        assert torch.equal(more.encode(pixels), latents), "the encoder stays"
        assert not torch.equal(more.decode(latents), codec.decode(latents))


def test_a_training_goes_on_from_what_another_left(tmp_path, base):
    network = control(base)
    with torch.no_grad():
        for p in network.base.parameters():
            p.copy_(p.bfloat16())  # as they are kept
    values = {name: p.detach().clone() for name, p in network.named_parameters()}
    recipe.export(network, tmp_path)
    again = recipe.begun(tmp_path)
    (tmp_path / "again").mkdir()
    recipe.export(again, tmp_path / "again")
    assert str(tmp_path) not in (tmp_path / "again" / "unet" / "config.json").read_text()
    again = recipe.begun(tmp_path)
    assert again.control.config == network.control.config
    for name, p in again.named_parameters():
        assert torch.equal(p, values[name]), name


def test_what_is_exported_opens_and_its_prior_is_stage_one(tmp_path, base, tiny_models):
    bundle = tiny_models.write_bundle(tmp_path / "tiny")
    network = control(base)
    with torch.no_grad():
        for p in network.parameters():
            p.copy_(p.bfloat16())
    before = {name: p.detach().clone() for name, p in network.control.named_parameters()}
    recipe.export(network, bundle / "image2video")
    (bundle / "image2video" / recipe.PRIOR).rename(tmp_path / recipe.PRIOR)
    weights.write_manifest(bundle)
    opened = weights.open_bundle(bundle, "image2video")
    assert opened.preset == recipe.PRESET | {"max_frames": 32}
    assert json.loads((bundle / "image2video/scheduler/scheduler_config.json").read_text()) == recipe.SCHEDULER
    made = nano_revideo.adapter_of(tmp_path, opened, tmp_path / "control")
    about, tensors = adapter.load(made, "revideo", opened)
    assert about.network["stage"] == 1 and len(about.training["prior"]) == 64
    for name, value in before.items():
        assert torch.equal(tensors[f"control.{name}"], value)
    assert nano_revideo.adapter_of(tmp_path, opened, tmp_path / "control") == made
    (tmp_path / "other").mkdir()
    with torch.no_grad():
        network.control.fused.weight.add_(1)
    recipe.export(network, tmp_path / "other")
    with pytest.raises(VeditError, match="holds another control than"):
        nano_revideo.adapter_of(tmp_path / "other", opened, tmp_path / "control")


def test_the_later_stages_go_on_from_the_prior(tmp_path, base, data, tiny_models):
    """What is shared is trained once; the card finds the stages that were trained here."""
    bundle = tiny_models.write_bundle(tmp_path / "tiny")
    opened = weights.open_bundle(bundle, "image2video")
    recipe.export(control(base), tmp_path)
    source = WorldClips(data, "test")
    more = {"share": 1e-4, "batch": 1, "log_every": 1, "prior": tmp_path}
    made = nano_revideo.train("full", source, opened, tmp_path / "out", **more)
    assert adapter.read_about(made).network["stage"] == 3
    assert sorted(nano_revideo.stages(tmp_path / "out")) == [2, 3]
    began = adapter.read_about(tmp_path / "out" / "shared" / "2").training["before"]
    assert began == sha256(tmp_path / "out" / "shared" / "1" / "adapter.safetensors")
    coupled = nano_revideo.train("no-decoupling", source, opened, tmp_path / "out", **more)
    assert adapter.read_about(coupled).training["before"] == began
    alone = nano_revideo.train("one-stage", source, opened, tmp_path / "out", **more)
    assert adapter.read_about(alone).training["before"] is None
    assert adapter.read_about(alone).network["stage"] == 2
    with pytest.raises(VeditError, match="trained with another data"):
        nano_revideo.train("two-stages", WorldClips(data, "more"), opened, tmp_path / "out", **more)


def test_a_made_clip_is_that_of_the_engine(base, data):
    """The check's sampler and the engines' base make the same clip of the same noise."""
    network = control(base)
    source = WorldClips(data, "test").at(View(32, 64, 64))
    batch = draw_batch(source, settings(alone=0.0), network.control.config, 1, base.codec.stride)
    told = Told(steps=3, min_guidance=1.0, max_guidance=1.0, fps_offset=0, noise_augmentation=0.0)
    truth, made = recipe.made_and_true(base, network, batch, 0, told)
    assert batch.numbers[0] is not None
    fps, bucket = batch.numbers[0]
    chosen = Image2VideoSettings(
        steps=3, min_guidance=1.0, max_guidance=1.0, fps=fps, motion_bucket=bucket, fps_offset=0, noise_augmentation=0.0
    )
    noise = recipe.frame_noise(3, range(len(truth)), truth.shape[1:])
    with torch.inference_mode():
        alone = base.sample(base.levels.start(noise), base.condition(batch.pixels[0, 0], chosen), chosen, Tally())
    torch.testing.assert_close(alone, made)  # the control is still silent
