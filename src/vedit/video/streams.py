"""Every stream beside the edited one goes into the result packet for packet, or is converted, or named as dropped."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import av.error
import av.stream
import numpy as np

from vedit.video import conversions
from vedit.video.clip import ClipInfo
from vedit.video.info import DISPOSITIONS


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


_NOTICED = 0.05  # seconds by which sound may be off


@dataclass
class _Route:
    stream: Any
    last: int | None = None  # decoding time of the packet before, and what is added to the source's
    shift: int = 0
    convert: conversions.Convert | None = None
    begun: bool = False
    end: Fraction | None = None  # of the packet before, s
    counted: int | None = None  # time of the packet before in the container's own ticks, where these are coarse

    def straighten(self, packet: Any) -> bool:
        """Lets time go on where it jumps back, as the reader does for the video; whether it had to be moved."""
        dts = packet.dts
        if dts is None:
            return False
        # Muxers take two subtitles of one time, and nothing that goes back.
        together = packet.stream.type not in ("audio", "video")
        moved = self.last is not None and (dts < self.last or (dts == self.last and not together))
        if moved and self.last is not None:
            if dts + self.shift < self.last or (dts + self.shift == self.last and not together):
                self.shift = self.last - dts + (0 if together else max(1, packet.duration or 1))
            packet.dts = dts + self.shift
            if packet.pts is not None:
                packet.pts += self.shift
        self.last = packet.dts
        return moved

    def count(self, packet: Any) -> None:
        """AVI counts sound in blocks: two packets by a clock of milliseconds may fall into one, which it refuses.
        It has no times for sound either, so that the next block will do."""
        tick = self.stream.time_base
        when = packet.pts if packet.dts is None else packet.dts
        ticks = round(when * packet.time_base / tick)
        if self.counted is not None and ticks <= self.counted:
            ticks = self.counted + 1
        packet.duration = round((packet.duration or 0) * packet.time_base / tick)
        packet.pts = packet.dts = self.counted = ticks
        packet.time_base = tick


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
        if _is_cover(stream) and self.format == "matroska":
            return self._attach_cover(container, stream, what)
        if _accepts(self.format, stream):
            return self._template(container, stream, what)
        converted = None
        if stream.type == "subtitle":
            converted = conversions.subtitles(container, self.format, stream, codec, self.warnings)
        elif stream.type == "audio":
            converted = conversions.sound(container, self.format, stream, self.warnings)
        if converted is not None:
            made, convert, target = converted
            self._describe(made, stream, what)
            why = "styles are not kept" if stream.type == "subtitle" else f"{self.format} cannot hold it as it is"
            self.warnings.append(f"{what} becomes {target}: {why}")
            return _Route(made, convert=convert)
        self.warnings.append(f"{what} is dropped: {self.format} cannot hold it")
        return None

    def _anew(self, stream: Any, codec: str | None) -> bool:
        """Whether these are the titles of the chapters or a time code: they are written anew from the chapters and the
        tag that they stand for. Other data without a codec that FFmpeg knows is a camera's."""
        if codec in ("tmcd", "none", None):
            return "timecode" in stream.metadata and self.format not in ("mpegts", "avi")
        return codec == "bin_data" and bool(self.info.chapters) and stream.index == _titles(self.source)

    def _template(self, container: Any, stream: Any, what: str) -> _Route:
        made = _like(container, stream, self.format)
        self._describe(made, stream, what)
        return _Route(made)

    def _attach_cover(self, container: Any, stream: Any, what: str) -> None:
        """Cover art is an attached file in Matroska; as a stream it would be a second video."""
        tags = {k.lower(): v for k, v in stream.metadata.items()}
        suffix, mime = _PICTURES.get(getattr(stream.codec_context, "name", ""), ("", ""))
        picture = _picture(self.info, stream.index) if mime else None
        if picture is None:
            self.warnings.append(f"{what} is dropped: {self.format} cannot hold it")
            return
        container.add_attachment(tags.get("filename") or f"cover.{suffix}", mime, picture)

    def _describe(self, made: Any, stream: Any, what: str) -> None:
        lost = describe(made, stream, self.format)
        if lost:
            self.warnings.append(f"{what} loses its {' and '.join(lost)}: {self.format} cannot hold that")

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
                    self._flush(container)
                    return
                self._delay(self.pending)
                self._straighten(self.pending)
            packet = self.pending
            when = packet.dts if packet.dts is not None else packet.pts
            if when is None and packet.size and packet.stream.disposition & av.stream.Disposition.attached_pic:
                packet.pts = packet.dts = when = 0  # a picture, not a moment
            if when is None:
                said = f"packets of stream {packet.stream.index} have no time and are dropped"
                if packet.size and said not in self.warnings:
                    self.warnings.append(said)
                self.pending = None
                continue
            if limit is not None and when * packet.time_base > limit:
                return
            self.pending = None
            route = self.routes.get(packet.stream.index)
            if route is None:
                continue
            if packet.pts is None:
                packet.pts = packet.dts
            self._notice_gap(route, packet)
            self._mux(container, route, [packet] if route.convert is None else route.convert(packet))

    def _notice_gap(self, route: _Route, packet: Any) -> None:
        """AVI and PCM in QuickTime have no times: what comes after a gap is heard at its beginning."""
        if route.convert is not None or packet.stream.type != "audio":
            return
        if self.format != "avi" and not _is_plain(packet.stream, self.format):
            return
        if self.format == "avi" and not route.begun and (late := packet.pts * packet.time_base) > _NOTICED:
            self.warnings.append(
                f"the sound of stream {packet.stream.index} is {float(late):.2g} s early: avi begins all sound at zero"
            )
        route.begun = True
        if route.end is not None and (gap := packet.pts * packet.time_base - route.end) > _NOTICED:
            self.warnings.append(
                f"the sound of stream {packet.stream.index} pauses for {float(gap):.2g} s, which {self.format} cannot "
                "say: what follows is early"
            )
        route.end = (packet.pts + (packet.duration or 0)) * packet.time_base if packet.duration else None

    def _flush(self, container: Any) -> None:
        """What encoders of sound still hold."""
        for route in self.routes.values():
            if route.convert is not None:
                self._mux(container, route, route.convert(None))

    def _mux(self, container: Any, route: _Route, packets: list[Any]) -> None:
        for packet in packets:
            if self.format == "avi" and route.stream.type == "audio":
                route.count(packet)
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


def describe(made: Any, stream: Any, muxer: str) -> list[str]:
    """Gives a stream of the result the tags and dispositions of the source's, and returns what the muxer cannot say."""
    tags = {k: v for k, v in stream.metadata.items() if keep_tag(k)}
    if "name" in tags and "title" not in tags:  # as FFmpeg reads what it wrote as the title of a track of mp4
        tags["title"] = tags.pop("name")
    language, title = tags.get("language", "und"), tags.get("title")
    lost = []
    if language != "und":
        known = language
        if muxer == "mov":
            known = next(filter(_in_quicktime, (language, _OTHER_CODES.get(language, language))), None)
        if known is None or muxer == "avi":
            lost.append(f"language ({language})")
        else:
            tags["language"] = known
    if title and muxer == "mpegts":
        lost.append(f"title ({title})")
    marks = [name for name in DISPOSITIONS if stream.disposition & getattr(av.stream.Disposition, name)]
    marks = [name for name in marks if name not in ("default", "attached_pic") and not _keeps_mark(muxer, name)]
    if marks:
        lost.append(f"mark as {', '.join(marks)}")
    made.metadata.update(tags)
    made.disposition = stream.disposition
    return lost


def _is_cover(stream: Any) -> bool:
    return stream.type == "video" and bool(stream.disposition & av.stream.Disposition.attached_pic)


def _picture(info: ClipInfo, index: int) -> bytes | None:
    """The bytes of a picture that is a stream, read from the file once more; None if it has none."""
    with info.open() as container:
        for packet in container.demux(container.streams[index]):
            if packet.size:
                return bytes(packet)
    return None


@functools.cache
def _keeps_mark(muxer: str, name: str) -> bool:
    """Whether a container says of a stream that it is, say, a comment: FFmpeg's own answer, as below."""
    if muxer in _MARKS:
        return name in _MARKS[muxer]
    wanted = getattr(av.stream.Disposition, name)
    file = io.BytesIO()
    codec, rate = ("libopus", 48000) if muxer == "webm" else ("pcm_s16le", 8000)
    with av.open(file, "w", format=muxer) as made:
        sound = made.add_stream(codec, rate=rate, layout="mono")
        sound.disposition = wanted
        frame = av.AudioFrame.from_ndarray(np.zeros((1, rate // 50), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for packet in [*sound.encode(frame), *sound.encode(None)]:
            made.mux(packet)
    file.seek(0)
    with av.open(file) as container:
        return bool(container.streams[0].disposition & wanted)


@functools.cache
def _in_quicktime(language: str) -> bool:
    """Whether QuickTime has this language: FFmpeg's own answer, asked with a file of one sample."""
    file = io.BytesIO()
    with av.open(file, "w", format="mov") as made:
        sound = made.add_stream("pcm_s16le", rate=8000)
        sound.metadata["language"] = language
        packet = av.Packet(bytes(8))
        packet.stream, packet.pts, packet.dts, packet.time_base = sound, 0, 0, Fraction(1, 8000)
        made.mux(packet)
    file.seek(0)
    with av.open(file) as container:
        return container.streams[0].language == language


def _is_plain(stream: Any, muxer: str) -> bool:
    """Whether this is sound without compression for mp4 or QuickTime."""
    name = getattr(stream.codec_context, "name", None) or ""
    return muxer in ("mp4", "mov") and stream.type == "audio" and name.startswith("pcm_")


def _like(container: Any, stream: Any, muxer: str) -> Any:
    """A stream for packets of ``stream``. mp4 wants to know whose channels they are: the usual ones, if not told."""
    made = container.add_stream_from_template(stream, opaque=True)
    if _is_plain(stream, muxer):
        layout = conversions.named_layout(stream.codec_context.layout)
        if layout is not None and layout != stream.codec_context.layout.name:
            made.codec_context.layout = layout
    return made


def _accepts(muxer: str, stream: Any) -> bool:
    """Whether the muxer writes a header for this stream: FFmpeg's own answer, asked with an empty file. Where it says
    yes to what nobody could read afterwards, the answer is ours."""
    if stream.type == "unknown" or (stream.type == "attachment" and muxer != "matroska"):
        return False
    if "timecode" in stream.metadata and stream.type == "data" and muxer in ("mpegts", "avi"):
        return False  # a track of mp4's kind, which would become data that nobody can read
    if _is_cover(stream) and muxer != "mp4":
        return False
    # Without a codec that this build of FFmpeg knows there is nothing that a template could be made of.
    if muxer == "mpegts" and stream.type != "data" and getattr(stream.codec_context, "name", "") not in _TRANSPORTED:
        return False
    try:
        with av.open(io.BytesIO(), "w", format=muxer) as probe:
            made = _like(probe, stream, muxer)
            made.disposition = stream.disposition
            if stream.type == "attachment":
                made.metadata.update(stream.metadata)
            probe.start_encoding()
            if _is_plain(stream, muxer):
                # QuickTime's muxer looks at the channels at the end, and at those of tracks with samples alone.
                packet = av.Packet(bytes(24 * stream.codec_context.channels))
                packet.stream, packet.pts, packet.dts, packet.time_base = made, 0, 0, made.time_base
                probe.mux(packet)
    except (av.error.FFmpegError, ValueError, OSError):
        return False
    return True


_PICTURES = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png"), "gif": ("gif", "image/gif"),
             "tiff": ("tiff", "image/tiff"), "bmp": ("bmp", "image/bmp")}  # fmt: skip
# FFmpeg writes all else into a transport stream too, as private data of which nothing says what it is.
_TRANSPORTED = {"h264", "hevc", "vvc", "mpeg1video", "mpeg2video", "mpeg4", "cavs", "dirac", "vc1", "jpeg2000",
                "aac", "aac_latm", "ac3", "eac3", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "dca",
                "truehd", "opus", "libopus", "s302m", "dvbsub", "dvb_subtitle", "dvb_teletext", "libzvbi_teletextdec",
                "pgssub", "hdmv_pgs_subtitle"}  # fmt: skip
# Marks of a stream that a container keeps; the others are asked.
_MARKS = {"avi": (), "mov": (), "mpegts": ("hearing_impaired", "visual_impaired", "clean_effects")}
# Languages have two codes in ISO 639-2, and FFmpeg's list of QuickTime's languages has some of each, and its own.
_OTHER_CODES: dict[str, str] = {
    "sqi": "alb", "hye": "arm", "eus": "baq", "mya": "bur", "zho": "chi", "ces": "cze", "nld": "dut", "fra": "fre",
    "kat": "geo", "deu": "ger", "ell": "gre", "isl": "ice", "mkd": "mac", "msa": "may", "mri": "mao", "fas": "per",
    "ron": "rum", "slk": "slo", "bod": "tib", "cym": "wel", "swe": "sve",
}  # fmt: skip
_OTHER_CODES |= {other: code for code, other in _OTHER_CODES.items()}
