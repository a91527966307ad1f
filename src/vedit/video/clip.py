"""What is known of a clip, and the size at which a model sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from vedit.errors import InputError, UsageError
from vedit.video import color as _color
from vedit.video.opening import open_input

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
LONGEST = 16384  # pixels of a side at which a model works


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
    layout: tuple[str, ...] = ()  # "360-degree", "stereoscopic": how the picture is to be looked at, if it says
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
            "layout": list(self.layout),
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
