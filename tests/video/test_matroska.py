"""Pixels that are not square, told to a finished Matroska file."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.video.synth import make_clip
from vedit.render import passthrough
from vedit.video.info import probe
from vedit.video.matroska import describe_shape, display_size


@pytest.mark.parametrize(("shape", "size"), [
    (Fraction(4, 3), (128, 64, 0)), (Fraction(3, 2), (144, 64, 0)), (Fraction(16, 11), (96, 44, 0)),
    (Fraction(13, 11), (39, 22, 3)),
])  # fmt: skip
def test_a_display_size_has_the_shape_exactly(shape: Fraction, size: tuple[int, int, int]) -> None:
    assert display_size(96, 64, shape) == size
    assert Fraction(size[0], size[1]) == Fraction(96, 64) * shape


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as opened:
        return [bytes(packet) for packet in opened.demux() if packet.size]


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
@pytest.mark.parametrize("shape", [Fraction(16, 11), Fraction(3, 4), Fraction(13, 11)])
def test_the_file_says_it_and_is_else_as_it_was(tmp_path: Path, suffix: str, shape: Fraction) -> None:
    path = make_clip(tmp_path / f"in{suffix}", 30, codec="libvpx-vp9", options={"g": "5"})
    before, size = packets(path), path.stat().st_size
    assert probe(path).sar in (None, 1)
    for _ in range(2):  # what is described already is described anew
        with path.open("r+b") as file:
            assert describe_shape(file, 96, 64, shape)
        assert probe(path).sar == shape and path.stat().st_size == size
        assert packets(path) == before
    with av.open(str(path)) as opened:
        opened.seek(500_000)  # by its index, whose places did not move
        found = next(opened.decode(video=0))
        assert found.pts is not None and found.pts > 0


def test_checksums_fit(tmp_path: Path) -> None:
    """FFmpeg tells of one that does not."""
    path = make_clip(tmp_path / "in.mkv", 5, codec="libvpx-vp9")
    with path.open("r+b") as file:
        assert describe_shape(file, 96, 64, Fraction(16, 11))
    av.logging.set_level(av.logging.WARNING)
    try:
        with av.logging.Capture() as said, av.open(str(path), options={"err_detect": "crccheck"}) as opened:
            assert len(list(opened.decode(video=0))) == 5
    finally:
        av.logging.set_level(None)
    assert not said


def test_what_has_no_room_stays_as_it_is(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "in.mkv", 3, codec="libvpx-vp9").read_bytes()
    rng = np.random.default_rng(0)
    damaged = [b"", whole[:40], whole[:200], rng.bytes(500), whole.replace(b"\xec\x01", b"\xed\x01", 1)]
    for content in damaged:
        file = io.BytesIO(content)
        assert not describe_shape(file, 96, 64, Fraction(16, 11))
        assert file.getvalue() == content


def test_only_the_edited_video_gets_the_shape(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as made:
        streams = [made.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, (width, height) in zip(streams, ((192, 108), (96, 64)), strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        streams[1].codec_context.sample_aspect_ratio = Fraction(16, 11)
        for k in range(3):
            for stream in streams:
                frame = av.VideoFrame.from_ndarray(np.zeros((stream.height, stream.width, 3), np.uint8), format="rgb24")
                frame.pts = k
                made.mux(stream.encode(frame))
        for stream in streams:
            made.mux(stream.encode(None))
    passthrough.run(str(source), str(tmp_path / "out.mkv"), stream=1)
    assert probe(tmp_path / "out.mkv", 0).sar in (None, 1)
    assert probe(tmp_path / "out.mkv", 1).sar == Fraction(16, 11)
