"""What a file holds, found by its headers and its first frame."""

from __future__ import annotations

import itertools
import math
import os
from fractions import Fraction
from typing import Any

import av
import av.error
import av.stream

from vedit.errors import InputError
from vedit.video import color as _color
from vedit.video import sidedata
from vedit.video import source as _source
from vedit.video.clip import Chapter, ClipInfo, Orientation, StreamInfo
from vedit.video.ending import cut_short, suspicion
from vedit.video.opening import decoder_of, hidden_alpha, open_input, pick_stream, reason

DISPOSITIONS = ("default", "dub", "original", "comment", "lyrics", "karaoke", "forced", "hearing_impaired",
                 "visual_impaired", "clean_effects", "attached_pic", "captions", "descriptions")  # fmt: skip
_PROBE_PACKETS = 400  # without a picture after so many packets of the stream, it has none


def probe(path: str | os.PathLike[str], stream: int | None = None, rate: Fraction | None = None) -> ClipInfo:
    """Reads headers and the first frame of the first real video stream, or of ``stream``; ``rate`` is that of images.

    :class:`InputError` if unusable.
    """
    name = os.fspath(path)
    found = _source.find(path, rate)
    container = open_input(path, rate)
    try:
        return _probe(container, found, name, stream)
    except (av.error.FFmpegError, OSError, ValueError, MemoryError, OverflowError, ZeroDivisionError) as error:
        raise InputError(f"{name}: cannot be read as video ({reason(error)}); the file is damaged") from None
    finally:
        container.close()


def _probe(container: Any, found: _source.Source, path: str, chosen: int | None) -> ClipInfo:
    name = found.name
    video = pick_stream(container, name, chosen)
    context = video.codec_context
    if context is None:
        raise InputError(f"{name}: no decoder for its video stream; convert it to H.264 first")
    others = tuple(_stream_info(s) for s in container.streams if s.index != video.index)
    warnings: list[str] = []
    extra_video = [s.index for s in others if s.kind == "video" and "attached_pic" not in s.dispositions]
    if extra_video:
        warnings.append(
            f"several video streams: stream {video.index} is edited, not {', '.join(map(str, extra_video))}"
        )

    doubt = None if found.sequence else suspicion(found.files[0], container)
    if doubt:
        warnings.append(f"{doubt}; compare it with the original")
    frame = _first_frame(container, video)
    if frame is None:
        raise InputError(
            f"{name}: its {context.name} video has no frame that can be decoded; the file is cut short or damaged"
        )
    if frame.width < 1 or frame.height < 1:
        raise InputError(f"{name}: its frames have no size; the file is damaged")

    matrix = sidedata.display_matrix(frame)
    orientation = Orientation.from_matrix(matrix)
    if orientation is None:
        warnings.append("the display matrix is no multiple of 90 degrees: shown unrotated")
        orientation, matrix = Orientation(), None
    if orientation.identity:
        matrix = None

    time_base = video.time_base
    rate = video.average_rate or video.guessed_rate or video.base_rate or Fraction(25)
    start = _seconds(video.start_time, time_base)
    if start is None:
        start = _seconds(frame.pts, time_base) or Fraction(0)
    duration, own_duration = _duration(container, video, start)
    if doubt and container.format.name == "nut":
        duration = None  # FFmpeg found it by what its last index would have said
    frames, declared = _frame_count(container, video, duration, rate)
    pix_fmt = frame.format.name
    if hidden_alpha(video) and not _color.has_alpha(pix_fmt):
        warnings.append("its transparency cannot be read: this build of FFmpeg has no libvpx")
    return ClipInfo(
        path=path,
        container=container.format.name,
        stream=video.index,
        codec=context.name,
        width=frame.width,
        height=frame.height,
        orientation=orientation,
        display_matrix=matrix,
        sar=video.sample_aspect_ratio or None,
        time_base=time_base,
        rate=rate,
        frames=frames,
        frames_declared=declared,
        start=start,
        duration=duration,
        own_duration=own_duration,
        pix_fmt=pix_fmt,
        bits=_color.bit_depth(pix_fmt),
        primaries=_tag(frame.color_primaries, context.color_primaries, 2),
        transfer=_tag(frame.color_trc, context.color_trc, 2),
        matrix_tag=_tag(frame.colorspace, context.colorspace, 2),
        range_tag=_tag(frame.color_range, context.color_range, 0),
        # FFmpeg's base rate is the finest grid that holds every time: on a steady clip it is the average.
        variable=bool(video.base_rate and video.average_rate and abs(video.base_rate / video.average_rate - 1) > 0.005),
        reordered=bool(context.has_b_frames),
        interlaced=bool(frame.interlaced_frame),
        alpha=_color.transparent(frame) if _still(container) else _color.has_alpha(pix_fmt),
        hdr_metadata=sidedata.hdr_metadata(frame),
        layout=sidedata.layout(frame),
        mastering=sidedata.mastering(frame),
        light=sidedata.content_light(frame),
        truncated=not found.sequence and cut_short(found.files[0], container),
        sequence=found.sequence,
        streams=others,
        chapters=tuple(_chapters(container)),
        metadata=dict(container.metadata),
        warnings=tuple(warnings),
    )


def _tag(frame_tag: int, context_tag: int, unset: int) -> int:
    tag = int(frame_tag)
    return tag if tag != unset else int(context_tag)


def _seconds(value: int | None, time_base: Fraction | None) -> Fraction | None:
    return None if value is None or time_base is None else value * time_base


def _stream_info(stream: Any) -> StreamInfo:
    if stream.type == "attachment":
        codec = stream.metadata.get("mimetype", "attachment")
    elif stream.codec_context is not None:
        codec = stream.codec_context.name
    else:
        codec = getattr(stream, "name", None) or "unknown"
    present = stream.disposition
    names = tuple(n for n in DISPOSITIONS if present & getattr(av.stream.Disposition, n))
    # FFmpeg reads the title of a track of mp4 as its name.
    title = next((stream.metadata[key] for key in ("title", "name", "filename") if stream.metadata.get(key)), None)
    return StreamInfo(stream.index, stream.type, codec, stream.language, title, names)


def _first_frame(container: Any, video: Any) -> Any:
    for other in container.streams:
        if other.index != video.index:
            other.discard = av.stream.Discard.all
    video.thread_type = "SLICE"  # frame threads would read ahead for a picture that comes first anyway
    decoder = decoder_of(video)
    packets = itertools.islice(container.demux(video), _PROBE_PACKETS + 2)
    for packet in itertools.chain((one for one in packets if one.size), [None]):  # an empty sample is not the end
        try:
            frames = decoder.decode(packet)
        except av.error.FFmpegError:
            frames = []
        if frames:
            return frames[0]
    return None


def _still(container: Any) -> bool:
    """Whether its pixels are RGBA because images are, not because somebody wanted transparency."""
    name = container.format.name
    return name in ("gif", "apng", "image2") or name.endswith("_pipe")


_OF_THE_FILE = {"asf", "mpegvideo", "h264", "hevc", "m4v", "obu", "dirac", "vc1"}


def _duration(container: Any, video: Any, start: Fraction) -> tuple[Fraction | None, bool]:
    """Seconds, None if unknown; and whether they are declared for this stream, not for the file as a whole."""
    if video.duration and video.duration > 0:
        # Of these FFmpeg has the file's length, or guesses one from the rate of bits.
        return video.duration * video.time_base, container.format.name not in _OF_THE_FILE
    # Matroska keeps where each track ends in a tag; the container's own figure may be that of a longer sound track.
    tags = {k.upper(): v for k, v in video.metadata.items()}
    for key in ("DURATION", *(k for k in tags if k.startswith("DURATION-"))):
        ends = _clock(tags.get(key, ""))
        if ends is not None and ends > start:
            return ends - start, True
    if container.duration and container.duration > 0:
        begins = Fraction(container.start_time or 0, av.time_base)
        rest = Fraction(container.duration, av.time_base) + begins - start
        return (rest if rest > 0 else None), False
    return None, False


def _clock(text: str) -> Fraction | None:
    try:
        hours, minutes, seconds = text.strip().split(":")
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    except (ValueError, ZeroDivisionError):
        return None


def _frame_count(container: Any, video: Any, duration: Fraction | None, rate: Fraction) -> tuple[int, bool]:
    """Number of frames, and whether the file declares it; otherwise it is what duration and rate make."""
    usual = max(1, math.floor(duration * rate + Fraction(1, 2))) if duration else None
    # The index of a fragmented mp4 counts its first fragment at most, and samples that an edit list leaves out; in one
    # that is true, FFmpeg has the average rate from that very number.
    indexed = container.format.name.startswith("mov")
    if video.frames > 0 and not (indexed and usual is not None and abs(video.frames - usual) > 1 + usual / 50):
        return video.frames, True
    # FFmpeg counts no frames in Matroska: in a file that it wrote, the statistics are those of the file before.
    tags = {key.upper(): value for key, value in container.metadata.items()}
    if not tags.get("ENCODER", "").startswith("Lav"):
        for key, value in video.metadata.items():
            if key.upper().startswith("NUMBER_OF_FRAMES") and value.isdigit() and int(value) > 0:
                return int(value), True
    return usual or 1, False


def _chapters(container: Any) -> list[Chapter]:
    found = []
    for chapter in container.chapters():
        base = chapter.get("time_base") or Fraction(1, 1000)
        found.append(Chapter(chapter["start"] * base, chapter["end"] * base, chapter.get("metadata", {}).get("title")))
    return found
