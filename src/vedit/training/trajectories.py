"""Which tracks a training of motion control sees, and where they come from (ReVideo, section 3.2 and appendix).

Tracks of a clip are (T, N, 2), x and y in pixels, of points that begin on a grid in the first frame.
"""

from __future__ import annotations

import numpy as np

MOST = 10  # tracks of a sample

Box = tuple[int, int, int, int]  # x, y, width, height in pixels


def lengths(tracks: np.ndarray) -> np.ndarray:
    """(N,) how far each point travels, pixels."""
    return np.linalg.norm(np.diff(tracks, axis=0), axis=-1).sum(0)


def choose(tracks: np.ndarray, rng: np.random.Generator, box: Box | None = None, most: int = MOST) -> np.ndarray:
    """(K,) indices of the tracks of one sample, 1 to ``most`` of those that move more than the mean.

    How many is uniform, and longer ones are chosen more often, in proportion to their length. ``box``: only tracks that
    stay inside. Empty where nothing moves.
    """
    candidates = np.arange(tracks.shape[1])
    if box is not None:
        x, y, width, height = box
        low, high = np.array([x, y]), np.array([x + width - 1, y + height - 1])
        candidates = candidates[((tracks >= low) & (tracks <= high)).all((0, 2))]
    length = lengths(tracks[:, candidates])
    if not len(candidates) or length.max() <= 0:
        return candidates[:0]
    # Where all move alike, none moves more than the mean: then all of them count.
    moving = length > length.mean()
    moving = moving if moving.any() else length > 0
    candidates, length = candidates[moving], length[moving]
    count = min(int(rng.integers(1, most + 1)), len(candidates))
    return np.sort(rng.choice(candidates, count, replace=False, p=length / length.sum()))


def random_box(rng: np.random.Generator, width: int, height: int, least: float = 0.2, step: int = 1) -> Box:
    """A rectangle to edit: sides from ``least`` of the short side (the paper's 64 of 320 pixels) to 3/4 of each.

    ``step``: sides and place are multiples of it.
    """
    low = max(1, round(least * min(width, height) / step))
    sides = [step * int(rng.integers(low, max(low, side * 3 // 4 // step) + 1)) for side in (width, height)]
    places = [
        int(rng.integers(0, (whole - side) // step + 1)) * step
        for whole, side in zip((width, height), sides, strict=True)
    ]
    return places[0], places[1], sides[0], sides[1]


def box_around(covered: np.ndarray, rng: np.random.Generator, step: int = 1) -> Box:
    """A rectangle to edit that holds all of ``covered`` (H, W), with margins of up to a sixth of the short side.

    ``step``: sides and place are multiples of it, as are H and W. Nothing covered: as :func:`random_box`.
    """
    height, width = covered.shape
    if not covered.any():
        return random_box(rng, width, height, step=step)
    margin = min(width, height) / 6
    edges: list[tuple[int, int]] = []
    for axis, length in ((0, width), (1, height)):
        at = np.flatnonzero(covered.any(axis))
        low = np.floor((at[0] - rng.uniform(0, margin)) / step) * step
        high = np.ceil((at[-1] + 1 + rng.uniform(0, margin)) / step) * step
        edges.append((int(max(0, low)), int(min(length, high))))
    (left, right), (top, bottom) = edges
    return left, top, right - left, bottom - top
