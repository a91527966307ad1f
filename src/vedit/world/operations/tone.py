"""Tone: what happens to each pixel by its own colour alone."""

from __future__ import annotations

import numpy as np

from vedit.world.operations.pixels import Frame, Stops, contrast, luma, mix, ramp, saturate, smoothstep

_SEPIA: Stops = ((0.0, (0.06, 0.035, 0.02)), (0.5, (0.58, 0.43, 0.27)), (1.0, (1.0, 0.93, 0.76)))
_NIGHT: Stops = (
    (0.0, (0.0, 0.004, 0.03)),
    (0.5, (0.045, 0.085, 0.22)),
    (0.8, (0.12, 0.20, 0.42)),
    (1.0, (0.55, 0.64, 0.80)),
)
_SUNSET: Stops = (
    (0.0, (0.07, 0.02, 0.10)),
    (0.3, (0.38, 0.10, 0.17)),
    (0.6, (0.92, 0.40, 0.10)),
    (0.85, (1.0, 0.72, 0.25)),
    (1.0, (1.0, 0.93, 0.62)),
)
_DAWN: Stops = (
    (0.0, (0.20, 0.18, 0.36)),
    (0.4, (0.56, 0.44, 0.64)),
    (0.75, (0.98, 0.72, 0.72)),
    (1.0, (1.0, 0.93, 0.84)),
)
_LEAVES: Stops = (
    (0.0, (0.10, 0.03, 0.0)),
    (0.3, (0.55, 0.20, 0.03)),
    (0.55, (0.90, 0.45, 0.06)),
    (1.0, (1.0, 0.85, 0.40)),
)
TINTS: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.10, 0.10),
    "orange": (0.98, 0.52, 0.06),
    "yellow": (0.92, 0.86, 0.08),
    "green": (0.12, 0.72, 0.16),
    "blue": (0.12, 0.26, 0.92),
    "purple": (0.55, 0.14, 0.80),
    "pink": (1.0, 0.45, 0.72),
}


def black_and_white(frame: Frame) -> Frame:
    return np.repeat(luma(frame)[..., None], 3, axis=-1)


def sepia(frame: Frame) -> Frame:
    return ramp(luma(frame), _SEPIA)


def warmer(frame: Frame) -> Frame:
    return frame ** np.array([0.68, 0.97, 1.65], np.float32)


def cooler(frame: Frame) -> Frame:
    return frame ** np.array([1.65, 1.0, 0.66], np.float32)


def faded(frame: Frame) -> Frame:
    return saturate(frame, 0.45) * np.array([0.56, 0.54, 0.52], np.float32) + np.array([0.27, 0.27, 0.28], np.float32)


def vivid(frame: Frame) -> Frame:
    return saturate(contrast(frame, 1.1, 0.45), 2.2)


def inverted(frame: Frame) -> Frame:
    return 1.0 - frame


def brighter(frame: Frame) -> Frame:
    return 1.0 - (1.0 - frame) ** np.float32(2.1)


def darker(frame: Frame) -> Frame:
    return np.float32(0.55) * frame ** np.float32(1.25)


def night(frame: Frame) -> Frame:
    """Day for night: dark and blue, with only the brightest lights left."""
    y = luma(frame)
    colour = (frame - y[..., None]) * np.float32(0.22)
    return ramp(y, _NIGHT) + colour * (0.3 + y[..., None])


def sunset(frame: Frame) -> Frame:
    """Golden light over purple shadows; a blue sky turns orange first."""
    y = luma(frame)
    blue = smoothstep(0.0, 0.2, frame[..., 2] - frame[..., 0])
    return mix(frame, ramp(y, _SUNSET), 0.66 + 0.24 * blue)


def dawn(frame: Frame) -> Frame:
    """Pale, low-contrast light: lavender shadows, pink middle tones."""
    y = luma(frame)
    return mix(saturate(frame, 0.8), ramp(y ** np.float32(0.85), _DAWN), 0.68)


def autumn(frame: Frame) -> Frame:
    """Leaves and grass turn orange and brown, blues go grey, the light gets a little golden."""
    r, g, b = frame[..., 0], frame[..., 1], frame[..., 2]
    green = smoothstep(0.03, 0.15, g - b) * smoothstep(-0.10, 0.02, g - np.float32(0.95) * r)
    blue = smoothstep(0.02, 0.25, b - r) * (1.0 - green)
    out = mix(frame, ramp(luma(frame), _LEAVES), 0.94 * green)
    out = mix(out, saturate(frame, 0.35), 0.8 * blue)
    return out ** np.array([0.84, 1.04, 1.32], np.float32)


def tint(frame: Frame, colour: str) -> Frame:
    """Everything seen through coloured light: black stays dark, white stays pale, the middle takes the colour."""
    c = TINTS[colour]
    stops: Stops = (
        (0.0, (0.10 * c[0], 0.10 * c[1], 0.10 * c[2])),
        (0.55, c),
        (1.0, (0.45 + 0.55 * c[0], 0.45 + 0.55 * c[1], 0.45 + 0.55 * c[2])),
    )
    return mix(frame, ramp(luma(frame), stops), 0.78)
