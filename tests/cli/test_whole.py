"""The real method behind the shell, with tiny random weights: what is checked, what is written, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, tiny_models: Any) -> Path:
    """A bundle of tiny random models."""
    return tiny_models.write_bundle(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def edit(real, clip, model):
    """``edit("-o", path)``: edit the clip with the tiny model at a tiny size."""

    def run(*options: object):
        return real("instruct", clip, "make it snowy", "--model", model, "--size", "32", "--threads", "1", *options)

    return run


def test_it_edits(edit, clip, model):
    from vedit import weights

    done = edit("--json", "--steps", "2")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["frames"] == 24
    assert report["model"] == "tiny"
    assert report["model_sha256"] == weights.open_bundle(model).sha256
    assert report["settings"]["steps"] == 2
    assert report["settings"]["guidance"] == 2.0
    assert (report["window"], report["overlap"], report["windows"]) == (6, 2, 6)
    assert report["timings"]["denoise"] > 0


def test_same_seed_same_bytes(edit, tmp_path):
    made = [tmp_path / f"{name}.mp4" for name in "abc"]
    for path, seed in zip(made, (4, 4, 5), strict=True):
        assert edit("-o", path, "--seed", seed, "--end", "12").code == 0
    assert made[0].read_bytes() == made[1].read_bytes()
    assert made[0].read_bytes() != made[2].read_bytes()


def test_a_dry_run_loads_no_weights(edit, monkeypatch):
    from vedit import engines

    def refuse(*what: object, **how: object) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(engines, "load", refuse)
    done = edit("--dry-run", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["windows"] == 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--window", "9"], ["--window", "8"]),
        (["--guidance", "99"], ["--guidance"]),
        (["-s", "solver=magic"], ["solver", "magic"]),
        (["-s", "noise_share=2"], ["noise_share"]),
        (["--dtype", "fp16", "--device", "cpu"], ["--dtype fp16"]),
    ],
    ids=str,
)
def test_settings_are_checked(edit, options, words):
    done = edit(*options)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done.err
    assert all(word in done.err for word in words), done.err


@pytest.mark.parametrize("damage", ["missing", "extra", "changed", "cut", "pickle"])
def test_a_damaged_model_is_refused(real, clip, model, tmp_path, damage):
    bad = tmp_path / "bad"
    shutil.copytree(model, bad)
    weights = next((bad / "instruct" / "unet").glob("*.safetensors"))
    if damage == "missing":
        weights.unlink()
    elif damage == "extra":
        (bad / "notes.txt").write_text("hello")
    elif damage == "changed":
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-10])
    elif damage == "pickle":
        weights.rename(weights.with_suffix(".bin"))
    done = real("instruct", clip, "make it snowy", "--model", bad)
    assert (done.code, done.out, done.err.count("\n")) == (4, "", 1), done.err
    assert str(bad) in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "in.mp4"]


def test_show_lists_the_settings(real, model):
    said = real("models", "show", model).out
    assert "snow, sepia" in said
    assert "guidance" in said
    assert "denoising steps (1 to 1000)" in said


@pytest.mark.slow
def test_draw_train_edit(real, clip, model, tmp_path):
    drawn = real(
        "world", "draw", "--count", "1", "--edits", "1", "--frames", "4", "--size", "64", "-o", tmp_path / "data"
    )
    assert drawn.code == 0, drawn.err
    assert Path(drawn.out.strip()).is_file()
    options = ["--steps", "2", "--batch", "1", "--frames", "4", "--size", "64", "--threads", "1", "--seed", "1"]
    trained = real(
        "train-adapter",
        "instructvid2vid",
        "--data",
        tmp_path / "data",
        "--model",
        model,
        "-o",
        tmp_path / "new",
        *options,
    )
    assert trained.code == 0, trained.err
    assert trained.out == f"{tmp_path / 'new'}\n"
    done = real("instruct", clip, "make it snowy", "--model", tmp_path / "new", "--size", "32", "--end", "6")
    assert done.code == 0, done.err
