"""Sound and subtitles that a container cannot hold as they are become what it can hold, in step with the picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vedit.render import passthrough
from vedit.video.info import probe

from .synth import make_clip, read_clip

RATE = 48000
SECONDS = 1.2


def passed(source: Path, target: Path, **how: Any) -> list[str]:
    return passthrough.run(str(source), str(target), **how).warnings


def chirp(path: Path, codec: str, *, layout: str = "stereo", rate: int = RATE, late: float = 0.0) -> Path:
    """A clip whose sound says by its pitch what time it is: from 300 to 2,000 Hz within 1.2 s."""
    plain = make_clip(path.with_name("plain.mp4"), 30)
    with av.open(str(plain)) as opened, av.open(str(path), "w") as made:
        video = made.add_stream_from_template(opened.streams[0])
        sound: Any = made.add_stream(codec, rate=rate, layout=layout)
        channels = sound.codec_context.layout.nb_channels
        t = np.arange(round(SECONDS * rate)) / rate
        wave = 0.3 * np.sin(2 * np.pi * (300 * t + 1700 / (2 * SECONDS) * t**2))
        for first in range(0, len(t), 960):
            part = np.repeat(wave[None, first : first + 960].astype(np.float32), channels, 0)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="fltp", layout=layout)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = first + round(late * rate)
            made.mux(sound.encode(frame))
        made.mux(sound.encode(None))
        for packet in opened.demux(0):
            if packet.dts is not None:
                packet.stream = video
                made.mux(packet)
    plain.unlink()
    return path


def heard(path: Path) -> np.ndarray:
    """The sound at 48 kHz, one channel, from the first frame of the picture on (AVI: from zero, since FFmpeg guesses
    the times of its pictures)."""
    with av.open(str(path)) as opened:
        picture = next(frame.pts * frame.time_base for frame in opened.decode(video=0) if frame.pts is not None)
    picture = 0 if path.suffix == ".avi" else picture
    samples = np.zeros(round((SECONDS + 0.6) * RATE))
    with av.open(str(path)) as opened:
        mono = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in opened.decode(audio=0):
            assert frame.pts is not None and frame.time_base is not None
            for part in mono.resample(frame):
                assert part.pts is not None and part.time_base is not None
                at = round((part.pts * part.time_base - picture) * RATE)
                values = part.to_ndarray()[0][max(0, -at) :]
                samples[max(0, at) : max(0, at) + len(values)] = values
    return samples


def off(a: np.ndarray, b: np.ndarray) -> tuple[int, float]:
    """By how many samples ``b`` is later than ``a``, and how alike they are then (correlation)."""
    inner = slice(RATE // 4, RATE)
    found = {}
    for lag in range(-480, 481):
        x, y = a[inner], b[inner.start + lag : inner.stop + lag]
        found[lag] = float(np.dot(x, y) / max(np.linalg.norm(x) * np.linalg.norm(y), 1e-9))
    best = max(found, key=found.__getitem__)
    return best, found[best]


@pytest.mark.parametrize(
    ("suffix", "codec", "target", "becomes"),
    [
        (".mp4", "aac", ".webm", "opus"),
        (".mov", "pcm_s16le", ".webm", "opus"),
        (".mov", "pcm_s16le", ".ts", "aac"),
        (".mkv", "flac", ".ts", "aac"),
        (".mkv", "opus", ".mov", "aac"),
        (".mkv", "opus", ".avi", "pcm_s16le"),
    ],
)
def test_sound_that_a_container_cannot_hold_is_encoded_anew(
    tmp_path: Path, suffix: str, codec: str, target: str, becomes: str
) -> None:
    """It was dropped, and a clip to WebM had lost its sound."""
    source = chirp(tmp_path / f"in{suffix}", "libopus" if codec == "opus" else codec)
    out = tmp_path / f"out{target}"
    words = passed(source, out)
    assert [text for text in words if "audio" in text] == [
        f"audio stream 1 ({codec}) becomes {becomes}: "
        f"{ {'.webm': 'webm', '.ts': 'mpegts', '.mov': 'mov', '.avi': 'avi'}[target] } cannot hold it as it is"
    ]
    late, alike = off(heard(source), heard(out))
    assert abs(late) <= 48 and alike > 0.99
    passed(source, tmp_path / f"again{target}")
    assert (tmp_path / f"again{target}").read_bytes() == out.read_bytes()


def test_sound_that_begins_late_stays_late(tmp_path: Path) -> None:
    source = chirp(tmp_path / "in.mkv", "pcm_s16le", late=0.25)
    passed(source, tmp_path / "out.webm")
    late, alike = off(heard(source), heard(tmp_path / "out.webm"))
    assert abs(late) <= 48 and alike > 0.99


@pytest.mark.parametrize(("layout", "rate"), [("mono", 44100), ("5.1", 48000), ("mono", 11025)])
def test_channels_stay(tmp_path: Path, layout: str, rate: int) -> None:
    source = chirp(tmp_path / "in.mkv", "pcm_s16le", layout=layout, rate=rate)
    words = passed(source, tmp_path / "out.webm")
    assert sum("becomes opus" in text for text in words) == 1
    with av.open(str(tmp_path / "out.webm")) as opened:
        assert opened.streams.audio[0].layout.nb_channels == av.AudioLayout(layout).nb_channels


def test_no_audio_converts_nothing(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", audio=1)
    assert passed(source, tmp_path / "out.webm", audio=False) == []
    assert probe(tmp_path / "out.webm").audio == ()


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "subrip"), (".mkv", "ass"), (".mp4", "mov_text")])
def test_subtitles_become_those_of_webm(tmp_path: Path, suffix: str, codec: str) -> None:
    lines = [(0.0, 0.2, "one & <two>" if codec == "mov_text" else "one & two"), (0.24, 0.4, "three\nfour")]
    if codec == "ass":
        lines = [(a, b, text.replace("\n", "\\N")) for a, b, text in lines]
    source = make_clip(tmp_path / f"in{suffix}", subtitles=lines, subtitle_codec=codec)
    words = passed(source, tmp_path / "out.webm")
    assert [text for text in words if "becomes webvtt" in text] == [text for text in words if "subtitle" in text] != []
    found = read_clip(tmp_path / "out.webm")
    stream = next(s for s in probe(tmp_path / "out.webm").streams if s.kind == "subtitle")
    texts = [bytes(packet[-1]) if isinstance(packet, tuple) else packet for packet in found["packets"][stream.index]]
    assert any(b"three\nfour" in text for text in texts)
    assert any(b"one &amp; two" in text or b"one &amp;" in text for text in texts)
