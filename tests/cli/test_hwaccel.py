"""Decoding on a GPU, with a fake in the place of PyAV's: software decodes, and gives frames as a GPU arranges them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import av.error
import numpy as np
import pytest

from tests.video import synth
from vedit.render import machine
from vedit.video import hwaccel
from vedit.video.hwaccel import Accelerator
from vedit.video.info import probe
from vedit.video.reader import Reader


class Decoder:
    """A codec context on the device. ``act``: what goes wrong there, from the packet ``at`` on."""

    def __init__(self, real: Any, gpu: Gpu) -> None:
        self.name = real.name
        self.is_hwaccel = gpu.act != "no decoder"
        self.thread_count = 0
        self._real, self._gpu, self._packets = real, gpu, 0

    def decode(self, packet: Any = None) -> list[Any]:
        self._packets += 1
        if self._gpu.act == "fails" and self._packets > self._gpu.at:
            raise av.error.InvalidDataError(1094995529, "Invalid data found when processing input")
        made = []
        for frame in self._real.decode(packet):
            deep = "10" in frame.format.name
            size = {"width": 64, "height": 48} if self._gpu.act == "other size" else {}
            arranged = "rgb24" if self._gpu.act == "other format" else "p010le" if deep else "nv12"
            made.append(frame.reformat(format=arranged, **size))
        self._gpu.frames += len(made)
        return [] if self._gpu.act == "nothing" else made


class Stream:
    def __init__(self, real: Any, gpu: Gpu) -> None:
        self.__dict__.update(_real=real, codec_context=Decoder(real.codec_context, gpu) if real.codec_context else None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._real, name, value)


class Container:
    def __init__(self, real: Any, gpu: Gpu) -> None:
        self._real, self.streams = real, [Stream(stream, gpu) for stream in real.streams]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def demux(self, stream: Stream) -> Any:
        return self._real.demux(stream._real)

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *exc: object) -> None:
        self._real.close()


class Gpu:
    """What was asked of the device: which one (``asked``), and how many frames it decoded."""

    def __init__(self) -> None:
        self.act, self.at, self.frames, self.asked = "", 0, 0, set()

    def settings(self, kind: str, device: str | None, allow_software_fallback: bool) -> Any:
        assert allow_software_fallback is False
        self.asked.add((kind, device))
        return self

    def create(self, codec: str, mode: str, settings: Any) -> None:
        if self.act == "absent":
            raise av.error.PermissionError(1, "Operation not permitted")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    made, real = Gpu(), av.open

    def opened(*what: Any, hwaccel: Any = None, **how: Any) -> Any:
        container = real(*what, **how)
        return container if hwaccel is None else Container(container, made)

    monkeypatch.setattr(av, "open", opened)
    monkeypatch.setattr(hwaccel, "HWAccel", made.settings)
    monkeypatch.setattr(hwaccel, "CodecContext", SimpleNamespace(create=made.create))
    monkeypatch.setattr(hwaccel, "hwdevices_available", lambda: [] if made.act == "other build" else ["cuda"])
    return made


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_samples_and_times_are_those_of_software(gpu: Gpu, tmp_path: Path, pix_fmt: str) -> None:
    path = synth.make_clip(tmp_path / "in.mp4", 9, width=98, height=66, pix_fmt=pix_fmt, rotation=90, sar=None)
    info = probe(path)
    assert Accelerator("cuda").obstacle(info) is None
    with Reader(path, info) as plain, Reader(path, info, accelerator=Accelerator("cuda")) as fast:
        pairs = list(zip(plain, fast, strict=True))
    assert len(pairs) == 9
    for one, other in pairs:
        assert (one.pts, one.duration, one.time) == (other.pts, other.duration, other.time)
        assert one.frame.format.name == other.frame.format.name == pix_fmt
        assert np.array_equal(one.frame.to_ndarray(), other.frame.to_ndarray())


def test_the_result_is_the_same_and_says_what_decoded(gpu: Gpu, vedit, clip, tmp_path: Path) -> None:
    made = {}
    for name in ("none", "cuda"):
        out = tmp_path / f"{name}.mkv"
        done = vedit("instruct", clip, "invert", "--json", "-o", out, "--codec", "ffv1", "--hwaccel", name)
        assert done.code == 0, done.err
        assert json.loads(done.out)["hwaccel"] == name
        assert json.loads(Path(f"{out}.vedit.json").read_text())["hwaccel"] == name
        assert (gpu.frames > 0) == (name == "cuda")
        made[name] = out.read_bytes()
    assert made["none"] == made["cuda"]
    assert gpu.asked == {("cuda", None)}


OBSTACLES = {
    "other build": "this build of FFmpeg has no cuda",
    "absent": "FFmpeg cannot open the device cuda (Operation not permitted)",
    "no decoder": "cuda cannot decode this h264 (there is no decoder for h264 on cuda)",
    "fails": "cuda cannot decode this h264 (Invalid data",
    "nothing": "no frame came out",
    "other size": "cuda gives 64x48 for 96x64",
    "other format": "cuda gives rgb24 for yuv420p",
}


@pytest.mark.parametrize("act", list(OBSTACLES))
def test_asked_for_and_absent_is_one_line(gpu: Gpu, vedit, clip, act: str) -> None:
    gpu.act = act
    done = vedit("instruct", clip, "invert", "--hwaccel", "cuda")
    assert (done.code, done.out) == (5, "")
    assert done.err.count("\n") == 1
    assert OBSTACLES[act] in done.err and "--hwaccel none" in done.err
    assert [path.name for path in clip.parent.iterdir()] == [clip.name]


@pytest.mark.parametrize(
    ("name", "how", "words"),
    [
        ("in.mkv", {"codec": "ffv1"}, "no decoder for ffv1"),
        ("in.mp4", {"pix_fmt": "yuv444p"}, "yuv444p is decoded on the CPU"),
    ],
)
def test_clips_that_a_gpu_does_not_take(gpu: Gpu, vedit, make_clip, tmp_path: Path, name, how, words) -> None:
    clip = make_clip(tmp_path / name, 4, **how)
    gpu.act = "no decoder"
    done = vedit("instruct", clip, "invert", "--hwaccel", "cuda")
    assert done.code == 5 and words in done.err


def test_a_failure_on_the_way_is_told_and_leaves_nothing(gpu: Gpu, vedit, clip) -> None:
    """The CPU might get through where the device does not; frames must not be missing without a word."""
    gpu.act, gpu.at = "fails", 12
    done = vedit("instruct", clip, "invert", "--hwaccel", "cuda")
    assert done.code == 5
    assert done.err.count("\n") == 1 and "--hwaccel none" in done.err
    assert [path.name for path in clip.parent.iterdir()] == [clip.name]


def test_auto_leaves_it_to_the_cpu_where_the_networks_run_there(gpu: Gpu, vedit, clip) -> None:
    done = vedit("instruct", clip, "invert", "--json", "--device", "cpu")
    assert done.code == 0 and json.loads(done.out)["hwaccel"] == "none"
    assert not gpu.asked


@pytest.mark.parametrize("act", ["", "absent"])
def test_auto_follows_the_device_and_says_when_it_cannot(gpu: Gpu, vedit, clip, monkeypatch, act: str) -> None:
    gpu.act = act
    monkeypatch.setattr(machine, "choose_device", lambda device: device)
    asked = ("instruct", clip, "invert", "--dry-run", "--json", "--device", "cuda:1", "--dtype", "fp32")
    done = vedit(*asked, "-v")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["hwaccel"] == ("none" if act else "cuda")
    assert gpu.asked == {("cuda", "1")}
    assert ("the CPU decodes: FFmpeg cannot open the device cuda:1" in done.err) == bool(act)
    assert "the CPU decodes" not in vedit(*asked).err  # a note, no warning


def test_this_machine_answers_in_one_line_or_decodes(vedit, clip) -> None:
    """The real thing, whatever the machine has."""
    done = vedit("instruct", clip, "invert", "--hwaccel", "cuda")
    assert done.code in (0, 5)
    if done.code:
        assert done.err.count("\n") == 1 and "--hwaccel" in done.err
