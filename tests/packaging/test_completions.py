"""The files in completions/ say what the command line says, and the shells that are here can use them."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "completions"


def load():
    spec = importlib.util.spec_from_file_location("completions", ROOT / "scripts" / "completions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


completions = load()


def shell(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def test_nothing_is_stale():
    assert completions.stale() == [], "run: make completions"
    assert {path.name for path in FOLDER.iterdir()} == set(completions.scripts(completions.tree()))


def test_a_change_is_noticed(tmp_path):
    for path in FOLDER.iterdir():
        shutil.copy(path, tmp_path)
    assert completions.stale(tmp_path) == []
    fish = tmp_path / "vedit.fish"
    fish.write_text(fish.read_text().replace("dry-run", "dry-walk"))
    assert completions.stale(tmp_path) == ["vedit.fish"]


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_every_option_of_instruct_is_there(path):
    text = path.read_text()
    instruct = next(command for command in completions.tree().commands if command.name == "vedit instruct")
    for option in instruct.options:
        for name in option.names:
            plain = name if path.suffix != ".fish" else f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
            assert plain in text


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ins"], {"instruct"}),
        (["instruct", "--dr"], {"--dry-run"}),
        (["instruct", "a.mp4", "make it snowy", "--progress", "p"], {"plain"}),
        (["instruct", "a.mp4", "--dtype", "=", "b"], {"bf16"}),  # as bash splits --dtype=b
        (["models", "s"], {"show"}),
        (["instruct", "--seed", ""], set()),
        (["instruct", "--method", "models", "--vid"], {"--video-guidance"}),
    ],
    ids=" ".join,
)
def test_bash_completes(words, offered):
    script = 'source "$1"; shift; COMP_WORDS=(vedit "$@"); COMP_CWORD=$#; _vedit 2>/dev/null; echo "${COMPREPLY[@]}"'
    command = [shell("bash"), "--norc", "-c", script, "bash", str(FOLDER / "vedit.bash"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize(
    ("line", "offered"),
    [("ins", {"instruct"}), ("instruct --dr", {"--dry-run"}), ("instruct a.mp4 --progress p", {"plain"})],
)
def test_fish_completes(line, offered, tmp_path):
    script = f"source {FOLDER / 'vedit.fish'}; complete -C 'vedit {line}'"
    command = [shell("fish"), "--no-config", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"HOME": str(tmp_path)})
    assert {answer.split("\t")[0] for answer in done.stdout.splitlines()} == offered


def test_zsh_reads_its_file():
    subprocess.run([shell("zsh"), "-n", FOLDER / "_vedit"], check=True)


def test_powershell_reads_its_file():
    script = (
        "$errors = $null; [System.Management.Automation.Language.Parser]::ParseFile("
        f"'{FOLDER / 'vedit.ps1'}', [ref]$null, [ref]$errors) | Out-Null; exit $errors.Count"
    )
    subprocess.run([shell("pwsh"), "-NoProfile", "-Command", script], check=True)
