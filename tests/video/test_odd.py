"""Files that broke it once."""

from __future__ import annotations

import os
import re
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from vedit.errors import InputError, UsageError
from vedit.render import passthrough
from vedit.video import color
from vedit.video.clip import LONGEST, working_size
from vedit.video.encoding import EncoderOptions, plan_output
from vedit.video.info import probe
from vedit.video.mask import check_mask
from vedit.video.reader import Reader

from .synth import make_clip, moving_frames, read_clip


def transparent_clip(path: Path, pix_fmt: str) -> Path:
    """Four frames with a hole, by a lossless codec."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, pix_fmt
        for image in moving_frames(4, 48, 32):
            alpha = np.full((32, 48, 1), 255, np.uint8)
            alpha[8:16, 8:24] = 0
            frame = av.VideoFrame.from_ndarray(np.concatenate([image, alpha], 2), format="rgba")
            container.mux(stream.encode(frame.reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("pix_fmt", ["bgra", "yuva422p", "yuva444p", "gbrap10le"])
@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mov"])
def test_transparency_of_all_formats_goes_through(tmp_path: Path, pix_fmt: str, suffix: str) -> None:
    """libvpx lists transparent formats that it then refuses."""
    source, target = transparent_clip(tmp_path / "in.mkv", pix_fmt), tmp_path / f"out{suffix}"
    done = passthrough.run(str(source), str(target))
    assert done.frames == 4
    made = probe(target)
    assert made.alpha, done.warnings


@pytest.mark.parametrize("suffix", [".webm", ".mkv", ".mp4"])
def test_transparent_images_that_change_size(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for k in range(4):
        image = np.full((32 + 16 * (k > 1), 48, 4), 200, np.uint8)
        image[:10, :10, 3] = 0
        cv2.imwrite(str(folder / f"{k}.png"), image)
    done = passthrough.run(str(folder), str(tmp_path / f"out{suffix}"))
    assert done.frames == 4
    assert any("change size" in text for text in done.warnings)


def test_a_turned_picture_with_an_odd_side(tmp_path: Path) -> None:
    """Even as it is coded, odd as it is written where the rotation cannot be kept."""
    source = make_clip(tmp_path / "in.mp4", 4, width=64, height=33, pix_fmt="yuv422p", rotation=90, hflip=True)
    done = passthrough.run(str(source), str(tmp_path / "out.mkv"), EncoderOptions(codec="libx264"))
    made = probe(tmp_path / "out.mkv")
    assert (made.display_width, made.display_height) == (33, 64)
    assert made.pix_fmt == "yuv444p"
    assert any("odd" in text for text in done.warnings)


def with_data(path: Path, **how: Any) -> Path:
    """A clip with a stream of data that no container but its own can name, as cameras write."""
    plain = make_clip(path.with_name(f"plain{path.suffix}"), 6, **how)
    with av.open(str(plain)) as source, av.open(str(path), "w") as made:
        video = made.add_stream_from_template(source.streams.video[0])
        data: Any = made.add_data_stream("bin_data")
        if source.chapters():
            made.set_chapters(source.chapters())
        made.start_encoding()
        for k, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.dts is None:
                continue
            base = packet.time_base
            packet.stream = video
            told = av.Packet(b"telemetry %d" % k)
            told.stream, told.time_base, told.pts, told.dts, told.duration = data, base, packet.dts, packet.dts, 1
            made.mux(packet)
            made.mux(told)
    plain.unlink()
    return path


def telemetry(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(*container.streams.data) if bytes(p).startswith(b"telemetry")]


@pytest.mark.parametrize("how", [{}, {"chapters": [(0.0, 0.1, "one")]}], ids=["plain", "chapters"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_data_is_kept_or_named(tmp_path: Path, how: dict[str, Any], suffix: str) -> None:
    """What cameras write beside the picture was taken for titles of chapters, and dropped without a word."""
    source, target = with_data(tmp_path / "in.mp4", **how), tmp_path / f"out{suffix}"
    done = passthrough.run(str(source), str(target))
    assert len(probe(target).chapters) == len(how)
    if suffix == ".mp4":
        assert not done.warnings
        assert len(telemetry(source)) > 2
        assert telemetry(target) == telemetry(source)
    else:
        assert [text for text in done.warnings if "data stream" in text and "dropped" in text] == done.warnings != []


def wrapped(path: Path) -> Path:
    """A transport stream whose clock of 33 bits runs over after two seconds: times before that are negative."""
    plain = make_clip(path.with_name("plain.ts"), 50, audio=1)
    with av.open(str(plain)) as source, av.open(str(path), "w", options={"mpegts_copyts": "1"}) as made:
        streams = {stream.index: made.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.pts, packet.dts = (when + 2**33 - 180000 for when in (packet.pts, packet.dts))
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
    plain.unlink()
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
def test_times_before_zero(tmp_path: Path, suffix: str) -> None:
    """mp4 would hide all that is shown before zero."""
    source, target = wrapped(tmp_path / "in.ts"), tmp_path / f"out{suffix}"
    passthrough.run(str(source), str(target))
    before, after = read_clip(source), read_clip(target)
    assert before["times"][0] < -1
    assert len(after["times"]) == len(before["times"]) == 50
    assert [b - after["times"][0] for b in after["times"]] == pytest.approx(
        [a - before["times"][0] for a in before["times"]], abs=1e-3
    )
    sound, kept = (next(iter(clip["packets"].values())) for clip in (before, after))
    assert len(kept) == len(sound)
    offset, same = (float(p[0][0] - c["times"][0]) for p, c in ((sound, before), (kept, after)))
    assert same == pytest.approx(offset, abs=1e-3)


@pytest.mark.parametrize("how", [{"timecode": "01:00:00:00"}, {"chapters": [(0.0, 0.1, "one")]}], ids=str)
@pytest.mark.parametrize("suffixes", [(".mov", ".mov"), (".mp4", ".mp4"), (".mov", ".mkv")], ids=str)
def test_what_is_written_anew_is_there_once(tmp_path: Path, how: dict[str, Any], suffixes: tuple[str, str]) -> None:
    """Chapters and time codes are tracks of their own in these containers, which must not become more every time."""
    source, target = (tmp_path / f"{name}{suffix}" for name, suffix in zip(("in", "out"), suffixes, strict=True))
    make_clip(source, 6, **how)
    done = passthrough.run(str(source), str(target))
    assert not done.warnings
    before, after = probe(source), probe(target)
    assert len(after.chapters) == len(before.chapters)
    if suffixes[0] == suffixes[1]:
        assert [s.kind for s in after.streams] == [s.kind for s in before.streams]


@pytest.mark.parametrize("as_mask", [False, True])
def test_a_pipe_by_name_is_one_line(tmp_path: Path, as_mask: bool) -> None:
    """It can be read once only, and the second look would wait for ever."""
    clip, pipe = make_clip(tmp_path / "in.mp4", 4), tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(clip.read_bytes()), daemon=True)
    writer.start()
    with pytest.raises(InputError, match=r"pipe\.mp4: is not an ordinary file"):
        check_mask(str(pipe), probe(clip)) if as_mask else probe(pipe)


def test_a_device_is_one_line() -> None:
    with pytest.raises(InputError, match="/dev/zero: is not an ordinary file"):
        probe("/dev/zero")


def test_a_shape_that_no_model_can_see(tmp_path: Path) -> None:
    """4000×2 would be seen at 512000×256."""
    info = probe(make_clip(tmp_path / "in.mkv", 2, width=4000, height=2, codec="ffv1", options={}))
    with pytest.raises(UsageError, match=r"--size 256: .* 512000x256"):
        working_size(info, 256, 8)
    assert max(working_size(info, 8, 8)) <= LONGEST


def test_a_name_as_long_as_the_system_allows(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 3)
    name = "ä" * 125 + ".mp4"  # 254 bytes
    passthrough.run(str(source), str(tmp_path / name))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", name]


def test_the_plan_of_an_odd_one_is_checked(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "in.mp4", 2, width=64, height=33, pix_fmt="yuv422p", rotation=90, hflip=True))
    with pytest.raises(UsageError, match="--pix-fmt: yuv422p cannot hold 33x64"):
        plan_output("out.mkv", info, EncoderOptions(pix_fmt="yuv422p"))


def captioned_clip(path: Path) -> Path:
    """Eight frames of H.264, each with two closed captions in an SEI, as broadcasts and some cameras have them."""
    raw = make_clip(path.with_name("raw.h264"), 8, bframes=0)
    user = b"\xb5\x00\x31GA94\x03" + bytes([0x40 | 2, 0xFF]) + bytes([0xFC, 0x94, 0x20]) * 2 + b"\xff"
    sei = b"\x00\x00\x01\x06\x04" + bytes([len(user)]) + user + b"\x80"
    units = re.split(b"(?=\x00\x00\x01)", raw.read_bytes())
    raw.write_bytes(b"".join((sei if len(u) > 3 and u[3] & 31 in (1, 5) else b"") + u for u in units))
    with av.open(str(raw)) as source, av.open(str(path), "w") as made:
        stream = made.add_stream_from_template(source.streams.video[0])
        for k, packet in enumerate(p for p in source.demux() if p.size):
            packet.pts = packet.dts = k
            packet.time_base, packet.stream = Fraction(1, 25), stream
            made.mux(packet)
    raw.unlink()
    return path


def captions(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        frames: Any = container.decode(video=0)
        return [bytes(data) for frame in frames for data in frame.side_data if data.type.name == "A53_CC"]


@pytest.mark.parametrize("rgb", [False, True], ids=["as it is", "edited"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm"])
def test_closed_captions_inside_the_pictures(tmp_path: Path, rgb: bool, suffix: str) -> None:
    """They went along with untouched frames and were lost, without a word, with edited ones."""
    source, target = captioned_clip(tmp_path / "in.mkv"), tmp_path / f"out{suffix}"
    assert len(captions(source)) == 8
    done = passthrough.run(str(source), str(target), rgb=rgb)
    if suffix == ".webm":
        assert [text for text in done.warnings if "closed captions" in text] == done.warnings != []
        return
    assert not done.warnings
    assert captions(target) == captions(source)


def test_captions_change_no_sample(tmp_path: Path) -> None:
    info = probe(captioned_clip(tmp_path / "in.mkv"))
    converter = color.Converter(info.color, info.width, info.height)
    with Reader(info.path, info) as frames:
        source = next(iter(frames)).frame
    before = [plane.copy() for plane in samples(source)]
    for pix_fmt in ("yuv420p", "yuv444p", "yuv420p10le", "gbrp"):
        edited = converter.from_rgb(255 - converter.to_rgb(source), pix_fmt)
        made = converter.carried(edited, source)
        assert all(np.array_equal(a, b) for a, b in zip(samples(made), samples(edited), strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(samples(source), before, strict=True))


def samples(frame: Any) -> list[np.ndarray]:
    """All of them, without what lies between lines."""
    each = [c.bits for c in frame.format.components]
    size = 2 if max(each) > 8 else 1
    pairs = 2 if frame.format.name == "nv12" else 1
    lines = [np.frombuffer(memoryview(p), np.uint8).reshape(p.height, -1) for p in frame.planes]
    return [
        line[:, : p.width * size * (pairs if k else 1)]
        for k, (line, p) in enumerate(zip(lines, frame.planes, strict=True))
    ]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv420p10le", "gbrp", "yuva420p", "nv12"])
@pytest.mark.parametrize("full", [False, True])
def test_slices_change_no_sample(monkeypatch: pytest.MonkeyPatch, pix_fmt: str, full: bool) -> None:
    """However many threads convert a large frame; its height is no multiple of theirs."""
    width, height = 98, 67
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    found = []
    for pixels, slices in ((10**9, 1), (1, 2), (1, 4), (1, 7)):
        monkeypatch.setattr(color, "MANY_PIXELS", pixels)
        monkeypatch.setattr(color, "SLICES", slices)
        converter = color.Converter(color.Color(1, full), width, height)
        frame = converter.from_rgb(rgb, pix_fmt)
        wide = converter.from_rgb(rgb.astype(np.uint16) * 257, pix_fmt)
        made = [frame, wide, converter.to_format(frame, "yuv444p10le")]
        found.append([plane.tobytes() for one in made for plane in samples(one)])
        found[-1] += [converter.to_rgb(frame).tobytes(), converter.to_rgb(wide, 16).tobytes()]
    assert all(one == found[0] for one in found)
