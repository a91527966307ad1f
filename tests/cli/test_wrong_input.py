"""Wrong inputs and failing disks: one line, the right exit code, no traceback, nothing left. Options: test_instruct."""

from __future__ import annotations

import json
import os
import signal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def refused(vedit, tmp_path):
    """``refused(code, words, *arguments)``: the command fails as it should and leaves the folder as it was."""

    def check(code: int, words: tuple[str, ...], *arguments: object) -> None:
        before = names(tmp_path)
        done = vedit("instruct", *arguments)
        assert (done.code, done.out) == (code, ""), done.err
        errors = [line for line in done.err.splitlines() if not line.startswith("vedit: warning: ")]
        assert len(errors) == 1, done.err
        assert errors[0].startswith("vedit: error: ")
        assert all(word in errors[0] for word in words), errors[0]
        assert "Traceback" not in done.err
        assert names(tmp_path) == before

    return check


def times(path: str) -> list[Fraction]:
    opened: Any = av.open(path)
    with opened as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def cut(path: Path, share: float) -> Path:
    """The first part of a file, beside it."""
    part = path.with_name(f"cut{path.suffix}")
    part.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return part


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi"])
def test_a_truncated_file(refused, make_clip, tmp_path, suffix, share):
    codec = {".avi": ("mpeg4", "mp3")}.get(suffix, ("libx264", "aac"))
    whole = make_clip(tmp_path / f"in{suffix}", 40, audio=1, codec=codec[0], audio_codec=codec[1])
    refused(3, ("cut",), cut(whole, share), "invert", "-o", tmp_path / "out.mkv")


def test_a_truncated_mp4_with_its_index_in_front(refused, make_clip, tmp_path):
    """Its headers are whole, so everything looks well until the data ends."""
    whole = make_clip(tmp_path / "in.mp4", 40)
    with (
        av.open(str(whole)) as source,
        av.open(str(tmp_path / "front.mp4"), "w", container_options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    refused(3, ("cut short",), cut(tmp_path / "front.mp4", 0.7), "invert", "-o", tmp_path / "out.mp4")


def test_an_audio_file_with_cover_art(refused, tmp_path):
    path = tmp_path / "song.mka"
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    refused(3, ("only sound",), path, "invert", "-o", tmp_path / "out.mkv")


def test_no_timestamps_at_all(vedit, make_clip, tmp_path):
    """A bare H.264 stream: times come from the frame rate, which is said."""
    path = make_clip(tmp_path / "in.h264", 12, bframes=0)
    done = vedit("instruct", path, "invert", "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert (report["frames"], report["output"]) == (12, str(tmp_path / "in.edited.mp4"))
    assert np.diff([float(t) for t in times(report["output"])]).min() > 0.01


def test_timestamps_that_jump_back(vedit, make_clip, tmp_path):
    """Two recordings in one MPEG-TS: the second goes on where the first ends, with its sound."""
    part = make_clip(tmp_path / "part.ts", 12, audio=1)
    path = tmp_path / "in.ts"
    path.write_bytes(2 * part.read_bytes())
    done = vedit("instruct", path, "invert", "--json", "-o", tmp_path / "out.mp4")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["frames"] == 24
    assert len([w for w in report["warnings"] if "did not increase" in w]) == 2, report["warnings"]
    steps = {b - a for a, b in pairwise(times(report["output"]))}
    assert max(abs(step - Fraction(1, 25)) for step in steps) < Fraction(1, 100)


def test_a_folder_without_permission(refused, clip, tmp_path, monkeypatch):
    (tmp_path / "theirs").mkdir(mode=0o500)
    if os.geteuid() == 0:  # to whom every folder is open
        allowed = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: "theirs" not in str(path) and allowed(path, mode))
    refused(2, ("no permission", "theirs"), clip, "invert", "-o", tmp_path / "theirs" / "out.mp4")


def test_an_input_without_permission(refused, clip, tmp_path, monkeypatch):
    clip.chmod(0)
    if os.geteuid() == 0:
        opened = av.open

        def closed(file, *more, **options):
            if str(file) == str(clip):
                raise PermissionError(13, "Permission denied")
            return opened(file, *more, **options)

        monkeypatch.setattr(av, "open", closed)
    refused(3, ("no permission", str(clip)), clip, "invert", "-o", tmp_path / "out.mp4")


@pytest.mark.parametrize("limit", [200, 6000])
@pytest.mark.parametrize("more", [[], ["--compare", "pair.mkv", "--sheet", "sheet.png"]], ids=["alone", "pair"])
def test_a_full_disk(refused, clip, tmp_path, monkeypatch, limit, more):
    """As far as a limit on the size of files is one: at the header, or in the middle."""
    resource = pytest.importorskip("resource")
    monkeypatch.chdir(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        refused(5, ("larger than the system allows",), clip, "invert", "-o", tmp_path / "out.mkv", "--crf", "1", *more)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)


def test_a_full_device(refused, clip, monkeypatch, tmp_path):
    """No room at all, whatever is written."""
    from vedit.video import outfile

    class Full:
        closed = False

        def __init__(self, raw):
            self._raw = raw

        def __getattr__(self, name):
            return getattr(self._raw, name)

        def write(self, data):
            raise OSError(28, "No space left on device")

    made = outfile.os.fdopen
    monkeypatch.setattr(outfile.os, "fdopen", lambda *how, **more: Full(made(*how, **more)))
    refused(5, ("the disk is full", "out.mp4"), clip, "invert", "-o", tmp_path / "out.mp4")


def test_a_number_out_of_bounds_is_said(vedit, clip):
    done = vedit("instruct", clip, "make it snowy", "--size", "0")
    assert done.code == 2 and len(done.err.strip().splitlines()) == 1
    assert "'--size'" in done.err and "greater than or equal to 8, found '0'" in done.err
