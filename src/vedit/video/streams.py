"""Every stream beside the edited one goes into the result packet for packet, or is converted, or named as dropped."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import av.error
import av.stream

from vedit.video.clip import ClipInfo


def keep_tag(key: str) -> bool:
    """Whether a tag of a stream says something of the clip, not of the source's encoding."""
    upper = key.upper()
    return upper not in {
        "ENCODER",
        "DURATION",
        "VENDOR_ID",
        "ALPHA_MODE",
        "BPS",
        "NUMBER_OF_BYTES",
        "NUMBER_OF_FRAMES",
    } and not (upper.startswith(("_STATISTICS", "BPS-", "NUMBER_OF_", "DURATION-")))


@dataclass
class _Route:
    stream: Any
    last: int | None = None  # decoding time of the packet before, and what is added to the source's
    shift: int = 0
    convert: Callable[[Any], Any] | None = None

    def straighten(self, packet: Any) -> bool:
        """Lets time go on where it jumps back, as the reader does for the video; whether it had to be moved."""
        dts = packet.dts
        if dts is None:
            return False
        moved = self.last is not None and dts <= self.last and packet.stream.type == "audio"
        if moved and self.last is not None:
            if dts + self.shift <= self.last:
                self.shift = self.last + max(1, packet.duration or 1) - dts
            packet.dts = dts + self.shift
            if packet.pts is not None:
                packet.pts += self.shift
        self.last = packet.dts
        return moved


@dataclass
class Copier:
    """Copies every stream beside the edited one packet for packet, in step with the encoded video."""

    source: Any
    info: ClipInfo
    format: str
    audio: bool
    warnings: list[str]
    shift: Fraction = Fraction(0)  # seconds by which everything begins later than in the source
    routes: dict[int, _Route] = field(default_factory=dict)
    straightened: set[int] = field(default_factory=set)
    pending: Any = None
    packets: Iterator[Any] | None = None

    def add_streams(self, container: Any, add_video: Any) -> None:
        """Adds the output's streams in the source's order."""
        for stream in self.source.streams:
            if stream.index == self.info.stream:
                add_video(stream)
                stream.discard = av.stream.Discard.all
                continue
            if stream.type == "audio" and not self.audio:
                stream.discard = av.stream.Discard.all
                continue
            route = self._add(container, stream)
            if route is None:
                stream.discard = av.stream.Discard.all
            elif stream.type != "attachment":
                self.routes[stream.index] = route
        wanted = [s for s in self.source.streams if s.index in self.routes]
        self.packets = self.source.demux(*wanted) if wanted else iter(())

    def _add(self, container: Any, stream: Any) -> _Route | None:
        codec = stream.codec_context.name if stream.codec_context is not None else getattr(stream, "name", None)
        what = f"{stream.type} stream {stream.index} ({codec or 'unknown'})"
        if stream.type == "data" and self._anew(stream, codec):
            return None
        if _accepts(self.format, stream):
            return self._template(container, stream)
        convert = _CONVERSIONS.get((self.format, codec)) if stream.type == "subtitle" else None
        if convert is not None:
            target, change = convert
            if target == "mov_text":
                # Its encoder writes the sample description that mp4 needs; the packets are made here.
                made = container.add_stream(target)
                made.codec_context.subtitle_header = _ASS_HEADER
                made.codec_context.time_base = stream.time_base
            else:
                made = container.add_mux_stream(target, time_base=stream.time_base)
            _describe(made, stream)
            self.warnings.append(f"{what} becomes {target}: styles are not kept")
            return _Route(made, convert=change)
        self.warnings.append(f"{what} is dropped: {self.format} cannot hold it")
        return None

    def _anew(self, stream: Any, codec: str | None) -> bool:
        """Whether these are the titles of the chapters or a time code: they are written anew from the chapters and the
        tag that they stand for. Other data without a codec that FFmpeg knows is a camera's."""
        if codec in ("tmcd", "none", None):
            return "timecode" in stream.metadata
        return codec == "bin_data" and bool(self.info.chapters) and stream.index == _titles(self.source)

    def _template(self, container: Any, stream: Any) -> _Route:
        made = container.add_stream_from_template(stream, opaque=True)
        _describe(made, stream)
        return _Route(made)

    def copy_until(self, container: Any, limit: Fraction | None) -> None:
        """Muxes the packets up to ``limit`` seconds (decoding time), or all that are left."""
        if self.packets is None:
            return
        while True:
            if self.pending is None:
                try:
                    self.pending = next(self.packets, None)
                except av.error.FFmpegError as error:
                    self.warnings.append(f"the other streams end early: {error.strerror}")
                    self.pending = None
                if self.pending is None:
                    self.packets = None
                    return
                self._delay(self.pending)
                self._straighten(self.pending)
            packet = self.pending
            when = packet.dts if packet.dts is not None else packet.pts
            if when is None and packet.size and packet.stream.disposition & av.stream.Disposition.attached_pic:
                packet.pts = packet.dts = when = 0  # a picture, not a moment
            if when is None:
                if packet.size:
                    self.warnings.append(f"a packet of stream {packet.stream.index} has no time and is dropped")
                self.pending = None
                continue
            if limit is not None and when * packet.time_base > limit:
                return
            self.pending = None
            route = self.routes.get(packet.stream.index)
            if route is None:
                continue
            if route.convert is not None:
                packet = route.convert(packet)
                if packet is None:
                    continue
            if packet.pts is None:
                packet.pts = packet.dts
            packet.stream = route.stream
            container.mux(packet)

    def _delay(self, packet: Any) -> None:
        ticks = round(self.shift / packet.time_base) if self.shift else 0
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks

    def _straighten(self, packet: Any) -> None:
        route = self.routes.get(packet.stream.index)
        if route is not None and route.straighten(packet) and packet.stream.index not in self.straightened:
            self.straightened.add(packet.stream.index)
            self.warnings.append(f"timestamps of stream {packet.stream.index} did not increase: moved forward")

    def close(self) -> None:
        """Closes the source. Safe to call twice."""
        self.packets = None
        self.pending = None
        self.source.close()


def _titles(source: Any) -> int | None:
    """Index of the track with the titles of the chapters: the one that is called text, or else the last one."""
    tracks = [s for s in source.streams if s.type == "data" and getattr(s, "name", None) == "bin_data"]
    text = [s for s in tracks if re.search("text|subtitle", s.metadata.get("handler_name", ""), re.IGNORECASE)]
    return (text or tracks)[-1].index if tracks else None


def _describe(made: Any, stream: Any) -> None:
    made.metadata.update({k: v for k, v in stream.metadata.items() if keep_tag(k)})
    made.disposition = stream.disposition


def _accepts(muxer: str, stream: Any) -> bool:
    """Whether the muxer writes a header for this stream: FFmpeg's own answer, asked with an empty file."""
    if stream.type == "unknown":
        return False
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as probe:
            made = probe.add_stream_from_template(stream, opaque=True)
            made.disposition = stream.disposition
            if stream.type == "attachment":
                made.metadata.update(stream.metadata)
            probe.start_encoding()
    except (av.error.FFmpegError, ValueError, OSError):
        return False
    return True


_TAGS = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")
_ASS_FIELDS = 8  # before the text of an ASS event in Matroska: ReadOrder, Layer, Style, Name, three margins, Effect
_ASS_HEADER = (
    b"[Script Info]\r\nScriptType: v4.00+\r\nPlayResX: 384\r\nPlayResY: 288\r\n\r\n[V4+ Styles]\r\n"
    b"Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, "
    b"Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, "
    b"MarginL, MarginR, MarginV, "
    b"Encoding\r\nStyle: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1\r\n\r\n"
    b"[Events]\r\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
)


def _retext(packet: Any, data: bytes) -> Any:
    made = av.Packet(data)
    made.stream = packet.stream
    made.time_base, made.pts, made.dts, made.duration = packet.time_base, packet.pts, packet.dts, packet.duration
    return made


def _to_mov_text(packet: Any) -> Any:
    text = bytes(packet).decode("utf-8", "replace")
    if packet.stream.codec_context.name in ("ass", "ssa"):
        text = text.split(",", _ASS_FIELDS)[-1]
    plain = _TAGS.sub("", text).replace("\\N", "\n").replace("\\n", "\n").strip("\0\r\n").encode()[:65535]
    return _retext(packet, len(plain).to_bytes(2, "big") + plain)


def _to_subrip(packet: Any) -> Any:
    data = bytes(packet)
    text = data[2 : 2 + int.from_bytes(data[:2], "big")]
    # An empty sample fills the time between two subtitles of mp4; Matroska has gaps instead.
    return _retext(packet, text) if text.strip() else None


# By muxer and codec: the codec that the muxer takes, and what makes its packets.
_CONVERSIONS: dict[tuple[str, str | None], tuple[str, Any]] = {
    ("matroska", "mov_text"): ("subrip", _to_subrip),
    **{(m, c): ("mov_text", _to_mov_text) for m in ("mp4", "mov") for c in ("subrip", "srt", "ass", "ssa", "text")},
}
