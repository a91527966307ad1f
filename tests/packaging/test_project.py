"""What the files around the sources promise: versions, documentation, and nothing that is true of one machine only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import vedit

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def project_files() -> list[Path]:
    """The files that belong to the project: what git tracks or would track, or everything in an unpacked archive."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        command = [git, "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, capture_output=True, text=True)
        if listed.returncode == 0:
            return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    skip = {".git", ".venv", "demo", "dist", "runs", "__pycache__"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not skip & set(path.relative_to(ROOT).parts)]


def constraints() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pins}


RUNTIME = [Requirement(text) for text in PROJECT["dependencies"]]
REQUIREMENTS = RUNTIME + [Requirement(text) for text in PROJECT["optional-dependencies"]["dev"]]


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_the_tested_version_is_in_the_range(requirement):
    tested = constraints()[canonicalize_name(requirement.name)]
    assert tested in requirement.specifier, f"{requirement} does not admit the tested {tested}"
    assert tested.local is None, "a local tag would bind the constraint to one build"


@pytest.mark.parametrize("requirement", RUNTIME, ids=lambda requirement: requirement.name)
def test_ranges_end(requirement):
    assert any(bound.operator in ("<", "==", "~=") for bound in requirement.specifier)


def test_the_changelog_has_this_version():
    headings = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] in (vedit.__version__, "Unreleased")
    assert vedit.__version__ in headings


def test_the_readme_names_every_option_of_instruct():
    import typer

    from vedit.cli.app import app

    text = (ROOT / "README.md").read_text()
    instruct = getattr(typer.main.get_command(app), "commands")["instruct"]  # noqa: B009
    missing = [name for parameter in instruct.params for name in parameter.opts if f"`{name}" not in text]
    assert not [name for name in missing if name.startswith("-")]


def test_the_readme_names_every_command():
    import typer

    from vedit.cli.app import app

    def names(command, path: str):
        for name, child in getattr(command, "commands", {}).items():
            below = list(names(child, f"{path} {name}"))
            yield from below or [f"{path} {name}"]

    text = (ROOT / "README.md").read_text()
    assert not [name for name in names(typer.main.get_command(app), "vedit") if name not in text]


def test_the_readme_names_every_exit_code():
    import vedit.errors as errors

    text = (ROOT / "README.md").read_text()
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")]
    codes = {kind.exit_code for kind in kinds} | {0, 129, 130, 143}
    assert not [code for code in codes if not re.search(rf"^\| {code} \|", text, re.MULTILINE)]


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text())
    broken = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not broken


def test_no_file_knows_one_machine():
    """No home folders, no folders of a build machine, no package index: they are different elsewhere."""
    folders = "|".join(["home/[a-z]", "root/", "Users/[A-Za-z]", "opt/", "work/", "mnt/", "workspace/"])
    hosts = "|".join(["py" + r"pi\.org", "python" + r"hosted\.org", r"download\.py" + r"torch\.org"])
    options = r"--(?:extra-)?index-url[= ]https?|--find-links[= ](?:https?|/)"
    pattern = re.compile(rf"(?<![\w.}})*>~-])/(?:{folders})|{hosts}|{options}".encode())
    found = []
    for path in project_files():
        if path == Path(__file__).resolve():
            continue
        with path.open("rb") as file:
            for match in pattern.finditer(file.read(1 << 20)):
                found.append(f"{path.relative_to(ROOT)}: {match.group().decode()}")
    assert not found, "\n".join(found)


def test_files_stay_small():
    """What is too large for a repository belongs elsewhere; the models have the wheel's limit."""
    large = [path for path in project_files() if path.stat().st_size > 50_000_000]
    assert not large


def test_the_continuous_integration_script_can_run():
    path = ROOT / ".ci" / "run"
    assert os.access(path, os.X_OK)
    subprocess.run(["bash", "-n", path], check=True)


def test_pip_args_reach_every_install():
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    for target in ("demo", "test"):
        command = [make, "-C", str(ROOT), "--dry-run", "--always-make", target, "PIP_ARGS=--of-mine"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        installs = [line for line in lines if " -m pip install " in line]
        assert installs
        assert all("--of-mine" in line and "--constraint constraints.txt" in line for line in installs)
