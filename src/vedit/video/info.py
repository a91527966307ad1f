"""What a file holds, found by its headers and its first frame."""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.codec
import av.error
import av.stream
import numpy as np
from av.sidedata.sidedata import SideData, SideDataContainer
from av.sidedata.sidedata import Type as _SideDataType

from vedit.errors import InputError, UsageError
from vedit.video import color as _color
from vedit.video import source as _source
from vedit.video.ending import cut_short, suspicion

if TYPE_CHECKING:
    from vedit.video.hwaccel import Accelerator

_PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
              10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213"}  # fmt: skip
_TRANSFER = {1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100",
             10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12",
             16: "smpte2084", 17: "smpte428", 18: "arib-std-b67"}  # fmt: skip
_MATRIX = {0: "rgb", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
           10: "bt2020c", 14: "ictcp"}  # fmt: skip
_RANGE = {1: "tv", 2: "pc"}
DISPOSITIONS = ("default", "dub", "original", "comment", "lyrics", "karaoke", "forced", "hearing_impaired",
                 "visual_impaired", "clean_effects", "attached_pic", "captions", "descriptions")  # fmt: skip
# Demuxers that take nearly any bytes for pictures: a text file is not a clip.
_NOT_VIDEO = {"tty", "bin", "xbin", "adf", "idf", "rawvideo"}
LONGEST = 16384  # pixels of a side at which a model works
_PROBE_PACKETS = 400  # without a picture after so many packets of the stream, it has none


@dataclass(frozen=True)
class Orientation:
    """How coded rows and columns are shown: first transposed, then mirrored left-right (``flip_x``), top-bottom
    (``flip_y``)."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def identity(self) -> bool:
        """Whether the picture is shown as it is coded."""
        return not (self.transpose or self.flip_x or self.flip_y)

    @property
    def mirrored(self) -> bool:
        """Whether it is more than a rotation."""
        return self.transpose ^ self.flip_x ^ self.flip_y

    @property
    def rotation(self) -> int:
        """Degrees counter-clockwise by which the coded picture is turned; for a mirrored one, after a left-right
        mirror."""
        flip_x = self.flip_x ^ self.mirrored
        if self.transpose:
            return 90 if self.flip_y and not flip_x else 270
        return 180 if flip_x and self.flip_y else 0

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Coded (H, W, ...) to displayed orientation; contiguous."""
        if self.transpose:
            image = image.swapaxes(0, 1)
        return np.ascontiguousarray(image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1])

    def undo(self, image: np.ndarray) -> np.ndarray:
        """Displayed (H, W, ...) to coded orientation; contiguous."""
        image = image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(image.swapaxes(0, 1) if self.transpose else image)

    @classmethod
    def from_matrix(cls, matrix: tuple[int, ...] | None) -> Orientation | None:
        """From FFmpeg's 3x3 display matrix (nine int32 of 16.16); None where it is no multiple of 90 degrees."""
        if matrix is None:
            return cls()
        a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
        small = max(abs(v) for v in (a, b, c, d)) // 100
        if abs(b) <= small and abs(c) <= small and a and d:
            return cls(False, a < 0, d < 0)
        if abs(a) <= small and abs(d) <= small and b and c:
            return cls(True, c < 0, b < 0)
        return None


@dataclass(frozen=True)
class StreamInfo:
    """A stream beside the edited video: ``kind`` is video, audio, subtitle, data or attachment."""

    index: int
    kind: str
    codec: str
    language: str | None = None
    title: str | None = None
    dispositions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mastering:
    """The display that HDR was graded on: CIE xy of ``red``, ``green``, ``blue`` and ``white``, luminance in cd/m²."""

    red: tuple[Fraction, Fraction]
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    darkest: Fraction
    brightest: Fraction


@dataclass(frozen=True)
class Chapter:
    """A chapter, in seconds of the container's clock."""

    start: Fraction
    end: Fraction
    title: str | None = None


@dataclass(frozen=True)
class ClipInfo:
    """What is known of a clip before it is decoded. Sizes in pixels, times in seconds, colour tags as H.273 numbers."""

    path: str
    container: str
    stream: int
    codec: str
    width: int
    height: int
    orientation: Orientation
    display_matrix: tuple[int, ...] | None
    sar: Fraction | None
    time_base: Fraction
    rate: Fraction
    frames: int
    frames_declared: bool
    start: Fraction
    duration: Fraction | None
    pix_fmt: str
    bits: int
    primaries: int
    transfer: int
    matrix_tag: int
    range_tag: int
    variable: bool = False
    reordered: bool = False
    interlaced: bool = False
    alpha: bool = False
    hdr_metadata: tuple[str, ...] = ()
    mastering: Mastering | None = None
    light: tuple[int, int] | None = None  # content light level: of the brightest pixel, of the brightest frame; cd/m²
    truncated: bool = False
    sequence: bool = False  # images, whose rate is what it was said to be
    own_duration: bool = False  # the duration is that of this stream, not of a longer one
    streams: tuple[StreamInfo, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def display_width(self) -> int:
        """Columns as shown: after the rotation, before the sample aspect ratio."""
        return self.height if self.orientation.transpose else self.width

    @property
    def display_height(self) -> int:
        """Rows as shown: after the rotation, before the sample aspect ratio."""
        return self.width if self.orientation.transpose else self.height

    @property
    def rotation(self) -> int:
        """Degrees counter-clockwise: 0, 90, 180 or 270."""
        return self.orientation.rotation

    @property
    def color(self) -> _color.Color:
        """The matrix and range to convert with."""
        matrix = _color.resolve_matrix(self.matrix_tag, self.width, self.height)
        # RGB has no such range; what becomes YUV of it is limited, as players expect.
        full = self.range_tag == _color.FULL and not _color.is_rgb(self.pix_fmt)
        return _color.Color(matrix, full or self.pix_fmt.startswith("yuvj"))

    @property
    def audio(self) -> tuple[StreamInfo, ...]:
        """The sound streams."""
        return tuple(s for s in self.streams if s.kind == "audio")

    def open(self, accelerator: Accelerator | None = None) -> Any:
        """The clip's container, opened once more; ``accelerator`` decodes its video."""
        return open_input(self.path, self.rate if self.sequence else None, accelerator)

    def require_complete(self) -> None:
        """:class:`InputError` if the file ends before what its headers announce."""
        if self.truncated:
            raise InputError(
                f"{self.path}: the file is cut short (its headers announce more than it holds); get a complete copy"
            )

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values: width and height as displayed, times as float seconds, unknown as None."""
        return {
            "path": self.path,
            "container": self.container,
            "stream": self.stream,
            "codec": self.codec,
            "width": self.display_width,
            "height": self.display_height,
            "coded_width": self.width,
            "coded_height": self.height,
            "rotation": self.rotation,
            "mirrored": self.orientation.mirrored,
            "sample_aspect_ratio": None if self.sar is None else f"{self.sar.numerator}:{self.sar.denominator}",
            "time_base": str(self.time_base),
            "fps": float(self.rate),
            "rate": str(self.rate),
            "variable_frame_rate": self.variable,
            "frames": self.frames,
            "frames_declared": self.frames_declared,
            "start": float(self.start),
            "duration": None if self.duration is None else float(self.duration),
            "pix_fmt": self.pix_fmt,
            "bits": self.bits,
            "color_primaries": _PRIMARIES.get(self.primaries),
            "color_transfer": _TRANSFER.get(self.transfer),
            "color_matrix": _MATRIX.get(self.matrix_tag),
            "color_range": _RANGE.get(self.range_tag),
            "interlaced": self.interlaced,
            "alpha": self.alpha,
            "hdr_metadata": list(self.hdr_metadata),
            "content_light": None if self.light is None else list(self.light),
            "truncated": self.truncated,
            "streams": [
                {"index": s.index, "kind": s.kind, "codec": s.codec, "language": s.language, "title": s.title,
                 "dispositions": list(s.dispositions)}
                for s in self.streams
            ],
            "chapters": [{"start": float(c.start), "end": float(c.end), "title": c.title} for c in self.chapters],
            "metadata": dict(self.metadata),
            "warnings": list(self.warnings),
        }  # fmt: skip


def open_input(
    path: str | os.PathLike[str], rate: Fraction | None = None, accelerator: Accelerator | None = None
) -> Any:
    """The open container of what ``path`` names (see :mod:`vedit.video.source`); ``rate`` is that of images.

    :class:`InputError` says in one line why it cannot be read.
    """
    found = _source.find(path, rate)
    more = {} if accelerator is None else {"hwaccel": accelerator.settings()}
    try:
        container = av.open(
            found.url, format=found.format, options=dict(found.options), metadata_errors="replace", **more
        )
    except PermissionError:
        raise InputError(f"{found.name}: no permission to read it; check the file's mode") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        hint = "cut short, damaged or not a video"
        raise InputError(f"{found.name}: cannot be read as video ({_reason(error)}); the file is {hint}") from None
    if container.format.name in _NOT_VIDEO:
        container.close()
        raise InputError(f"{found.name}: not a video (looks like {container.format.name}); give a video file")
    return container


def decoder_of(stream: Any) -> Any:
    """The decoder to use for a video stream: FFmpeg's own for VP8 and VP9 leave out transparency, libvpx's do not."""
    library = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if library is None or not hidden_alpha(stream):
        return stream.codec_context
    try:
        return av.codec.CodecContext.create(library, "r")
    except ValueError:  # a build of FFmpeg without libvpx
        return stream.codec_context


def hidden_alpha(stream: Any) -> bool:
    """Whether a WebM stream carries transparency beside its pictures, which its pixel format does not tell."""
    return {k.lower(): v for k, v in stream.metadata.items()}.get("alpha_mode") == "1"


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text.splitlines()[0] if text else type(error).__name__


def pick_stream(container: Any, name: str, stream: int | None = None) -> Any:
    """The first real video stream (cover art is not one), or the one with this index; :class:`InputError` otherwise."""
    if stream is not None:
        chosen = [s for s in container.streams if s.index == stream and s.type == "video"]
        if not chosen:
            raise InputError(f"{name}: stream {stream} is not a video stream; see the streams with: vedit info")
        return chosen[0]
    art = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    real = [s for s in container.streams.video if not s.disposition & art]
    if real:
        return real[0]
    if container.streams.video:
        raise InputError(f"{name}: no video stream, only cover art; give a file with video")
    if container.streams.audio:
        raise InputError(f"{name}: no video stream, only sound; give a file with video")
    raise InputError(f"{name}: no video stream; give a file with video")


def working_size(info: ClipInfo, size: int, multiple: int, part: tuple[int, int] | None = None) -> tuple[int, int]:
    """Width and height that the model sees: square pixels, short side ``size``, multiples of ``multiple``.

    ``part``: width and height of the part of the picture that it sees, at the same scale. Raises :class:`UsageError`
    for a clip so narrow that the long side would be beyond ``LONGEST``.
    """
    width: float = info.display_width
    height: float = info.display_height
    if info.sar:
        if info.orientation.transpose:
            height *= float(info.sar)
        else:
            width *= float(info.sar)
    scale = size / min(width, height)

    def whole(side: float) -> int:
        return max(multiple, round(side * scale / multiple) * multiple)

    if part is not None:
        width, height = width * part[0] / info.display_width, height * part[1] / info.display_height
    seen = whole(width), whole(height)
    if max(seen) > LONGEST:
        raise UsageError(
            f"--size {size}: {info.path} is too narrow for it, it would be seen at {seen[0]}x{seen[1]}; "
            "lower --size or crop it"
        )
    return seen


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
        raise InputError(f"{name}: cannot be read as video ({_reason(error)}); the file is damaged") from None
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

    matrix = _display_matrix(frame)
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
    frames, declared = _frame_count(video, duration, rate)
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
        alpha=_color.has_alpha(pix_fmt) and (not _still(container) or _color.transparent(frame)),
        hdr_metadata=_hdr(frame),
        mastering=_mastering(frame),
        light=_light(frame),
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
    for count, packet in enumerate(container.demux(video)):
        try:
            frames = decoder.decode(packet)
        except av.error.FFmpegError:
            frames = []
        if frames:
            return frames[0]
        if count > _PROBE_PACKETS:
            break
    return None


@classmethod
def _nameless(cls: Any, value: object) -> Any:
    """A member for a kind of side data that FFmpeg has and PyAV does not know (31 is EXIF), which would be an error."""
    if not isinstance(value, int):
        return None
    made = object.__new__(cls)
    made._name_, made._value_ = f"KIND_{value}", value
    return cls._value2member_map_.setdefault(value, made)


_SideDataType._missing_ = _nameless  # pyright: ignore[reportAttributeAccessIssue]


def side_data(frame: Any) -> list[SideData]:
    """What a decoded frame carries beside its samples."""
    # Not frame.side_data: frame and container would then hold each other, and with them the samples, until Python
    # looks for cycles, which with torch loaded it does after hundreds of frames.
    return list(SideDataContainer(frame))  # pyright: ignore[reportCallIssue]  (the stub leaves the constructor out)


def _display_matrix(frame: Any) -> tuple[int, ...] | None:
    for data in side_data(frame):
        if data.type.name == "DISPLAYMATRIX":
            return struct.unpack("=9i", bytes(data)[:36])
    return None


def _hdr(frame: Any) -> tuple[str, ...]:
    wanted = {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DYNAMIC_HDR_PLUS", "DOVI_METADATA",
              "DOVI_RPU_BUFFER", "DYNAMIC_HDR_VIVID"}  # fmt: skip
    return tuple(sorted({d.type.name.lower() for d in side_data(frame) if d.type.name in wanted}))


def _mastering(frame: Any) -> Mastering | None:
    for data in side_data(frame):
        if data.type.name == "MASTERING_DISPLAY_METADATA":
            *numbers, has_primaries, has_luminance = struct.unpack("=22i", bytes(data)[:88])
            pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
            if not (has_primaries and has_luminance and all(below > 0 for _, below in pairs)):
                return None
            rx, ry, gx, gy, bx, by, wx, wy, darkest, brightest = (Fraction(*pair) for pair in pairs)
            return Mastering((rx, ry), (gx, gy), (bx, by), (wx, wy), darkest, brightest)
    return None


def _light(frame: Any) -> tuple[int, int] | None:
    for data in side_data(frame):
        if data.type.name == "CONTENT_LIGHT_LEVEL":
            brightest, average = struct.unpack("=2I", bytes(data)[:8])
            return brightest, average
    return None


def _still(container: Any) -> bool:
    """Whether its pixels are RGBA because images are, not because somebody wanted transparency."""
    name = container.format.name
    return name in ("gif", "apng", "image2") or name.endswith("_pipe")


def _duration(container: Any, video: Any, start: Fraction) -> tuple[Fraction | None, bool]:
    """Seconds, None if unknown; and whether they are declared for this stream, not for the file as a whole."""
    if video.duration and video.duration > 0:
        return video.duration * video.time_base, True
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


def _frame_count(video: Any, duration: Fraction | None, rate: Fraction) -> tuple[int, bool]:
    if video.frames and video.frames > 0:
        return video.frames, True
    for key, value in video.metadata.items():
        if key.upper().startswith("NUMBER_OF_FRAMES") and value.isdigit() and int(value) > 0:
            return int(value), True
    return (max(1, math.floor(duration * rate + Fraction(1, 2))) if duration else 1), False


def _chapters(container: Any) -> list[Chapter]:
    found = []
    for chapter in container.chapters():
        base = chapter.get("time_base") or Fraction(1, 1000)
        found.append(Chapter(chapter["start"] * base, chapter["end"] * base, chapter.get("metadata", {}).get("title")))
    return found
