"""Source, edits, mask and reference frame by frame, matched by their times. Keeps one frame of each."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

from vedit.errors import InputError
from vedit.metrics.pictures import Picture
from vedit.video.info import ClipInfo, open_input, probe
from vedit.video.mask import read_picture
from vedit.video.reader import Reader, SourceFrame
from vedit.video.source import is_sequence

_STILLS = ("_pipe", "image2")  # how FFmpeg names the containers of single pictures
_HALF = 128  # grey level from which on a mask is white


@dataclass(frozen=True)
class Clips:
    """What is compared, looked at but not yet decoded."""

    source: ClipInfo
    edited: tuple[ClipInfo, ...]
    mask: ClipInfo | None = None
    reference: ClipInfo | None = None

    @classmethod
    def open(cls, source: str, edited: Sequence[str], mask: str | None = None, reference: str | None = None) -> Clips:
        """Probe all files. Raises ``InputError`` for one that is no video."""
        return cls(
            probe(source),
            tuple(probe(path) for path in edited),
            probe(mask) if mask is not None else None,
            probe(reference) if reference is not None else None,
        )

    @property
    def paths(self) -> list[str]:
        """Of all of them."""
        others = [info for info in (self.mask, self.reference) if info is not None]
        return [info.path for info in (self.source, *self.edited, *others)]

    def require_same_size(self) -> None:
        """``InputError`` for the first file whose displayed size is not the source's."""
        others = [*self.edited, *(info for info in (self.mask, self.reference) if info is not None)]
        for info in others:
            if _size(info) != _size(self.source):
                raise InputError(
                    f"{info.path}: is {_says(info)} pixels, the source {self.source.path} is {_says(self.source)}; "
                    "only clips of one size can be compared"
                )

    def needed(self, wants: set[str]) -> Clips:
        """Without a mask or reference that no measure wants, so that they are not decoded."""
        return replace(
            self,
            mask=self.mask if "mask" in wants else None,
            reference=self.reference if "reference" in wants else None,
        )


@dataclass(frozen=True, eq=False)
class Matched:
    """The pictures of one instant. ``time`` and ``duration`` of the source's frame in seconds; ``lateness``: of each
    edit, seconds after it."""

    index: int
    time: Fraction
    duration: Fraction
    source: Picture
    edited: tuple[Picture, ...]
    lateness: tuple[Fraction, ...]
    mask: np.ndarray | None
    reference: Picture | None


def matched(clips: Clips) -> Iterator[Matched]:
    """The instants of all clips in step.

    Raises ``InputError`` where a clip has fewer or more frames than the source, or shows one at another time.
    """
    still = clips.mask if clips.mask is not None and _is_still(clips.mask) else None
    fixed = _read_still(still, clips.source) if still is not None else None
    moving = [*clips.edited]
    if clips.mask is not None and still is None:
        moving.append(clips.mask)
    if clips.reference is not None:
        moving.append(clips.reference)
    with contextlib.ExitStack() as stack:
        source = iter(stack.enter_context(Reader(clips.source.path, clips.source)))
        others = [iter(stack.enter_context(Reader(info.path, info))) for info in moving]
        count = 0
        for frame in source:
            fellows = [
                _fellow(frame, next(other, None), info, clips.source)
                for other, info in zip(others, moving, strict=True)
            ]
            pictures = [_picture(fellow) for fellow in fellows]
            edited = len(clips.edited)
            mask = fixed
            if clips.mask is not None and still is None:
                mask = as_mask(pictures[edited].rgb8)
            yield Matched(
                count,
                frame.time,
                frame.duration * clips.source.time_base,
                _picture(frame),
                tuple(pictures[:edited]),
                tuple(fellow.time - frame.time for fellow in fellows[:edited]),
                mask,
                pictures[-1] if clips.reference is not None else None,
            )
            count += 1
        for other, info in zip(others, moving, strict=True):
            if next(other, None) is not None:
                raise InputError(
                    f"{info.path}: has more frames than the {count} of the source {clips.source.path}; "
                    "only clips of one length can be compared"
                )


def tolerance(one: ClipInfo, other: ClipInfo, frame: SourceFrame) -> Fraction:
    """Seconds by which the times of one frame may differ: a tick of the coarser clock, since containers round, but no
    more than a quarter of the frame."""
    return min(max(one.time_base, other.time_base), frame.duration * frame.info.time_base / 4)


def _fellow(frame: SourceFrame, fellow: SourceFrame | None, info: ClipInfo, source: ClipInfo) -> SourceFrame:
    if fellow is None:
        raise InputError(
            f"{info.path}: ends after {frame.index} frames, the source {source.path} goes on; "
            "only clips of one length can be compared"
        )
    if abs(fellow.time - frame.time) > tolerance(source, info, frame):
        raise InputError(
            f"{info.path}: frame {frame.index} is shown at {float(fellow.time):.4f} s, that of the source "
            f"{source.path} at {float(frame.time):.4f} s; frames are matched by time, so give clips with equal times"
        )
    return fellow


def _picture(frame: SourceFrame) -> Picture:
    return Picture(frame.rgb(8 if frame.info.bits == 8 else 16))


def _size(info: ClipInfo) -> tuple[int, int]:
    return info.display_width, info.display_height


def _says(info: ClipInfo) -> str:
    return f"{info.display_width}×{info.display_height}"


def _is_still(info: ClipInfo) -> bool:
    return any(word in info.container for word in _STILLS) and not is_sequence(info.path)


def _read_still(info: ClipInfo, source: ClipInfo) -> np.ndarray:
    """(H, W) bool, read as the editing commands read it: what is transparent is black."""
    grey = read_picture(info.path)
    if grey.shape[::-1] != _size(source):
        raise InputError(
            f"{info.path}: holds {grey.shape[1]}×{grey.shape[0]} pixels, the source {source.path} is {_says(source)}; "
            "save the mask again as PNG of that size"
        )
    return grey >= _HALF


def as_mask(rgb: np.ndarray) -> np.ndarray:
    """(H, W) bool from a picture (H, W, 3) uint8: true where it is white, half grey and above."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) >= _HALF


@dataclass(frozen=True)
class Agreement:
    """What an edit has in common with its source. ``frames``: of source and edit; ``lateness``: the largest difference
    of a frame's times in seconds, None where the lengths differ. ``sound``: share of equal sound streams."""

    size: bool
    frames: tuple[int, int]
    times: bool
    lateness: float | None
    sound: float

    def figures(self) -> dict[str, float]:
        """By the names of the measures."""
        return {
            "size_agreement": float(self.size),
            "length_agreement": float(self.frames[0] == self.frames[1]),
            "times_agreement": float(self.times),
            "sound_agreement": self.sound,
        }


def agreement(source: ClipInfo, edited: ClipInfo) -> Agreement:
    """Decode both for their times, and compare the packets of their sound. Nothing of it has to agree."""
    counts, late, times = [0, 0], Fraction(0), True
    with Reader(source.path, source) as one, Reader(edited.path, edited) as other:
        first, second = iter(one), iter(other)
        while True:
            frame, fellow = next(first, None), next(second, None)
            counts[0] += frame is not None
            counts[1] += fellow is not None
            if frame is None and fellow is None:
                break
            if frame is not None and fellow is not None:
                gap = abs(frame.time - fellow.time)
                late = max(late, gap)
                times = times and gap <= tolerance(source, edited, frame)
    same_length = counts[0] == counts[1]
    return Agreement(
        _size(source) == _size(edited),
        (counts[0], counts[1]),
        times and same_length,
        float(late) if same_length else None,
        sound_agreement(source, edited),
    )


def sound_agreement(source: ClipInfo, edited: ClipInfo) -> float:
    """Share of the sound streams, of the file that has more, that hold the same packets in both; 1 without any."""
    mine, theirs = _sound(source), _sound(edited)
    most = max(len(mine), len(theirs))
    if not most:
        return 1.0
    left = list(theirs)
    same = 0
    for digest in mine:
        if digest in left:
            left.remove(digest)
            same += 1
    return same / most


def _sound(info: ClipInfo) -> list[str]:
    """A hash of the packets of every sound stream, in their order."""
    if not info.audio:
        return []
    container: Any = open_input(info.path)
    try:
        streams = [stream for stream in container.streams if stream.type == "audio"]
        digests = {stream.index: hashlib.sha256() for stream in streams}
        for packet in container.demux(*streams):
            digests[packet.stream.index].update(bytes(packet))
        return [digest.hexdigest() for digest in digests.values()]
    finally:
        container.close()
