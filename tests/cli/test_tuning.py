"""``vedit prompt-edit`` with a method that is tuned to the clip: with an adapter, and without one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vedit.cache import Cache
from vedit.cli.app import app
from vedit.errors import InputError, ModelError, VeditError
from vedit.training.recipes import tcve, tune_a_video
from vedit.weights import adapter
from vedit.world.clipfile import write_clip


@pytest.fixture(scope="module")
def model(tiny_models, tmp_path_factory):
    return tiny_models.write_diffusers(tmp_path_factory.mktemp("model") / "sd", "StableDiffusionPipeline")


@pytest.fixture(scope="module")
def clip(tiny_models, tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = tiny_models.clip_frames(4, 32, 48).permute(0, 2, 3, 1).numpy() * 0.5 + 0.5
    write_clip(path, frames.astype(np.float32), 12)
    return path


@pytest.fixture
def edit(model, clip, tmp_path, monkeypatch, capfd):
    """Run the command and give its report; trainings take two steps, and what is kept goes to a folder of the test."""
    monkeypatch.setenv("VEDIT_CACHE", str(tmp_path / "cache"))
    for recipe in (tcve, tune_a_video):
        short = replace(recipe.RECIPE.settings, steps=2, frames=3, rate=1e-2)
        monkeypatch.setattr(recipe, "RECIPE", replace(recipe.RECIPE, settings=short))

    def run(name, target, *more):
        arguments = ["prompt-edit", str(clip), "--source", "a ball", "--target", target, "-m", str(model)]
        arguments += ["-o", str(tmp_path / name), "--size", "32", "--steps", "2", "--device", "cpu", "--dtype", "fp32"]
        app([*arguments, "--threads", "1", "--json", "--progress", "plain", *more], standalone_mode=False)
        out, err = capfd.readouterr()
        return json.loads(out.splitlines()[-1]), err

    return run


@pytest.mark.parametrize("method", ["tcve", "tune-a-video"])
def test_without_an_adapter_one_is_trained_and_kept(edit, tmp_path, monkeypatch, method):
    first, told = edit("a.mp4", "snow", "--method", method)
    assert "Training: 2/2 steps" in told
    assert first["frames"] == 4 and first["inversion_evaluations"] == 2
    kinds = [entry.kind for entry in Cache(tmp_path / "cache").entries()]
    assert sorted(kinds) == ["adapters", "trajectories"]

    def never(**_):
        raise AssertionError("trained again")

    monkeypatch.setattr(tcve, "train", never)
    monkeypatch.setattr(tune_a_video, "train", never)
    second, told = edit("b.mp4", "no snow", "--method", method)
    assert "Training" not in told and second["inversion_evaluations"] == 0
    assert (tmp_path / "a.mp4").read_bytes() != (tmp_path / "b.mp4").read_bytes()


def test_a_memory_limit_counts_frames_that_go_along_and_says_what_it_does_not_count(edit):
    more = ["--method", "tune-a-video", "--dry-run", "--vram", "4G", "-s", "context=2"]
    many, _ = edit("a.mp4", "snow", *more, "--window", "1")
    once, _ = edit("a.mp4", "snow", *more, "--window", "4")
    # Two of the window before, and the first of all; one window has none before it.
    assert (many["memory_plan"]["along"], once["memory_plan"]["along"]) == (3, 0)
    assert many["memory_plan"]["denoise"] == pytest.approx(once["memory_plan"]["denoise"], rel=0.01)
    assert any("training an adapter" in said for said in many["warnings"])


def test_a_training_that_diverges_says_what_can_be_done(edit, tmp_path, monkeypatch):
    """The folder that it was in is gone by then, and prompt-edit has no learning rate."""
    mad = replace(tune_a_video.RECIPE.settings, rate=1e30, steps=4)
    monkeypatch.setattr(tune_a_video, "RECIPE", replace(tune_a_video.RECIPE, settings=mad))
    with pytest.raises(VeditError, match=r"is not finite at step .*train-adapter tune-a-video and a lower --learning"):
        edit("a.mp4", "snow", "--method", "tune-a-video")
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_clip_too_short_to_train_on_is_said_before_anything_is_loaded(edit, monkeypatch, more):
    from vedit import weights

    monkeypatch.setattr(weights, "load_vae", lambda *_: pytest.fail("loaded"))
    with pytest.raises(InputError, match="has 1 frame to train on"):
        edit("a.mp4", "snow", "--method", "tcve", "--end", "1", *more)


def test_what_a_method_was_made_to_see_together_is_a_window(edit):
    """The model's own are 8 frames; the papers train and edit 16 and 24 together."""
    for method, window in (("tcve", 16), ("tune-a-video", 24), ("tokenflow", 40), ("fatezero", 8)):
        assert edit("a.mp4", "snow", "--method", method, "--dry-run")[0]["window"] == window
    assert edit("a.mp4", "snow", "--method", "tcve", "--dry-run", "--window", "4")[0]["window"] == 4


def test_a_cache_that_cannot_be_used_costs_no_edit(edit, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VEDIT_CACHE", str(tmp_path / "file"))
    report, _ = edit("a.mp4", "snow", "--method", "tcve")
    assert report["frames"] == 4 and any("VEDIT_CACHE" in said for said in report["warnings"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "a.mp4.vedit.json", "file"]


def test_a_run_does_not_push_out_the_adapter_that_it_made(edit, tmp_path, monkeypatch):
    """Where its trajectories fill the cache, the adapter, which took longer, stays."""
    edit("a.mp4", "snow", "--method", "tcve")
    (size,) = (entry.size for entry in Cache(tmp_path / "cache").entries() if entry.kind == "adapters")
    monkeypatch.setenv("VEDIT_CACHE_SIZE", str(size + 2000))  # and not even one trajectory
    monkeypatch.setenv("VEDIT_CACHE", str(tmp_path / "small"))
    report, _ = edit("b.mp4", "snow", "--method", "tcve")
    assert [entry.kind for entry in Cache(tmp_path / "small").entries()] == ["adapters"]
    assert any("VEDIT_CACHE_SIZE" in said for said in report["warnings"])


@pytest.mark.parametrize(
    "other",
    [["--source", "a cube"], ["--seed", "3"], ["--size", "24"], ["--end", "3"], ["--start", "1"]],
    ids=" ".join,
)
def test_an_adapter_is_for_all_that_it_was_made_from(edit, tmp_path, other):
    edit("a.mp4", "snow", "--method", "tune-a-video")
    edit("b.mp4", "snow", "--method", "tune-a-video", *other)
    edit("c.mp4", "no snow", "--method", "tune-a-video", *other)
    assert [entry.kind for entry in Cache(tmp_path / "cache").entries()].count("adapters") == 2


def test_with_the_cache_off_the_edit_works_all_the_same(edit, tmp_path, monkeypatch):
    monkeypatch.setenv("VEDIT_CACHE_SIZE", "0")
    assert edit("a.mp4", "snow", "--method", "tcve")[0]["frames"] == 4
    assert Cache(tmp_path / "cache").entries() == []


def test_a_given_adapter_is_used_and_checked_before_any_weight_is_loaded(edit, tmp_path, model, clip):
    out = tune_a_video.train(
        clip=str(clip), prompt="a ball", model=str(model), output=str(tmp_path / "tuned"), size=32, log=lambda _: None
    )
    report, told = edit("a.mp4", "snow", "--method", "tune-a-video", "--adapter", str(out))
    assert report["frames"] == 4 and "Training" not in told
    assert [entry.kind for entry in Cache(tmp_path / "cache").entries()] == ["trajectories"]
    with pytest.raises(ModelError, match="for tune-a-video, not for tcve"):
        edit("b.mp4", "snow", "--method", "tcve", "--adapter", str(out))
    about, tensors = adapter.read_about(out), {}
    adapter.save(tmp_path / "other", replace(about, base="other", base_sha256="0" * 64), tensors)
    with pytest.raises(ModelError, match=r"trained on other .*--model"):
        edit("b.mp4", "snow", "--method", "tune-a-video", "--adapter", str(tmp_path / "other"))
    assert not Path(tmp_path / "b.mp4").exists()
