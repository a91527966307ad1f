"""Ctrl-C, SIGTERM and SIGHUP end an edit promptly and leave nothing; a second signal leaves at once."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest


def _as_on_a_terminal() -> None:
    """A run in the background or under nohup hands down ignored signals; these tests are about a person's terminal."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def begun(start, make_clip, tmp_path, tmp_path_factory):
    """Start an edit of a clip in ``tmp_path`` and wait until the method is at work."""
    sign = tmp_path_factory.mktemp("sign") / "begun"

    def run(*options, frames=60, **more) -> subprocess.Popen[str]:
        clip = make_clip(tmp_path / "in.mp4", frames)
        more.setdefault("preexec_fn", _as_on_a_terminal)
        process = start("instruct", clip, "invert", *options, sign=sign, **more)
        deadline = time.monotonic() + 100
        while not sign.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the edit never began"
            time.sleep(0.02)
        return process

    return run


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=lambda value: str(value),
)
def test_a_signal_leaves_nothing(begun, tmp_path, number, code):
    process = begun("--compare", tmp_path / "pair.mp4", act="slow")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert err == f"vedit: error: stopped by {number.name}; nothing was left behind\n"
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_second_signal_leaves_at_once(begun, tmp_path):
    process = begun(act="stubborn")
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - began < 10
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_nohup_is_respected(begun, tmp_path):
    def ignore() -> None:
        _as_on_a_terminal()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = begun(frames=20, act="slow", preexec_fn=ignore)
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=90)
    assert process.returncode == 0
    assert out == f"{tmp_path}/in.edited.mp4\n"
