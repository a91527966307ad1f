"""What the tests of several parts share."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_configure() -> None:
    """One of several processes keeps to a core of its own, and so does what it starts.

    Two that compute in as many threads as there are cores wait for one another most of the time.
    """
    number = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if number and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(number) % len(cores)]})


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of its own for every test; the folder appears when it is used."""
    folder = tmp_path_factory.getbasetemp() / "caches" / uuid.uuid4().hex
    monkeypatch.setenv("VEDIT_CACHE", str(folder))
    monkeypatch.delenv("VEDIT_CACHE_SIZE", raising=False)
    return folder


@pytest.fixture(scope="session")
def benchmark() -> Callable[[str], ModuleType]:
    """A script of ``benchmarks`` as a module, by its name; they import one another."""

    def load(name: str) -> ModuleType:
        folder = str(ROOT / "benchmarks")
        sys.path.insert(0, folder)
        try:
            return importlib.import_module(name)
        finally:
            sys.path.remove(folder)

    return load


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a fresh interpreter that finds vedit, installed or not."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path), "COLUMNS": "100"}


@pytest.fixture
def python(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python code in a fresh interpreter: ``python(code, *arguments)``."""

    def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)

    return run


@pytest.fixture(scope="session")
def tiny_models() -> ModuleType:
    """The module that writes tiny models; it belongs to the tests of the engines."""
    from tests.engines import tiny

    return tiny
