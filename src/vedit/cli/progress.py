"""Progress on standard error: a bar on a terminal, plain lines in a log, JSON lines for programs, or nothing."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vedit.render.progress import Progress

PLAIN_SECONDS = 5.0  # between two lines in a log
JSON_SECONDS = 0.5
STAGES = {"load": "Loading the model", "edit": "Editing", "finish": "Finishing", "draw": "Drawing", "train": "Training",
          "measure": "Measuring", "pull": "Fetching", "verify": "Hashing", "convert": "Converting"}  # fmt: skip


@contextlib.contextmanager
def reporter(style: str, unit: str = "frames") -> Iterator[Progress]:
    """Whom to tell about progress, for ``--progress STYLE``. ``auto`` is a bar on a terminal and nothing elsewhere.

    ``unit`` names what is counted.
    """
    if style == "auto":
        terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        style = "rich" if terminal else "none"
    if style == "rich":
        with _Bar(unit) as bar:
            yield bar
    elif style == "plain":
        yield _Lines(PLAIN_SECONDS, unit)
    elif style == "json":
        yield _JsonLines(JSON_SECONDS, unit)
    else:
        from vedit.render.progress import Silent

        yield Silent()


class _Rate:
    """Frames a second and seconds left, over the whole stage."""

    def __init__(self, before: int = 0) -> None:
        self._began = time.monotonic()
        self._before = before

    def measure(self, done: int, total: int | None) -> tuple[float, float | None]:
        """Frames/s so far and the seconds that are left; None where one of them is not known."""
        done -= self._before
        rate = done / max(time.monotonic() - self._began, 1e-6)
        return rate, None if total is None or not done else max(total - self._before - done, 0) / rate


class _Lines:
    """A line when a stage begins and every few seconds."""

    def __init__(self, seconds: float, unit: str) -> None:
        self._seconds = seconds
        self._unit = unit
        self._lock = threading.Lock()
        self._stage = ""
        self._said = 0.0
        self._rate = _Rate()

    def stage(self, name: str, before: int = 0) -> None:
        """A new stage began."""
        with self._lock:
            self._stage, self._said, self._rate = name, time.monotonic(), _Rate(before)
            self._say_stage(name)

    def frames(self, done: int, total: int | None) -> None:
        """``done`` frames are written."""
        with self._lock:
            now = time.monotonic()
            if now - self._said < self._seconds and done != total:
                return
            self._said = now
            self._say_frames(done, total, *self._rate.measure(done, total))

    def _say_stage(self, name: str) -> None:
        _print(f"{STAGES.get(name, name)}")

    def _say_frames(self, done: int, total: int | None, rate: float, left: float | None) -> None:
        of = f"/{total}" if total is not None else ""
        more = f", {_clock(left)} left" if left is not None else ""
        _print(f"{STAGES.get(self._stage, self._stage)}: {done}{of} {self._unit}, {_speed(rate)} {self._unit}/s{more}")


class _JsonLines(_Lines):
    """The same as one JSON object a line."""

    def _say_stage(self, name: str) -> None:
        _print(json.dumps({"stage": name}))

    def _say_frames(self, done: int, total: int | None, rate: float, left: float | None) -> None:
        fields = {"stage": self._stage, self._unit: done, "total": total, "per_second": round(rate, 3)}
        _print(json.dumps(fields | {"seconds_left": None if left is None else round(left, 1)}))


class _Bar:
    """A bar of rich, which honours NO_COLOR by itself; erased when it ends."""

    def __init__(self, unit: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("Starting", total=None, rate="")
        self._unit = unit
        self._rate = _Rate()

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def stage(self, name: str, before: int = 0) -> None:
        """A new stage began."""
        self._rate = _Rate(before)
        self._progress.update(self._task, description=STAGES.get(name, name))

    def frames(self, done: int, total: int | None) -> None:
        """``done`` frames are written."""
        rate, _ = self._rate.measure(done, total)
        self._progress.update(self._task, completed=done, total=total, rate=f"{_speed(rate)} {self._unit}/s")


def _speed(rate: float) -> str:
    """A large model on a CPU makes a frame in minutes: what is below one a second keeps two digits."""
    return f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _print(line: str) -> None:
    # A reader that has gone must not end the edit.
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)
