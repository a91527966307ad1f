"""Damaged files of six containers: a refusal in one line or a result, never a traceback, a hang or a leftover."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from vedit.errors import VeditError

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


def bounded(action: Callable[[], None], what: str) -> None:
    """Runs ``action`` in a thread and fails when it does not come back; raises what it raises."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # handed to the test, which raises it
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert not thread.is_alive(), f"{what} hangs"
    if failed:
        raise failed[0]


def trial(real: Callable, make_clip: Callable, tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str,
          count: int) -> None:  # fmt: skip
    from vedit.render import passthrough

    whole = make_clip(tmp_path / f"whole{suffix}", 6, width=64, height=48, **KINDS[suffix]).read_bytes()
    (tmp_path / f"whole{suffix}").unlink()
    rng = random.Random(suffix)
    path, target = tmp_path / f"in{suffix}", tmp_path / "out.mkv"
    for number in range(count):
        what = f"file {number} of {suffix}"
        path.write_bytes(damaged(whole, rng))
        said = real("info", path)
        assert said.code in (0, 3), (what, said.err)
        assert said.err.count("\n") == (said.code != 0), (what, said.err)

        def go() -> None:
            try:
                passthrough.run(str(path), str(target))
            except VeditError as error:
                assert "\n" not in str(error)  # noqa: PT017

        bounded(go, what)
        assert "Traceback" not in capfd.readouterr().err, what
        left = {p.name for p in tmp_path.iterdir()} - {path.name}
        assert left <= {target.name}, (what, left)
        target.unlink(missing_ok=True)


@pytest.mark.parametrize("suffix", KINDS)
def test_a_few_damaged_files(real, make_clip, tmp_path, capfd, suffix):
    trial(real, make_clip, tmp_path, capfd, suffix, 5)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", KINDS)
def test_three_hundred_damaged_files(real, make_clip, tmp_path, capfd, suffix):
    trial(real, make_clip, tmp_path, capfd, suffix, 50)
