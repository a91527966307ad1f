"""The wheel carries everything it needs, runs outside the checkout, and stays small."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import vedit

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 90_000_000  # bytes


def succeed(*command: str | Path, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    succeed(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The wheel alone in a clean folder: ``bin/vedit`` and the package; libraries come from this environment."""
    folder = tmp_path_factory.mktemp("installed")
    succeed(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"),
        *("--no-compile", "--target", folder, wheel),
    )
    return folder


@pytest.fixture
def run(installed, tmp_path):
    """Call the console script far from the checkout, with only the installed wheel before the libraries."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VEDIT_", "PYTHON"))}
    environment |= {"PYTHONPATH": str(installed), "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(*arguments: str) -> str:
        return succeed(installed / "bin" / "vedit", *arguments, cwd=tmp_path, env=environment).strip()

    return run


def test_size_and_contents(wheel):
    assert wheel.name == f"vedit-{vedit.__version__}-py3-none-any.whl"
    assert wheel.stat().st_size < LIMIT, f"the wheel has {wheel.stat().st_size:,} bytes"
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert tops == {"vedit", f"vedit-{vedit.__version__}.dist-info"}
    for source in (ROOT / "src" / "vedit").rglob("*.py"):
        assert source.relative_to(ROOT / "src").as_posix() in names
    for page in (ROOT / "src" / "vedit" / "metrics" / "page").iterdir():
        assert page.relative_to(ROOT / "src").as_posix() in names
    assert "vedit/weights/registry.toml" in names
    for part in ("bundle.json", "manifest.json", "README.md"):
        assert f"vedit/_models/nano/{part}" in names


def test_the_models_keep_to_their_budget():
    assert sum(file.stat().st_size for file in (ROOT / "models").rglob("*") if file.is_file()) < 100e6


def test_the_console_script_runs(run):
    assert run("--version") == f"vedit {vedit.__version__}"


def test_the_wheel_brings_its_models(run, installed):
    assert Path(run("models", "path", "nano")) == installed / "vedit" / "_models" / "nano"
    assert "nano" in run("models", "list")


def test_an_editable_install_is_only_a_path(tmp_path):
    """It must not carry a copy of the models, which would go stale and be found before the checkout's."""
    from hatchling.builders.wheel import WheelBuilder

    (path,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["editable"])
    names = [name for name in zipfile.ZipFile(path).namelist() if ".dist-info/" not in name]
    assert len(names) == 1
    assert names[0].endswith(".pth")
