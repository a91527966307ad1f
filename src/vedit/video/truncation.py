"""Whether a file ends before it should, by what its own headers say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def cut_short(name: Path, container: Any) -> bool:
    """Whether the file ends before the data that its own index or its outermost element announces."""
    size = os.path.getsize(name)
    formats = container.format.name.split(",")
    if "matroska" in formats:
        end = _matroska_end(name)
        return end is not None and end > size
    if "avi" in formats and _riff_end(name) > size:
        return True  # its index lies at the end and is lost with it
    if "mov" in formats or "avi" in formats:
        for stream in container.streams:
            entries = stream.index_entries
            if len(entries) and entries[-1].pos + entries[-1].size > size:
                return True
    return False


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
