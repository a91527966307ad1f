"""Clips drawn in code with PyAV, for everyone's tests. No ffmpeg program, no files from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.stream
import cv2
import numpy as np

from vedit.video.color import Color, Converter, bit_depth, resolve_matrix


def texture(seed: int, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8 noise with detail at every scale."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for octave in range(2, 7):
        size = 2**octave
        coarse = rng.random((max(2, size * height // width), size, 3), dtype=np.float32)
        image += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / octave
    image -= image.min()
    return (255 * image / image.max()).astype(np.uint8)


def moving_frames(count: int, width: int = 96, height: int = 64, seed: int = 0, step: int = 2) -> list[np.ndarray]:
    """``count`` RGB frames (height, width, 3) uint8: a texture that slides by ``step`` pixels a frame."""
    wide = texture(seed, height, width + step * count)
    return [np.ascontiguousarray(wide[:, k * step : k * step + width]) for k in range(count)]


def flat_frames(colors: Sequence[Sequence[int]], width: int = 64, height: int = 48) -> list[np.ndarray]:
    """One RGB frame of a single colour for each colour."""
    return [np.broadcast_to(np.array(c, np.uint8), (height, width, 3)).copy() for c in colors]


def make_clip(
    path: Path,
    frames: Sequence[np.ndarray] | int = 12,
    *,
    width: int = 96,
    height: int = 64,
    rate: Fraction | int = 25,
    time_base: Fraction | None = None,
    pts: Sequence[int] | None = None,
    last_duration: int | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    matrix: int = 2,
    primaries: int = 2,
    transfer: int = 2,
    color_range: int = 0,
    sar: Fraction | None = None,
    rotation: int = 0,
    hflip: bool = False,
    vflip: bool = False,
    audio: int = 0,
    audio_offset: Fraction | float = 0,
    audio_codec: str = "aac",
    subtitles: Sequence[tuple[float, float, str]] = (),
    subtitle_codec: str = "subrip",
    chapters: Sequence[tuple[float, float, str]] = (),
    metadata: dict[str, str] | None = None,
    attachment: tuple[str, str, bytes] | None = None,
    cover: bool = False,
    timecode: str | None = None,
    bframes: int = 2,
) -> Path:
    """Writes a clip. ``pts`` in ticks of ``time_base`` (default: one tick a frame); ``audio`` counts sound streams;
    rotation is counter-clockwise; subtitles and chapters are (start s, end s, text)."""
    images = moving_frames(frames, width, height) if isinstance(frames, int) else list(frames)
    height, width = images[0].shape[:2]
    rate = Fraction(rate)
    base = time_base or 1 / rate
    times = list(pts) if pts is not None else [round(k / rate / base) for k in range(len(images))]
    step = last_duration or (times[-1] - times[-2] if len(times) > 1 else max(1, round(1 / rate / base)))
    converter = Converter(Color(resolve_matrix(matrix, width, height), color_range == 2), width, height)

    options = dict(options or {})
    if codec == "libx264":
        options = {"crf": "4", "preset": "veryfast", "bf": str(bframes), **options}
    container_options = {}
    if path.suffix in (".mp4", ".mov") and base.numerator == 1:
        container_options["video_track_timescale"] = str(base.denominator)
    with av.open(str(path), "w", container_options=container_options) as container:
        container.flags |= av.container.Flags.bitexact.value
        container.metadata.update(metadata or {})
        video: Any = container.add_stream(codec, rate=rate, options=options)
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        video.codec_context.time_base = base
        video.time_base = base
        video.codec_context.colorspace, video.codec_context.color_primaries = matrix, primaries
        video.codec_context.color_trc, video.codec_context.color_range = transfer, color_range
        video.codec_context.thread_count = 1
        if sar:
            video.codec_context.sample_aspect_ratio = sar
        if rotation or hflip or vflip:
            video.set_display_rotation(rotation, hflip, vflip)
        if timecode:
            video.metadata["timecode"] = timecode
        sounds = []
        for k in range(audio):
            sound: Any = container.add_stream(audio_codec, rate=48000)
            sound.metadata["language"] = ("eng", "deu", "fra")[k % 3]
            sounds.append(sound)
        texts: Any = None
        if subtitles:
            texts = _add_subtitles(container, subtitle_codec)
            texts.metadata["language"] = "eng"
        picture: Any = None
        if cover:
            picture = container.add_stream("png", rate=1)
            picture.width, picture.height, picture.pix_fmt = 16, 16, "rgb24"
            picture.disposition = av.stream.Disposition.attached_pic
        if attachment:
            container.add_attachment(*attachment)
        if chapters:
            container.set_chapters(
                [{"id": k, "start": round(a * 1000), "end": round(b * 1000), "time_base": Fraction(1, 1000),
                  "metadata": {"title": t}} for k, (a, b, t) in enumerate(chapters)]
            )  # fmt: skip
        container.start_encoding()
        if picture is not None:
            art = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 99, np.uint8), format="rgb24")
            container.mux(picture.encode(art))
            container.mux(picture.encode(None))
        duration = float((times[-1] + step - times[0]) * base)
        for number, sound in enumerate(sounds):
            _write_tone(container, sound, duration, float(audio_offset), 300 * (number + 1))
        for start, end, text in subtitles:
            data = text.encode()
            if subtitle_codec == "mov_text":
                data = len(data).to_bytes(2, "big") + data
            elif subtitle_codec == "ass":
                data = b"%d,0,Default,,0,0,0,," % round(start * 100) + data
            packet = av.Packet(data)
            packet.stream = texts
            packet.time_base = Fraction(1, 1000)
            packet.pts = packet.dts = round(start * 1000)
            packet.duration = round((end - start) * 1000)
            container.mux(packet)
        lengths = {}
        for k, image in enumerate(images):
            picture_frame = converter.from_rgb(image, pix_fmt)
            picture_frame.pts, picture_frame.time_base = times[k], base
            picture_frame.color_range = color_range
            picture_frame.colorspace = matrix
            lengths[times[k]] = times[k + 1] - times[k] if k + 1 < len(times) else step
            _mux(container, video.encode(picture_frame), lengths)
        _mux(container, video.encode(None), lengths)
    return path


ASS_HEADER = (
    b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name, Fontname, Fontsize\r\n"
    b"Style: Default,Arial,16\r\n\r\n[Events]\r\n"
    b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
)


def _add_subtitles(container: Any, codec: str) -> Any:
    if codec != "ass":
        return container.add_mux_stream(codec, time_base=Fraction(1, 1000))
    made = container.add_stream("ass")
    made.codec_context.subtitle_header = ASS_HEADER
    made.codec_context.time_base = Fraction(1, 1000)
    return made


def _mux(container: Any, packets: list[Any], lengths: dict[int, int]) -> None:
    for packet in packets:
        packet.duration = lengths.get(packet.pts, packet.duration)
        container.mux(packet)


def _write_tone(container: Any, stream: Any, seconds: float, offset: float, hertz: int) -> None:
    rate, size = 48000, 1024
    start = round(offset * rate)
    for first in range(0, round(seconds * rate), size):
        t = np.arange(first, first + size) / rate
        wave = (0.2 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        frame.sample_rate = rate
        frame.pts = start + first
        frame.time_base = Fraction(1, rate)
        for converted in _fit_format(frame, stream):
            container.mux(stream.encode(converted))
    container.mux(stream.encode(None))


def _fit_format(frame: Any, stream: Any) -> list[Any]:
    wanted = stream.codec_context.format.name
    if wanted == frame.format.name:
        return [frame]
    return av.AudioResampler(format=wanted, layout="stereo", rate=48000).resample(frame)


def read_clip(path: Path) -> dict[str, Any]:
    """What a plain PyAV reader sees: pts and durations in seconds, RGB-free frame sizes, packets of the other
    streams."""
    opened: Any = av.open(str(path))
    with opened as container:
        video = next(s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic)
        found: dict[str, Any] = {"times": [], "durations": [], "packets": {}, "streams": {}}
        found["end"] = None if video.duration is None else ((video.start_time or 0) + video.duration) * video.time_base
        found["metadata"] = dict(container.metadata)
        found["chapters"] = container.chapters()
        for stream in container.streams:
            found["streams"][stream.index] = (stream.type, stream.language, int(stream.disposition))
        for packet in container.demux():
            if packet.stream.index == video.index:
                for frame in packet.decode():
                    found["times"].append(frame.pts * frame.time_base)
                    found["durations"].append(frame.duration * frame.time_base)
                    found["frame"] = frame
            elif packet.size:
                entry = (packet.pts * packet.time_base, bytes(packet))
                found["packets"].setdefault(packet.stream.index, []).append(entry)
    return found


def pix_bits(pix_fmt: str) -> int:
    """Bits a sample of a pixel format."""
    return bit_depth(pix_fmt)
