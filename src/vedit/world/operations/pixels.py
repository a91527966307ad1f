"""The few building blocks that all operations share: curves, ramps, soft filters.

A frame is float32 RGB ``(H, W, 3)`` in [0, 1], a plane is float32 ``(H, W)``. Everything here looks at a pixel or at a
small neighbourhood of it and never at the whole frame: an operation built from these does the same to a crop as to the
full picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# Always float32; numpy's stubs lose track of the precision in ordinary arithmetic.
Plane = NDArray[np.floating]
Frame = NDArray[np.floating]
Stops = Sequence[tuple[float, tuple[float, float, float]]]

_STEPS = 1024


def luma(frame: Frame) -> Plane:
    """Brightness of each pixel (Rec. 601 weights), ``(H, W)``."""
    return frame[..., 0] * np.float32(0.299) + frame[..., 1] * np.float32(0.587) + frame[..., 2] * np.float32(0.114)


def mix(a: NDArray, b: NDArray | float, weight: NDArray | float) -> NDArray:
    """``a`` where the weight is 0, ``b`` where it is 1. A plane of weights is spread over the channels of a frame."""
    if isinstance(weight, np.ndarray) and weight.ndim == 2 and a.ndim == 3:
        weight = weight[..., None]
    return a + (b - a) * weight


def smoothstep(low: float, high: float, x: NDArray) -> NDArray:
    """0 below ``low``, 1 above ``high``, smooth between: thresholds that do not pop from frame to frame."""
    t = np.clip((x - np.float32(low)) * np.float32(1.0 / (high - low)), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def saturate(frame: Frame, amount: float) -> Frame:
    """Moves every pixel away from (``amount`` > 1) or towards its own grey."""
    grey = luma(frame)[..., None]
    return np.clip(grey + (frame - grey) * np.float32(amount), 0.0, 1.0)


def contrast(x: NDArray, amount: float, centre: float = 0.5) -> NDArray:
    """S-curve through (0, 0) and (1, 1) with its steepest point at ``centre``; ``amount`` is about the slope there."""
    k = np.float32(4.0 * amount)
    low, high = 1.0 / (1.0 + np.exp(k * centre)), 1.0 / (1.0 + np.exp(-k * (1.0 - centre)))
    return ((1.0 / (1.0 + np.exp(-k * (x - np.float32(centre))))) - low).astype(np.float32) * np.float32(
        1.0 / (high - low)
    )


def posterise(x: NDArray, levels: int, softness: float = 0.35) -> NDArray:
    """``levels`` flat steps from 0 to 1 joined by smooth ramps (a hard step would flicker with the camera's noise).

    ``softness`` is the share of each step that the ramp takes.
    """
    scaled = np.clip(x, 0.0, 1.0) * np.float32(levels - 1)
    base = np.floor(scaled)
    return (base + smoothstep(0.5 - softness / 2, 0.5 + softness / 2, scaled - base)) * np.float32(1.0 / (levels - 1))


def blur(x: NDArray, sigma: float) -> NDArray:
    """Gaussian blur; ``sigma`` in pixels. Below a fifth of a pixel it does nothing."""
    if sigma < 0.2:
        return x
    size = 2 * max(1, round(2.6 * sigma)) + 1
    return cv2.GaussianBlur(x, (size, size), sigma, borderType=cv2.BORDER_REFLECT_101)


def shift(plane: Plane, dx: float, dy: float) -> Plane:
    """The plane moved by a fraction of pixels: the result at (x, y) is the input at (x - dx, y - dy)."""
    matrix = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]], np.float32)
    height, width = plane.shape
    moved = cv2.warpAffine(plane, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def ramp(y: Plane, stops: Stops) -> Frame:
    """Colours by brightness: piecewise linear between ``(brightness, (r, g, b))`` stops.

    ``(H, W)`` to ``(H, W, 3)``.
    """
    at = np.array([s[0] for s in stops], np.float32)
    grid = np.linspace(0.0, 1.0, _STEPS + 1, dtype=np.float32)
    table = np.stack([np.interp(grid, at, [s[1][c] for s in stops]) for c in range(3)], -1).astype(np.float32)
    place = np.clip(y, 0.0, 1.0) * np.float32(_STEPS)
    low = np.minimum(place.astype(np.int32), _STEPS - 1)
    return mix(table[low], table[low + 1], place - low)


def edges(y: Plane, sigma: float, gain: float, threshold: float) -> Plane:
    """Dark-side outlines: how far a pixel lies below its surroundings, softly thresholded, 0 (none) to 1 (full ink).

    A difference of two Gaussians: it marks lines where things meet, keeps a width of about ``2 sigma`` pixels and
    moves smoothly with the picture.
    """
    fine = blur(y, sigma)
    return smoothstep(threshold, threshold + 1.0 / gain, blur(fine, 1.9 * sigma) - fine)


def kuwahara(frame: Frame, radius: float, sharpness: float = 8.0) -> Frame:
    """Flattens like brush strokes: each pixel takes the mean of its calmest neighbouring discs, softly weighted.

    The discs lie in eight directions around the pixel. The soft weights (generalised Kuwahara filter) keep it steady
    in time where picking the single calmest disc would jump. ``radius`` in pixels.
    """
    sigma = 0.45 * radius
    stacked = np.dstack([frame, luma(frame) ** 2])
    smooth = blur(stacked, sigma)
    height, width = frame.shape[:2]
    total = np.zeros((height, width, 3), np.float32)
    weights = np.full((height, width), 1e-12, np.float32)
    for k in range(8):
        angle = 2.0 * np.pi * k / 8
        matrix = np.array(
            [[1.0, 0.0, 0.62 * radius * np.cos(angle)], [0.0, 1.0, 0.62 * radius * np.sin(angle)]], np.float32
        )
        moved = cv2.warpAffine(
            smooth, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        mean = np.ascontiguousarray(moved[..., :3], dtype=np.float32)
        variance = np.maximum(moved[..., 3] - luma(mean) ** 2, 0.0)
        weight = (variance + np.float32(2e-4)) ** np.float32(-0.5 * sharpness / 2)
        weights += weight
        total += mean * weight[..., None]
    return total / weights[..., None]
