"""Overlapping windows inside one shot, planned while its length is still unknown.

The first window of a shot holds up to ``frames`` new frames. Each later one starts with ``overlap`` frames that an
earlier window already produced (its *reference*, whose results are discarded) and holds up to ``frames - overlap`` new
ones. A last window with fewer new frames takes more reference instead, so that it stays full size; only a shot shorter
than a window gives a short window. So each frame's result comes from exactly one window.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """``count`` frames from absolute index ``first`` on; the results of the first ``reference`` of them are
    discarded."""

    first: int
    count: int
    reference: int

    @property
    def end(self) -> int:
        """Absolute index after the last frame."""
        return self.first + self.count

    @property
    def produces(self) -> range:
        """Absolute indices of the frames whose results come from this window."""
        return range(self.first + self.reference, self.end)


def _check(frames: int, overlap: int) -> None:
    if frames < 1 or not 0 <= overlap < frames:
        raise ValueError(f"a window of {frames} frames cannot overlap by {overlap}; need 0 <= overlap < frames")


class WindowPlanner:
    """Plans windows while frames arrive one by one; ``frames`` and ``overlap`` count frames.

    A full window is given out as soon as its last frame is there, so the caller never has to keep more than
    :attr:`oldest` says.
    """

    def __init__(self, frames: int, overlap: int, first: int = 0) -> None:
        _check(frames, overlap)
        self.frames = frames
        self.overlap = overlap
        self._shot = first  # absolute index where the shot starts
        self._next = first  # of the frame that arrives next
        self._done = first  # frames before this one have their window

    @property
    def oldest(self) -> int:
        """Absolute index of the oldest frame that a later window may still need as reference or as new frame."""
        if self._done == self._shot:
            return self._shot
        # The shot may end with the last pushed frame: its window then reaches back the furthest.
        return max(self._shot, max(self._next, self._done + 1) - self.frames)

    def push(self) -> Window | None:
        """One more frame of the shot arrived; the window that it completes, if any."""
        self._next += 1
        if self._next - self._done == self.frames - self._reference():
            return self._emit()
        return None

    def end_shot(self) -> Window | None:
        """The shot ended with the last pushed frame; its last window, if frames are left. The next push starts a new
        shot."""
        window = self._emit() if self._next > self._done else None
        self._shot = self._done = self._next
        return window

    def skip(self, count: int = 1) -> None:
        """Passes over ``count`` frames that are not edited; only between shots."""
        if self._next != self._shot:
            raise ValueError("frames can be skipped only between shots: end_shot() first")
        self._next += count
        self._shot = self._done = self._next

    def _reference(self) -> int:
        return 0 if self._done == self._shot else self.overlap

    def _emit(self) -> Window:
        first = self._shot if self._done == self._shot else max(self._shot, self._next - self.frames)
        window = Window(first, self._next - first, self._done - first)
        self._done = self._next
        return window


def plan_windows(length: int, frames: int, overlap: int, first: int = 0) -> list[Window]:
    """Windows of a shot of ``length`` frames that starts at absolute index ``first``; see the module for the rule."""
    _check(frames, overlap)
    if length <= 0:
        return []
    end = first + length
    windows = [Window(first, min(frames, length), 0)]
    while windows[-1].end < end:
        done = windows[-1].end
        stop = min(done + frames - overlap, end)
        windows.append(Window(stop - frames, frames, done - (stop - frames)))
    return windows
