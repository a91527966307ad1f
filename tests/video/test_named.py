"""What of other streams, tags and times a container cannot hold is named; what it can hold is there."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.stream
import cv2
import numpy as np
import pytest

from vedit.render import passthrough
from vedit.video.encoding import EncoderOptions
from vedit.video.info import StreamInfo, probe
from vedit.video.reader import Reader
from vedit.video.writer import Writer

from .synth import make_clip, moving_frames

LINES = [(0.0, 0.2, "one"), (0.24, 0.4, "two")]


def passed(source: Path, target: Path, **how: Any) -> list[str]:
    """The warnings of a pass."""
    return passthrough.run(str(source), str(target), **how).warnings


def others(path: Path, kind: str) -> list[StreamInfo]:
    return [stream for stream in probe(path).streams if stream.kind == kind]


def with_files(path: Path, *files: tuple[str, str, bytes]) -> Path:
    """A Matroska clip with files attached to it."""
    plain = make_clip(path.with_name("plain.mp4"), 4, audio=1)
    with av.open(str(plain)) as source, av.open(str(path), "w") as made:
        streams = {stream.index: made.add_stream_from_template(stream) for stream in source.streams}
        for file in files:
            made.add_attachment(*file)
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
    plain.unlink()
    return path


def jpeg(image: np.ndarray) -> bytes:
    done, data = cv2.imencode(".jpg", image)
    assert done
    return data.tobytes()


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm", ".avi", ".ts", ".nut"])
def test_cover_art_is_a_cover_or_named(tmp_path: Path, suffix: str) -> None:
    """In Matroska it became a second video, in MPEG-TS data of no kind, and in QuickTime it was gone without a word."""
    picture = jpeg(np.full((16, 16, 3), 99, np.uint8))
    source = with_files(tmp_path / "in.mkv", ("front.jpg", "image/jpeg", picture))
    target = tmp_path / f"out{suffix}"
    words = [text for text in passed(source, target) if "video stream" in text]
    videos = others(target, "video")
    if suffix not in (".mkv", ".mp4"):
        assert (videos, len(words)) == ([], 1) and "dropped" in words[0]
        return
    assert (words, len(videos)) == ([], 1)
    assert "attached_pic" in videos[0].dispositions
    if suffix == ".mkv":
        assert videos[0].title == "front.jpg"
    with av.open(str(target)) as container:
        packets = container.demux(container.streams[videos[0].index])
        assert next(bytes(packet) for packet in packets if packet.size) == picture


def test_cover_art_of_mp4_is_attached_to_matroska(tmp_path: Path) -> None:
    source, target = make_clip(tmp_path / "in.mp4", 4, cover=True), tmp_path / "out.mkv"
    assert passed(source, target) == []
    (cover,) = others(target, "video")
    assert (cover.codec, cover.title, cover.dispositions) == ("png", "cover.png", ("attached_pic",))
    again = tmp_path / "again.mkv"
    assert passed(target, again) == []
    assert others(again, "video") == [cover]


@pytest.mark.parametrize("suffix", [".webm", ".mov", ".nut", ".avi", ".ts"])
def test_an_attached_file_is_named_where_it_is_lost(tmp_path: Path, suffix: str) -> None:
    """WebM took it and left it out."""
    source = with_files(tmp_path / "in.mkv", ("font.ttf", "font/ttf", b"no font" * 9))
    words = [text for text in passed(source, tmp_path / f"out{suffix}") if "attachment" in text]
    assert len(words) == 1 and "font.ttf" in words[0]


@pytest.mark.parametrize("codec", ["pcm_s16le", "flac", "aac", "ac3", "libmp3lame", "libopus"])
def test_sound_in_a_transport_stream_can_be_heard(tmp_path: Path, codec: str) -> None:
    """FFmpeg writes anything there, as private data: the sound was in the file, and lost."""
    source, target = make_clip(tmp_path / "in.mkv", 6, audio=1, audio_codec=codec), tmp_path / "out.ts"
    words = [text for text in passed(source, target) if "audio stream" in text]
    assert others(target, "data") == []
    assert len(others(target, "audio")) == 1
    if codec in ("pcm_s16le", "flac"):
        assert len(words) == 1 and "becomes aac" in words[0]
    else:
        assert words == []


def test_subtitles_are_not_made_data_of_a_transport_stream(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", 6, subtitles=LINES)
    assert any("srt" in text and "dropped" in text for text in passed(source, tmp_path / "out.ts"))
    assert probe(tmp_path / "out.ts").streams == ()


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_webvtt_becomes_text_of_mp4(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mkv", 12, subtitles=LINES, subtitle_codec="webvtt")
    words = passed(source, tmp_path / f"out{suffix}")
    assert len(words) == 1 and "becomes mov_text" in words[0]
    (made,) = others(tmp_path / f"out{suffix}", "subtitle")
    assert made.codec == "mov_text"
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        texts = [bytes(packet)[2:] for packet in container.demux(*container.streams.subtitles)]
    assert [text for text in texts if text] == [b"one", b"two"]


def two_tracks(path: Path) -> Path:
    """Sound in Swedish with a title, and a comment in Croatian."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sounds: list[Any] = [container.add_stream("aac", rate=48000) for _ in range(2)]
        marks = av.stream.Disposition.default, av.stream.Disposition.comment
        for sound, language, title, mark in zip(sounds, ("swe", "hrv"), ("Svenska", "Opis"), marks, strict=True):
            sound.metadata.update(language=language, title=title)
            sound.disposition = mark
        container.start_encoding()
        for sound in sounds:
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48000, 0
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
        for image in moving_frames(4):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
    return path


@pytest.mark.parametrize("through", [".mp4", ".mkv"])
def test_titles_of_tracks_stay_from_pass_to_pass(tmp_path: Path, through: str) -> None:
    """mp4 gives them back under another name, by which they were not known the second time."""
    source = two_tracks(tmp_path / "in.mkv")
    for number, suffix in enumerate((".mp4", through, ".mp4")):
        target = tmp_path / f"{number}{suffix}"
        assert passed(source, target) == []
        source = target
    found = [(s.language, s.title, "comment" in s.dispositions) for s in others(source, "audio")]
    assert found == [("swe", "Svenska", False), ("hrv", "Opis", True)]


@pytest.mark.parametrize(("suffix", "lost", "languages"), [
    (".mov", ("language (hrv) and mark as comment",), ["sve", None]),
    (".avi", ("language (swe)", "language (hrv) and mark as comment"), [None, None]),
    (".ts", ("title (Svenska)", "title (Opis) and mark as comment"), ["swe", "hrv"]),
    (".nut", (), ["swe", "hrv"]),
])  # fmt: skip
def test_what_a_track_loses_is_named(
    tmp_path: Path, suffix: str, lost: tuple[str, ...], languages: list[str | None]
) -> None:
    """QuickTime has its own list of languages, in which German and Swedish were not found by the name they have."""
    target = tmp_path / f"out{suffix}"
    words = [text for text in passed(two_tracks(tmp_path / "in.mkv"), target) if "loses" in text]
    assert len(words) == len(lost)
    assert all(f"loses its {what}: " in text for what, text in zip(lost, words, strict=True)), words
    assert [s.language for s in others(target, "audio")] == languages


@pytest.mark.parametrize(("suffix", "lost"), [(".ts", "artist, keywords, title"), (".avi", "keywords"), (".mkv", "")])
def test_tags_that_are_lost_are_named(tmp_path: Path, suffix: str, lost: str) -> None:
    source = make_clip(tmp_path / "in.mp4", 4, metadata={"title": "T", "artist": "A", "keywords": "k"})
    words = [text for text in passed(source, tmp_path / f"out{suffix}") if "tags" in text]
    assert len(words) == bool(lost)
    assert not lost or words[0].endswith(f" {lost}")


@pytest.mark.parametrize(("target", "codec"), [
    ("out.webm", None), ("out.mkv", "ffv1"), ("out.mkv", "vp9"), ("out.nut", None), ("out.avi", "ffv1"),
    ("out.mkv", None), ("out.mp4", "vp9"), ("out.mov", "prores"), ("out.ts", "h265"), ("out.avi", None),
])  # fmt: skip
def test_the_shape_of_pixels_is_kept_or_named(tmp_path: Path, target: str, codec: str | None) -> None:
    source = make_clip(tmp_path / "in.mp4", 3, sar=Fraction(16, 11))
    words = passed(source, tmp_path / target, encoder=EncoderOptions(codec=codec))
    kept = probe(tmp_path / target).sar == Fraction(16, 11)
    assert kept == (not any("shape of its pixels (16:11)" in text for text in words)), words
    by_codec = codec in (None, "h265") and not target.endswith("nut")
    assert kept == (by_codec or target.endswith(("mp4", "mov", "mkv", "webm")))


@pytest.mark.parametrize(("suffix", "kept"), [(".mkv", True), (".ts", False), (".nut", False), (".avi", False)])
def test_a_long_last_frame_is_kept_or_named(tmp_path: Path, suffix: str, kept: bool) -> None:
    source = make_clip(tmp_path / "in.mp4", 12, time_base=Fraction(1, 1000), pts=[40 * k for k in range(12)],
                       last_duration=700, bframes=0)  # fmt: skip
    words = [text for text in passed(source, tmp_path / f"out{suffix}") if "last frame" in text]
    assert len(words) == (not kept)
    assert kept or "0.7 s" in words[0]


@pytest.mark.parametrize(("late", "named"), [(0.5, True), (0.0, False)])
def test_sound_that_avi_moves_is_named(tmp_path: Path, late: float, named: bool) -> None:
    source = make_clip(tmp_path / "in.mp4", 25, audio=1, audio_codec="libmp3lame", audio_offset=late)
    words = [text for text in passed(source, tmp_path / "out.avi") if "begins all sound at zero" in text]
    assert len(words) == named


def test_avi_keeps_sound_and_picture_of_a_broadcast_together(tmp_path: Path) -> None:
    """Its clock began at ten seconds: the picture came ten seconds after the sound."""
    times = [900000 + 3600 * k for k in range(12)]
    source = make_clip(tmp_path / "in.ts", 12, audio=1, audio_codec="mp2", audio_offset=10, pts=times,
                       time_base=Fraction(1, 90000))  # fmt: skip
    passed(source, tmp_path / "out.avi")
    info = probe(tmp_path / "out.avi")
    with Reader(info.path, info) as reader:
        first = next(iter(reader))
    assert first.pts * info.time_base <= Fraction(1, 10)


@pytest.mark.parametrize("pix_fmt", ["rgb555le", "rgb565le"])
def test_colours_of_five_bits_keep_their_white(tmp_path: Path, pix_fmt: str) -> None:
    """They were widened by shifting: white became 248."""
    with av.open(str(tmp_path / "in.avi"), "w") as container:
        stream: Any = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255, np.uint8), format="rgb24")
        container.mux(stream.encode(frame.reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    passed(tmp_path / "in.avi", tmp_path / "out.mkv")
    info = probe(tmp_path / "out.mkv")
    with Reader(info.path, info) as reader:
        assert next(iter(reader)).rgb().min() >= 254


def exif(orientation: int) -> np.ndarray:
    """A directory with one entry, as cameras write it."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    return np.frombuffer(struct.pack("<4sIH", b"II*\0", 8, 1) + entry + bytes(4), np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_photographs_with_exif_are_a_clip(tmp_path: Path, suffix: str, orientation: int) -> None:
    """PyAV did not know this kind of side data, and no picture of a camera could be read."""
    folder = tmp_path / "frames"
    folder.mkdir()
    image = np.full((32, 64, 3), 40, np.uint8)
    image[:16, :16] = 220
    for number in range(3):
        _, data = cv2.imencodeWithMetadata(suffix, image, [cv2.IMAGE_METADATA_EXIF], [exif(orientation)])
        (folder / f"{number}{suffix}").write_bytes(data.tobytes())
    upright = cv2.imread(str(folder / f"0{suffix}"))
    assert upright is not None
    passthrough.run(str(folder), str(tmp_path / "out.mp4"))
    info = probe(tmp_path / "out.mp4")
    assert (info.display_height, info.display_width) == upright.shape[:2]
    with Reader(info.path, info) as reader:
        frames = [frame.rgb() for frame in reader]
    assert len(frames) == 3
    assert np.abs(frames[0].astype(int) - upright[..., ::-1]).mean() < 3


@pytest.mark.parametrize("unusual", [False, True])
def test_a_cover_stays_beside_any_tags(tmp_path: Path, unusual: bool) -> None:
    """Tags that iTunes has no name for take the place of its list, in which the cover lies."""
    tags = {"title": "T"} | ({"mood": "calm"} if unusual else {})
    source = make_clip(tmp_path / "in.mp4", 4, metadata={"title": "T"}, cover=True)
    info = replace(probe(source), metadata=tags)
    with Reader(source, info) as reader, Writer(tmp_path / "out.mp4", info) as writer:
        for frame in reader:
            writer.write_source(frame)
        writer.commit()
    after = probe(tmp_path / "out.mp4")
    assert any("attached_pic" in stream.dispositions for stream in after.streams)
    assert {k.lower(): v for k, v in after.metadata.items()}["title"] == "T"
    assert [text for text in writer.warnings if "tags" in text] == (
        ["tags are not kept: mp4 cannot hold mood beside a cover"] if unusual else []
    )


def test_quicktime_keeps_tags_that_it_has_no_name_for(tmp_path: Path) -> None:
    tags = {"title": "T", "description": "about", "composer": "C"}
    source = make_clip(tmp_path / "in.mkv", 4, metadata=tags)
    passed(source, tmp_path / "out.mov")
    found = {k.lower(): v for k, v in probe(tmp_path / "out.mov").metadata.items()}
    assert tags.items() <= found.items()


@pytest.mark.parametrize("suffix", [".ts", ".avi"])
def test_a_time_code_that_is_lost_is_named(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mov", 6, timecode="01:00:00:00")
    words = [text for text in passed(source, tmp_path / f"out{suffix}") if "dropped" in text]
    assert len(words) == 1 and words[0].startswith("data stream 1")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".nut"])
@pytest.mark.parametrize("mark", ["original", "hearing_impaired", "comment"])
def test_marks_of_a_track_are_kept_or_named(tmp_path: Path, suffix: str, mark: str) -> None:
    """mp4 has no word for the original sound."""
    plain = make_clip(tmp_path / "plain.mp4", 4, audio=1, audio_codec="libopus", bframes=0)
    source = tmp_path / "in.mkv"
    with av.open(str(plain)) as opened, av.open(str(source), "w") as made:
        streams = {stream.index: made.add_stream_from_template(stream) for stream in opened.streams}
        streams[1].disposition = getattr(av.stream.Disposition, mark)
        for packet in opened.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                made.mux(packet)
    assert mark in others(source, "audio")[0].dispositions
    words = [text for text in passed(source, tmp_path / f"out{suffix}") if f"mark as {mark}" in text]
    assert (mark in others(tmp_path / f"out{suffix}", "audio")[0].dispositions) == (not words)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_the_clock_of_a_broadcast_begins_anew_elsewhere(tmp_path: Path, suffix: str) -> None:
    """mp4 would show nothing for the fourteen hours before."""
    begins = 50_000
    times = [90_000 * begins + 3600 * k for k in range(12)]
    source = make_clip(tmp_path / "in.ts", 12, audio=1, audio_codec="mp2", audio_offset=begins, pts=times,
                       time_base=Fraction(1, 90000))  # fmt: skip
    assert probe(source).start > begins - 1
    passed(source, tmp_path / f"out{suffix}")
    info = probe(tmp_path / f"out{suffix}")
    if suffix == ".ts":
        assert info.start > begins - 1
        return
    assert 0 <= info.start < Fraction(1, 10)
    assert info.duration is not None and info.duration < 1
    with av.open(str(tmp_path / f"out{suffix}")) as opened:
        sound = next(packet for packet in opened.demux(audio=0) if packet.size)
        assert sound.pts is not None and sound.time_base is not None
        assert 0 <= sound.pts * sound.time_base < 0.1


@pytest.mark.parametrize(("pix_fmt", "codec", "named"), [
    ("yuv444p", None, False), ("yuv444p", "av1", True), ("yuv422p", "av1", True), ("yuv420p", "av1", False),
    ("bgr0", None, True),
])  # fmt: skip
def test_colours_that_lose_resolution_are_named(tmp_path: Path, pix_fmt: str, codec: str | None, named: bool) -> None:
    source = make_clip(tmp_path / "in.mkv", 3, codec="ffv1", pix_fmt=pix_fmt)
    words = passed(source, tmp_path / "out.mkv", encoder=EncoderOptions(codec=codec))
    assert len([text for text in words if "colours lose resolution" in text]) == named
