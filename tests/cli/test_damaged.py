"""Damaged files of six containers: a refusal in one line or a result, never a traceback, a hang or a leftover."""

from __future__ import annotations

import contextlib
import faulthandler
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LIMIT = 300  # seconds a file; a hang, not a measure of speed
KINDS = {
    ".mp4": {"codec": "libx264", "audio": 1},
    ".mkv": {"codec": "libx264", "audio": 1, "subtitles": [(0.0, 0.2, "one")]},
    ".webm": {"codec": "libvpx-vp9"},
    ".avi": {"codec": "mpeg4", "audio": 1, "audio_codec": "mp3"},
    ".ts": {"codec": "libx264", "audio": 1},
    ".gif": {"codec": "gif", "pix_fmt": "rgb8"},
}


def damaged(data: bytes, rng: random.Random) -> bytes:
    """``data`` with one of the things that happen to files."""
    broken = bytearray(data)
    kind = rng.choice(("bytes", "bytes", "header", "cut", "hole", "twice", "noise"))
    at = rng.randrange(len(broken))
    length = rng.randrange(1, 400)
    if kind == "bytes":
        for _ in range(rng.choice((1, 5, 40))):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
    elif kind == "header":
        for _ in range(rng.choice((1, 3, 8))):
            broken[rng.randrange(min(400, len(broken)))] = rng.randrange(256)
    elif kind == "cut":
        del broken[at:]
    elif kind == "hole":
        broken[at : at + length] = bytes(len(broken[at : at + length]))
    elif kind == "twice":
        broken[at:at] = broken[at : at + length]
    else:
        broken[at : at + length] = rng.randbytes(length)
    return bytes(broken)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Ends this process where the block hangs, in whatever library that is."""
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def trial(vedit: Callable, make_clip: Callable, tmp_path: Path, suffix: str, count: int) -> None:
    """``vedit info`` of a damaged file, and a job of one step with all that goes with it, into the file's container."""
    whole = make_clip(tmp_path / f"whole{suffix}", 6, width=64, height=48, **KINDS[suffix]).read_bytes()
    (tmp_path / f"whole{suffix}").unlink()
    rng = random.Random(suffix)
    path, target = tmp_path / f"in{suffix}", tmp_path / f"out{'.mkv' if suffix == '.gif' else suffix}"
    job = ["instruct", path, "invert", "-o", target, "--steps", "1", "--size", "32", "--progress", "none"]
    results = 0
    for number in range(count):
        what = f"file {number} of {suffix}"
        path.write_bytes(damaged(whole, rng))
        for command in (["info", path], job):
            with bounded():
                said = vedit(*command)
            errors = [line for line in said.err.splitlines() if not line.startswith("vedit: warning: ")]
            assert said.code in (0, 3), (what, command[0], said.err)
            assert len(errors) == (said.code != 0), (what, command[0], said.err)
            assert "Traceback" not in said.err, what
        made = {target.name, f"{target.name}.vedit.json"} if said.code == 0 else set()
        left = {p.name for p in tmp_path.iterdir()} - {path.name}
        assert left == made, (what, left)
        for name in made:
            (tmp_path / name).unlink()
        results += said.code == 0
    assert 0 < results < count or count < 20, "some can be edited, and some cannot"


@pytest.mark.parametrize("suffix", KINDS)
def test_a_few_damaged_files(vedit, make_clip, tmp_path, suffix):
    trial(vedit, make_clip, tmp_path, suffix, 5)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", KINDS)
def test_three_hundred_damaged_files(vedit, make_clip, tmp_path, suffix):
    trial(vedit, make_clip, tmp_path, suffix, 50)
