"""A file opened: its container, the stream of its pictures, the decoder for it."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.codec
import av.error
import av.stream

from vedit.errors import InputError
from vedit.video import source as _source

if TYPE_CHECKING:
    from vedit.video.hwaccel import Accelerator

# Demuxers that take nearly any bytes for pictures: a text file is not a clip.
_NOT_VIDEO = {"tty", "bin", "xbin", "adf", "idf", "rawvideo"}


def open_input(
    path: str | os.PathLike[str], rate: Fraction | None = None, accelerator: Accelerator | None = None
) -> Any:
    """The open container of what ``path`` names (see :mod:`vedit.video.source`); ``rate`` is that of images.

    :class:`InputError` says in one line why it cannot be read.
    """
    found = _source.find(path, rate)
    more = {} if accelerator is None else {"hwaccel": accelerator.settings()}
    try:
        container = av.open(
            found.url, format=found.format, options=dict(found.options), metadata_errors="replace", **more
        )
    except PermissionError:
        raise InputError(f"{found.name}: no permission to read it; check the file's mode") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{found.name}: cannot be read as video ({reason(error)}): it is cut short, damaged or not a video; check "
            "that it plays, or give another file"
        ) from None
    if container.format.name in _NOT_VIDEO:
        container.close()
        raise InputError(f"{found.name}: not a video (looks like {container.format.name}); give a video file")
    return container


def decoder_of(stream: Any) -> Any:
    """The decoder to use for a video stream: FFmpeg's own for VP8 and VP9 leave out transparency, libvpx's do not."""
    library = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if library is None or not hidden_alpha(stream):
        return stream.codec_context
    try:
        return av.codec.CodecContext.create(library, "r")
    except ValueError:  # a build of FFmpeg without libvpx
        return stream.codec_context


def hidden_alpha(stream: Any) -> bool:
    """Whether a WebM stream carries transparency beside its pictures, which its pixel format does not tell."""
    return {k.lower(): v for k, v in stream.metadata.items()}.get("alpha_mode") == "1"


def reason(error: BaseException) -> str:
    """What went wrong, in one line."""
    text = getattr(error, "strerror", None) or str(error)
    return text.splitlines()[0] if text else type(error).__name__


def pick_stream(container: Any, name: str, stream: int | None = None) -> Any:
    """The first real video stream (cover art is not one), or the one with this index; :class:`InputError` otherwise."""
    if stream is not None:
        chosen = [s for s in container.streams if s.index == stream and s.type == "video"]
        if not chosen:
            raise InputError(f"{name}: stream {stream} is not a video stream; see the streams with: vedit info")
        return chosen[0]
    art = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    real = [s for s in container.streams.video if not s.disposition & art]
    if real:
        return real[0]
    if container.streams.video:
        raise InputError(f"{name}: no video stream, only cover art; give a file with video")
    if container.streams.audio:
        raise InputError(f"{name}: no video stream, only sound; give a file with video")
    raise InputError(f"{name}: no video stream; give a file with video")
