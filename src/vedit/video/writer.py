"""Writes the edited clip: everything that the source holds beside its pixels comes out as it went in.

What a container cannot hold is named in ``warnings``; it never fails the job. The file appears under its own name only
when it is complete (``commit``).
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.codec
import av.codec.context
import av.container
import av.error
import av.stream
import numpy as np

from vedit.errors import UsageError, VeditError
from vedit.video.color import Converter, bit_depth, is_rgb
from vedit.video.info import ClipInfo, Orientation, open_input
from vedit.video.mask import composite
from vedit.video.reader import SourceFrame

THREADS = 4  # pinned, not the machine's count: x264's bytes depend on it

# Suffix: FFmpeg's muxer and our codec for it.
CONTAINERS: dict[str, tuple[str, str]] = {
    ".mp4": ("mp4", "libx264"),
    ".m4v": ("mp4", "libx264"),
    ".mov": ("mov", "libx264"),
    ".mkv": ("matroska", "libx264"),
    ".webm": ("webm", "libvpx-vp9"),
    ".avi": ("avi", "libx264"),
    ".ts": ("mpegts", "libx264"),
    ".m2ts": ("mpegts", "libx264"),
    ".nut": ("nut", "ffv1"),
}
_ALIASES = {"h264": "libx264", "x264": "libx264", "h265": "libx265", "hevc": "libx265", "x265": "libx265",
            "vp9": "libvpx-vp9", "av1": "libsvtav1"}  # fmt: skip
_CODECS: dict[str, tuple[int | None, str | None, int]] = {  # default crf, default preset, highest crf
    "libx264": (16, "veryfast", 51),
    "libx265": (18, "fast", 51),
    "libvpx-vp9": (24, "4", 63),
    "libsvtav1": (24, "8", 63),
    "ffv1": (None, None, 0),
}
_X26_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
_ROTATES = {"mp4", "mov"}  # muxers that keep any display matrix; Matroska keeps rotations without a mirror
_OWN_KEYS = {"major_brand", "minor_version", "compatible_brands", "encoder"}  # written by the muxer itself
_ITUNES_KEYS = {
    "title", "artist", "album_artist", "composer", "album", "date",
    "comment", "genre", "copyright", "grouping", "lyrics", "description",
    "synopsis", "show", "episode_id", "network", "keywords", "creation_time",
    "track", "disc", "episode_sort", "season_number", "media_type", "hd_video",
    "gapless_playback", "compilation",
}  # fmt: skip


@dataclass(frozen=True)
class EncoderOptions:
    """How to encode; None: a default that depends on container, codec and source."""

    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    threads: int | None = None


@dataclass(frozen=True)
class OutputPlan:
    """What :func:`plan_output` settled: muxer, codec with its options, pixel format, and what will be lost."""

    format: str
    codec: str
    pix_fmt: str
    options: dict[str, str]
    threads: int
    bake_rotation: bool
    warnings: tuple[str, ...] = ()


def default_suffix(info: ClipInfo) -> str:
    """Suffix of the source's own container if vedit can write it, else ``.mp4`` (``.mkv`` for RGB or deep sources)."""
    suffix = Path(info.path).suffix.lower()
    if suffix in CONTAINERS:
        return suffix
    names = set(info.container.split(","))
    if names & {"mov", "mp4"}:
        return ".mp4"
    return ".mkv" if "matroska" in names else ".mp4"


def plan_output(path: str | os.PathLike[str], info: ClipInfo, encoder: EncoderOptions | None = None) -> OutputPlan:
    """Checks everything about the output that can be known before encoding; :class:`UsageError` names the option."""
    encoder = encoder or EncoderOptions()
    suffix = Path(path).suffix.lower()
    if suffix not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise UsageError(f"{os.fspath(path)}: cannot write {suffix or 'a file without a suffix'}; use one of {known}")
    muxer, default_codec = CONTAINERS[suffix]
    codec = _ALIASES.get(encoder.codec or "", encoder.codec) or default_codec
    if codec not in _CODECS:
        raise UsageError(f"--codec: {encoder.codec!r} is not known; use one of {', '.join(_CODECS)}")
    try:
        formats = [f.name for f in av.codec.Codec(codec, "w").video_formats or ()]
    except ValueError:
        raise UsageError(f"--codec: this build of FFmpeg has no {codec}; use one of {', '.join(_CODECS)}") from None
    if not _holds_codec(muxer, codec):
        raise UsageError(f"--codec: {suffix} cannot hold {codec}; use {default_codec}, or an output that ends in .mkv")
    options = _codec_options(codec, encoder, muxer, info.variable)
    threads = THREADS if encoder.threads is None else encoder.threads
    if threads < 1:
        raise UsageError(f"--threads: {threads} is not a number of threads; give 1 or more")

    warnings: list[str] = list(info.warnings)
    if encoder.pix_fmt is not None and encoder.pix_fmt not in formats:
        raise UsageError(f"--pix-fmt: {codec} cannot write {encoder.pix_fmt!r}; use one of {', '.join(formats)}")
    pix_fmt = encoder.pix_fmt or _choose_pix_fmt(formats, info, warnings)
    if codec in ("libx264", "libx265", "libsvtav1"):
        pix_fmt = _fit_size(codec, pix_fmt, formats, info, encoder, warnings)
    bake = not info.orientation.identity and not (
        muxer in _ROTATES or (muxer in ("matroska", "webm") and not info.orientation.mirrored)
    )
    if bake:
        warnings.append(f"{suffix} cannot keep the rotation of {info.rotation} degrees: the picture itself is turned")
    if info.alpha:
        warnings.append("the source's transparency is not kept")
    if info.hdr_metadata:
        warnings.append(f"HDR metadata is not kept: {', '.join(info.hdr_metadata)}")
    if info.interlaced:
        warnings.append("the source is interlaced: its frames are edited and written as progressive pictures")
    return OutputPlan(muxer, codec, pix_fmt, options, threads, bake, tuple(warnings))


def _holds_codec(muxer: str, codec: str) -> bool:
    with av.open(io.BytesIO(), "w", format=muxer) as probe:
        try:
            probe.add_stream(codec, rate=25)
        except ValueError:
            return False
    return True


def _codec_options(codec: str, encoder: EncoderOptions, muxer: str, variable: bool) -> dict[str, str]:
    crf, preset, highest = _CODECS[codec]
    if encoder.crf is not None:
        if crf is None:
            raise UsageError(f"--crf: {codec} is lossless and has no quality setting; leave it out")
        if not 0 <= encoder.crf <= highest:
            raise UsageError(f"--crf: {encoder.crf} is outside 0 (best) to {highest}")
        crf = encoder.crf
    if encoder.preset is not None:
        preset = encoder.preset
        allowed = {"libx264": _X26_PRESETS, "libx265": _X26_PRESETS, "ffv1": ()}.get(codec) or (
            tuple(map(str, range(9 if codec == "libvpx-vp9" else 14))) if codec != "ffv1" else ()
        )
        if preset not in allowed:
            raise UsageError(
                f"--preset: {codec} has no preset {preset!r}"
                + (f"; use one of {', '.join(allowed)}" if allowed else "; leave it out")
            )
    options = {} if crf is None else {"crf": str(crf)}
    if codec == "libvpx-vp9":
        options |= {"deadline": "good", "cpu-used": str(preset), "row-mt": "1"}
    elif codec == "ffv1":
        options |= {"level": "3", "slicecrc": "1"}  # the number of slices is its own: not every size can have four
    elif preset is not None:
        options["preset"] = preset
    if codec == "libx265":
        options["x265-params"] = "log-level=error:info=0"
    if muxer == "avi" or (muxer in ("mp4", "mov") and variable):
        # AVI has no presentation times; and mp4 counts a track's length in decoding order, which with a varying rate
        # and B-frames loses the end of the last frame.
        if codec == "libx265":
            options["x265-params"] += ":bframes=0"
        elif codec == "libx264":
            options["bf"] = "0"
    return options


def _choose_pix_fmt(formats: list[str], info: ClipInfo, warnings: list[str]) -> str:
    plain = {"nv12": "yuv420p", "nv21": "yuv420p", "p010le": "yuv420p10le", "yuva420p": "yuv420p",
             "yuva444p": "yuv444p", "yuyv422": "yuv422p", "uyvy422": "yuv422p"}  # fmt: skip
    source = plain.get(info.pix_fmt, info.pix_fmt)
    candidates = [source]
    if source.startswith("yuvj"):
        candidates.append(source.replace("yuvj", "yuv"))
    sampling = "420"
    if not is_rgb(source):
        base = source.replace("yuvj", "yuv")
        sampling = base[3:6] if base.startswith("yuv") and base[3:6] in ("420", "422", "444") else "420"
    elif info.bits > 8:
        candidates += ["gbrp10le", "yuv444p10le"]
    deep = ["12le", "10le"] if info.bits >= 12 else ["10le", "12le"] if info.bits > 8 else []
    for where in dict.fromkeys((sampling, "444", "420")):
        candidates += [f"yuv{where}p{depth}" for depth in deep]
    candidates += [f"yuv{where}p" for where in dict.fromkeys((sampling, "444", "420"))]
    candidates += ["bgr0", "bgra", "gbrp"]
    chosen = next((c for c in candidates if c in formats), formats[0])
    if bit_depth(chosen) < info.bits:
        warnings.append(f"{info.bits} bits a sample become {bit_depth(chosen)} ({chosen})")
    return chosen


def _fit_size(
    codec: str, pix_fmt: str, formats: list[str], info: ClipInfo, encoder: EncoderOptions, warnings: list[str]
) -> str:
    """4:2:0 and 4:2:2 of these codecs need even sizes; an odd one keeps its size in 4:4:4 instead."""
    if is_rgb(pix_fmt) or pix_fmt.startswith("gray"):
        return pix_fmt
    layout = av.VideoFormat(pix_fmt, 64, 64)
    odd_x = layout.chroma_width() < 64 and info.width % 2
    odd_y = layout.chroma_height() < 64 and info.height % 2
    if not odd_x and not odd_y:
        return pix_fmt
    wider = {8: ["yuvj444p"] if pix_fmt.startswith("yuvj") else ["yuv444p"], 10: ["yuv444p10le"], 12: ["yuv444p12le"]}
    for candidate in [*wider.get(bit_depth(pix_fmt), []), "yuv444p"]:
        if candidate in formats:
            if encoder.pix_fmt is not None:
                raise UsageError(
                    f"--pix-fmt: {pix_fmt} cannot hold {info.width}x{info.height}; use {candidate} or another codec"
                )
            warnings.append(
                f"{info.width}x{info.height} is odd, which {codec} cannot hold in {pix_fmt}: {candidate} is used"
            )
            return candidate
    raise UsageError(
        f"--codec: {codec} cannot hold the odd size {info.width}x{info.height}; use libx264, libvpx-vp9 or ffv1"
    )


class Writer:
    """Encodes frames into ``path``. Use as a context manager: without :meth:`commit` nothing is left behind.

    ``start`` writes the header; it happens at the first frame at the latest. Not for use from several threads at once.
    """

    def __init__(self, path: str | os.PathLike[str], info: ClipInfo, encoder: EncoderOptions | None = None, *,
                 audio: bool = True, overwrite: bool = True) -> None:  # fmt: skip
        self.path = os.fspath(path)
        self.info = info
        self.plan = plan_output(path, info, encoder)
        self.warnings: list[str] = list(self.plan.warnings)
        self.frames = 0
        self._audio = audio
        self._overwrite = overwrite
        orientation = info.orientation if self.plan.bake_rotation else Orientation()
        self._baked = orientation
        width, height = (
            (info.display_width, info.display_height) if self.plan.bake_rotation else (info.width, info.height)
        )
        self._size = (width, height)
        self._converter = Converter(info.color, width, height)
        # AVI counts frames: its clock is the frame rate whatever the source's was.
        self._time_base = 1 / _limited(info.rate) if self.plan.format == "avi" else info.time_base
        self._grid = {"matroska": Fraction(1, 1000), "webm": Fraction(1, 1000), "mpegts": Fraction(1, 90000),
                      "avi": self._time_base}.get(self.plan.format)  # fmt: skip
        self._durations: dict[int, int] = {}
        self._last_pts: int | None = None
        self._copier: _Copier | None = None
        self._container: Any = None
        self._file: _Checked | None = None
        self._done = False
        # A symlink keeps pointing: its target is what gets replaced.
        self._target = Path(os.path.realpath(self.path))
        self._temporary = self._target.with_name(f".{self._target.name}.{secrets.token_hex(4)}.part")
        self._open()

    def _open(self) -> None:
        try:
            descriptor = os.open(
                self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
            )
        except FileNotFoundError:
            raise UsageError(f"{self.path}: its folder does not exist; create {self._target.parent} first") from None
        except NotADirectoryError:
            raise UsageError(f"{self.path}: {self._target.parent} is not a folder; choose another output") from None
        except OSError as error:
            raise VeditError(f"{self.path}: cannot write there ({error.strerror}); choose another output") from None
        self._file = _Checked(descriptor, self.path)
        try:
            self._start()
        except BaseException:
            self.abort()
            raise

    def _start(self) -> None:
        info, plan = self.info, self.plan
        container_options: dict[str, str] = {}
        if plan.format in ("mp4", "mov"):
            # The same clock as the source, so that every time stays exact.
            scale = info.time_base.denominator
            if info.time_base.numerator == 1 and scale < 1 << 31:
                container_options["video_track_timescale"] = str(scale)
            if {k.lower() for k in info.metadata} - _ITUNES_KEYS - _OWN_KEYS:
                container_options["movflags"] = "use_metadata_tags"
        if plan.format == "mpegts":
            container_options["mpegts_copyts"] = "1"
        self._container = av.open(self._file, "w", format=plan.format, container_options=container_options)
        self._container.flags |= av.container.Flags.bitexact.value
        source = open_input(info.path)
        try:
            self._copier = _Copier(source, info, plan.format, self._audio, self.warnings)
            self._copier.add_streams(self._container, self._add_video)
            metadata = {k: v for k, v in info.metadata.items() if k.lower() not in _OWN_KEYS}
            self._container.metadata.update(metadata)
            chapters = source.chapters()
            if chapters:
                if plan.format in ("mp4", "mov", "matroska", "webm", "nut"):
                    self._container.set_chapters(chapters)
                else:
                    self.warnings.append(f"chapters are not kept: {plan.format} cannot hold them")
        except BaseException:
            source.close()
            raise
        try:
            self._container.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            detail = getattr(error, "strerror", None) or str(error)
            size = "x".join(map(str, self._size))
            raise VeditError(
                f"{self.path}: {plan.codec} refuses {size} {plan.pix_fmt} ({detail}); try another --codec or --pix-fmt"
            ) from None

    def _add_video(self, template: Any) -> Any:
        info, plan = self.info, self.plan
        stream = self._container.add_stream(plan.codec, rate=_limited(info.rate), options=plan.options)
        context = stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = plan.pix_fmt
        # The rate alone would make its inverse the clock, and variable frame times would be lost.
        context.time_base = self._time_base
        stream.time_base = self._time_base
        if info.sar:
            turned = self._baked.transpose and info.sar
            context.sample_aspect_ratio = 1 / info.sar if turned else info.sar
        context.color_primaries = info.primaries
        context.color_trc = info.transfer
        context.colorspace = 0 if is_rgb(plan.pix_fmt) else (2 if info.matrix_tag == 0 else info.matrix_tag)
        context.color_range = info.range_tag
        context.thread_count = plan.threads
        context.flags |= av.codec.context.Flags.bitexact
        if plan.codec == "ffv1":
            context.gop_size = 1
        if info.display_matrix and not plan.bake_rotation:
            stream.set_display_matrix(info.display_matrix)
        stream.metadata.update({k: v for k, v in template.metadata.items() if _keep_tag(k)})
        stream.disposition = template.disposition
        self._stream = stream
        return stream

    def write(self, rgb: np.ndarray, source: SourceFrame, weights: np.ndarray | None = None) -> None:
        """Encodes ``rgb`` (H, W, 3) uint8 or uint16 in displayed orientation with the times of ``source``.

        ``weights`` (H, W) uint8 in displayed orientation: 255 takes ``rgb``, 0 the source's own samples as they are.
        """
        expected = (self.info.display_height, self.info.display_width, 3)
        if rgb.shape != expected:
            raise ValueError(f"expected {expected}, got {rgb.shape}")
        coded = rgb if self.plan.bake_rotation else self.info.orientation.undo(rgb)
        frame = self._converter.from_rgb(coded, self.plan.pix_fmt)
        if weights is not None:
            turned = weights if self.plan.bake_rotation else self.info.orientation.undo(weights)
            frame = composite(self._own(source), frame, turned)
        self._encode(frame, source)

    def write_source(self, source: SourceFrame) -> None:
        """Encodes the source's own samples: no way through RGB, and no change at all where codec and format are
        lossless."""
        self._encode(self._own(source), source)

    def _own(self, source: SourceFrame) -> Any:
        """The source's picture in the result's format and orientation."""
        if self._baked.identity:
            return self._converter.to_format(source.frame, self.plan.pix_fmt)
        return self._converter.from_rgb(source.rgb(8 if self.info.bits == 8 else 16), self.plan.pix_fmt)

    def _encode(self, frame: Any, source: SourceFrame) -> None:
        info = self.info
        if self._grid is not None and (source.pts * info.time_base / self._grid).denominator != 1:
            self.warnings.append(
                f"{self.plan.format} keeps times in units of {float(self._grid):.6g} s: frame times are rounded"
            )
            self._grid = None  # once is enough
        pts = source.pts
        if self._time_base != info.time_base:
            pts = round(source.pts * info.time_base / self._time_base)
            if self._last_pts is not None:
                pts = max(pts, self._last_pts + 1)
        if self._last_pts is not None and pts <= self._last_pts:
            raise ValueError(f"frame {source.index}: pts {pts} after {self._last_pts}")
        self._last_pts = pts
        frame.pts = pts
        frame.time_base = self._time_base
        frame.pict_type = 0  # the encoder decides, not what the source's encoder once decided
        if not is_rgb(frame.format.name):
            frame.colorspace = self._stream.codec_context.colorspace
        frame.color_range = info.range_tag
        self._durations[pts] = max(1, round(source.duration * info.time_base / self._time_base))
        self._guard(lambda: self._mux(self._stream.encode(frame)))
        self.frames += 1

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            duration = self._durations.pop(packet.pts, None)
            if duration is not None:
                packet.duration = duration
            if self._copier is not None and packet.dts is not None:
                self._copier.copy_until(self._container, packet.dts * packet.time_base)
            self._container.mux(packet)

    def _guard(self, action: Any) -> None:
        try:
            action()
        except (av.error.FFmpegError, OSError) as error:
            failed = self._file.error if self._file is not None else None
            raise _write_failure(self.path, failed or error) from None

    def commit(self) -> None:
        """Flushes the encoder, copies what is left of the other streams, syncs, and gives the file its name."""
        if self._done:
            raise ValueError("already committed or aborted")
        if self.frames == 0:
            self.abort()
            raise VeditError(f"{self.path}: no frame was written; nothing is kept")
        try:
            self._guard(self._finish)
            assert self._file is not None
            if self._target.exists():
                os.chmod(self._temporary, stat.S_IMODE(self._target.stat().st_mode))
            if not self._overwrite and self._target.exists():
                raise UsageError(f"{self.path}: exists already; use -y to replace it")
            os.replace(self._temporary, self._target)
        except OSError as error:
            self.abort()
            raise _write_failure(self.path, error) from None
        except BaseException:
            self.abort()
            raise
        self._done = True
        _sync_folder(self._target.parent)

    def _finish(self) -> None:
        self._mux(self._stream.encode(None))
        assert self._copier is not None
        assert self._file is not None
        self._copier.copy_until(self._container, None)
        self._copier.close()
        self._container.close()
        if self._file.error is not None:
            raise self._file.error
        self._file.sync()
        self._file.close()

    def abort(self) -> None:
        """Leaves nothing behind. Safe to call twice, and after :meth:`commit` it does nothing."""
        if self._done:
            return
        self._done = True
        if self._copier is not None:
            self._copier.close()
        if self._file is not None:
            self._file.abandon()  # before the container: a trailer for half a file is not wanted
        if self._container is not None:
            # Its file is closed already; there is nothing left to lose.
            with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
                self._container.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._temporary)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()


def _write_failure(path: str, error: BaseException) -> VeditError:
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return VeditError(f"{path}: the disk is full; free some space or choose another output")
    if code == errno.EFBIG:
        return VeditError(
            f"{path}: the file would be larger than the system allows; raise the limit or choose another output"
        )
    reason = getattr(error, "strerror", None) or str(error)
    return VeditError(f"{path}: cannot be written ({reason}); choose another output")


def _keep_tag(key: str) -> bool:
    # Statistics and names that describe the source's encoding, not the clip.
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


def _limited(rate: Fraction) -> Fraction:
    return rate.limit_denominator(1 << 20) if rate > 0 else Fraction(25)


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # a system where folders cannot be opened; the rename is done all the same
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


class _Checked:
    """The temporary file as the muxer sees it; remembers the first error, which FFmpeg reports late or not at all."""

    def __init__(self, descriptor: int, name: str) -> None:
        self.name = name
        self.error: OSError | None = None
        self.closed = False
        self._raw = os.fdopen(descriptor, "r+b", buffering=0)

    def write(self, data: bytes) -> int:
        if self.error is not None:
            raise self.error
        view = memoryview(data)
        try:
            while view:
                view = view[self._raw.write(view) or 0 :]
        except OSError as error:
            self.error = error
            raise
        return len(data)

    def read(self, size: int = -1) -> bytes:
        return self._raw.read(size) or b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def sync(self) -> None:
        os.fsync(self._raw.fileno())

    def close(self) -> None:
        self.closed = True
        self._raw.close()

    def abandon(self) -> None:
        self.close()


@dataclass
class _Route:
    stream: Any
    convert: Any = None


@dataclass
class _Copier:
    """Copies every stream beside the edited one packet for packet, in step with the encoded video."""

    source: Any
    info: ClipInfo
    format: str
    audio: bool
    warnings: list[str]
    routes: dict[int, _Route] = field(default_factory=dict)
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
        # Chapter titles and time codes are written anew from the chapters and the tag they stand for.
        if stream.type == "data" and codec in ("bin_data", "tmcd", "none", None):
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
            return _Route(made, change)
        self.warnings.append(f"{what} is dropped: {self.format} cannot hold it")
        return None

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

    def close(self) -> None:
        self.packets = None
        self.pending = None
        self.source.close()


def _describe(made: Any, stream: Any) -> None:
    made.metadata.update({k: v for k, v in stream.metadata.items() if _keep_tag(k)})
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
