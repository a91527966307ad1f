"""The command line as a whole: help that costs nothing, usage errors, the small commands."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "diffusers", "transformers", "cv2", "av", "numpy", "rich")

OPTIONS = (
    "-o --model --method --steps --guidance --video-guidance --seed --size --window --overlap --start --end --compare "
    "--sheet --stream --no-audio --fps --threads --device --dtype --codec --crf --preset --pix-fmt --dry-run --json "
    "--progress -y -q -v -s"
)

IMPORTED = """
import json, sys
from vedit.__main__ import main
sys.argv = ["vedit", *sys.argv[1:]]
code = main()
print(json.dumps([code, sorted(name for name in sys.modules if "." not in name)]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words", [["--help"], ["instruct", "--help"], ["--version"], ["models", "--help"], []], ids=str
)
def test_help_imports_nothing_heavy(python, words):
    done = python(IMPORTED, *words)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == (0 if words else 2)
    assert [name for name in HEAVY if name in modules] == []


def test_version(vedit):
    from vedit import __version__

    assert vedit("--version").out == f"vedit {__version__}\n"


def test_help_names_every_option_of_the_readme(vedit):
    text = vedit("instruct", "--help").out
    for option in OPTIONS.split():
        assert f"{option} " in text or f"{option}," in text, option


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["instruct"], "INPUT"),
        (["instruct", "a.mp4"], "INSTRUCTION"),
        (["nonsense"], "nonsense"),
        (["instruct", "a", "b", "c"], "c"),
        (["models", "show"], "MODEL"),
        (["info"], "FILE"),
        (["train-adapter", "instructvid2vid"], "--data"),
    ],
    ids=str,
)
def test_usage_errors_are_one_line(vedit, words, said):
    done = vedit(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("vedit: error: ")
    assert done.err.count("\n") == 1
    assert said in done.err


def test_info(vedit, clip):
    text = vedit("info", clip)
    assert text.code == 0
    assert "96×64" in text.out
    assert "audio" in text.out
    report = json.loads(vedit("info", clip, "--json").out)
    assert (report["schema"], report["frames"], report["width"], report["height"]) == (1, 24, 96, 64)


def test_info_of_what_is_no_video(vedit, tmp_path):
    done = vedit("info", tmp_path / "nothing.mp4")
    assert (done.code, done.out, done.err.count("\n")) == (3, "", 1)
    assert "nothing.mp4" in done.err


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder with one small model."""
    from vedit.weights import write_manifest

    folder = tmp_path / "models" / "tiny"
    parts = {name: name for name in ("vae", "clip", "tokenizer", "unet", "scheduler")}
    for name in parts:
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text("{}")
    (folder / "preset.json").write_text(json.dumps({"steps": 7, "knows": ["snow", "sepia"]}))
    roles = {"instruct": parts | {"preset": "preset.json"}}
    (folder / "bundle.json").write_text(json.dumps({"schema": 1, "name": "tiny", "roles": roles}))
    write_manifest(folder)
    monkeypatch.setenv("VEDIT_MODELS", str(folder.parent))
    return folder


def test_models(vedit, models, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("VEDIT_MODELS", str(models.parent))
    listed = run(["models", "list", "--json"], models)
    assert "tiny" in [model["name"] for model in json.loads(listed.stdout)["models"]]
    assert run(["models", "path", "tiny"], models).stdout == f"{models}\n"
    shown = run(["models", "show", "tiny"], models).stdout
    assert "snow, sepia" in shown
    assert "steps" in shown
    missing = run(["models", "path", "huge"], models)
    assert (missing.returncode, missing.stdout, missing.stderr.count("\n")) == (4, "", 1)


def run(words, models):
    import os
    from pathlib import Path

    source = str(Path(__file__).resolve().parents[2] / "src")
    environment = os.environ | {"VEDIT_MODELS": str(models.parent), "PYTHONPATH": source}
    command = [sys.executable, "-m", "vedit", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def test_a_bug_is_called_a_bug(capsys):
    from vedit.cli import console

    def broken(**how):
        raise ZeroDivisionError("division by zero")

    assert console.run(broken) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "vedit: error: ZeroDivisionError: division by zero; this is a bug: please report it with the output of -v\n"
    )


def test_a_full_disk_is_one_line(capsys):
    from vedit.cli import console

    def full(**how):
        raise OSError(28, "No space left on device", "/data/out.mp4")

    assert console.run(full) == 5
    assert capsys.readouterr().err == (
        "vedit: error: /data/out.mp4: no space left on device; check the disk and the permissions\n"
    )
