"""What moves on its own: snowflakes, rain streaks, light under water, film grain.

Everything is laid out in units of the frame height and keyed by the seed and the absolute frame index, so the same
second of the same clip gets the same flakes at any size and for any range of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vedit.world.operations.pixels import Plane, blur


@dataclass(frozen=True)
class Fall:
    """Particles that cross the picture on straight (snow: gently swaying) paths and come back on the other side.

    ``place``, ``velocity`` ``(N, 2)`` in heights and heights per frame (x, y); ``size`` ``(N,)`` half width in heights;
    ``length`` ``(N,)`` of the streak in heights (0: round); ``strength`` ``(N,)``; ``sway`` ``(N, 3)``: amplitude in
    heights, radians per frame, phase; ``span`` (x, y): the wrapped area in heights; ``margin`` around the picture in
    heights, so that nothing appears or vanishes inside it.
    """

    place: NDArray[np.float64]
    velocity: NDArray[np.float64]
    size: NDArray[np.float64]
    length: NDArray[np.float64]
    strength: NDArray[np.float64]
    sway: NDArray[np.float64]
    span: tuple[float, float]
    margin: float

    def positions(self, index: int) -> NDArray[np.float64]:
        """Centres ``(N, 2)`` in heights at the absolute frame ``index``; (0, 0) is the picture's top left corner."""
        moved = self.place + self.velocity * index
        moved[:, 0] += self.sway[:, 0] * np.sin(self.sway[:, 1] * index + self.sway[:, 2])
        return moved % np.array(self.span) - self.margin

    def cover(self, index: int, height: int, width: int, unit: float) -> Plane:
        """How much of each pixel the particles cover, ``(height, width)`` in [0, 1].

        ``unit``: pixels in one frame height.
        """
        cover = np.zeros((height, width), np.float32)
        for n, (cx, cy) in enumerate(self.positions(index) * unit - 0.5):
            radius, half = self.size[n] * unit, 0.5 * self.length[n] * unit
            direction = self.velocity[n] / np.hypot(*self.velocity[n])
            reach_x, reach_y = abs(direction[0]) * half + 2.2 * radius, abs(direction[1]) * half + 2.2 * radius
            x0, x1 = max(0, int(np.ceil(cx - reach_x))), min(width, int(cx + reach_x) + 1)
            y0, y1 = max(0, int(np.ceil(cy - reach_y))), min(height, int(cy + reach_y) + 1)
            if x0 >= x1 or y0 >= y1:
                continue
            dx = np.arange(x0, x1, dtype=np.float32)[None, :] - np.float32(cx)
            dy = np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(cy)
            along = np.abs(dx * np.float32(direction[0]) + dy * np.float32(direction[1]))
            across = dx * np.float32(-direction[1]) + dy * np.float32(direction[0])
            squared = across**2 + np.maximum(along - np.float32(half), 0.0) ** 2
            # A fourth power falls off faster than a Gaussian: a flake has a body and a soft rim, and ends at 2.2 radii.
            drop = np.exp(-((squared / np.float32(1.3 * radius * radius)) ** 2)) * np.float32(self.strength[n])
            if half > 0:
                drop *= 1.0 - np.float32(0.5) * (along / np.float32(half + radius)) ** 2
            np.maximum(cover[y0:y1, x0:x1], drop, out=cover[y0:y1, x0:x1])
        return cover


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng([seed & 0xFFFFFFFF, *key])


def snowfall(seed: int, height: int, width: int, unit: float) -> Fall:
    """Flakes at three distances: far ones small and slow, near ones large and fast."""
    rng = _generator(seed, 1)
    margin = 0.06
    span = (width / unit + 2 * margin, height / unit + 2 * margin)
    wind = rng.uniform(-0.5, 0.5)
    parts = []
    for per_area, size, speed, strength in (
        (46, 0.0070, 0.011, 0.70),
        (24, 0.0096, 0.018, 0.80),
        (9, 0.0130, 0.028, 0.85),
    ):
        count = max(1, round(per_area * span[0] * span[1]))
        pace = speed * rng.uniform(0.8, 1.25, count)
        parts.append(
            np.column_stack(
                [
                    rng.uniform(0, span[0], count),
                    rng.uniform(0, span[1], count),
                    pace * (wind + rng.uniform(-0.15, 0.15, count)),
                    pace,
                    size * rng.uniform(0.85, 1.2, count),
                    strength * rng.uniform(0.85, 1.1, count),
                    rng.uniform(0.3, 1.0, count) * size * 1.2,
                    rng.uniform(0.08, 0.2, count),
                    rng.uniform(0, 2 * np.pi, count),
                ]
            )
        )
    table = np.concatenate(parts)
    return Fall(
        place=table[:, 0:2],
        velocity=table[:, 2:4],
        size=table[:, 4],
        length=np.zeros(len(table)),
        strength=table[:, 5],
        sway=table[:, 6:9],
        span=span,
        margin=margin,
    )


def rainfall(seed: int, height: int, width: int, unit: float) -> Fall:
    """Slanted streaks, all leaning the same way, the near ones longer and faster."""
    rng = _generator(seed, 2)
    margin = 0.13
    span = (width / unit + 2 * margin, height / unit + 2 * margin)
    slant = rng.uniform(0.10, 0.28) * rng.choice([-1.0, 1.0])
    parts = []
    for per_area, size, speed, length, strength in ((34, 0.0048, 0.11, 0.075, 0.34), (13, 0.0060, 0.16, 0.115, 0.43)):
        count = max(1, round(per_area * span[0] * span[1]))
        pace = speed * rng.uniform(0.85, 1.2, count)
        parts.append(
            np.column_stack(
                [
                    rng.uniform(0, span[0], count),
                    rng.uniform(0, span[1], count),
                    pace * slant,
                    pace,
                    size * rng.uniform(0.9, 1.1, count),
                    length * rng.uniform(0.8, 1.25, count),
                    strength * rng.uniform(0.8, 1.15, count),
                ]
            )
        )
    table = np.concatenate(parts)
    return Fall(
        place=table[:, 0:2],
        velocity=table[:, 2:4],
        size=table[:, 4],
        length=table[:, 5],
        strength=table[:, 6],
        sway=np.zeros((len(table), 3)),
        span=span,
        margin=margin,
    )


def caustics(seed: int, index: int, height: int, width: int, unit: float) -> Plane:
    """Light that water throws on things: a slowly moving net of soft lines, ``(height, width)``, -0.4 to 1."""
    rng = _generator(seed, 3)
    x = (np.arange(width, dtype=np.float32) + np.float32(0.5))[None, :] / np.float32(unit)
    y = (np.arange(height, dtype=np.float32) + np.float32(0.5))[:, None] / np.float32(unit)
    total = np.zeros((height, width), np.float32)
    turn = rng.uniform(0, np.pi)
    for k in range(4):
        angle = turn + k * np.pi / 4 + rng.uniform(-0.2, 0.2)
        wave, pace, phase = rng.uniform(24, 36), rng.uniform(0.08, 0.14), rng.uniform(0, 2 * np.pi)
        bend = 1.1 * np.sin(
            np.float32(wave * 0.45) * (y * np.cos(angle) - x * np.sin(angle))
            + np.float32(pace * 0.7 * index + 2 * phase)
        )
        total += np.sin(
            np.float32(wave * np.cos(angle)) * x
            + np.float32(wave * np.sin(angle)) * y
            + bend
            + np.float32(pace * index + phase)
        )
    net = 1.0 - np.abs(total) * np.float32(0.5)
    return np.maximum(net, -0.4)


def grain(seed: int, index: int, height: int, width: int, unit: float) -> Plane:
    """Film grain, fresh in every frame: noise of unit variance, coherent over about a hundredth of the height."""
    sigma = 0.0055 * unit
    noise = _generator(seed, 4, index).standard_normal((height, width), dtype=np.float32)
    if sigma < 0.3:
        return noise
    kernel = cv2.getGaussianKernel(2 * max(1, round(2.6 * sigma)) + 1, sigma)
    return blur(noise, sigma) / np.float32(np.sum(kernel**2))
