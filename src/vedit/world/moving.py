"""Clips for models that predict motion: things that move in many ways, and where every point of them goes.

The things stay about a square of the scene, so that crops show them; some rest, others travel, turn, swing and spin,
under a camera that rests or pans. How far they go in a frame depends on the frame rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from vedit.world.scene import Rendered, Scene, draw_scene, layer_motion, render

RATES = (6, 8, 12, 16, 24)  # frames a second
USUAL_RATE = 12  # at which distances are as drawn
STRIDE = 8  # pixels between the points whose tracks are kept
MASK_STRIDE = 2  # pixels between the kept samples of the layers
MOST_THINGS = 3


@dataclass(frozen=True)
class MovingClip:
    """A square part of a drawn scene.

    ``frames`` uint8 (T, S, S, 3). ``layers`` uint8 (T, S/2, S/2), every second sample: 0 is the background, n + 1 thing
    n. ``tracks`` float32 (T, G, 2): (x, y) in pixels of points that form a grid in frame 0, ``owners`` uint8 (G,) the
    layers that they lie on. ``centres`` float32 (T, 3, 2), of the things, nan where there are fewer. ``speed``: mean
    displacement, pixels a frame.
    """

    frames: np.ndarray
    layers: np.ndarray
    tracks: np.ndarray
    owners: np.ndarray
    centres: np.ndarray
    fps: int
    speed: float


def motion_bucket(speed: float) -> float:
    """The number, from 0 to 255, by which a model is told how much moves. ``speed``: pixels a frame, on average."""
    return 255.0 * (1.0 - math.exp(-speed / 5.0))


def speed_of(bucket: float) -> float:
    """The other way of :func:`motion_bucket`; that of 255 would be endless, so it counts as a little less."""
    return -5.0 * math.log(1.0 - min(bucket, 254.9) / 255.0)


def draw_moving(seed: int, side: int = 128, frames: int = 8, size: int = 256) -> tuple[Scene, tuple[int, int], int]:
    """A scene of ``size`` pixels whose things move about a square of ``side``; the square's (y, x); the frame rate."""
    rng = np.random.default_rng([seed, 5])
    count = int(rng.choice([0, 1, 2, MOST_THINGS], p=[0.05, 0.4, 0.35, 0.2]))
    scene = draw_scene(seed, size, size, frames, things=count)
    corner = tuple(int(v) * STRIDE for v in rng.integers(0, (size - side) // STRIDE + 1, 2))
    middle = [(corner[1] + side / 2) / size, (corner[0] + side / 2) / size]
    fps = int(rng.choice(RATES))
    pace = min(2.0, USUAL_RATE / fps)  # what is slow in a second is far in a frame
    pan = rng.normal(0, 0.007, 2) * pace * (rng.random() < 0.45)
    things = []
    for thing in scene.things:
        reach = 0.34 * side / size
        away = 0.0 if rng.random() < 0.15 else rng.uniform(0.02, 0.7) * side / size * pace / max(1, frames - 1)
        heading = rng.uniform(0, 2 * np.pi)
        velocity = away * np.array([np.cos(heading), np.sin(heading)]) + pan * (rng.random() < 0.7)
        turn = rng.normal(0, 0.006, 2) * pace**2 * (rng.random() < 0.5 and away > 0)
        swing = (rng.uniform(0.01, 0.05), rng.uniform(0.4, 1.2)) if rng.random() < 0.25 else (0.0, 0.1)
        things.append(
            replace(
                thing,
                size=float(rng.uniform(0.05, 0.16)) * (side / size + 0.5),
                start=(float(middle[0] + rng.uniform(-reach, reach)), float(middle[1] + rng.uniform(-reach, reach))),
                velocity=(float(velocity[0]), float(velocity[1])),
                bend=(float(turn[0]), float(turn[1])),
                wobble=(float(swing[0]), float(swing[1])),
                spin=float(rng.normal(0, 0.06) * pace),
                textured=bool(rng.random() < 0.4),
            )
        )
    drawn = replace(
        scene,
        things=tuple(things),
        pan=(float(pan[0]), float(pan[1])),
        zoom=float(rng.normal(0, 0.008) * pace * (rng.random() < 0.3)),
        shake=float(rng.gamma(1.0, 0.002) * (rng.random() < 0.2)),
        noise=0.5 * scene.noise,
    )
    return drawn, (corner[0], corner[1]), fps


def clips(seed: int, index: int, side: int, frames: int, each: int) -> Iterator[MovingClip]:
    """``each`` squares of one scene: the one that its things stay about, and others anywhere."""
    scene, corner, fps = draw_moving(seed * 1_000_000 + 900_000 + index, side, frames)
    drawn, motion = render(scene), layer_motion(scene)
    rng = np.random.default_rng([seed, 6, index])
    for number in range(each):
        if number:
            corner = tuple(int(v) * STRIDE for v in rng.integers(0, (scene.height - side) // STRIDE + 1, 2))
        yield square(drawn, motion, corner[0], corner[1], side, fps)


def draw_several(job: tuple[int, int, int, int, int, int]) -> list[MovingClip]:
    """The clips of a stretch of scenes: ``(seed, first, last, each, side, frames)``. For a process of its own."""
    import cv2

    cv2.setNumThreads(1)
    seed, first, last, each, side, frames = job
    return [clip for index in range(first, last) for clip in clips(seed, index, side, frames, each)]


def square(drawn: Rendered, motion: np.ndarray, top: int, left: int, side: int, fps: int) -> MovingClip:
    """The part of a drawn scene of ``side`` pixels from (``top``, ``left``) on."""
    part = (slice(None), slice(top, top + side), slice(left, left + side))
    layers = drawn.layers[part]
    at = np.arange(STRIDE // 2, side, STRIDE)
    points = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)  # (G, 2), x before y
    owners = layers[0, points[:, 1], points[:, 0]]
    corner = np.array([left, top])
    whole = np.concatenate([points + corner, np.ones((len(points), 1))], 1)
    tracks = np.einsum("tgij,gj->tgi", motion[:, owners], whole) - corner
    centres = np.full((len(drawn.frames), MOST_THINGS, 2), np.nan, np.float32)
    centres[:, : drawn.tracks.shape[1]] = drawn.tracks - corner
    return MovingClip(
        np.round(drawn.frames[part] * 255).astype(np.uint8),
        np.ascontiguousarray(layers[:, ::MASK_STRIDE, ::MASK_STRIDE]),
        tracks.astype(np.float32),
        owners,
        centres,
        fps,
        float(np.linalg.norm(drawn.flow[part], axis=-1).mean()),
    )
