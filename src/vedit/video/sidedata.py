"""What a decoded frame carries beside its samples: how it is turned, and the light that it was graded for."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any

from av.sidedata.sidedata import SideData, SideDataContainer, Type

from vedit.video.clip import Mastering


@classmethod
def _nameless(cls: Any, value: object) -> Any:
    """A member for a kind of side data that FFmpeg has and PyAV does not know (31 is EXIF), which would be an error."""
    if not isinstance(value, int):
        return None
    made = object.__new__(cls)
    made._name_, made._value_ = f"KIND_{value}", value
    return cls._value2member_map_.setdefault(value, made)


Type._missing_ = _nameless  # pyright: ignore[reportAttributeAccessIssue]


def side_data(frame: Any) -> list[SideData]:
    """What a decoded frame carries beside its samples."""
    # Not frame.side_data: frame and container would then hold each other, and with them the samples, until Python
    # looks for cycles, which with torch loaded it does after hundreds of frames.
    return list(SideDataContainer(frame))  # pyright: ignore[reportCallIssue]  (the stub leaves the constructor out)


def display_matrix(frame: Any) -> tuple[int, ...] | None:
    """FFmpeg's 3x3 matrix (nine int32 of 16.16), None where there is none."""
    for data in side_data(frame):
        if data.type.name == "DISPLAYMATRIX":
            return struct.unpack("=9i", bytes(data)[:36])
    return None


def hdr_metadata(frame: Any) -> tuple[str, ...]:
    """Names of what it says about HDR."""
    wanted = {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL", "DYNAMIC_HDR_PLUS", "DOVI_METADATA",
              "DOVI_RPU_BUFFER", "DYNAMIC_HDR_VIVID", "AMBIENT_VIEWING_ENVIRONMENT"}  # fmt: skip
    return tuple(sorted({d.type.name.lower() for d in side_data(frame) if d.type.name in wanted}))


def layout(frame: Any) -> tuple[str, ...]:
    """What it says of how the picture is to be looked at, if that is not flat, in words."""
    found = set()
    for data in side_data(frame):
        if data.type.name == "SPHERICAL":
            found.add("360-degree")
        if data.type.name == "STEREO3D" and struct.unpack("=i", bytes(data)[:4])[0]:  # 0 is flat
            found.add("stereoscopic")
    return tuple(sorted(found))


def mastering(frame: Any) -> Mastering | None:
    """The display that it was graded on, None where it does not say."""
    for data in side_data(frame):
        if data.type.name == "MASTERING_DISPLAY_METADATA":
            *numbers, has_primaries, has_luminance = struct.unpack("=22i", bytes(data)[:88])
            pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
            if not (has_primaries and has_luminance and all(below > 0 for _, below in pairs)):
                return None
            rx, ry, gx, gy, bx, by, wx, wy, darkest, brightest = (Fraction(*pair) for pair in pairs)
            return Mastering((rx, ry), (gx, gy), (bx, by), (wx, wy), darkest, brightest)
    return None


def content_light(frame: Any) -> tuple[int, int] | None:
    """Of the brightest pixel and of the brightest frame, cd/m²; None where it does not say."""
    for data in side_data(frame):
        if data.type.name == "CONTENT_LIGHT_LEVEL":
            brightest, average = struct.unpack("=2I", bytes(data)[:8])
            return brightest, average
    return None
