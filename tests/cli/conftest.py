"""A clip, and the command line with a fake method behind it, in this process or in one of its own."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli import fake
from tests.video import synth

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Outcome:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """24 frames of 96×64 with sound."""
    return synth.make_clip(tmp_path / "in.mp4", 24, audio=1)


@pytest.fixture
def make_clip() -> Callable[..., Path]:
    return synth.make_clip


@pytest.fixture
def windows() -> deque[Any]:
    """The windows that the fake method was given."""
    return fake.SEEN


@pytest.fixture
def asked() -> deque[Any]:
    """What the fake method was asked for last."""
    return fake.ASKED


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command line in this process: ``real("info", clip)``."""

    def run(*arguments: object, act: str = "") -> Outcome:
        from vedit.cli import app, console

        monkeypatch.setenv("VEDIT_FAKE", act)
        monkeypatch.setattr(sys, "argv", ["vedit", *map(str, arguments)])
        console.configure()
        capfd.readouterr()
        code = app.run()
        said = capfd.readouterr()
        return Outcome(code, str(said.out), str(said.err))

    return run


@pytest.fixture
def vedit(real: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """The same with the fake method: ``vedit("instruct", clip, "invert", act="slow")``."""
    fake.install(lambda owner, name, value: monkeypatch.setattr(owner, name, value, raising=False))
    return real


@pytest.fixture
def start(environment: dict[str, str]) -> Callable[..., subprocess.Popen[str]]:
    """Start the command line in a process of its own."""

    def run(*arguments: object, act: str = "", sign: Path | None = None, **more: Any) -> subprocess.Popen[str]:
        command = [sys.executable, str(HERE / "fake.py"), *map(str, arguments)]
        pipe = subprocess.PIPE
        environment["VEDIT_FAKE"] = act
        if sign is not None:
            environment["VEDIT_FAKE_SIGN"] = str(sign)
        more.setdefault("text", True)
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment, **more)

    return run
