"""Weather: local light and texture, and what falls through the picture.

``s`` is the size of 1/256 of the frame height, in pixels.
"""

from __future__ import annotations

import numpy as np

from vedit.world.operations.pixels import (
    Frame,
    Plane,
    Stops,
    blur,
    contrast,
    luma,
    mix,
    ramp,
    saturate,
    shift,
    smoothstep,
)

_SEA: Stops = (
    (0.0, (0.0, 0.04, 0.16)),
    (0.3, (0.0, 0.17, 0.38)),
    (0.5, (0.0, 0.40, 0.58)),
    (0.75, (0.10, 0.72, 0.72)),
    (1.0, (0.72, 0.98, 0.88)),
)
_LYING = np.array([0.80, 0.86, 0.94], np.float32)
_FLAKE = np.array([0.98, 0.99, 1.0], np.float32)
_OVERCAST = np.array([0.60, 0.65, 0.70], np.float32)
_STREAK = np.array([0.78, 0.83, 0.90], np.float32)
_HAZE = np.array([0.83, 0.85, 0.87], np.float32)


def snow(frame: Frame, s: float, flakes: Plane) -> Frame:
    """Cold grey-blue light, snow lying on what is bright, calm or faces up, and flakes in front."""
    y = luma(frame)
    soft = blur(y, 2.0 * s)
    above = shift(soft, 0.0, 4.0 * s) - shift(soft, 0.0, -4.0 * s)
    detail = np.sqrt(np.maximum(blur((y - soft) ** 2, 2.5 * s), 0.0))
    lying = smoothstep(0.20, 0.50, soft + 0.8 * above - 1.1 * detail)
    cold = saturate(frame, 0.5) ** np.array([1.0, 0.9, 0.75], np.float32) * np.array([0.62, 0.66, 0.72], np.float32)
    white = _LYING + (0.5 * (y - soft) - 0.10 * smoothstep(0.55, 0.95, soft))[..., None]
    out = mix(cold, white, 0.9 * lying)
    return mix(np.clip(out, 0.0, 1.0), _FLAKE, flakes)


def rain(frame: Frame, s: float, streaks: Plane) -> Frame:
    """Dull, wet, grey-blue light under a pale sky, everything a little soft, and streaks in front."""
    soft = blur(saturate(frame, 0.45), 1.9 * s)
    sky = smoothstep(0.58, 0.80, blur(luma(soft), 3.0 * s))
    wet = soft ** np.array([1.9, 1.75, 1.5], np.float32) * np.array([0.50, 0.56, 0.66], np.float32)
    wet = wet + np.array([0.01, 0.025, 0.05], np.float32)
    return mix(mix(wet, _OVERCAST, 0.92 * sky), _STREAK, streaks)


def fog(frame: Frame, s: float) -> Frame:
    """Haze that swallows bright places first, as distance would, and leaves dark things as soft shapes."""
    soft = blur(contrast(saturate(frame, 0.6), 1.1, 0.35), 2.0 * s)
    local = blur(luma(frame), 6.0 * s)
    clear = 0.06 + 0.84 * (1.0 - smoothstep(0.14, 0.62, local))
    return mix(_HAZE, soft * np.array([0.86, 0.88, 0.9], np.float32), clear[..., None])


def underwater(frame: Frame, s: float, light: Plane) -> Frame:
    """Blue-green, red swallowed first, soft, with slowly moving light on bright places."""
    soft = blur(frame, 2.2 * s)
    y = luma(soft) * np.float32(0.75) + soft[..., 1] * np.float32(0.25)
    out = ramp(contrast(y, 1.6, 0.5), _SEA)
    colour = (soft - luma(soft)[..., None]) * np.array([0.10, 0.35, 0.35], np.float32)
    glow = light * (0.015 + 0.06 * y)
    return out + colour + glow[..., None] * np.array([0.6, 1.0, 1.0], np.float32)
