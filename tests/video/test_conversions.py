"""Sound and subtitles that a container cannot hold as they are become what it can hold, in step with the picture."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.codec
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


def remux(path: Path, to: Path, keep: Callable[[Any], bool]) -> None:
    """The packets of ``path`` for which ``keep``, which may change them, says so."""
    with av.open(str(path)) as opened, av.open(str(to), "w") as made:
        streams = {s.index: made.add_stream_from_template(s, opaque=True) for s in opened.streams}
        for packet in opened.demux():
            if packet.dts is not None and keep(packet):
                packet.stream = streams[packet.stream.index]
                made.mux(packet)


def heard(path: Path) -> np.ndarray:
    """The sound at 48 kHz, one channel, from the first frame of the picture on (AVI: from zero, since FFmpeg guesses
    the times of its pictures)."""
    with av.open(str(path)) as opened:
        first: Any = next(opened.decode(video=0))
        picture = first.pts * first.time_base
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
        (".mov", "alac", ".nut", "flac"),
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
        f"{ {'.ts': 'mpegts'}.get(target, target[1:]) } cannot hold it as it is"
    ]
    late, alike = off(heard(source), heard(out))
    assert abs(late) <= 48 and alike > 0.99
    passed(source, tmp_path / f"again{target}")
    assert (tmp_path / f"again{target}").read_bytes() == out.read_bytes()


def decoded(path: Path) -> np.ndarray:
    """Samples (N,) of the first channel, one after the other, whatever their times."""
    with av.open(str(path)) as opened:
        return np.concatenate([np.ravel(frame.to_ndarray()[0]) for frame in opened.decode(audio=0)])


def test_sound_by_a_clock_of_milliseconds_goes_into_blocks(tmp_path: Path) -> None:
    """AVI counts blocks of 1012 samples: two packets of ASF's clock fell into one, and the job failed."""
    source = chirp(tmp_path / "in.asf", "adpcm_ms", rate=44100)
    passed(source, tmp_path / "out.avi")
    assert np.array_equal(decoded(tmp_path / "out.avi"), decoded(source))


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


@pytest.mark.parametrize("layout", ["mono", "stereo", "3.0", "5.1"])
@pytest.mark.parametrize("target", [".mp4", ".mov"])
def test_sound_whose_channels_have_no_names_goes_into_mp4(tmp_path: Path, layout: str, target: str) -> None:
    """Matroska says how many channels PCM has and not which; mp4 wanted to know at the end of the whole job."""
    count = av.AudioLayout(layout).nb_channels
    source = chirp(tmp_path / "in.mkv", "pcm_s16le", layout=layout)
    words = passed(source, tmp_path / f"out{target}")
    with av.open(str(tmp_path / f"out{target}")) as opened:
        kept = opened.streams.audio
        assert [stream.layout.nb_channels for stream in kept] == [count]
    assert not any("dropped" in text for text in words)


def changing(path: Path, parts: list[tuple[str, int]]) -> Path:
    """A transport stream whose AC-3 sound changes on the way, as those of broadcasters do."""
    plain = make_clip(path.with_name("plain.mp4"), 30)
    with av.open(str(plain)) as opened, av.open(str(path), "w") as made:
        video = made.add_stream_from_template(opened.streams[0])
        sound: Any = made.add_stream("ac3", rate=parts[0][1], layout=parts[0][0])
        made.start_encoding()
        at = Fraction(0)
        for layout, rate in parts:
            encoder: Any = av.codec.CodecContext.create("ac3", "w")
            encoder.sample_rate, encoder.layout, encoder.format = rate, layout, "fltp"
            for k in range(18):
                t = np.arange(k * 1536, (k + 1) * 1536) / rate
                wave = np.repeat((0.2 * np.sin(2 * np.pi * 440 * t))[None], av.AudioLayout(layout).nb_channels, 0)
                frame = av.AudioFrame.from_ndarray(wave.astype(np.float32), "fltp", layout)
                frame.sample_rate = rate
                for packet in encoder.encode(frame):
                    packet.stream, packet.time_base = sound, Fraction(1, 90000)
                    packet.pts = packet.dts = round(at * 90000)
                    at += Fraction(1536, rate)
                    made.mux(packet)
        for packet in opened.demux(0):
            if packet.dts is not None:
                packet.stream = video
                made.mux(packet)
    plain.unlink()
    return path


@pytest.mark.parametrize("parts", [[("stereo", 48000), ("5.1", 48000)], [("5.1", 48000), ("stereo", 44100)]])
def test_sound_that_changes_on_the_way(tmp_path: Path, parts: list[tuple[str, int]]) -> None:
    """The whole job failed."""
    source = changing(tmp_path / "in.ts", parts)
    passed(source, tmp_path / "out.webm")
    with av.open(str(tmp_path / "out.webm")) as opened:
        length = sum(Fraction(frame.samples, frame.sample_rate) for frame in opened.decode(audio=0))
    wanted = sum(Fraction(18 * 1536, rate) for _, rate in parts)
    assert abs(length - wanted) < Fraction(1, 20)


@pytest.mark.parametrize("speed", [0.99, 1.01])
def test_sound_whose_clock_is_not_its_rate_stays_in_step(tmp_path: Path, speed: float) -> None:
    """Late by 36 s in an hour, for a clock that is one per cent off."""

    def change(packet: Any) -> bool:
        if packet.stream.type == "audio":
            packet.pts = packet.dts = round(packet.dts * speed)
        return True

    remux(chirp(tmp_path / "made.mov", "pcm_s16le"), tmp_path / "in.mkv", change)
    passed(tmp_path / "in.mkv", tmp_path / "out.webm")
    with av.open(str(tmp_path / "out.webm")) as opened:
        last = list(opened.decode(audio=0))[-1]
    assert last.pts is not None and last.time_base is not None
    assert abs(float(last.pts * last.time_base) + last.samples / RATE - SECONDS * speed) < 0.05


@pytest.mark.parametrize("target", [".webm", ".avi", ".ts", ".mov"])
def test_a_gap_in_the_sound_stays_as_long(tmp_path: Path, target: str) -> None:
    codec = {".webm": "aac", ".avi": "libopus", ".ts": "flac", ".mov": "libopus"}[target]

    def outside(packet: Any) -> bool:
        return packet.stream.type != "audio" or not 0.4 <= packet.pts * packet.time_base < 0.8

    remux(chirp(tmp_path / "made.mp4", codec), tmp_path / "in.mp4", outside)
    words = passed(tmp_path / "in.mp4", tmp_path / f"out{target}")
    assert not any("early" in text for text in words)
    before, after = heard(tmp_path / "in.mp4"), heard(tmp_path / f"out{target}")
    for part in (slice(6000, 16000), slice(42000, 52000)):
        correlation = max(
            float(np.dot(before[part], np.roll(after, lag)[part]))
            / float(np.linalg.norm(before[part]) * np.linalg.norm(after[part]))
            for lag in range(-1000, 1001)
        )
        assert correlation > 0.9
    assert np.abs(after[26000:34000]).mean() < 0.02


def test_more_than_sixteen_bits_stay(tmp_path: Path) -> None:
    from vedit.video.conversions import sound

    source = chirp(tmp_path / "in.mkv", "pcm_s24le")
    with av.open(str(source)) as opened, av.open(str(tmp_path / "out.mkv"), "w") as made:
        found = sound(made, "matroska", opened.streams.audio[0], [])
        assert found is not None
        assert (found[0].codec_context.format.name, found[2]) == ("s32", "flac")


LINES = [(0.0, 0.4, "a < b and c > d"), (0.1, 0.2, "{\\i1}two{\\i0}"), (0.3, 0.6, "<i>three</i> & four")]


def texts(path: Path) -> list[tuple[float, float, str]]:
    with av.open(str(path)) as opened:
        found = []
        for packet in opened.demux(opened.streams.subtitles[0]):
            data = bytes(packet)
            data = data[2 : 2 + int.from_bytes(data[:2], "big")]
            if packet.pts is not None and data and packet.duration is not None:
                time = float(packet.pts * packet.time_base)
                found.append(
                    (round(time, 2), round(time + float(packet.duration * packet.time_base), 2), data.decode())
                )
        return found


def test_subtitles_that_overlap_become_lines_of_one(tmp_path: Path) -> None:
    """mp4 shows one text at a time: the first of two was never seen."""
    source = make_clip(tmp_path / "in.mkv", 30, subtitles=LINES)
    passed(source, tmp_path / "out.mp4")
    first, two, three = "a < b and c > d", "two", "three & four"
    assert texts(tmp_path / "out.mp4") == [
        (0.0, 0.1, first), (0.1, 0.2, f"{first}\n{two}"), (0.2, 0.3, first), (0.3, 0.4, f"{first}\n{three}"),
        (0.4, 0.6, three),
    ]  # fmt: skip


def test_words_of_subtitles_are_what_is_read(tmp_path: Path) -> None:
    lines = [(0.0, 0.2, "Tom &amp; Jerry: a &lt; b"), (0.2, 0.4, "<c.red>red</c>&nbsp;words")]
    source = make_clip(tmp_path / "in.mkv", 12, subtitles=lines, subtitle_codec="webvtt")
    passed(source, tmp_path / "out.mp4")
    assert [text for _, _, text in texts(tmp_path / "out.mp4")] == ["Tom & Jerry: a < b", "red words"]


def test_drawings_are_no_words(tmp_path: Path) -> None:
    lines = [(0.0, 0.2, "{\\p1}m 0 0 l 10 0 10 10{\\p0}"), (0.2, 0.4, "{note}said\\hso")]
    source = make_clip(tmp_path / "in.mkv", 12, subtitles=lines, subtitle_codec="ass")
    passed(source, tmp_path / "out.mp4")
    assert [text for _, _, text in texts(tmp_path / "out.mp4")] == ["said so"]
