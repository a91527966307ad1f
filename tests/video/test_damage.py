"""Damage costs the frames that it hits and no others, however many threads decode."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import pytest

from vedit.errors import InputError, UsageError
from vedit.render import passthrough
from vedit.video.encoding import EncoderOptions, plan_output
from vedit.video.info import probe
from vedit.video.reader import Reader

from .synth import make_clip, moving_frames


def read(path: Path, threads: int | None) -> tuple[list[int], list[str]]:
    """The frames' times, and what was said."""
    with Reader(path, probe(path), threads=threads) as reader:
        return [frame.pts for frame in reader], reader.warnings


@pytest.mark.parametrize("threads", [1, 4, 16])
@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("ffv1", "yuv420p", ".mkv"),
        ("png", "rgb24", ".mov"),
        ("prores_ks", "yuv422p10le", ".mov"),
        ("libvpx-vp9", "yuv420p", ".webm"),
    ],
)
def test_a_damaged_frame_at_the_end_takes_no_other_with_it(
    tmp_path: Path, threads: int, codec: str, pix_fmt: str, suffix: str
) -> None:
    """Threads hand out at the end what they hold, and after an error nothing more: with no word about it."""
    options = {"g": "1"} if codec.startswith("lib") else {}
    source = make_clip(tmp_path / f"in{suffix}", 30, codec=codec, pix_fmt=pix_fmt, options=options, bframes=0)
    whole, _ = read(source, 1)
    with av.open(str(source)) as opened:
        packets = [bytes(packet) for packet in opened.demux(video=0) if packet.size]
    raw = bytearray(source.read_bytes())
    at = bytes(raw).find(packets[-2])
    for j in range(at + 6, at + len(packets[-2])):
        raw[j] = (j * 37) % 256
    source.write_bytes(raw)
    times, words = read(source, threads)
    assert times == [*whole[:-2], whole[-1]] or times == whole
    assert len(times) == 30 or words


@pytest.mark.parametrize("threads", [1, 16])
@pytest.mark.parametrize(("count", "bad"), [(4, 2), (40, 37), (40, 39)])
def test_a_damaged_picture_at_the_end_of_a_folder(tmp_path: Path, threads: int, count: int, bad: int) -> None:
    for k, image in enumerate(moving_frames(count, 64, 48)):
        cv2.imwrite(str(tmp_path / f"{k:04d}.png"), image)
    file = tmp_path / f"{bad:04d}.png"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    times, words = read(tmp_path, threads)
    assert len(times) >= count - 1
    assert len(times) == count or any("could not be decoded" in text for text in words)


def test_a_whole_clip_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again: list[int] = []
    monkeypatch.setattr(Reader, "_again", lambda self, tail, last: again.append(last) or iter(()))
    for name, more in (("a.mp4", {}), ("b.mkv", {"codec": "ffv1"}), ("c.webm", {"codec": "libvpx-vp9"})):
        times, words = read(make_clip(tmp_path / name, 30, **more), 4)
        assert (len(times), words) == (30, [])
    assert again == []


@pytest.mark.parametrize("where", ["moof", "mdat"])
def test_a_cut_fragment_is_noticed(tmp_path: Path, where: str) -> None:
    """The index knows of a fragment only when all of it is there."""
    plain, source = make_clip(tmp_path / "plain.mp4", 100, options={"g": "10"}, bframes=0), tmp_path / "in.mp4"
    with av.open(str(plain)) as opened, av.open(
        str(source), "w", container_options={"movflags": "frag_keyframe+empty_moov"}
    ) as made:  # fmt: skip
        video = made.add_stream_from_template(opened.streams[0], opaque=True)
        for packet in opened.demux(0):
            if packet.dts is not None:
                packet.stream = video
                made.mux(packet)
    assert not probe(source).truncated
    raw = source.read_bytes()
    at = -1
    for _ in range(5):
        at = raw.index(where.encode(), at + 1)
    source.write_bytes(raw[: at + 20])
    with pytest.raises(InputError, match="cut short"), Reader(source, probe(source)):
        pass


@pytest.mark.parametrize("suffix", [".ts", ".m2ts"])
@pytest.mark.parametrize("codec", ["ffv1", "vp9", "av1", "prores"])
def test_a_transport_stream_takes_what_can_be_read_from_it(tmp_path: Path, suffix: str, codec: str) -> None:
    """FFmpeg writes anything into it, and no reader finds a video there."""
    info = probe(make_clip(tmp_path / "in.mp4", 4))
    with pytest.raises(UsageError, match=f"--codec: {suffix} cannot hold"):
        plan_output(tmp_path / f"out{suffix}", info, EncoderOptions(codec=codec))


@pytest.mark.parametrize("codec", ["vp9", "av1"])
def test_quicktime_has_no_vp9(tmp_path: Path, codec: str) -> None:
    info = probe(make_clip(tmp_path / "in.mp4", 4))
    with pytest.raises(UsageError, match=r"--codec: \.mov cannot hold"):
        plan_output(tmp_path / "out.mov", info, EncoderOptions(codec=codec))


@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_long_last_frame_of_a_steady_clip(tmp_path: Path, bframes: int, gap: bool, suffix: str) -> None:
    """mp4 counts in decoding order, where the last packet is not the last picture."""
    times = [40 * k for k in range(300)]
    if gap:
        times[-1] += 50
    source = make_clip(tmp_path / f"in{suffix}", moving_frames(300, 32, 32), time_base=Fraction(1, 1000), pts=times,
                       last_duration=90, bframes=0)  # fmt: skip
    out = tmp_path / f"out{suffix}"
    passthrough.run(str(source), str(out), EncoderOptions(preset="ultrafast" if bframes == 0 else "veryfast"))
    with av.open(str(out)) as opened:
        stream = opened.streams[0]
        assert stream.duration is not None and stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(times[-1] + 90, 1000)
    with Reader(out, probe(out)) as reader:
        frames = list(reader)
    assert [frame.time for frame in frames] == [Fraction(t, 1000) for t in times]
    assert frames[-1].duration * probe(out).time_base == Fraction(90, 1000)


def test_full_range_becomes_limited_in_prores(tmp_path: Path) -> None:
    """It has no word for the range, and players take it for limited."""
    source = make_clip(tmp_path / "in.mp4", 4, pix_fmt="yuvj420p", color_range=2, matrix=1, primaries=1, transfer=1)
    out = tmp_path / "out.mov"
    words = passthrough.run(str(source), str(out), EncoderOptions(codec="prores")).warnings
    assert any("full range" in text for text in words)
    made = probe(out)
    assert (made.primaries, made.transfer, made.matrix_tag) == (1, 1, 1)
    assert not made.color.full
    with Reader(source, probe(source)) as before, Reader(out, made) as after:
        for a, b in zip(before, after, strict=True):
            assert abs(a.rgb(8).astype(float) - b.rgb(8)).mean() < 3
