"""Files that end before they should, in containers that announce no length."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import av
import pytest

from vedit.render import passthrough
from vedit.video.info import probe

from .synth import make_clip

KINDS: dict[str, dict[str, Any]] = {
    "sound.ts": {"audio": 1},
    "silent.ts": {},
    "camera.m2ts": {"audio": 1},
    "lossless.nut": {"codec": "ffv1", "options": {}, "audio": 1, "audio_codec": "flac"},
    "h264.nut": {"audio": 1},
}


def doubted(path: Path) -> bool:
    """Whether a person is told, once, that the file may be cut; nothing else is wrong with it."""
    words = probe(path).warnings
    assert len(words) <= 1
    return any("may be cut short" in text for text in words)


@pytest.mark.parametrize("name", KINDS)
def test_a_cut_is_noticed(tmp_path: Path, name: str) -> None:
    """It passed silently: half of the clip came out as if that were all."""
    path = make_clip(tmp_path / name, 40, **KINDS[name])
    data = path.read_bytes()
    assert not doubted(path)
    size = {".ts": 188, ".m2ts": 192}.get(path.suffix, len(data))
    rng = random.Random(name)
    for _ in range(20):
        at = rng.randrange(len(data) // 8, len(data) - 20)
        path.write_bytes(data[: at + (at % size == 0)])
        assert doubted(path), at


def test_a_cut_between_packets_is_noticed_by_the_sound(tmp_path: Path) -> None:
    """The packets of a sound stream say how long they are; those of the picture do not."""
    path = make_clip(tmp_path / "in.ts", 40, audio=1)
    data = path.read_bytes()
    found = 0
    for count in range(40, len(data) // 188, 8):
        path.write_bytes(data[: 188 * count])
        found += doubted(path)
    assert found >= 5


def test_the_person_is_told_with_the_result(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.ts", 40)
    path.write_bytes(path.read_bytes()[:12345])
    done = passthrough.run(str(path), str(tmp_path / "out.ts"))
    assert 0 < done.frames < 40
    assert any("ends inside a packet" in text for text in done.warnings)


@pytest.mark.parametrize(
    "more", [b"\0" * 64, b"ID3 and so on", b"\0" * 188], ids=["zeros", "words", "a packet's worth"]
)
def test_what_somebody_put_behind_it_is_no_cut(tmp_path: Path, more: bytes) -> None:
    path = make_clip(tmp_path / "in.ts", 20, audio=1)
    path.write_bytes(path.read_bytes() + more)
    assert not doubted(path)


def test_a_cut_nut_does_not_say_how_long_it_is(tmp_path: Path) -> None:
    """FFmpeg took it for one of a few hundredths of a second, and a start after that was refused."""
    path = make_clip(tmp_path / "in.nut", 40, audio=1)
    assert probe(path).duration is not None
    path.write_bytes(path.read_bytes()[:-5000])
    assert probe(path).duration is None


def test_a_nut_from_a_pipe_is_whole(tmp_path: Path) -> None:
    source, path = make_clip(tmp_path / "in.mkv", 6), tmp_path / "pipe.nut"
    with open(path, "wb") as file:

        class Pipe:
            def write(self, data: bytes) -> int:
                return file.write(data)

        with av.open(str(source)) as clip, av.open(Pipe(), "w", format="nut") as made:
            stream: Any = made.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            for frame in clip.decode(video=0):
                made.mux(stream.encode(frame))
            made.mux(stream.encode(None))
    assert not doubted(path)
