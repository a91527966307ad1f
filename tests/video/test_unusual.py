"""Pixel formats and files that cameras and other programs leave: grey, palettes, 16 bits, broken beginnings."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

from vedit.errors import InputError
from vedit.render import passthrough
from vedit.video.color import FORMATS, has_alpha, opaque
from vedit.video.encoding import EncoderOptions, default_suffix, stream_suffix
from vedit.video.info import _first_frame, probe
from vedit.video.reader import Reader
from vedit.video.streams import _Route
from vedit.video.writer import Writer

from .synth import make_clip, moving_frames


def test_every_transparent_format_has_an_opaque_one() -> None:
    found = 0
    for name in sorted(FORMATS):
        try:
            transparent = has_alpha(name)
        except ValueError:
            continue  # a format of hardware, without components
        if transparent:
            found += 1
            av.VideoFormat(opaque(name))
            assert not has_alpha(opaque(name)), name
    assert found > 40
    assert [opaque(name) for name in ("yuva420p", "yuva444p10le", "gbrap12le", "bgra", "rgba64be", "ya8", "pal8")] == [
        "yuv420p", "yuv444p10le", "gbrp12le", "rgb24", "rgb48le", "gray", "pal8",
    ]  # fmt: skip


@pytest.mark.parametrize("rgb", [True, False])
@pytest.mark.parametrize("channels", [4, 2], ids=["rgba", "grey and alpha"])
def test_images_of_16_bits_with_transparency(tmp_path: Path, channels: int, rgb: bool) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(moving_frames(3, 64, 48)):
        deep = frame.astype(np.uint16) * 257
        alpha = np.full((48, 64, 1), 65535, np.uint16)
        alpha[:, 30 + number :] = 9000
        if channels == 4:
            cv2.imwrite(str(folder / f"{number:03d}.png"), np.concatenate([deep, alpha], 2))
            continue
        with av.open(str(folder / f"{number:03d}.png"), "w", format="image2", options={"update": "1"}) as container:
            stream: Any = container.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "ya16be"
            pixels = np.concatenate([deep, alpha], 2)
            made = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgba64le").reformat(format="ya16be")
            container.mux(stream.encode(made))
            container.mux(stream.encode(None))
    info = probe(str(folder))
    assert (info.bits, info.alpha) == (16, True)
    passthrough.run(str(folder), str(tmp_path / "out.mkv"), EncoderOptions(codec="ffv1"), rgb=rgb)
    after = probe(tmp_path / "out.mkv")
    assert after.alpha and after.bits >= 10
    with av.open(str(tmp_path / "out.mkv")) as container:
        first = next(container.decode(video=0)).reformat(format="rgba64le").to_ndarray()
    assert first[5, 5, 3] > 65000
    assert abs(int(first[5, 60, 3]) - 9000) < 200


@pytest.mark.parametrize("rgb", [True, False])
def test_grey_images_with_transparency(tmp_path: Path, rgb: bool) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(2):
        with av.open(str(folder / f"{number:03d}.png"), "w", format="image2", options={"update": "1"}) as container:
            stream: Any = container.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "ya8"
            pixels = np.full((48, 64, 4), 120, np.uint8)
            pixels[:, :, 3] = 255
            pixels[:, 40:, 3] = 10
            made = av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format="ya8")
            container.mux(stream.encode(made))
            container.mux(stream.encode(None))
    assert (probe(str(folder)).pix_fmt, probe(str(folder)).alpha) == ("ya8", True)
    passthrough.run(str(folder), str(tmp_path / "out.mkv"), EncoderOptions(codec="ffv1"), rgb=rgb)
    with av.open(str(tmp_path / "out.mkv")) as container:
        first = next(container.decode(video=0)).reformat(format="rgba").to_ndarray()
    assert abs(int(first[5, 60, 3]) - 10) < 3
    assert abs(int(first[5, 5, 0]) - 120) < 4


@pytest.mark.parametrize(("target", "codec"), [("out.mp4", None), ("out.mkv", "ffv1"), ("out.webm", None)])
def test_a_grey_source_has_room_for_colours(tmp_path: Path, target: str, codec: str | None) -> None:
    """And its own frames stay as grey as they were, by both ways into the result."""
    folder = tmp_path / "frames"
    folder.mkdir()
    grey = [frame[..., 0] for frame in moving_frames(4, 64, 48)]
    for number, frame in enumerate(grey):
        cv2.imwrite(str(folder / f"{number:03d}.png"), frame)
    info = probe(str(folder))
    assert info.pix_fmt == "gray"
    options = EncoderOptions(codec=codec, crf=None if codec else 1)
    with Reader(str(folder), info) as reader, Writer(tmp_path / target, info, options) as writer:
        for index, frame in enumerate(reader):
            if index == 0:
                writer.write(np.full((48, 64, 3), (200, 60, 60), np.uint8), frame)
            elif index == 1:
                writer.write(frame.rgb(), frame)
            else:
                writer.write_source(frame)
        writer.commit()
    assert any("the source is grey (gray): the result has room for colours" in said for said in writer.warnings)
    assert probe(tmp_path / target).pix_fmt in ("yuv420p", "yuvj420p")  # the range stays that of the source
    with av.open(str(tmp_path / target)) as container:
        made = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert np.abs(made[0].mean((0, 1)) - (200, 60, 60)).max() < 6
    for index in (1, 2, 3):
        assert np.abs(made[index] - grey[index][..., None]).mean() < 3, index


@pytest.mark.parametrize("rgb", [True, False])
def test_clear_colours_of_a_palette(tmp_path: Path, rgb: bool) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    palette = np.zeros((256, 4), np.uint8)
    palette[:, :3] = np.arange(256)[:, None]
    palette[:, 3] = 255
    palette[7, 3] = 0
    pixels = np.full((48, 64), 200, np.uint8)
    pixels[:, 40:] = 7
    for number in range(2):
        with av.open(str(folder / f"{number:03d}.png"), "w", format="image2", options={"update": "1"}) as container:
            stream: Any = container.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
            argb = np.ascontiguousarray(palette[:, [3, 0, 1, 2]])
            container.mux(stream.encode(av.VideoFrame.from_ndarray((pixels, argb), format="pal8")))
            container.mux(stream.encode(None))
    info = probe(str(folder))
    assert (info.pix_fmt, info.alpha) == ("pal8", True)
    passed = passthrough.run(str(folder), str(tmp_path / "out.mkv"), EncoderOptions(codec="ffv1"), rgb=rgb)
    assert passed.warnings == []
    with av.open(str(tmp_path / "out.mkv")) as container:
        first = next(container.decode(video=0)).reformat(format="rgba").to_ndarray()
    assert (first[5, 5, 3], first[5, 60, 3]) == (255, 0)


def transport_stream_from_the_middle(path: Path) -> Path:
    """A second of it is missing in front, so that nothing decodes until the next key frame."""
    whole = make_clip(path.with_name("whole.ts"), 150, options={"g": "50", "keyint_min": "50", "sc_threshold": "0"})
    data = whole.read_bytes()
    with av.open(str(whole)) as container:
        at = [packet.pos for packet in container.demux(video=0) if packet.pos is not None][12]
    tables = data[: 3 * 188]
    path.write_bytes(tables + data[at - at % 188 :])
    return path


def test_a_recording_that_begins_in_the_middle(tmp_path: Path) -> None:
    """It is whole from its first key frame on: no reason to refuse it, and one to say so."""
    source = transport_stream_from_the_middle(tmp_path / "in.ts")
    info = probe(source)
    with Reader(source, info) as reader:
        frames = len(list(reader))
    assert frames == 100
    assert any("cannot be decoded: the clip begins after them" in said for said in reader.warnings), reader.warnings


def test_a_few_percent_that_are_missing_at_the_end_are_noticed(tmp_path: Path) -> None:
    """The video's own length is known: 2 % of it are not nothing."""
    from dataclasses import replace

    source = make_clip(tmp_path / "in.mkv", 100)
    info = probe(source)
    assert info.duration is not None
    with pytest.raises(InputError, match="declared"), Reader(
        source, replace(info, duration=info.duration * Fraction(1015, 1000) + Fraction(1, 5), own_duration=True)
    ) as reader:  # fmt: skip
        list(reader)


@pytest.mark.parametrize(("name", "suffix", "streams"), [
    ("a.mts", ".mts", ".mkv"), ("a.m2ts", ".m2ts", ".mkv"), ("a.trp", ".ts", ".ts"), ("a.avi", ".avi", ".mkv"),
    ("a.nut", ".nut", ".nut"), ("a.xyz", ".mp4", ".mkv"),
])  # fmt: skip
def test_the_result_is_in_the_sources_own_container(tmp_path: Path, name: str, suffix: str, streams: str) -> None:
    muxer = {".mts": "mpegts", ".m2ts": "mpegts", ".trp": "mpegts", ".xyz": "mov"}.get(Path(name).suffix)
    whole = make_clip(tmp_path / {"mpegts": "x.ts", "mov": "x.mov"}.get(muxer or "", name), 3)
    if whole.name != name:
        whole.rename(tmp_path / name)
    info = probe(tmp_path / name)
    assert (default_suffix(info), stream_suffix(info)) == (suffix, streams)
    made = tmp_path / f"out{suffix}"
    passthrough.run(str(tmp_path / name), str(made))
    if suffix in (".mts", ".m2ts", ".ts"):  # packets of 188 bytes, and of 192 on Blu-ray and in cameras
        size, at = (188, 0) if suffix == ".ts" else (192, 4)
        data = made.read_bytes()
        assert len(data) % size == 0
        assert {data[k] for k in range(at, len(data), size)} == {0x47}


def test_sound_that_blu_ray_cannot_name_keeps_its_name(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 3, audio=1)
    said = passthrough.run(str(source), str(tmp_path / "out.m2ts")).warnings
    assert any("an ordinary transport stream: Blu-ray's packets cannot name aac" in text for text in said), said
    assert [stream.codec for stream in probe(tmp_path / "out.m2ts").streams] == ["aac"]


def test_a_stereoscopic_clip_is_named(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 3, options={"x264-params": "frame-packing=3"})
    assert probe(source).layout == ("stereoscopic",)
    said = passthrough.run(str(source), str(tmp_path / "out.mp4")).warnings
    assert said == ["stereoscopic metadata is not kept: players show the result as a flat picture"]


@pytest.mark.parametrize(("kind", "equal"), [("audio", True), ("video", True), ("subtitle", False), ("data", False)])
def test_times_that_jump_back_are_moved_in_every_stream(kind: str, equal: bool) -> None:
    """Two recordings in one file. Subtitles may come two at a time."""
    route = _Route(None)

    def packet(time: int) -> Any:
        return SimpleNamespace(dts=time, pts=time, duration=10, stream=SimpleNamespace(type=kind))

    made = []
    for time in (0, 10, 10, 20, 5, 15, 40):
        one = packet(time)
        moved = route.straighten(one)
        made.append((one.dts, moved))
        assert one.pts == one.dts
    times = [time for time, _ in made]
    assert all(b > a if equal else b >= a for a, b in pairwise(times)), times
    assert made[2][1] is equal
    assert made[4][1] and times[5] - times[4] == 10


class _Gaps:
    """A container whose stream has an empty sample after the third."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def demux(self, *streams: Any) -> Iterator[Any]:
        for number, packet in enumerate(self._container.demux(*streams)):
            if number in (0, 3):
                empty = av.Packet()
                empty.stream = packet.stream
                yield empty
            yield packet


def test_an_empty_sample_is_not_the_end(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "in.mp4", 12))
    with Reader(info.path, info) as reader:
        container = reader._container
        reader._container = _Gaps(container)
        assert sum(1 for _ in reader) == 12
        assert not reader.warnings
    with info.open() as container:
        gaps: Any = _Gaps(container)
        assert _first_frame(gaps, container.streams.video[0]).pts == 0
