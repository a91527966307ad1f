"""Edits that pixels can say exactly: the ground truth that nano learns from and is measured against.

Every operation depends on a pixel's small neighbourhood (at most a tenth of the frame height) and on time, never on
where in the picture it is or on what the rest of the frame looks like. So a crop of a frame can be trained on, and the
same edit on a real clip is the exact answer. Sizes are a share of the frame height. Structure is kept broad (about 3
pixels at height 256), because finer lines do not survive the latents of a small model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vedit.world.operations import particles, style, tone, weather
from vedit.world.operations.pixels import Frame

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Operation:
    """One edit. ``family``: tone, weather, style or none; ``stochastic``: its result depends on the seed."""

    name: str
    family: str
    stochastic: bool = False


@dataclass(frozen=True)
class _View:
    """What an operation knows besides the pixels: sizes in pixels, the seed, and the particles of the clip."""

    height: int
    width: int
    unit: float
    seed: int
    fall: particles.Fall | None

    @property
    def s(self) -> float:
        return self.unit / 256.0

    def cover(self, index: int) -> NDArray[np.float32]:
        assert self.fall is not None
        return self.fall.cover(index, self.height, self.width, self.unit)

    def grain(self, index: int) -> NDArray[np.float32]:
        return particles.grain(self.seed, index, self.height, self.width, self.unit)

    def caustics(self, index: int) -> NDArray[np.float32]:
        return particles.caustics(self.seed, index, self.height, self.width, self.unit)


_Edit = Callable[[Frame, _View, int], Frame]


def _tinted(colour: str) -> _Edit:
    return lambda frame, view, index: tone.tint(frame, colour)


def _plain(edit: Callable[[Frame], Frame]) -> _Edit:
    return lambda frame, view, index: edit(frame)


def _sized(edit: Callable[[Frame, float], Frame]) -> _Edit:
    return lambda frame, view, index: edit(frame, view.s)


_TABLE: list[tuple[Operation, _Edit]] = [
    (Operation("nothing", "none"), _plain(lambda frame: frame)),
    (Operation("black-and-white", "tone"), _plain(tone.black_and_white)),
    (Operation("sepia", "tone"), _plain(tone.sepia)),
    (Operation("warmer", "tone"), _plain(tone.warmer)),
    (Operation("cooler", "tone"), _plain(tone.cooler)),
    (Operation("faded", "tone"), _plain(tone.faded)),
    (Operation("vivid", "tone"), _plain(tone.vivid)),
    (Operation("inverted", "tone"), _plain(tone.inverted)),
    (Operation("brighter", "tone"), _plain(tone.brighter)),
    (Operation("darker", "tone"), _plain(tone.darker)),
    (Operation("night", "tone"), _plain(tone.night)),
    (Operation("sunset", "tone"), _plain(tone.sunset)),
    (Operation("dawn", "tone"), _plain(tone.dawn)),
    (Operation("autumn", "tone"), _plain(tone.autumn)),
    *[(Operation(f"tint-{colour}", "tone"), _tinted(colour)) for colour in tone.TINTS],
    (Operation("snow", "weather", True), lambda f, v, i: weather.snow(f, v.s, v.cover(i))),
    (Operation("rain", "weather", True), lambda f, v, i: weather.rain(f, v.s, v.cover(i))),
    (Operation("fog", "weather"), _sized(weather.fog)),
    (Operation("underwater", "weather", True), lambda f, v, i: weather.underwater(f, v.s, v.caustics(i))),
    (Operation("pencil-sketch", "style"), _sized(style.pencil_sketch)),
    (Operation("cartoon", "style"), _sized(style.cartoon)),
    (Operation("oil-painting", "style"), _sized(style.oil_painting)),
    (Operation("watercolour", "style"), _sized(style.watercolour)),
    (Operation("pixel-art", "style"), _sized(style.pixel_art)),
    (Operation("film-noir", "style", True), lambda f, v, i: style.film_noir(f, v.s, v.grain(i))),
    (Operation("old-film", "style", True), lambda f, v, i: style.old_film(f, v.s, v.grain(i))),
    (Operation("comic", "style"), _sized(style.comic)),
]

OPERATIONS: dict[str, Operation] = {operation.name: operation for operation, _ in _TABLE}
_EDITS: dict[str, _Edit] = {operation.name: edit for operation, edit in _TABLE}
FALLS = {"snow": particles.snowfall, "rain": particles.rainfall}


def apply(name: str, frames: NDArray, seed: int = 0, start: int = 0, height: int | float | None = None) -> Frames:
    """The exact result of one operation on a run of frames.

    Args:
        name: a key of ``OPERATIONS``.
        frames: float32 RGB ``(T, H, W, 3)`` in [0, 1].
        seed: where flakes, streaks, grain and moving light start from; without effect on the other operations.
        start: absolute index of ``frames[0]`` in its clip; any part of a clip gets the pixels that it would get in
            the whole.
        height: short side of the full frame in pixels when ``frames`` is a crop of it (default: their own). All sizes
            are a share of it, which of a clip that lies down is its height. Crops must start at multiples of
            height / 32 for operations with a grid (pixel-art, comic).

    Returns:
        float32 ``(T, H, W, 3)`` in [0, 1].

    Raises:
        KeyError: no such operation.
        ValueError: frames of another shape.
    """
    if name not in _EDITS:
        raise KeyError(f"no operation {name!r}; known: {', '.join(OPERATIONS)}")
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(f"frames must be (T, H, W, 3), got {frames.shape}")
    rows, columns = frames.shape[1:3]
    unit = float(height if height is not None else min(rows, columns))
    fall = FALLS[name](seed, rows, columns, unit) if name in FALLS else None
    view, edit = _View(rows, columns, unit, seed, fall), _EDITS[name]
    out = np.empty(frames.shape, np.float32)
    for t in range(len(frames)):
        frame = np.ascontiguousarray(frames[t], dtype=np.float32)
        np.clip(edit(frame, view, start + t), 0.0, 1.0, out=out[t])
    return out
