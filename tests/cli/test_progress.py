"""Progress on standard error: a bar where it is a terminal, nothing elsewhere, lines for logs and programs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals")

SAID = """
import sys
from vedit.cli.progress import reporter
with reporter(sys.argv[1]) as told:
    told.stage("edit")
    for done in range(4):
        told.frames(done + 1, 4)
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*[34][0-9]")


def on_a_terminal(style: str, environment: dict[str, str], **more: str) -> str:
    """What appears on a terminal of 100 columns."""
    master, slave = pty.openpty()
    plain = {name: value for name, value in environment.items() if name not in ("NO_COLOR", "CI", "FORCE_COLOR")}
    command = [sys.executable, "-c", SAID, style]
    with subprocess.Popen(command, stderr=slave, env=plain | {"TERM": "xterm-256color"} | more) as process:
        os.close(slave)
        seen = b""
        try:
            while block := os.read(master, 4096):
                seen += block
        except OSError:  # how Linux says that nobody writes any more
            pass
        os.close(master)
    assert process.returncode == 0, seen
    return seen.decode()


def test_a_terminal_gets_a_bar_that_is_erased(environment):
    seen = on_a_terminal("auto", environment)
    for told in ("Editing", "4/4", "frames/s", "0:00:00"):
        assert told in seen
    assert COLOUR.search(seen)
    assert seen.endswith("\x1b[2K")


def test_no_color_is_honoured(environment):
    seen = on_a_terminal("auto", environment, NO_COLOR="1")
    assert "4/4" in seen
    assert not COLOUR.search(seen)


def test_a_terminal_that_can_do_nothing_gets_nothing(environment):
    assert on_a_terminal("auto", environment, TERM="dumb") == ""


def test_elsewhere_the_bar_stays_away(environment):
    def elsewhere(style):
        done = subprocess.run([sys.executable, "-c", SAID, style], capture_output=True, text=True, env=environment)
        assert done.stdout == ""
        return done.stderr

    assert elsewhere("auto") == elsewhere("none") == ""
    assert re.fullmatch(r"Editing\n(Editing: \d/4 frames, .* frames/s, \d+:\d\d left\n)+", elsewhere("plain"))
    *_, last = [json.loads(line) for line in elsewhere("json").splitlines()]
    assert (last["stage"], last["frames"], last["total"], last["seconds_left"]) == ("edit", 4, 4, 0.0)


def test_slow_is_not_zero(capsys, monkeypatch):
    from vedit.cli import progress

    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.reporter("plain") as told:
        told.stage("edit")
        now[0] = 60.0
        told.frames(1, 3)
        now[0] = 61.0
        told.frames(3, 3)
    first, last = capsys.readouterr().err.splitlines()[1:]
    assert first == "Editing: 1/3 frames, 0.017 frames/s, 2:00 left"
    assert last == "Editing: 3/3 frames, 0.049 frames/s, 0:00 left"


def test_time_left_of_a_resumed_training(monkeypatch):
    """400 of 500 steps were done before; since then 10 in 100 seconds: 90 are left, of ten seconds each."""
    from vedit.cli import progress

    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    rate = progress._Rate(400)
    assert rate.measure(400, 500)[1] is None
    now[0] += 100
    assert rate.measure(410, 500) == (0.1, 900)
