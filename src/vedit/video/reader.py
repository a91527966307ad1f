"""Decodes a clip frame by frame, in the order in which it is shown. Keeps one frame, to know how long it is shown."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.error
import av.stream
import numpy as np

from vedit.errors import InputError
from vedit.video.clip import ClipInfo
from vedit.video.color import Converter
from vedit.video.deinterlace import Deinterlacer
from vedit.video.hwaccel import Accelerator
from vedit.video.opening import decoder_of


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """A decoded frame: ``index`` from 0, ``pts`` and ``duration`` in ticks of the clip's time base, ``time`` in
    seconds from the first."""

    index: int
    pts: int
    duration: int
    time: Fraction
    frame: Any
    info: ClipInfo
    converter: Converter

    def rgb(self, bits: int = 8) -> np.ndarray:
        """(H, W, 3) uint8, or uint16 over its whole range with ``bits=16``, in displayed orientation. Converted at
        each call."""
        return self.info.orientation.apply(self.converter.to_rgb(self.frame, bits))


_REORDERED = 16  # pictures that a decoder may hold back to bring them in order, at most
_TAIL_BYTES = 64 << 20  # of compressed pictures


class _Tail:
    """The last packets of a clip, from a key frame on: at least as many as a decoder holds."""

    def __init__(self) -> None:
        self._groups: deque[list[Any]] = deque()
        self._count = self._bytes = 0

    def add(self, packet: Any, depth: int) -> None:
        if packet.is_keyframe:
            self._groups.append([])
        elif not self._groups:
            return
        self._groups[-1].append(packet)
        self._count += 1
        self._bytes += packet.size
        while len(self._groups) > 2 and self._count - len(self._groups[0]) >= depth:
            self._drop()
        while self._groups and self._bytes > _TAIL_BYTES:  # pictures that stand on hundreds before them
            self._drop()

    def _drop(self) -> None:
        group = self._groups.popleft()
        self._count -= len(group)
        self._bytes -= sum(packet.size for packet in group)

    def packets(self) -> list[Any]:
        """They, in decoding order."""
        return [packet for group in self._groups for packet in group]


class Reader:
    """Iterates :class:`SourceFrame` in presentation order; ``warnings`` fills up on the way.

    Interlaced clips are deinterlaced at the same rate. Missing timestamps are filled in and backward ones moved
    forward, with a warning. With ``strict`` an
    :class:`InputError` is raised for a file that ends before what it announces; without, that is a warning too.
    An ``accelerator`` decodes in place of the CPU, all or nothing: :class:`ResourceError` if it fails on the way.
    """

    def __init__(
        self, path: str | os.PathLike[str], info: ClipInfo, *, threads: int | None = None, strict: bool = True,
        accelerator: Accelerator | None = None,
    ) -> None:  # fmt: skip
        self.path = os.fspath(path)
        self.info = info
        self.warnings: list[str] = []
        self.frames = 0
        self._strict = strict
        self._bad_packets = 0
        if strict:
            info.require_complete()
        self._converter = Converter(info.color, info.width, info.height)
        self._accelerator = accelerator
        self._container: Any = info.open(accelerator)
        try:
            self._stream = self._container.streams[info.stream]
            for other in self._container.streams:
                if other.index != info.stream:
                    other.discard = av.stream.Discard.all
            if accelerator is not None:
                self._decoder = accelerator.decoder(self._stream)
            else:
                self._decoder = decoder_of(self._stream)
                self._decoder.thread_type = "AUTO"
                if threads is not None:
                    self._decoder.thread_count = threads
        except (IndexError, AttributeError, ValueError, av.error.FFmpegError):
            self._container.close()
            raise InputError(f"{self.path}: changed since it was looked at; run again") from None

    def __iter__(self) -> Iterator[SourceFrame]:
        info = self.info
        tick = 1 / (info.rate * info.time_base)
        held: tuple[int, Any] | None = None
        first = shift = 0
        backward = missing = resized = corrupt = woven = 0

        for item in self._progressive():
            woven += item.interlaced_frame
            if (item.width, item.height) != (info.width, info.height):
                resized += 1
            corrupt += item.is_corrupt
            pts = item.pts
            if pts is None:
                missing += 1
                pts = 0 if held is None else held[0] + max(1, item.duration or round(tick))
            if held is None:
                first = pts
            else:
                if pts <= held[0]:
                    # Two recordings in one file, or a single slip: time goes on from here, at the usual pace, until the
                    # source's own times are ahead again.
                    backward += 1
                    if pts + shift <= held[0]:
                        shift = held[0] + max(1, item.duration or round(tick)) - pts
                    pts += shift
                yield self._make(held[0], pts - held[0], first, held[1])
            held = (pts, item)

        if held is None:
            raise InputError(f"{self.path}: no frame could be decoded; the file is damaged")
        for count, what in (
            (self._bad_packets, "packets could not be decoded: their frames are missing"),
            (corrupt, "frames are damaged in the source"),
            (missing, "frames had no timestamp: filled in from the frame rate"),
            (backward, "timestamps did not increase: moved forward"),
            (woven, "frames are interlaced although the first is not: they are not deinterlaced"),
            (resized, "frames change size in the middle of the clip: scaled to the first frame's size"),
        ):
            if count:
                self.warnings.append(f"{count} {what}")
        last = self._last_duration(held[0], held[1], first, tick)
        # The shortfall is judged before the last frame goes out, so that nobody commits a result of half a clip.
        self._check_begin(first * info.time_base)
        self._check_end(held[0] + last, first)
        yield self._make(held[0], last, first, held[1])

    def _make(self, pts: int, duration: int, first: int, frame: Any) -> SourceFrame:
        time = (pts - first) * self.info.time_base
        made = SourceFrame(self.frames, pts, duration, time, frame, self.info, self._converter)
        self.frames += 1
        return made

    def _last_duration(self, pts: int, frame: Any, first: int, tick: Fraction) -> int:
        info = self.info
        usual = Fraction(pts - first, self.frames) if self.frames else tick
        if info.duration is not None and info.container.startswith("mov") and not (info.variable and info.reordered):
            # The track's end says how long the last frame is shown. Not so in mp4 with both B-frames and a varying
            # rate: there the track's length is counted in decoding order, and falls short.
            rest = round((info.start + info.duration) / info.time_base) - pts
            if 0 < rest <= max(100 * usual, 10 / info.time_base):
                return rest
        return max(1, frame.duration or round(usual))

    def _check_begin(self, first: Fraction) -> None:
        late = first - self.info.start
        if late > max(3 / self.info.rate, Fraction(1, 5)):
            self.warnings.append(f"the first {float(late):.3g} s cannot be decoded: the clip begins after them")

    def _check_end(self, last: int, first: int) -> None:
        info = self.info
        if info.duration is None:
            return
        # A duration that is not the video's own may be that of longer sound.
        allowed = max(3 / info.rate, Fraction(1, 5), 0 if info.own_duration else info.duration / 50)
        # Of a recording that begins in the middle, the first pictures cannot be decoded, and the end is where it is.
        end = max((last - first) * info.time_base, last * info.time_base - info.start)
        if end >= info.duration - allowed:
            return
        text = (
            f"the video ends at {float(end):.3g} s although {float(info.duration):.3g} s are declared "
            f"({self.frames + 1} frames)"
        )
        certain = info.own_duration or (info.frames_declared and self.frames + 1 < info.frames)
        # Otherwise it may be the sound that is longer.
        if self._strict and (info.truncated or certain or not info.audio):
            raise InputError(f"{self.path}: {text}; the file is cut short or damaged, get a complete copy")
        self.warnings.append(text)

    def _progressive(self) -> Iterator[Any]:
        """Decoded frames, deinterlaced where the clip is interlaced."""
        if not self.info.interlaced:
            yield from self._decode()
            return
        deinterlacer = Deinterlacer(self.info.time_base)
        for frame in self._decode():
            yield from deinterlacer.push(frame)
        yield from deinterlacer.push(None)

    def _decode(self) -> Iterator[Any]:
        """Decoded frames; what cannot be decoded is counted."""
        # AVI shows packets' frames one a tick, in the order in which they come out of the decoder. What FFmpeg makes up
        # as their presentation times is late by a frame or more, and out of order where there are B-frames.
        times: deque[int] | None = deque() if self.info.container == "avi" else None
        for frame in self._decode_packets(times):
            if times:
                frame.pts = times.popleft()
            yield self._arranged(frame)

    def _arranged(self, frame: Any) -> Any:
        """The same samples in the clip's own format, whatever decoded them."""
        info = self.info
        if self._accelerator is None or (frame.width, frame.height) != (info.width, info.height):
            return frame
        return self._converter.to_format(frame, info.pix_fmt)

    def _decode_packets(self, times: deque[int] | None) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        # Threads hand out what they hold at the end, and what comes after damage there is lost. AVI has no times by
        # which it could be told what is missing.
        tail = _Tail() if self._accelerator is None and times is None else None
        fed = out = 0
        last: int | None = None
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                # The demuxer lost its way: what the decoder still holds comes out, the end is checked by the caller.
                self.warnings.append("a part of the file cannot be read: what follows is missing")
                packet = None
            if packet is None:
                break
            if not packet.size:  # an empty sample, which a decoder would take for the end
                continue
            fed += 1
            if tail is not None:
                tail.add(packet, (self._decoder.thread_count or os.cpu_count() or 1) + _REORDERED)
            try:
                frames = self._decoder.decode(packet)
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                if self._accelerator is not None:
                    raise self._accelerator.failed(self.path, error) from error
                self._bad_packets += 1
                continue
            if times is not None and packet.dts is not None:
                times.append(packet.dts)
            for frame in frames:
                out += 1
                last = frame.pts if last is None or frame.pts is None else max(last, frame.pts)
                yield frame
        try:
            for frame in self._decoder.decode(None):
                out += 1
                last = frame.pts if last is None or frame.pts is None else max(last, frame.pts)
                yield frame
        except av.error.FFmpegError as error:
            if self._accelerator is not None and not isinstance(error, av.error.EOFError):
                raise self._accelerator.failed(self.path, error) from error
        if tail is not None and out < fed and last is not None:
            yield from self._again(tail, last)

    def _again(self, tail: _Tail, last: int) -> Iterator[Any]:
        """What a single thread finds after the frame at ``last``: less than a decoder with many may have lost."""
        with self.info.open(None) as container:
            decoder = decoder_of(container.streams[self.info.stream])
            decoder.thread_count = 1
            for packet in [*tail.packets(), None]:
                try:
                    frames = decoder.decode(packet)
                except av.error.EOFError:
                    return
                except av.error.FFmpegError:
                    if packet is not None and packet.pts is not None and packet.pts > last:
                        self._bad_packets += 1
                    continue
                yield from (frame for frame in frames if frame.pts is not None and frame.pts > last)

    def close(self) -> None:
        """Closes the file. Safe to call twice."""
        self._container.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
