"""Textures: 1/f noise, dead leaves, and the materials that grounds are made of. All take an explicit generator."""

from __future__ import annotations

import cv2
import numpy as np

from vedit.world.palette import natural_palette


def fractal_noise(rng: np.random.Generator, height: int, width: int, slope: float = 1.0, finest: int = 2) -> np.ndarray:
    """``(height, width)`` noise with an amplitude spectrum near 1/f^slope, zero mean, unit standard deviation.

    Sums octaves of cubic-interpolated white noise; ``finest`` is the cell of the finest octave in pixels.
    """
    total = np.zeros((height, width), np.float32)
    cell = max(height, width)
    while cell >= finest:
        rows, columns = int(np.ceil(height / cell)) + 2, int(np.ceil(width / cell)) + 2
        octave = rng.standard_normal((rows, columns), dtype=np.float32)
        size = (max(width, int(columns * cell)), max(height, int(rows * cell)))
        total += float(cell) ** slope * cv2.resize(octave, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
        cell //= 2
    total -= total.mean()
    return total / max(float(total.std()), 1e-6)


def _leaf_outline(rng: np.random.Generator, kind: int, radius: float) -> np.ndarray:
    """Polygon ``(n, 2)`` around the origin: ellipse, box, triangle-to-hexagon, blob or strip."""
    turn = rng.uniform(0, 2 * np.pi)
    if kind == 0:
        a = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        points = np.stack([np.cos(a), np.sin(a) * rng.uniform(0.3, 1.0)], 1)
    elif kind == 1:
        aspect = rng.uniform(0.2, 1.0)
        points = np.array([[-1, -aspect], [1, -aspect], [1, aspect], [-1, aspect]])
        if rng.random() < 0.5:
            turn = 0.0
    elif kind == 2:
        a = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
        points = np.stack([np.cos(a), np.sin(a)], 1)
    elif kind == 3:
        a = np.linspace(0, 2 * np.pi, 28, endpoint=False)
        r = 1 + sum(rng.uniform(0, 0.35) / k * np.cos(k * a + rng.uniform(0, 6.3)) for k in range(1, 6))
        points = np.stack([np.cos(a) * r, np.sin(a) * r], 1)
    else:
        thin = rng.uniform(0.02, 0.12)
        a = np.linspace(-1.5, 1.5, 9)
        bend = rng.uniform(-0.4, 0.4) * a**2
        points = np.concatenate([np.stack([a, bend - thin], 1), np.stack([a[::-1], bend[::-1] + thin], 1)])
    c, s = np.cos(turn), np.sin(turn)
    return (points @ np.array([[c, s], [-s, c]]) * radius).astype(np.float32)


def dead_leaves(rng: np.random.Generator, height: int, width: int, unit: float, supersample: int = 2) -> np.ndarray:
    """``(height, width, 3)`` float32 picture of overlapping shapes of all sizes, in [0, 1].

    ``unit`` is the frame height in pixels that sizes are a share of. Radii follow a power law (exponent 3, Lee, Mumford
    and Huang 2001), colours a natural palette; every shape has its own texture, shading and softness.
    """
    h, w = height * supersample, width * supersample
    largest, smallest = rng.uniform(0.25, 0.7) * unit, rng.uniform(0.008, 0.05) * unit
    density = rng.uniform(0.5, 2.2)
    count = int(np.clip(density * 260 * (height * width) / unit**2, 20, 1500))
    u = rng.random(count)
    radii = (u * (smallest**-2 - largest**-2) + largest**-2) ** -0.5
    # Big shapes first: otherwise they would hide all the small ones.
    if rng.random() < 0.7:
        radii = np.sort(radii)[::-1] * np.exp(rng.normal(0, 0.3, count))
    palette = natural_palette(rng, int(rng.integers(3, 9)))
    kinds = rng.choice(5, size=count, p=rng.dirichlet(np.array([1.0, 0.8, 0.8, 1.2, 0.5])))
    ids = np.zeros((h, w), np.int32)
    for index in range(count):
        outline = _leaf_outline(rng, int(kinds[index]), float(radii[index]) * supersample)
        centre = rng.uniform((-0.1 * w, -0.1 * h), (1.1 * w, 1.1 * h)).astype(np.float32)
        cv2.fillPoly(ids, [np.round(outline + centre).astype(np.int32)], index + 1)
    n = count + 1
    chosen = palette[rng.integers(0, len(palette), n)]
    colours = np.clip(chosen * np.exp(rng.normal(0, 0.25, (n, 1))) + rng.normal(0, 0.03, (n, 3)), 0, 1).astype(
        np.float32
    )
    field = fractal_noise(rng, h, w, slope=rng.uniform(0.6, 1.4), finest=2 * supersample // 2)
    fine = fractal_noise(rng, h, w, slope=rng.uniform(0.2, 0.8), finest=supersample)
    strength = (rng.gamma(1.0, 0.08, n) * (rng.random(n) < 0.75)).astype(np.float32)
    mix = rng.random(n).astype(np.float32)
    shade_x, shade_y = (rng.normal(0, 0.35, n).astype(np.float32) for _ in range(2))
    # Texture and shading differ between shapes: each reads its own signs and slopes through its index.
    texture = strength[ids] * (mix[ids] * field + (1 - mix[ids]) * fine)
    ramp = (
        shade_x[ids] * np.linspace(-0.5, 0.5, w, dtype=np.float32)[None]
        + shade_y[ids] * np.linspace(-0.5, 0.5, h, dtype=np.float32)[:, None]
    )
    picture = colours[ids] * (1.0 + texture + ramp)[..., None]
    return cv2.resize(np.clip(picture, 0, 1), (width, height), interpolation=cv2.INTER_AREA)


def strokes(rng: np.random.Generator, picture: np.ndarray, unit: float, count: int) -> None:
    """Draw ``count`` thin strokes (grass, hair, wires, twigs) over ``picture`` in place."""
    h, w = picture.shape[:2]
    palette = natural_palette(rng, 3)
    angle, spread = rng.uniform(0, np.pi), rng.uniform(0.05, 0.9)
    for _ in range(count):
        a = angle + spread * rng.normal()
        length = rng.uniform(0.03, 0.3) * unit
        start = rng.uniform((0, 0), (w, h))
        end = start + length * np.array([np.cos(a), np.sin(a)])
        colour = np.clip(palette[rng.integers(3)] * np.exp(rng.normal(0, 0.25)), 0, 1)
        p, q = (tuple(int(v * 8) for v in point) for point in (start, end))
        cv2.line(picture, p, q, colour.tolist(), int(rng.integers(1, 3)), cv2.LINE_AA, 3)


def pattern(rng: np.random.Generator, height: int, width: int, unit: float) -> np.ndarray:
    """``(height, width)`` in [0, 1]: stripes, checks, bricks or waves at a random angle and scale."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    a, period = rng.uniform(0, np.pi), rng.uniform(0.03, 0.2) * unit
    u, v = x * np.cos(a) + y * np.sin(a), y * np.cos(a) - x * np.sin(a)
    kind = rng.integers(4)
    if kind == 0:
        wave = np.sin(2 * np.pi * u / period)
    elif kind == 1:
        wave = np.sin(2 * np.pi * u / period) * np.sin(2 * np.pi * v / period)
    elif kind == 2:
        row = np.floor(v / period)
        wave = (
            np.minimum(np.abs((u / period / 2 + 0.5 * (row % 2)) % 1 - 0.5) * 8, np.abs((v / period) % 1 - 0.5) * 4) - 1
        )
    else:
        wave = np.sin(
            2 * np.pi * (u / period + rng.uniform(0.2, 1) * np.sin(2 * np.pi * v / period / rng.uniform(1, 3)))
        )
    return np.clip(0.5 + rng.uniform(0.5, 3.0) * wave, 0, 1).astype(np.float32)
