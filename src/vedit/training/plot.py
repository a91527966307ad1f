"""A loss curve as a picture, from the log of a run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vedit.errors import InputError

WIDTH, HEIGHT = 960, 480  # pixels
LEFT, RIGHT, TOP, BOTTOM = 90, 24, 44, 50
INK, FAINT, LINE, RAW = (40, 40, 40), (225, 225, 225), (180, 90, 20), (225, 195, 165)  # BGR


def rows_of(log: Path) -> Iterator[dict[str, Any]]:
    """The lines of a run's log. What a full disk or a crash left half-written is passed over."""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def read_log(log: Path, name: str = "loss") -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one quantity, (N,) each, by step; where a resumed run logged a step again, the later one."""
    values: dict[int, float] = {}
    for row in rows_of(log):
        if name in row:
            values[int(row["step"])] = float(row[name])
    steps = sorted(values)
    return np.array(steps), np.array([values[step] for step in steps])


def smoothed(values: np.ndarray, share: float = 0.1) -> np.ndarray:
    """Running mean over ``share`` of the curve, (N,); at the ends over what there is."""
    radius = max(1, round(len(values) * share / 2))
    kernel = np.ones(2 * radius + 1)
    return np.convolve(values, kernel)[radius:-radius] / np.convolve(np.ones(len(values)), kernel)[radius:-radius]


def loss_curve(log: Path, picture: Path, title: str = "loss") -> Path:
    """Draw the loss of ``log`` (each step faint, its running mean on top) to a PNG; returns it.

    Raises ``InputError`` for a log without a finite loss.
    """
    import cv2

    steps, values = read_log(log)
    finite = np.isfinite(values)
    steps, values = steps[finite], values[finite]
    if not len(steps):
        raise InputError(f"{log}: holds no loss to draw")
    mean = smoothed(values)
    low, high = min(0.0, float(values.min())), float(np.quantile(values, 0.99))
    high = max(high, float(mean.max())) * 1.05 or 1.0
    first, last = int(steps[0]), max(int(steps[-1]), int(steps[0]) + 1)
    canvas = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)

    def place(step: float, value: float) -> tuple[int, int]:
        across = (step - first) / (last - first)
        up = (min(value, high) - low) / (high - low)
        x = LEFT + across * (WIDTH - LEFT - RIGHT)
        return round(x), round(HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM))

    def write(text: str, x: int, y: int) -> None:
        cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)

    for value in np.linspace(low, high, 5):
        y = place(first, value)[1]
        cv2.line(canvas, (LEFT, y), (WIDTH - RIGHT, y), FAINT, 1)
        write(f"{value:.3g}", 16, y + 5)
    for step in np.linspace(first, last, 6):
        x = place(step, low)[0]
        write(f"{step:.0f}", x - 12, HEIGHT - BOTTOM + 24)
    for curve, colour, thickness in ((values, RAW, 1), (mean, LINE, 2)):
        points = np.array([place(step, value) for step, value in zip(steps, curve, strict=True)], np.int32)
        cv2.polylines(canvas, [points], False, colour, thickness, cv2.LINE_AA)
    write(title, LEFT, 26)
    write("step", WIDTH // 2, HEIGHT - 8)
    encoded, content = cv2.imencode(".png", canvas)
    assert encoded
    picture.write_bytes(content.tobytes())
    return picture
