"""Named colours and natural palettes of the procedural world."""

from __future__ import annotations

import colorsys

import numpy as np

#: Colours that captions and instructions can name: sRGB in [0, 1].
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.82, 0.12, 0.12),
    "orange": (0.94, 0.52, 0.10),
    "yellow": (0.95, 0.85, 0.18),
    "green": (0.15, 0.62, 0.20),
    "blue": (0.14, 0.30, 0.82),
    "purple": (0.50, 0.18, 0.70),
    "pink": (0.95, 0.50, 0.70),
    "brown": (0.46, 0.28, 0.14),
    "white": (0.95, 0.95, 0.95),
    "black": (0.07, 0.07, 0.08),
    "grey": (0.50, 0.50, 0.52),
    "turquoise": (0.16, 0.75, 0.74),
}

# Hue centres (turns) of what photographs are made of, with their spread and their usual saturation:
# skin and wood, foliage, sky and shadow, neutral.
_NATURAL_HUES = ((0.07, 0.03, 0.45), (0.28, 0.07, 0.40), (0.58, 0.05, 0.45), (0.10, 0.5, 0.08), (0.0, 0.5, 0.70))
_NATURAL_SHARE = (0.28, 0.24, 0.20, 0.16, 0.12)


def natural_palette(rng: np.random.Generator, size: int) -> np.ndarray:
    """``(size, 3)`` float32 sRGB colours in [0, 1] that belong together, as in a photograph."""
    groups = rng.choice(len(_NATURAL_HUES), size=max(1, int(rng.integers(1, 4))), p=_NATURAL_SHARE)
    colours = []
    for _ in range(size):
        hue, spread, saturation = _NATURAL_HUES[int(rng.choice(groups))]
        h = (hue + spread * rng.normal()) % 1.0
        s = float(np.clip(saturation * rng.gamma(4.0, 0.25), 0.0, 1.0))
        v = float(np.clip(rng.beta(1.3, 1.3), 0.02, 0.98))
        colours.append(colorsys.hsv_to_rgb(h, s, v))
    return np.asarray(colours, dtype=np.float32)


def named_colour(name: str, rng: np.random.Generator, spread: float = 0.04) -> np.ndarray:
    """``(3,)`` a shade of the named colour; raises ``KeyError`` for a name that :data:`COLOURS` lacks."""
    return np.clip(np.asarray(COLOURS[name]) + rng.normal(0.0, spread, 3), 0.0, 1.0).astype(np.float32)
