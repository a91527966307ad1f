"""``vedit prompt-edit`` and ``vedit cache`` with a tiny random model: what instruct does, and what is its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SOURCE, TARGET = "a red ball", "a no ow"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, tiny_models: Any) -> Path:
    """A text-to-image model with the blocks of Stable Diffusion 1.x."""
    return tiny_models.write_diffusers(tmp_path_factory.mktemp("models") / "sd", "StableDiffusionPipeline")


@pytest.fixture
def edit(real, clip, model):
    """``edit("-o", path)``: edit the first frames of the clip at a tiny size."""

    def run(*options: object, source: str = SOURCE, target: str = TARGET):
        words = ["--source", source, "--target", target, "--model", model, "--size", "32", "--threads", "1"]
        return real("prompt-edit", clip, *words, "--steps", "2", "--end", "10", *options)

    return run


def one_error_line(outcome, code: int, *words: str) -> None:
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (code, "", 1), outcome.err
    for word in words:
        assert word in outcome.err


def test_it_edits_and_remembers_the_way_back(edit, clip, tmp_path, empty_cache):
    """Frames, files and JSON as of instruct; the second edit of a clip needs no inversion and gives the same bytes."""
    from vedit.jobs import EditJob

    reports = []
    for name in ("first.mp4", "second.mp4"):
        done = edit("-o", tmp_path / name, "--json", "--method", "text2video-zero", "--inversion-steps", "4")
        assert done.code == 0, done.err
        reports.append(json.loads(done.out))
    first, second = reports
    assert (first["frames"], first["edited_frames"], first["windows"]) == (24, 10, 2)
    assert (first["method"], first["model"]) == ("text2video-zero", "sd")
    assert first["settings"] == {
        "steps": 2, "guidance": 7.5, "guidance_rescale": 0.0, "negative_prompt": "", "inversion_steps": 4,
        "fixed_point": 0,
    }  # fmt: skip
    assert list(first["timings"])[:4] == ["decode", "encode", "invert", "denoise"]
    assert first["inversion_evaluations"] > 0 == second["inversion_evaluations"]
    assert first["evaluations"] - second["evaluations"] == first["inversion_evaluations"]
    assert (tmp_path / "first.mp4").read_bytes() == (tmp_path / "second.mp4").read_bytes()
    assert len(list(empty_cache.glob("trajectories/*.safetensors"))) == 2
    record = json.loads((tmp_path / "first.mp4.vedit.json").read_text())
    job = EditJob.from_json(json.dumps(record["job"]))
    assert (job.command, job.source_prompt, job.prompt) == ("prompt-edit", SOURCE, TARGET)


def test_a_cache_that_cannot_be_used_is_a_warning(edit, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VEDIT_CACHE", str(tmp_path / "file"))
    done = edit("--method", "text2video-zero", "--end", "2")
    assert done.code == 0, done.err
    assert done.err.startswith("vedit: warning: ")
    assert "VEDIT_CACHE" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"source": " "}, 2, ["--source is empty"]),
        ({"target": ""}, 2, ["--target is empty"]),
        ({"target": "snow \udcff"}, 2, ["--target: holds bytes that are no UTF-8"]),
        ({"source": "a \udcff ball"}, 2, ["--source: holds bytes that are no UTF-8"]),
        ({"target": "A  red ball"}, 2, ["--target says the same as --source"]),
        (["--method", "instructvid2vid"], 2, ["--method", "prompt-edit", "tokenflow"]),
        (["--method", "sdedit", "--adapter", "there"], 2, ["--adapter there", "sdedit takes no adapter"]),
        (["--method", "sdedit", "--inversion-steps", "9"], 2, ["--inversion-steps", "sdedit has no such setting"]),
        (["--method", "fatezero", "-s", "words=swap"], 2, ["-s words", "swap"]),
        (["--method", "fatezero", "-s", "blend=true"], 2, ["blend", "mask_threshold"]),
        (["--inversion-steps", "0"], 2, ["--inversion-steps"]),
        (["--model", "nowhere"], 4, ["nowhere"]),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(edit, clip, options, code, words):
    done = edit(**options) if isinstance(options, dict) else edit(*options)
    one_error_line(done, code, *words)
    assert [path.name for path in clip.parent.iterdir()] == ["in.mp4"]


def test_fewer_inversion_steps_than_steps_leave_nothing(edit, clip):
    one_error_line(edit("--steps", "8", "--inversion-steps", "4"), 2, "--inversion-steps 4", "8 sampling steps")
    assert [path.name for path in clip.parent.iterdir()] == ["in.mp4"]


def test_a_model_for_instructions_is_refused(edit, real, clip, tmp_path, tiny_models):
    pix2pix = tiny_models.write_diffusers(tmp_path / "pix2pix")
    one_error_line(edit("--model", pix2pix), 4, "8 channels")
    bundle = tiny_models.write_bundle(tmp_path / "tiny")
    one_error_line(edit("--model", bundle), 4, "has no text2image model; it has image2video, instruct")
    one_error_line(real("instruct", clip, "snow", "--method", "sdedit", "--model", bundle), 2, "for instruct there is")


def test_both_prompts_are_needed(real, clip):
    one_error_line(real("prompt-edit", clip, "--source", SOURCE), 2, "--target")
    one_error_line(real("prompt-edit", clip, "--target", TARGET), 2, "--source")


def test_a_dry_run_loads_nothing(edit, monkeypatch):
    from vedit import engines

    monkeypatch.setattr(engines, "load", None)
    done = edit("--dry-run", "--json", "--method", "fatezero", "-s", "fixed_point=2")
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    assert (plan["settings"]["fixed_point"], plan["method"]) == (2, "fatezero")
    assert (plan["windows"], plan["overlap"]) == (2, 0)  # of 8: what the methods carry makes shared frames superfluous
    one_error_line(edit("--dry-run", "--overlap", "2"), 2, "--overlap 2: is not for")
    assert json.loads(edit("--dry-run", "--json", "--overlap", "0").out)["overlap"] == 0


def test_show_lists_the_methods_of_a_text_to_image_model(real, model):
    said = real("models", "show", model).out
    for method in ("sdedit", "fatezero", "tokenflow", "text2video-zero"):
        assert f"vedit prompt-edit --method {method}, settings for -s:" in said
    assert "iterations that make each step back more exact" in said


def test_cache_commands(real, empty_cache, monkeypatch):
    import torch

    from vedit.cache import Cache

    assert real("cache", "path").out == f"{empty_cache}\n"
    assert real("cache", "list").out == ""
    assert real("cache", "clear").out == "0 entries, 0.0 MB\n"
    Cache.default().put(
        "trajectories", "abc".ljust(64, "0"), {"latents": torch.zeros(500_000)}, {"prompt": "a red ball"}
    )
    listed = real("cache", "list").out
    assert "trajectories" in listed
    assert "2.0 MB" in listed
    assert "prompt a red ball" in listed
    report = json.loads(real("cache", "list", "--json").out)
    assert (report["path"], report["limit"], len(report["entries"])) == (str(empty_cache), 10**10, 1)
    assert report["entries"][0]["prompt"] == "a red ball"
    one_error_line(real("cache", "clear"), 2, "1 entries", "-y")
    assert real("cache", "clear", "-y").out == "1 entries, 2.0 MB\n"
    assert real("cache", "list").out == ""
    monkeypatch.setenv("VEDIT_CACHE_SIZE", "plenty")
    one_error_line(real("cache", "list"), 2, "VEDIT_CACHE_SIZE")


def test_cache_help_imports_nothing_heavy(python, empty_cache):
    code = "import sys; from vedit.cli import app; sys.argv = ['vedit', 'cache', 'list']; app.run()"
    done = python(code + "; print([name for name in ('torch', 'numpy', 'av') if name in sys.modules])")
    assert done.stdout == "[]\n", done.stderr
