"""Interlaced frames to progressive ones at the same rate: one frame out for each one in, at its own time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import av.error
import av.filter

# One frame a frame, not one a field; frames that are progressive pass as they are.
_BWDIF = "mode=send_frame:parity=auto:deint=interlaced"


class Deinterlacer:
    """FFmpeg's ``bwdif``. ``push`` a frame, None at the end; comes back one frame late, with its times as they were."""

    def __init__(self, time_base: Any) -> None:
        self._time_base = time_base
        self._graph: Any = None
        self._shape: tuple[int, int, str] | None = None
        self._times: deque[tuple[int | None, int]] = deque()

    def push(self, frame: Any) -> Iterator[Any]:
        """The frames that are ready: as many as were pushed, when None has been."""
        shape = None if frame is None else (frame.width, frame.height, frame.format.name)
        if self._graph is not None and shape != self._shape:
            self._graph.push(None)
            yield from self._ready()
            self._graph = None
        if frame is None:
            return
        if self._graph is None:
            self._graph, self._shape = self._build(frame), shape
        # The filter counts time in its own ticks, and guesses where there is none: times go beside it.
        self._times.append((frame.pts, frame.duration))
        frame.pts = len(self._times)
        self._graph.push(frame)
        yield from self._ready()

    def _build(self, frame: Any) -> Any:
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self._time_base
        )
        bwdif, sink = graph.add("bwdif", _BWDIF), graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        graph.configure()
        return graph

    def _ready(self) -> Iterator[Any]:
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, av.error.EOFError):
                return
            frame.pts, frame.duration = self._times.popleft()
            frame.time_base = self._time_base
            yield frame
