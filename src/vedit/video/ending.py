"""Whether a file ends before it should: what its headers, its index and its last bytes tell.

Where nothing is announced, a cut shows only in what is left of the last packet; a file that was cut between two packets
is a shorter file of its kind.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

_TAIL = 4 << 20  # bytes of a transport stream's end that are looked at
_SYNC = 0x47
_NUT_INDEX = bytes.fromhex("4e58dd672f23e64e")
_INSIDE = "the file ends inside a packet: it may be cut short"
_IN_A_ROW = 5  # sync bytes at their places, by which packets are known


def cut_short(name: Path, container: Any) -> bool:
    """Whether the file ends before the data that its own index or its outermost element announces."""
    size = os.path.getsize(name)
    formats = container.format.name.split(",")
    if "matroska" in formats:
        end = _matroska_end(name)
        return end is not None and end > size
    if "avi" in formats and _riff_end(name) > size:
        return True  # its index lies at the end and is lost with it
    if "mov" in formats and _box_overruns(name, size):
        return True
    if "mov" in formats or "avi" in formats:
        for stream in container.streams:
            entries = stream.index_entries
            if len(entries) and entries[-1].pos + entries[-1].size > size:
                return True
    return False


_BOXES = {b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"mfra", b"free", b"skip", b"sidx", b"uuid", b"wide"}
_NEEDED = {b"moov", b"moof", b"mdat"}


def _box_overruns(name: Path, size: int) -> bool:
    """Whether an outermost box of an mp4 or QuickTime file says that it is longer than what is there of it.

    That is how a fragment shows that it was cut; the index knows of it only when all of it is there.
    """
    with open(name, "rb") as file:
        at, kind = 0, b""
        while at + 8 <= size:
            file.seek(at)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if kind not in _BOXES or length == 0:  # padding, or to the end of the file, whichever it is
                return False
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8:
                return False
            at += length
    return at > size and kind in _NEEDED


def _riff_end(name: Path) -> int:
    """File offset at which the first RIFF chunk of an AVI file ends, 0 if it does not say."""
    with open(name, "rb") as file:
        head = file.read(8)
    length = int.from_bytes(head[4:8], "little") if head[:4] == b"RIFF" else 0
    # Programs that could not go back to write the length leave the largest one there.
    return 8 + length if length < 0x7FFFF000 else 0


def _matroska_end(name: Path) -> int | None:
    """File offset at which the Segment of a Matroska file ends, None if it does not say."""
    with open(name, "rb") as file:
        head = file.read(4096)

    def number(at: int, keep_marker: bool) -> tuple[int, int] | None:
        if at >= len(head) or not head[at]:
            return None
        length = 9 - head[at].bit_length()
        value = int.from_bytes(head[at : at + length], "big")
        if keep_marker:
            return value, at + length
        value &= (1 << (7 * length)) - 1
        return (-1 if value == (1 << (7 * length)) - 1 else value), at + length

    at = 0
    while (element := number(at, True)) and (length := number(element[1], False)):
        if element[0] == 0x18538067:
            return None if length[0] < 0 else length[1] + length[0]
        if length[0] < 0:
            return None
        at = length[1] + length[0]
    return None


def suspicion(name: Path, container: Any) -> str | None:
    """Why a file that announces no length may be cut short, in words for a warning; None if nothing tells."""
    if container.format.name == "mpegts":
        return _transport_end(name)
    if container.format.name == "nut" and not _has_nut_index(name):
        return "the file has no index at its end: it may be cut short"
    return None


def _tail(name: Path, length: int) -> bytes:
    with open(name, "rb") as file:
        file.seek(max(0, os.path.getsize(name) - length))
        return file.read()


def _has_nut_index(name: Path) -> bool:
    """Whether the last packet of a NUT file is its index, which says in its last bytes where it begins."""
    tail = _tail(name, _TAIL)
    length = int.from_bytes(tail[-12:-4], "big")
    if length > len(tail):  # of a very long clip
        with open(name, "rb") as file:
            file.seek(max(0, os.path.getsize(name) - length))
            return file.read(8) == _NUT_INDEX
    return length >= 12 and tail[-length:][:8] == _NUT_INDEX


def _transport_end(name: Path) -> str | None:
    tail = _tail(name, _TAIL)
    for size, lead in ((188, 0), (192, 4), (204, 0)):  # lead: bytes of a time before each packet
        for left in range(size):
            end = len(tail) - left
            first = end - size + lead
            if first - (_IN_A_ROW - 1) * size < 0:
                break
            if all(tail[first - k * size] == _SYNC for k in range(_IN_A_ROW)):
                begun = tail[end:]
                if begun[lead : lead + 1] == bytes([_SYNC]) or 0 < left <= lead:
                    return _INSIDE
                return None if left else _open_packet(tail[:end], size, lead)
    return None


def _open_packet(data: bytes, size: int, lead: int) -> str | None:
    """Whether a packet of a stream (PES) in whole packets of the transport stream has begun and not come to its end."""
    held: dict[int, int] = {}  # bytes still to come, by the streams whose last packet says how many it has
    for at in range(len(data) % size + lead, len(data), size):
        packet = data[at : at + 188]
        if packet[0] != _SYNC or not packet[3] & 0x10:
            continue
        stream = (packet[1] & 0x1F) << 8 | packet[2]
        payload = packet[5 + packet[4] if packet[3] & 0x20 else 4 :]
        if packet[1] & 0x40:
            held.pop(stream, None)
            length = int.from_bytes(payload[4:6], "big")
            if payload[:3] == b"\0\0\1" and length:
                held[stream] = length + 6
        if stream in held:
            held[stream] -= len(payload)
    if any(left > 0 for left in held.values()):
        return _INSIDE
    return None
