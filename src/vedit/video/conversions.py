"""What a container cannot hold as it is: sound encoded anew, subtitles told in another format's words."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import av.error

# What sound becomes where it cannot stay what it is: what every player of the container knows. AVI could
# not say what of an MP3 is the encoder's run-up, so its sound would be late.
_SOUND = {"webm": "libopus", "mp4": "aac", "mov": "aac", "mpegts": "aac", "avi": "pcm_s16le", "matroska": "flac"}
_CHANNEL_RATE = 96_000  # bits a second for each channel: more than these need for stereo that nobody can tell apart
_TICK = Fraction(1, 1000)  # s: of Matroska's clock
_GAP = Fraction(1, 50)  # s without sound that are a gap
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

Convert = Callable[[Any], list[Any]]  # a packet of the source, or None at its end → packets of the result


def sound(container: Any, muxer: str, stream: Any, warnings: list[str]) -> tuple[Any, Convert, str] | None:
    """A stream of the result for sound that ``muxer`` cannot hold, and what makes its packets.

    Times stay: the decoder gives every frame the time of its packet and the encoder goes on from there. None where no
    encoder takes the sound. The last of the three is what it becomes, for the person to read.
    """
    codec = _SOUND.get(muxer)
    context = stream.codec_context
    if codec is None or context is None or not context.sample_rate or not context.channels:
        return None
    rates = av.codec.Codec(codec, "w").audio_rates
    rate = context.sample_rate
    if rates is not None and rate not in rates:
        rate = min((r for r in rates if r >= rate), default=max(rates))
    for layout in dict.fromkeys((context.layout.name, "stereo" if context.channels > 1 else "mono")):
        if _opens(codec, rate, layout):
            break
    else:
        return None
    made = container.add_stream(codec, rate=rate, layout=layout)
    made.codec_context.thread_count = 1
    made.codec_context.flags |= av.codec.context.Flags.bitexact
    channels = av.AudioLayout(layout).nb_channels
    if codec not in ("flac", "pcm_s16le"):
        made.codec_context.bit_rate = _CHANNEL_RATE * channels
    said = codec.removeprefix("lib")
    if channels != context.channels:
        said += f" with {channels} channels in place of {context.channels}"
    return made, _Sound(made, stream.index, muxer, warnings), said


class _Sound:
    """Packets of sound → frames → packets of another codec."""

    def __init__(self, made: Any, index: int, muxer: str, warnings: list[str]) -> None:
        self._made, self._index, self._warnings = made, index, warnings
        # A transport stream cannot say that the encoder's run-up is not to be heard, nor have times before zero.
        self._cut = muxer == "mpegts"
        self._first = Fraction(0)  # time of the first sample, s
        self._next: int | None = None  # time of the sample to come, in samples

    def __call__(self, packet: Any) -> list[Any]:
        packets = []
        for frame in self._decode(packet):
            self._place(frame)
            packets += self._made.encode(frame)
        if packet is None and self._next is not None:
            packets += self._made.encode(None)
        if self._cut:
            packets = [p for p in packets if p.pts * p.time_base > self._first - _TICK]
        return packets

    def _place(self, frame: Any) -> None:
        """Sample follows sample: times in milliseconds, as in Matroska, would shift frames a little. A gap stays."""
        rate = frame.sample_rate
        if frame.pts is not None:
            at = frame.pts * frame.time_base
            if self._next is None:
                self._first = at
            if self._next is None or at * rate - self._next > _GAP * rate:
                self._next = round(at * rate)
        self._next = self._next or 0
        frame.pts, frame.time_base = self._next, Fraction(1, rate)
        self._next += frame.samples

    def _decode(self, packet: Any) -> list[Any]:
        try:
            return [] if packet is None else packet.decode()
        except av.error.FFmpegError:
            said = f"sound of stream {self._index} is damaged: what cannot be read is left out"
            if said not in self._warnings:
                self._warnings.append(said)
            return []


def _opens(codec: str, rate: int, layout: str) -> bool:
    """Whether an encoder takes these channels: its own answer."""
    try:
        probe: Any = av.codec.CodecContext.create(codec, "w")
        probe.sample_rate, probe.layout, probe.format = rate, layout, probe.codec.audio_formats[0]
        probe.open()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def subtitles(container: Any, muxer: str, stream: Any, codec: str | None) -> tuple[Any, Convert, str] | None:
    """The same for subtitles."""
    target = _SUBTITLES.get((muxer, codec))
    if target is None:
        return None
    name, change = target
    if name == "mov_text":
        # Its encoder writes the sample description that mp4 needs; the packets are made here.
        made = container.add_stream(name)
        made.codec_context.subtitle_header = _ASS_HEADER
        made.codec_context.time_base = stream.time_base
    else:
        made = container.add_mux_stream(name, time_base=stream.time_base)
    return made, lambda packet: [] if packet is None else change(packet), name


def _retext(packet: Any, data: bytes) -> list[Any]:
    made = av.Packet(data)
    made.stream = packet.stream
    made.time_base, made.pts, made.dts, made.duration = packet.time_base, packet.pts, packet.dts, packet.duration
    return [made]


def _plain(packet: Any) -> bytes:
    """The words of a subtitle without styles, in UTF-8."""
    data = bytes(packet)
    name = packet.stream.codec_context.name
    if name == "mov_text":
        data = data[2 : 2 + int.from_bytes(data[:2], "big")]
    text = data.decode("utf-8", "replace")
    if name in ("ass", "ssa"):
        text = text.split(",", _ASS_FIELDS)[-1]
    return _TAGS.sub("", text).replace("\\N", "\n").replace("\\n", "\n").strip("\0\r\n").encode()


def _to_mov_text(packet: Any) -> list[Any]:
    plain = _plain(packet)[:65535]
    return _retext(packet, len(plain).to_bytes(2, "big") + plain)


def _to_subrip(packet: Any) -> list[Any]:
    data = bytes(packet)
    text = data[2 : 2 + int.from_bytes(data[:2], "big")]
    # An empty sample fills the time between two subtitles of mp4; Matroska has gaps instead.
    return _retext(packet, text) if text.strip() else []


def _to_webvtt(packet: Any) -> list[Any]:
    # An empty line would end the cue; these three signs mean something in it.
    text = re.sub(r"\n\s*\n", "\n", _plain(packet).decode()).strip()
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _retext(packet, text.encode()) if text else []


_TEXT = ("subrip", "srt", "ass", "ssa", "text")
# By muxer and codec: the codec that the muxer takes, and what makes its packets.
_SUBTITLES: dict[tuple[str, str | None], tuple[str, Callable[[Any], list[Any]]]] = {
    ("matroska", "mov_text"): ("subrip", _to_subrip),
    **{(muxer, codec): ("mov_text", _to_mov_text) for muxer in ("mp4", "mov") for codec in (*_TEXT, "webvtt")},
    **{("webm", codec): ("webvtt", _to_webvtt) for codec in (*_TEXT, "mov_text")},
}
