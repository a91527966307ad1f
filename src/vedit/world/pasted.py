"""Clips composed on the spot: one or two shapes that travel before a still picture, and the ways of their points.

Nothing else moves, and nothing but its way says where a shape will be: the plainest clips from which to learn what
tracks mean. They cost next to nothing to draw.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SAMPLES = 4  # a side of a pixel, by which the rim of a shape is drawn
GRAIN = 2.0  # grey levels, standard deviation
INSET = 0.06  # of the picture's side: how near to the border the middle of a shape comes
SIZES = (0.09, 0.26)  # radius of a shape, as a share of the side
TEXTURED = 0.5  # of the shapes show a piece of a picture, which they take along; the others are of one colour
REACH = (0.1, 0.65)  # how far it goes, as a share of the side
SLOW = 0.25  # of the shapes go less far than that: a long way over many windows is slow in each of them
_TRIES = 40


@dataclass(frozen=True)
class PastedClip:
    """``frames`` uint8 (T, S, S, 3). ``tracks`` float64 (T, N, 2): (x, y) in pixels of one to three points of each
    shape whose way is told. ``things`` float32 (T, S, S): how much of a pixel is a shape's."""

    frames: np.ndarray
    tracks: np.ndarray
    things: np.ndarray


def paste(picture: np.ndarray, rng: np.random.Generator, frames: int) -> PastedClip:
    """A clip before ``picture``, (S, S, 3) uint8, which often loses contrast, so that the shapes stand out.

    What a shape of texture shows is a piece of the same picture, upside down and in other colours.
    """
    side = len(picture)
    back = picture.astype(np.float32)
    if rng.random() < 0.7:
        mean = back.mean((0, 1))
        back = mean + (back - mean) * rng.uniform(0.15, 0.7)
    clip = np.repeat(back[None], frames, 0)
    things, tracks = np.zeros((frames, side, side), np.float32), []
    for number in range(1 if rng.random() < 0.75 else 2):
        radius = rng.uniform(*SIZES) * side
        way = travel(rng, side, frames, rests=rng.random() < (0.4 if number else 0.1))
        cover = covered(outline(rng, radius), way, side)
        colour = contrasting(rng, back.mean((0, 1)))
        clip += (taken_along(rng, picture, colour, way) - clip) * cover[..., None]
        things = np.maximum(things, cover)
        if number == 0 or rng.random() < 0.8:
            more = [rng.uniform(-0.5, 0.5, 2) * radius for _ in range(int(rng.integers(0, 3)))]
            tracks += [way + offset for offset in (np.zeros(2), *more)]
    clip += rng.normal(0, GRAIN, clip.shape)
    return PastedClip(clip.clip(0, 255).astype(np.uint8), np.stack(tracks, 1).clip(0, side - 1), things)


def outline(rng: np.random.Generator, radius: float) -> np.ndarray:
    """(N, 2): the corners of an ellipse, a rectangle, a triangle or a star about the origin, turned at random."""
    kind, ratio, turn = int(rng.integers(4)), rng.uniform(0.55, 1.0), rng.uniform(0, np.pi)
    if kind == 1:
        points = 0.85 * np.array([[-1, -ratio], [1, -ratio], [1, ratio], [-1, ratio]])
    else:
        corners = (40, 0, 3, 10)[kind]
        angle = np.arange(corners) * 2 * np.pi / corners
        reach = {0: np.ones(corners), 2: np.full(corners, 1.1), 3: np.where(np.arange(corners) % 2, 0.5, 1.1)}[kind]
        points = reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1) * ([1, ratio] if kind == 0 else [1, 1])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return radius * points @ rotation.T


def covered(shape: np.ndarray, way: np.ndarray, side: int) -> np.ndarray:
    """(T, S, S) float32: how much of every pixel ``shape`` (N, 2) covers at each place of its ``way`` (T, 2)."""
    drawn = []
    for place in way:
        fine = np.zeros((side * SAMPLES, side * SAMPLES), np.uint8)
        points = ((shape + place + 0.5) * SAMPLES - 0.5) * 16  # a pixel's place is its centre; 16ths of a sample
        cv2.fillPoly(fine, [np.round(points).astype(np.int32)], [255], shift=4)
        drawn.append(cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA))
    return np.stack(drawn).astype(np.float32) / 255


def taken_along(rng: np.random.Generator, picture: np.ndarray, colour: np.ndarray, way: np.ndarray) -> np.ndarray:
    """What a shape shows: ``colour`` (3,) everywhere, or about it the contrasts of ``picture``, half a turn round, at
    every place of the ``way`` (T, 2): float32 (T, S, S, 3)."""
    if rng.random() >= TEXTURED:
        return colour
    turned = picture[::-1, ::-1].astype(np.float32)
    pattern = colour + (turned - turned.mean((0, 1))) * rng.uniform(0.3, 1.2)
    shifts = [np.array([[1, 0, x], [0, 1, y]], np.float64) for x, y in way - way[0] + rng.uniform(-0.5, 0.5, 2)]
    # A piece without a picture's edge in it would be short of room: what is beyond the rim is its mirror image.
    return np.stack([cv2.warpAffine(pattern, by, pattern.shape[1::-1], borderMode=cv2.BORDER_REFLECT) for by in shifts])


def travel(rng: np.random.Generator, side: int, frames: int, *, rests: bool) -> np.ndarray:
    """(T, 2): a straight or bent way inside of the picture; at one place where it ``rests`` or none was found."""
    step = np.arange(frames)[:, None]
    start = np.full(2, side / 2)
    for _ in range(0 if rests else _TRIES):
        start, heading = rng.uniform(2 * INSET, 1 - 2 * INSET, 2) * side, rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0, REACH[0]) if rng.random() < SLOW else rng.uniform(*REACH)
        speed = reach * side / max(1, frames - 1)
        velocity = speed * np.array([np.cos(heading), np.sin(heading)])
        bend = np.array([-velocity[1], velocity[0]]) * rng.uniform(-0.2, 0.2) * (rng.random() < 0.5)
        way = start + velocity * step + bend * step * (step - 1) / 2
        if ((way > INSET * side) & (way < (1 - INSET) * side)).all():
            return way
    if rests:
        start = rng.uniform(2 * INSET, 1 - 2 * INSET, 2) * side
    return np.repeat(start[None], frames, 0)


def contrasting(rng: np.random.Generator, other: np.ndarray) -> np.ndarray:
    """(3,): a random colour, away from ``other`` in one channel at least where that is found soon."""
    colour = rng.uniform(0, 255, 3)
    for _ in range(8):
        if np.abs(colour - other).max() > 90:
            break
        colour = rng.uniform(0, 255, 3)
    return colour.astype(np.float32)
