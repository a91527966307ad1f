"""One frame of a video, and one step from a frame to the next, with what several measures want to know of them.

Everything is computed when it is first asked for, and lives no longer than the frame.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import cv2
import numpy as np

from vedit.metrics.registry import SHORT_SIDE

ABSENT: Any = None  # OpenCV's stubs do not say that a second map and a flow to start from may be absent


class Picture:
    """A frame: ``rgb`` (H, W, 3) uint8, or uint16 over its whole range, in displayed orientation."""

    def __init__(self, rgb: np.ndarray) -> None:
        self.rgb = rgb
        self.embeddings: dict[str, np.ndarray] = {}  # by the name of the encoder: (D,) float64 of unit length

    @cached_property
    def levels(self) -> np.ndarray:
        """(H, W, 3) float32 from 0 to 255, whatever the depth."""
        return self.rgb.astype(np.float32) / (257.0 if self.rgb.dtype == np.uint16 else 1.0)

    @cached_property
    def rgb8(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return self.rgb if self.rgb.dtype == np.uint8 else np.rint(self.levels).astype(np.uint8)

    @cached_property
    def small(self) -> np.ndarray:
        """(h, w, 3) float32 in [0, 1] with a short side of :data:`SHORT_SIDE`."""
        return shrink(self.levels) / np.float32(255)

    @cached_property
    def grey(self) -> np.ndarray:
        """(h, w) uint8 luma of :attr:`small`: what flow is computed on."""
        return cv2.cvtColor(np.rint(self.small * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)

    @cached_property
    def luma(self) -> np.ndarray:
        """(H, W) float32 from 0 to 255 with the weights of BT.601, at full size."""
        return cv2.cvtColor(self.levels, cv2.COLOR_RGB2GRAY)

    @cached_property
    def lab(self) -> np.ndarray:
        """(3,) float64: CIELAB, D65, of the frame's mean colour."""
        return to_lab(self.levels.reshape(-1, 3).mean(0, dtype=np.float64) / 255)


# sRGB's primaries and white, D65 (IEC 61966-2-1).
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """(3,) float64 CIELAB of an sRGB colour (3,) in [0, 1]. OpenCV's own goes through coarse tables."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    ratio = _TO_XYZ @ linear / _TO_XYZ.sum(1)
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def shrink(image: np.ndarray) -> np.ndarray:
    """``image`` (H, W, ...) at a short side of :data:`SHORT_SIDE` pixels; enlarged if it is smaller."""
    height, width = image.shape[:2]
    scale = SHORT_SIDE / min(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


class Step:
    """From one :class:`Picture` to the next: DIS optical flow at the medium preset, both ways, in pixels of the small
    pictures."""

    def __init__(self, before: Picture, after: Picture) -> None:
        self.before, self.after = before, after

    @cached_property
    def back(self) -> np.ndarray:
        """(h, w, 2) float32: from each pixel of ``after`` to where it was in ``before``."""
        return dis_flow(self.after.grey, self.before.grey)

    @cached_property
    def forth(self) -> np.ndarray:
        """(h, w, 2) float32: from each pixel of ``before`` to where it is in ``after``."""
        return dis_flow(self.before.grey, self.after.grey)

    @cached_property
    def trusted(self) -> np.ndarray:
        """(h, w) bool: pixels of ``after`` whose flow stays inside and passes the forward-backward check."""
        return trusted(self.back, self.forth)


def dis_flow(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """(h, w, 2) float32 flow of DIS (Kroeger et al. 2016), preset medium, between two (h, w) uint8 pictures."""
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(here, there, ABSENT)


def grid(height: int, width: int) -> np.ndarray:
    """(h, w, 2) float32: the x and y of every pixel."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)


def trusted(back: np.ndarray, forth: np.ndarray) -> np.ndarray:
    """(h, w) bool: whether the way ``back`` (h, w, 2) stays in the picture and ``forth`` leads home again.

    The check is |f + f'|² < 0.01·(|f|² + |f'|²) + 0.5 (Sundaram, Brox and Keutzer 2010).
    """
    height, width = back.shape[:2]
    where = grid(height, width) + back
    returned = cv2.remap(forth, where, ABSENT, cv2.INTER_LINEAR)
    gap = ((back + returned) ** 2).sum(-1)
    agree = gap < 0.01 * ((back**2).sum(-1) + (returned**2).sum(-1)) + 0.5
    inside = ((where >= 0) & (where <= np.array([width - 1, height - 1]))).all(-1)
    return agree & inside
