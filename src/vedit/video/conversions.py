"""What a container cannot hold as it is: sound encoded anew, subtitles told in another format's words."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import av.codec
import av.error
import numpy as np

# What sound becomes where it cannot stay what it is: what every player of the container knows. AVI could not say what
# of an MP3 is the encoder's run-up, so its sound would be late.
_SOUND = {
    "webm": "libopus", "mp4": "aac", "mov": "aac", "mpegts": "aac", "avi": "pcm_s16le", "matroska": "flac",
    "nut": "flac",
}  # fmt: skip
_LOSSLESS = {"flac": ("s16", "s32"), "pcm_s16le": ("s16", "s32")}  # format for 16 bits and for more
_CHANNEL_RATE = 96_000  # bits a second for each channel: more than these need for stereo that nobody can tell apart
_USUAL = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}  # by channels
_TICK = Fraction(1, 1000)  # s: of Matroska's clock
_GAP = Fraction(1, 50)  # s by which sound may be off its times
_SILENCE = 600  # s: a longer gap is a new beginning, and stays a gap
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


def named_layout(layout: Any) -> str | None:
    """The name of a layout of channels; of one that only counts them the usual one, None where there is none."""
    if re.fullmatch(r"\d+ channels?", layout.name):
        return _USUAL.get(layout.nb_channels)
    return str(layout.name)


def sound(container: Any, muxer: str, stream: Any, warnings: list[str]) -> tuple[Any, Convert, str] | None:
    """A stream of the result for sound that ``muxer`` cannot hold, and what makes its packets.

    None where nothing decodes or encodes the sound. The last of the three is what it becomes, for the person to read.
    """
    codec = _SOUND.get(muxer)
    context = stream.codec_context
    if codec is None or context is None or not context.sample_rate or not context.channels:
        return None
    rate = _rate(codec, context.sample_rate)
    own = named_layout(context.layout)
    # The usual layout of so many channels before the own one: every player has it.
    wanted = (_USUAL.get(context.channels), own, "stereo" if context.channels > 1 else "mono")
    deep = context.format is not None and context.format.name in ("s32", "s32p")
    form = _LOSSLESS[codec][deep] if codec in _LOSSLESS else None
    if codec == "pcm_s16le" and deep:
        codec = "pcm_s24le"
    for layout in dict.fromkeys(name for name in wanted if name is not None):
        if _opens(codec, rate, layout, form) and _mixes(own, layout):
            break
    else:
        return None
    made = container.add_stream(codec, rate=rate, layout=layout)
    if form is not None:
        made.codec_context.format = form
    made.codec_context.thread_count = 1
    made.codec_context.flags |= av.codec.context.Flags.bitexact
    channels = av.AudioLayout(layout).nb_channels
    if form is None:
        made.codec_context.bit_rate = _CHANNEL_RATE * channels
    said = codec.removeprefix("lib")
    if channels != context.channels:
        said += f" with {channels} channels in place of {context.channels}"
    return made, _Sound(made, context, stream.index, muxer, warnings), said


def _rate(codec: str, rate: int) -> int:
    rates = av.codec.Codec(codec, "w").audio_rates
    if rates is None or rate in rates:
        return rate
    return min((r for r in rates if r >= rate), default=max(rates))


def _opens(codec: str, rate: int, layout: str, form: str | None) -> bool:
    """Whether an encoder takes these channels: its own answer."""
    try:
        probe: Any = av.codec.CodecContext.create(codec, "w")
        probe.sample_rate, probe.layout, probe.format = rate, layout, form or probe.codec.audio_formats[0]
        probe.open()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _mixes(own: str | None, layout: str) -> bool:
    """Whether channels of one layout can be mixed to another's: FFmpeg's own answer, asked with silence."""
    if own is None:
        return False
    try:
        av.AudioResampler(format="fltp", layout=layout, rate=48000).resample(_silence(960, own, 48000))
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _silence(samples: int, layout: str, rate: int) -> Any:
    frame = av.AudioFrame(format="s16", layout=layout, samples=samples)
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    frame.sample_rate = rate
    return frame


class _Sound:
    """Packets of sound → frames → packets of another codec.

    Sample follows sample: the clock of the source, which may count milliseconds, would shift each frame a little. What
    is off its time by more than 20 ms is brought back, by silence or by leaving a frame out. What changes on the way,
    as in broadcasts, becomes what the sound was at first.
    """

    def __init__(self, made: Any, decoder: Any, index: int, muxer: str, warnings: list[str]) -> None:
        self._made, self._decoder, self._index, self._warnings = made, decoder, index, warnings
        # A transport stream cannot say that the encoder's run-up is not to be heard, nor have times before zero.
        self._cut = muxer == "mpegts"
        # FLAC ends with a packet that holds nothing but its header anew, which NUT would store as an empty one.
        self._plain = muxer == "nut"
        # AVI has no times: what comes first is heard at zero.
        self._from_zero = muxer == "avi"
        self._first = Fraction(0)  # time of the first sample, s
        self._heard: Fraction | None = None  # end of what came in, s
        self._next = 0  # time of the sample that goes out next, in samples
        self._kind: tuple[str, str, int] | None = None
        self._resampler: Any = None

    def __call__(self, packet: Any) -> list[Any]:
        packets = []
        for frame in self._frames(packet):
            try:
                packets += self._take(frame)
            except (av.error.FFmpegError, ValueError):
                self._damaged()
        if packet is None and self._heard is not None:
            packets += [*self._drained(), *self._made.encode(None)]
        if self._plain:
            packets = [p for p in packets if p.size]
        if self._cut:
            packets = [p for p in packets if p.pts * p.time_base > self._first - _TICK]
        return packets

    def _frames(self, packet: Any) -> list[Any]:
        try:
            return self._decoder.decode(packet)
        except av.error.EOFError:
            return []
        except av.error.FFmpegError:
            self._damaged()
            return []

    def _damaged(self) -> None:
        said = f"sound of stream {self._index} is damaged: what cannot be read is left out"
        if said not in self._warnings:
            self._warnings.append(said)

    def _take(self, frame: Any) -> list[Any]:
        packets = []
        rate = frame.sample_rate
        layout = named_layout(frame.layout)
        if layout is None or not rate:
            raise ValueError("channels without a name")
        ended = self._heard
        at = (ended or Fraction(0)) if frame.pts is None else frame.pts * frame.time_base
        if ended is None:
            late = self._from_zero and at > 0
            self._first = ended = Fraction(0) if late else at
            self._next = round(ended * self._made.codec_context.sample_rate)
        off = at - ended
        if off < -_GAP:
            return []  # the source's clock is faster than its samples
        if frame.layout.name != layout:
            frame = self._named(frame, layout)
        if off > _GAP:
            packets += self._waited(off)
            ended = at
        kind = (frame.format.name, layout, rate)
        if kind != self._kind:
            packets += self._drained()
            self._resampler, self._kind = self._to_encoder(), kind
        self._heard = ended + Fraction(frame.samples, rate)
        frame.pts = None
        return packets + self._encoded(frame)

    def _waited(self, seconds: Fraction) -> list[Any]:
        """Silence of so many seconds."""
        packets = self._drained()
        context = self._made.codec_context
        left = round(seconds * context.sample_rate)
        if seconds > _SILENCE:
            self._next += left
            return packets
        self._resampler = self._to_encoder()
        while left:
            some = min(left, context.sample_rate)
            packets += self._encoded(_silence(some, context.layout.name, context.sample_rate))
            left -= some
        return packets + self._drained()

    def _to_encoder(self) -> Any:
        context = self._made.codec_context
        return av.AudioResampler(context.format.name, context.layout.name, context.sample_rate)

    @staticmethod
    def _named(frame: Any, layout: str) -> Any:
        """The same samples with channels that have names."""
        named = av.AudioFrame.from_ndarray(np.ascontiguousarray(frame.to_ndarray()), frame.format.name, layout)
        named.sample_rate = frame.sample_rate
        return named

    def _encoded(self, frame: Any) -> list[Any]:
        packets = []
        rate = self._made.codec_context.sample_rate
        for part in self._resampler.resample(frame):
            part.pts, part.time_base = self._next, Fraction(1, rate)
            self._next += part.samples
            packets += self._made.encode(part)
        return packets

    def _drained(self) -> list[Any]:
        """What the resampler still holds."""
        if self._resampler is None:
            return []
        packets = self._encoded(None)
        self._resampler = self._kind = None
        return packets


def subtitles(
    container: Any, muxer: str, stream: Any, codec: str | None, warnings: list[str]
) -> tuple[Any, Convert, str] | None:
    """The same for subtitles."""
    name = _SUBTITLES.get(muxer)
    if name is None or codec not in _WORDS:
        return None
    words = _Words(codec, stream.index, warnings)
    if name == "mov_text":
        # Its encoder writes the sample description that mp4 needs; the packets are made here.
        made = container.add_stream(name)
        made.codec_context.subtitle_header = _ASS_HEADER
        made.codec_context.time_base = stream.time_base
        return made, _OneAtATime(words), name
    made = container.add_mux_stream(name, time_base=stream.time_base)
    return made, _Cues(words, _cue if name == "webvtt" else str.encode), name


class _Words:
    """The words of a subtitle without styles."""

    def __init__(self, codec: str, index: int, warnings: list[str]) -> None:
        self._codec, self._index, self._warnings = codec, index, warnings

    def __call__(self, packet: Any) -> str:
        data = bytes(packet)
        if self._codec == "mov_text":
            data = data[2 : 2 + int.from_bytes(data[:2], "big")]
        text = self._decoded(data)
        if self._codec in ("ass", "ssa"):
            text = text.split(",", _ASS_FIELDS)[-1]
            if _DRAWING.search(text):
                return ""
            text = _OVERRIDE.sub("", text).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
        elif self._codec == "webvtt":
            text = html.unescape(_TAGS.sub("", text)).replace("\u00a0", " ")
        elif self._codec != "mov_text":
            text = _OVERRIDE.sub("", _TAGS.sub("", text))
        return text.replace("\r\n", "\n").strip("\0\r\n")

    def _decoded(self, data: bytes) -> str:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            said = f"subtitles of stream {self._index} are not UTF-8: read as Windows-1252"
            if said not in self._warnings:
                self._warnings.append(said)
            return data.decode("cp1252", "replace")


class _Cues:
    """A packet for a packet, those without words left out: in mp4 an empty one fills the time between two."""

    def __init__(self, words: _Words, encode: Callable[[str], bytes]) -> None:
        self._words, self._encode = words, encode

    def __call__(self, packet: Any) -> list[Any]:
        if packet is None or not (text := self._words(packet).strip()):
            return []
        return [_packet(packet, self._encode(text), packet.pts, packet.duration)]


class _OneAtATime:
    """Text of mp4, of which there is one at a time: where several are shown, they become one of several lines."""

    def __init__(self, words: _Words) -> None:
        self._words = words
        self._shown: list[tuple[int, str]] = []  # end, in ticks, and text
        self._at = 0
        self._last: Any = None

    def __call__(self, packet: Any) -> list[Any]:
        if packet is None:
            return self._until(None)
        text = self._words(packet).strip()
        begin = packet.pts if packet.pts is not None else packet.dts
        packets = self._until(begin)
        self._last = packet
        self._at = max(self._at, begin)
        if text:
            self._shown.append((begin + max(1, packet.duration or 0), text))
        return packets

    def _until(self, time: int | None) -> list[Any]:
        """What is shown from where this stands to ``time``, or to the end of all that is known."""
        packets = []
        while self._shown and (time is None or self._at < time):
            end = min(stop for stop, _ in self._shown)
            end = end if time is None else min(end, time)
            if end > self._at:
                plain = "\n".join(text for _, text in self._shown).encode()[:65535]
                data = len(plain).to_bytes(2, "big") + plain
                packets.append(_packet(self._last, data, self._at, end - self._at))
                self._at = end
            self._shown = [(stop, text) for stop, text in self._shown if stop > self._at]
        return packets


def _packet(packet: Any, data: bytes, pts: int, duration: int) -> Any:
    made = av.Packet(data)
    made.stream, made.time_base = packet.stream, packet.time_base
    made.pts = made.dts = pts
    made.duration = duration
    return made


def _cue(text: str) -> bytes:
    """As a cue of WebVTT: an empty line would end it, and three signs mean something there."""
    text = re.sub(r"\n\s*\n", "\n", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").encode()


_TAGS = re.compile(r"</?(?:b|i|u|s|font|c|v|ruby|rt|lang)(?=[\s>./])[^<>]*>|<\d\d:[\d:.]*>", re.IGNORECASE)
_OVERRIDE = re.compile(r"\{[^{}]*\}")
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9][^{}]*\}")
_WORDS = ("subrip", "srt", "ass", "ssa", "text", "webvtt", "mov_text")
# What text becomes where it cannot stay what it is.
_SUBTITLES = {"mp4": "mov_text", "mov": "mov_text", "webm": "webvtt", "matroska": "subrip"}
