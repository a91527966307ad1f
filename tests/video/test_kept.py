"""Transparency, HDR metadata, interlaced clips, the choice of streams: kept, or named."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vedit.errors import InputError, UsageError
from vedit.render import passthrough
from vedit.video.clip import Mastering
from vedit.video.color import alpha_of
from vedit.video.compare import compare_info, side_by_side
from vedit.video.deinterlace import Deinterlacer
from vedit.video.encoding import EncoderOptions, plan_output
from vedit.video.info import probe
from vedit.video.reader import Reader
from vedit.video.writer import Writer

from .synth import make_clip, moving_frames


def veil(k: int, height: int = 48, width: int = 64) -> np.ndarray:
    """(height, width) uint8: opaque at the left, clear at the right, with an edge that moves."""
    alpha = np.full((height, width), 255, np.uint8)
    alpha[:, 20 + 4 * k :] = 40
    return alpha


def transparent_clip(path: Path, codec: str, pix_fmt: str, count: int = 4) -> Path:
    """Moving frames under :func:`veil`."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.codec_context.colorspace = 1
        for k, image in enumerate(moving_frames(count, 64, 48)):
            rgba = np.dstack([image, veil(k)])
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgba), format="rgba")
            container.mux(stream.encode(frame.reformat(format=pix_fmt, dst_colorspace=1)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("rgb", [True, False])
@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "target", "encoder"),
    [
        ("in.webm", "libvpx-vp9", "yuva420p", "out.webm", None),
        ("in.webm", "libvpx-vp9", "yuva420p", "out.mkv", None),
        ("in.mov", "prores_ks", "yuva444p10le", "out.mov", None),
        ("in.mkv", "ffv1", "yuva444p", "out.mkv", "ffv1"),
        ("in.mkv", "ffv1", "bgra", "out.mkv", "ffv1"),
        ("in.mov", "qtrle", "argb", "out.mov", None),
    ],
)
def test_transparency_is_kept(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, target: str, encoder: str | None, rgb: bool
) -> None:
    source = transparent_clip(tmp_path / name, codec, pix_fmt)
    info = probe(source)
    assert info.alpha
    passed = passthrough.run(str(source), str(tmp_path / target), EncoderOptions(codec=encoder), rgb=rgb)
    assert not [w for w in passed.warnings if "transparen" in w]
    after = probe(tmp_path / target)
    assert after.alpha
    with Reader(source, info) as a, Reader(tmp_path / target, after) as b:
        for k, (x, y) in enumerate(zip(a, b, strict=True)):
            want, got = (alpha_of(f.frame).astype(float) for f in (x, y))
            want, got = (v / (255 if v.max() < 256 else 65535) for v in (want, got))
            assert np.abs(want - got).mean() < 0.02, k
            assert np.abs(want - veil(k) / 255).mean() < 0.02
            assert np.abs(x.rgb().astype(int) - y.rgb()).mean() < 6


def test_transparency_that_cannot_be_kept_is_named(tmp_path: Path) -> None:
    source = transparent_clip(tmp_path / "in.webm", "libvpx-vp9", "yuva420p")
    for target, encoder in (("out.mp4", None), ("out.mkv", "libx264")):
        passed = passthrough.run(str(source), str(tmp_path / target), EncoderOptions(codec=encoder))
        assert len([w for w in passed.warnings if "transparency is not kept" in w]) == 1
        assert probe(tmp_path / target).pix_fmt == "yuv420p"


DISPLAY = Mastering(
    (Fraction(34000, 50000), Fraction(16000, 50000)),
    (Fraction(13250, 50000), Fraction(34500, 50000)),
    (Fraction(7500, 50000), Fraction(3000, 50000)),
    (Fraction(15635, 50000), Fraction(16450, 50000)),
    Fraction(50, 10000),
    Fraction(1000),
)


def test_a_comparison_is_opaque_and_says_nothing_of_it(tmp_path: Path) -> None:
    source = transparent_clip(tmp_path / "in.webm", "libvpx-vp9", "yuva420p")
    info = probe(source)
    with Reader(source, info) as reader, Writer(tmp_path / "pair.mp4", compare_info(info)) as writer:
        for frame in reader:
            writer.write(side_by_side(frame.rgb(), frame.rgb()), frame)
        writer.commit()
    assert writer.warnings == []
    assert probe(tmp_path / "pair.mp4").width == 128


def test_transparency_cannot_be_asked_of_a_codec_without(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "in.mp4", 2))
    for codec in ("libx264", "libx265"):
        with pytest.raises(UsageError, match="--pix-fmt"):
            plan_output(tmp_path / "out.mkv", info, EncoderOptions(codec=codec, pix_fmt="yuva420p"))


MASTER = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
X265 = f"log-level=error:max-cll=1000,400:master-display={MASTER}"


def hdr_clip(path: Path) -> Path:
    return make_clip(path, 4, codec="libx265", options={"x265-params": X265}, pix_fmt="yuv420p10le", matrix=9,
                     primaries=9, transfer=16, color_range=1)  # fmt: skip


@pytest.mark.parametrize(("codec", "close"), [("libx264", 1e-9), ("libx265", 1e-9), ("libsvtav1", 1e-2)])
def test_hdr_metadata_is_kept(tmp_path: Path, codec: str, close: float) -> None:
    source = hdr_clip(tmp_path / "in.mp4")
    before = probe(source)
    assert (before.mastering, before.light) == (DISPLAY, (1000, 400))
    passed = passthrough.run(str(source), str(tmp_path / "out.mkv"), EncoderOptions(codec=codec, preset=None))
    assert passed.warnings == []
    after = probe(tmp_path / "out.mkv")
    assert (after.primaries, after.transfer, after.matrix_tag, after.bits, after.light) == (9, 16, 9, 10, (1000, 400))
    assert after.mastering is not None
    for name in ("red", "green", "blue", "white"):
        for got, want in zip(getattr(after.mastering, name), getattr(DISPLAY, name), strict=True):
            assert abs(got - want) <= close
    assert abs(after.mastering.brightest - 1000) <= 1
    assert abs(after.mastering.darkest - DISPLAY.darkest) <= max(close * DISPLAY.darkest, Fraction(1, 1 << 14))


def test_hdr_metadata_that_cannot_be_kept_is_named(tmp_path: Path) -> None:
    info = probe(hdr_clip(tmp_path / "in.mp4"))
    (warning,) = plan_output(tmp_path / "out.mkv", info, EncoderOptions(codec="ffv1")).warnings
    assert warning == "HDR metadata is not kept: content_light_level, mastering_display_metadata"


def combed(count: int) -> list[np.ndarray]:
    """A bar that moves from field to field: each frame shows it at two places, in alternate lines."""
    frames = []
    for k in range(count):
        frame = np.full((64, 96, 3), 30, np.uint8)
        for field in range(2):
            left = 8 + 3 * (2 * k + field)
            frame[field::2, left : left + 16] = 220
        frames.append(frame)
    return frames


def interlaced_clip(path: Path, count: int = 10, **more: object) -> Path:
    options = {"x264-params": "tff=1", "flags": "+ilme+ildct"}
    return make_clip(path, combed(count), options=options, pix_fmt="yuv422p", **more)  # type: ignore[arg-type]


def comb(image: np.ndarray) -> float:
    """How much lines differ from their neighbours more than from the lines after those."""
    lines = image.astype(float)[..., 1]
    return float(np.abs(lines[1:-1] - lines[:-2]).mean() - np.abs(lines[2:] - lines[:-2]).mean())


@pytest.mark.parametrize("varying", [False, True])
def test_interlaced_clips_are_deinterlaced_at_the_same_rate(tmp_path: Path, varying: bool) -> None:
    times = {"time_base": Fraction(1, 90000), "pts": [0, 3600, 7200, 14400, 15000, 18000, 30000, 31000, 40000, 50000]}
    source = interlaced_clip(tmp_path / "in.mp4", bframes=0, **(times if varying else {}))
    info = probe(source)
    assert info.interlaced
    with Reader(source, info) as reader:
        frames = list(reader)
    with Reader(source, replace(info, interlaced=False)) as reader:
        woven = list(reader)
    assert [(f.pts, f.duration) for f in frames] == [(f.pts, f.duration) for f in woven]
    assert all(comb(f.rgb()) > 10 for f in woven)
    assert all(comb(f.rgb()) < 3 for f in frames)
    passed = passthrough.run(str(source), str(tmp_path / "out.mp4"))
    assert passed.warnings.count("the source is interlaced: deinterlaced at the same frame rate") == 1
    after = probe(tmp_path / "out.mp4")
    assert (after.interlaced, after.frames, after.rate) == (False, 10, info.rate)


def test_one_interlaced_frame_is_enough(tmp_path: Path) -> None:
    source = interlaced_clip(tmp_path / "in.mp4", 1)
    with Reader(source, probe(source)) as reader:
        assert len(list(reader)) == 1


def test_a_frame_of_another_size_starts_the_filter_anew() -> None:
    filter_ = Deinterlacer(Fraction(1, 25))
    got = []
    for k, width in enumerate((64, 64, 32, 32, 64)):
        frame = av.VideoFrame(width, 48, "yuv420p")
        frame.pts = 10 * k
        got += list(filter_.push(frame))
    got += list(filter_.push(None))
    assert [(f.width, f.pts) for f in got] == [(64, 0), (64, 10), (32, 20), (32, 30), (64, 40)]


def two_videos(path: Path) -> Path:
    """A bright and a dark video stream in one file, with sound."""
    with av.open(str(path), "w") as container:
        streams = []
        for _ in range(2):
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            streams.append(stream)
        for k in range(5):
            for stream, level in zip(streams, (200, 50), strict=True):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), format="rgb24")
                frame.pts = k
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def test_a_stream_can_be_chosen(tmp_path: Path) -> None:
    source = two_videos(tmp_path / "in.mkv")
    first, second = probe(source), probe(source, 1)
    assert (first.stream, second.stream) == (0, 1)
    assert "stream 0 is edited, not 1" in " ".join(first.warnings)
    with Reader(source, second) as reader:
        assert abs(float(next(iter(reader)).rgb().mean()) - 50) < 4
    passthrough.run(str(source), str(tmp_path / "out.mkv"), stream=1)
    after = probe(tmp_path / "out.mkv", 1)
    assert (after.frames, [s.kind for s in after.streams]) == (5, ["video"])
    with pytest.raises(InputError, match="stream 7 is not a video"):
        probe(source, 7)


def test_sound_can_be_left_out(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", audio=2)
    assert passthrough.run(str(source), str(tmp_path / "out.mp4"), audio=False).warnings == []
    assert probe(tmp_path / "out.mp4").streams == ()


@pytest.mark.parametrize("audio", [0, 1])
def test_a_video_that_stops_before_its_own_duration_is_noticed(tmp_path: Path, audio: int) -> None:
    """Also with sound, which may be longer: Matroska says for each track where it ends."""
    source = make_clip(tmp_path / "in.mkv", 40, audio=audio)
    info = probe(source)
    assert info.own_duration
    assert info.duration is not None
    claims = replace(info, duration=info.duration * 2)
    with pytest.raises(InputError, match="declared"), Reader(source, claims) as reader:
        list(reader)
