"""Clips with tracks, for training motion control: a person's own, followed by a point tracker."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import numpy as np

from vedit.errors import InputError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

GRID = 1 / 8  # between the points that are followed, as a share of the pictures' short side


@dataclass(frozen=True, eq=False)
class Moving:
    """A stretch of a clip: ``pixels`` (T, H, W, 3) uint8 and the ``tracks`` (T, N, 2) of points that stay in sight.

    ``numbers``: frames a second and motion bucket, as the network is told them; None: the model's usual ones.
    ``things``: (T, H, W) float32, 1 where a thing is or was in the first frame, where that is known. ``few``: whether
    the tracks are no more than a sample should be told of. ``clip``: which of the source's clips it is of, if known.
    """

    pixels: np.ndarray
    tracks: np.ndarray
    numbers: tuple[float, float] | None = None
    things: np.ndarray | None = None
    few: bool = False
    clip: int | None = None


class Source(Protocol):
    """Where stretches come from. ``identity``: what tells the data from other data, for resuming."""

    identity: str

    def draw(self, rng: np.random.Generator) -> Moving:
        """Any stretch of any clip."""
        ...


class OwnClips:
    """Decoded clips (F, H, W, 3) uint8: random stretches and crops, followed by OpenCV's point tracker."""

    def __init__(
        self, clips: Sequence[np.ndarray], frames: int, size: int, stride: int = 1, identity: str = ""
    ) -> None:
        self.identity = identity
        self._clips, self._frames, self._size, self._stride = list(clips), frames, size, stride

    def draw(self, rng: np.random.Generator) -> Moving:
        """See :class:`Source`."""
        import cv2

        from vedit.video.follow import tracks_of

        number = int(rng.integers(len(self._clips)))
        clip = self._clips[number]
        span = (self._frames - 1) * self._stride + 1
        first = int(rng.integers(len(clip) - span + 1))
        y, x = (int(rng.integers(side - self._size + 1)) for side in clip.shape[1:3])
        part = clip[first : first + span, y : y + self._size, x : x + self._size]
        if rng.random() < 0.5:
            part = part[:, :, ::-1]
        grey = np.stack([cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in part])
        tracks, good = tracks_of(grey, max(8, round(GRID * self._size)))  # through every frame, whatever the stride
        return Moving(np.ascontiguousarray(part[:: self._stride]), tracks[:: self._stride, good], clip=number)


def read_clips(
    paths: Sequence[str], frames: int, size: int, stride: int, multiple: int, start: str | None, end: str | None,
    scale: int | None = None, folder: str | Path | None = None,
) -> OwnClips:  # fmt: skip
    """Clips from files, of which squares of ``size`` pixels are seen.

    ``scale``: pixels of the clips' short side, by default as many. ``folder``: where decoded frames are kept, in a file
    without a name that is gone with the process: they need the disk's room and no memory. Raises ``InputError`` and
    ``UsageError``.
    """
    from vedit.training.common import sha256
    from vedit.training.one_clip import clip_parts

    if size < multiple:
        raise UsageError(f"--size {size}: the model works on multiples of {multiple} pixels; give at least one")
    shapes, span = [], (frames - 1) * stride + 1
    with tempfile.TemporaryFile(dir=folder) as file:
        for path in paths:
            shape = _append(file, clip_parts(path, max(size, scale or 0), multiple, start, end))
            if shape[0] < span:
                raise InputError(
                    f"{path}: has {shape[0]} frames to train on, and a step sees {frames} at a stride of {stride}, "
                    f"{span} in all; lower --frames or --stride"
                )
            shapes.append(shape)
        file.flush()
        whole = np.memmap(file, np.uint8, "r")  # one for all: each holds a file open
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    clips = [part.reshape(shape) for part, shape in zip(np.split(whole, ends[:-1]), shapes, strict=True)]
    identity = ",".join(sha256(Path(path)) for path in paths) + f":{frames}:{size}:{scale}:{stride}:{start}:{end}"
    return OwnClips(clips, frames, size // multiple * multiple, stride, identity)


def _append(file: IO[bytes], parts: Iterable[Tensor]) -> tuple[int, ...]:
    """Write a clip that comes in ``parts`` (n, 3, H, W) uint8 behind the others; returns its shape (F, H, W, 3)."""
    count, shape = 0, (0, 0, 3)
    for part in parts:
        frames = part.permute(0, 2, 3, 1).contiguous().numpy()
        file.write(frames.tobytes())
        count, shape = count + len(frames), frames.shape[1:]
    return count, *shape
