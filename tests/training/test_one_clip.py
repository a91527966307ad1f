"""Tuning to one clip: ``train-adapter tcve`` and ``tune-a-video`` on a tiny text-to-image model."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.engines import tiny
from vedit import weights
from vedit.cli.app import app
from vedit.diffusion.schedule import Schedule
from vedit.errors import InputError, UsageError, VeditError
from vedit.training import one_clip
from vedit.training.common import Run
from vedit.training.one_clip import Settings, clip_parts, draw, fit, network_config
from vedit.training.plot import loss_curve, read_log, smoothed
from vedit.training.recipes import tcve, tune_a_video
from vedit.weights import adapter
from vedit.world.clipfile import write_clip

torch.set_num_threads(1)
PROMPT = "a ball"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.write_diffusers(tmp_path_factory.mktemp("model") / "sd", "StableDiffusionPipeline")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = tiny.clip_frames(5, 48, 80).permute(0, 2, 3, 1).numpy() * 0.5 + 0.5
    write_clip(path, frames.astype(np.float32), 12)
    return path


def tuned(recipe, model, clip, output, **options):
    options = {"steps": 4, "learning_rate": 1e-2, "frames": 3, "size": 32, "save_every": 2} | options
    options = {"rate": options.pop("learning_rate"), "log": lambda _: None} | options
    return recipe.train(clip=str(clip), prompt=PROMPT, model=str(model), output=str(output), **options)


def test_a_training_that_nobody_resumes_writes_no_checkpoints(tmp_path, model, clip):
    """They are as large as weights and two moments, and an edit's own training is gone with its folder."""
    for name, every in (("kept", 2), ("none", 0)):
        tuned(tune_a_video, model, clip, tmp_path / name, save_every=every)
    states = {name: (tmp_path / name / "training" / "state.safetensors").is_file() for name in ("kept", "none")}
    assert states == {"kept": True, "none": False}
    bundle = weights.open_bundle(model, "text2image")
    (_, kept), (_, none) = (adapter.load(tmp_path / name, "tune-a-video", bundle) for name in ("kept", "none"))
    assert all(torch.equal(kept[name], none[name]) for name in kept) and kept.keys() == none.keys()


def test_a_training_that_goes_astray_leaves_its_curve_and_no_adapter(tmp_path, model, clip):
    with pytest.raises(VeditError, match="not finite"):
        tuned(tune_a_video, model, clip, tmp_path / "out", learning_rate=1e30)
    assert (tmp_path / "out" / "loss.png").is_file()
    assert not (tmp_path / "out" / adapter.FILE).exists()


def test_a_prompt_is_text(tmp_path, model, clip):
    with pytest.raises(UsageError, match="--prompt: holds bytes that are no UTF-8"):
        tune_a_video.train(clip=str(clip), prompt="a \udcff", model=str(model), output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_tcve_leaves_a_whole_adapter(tmp_path, model, clip):
    seen = []
    out = tuned(tcve, model, clip, tmp_path / "out", progress=lambda *at: seen.append(at))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    bundle = weights.open_bundle(model, "text2image")
    about, tensors = adapter.load(out, "tcve", bundle)
    assert (about.prompt, about.base, about.base_sha256) == (PROMPT, bundle.name, bundle.parts_sha256)
    assert about.network["weight"] == 0.1 and about.training["steps"] == 4 and about.training["frames"] == 3
    assert about.training["latents"] == [5, 4, 4, 7]  # 80 × 48 pixels at a short side of 32
    assert PROMPT in about.card and "loss_last" in about.card
    names = set(tcve.RECIPE.network(weights.load_unet2d(bundle.components["unet"]), tcve.TCVEConfig()).trained())
    assert set(tensors) == names
    assert all(tensors[name].abs().sum() > 0 for name in names if name.endswith("convolution.weight"))
    picture = cv2.imread(str(out / "loss.png"))
    assert picture is not None and picture.shape == (480, 960, 3) and picture.std() > 5
    log = [json.loads(line) for line in (out / "training" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if "loss" in row] == [1, 2, 3, 4]


@pytest.mark.parametrize("recipe", [tcve, tune_a_video])
def test_a_training_that_is_cut_off_resumes_to_the_same_adapter(recipe, tmp_path, model, clip):
    whole = tuned(recipe, model, clip, tmp_path / "whole")

    def kill(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(recipe, model, clip, tmp_path / "parts", progress=kill)
    assert not (tmp_path / "parts" / adapter.FILE).exists()
    with pytest.raises(UsageError, match="--resume"):
        tuned(recipe, model, clip, tmp_path / "parts")
    with pytest.raises(UsageError, match=r"other settings \(seed\)"):
        tuned(recipe, model, clip, tmp_path / "parts", resume=True, seed=5)
    seen = []
    parts = tuned(recipe, model, clip, tmp_path / "parts", resume=True, progress=lambda done, _: seen.append(done))
    assert seen == [2, 3, 4]
    first, second = load_file(whole / adapter.FILE), load_file(parts / adapter.FILE)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_training_that_went_astray_goes_on_with_a_lower_rate_from_its_checkpoint(tmp_path, model, clip):
    """And with as many steps as there were, what was good is an adapter."""
    out = tmp_path / "out"

    def kill(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(tcve, model, clip, out, progress=kill)
    with pytest.raises(VeditError, match=r"not finite .*go on with --resume and a lower learning rate"):
        tuned(tcve, model, clip, out, resume=True, learning_rate=1e30, steps=6)
    assert not (out / adapter.FILE).exists()
    reached = json.loads((out / "training" / "state.json").read_text())["step"]
    with pytest.raises(UsageError, match=f"is {reached} steps far"):
        tuned(tcve, model, clip, out, resume=True, steps=reached - 1)
    said = []
    made = adapter.read_about(
        tuned(tcve, model, clip, out, resume=True, learning_rate=1e-4, steps=reached + 2, log=said.append)
    )
    assert made.training["steps"] == reached + 2 and made.training["learning_rate"] == 1e-4
    assert any("with another rate" in line for line in said)
    assert len(made.training["clip"]) == 64 and made.training["weight_decay"] == 0.01 and "| clip_norm |" in made.card


def test_seeds_differ_and_the_same_seed_gives_the_same_adapter(tmp_path, model, clip):
    made = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        made[name] = load_file(tuned(tcve, model, clip, tmp_path / name, seed=seed, steps=2) / adapter.FILE)
    assert all(torch.equal(made["a"][key], made["b"][key]) for key in made["a"])
    assert any(not torch.equal(made["a"][key], made["c"][key]) for key in made["a"])


def test_training_lowers_the_loss(tmp_path, model):
    """On fixed levels and noise, on the clip that it is tuned to."""
    unet = weights.load_unet2d(model / "unet")
    torch.manual_seed(0)
    network = tcve.TCVEUNet(unet)
    schedule = weights.load_schedule(model / "scheduler")
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(4, tiny.CHANNELS, 4, 4, generator=generator)
    text = torch.randn(1, tiny.LENGTH, tiny.WIDTH, generator=generator)
    settings = Settings(steps=60, rate=2e-2, frames=4)

    def loss():
        total = 0.0
        with torch.no_grad():
            for step in range(500, 508):
                clean, timestep, noise = draw(latents, schedule, settings, step)
                output = network(schedule.add_noise(clean, noise, timestep), timestep, text)
                total += float((output - schedule.target(clean, noise, timestep)).square().mean())
        return total / 8

    before = loss()
    fit(Run(tmp_path, {}, False, say=lambda _: None), network, schedule, latents, text, settings)
    assert loss() < 0.95 * before


class Breaks(nn.Module):
    """Answers with what is not a number from its fifth call on."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.calls = 0

    def trained(self):
        return {"gain": self.gain}

    def forward(self, latents, timestep, text):
        self.calls += 1
        return latents * self.gain * (float("nan") if self.calls >= 5 else 1.0)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint_that_gave_one(tmp_path):
    run = Run(tmp_path, {"a": 1}, False, say=lambda _: None)
    network = Breaks()
    settings = Settings(steps=9, rate=0.1, frames=2, save_every=3)
    with pytest.raises(VeditError, match="not finite at step 5"):
        fit(run, network, Schedule.scaled_linear(), torch.randn(3, 4, 2, 2), torch.zeros(1, 2, 2), settings)
    assert Run(tmp_path, {"a": 1}, True).first_step == 3
    assert load_file(tmp_path / "state.safetensors")["model.gain"].isfinite()
    assert network.gain.isfinite()


def test_a_step_sees_consecutive_frames_of_the_stride_and_the_schedules_target():
    latents = torch.arange(9.0)[:, None, None, None].expand(9, 2, 2, 2)
    schedule = Schedule.scaled_linear(prediction="v")
    settings = Settings(steps=1, rate=1.0, frames=3, stride=2)
    starts = set()
    for step in range(40):
        clean, timestep, noise = draw(latents, schedule, settings, step)
        first = int(clean[0, 0, 0, 0, 0])
        starts.add(first)
        assert clean[0, :, 0, 0, 0].tolist() == [first, first + 2, first + 4]
        assert noise.shape == clean.shape and timestep.shape == (1,)
        again = draw(latents, schedule, settings, step)
        assert torch.equal(again[2], noise) and torch.equal(again[1], timestep)
    assert starts == {0, 1, 2, 3, 4}


def read_clip(*asked, **more):
    return torch.cat(list(clip_parts(*asked, **more)))


def test_the_clip_is_read_as_an_edit_sees_it(clip):
    frames = read_clip(clip, 32, 8)
    assert frames.shape == (5, 3, 32, 56) and frames.dtype == torch.uint8 and frames.min() < 90 and frames.max() > 165
    torch.testing.assert_close(read_clip(clip, 32, 8, "1", "3"), frames[1:3])


def test_frames_are_read_and_encoded_a_few_at_a_time(monkeypatch, clip):
    """So that the memory of a long clip is that of its latents."""
    seen = []

    class Codec(torch.nn.Module):
        def encode(self, pixels):
            seen.append(len(pixels))
            return pixels[:, :, ::8, ::8]

    monkeypatch.setattr(one_clip, "AT_ONCE", 2)
    came = []

    def parts():
        for part in one_clip.clip_parts(clip, 32, 8):
            assert len(seen) == len(came), "the part before is encoded first"
            came.append(part)
            yield part

    latents = one_clip.encode(Codec(), parts(), "cpu")
    assert seen == [2, 2, 1]
    torch.testing.assert_close(latents, read_clip(clip, 32, 8)[:, :, ::8, ::8].float() / 127.5 - 1)


def test_what_was_learnt_from_which_video(tmp_path, model):
    """Of a file with two videos, the one that is named."""
    import av

    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("ffv1", rate=12) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(4):
            for stream, level in zip(streams, (40, 200), strict=True):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), "rgb24")
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    levels = [float(read_clip(path, 32, 8, stream=number).float().mean()) for number in (None, 0, 1)]
    assert levels == pytest.approx([40, 40, 200], abs=3)
    given = {"clip": str(path), "prompt": "a ball", "model": str(model), "steps": 1, "size": 32, "log": lambda _: None}
    identities = []
    for number in (None, 1):
        made = tcve.train(**given, output=str(tmp_path / str(number)), stream=number)
        identities.append(json.loads((made / "training" / "state.json").read_text())["identity"])
    assert [one["stream"] for one in identities] == [None, 1]


def test_settings_of_the_training_can_be_named(tmp_path, model, clip):
    made = tcve.train(clip=str(clip), prompt="a ball", model=str(model), output=str(tmp_path / "a"), steps=1, size=32,
                      choices={"weight_decay": 0, "clip_norm": 2.5}, log=lambda _: None)  # fmt: skip
    identity = json.loads((made / "training" / "state.json").read_text())["identity"]
    assert (identity["weight_decay"], identity["clip_norm"]) == (0.0, 2.5)
    with pytest.raises(UsageError, match="-s weight_decay=much: is no number"):
        tcve.train(clip=str(clip), prompt="a", model=str(model), output=str(tmp_path / "b"),
                   choices={"weight_decay": "much"})  # fmt: skip
    with pytest.raises(UsageError, match="nothing to train"):
        tcve.train(clip=str(clip), prompt="a", model=str(model), output=str(tmp_path / "c"), size=32,
                   choices={"temporal_unet": False, "unit": "sum"})  # fmt: skip


def test_wrong_wishes_are_named(tmp_path, model, clip):
    with pytest.raises(UsageError, match="--prompt is empty"):
        tcve.train(clip=str(clip), prompt=" ", model=str(model), output=str(tmp_path / "a"))
    with pytest.raises(InputError, match="has 1 frame to train on"):
        tuned(tcve, model, clip, tmp_path / "b", end="1")
    with pytest.raises(InputError, match="at a stride of 5"):
        tuned(tcve, model, clip, tmp_path / "b", stride=5)
    with pytest.raises(UsageError, match="-s depth: tcve has no such setting; there is spatial, places"):
        network_config(tcve.RECIPE, {"depth": 3})
    with pytest.raises(UsageError, match="-s places"):
        network_config(tcve.RECIPE, {"places": "everywhere"})
    assert network_config(tcve.RECIPE, {"convolution": False, "weight": 1}).weight == 1.0
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_the_models_advice_is_between_the_papers_and_what_is_given(tmp_path, model, clip, monkeypatch):
    opened = weights.open_bundle(model, "text2image")
    advised = replace(opened, preset=opened.preset | {"size": 32, "adapters": {"tcve": {"rate": 0.5, "steps": 7}}})
    monkeypatch.setattr(weights, "open_bundle", lambda *_: advised)
    caught = {}
    monkeypatch.setattr(one_clip, "tune", lambda *args, **_: caught.update(settings=args[5]))
    common = {"clip": str(clip), "prompt": PROMPT, "model": "m", "output": str(tmp_path)}
    tcve.train(**common)
    assert (caught["settings"].rate, caught["settings"].steps, caught["settings"].frames) == (0.5, 7, 5)
    tcve.train(**common, rate=0.25, frames=2)
    assert (caught["settings"].rate, caught["settings"].steps, caught["settings"].frames) == (0.25, 7, 2)
    assert (tcve.RECIPE.settings.steps, tcve.RECIPE.settings.rate) == (100, 3e-5)
    assert (tune_a_video.RECIPE.settings.steps, tune_a_video.RECIPE.settings.frames) == (500, 24)


def test_the_command_trains_and_prints_the_folder(tmp_path, model, clip, capfd):
    arguments = ["train-adapter", "tune-a-video", str(clip), "--prompt", PROMPT, "-o", str(tmp_path / "out")]
    arguments += ["-m", str(model), "--steps", "2", "--learning-rate", "0.01", "--size", "32", "--device", "cpu"]
    app([*arguments, "-s", "attention=frame", "--threads", "1", "--progress", "plain"], standalone_mode=False)
    out, err = capfd.readouterr()
    assert out == f"{tmp_path / 'out'}\n"
    assert "Training: 2/2 steps" in err
    about = adapter.read_about(tmp_path / "out")
    assert about.network == {"attention": "frame", "temporal": True} and about.training["steps"] == 2


def test_a_resumption_of_nothing_and_a_prompt_that_is_too_long_are_said(tmp_path, model, clip, capfd):
    arguments = ["train-adapter", "tune-a-video", str(clip), "--prompt", 90 * "ball ", "-o", str(tmp_path / "out")]
    arguments += ["-m", str(model), "--steps", "1", "--size", "32", "--device", "cpu", "--threads", "1", "--resume"]
    app([*arguments, "--progress", "none"], standalone_mode=False)
    _, err = capfd.readouterr()
    assert f"--resume: there is no checkpoint in {tmp_path / 'out'} to go on from; begins at step 0" in err
    assert "the prompt is too long" in err
    app([*arguments, "--progress", "none"], standalone_mode=False)
    assert "no checkpoint" not in capfd.readouterr().err


def test_the_command_takes_a_stream_and_numbered_pictures(tmp_path, model, clip, capfd):
    """As the edit that the adapter is for does."""
    from vedit.video.info import probe
    from vedit.video.reader import Reader

    rest = ["--prompt", PROMPT, "-m", str(model), "--steps", "1", "--size", "32", "--device", "cpu", "--threads", "1"]
    with pytest.raises(InputError, match="stream"):
        app(["train-adapter", "tcve", str(clip), *rest, "--stream", "7", "-o", str(tmp_path / "a")],
            standalone_mode=False)  # fmt: skip
    with pytest.raises(UsageError, match=r"--fps 24: .* has its own frame rate"):
        app(["train-adapter", "tcve", str(clip), *rest, "--fps", "24", "-o", str(tmp_path / "b")],
            standalone_mode=False)  # fmt: skip
    with Reader(clip, probe(clip)) as reader:
        for frame in reader:
            cv2.imwrite(str(tmp_path / f"{frame.index:03d}.png"), frame.rgb())
    app(["train-adapter", "tune-a-video", str(tmp_path / "%03d.png"), *rest, "--fps", "24", "-o", str(tmp_path / "c")],
        standalone_mode=False)  # fmt: skip
    assert adapter.read_about(tmp_path / "c").training["steps"] == 1


@pytest.mark.skipif(sys.platform == "win32", reason="has no limits of a process")
def test_a_full_disk_while_training_is_exit_code_5(tmp_path, model, clip, environment):
    """A file size limit stands in for it; what was there before stays."""
    import resource
    import subprocess

    command = [sys.executable, "-m", "vedit", "train-adapter", "tune-a-video", str(clip), "--prompt", PROMPT, "-o",
               str(tmp_path / "out"), "-m", str(model), "--steps", "1", "--size", "32", "--device", "cpu", "--threads",
               "1", "--progress", "none"]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )  # fmt: skip
    assert done.returncode == 5 and "the disk is full" in done.stderr, done.stderr
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]


def test_the_curve_is_drawn_from_the_log(tmp_path):
    log = tmp_path / "log.jsonl"
    rows = [{"step": s, "loss": 1 / s} for s in (1, 2, 3)] + [{"step": 3, "loss": 9.0}, {"step": 4, "other": 1}]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps, values = read_log(log)
    assert steps.tolist() == [1, 2, 3] and values.tolist() == [1.0, 0.5, 9.0]
    torn = tmp_path / "torn.jsonl"  # a crash left half a line, and the resumed run wrote on behind it
    torn.write_bytes(log.read_bytes() + b'{"step": 5, "lo{"step": 6, "loss": 1.0}\n\xff\n{"step": 7, "loss": 2.0}\n')
    assert read_log(torn)[0].tolist() == [1, 2, 3, 7]
    np.testing.assert_allclose(smoothed(np.full(30, 2.0)), 2.0)
    assert len(smoothed(np.arange(5.0))) == 5
    loss_curve(log, tmp_path / "a.png")
    log.write_text("".join(json.dumps({"step": s, "loss": 5.0}) + "\n" for s in range(1, 50)))
    loss_curve(log, tmp_path / "b.png")
    assert (cv2.imread(str(tmp_path / "a.png")) != cv2.imread(str(tmp_path / "b.png"))).any()
    log.write_text('{"step": 1, "loss": NaN}\n')
    with pytest.raises(InputError, match="no loss"):
        loss_curve(log, tmp_path / "c.png")
