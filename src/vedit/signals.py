"""Ctrl-C, SIGTERM and SIGHUP: stop promptly, leave nothing half-written.

The first signal raises :class:`Stopped` in the main thread, which unwinds through the ``finally`` blocks that remove
temporary files. A second one leaves at once: it only deletes the files named by :func:`leaves` and exits.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}

_stopping = False
_deferred = 0  # how many blocks of deferred() are running
_pending: str | None = None  # a signal that waits for them
_temporary: set[str] = set()


class Stopped(BaseException):
    """A signal asked to stop. Not an :class:`Exception`, so that no library in between can swallow it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"stopped by {name}")
        self.name = name
        self.exit_code = EXIT_CODES[name]


def catch() -> None:
    """Take over the signals. One that the caller ignores (``nohup``) stays ignored."""
    for name in EXIT_CODES:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def _handle(number: int, frame: FrameType | None) -> None:
    global _stopping, _pending
    name = signal.Signals(number).name
    if _stopping:
        _vanish(EXIT_CODES[name])
    _stopping = True
    if _deferred:
        _pending = name
    else:
        raise Stopped(name)


def stopping() -> bool:
    """Whether a signal came."""
    return _stopping


def leave(code: int) -> NoReturn:
    """End the process now: no library gets to tidy up, which can take seconds."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    _vanish(code)


def _vanish(code: int) -> NoReturn:
    for path in tuple(_temporary):
        with contextlib.suppress(OSError):
            os.unlink(path)
    os._exit(code)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Let the block finish: a first signal is raised at its end. For steps that would leave files when cut in two."""
    global _deferred, _pending
    _deferred += 1
    try:
        yield
    finally:
        _deferred -= 1
    if _pending is not None and not _deferred:
        name, _pending = _pending, None
        raise Stopped(name)


def announce(path: str) -> None:
    """From now on ``path`` is a temporary file that even a second signal must not leave behind."""
    _temporary.add(path)


def forget(path: str) -> None:
    """It is not any more."""
    _temporary.discard(path)


@contextlib.contextmanager
def leaves(path: str) -> Iterator[None]:
    """The same while the block runs."""
    announce(path)
    try:
        yield
    finally:
        forget(path)
