"""Decoding on a GPU (``--hwaccel``): the same samples in memory, in the format in which the CPU would give them.

Nothing falls back by itself here: PyAV is told not to, and what cannot be decoded there is said before the job begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av.error
from av.codec import CodecContext
from av.codec.hwaccel import HWAccel, hwdevices_available

from vedit.errors import InputError, ResourceError

if TYPE_CHECKING:
    from vedit.video.clip import ClipInfo

# What a GPU gives for each pixel format of the CPU's decoders: the same samples, otherwise arranged.
_ARRANGED = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le"}


@dataclass(frozen=True)
class Accelerator:
    """A kind of device by FFmpeg's name (``cuda``), and which one of them; None: the first."""

    kind: str
    device: str | None = None

    def settings(self) -> Any:
        """For :func:`av.open`: never in software."""
        return HWAccel(self.kind, self.device, allow_software_fallback=False)

    def obstacle(self, info: ClipInfo) -> str | None:
        """Why the clip cannot be decoded there, in words; None if it can. Decodes its first frame."""
        if info.sequence:
            return "images are decoded on the CPU"
        if info.alpha:
            return "transparency is decoded on the CPU"
        if info.pix_fmt not in _ARRANGED:
            return f"{info.pix_fmt} is decoded on the CPU; a GPU gives {' or '.join(_ARRANGED)}"
        absent = self.absent()
        if absent is not None:
            return absent
        which = self._name
        try:
            with info.open(self) as container:
                frame = self._first(container, info)
        except (av.error.FFmpegError, OSError, ValueError, RuntimeError, InputError) as error:
            return f"{which} cannot decode this {info.codec} ({_reason(error)})"
        if frame is None:
            return f"{which} cannot decode this {info.codec} (no frame came out)"
        if (frame.width, frame.height) != (info.width, info.height):
            return f"{which} gives {frame.width}x{frame.height} for {info.width}x{info.height}"
        if frame.format.name not in (info.pix_fmt, _ARRANGED[info.pix_fmt]):
            return f"{which} gives {frame.format.name} for {info.pix_fmt}"
        return None

    @property
    def _name(self) -> str:
        return self.kind if self.device is None else f"{self.kind}:{self.device}"

    def absent(self) -> str | None:
        """Why there is no such device here, in words; None if there is."""
        devices = hwdevices_available()
        if self.kind not in devices:
            return f"this build of FFmpeg has no {self.kind}, only {', '.join(devices) or 'the CPU'}"
        try:
            CodecContext.create("h264", "r", self.settings())
        except (av.error.FFmpegError, OSError, ValueError, RuntimeError) as error:
            return f"FFmpeg cannot open the device {self._name} ({_reason(error)})"
        return None

    def _first(self, container: Any, info: ClipInfo) -> Any:
        stream = container.streams[info.stream]
        decoder = self.decoder(stream)
        for packet in container.demux(stream):
            frames = decoder.decode(packet)
            if frames:
                return frames[0]
        return None

    def decoder(self, stream: Any) -> Any:
        """The stream's decoder on the device. Raises ``ValueError`` where there is none."""
        decoder = stream.codec_context
        if not decoder.is_hwaccel:
            raise ValueError(f"there is no decoder for {decoder.name} on {self.kind}")
        decoder.thread_count = 1  # the work is done elsewhere
        return decoder

    def failed(self, name: str, error: BaseException) -> ResourceError:
        """What to raise when it fails in the middle of the clip ``name``, where the CPU might not."""
        return ResourceError(
            f"{name}: {self.kind} could not decode a part of it ({_reason(error)}); use --hwaccel none"
        )


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())
