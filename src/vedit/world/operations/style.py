"""Style: the picture as if made by other means. ``s`` is the size of 1/256 of the frame height, in pixels."""

from __future__ import annotations

import cv2
import numpy as np

from vedit.world.operations.pixels import (
    Frame,
    Plane,
    Stops,
    blur,
    contrast,
    edges,
    kuwahara,
    luma,
    mix,
    posterise,
    ramp,
    saturate,
    shift,
    smoothstep,
)

_OLD: Stops = (
    (0.0, (0.14, 0.09, 0.05)),
    (0.45, (0.52, 0.42, 0.29)),
    (0.8, (0.87, 0.78, 0.58)),
    (1.0, (0.97, 0.91, 0.73)),
)
_PAPER = np.array([0.97, 0.965, 0.95], np.float32)
_INK = np.array([0.05, 0.05, 0.07], np.float32)


def pencil_sketch(frame: Frame, s: float) -> Frame:
    """Graphite on white paper: soft dark lines where things meet, light shading in the shadows."""
    y = blur(luma(frame), 0.9 * s)
    around = blur(y, 3.6 * s)
    line = (around - y) / (0.06 + 0.5 * around)
    rim = np.abs(shift(y, s, 0.0) - shift(y, -s, 0.0)) + np.abs(shift(y, 0.0, s) - shift(y, 0.0, -s))
    stroke = smoothstep(0.03, 0.26, line + 0.35 * rim / (0.15 + around))
    shade = 0.34 * (1.0 - smoothstep(0.0, 0.5, blur(y, 2.5 * s)))
    ink = 1.0 - (1.0 - 0.86 * stroke) * (1.0 - shade)
    return mix(np.broadcast_to(_PAPER, frame.shape), np.array([0.17, 0.17, 0.19], np.float32), ink)


def _flat(frame: Frame, s: float, radius: float, tolerance: float) -> Frame:
    size = 2 * max(1, round(radius * s)) + 1
    flat = cv2.bilateralFilter(frame, size, tolerance, radius * s, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(flat, np.float32)


def _steps(frame: Frame, levels: int, softness: float) -> Frame:
    """Posterises the brightness and takes the colour along, so that hues stay."""
    y = luma(frame)
    return np.clip(frame * ((posterise(y, levels, softness) + 0.03) / (y + 0.03))[..., None], 0.0, 1.0)


def cartoon(frame: Frame, s: float) -> Frame:
    """Flat, light, clean colours inside dark outlines."""
    flat = _flat(_flat(frame, s, 4.0, 0.16), s, 4.0, 0.12)
    light = 0.10 + 0.90 * (1.0 - np.maximum(1.0 - flat, 0.0) ** np.float32(1.6))
    colour = saturate(_steps(light, 4, 0.35), 2.0)
    ink = edges(luma(frame), 1.7 * s, 22.0, 0.014)
    return mix(colour, _INK, 0.92 * ink)


def comic(frame: Frame, s: float) -> Frame:
    """Three strong tones, loud colours, thick black outlines, printed dots in the middle tones."""
    flat = _flat(frame, s, 4.0, 0.2)
    y = contrast(luma(flat), 1.5, 0.42)
    hue = saturate(flat, 3.0)
    colour = np.clip(hue * ((0.12 + 0.88 * y) / (luma(hue) + 0.06))[..., None], 0.0, 1.0)
    height, width = frame.shape[:2]
    # One dot in each 1/32 of the height, in the middle of its cell: the grid of pixel-art.
    cell = 2.0 * np.pi / (8.0 * s)
    wave_x = np.cos((np.arange(width, dtype=np.float32) + 0.5) * np.float32(cell))
    wave_y = np.cos((np.arange(height, dtype=np.float32) + 0.5) * np.float32(cell))
    dots = smoothstep(
        -0.35, 0.35, (-0.25 * (wave_x[None, :] + wave_y[:, None]) - 0.5 + 1.1 * (1.0 - y)).astype(np.float32)
    )
    colour = colour * (1.0 - 0.45 * dots * smoothstep(0.05, 0.3, y) * (1.0 - smoothstep(0.75, 0.95, y)))[..., None]
    ink = np.maximum(edges(luma(frame), 1.9 * s, 22.0, 0.012), 1.0 - smoothstep(0.06, 0.22, luma(flat)))
    return mix(colour, _INK, ink)


def oil_painting(frame: Frame, s: float) -> Frame:
    """Broad strokes of rich colour with ridges of paint lit from the upper left."""
    paint = kuwahara(frame, 8.0 * s)
    y = luma(paint)
    ridge = shift(y, 1.3 * s, 1.3 * s) - shift(y, -1.3 * s, -1.3 * s)
    deep = saturate(contrast(paint, 1.5, 0.45), 1.9) * np.array([1.0, 0.97, 0.90], np.float32)
    return deep - np.clip(2.2 * ridge, -0.25, 0.25)[..., None]


def watercolour(frame: Frame, s: float) -> Frame:
    """Pale washes of clear colour on white paper, pooled darker along their borders, the lights left unpainted."""
    wash = kuwahara(frame, 6.0 * s, 7.0)
    y = luma(wash)
    pigment = np.clip(1.0 - saturate(_steps(wash, 5, 0.5), 2.4), 0.0, 1.0)
    bare = smoothstep(0.50, 0.78, blur(y, 1.2 * s))
    pool = smoothstep(0.015, 0.10, np.abs(blur(y, 3.2 * s) - y))
    depth = 0.80 * (1.0 - 0.88 * bare) + 0.45 * pool
    return _PAPER - pigment * depth[..., None]


def pixel_art(frame: Frame, s: float) -> Frame:
    """Blocks of 1/32 of the frame height in few, bright colours."""
    height, width = frame.shape[:2]
    unit = 8.0 * s
    tops = np.unique(np.round(np.arange(0, height, unit)).astype(int))
    lefts = np.unique(np.round(np.arange(0, width, unit)).astype(int))
    tops, lefts = tops[tops < height], lefts[lefts < width]
    tall, wide = np.diff(np.append(tops, height)), np.diff(np.append(lefts, width))
    sums = np.add.reduceat(np.add.reduceat(frame, tops, axis=0), lefts, axis=1)
    blocks = sums / (tall[:, None, None] * wide[None, :, None]).astype(np.float32)
    blocks = posterise(saturate(contrast(blocks, 0.8), 1.6), 5, 0.5)
    return np.repeat(np.repeat(blocks, tall, axis=0), wide, axis=1)


def film_noir(frame: Frame, s: float, noise: Plane) -> Frame:
    """Hard black and white: deep shadows, burnt lights, a little grain."""
    y = blur(frame @ np.array([0.5, 0.4, 0.1], np.float32), 0.9 * s)
    local = y + 1.1 * (y - blur(y, 7.0 * s))
    tone = contrast(np.clip(local, 0.0, 1.0), 3.2, 0.52) * np.float32(0.96)
    return np.repeat((tone + 0.018 * noise)[..., None], 3, axis=-1)


def old_film(frame: Frame, s: float, noise: Plane) -> Frame:
    """A worn print: brown, soft, hard contrast with blooming lights and grey shadows, grain."""
    y = blur(luma(frame), 2.0 * s)
    light = blur(smoothstep(0.55, 0.85, y), 5.0 * s)
    tone = np.clip(contrast(y + 0.4 * (y - blur(y, 6.0 * s)), 3.2, 0.42) * 0.88 + 0.4 * light, 0.0, 1.0)
    return ramp(tone, _OLD) + (0.018 * noise)[..., None]
