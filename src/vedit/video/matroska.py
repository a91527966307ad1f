"""The shape of pixels in a Matroska or WebM file, which the encoder's own stream does not tell the muxer.

FFmpeg's muxer takes it from the stream, where it cannot be set here, and then leaves room for an index in front that it
does not need whole. So the finished file is told afterwards: the description of the tracks grows into that room, and
nothing behind it moves. Elements and their numbers: RFC 9559; lengths and checksums: RFC 8794.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

_SEGMENT, _SEEK_HEAD, _TRACKS, _CLUSTER = 0x18538067, 0x114D9B74, 0x1654AE6B, 0x1F43B675
_SEEK, _SEEK_POSITION = 0x4DBB, 0x53AC
_TRACK, _TRACK_TYPE, _VIDEO = 0xAE, 0x83, 0xE0
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
_VOID, _CHECKSUM = 0xEC, 0xBF
_HEAD = 1 << 20  # bytes at most before the first picture
_LEAST_VOID = 9  # bytes of an empty one, whose length takes eight


@dataclass(frozen=True)
class _Element:
    number: int
    start: int  # of its number
    data: int
    end: int


def _elements(content: bytes, at: int, end: int) -> Iterator[_Element]:
    """What lies one after the other in ``content[at:end]``. Raises ``ValueError`` for what is no element."""
    while at < end:
        start = at
        number, at = _number(content, at)
        length, data = _number(content, at, marked=False)
        yield _Element(number, start, data, data + length)
        at = data + length


def _number(content: bytes, at: int, *, marked: bool = True) -> tuple[int, int]:
    if at >= len(content) or not content[at]:
        raise ValueError("not a Matroska element")
    size = 9 - content[at].bit_length()
    value = int.from_bytes(content[at : at + size], "big")
    return (value if marked else value & ((1 << (7 * size)) - 1)), at + size


def _element(number: int, data: bytes) -> bytes:
    size = next(size for size in range(1, 9) if len(data) < (1 << (7 * size)) - 1)
    length = (len(data) | 1 << (7 * size)).to_bytes(size, "big")
    return number.to_bytes((number.bit_length() + 7) // 8, "big") + length + data


def _unsigned(number: int, value: int) -> bytes:
    return _element(number, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _checked(number: int, parts: list[bytes], checksum: bool) -> bytes:
    """A master element of ``parts``, with a checksum of them in front if it had one."""
    content = b"".join(parts)
    front = _element(_CHECKSUM, zlib.crc32(content).to_bytes(4, "little")) if checksum else b""
    return _element(number, front + content)


def display_size(width: int, height: int, shape: Fraction) -> tuple[int, int, int]:
    """How a picture of ``width``×``height`` pixels of that shape is described: width, height, unit.

    In pixels (unit 0) where it comes out even, keeping one of the sides; else as a ratio (unit 3).
    """
    if (width * shape).denominator == 1:
        return int(width * shape), height, 0
    if (height / shape).denominator == 1:
        return width, int(height / shape), 0
    ratio = Fraction(width, height) * shape
    return ratio.numerator, ratio.denominator, 3


def describe_shape(file: Any, width: int, height: int, shape: Fraction, track: int = 0) -> bool:
    """Say in a finished file, open for reading and writing, that a track's pixels have the ``shape`` (x over y).

    ``width`` and ``height``: of its pictures as they are coded; ``track`` counts from 0, attachments left out. Returns
    whether there was room for it; the file is as it was where there was none.
    """
    file.seek(0)
    head = file.read(_HEAD)
    try:
        segment = next(found for found in _elements(head, 0, len(head)) if found.number == _SEGMENT)
        front = []
        for found in _elements(head, segment.data, min(segment.end, len(head))):
            front.append(found)
            if found.number in (_TRACKS, _CLUSTER):
                break
    except (ValueError, StopIteration):
        return False
    numbers = [found.number for found in front]
    if numbers[:2] != [_SEEK_HEAD, _VOID] or numbers[-1] != _TRACKS or front[-1].end > len(head):
        return False
    index, room, *between, tracks = front
    described = _described(head, tracks, display_size(width, height, shape), track)
    growth = len(described) - (tracks.end - tracks.start)
    left = room.end - room.start - growth
    if left < _LEAST_VOID:
        return False
    empty = bytes([_VOID]) + (left - _LEAST_VOID | 1 << 56).to_bytes(8, "big") + bytes(left - _LEAST_VOID)
    moved = {found.start - segment.data for found in (*between, tracks)}
    try:
        shifted = _shifted(head, index, moved, growth)
    except OverflowError:  # lengths were written wider than they need be, and a place grows by a byte
        return False
    file.seek(index.start)
    file.write(shifted + empty + head[room.end : tracks.start] + described)
    return True


def _described(head: bytes, tracks: _Element, size: tuple[int, int, int], wanted: int) -> bytes:
    """The tracks, of which the one ``wanted`` has the display size ``size``."""
    parts, checksum, count = [], False, 0
    for track in _elements(head, tracks.data, tracks.end):
        if track.number == _CHECKSUM:
            checksum = True
        elif track.number == _TRACK:
            parts.append(_track(head, track, size) if count == wanted else head[track.start : track.end])
            count += 1
        else:
            parts.append(head[track.start : track.end])
    return _checked(_TRACKS, parts, checksum)


def _track(head: bytes, track: _Element, size: tuple[int, int, int]) -> bytes:
    inside = list(_elements(head, track.data, track.end))
    kind = next((head[found.data : found.end] for found in inside if found.number == _TRACK_TYPE), b"")
    if int.from_bytes(kind, "big") != 1:
        return head[track.start : track.end]
    parts = []
    for found in inside:
        if found.number == _VIDEO:
            old = (_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT)
            kept = [head[e.start : e.end] for e in _elements(head, found.data, found.end) if e.number not in old]
            said = [_unsigned(_DISPLAY_WIDTH, size[0]), _unsigned(_DISPLAY_HEIGHT, size[1])]
            said += [_unsigned(_DISPLAY_UNIT, size[2])] if size[2] else []
            parts.append(_element(_VIDEO, b"".join([*kept, *said])))
        else:
            parts.append(head[found.start : found.end])
    return _element(_TRACK, b"".join(parts))


def _shifted(head: bytes, index: _Element, moved: set[int], by: int) -> bytes:
    """The index in front, with the places in ``moved`` nearer by ``by`` bytes; as long as it was, or OverflowError."""
    parts, checksum = [], False
    for entry in _elements(head, index.data, index.end):
        if entry.number == _CHECKSUM:
            checksum = True
            continue
        content = bytearray(head[entry.start : entry.end])
        if entry.number == _SEEK:
            for found in _elements(head, entry.data, entry.end):
                place = int.from_bytes(head[found.data : found.end], "big")
                if found.number == _SEEK_POSITION and place in moved:
                    at = slice(found.data - entry.start, found.end - entry.start)
                    content[at] = (place - by).to_bytes(found.end - found.data, "big")
        parts.append(bytes(content))
    return _checked(_SEEK_HEAD, parts, checksum)
