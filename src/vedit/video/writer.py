"""Writes the edited clip: everything that the source holds beside its pixels comes out as it went in.

What a container cannot hold is named in ``warnings``; it never fails the job. The file appears under its own name only
when it is complete (``commit``).
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.codec.context
import av.container
import av.error
import numpy as np

from vedit.errors import VeditError
from vedit.video.clip import ClipInfo, Orientation
from vedit.video.color import LIMITED, Converter, alpha_of, has_alpha, is_rgb, transparent
from vedit.video.encoding import EncoderOptions, plan_output, shape_lost
from vedit.video.mask import composite
from vedit.video.matroska import describe_shape
from vedit.video.outfile import OutFile, StdOut, write_failure
from vedit.video.reader import SourceFrame
from vedit.video.sidedata import side_data
from vedit.video.streams import Copier, describe

_OWN_KEYS = {"major_brand", "minor_version", "compatible_brands", "encoder"}  # written by the muxer itself
# Tags of the whole file that a container keeps; those that are not here keep all.
_TAGS = {
    "mpegts": {"service_name", "service_provider"},
    "avi": {"artist", "comment", "copyright", "date", "genre", "language", "title", "album", "track", "timecode",
            "encoded_by"},
}  # fmt: skip
_NO_DURATIONS = {"mpegts", "nut", "avi"}  # a frame lasts until the next one, and of the last nobody knows
_BLURAY = {"ac3", "eac3", "dca", "truehd", "pgssub", "hdmv_pgs_subtitle"}  # beside H.264, what its packets can name
_CAPTIONS = {"libx264", "libx265"}  # encoders that write closed captions (ATSC A/53) into the stream
_ITUNES_KEYS = {
    "title", "artist", "album_artist", "composer", "album", "date",
    "comment", "genre", "copyright", "grouping", "lyrics", "description",
    "synopsis", "show", "episode_id", "network", "keywords", "creation_time",
    "track", "disc", "episode_sort", "season_number", "media_type", "hd_video",
    "gapless_playback", "compilation",
}  # fmt: skip
_QUICKTIME_KEYS = {
    "title", "artist", "author", "album", "date", "comment", "genre", "copyright", "make", "model", "location",
    "keywords", "creation_time",
}  # fmt: skip


class Writer:
    """Encodes frames into ``path``. Use as a context manager: without :meth:`commit` nothing is left behind.

    ``start`` writes the header; it happens at the first frame at the latest. Not for use from several threads at once.
    """

    def __init__(self, path: str | os.PathLike[str], info: ClipInfo, encoder: EncoderOptions | None = None, *,
                 audio: bool = True, overwrite: bool = True) -> None:  # fmt: skip
        self.path = os.fspath(path)
        self._name = "standard output" if self.path == "-" else self.path
        self.info = info
        self.plan = plan_output(path, info, encoder)
        self.warnings: list[str] = list(self.plan.warnings)
        self.frames = 0
        self._audio = audio
        orientation = info.orientation if self.plan.bake_rotation else Orientation()
        self._baked = orientation
        width, height = (
            (info.display_width, info.display_height) if self.plan.bake_rotation else (info.width, info.height)
        )
        self._size = (width, height)
        # ProRes has no word for full range.
        self._narrowed = self.plan.codec == "prores_ks" and info.color.full
        self._converter = Converter(replace(info.color, full=False) if self._narrowed else info.color, width, height)
        # AVI counts frames: its clock is the frame rate whatever the source's was.
        self._time_base = 1 / _limited(info.rate) if self.plan.format == "avi" else info.time_base
        self._grid = {"matroska": Fraction(1, 1000), "webm": Fraction(1, 1000), "mpegts": Fraction(1, 90000),
                      "avi": self._time_base}.get(self.plan.format)  # fmt: skip
        # mp4 hides what is shown before zero: there everything begins later instead.
        early = -info.start if self.plan.format in ("mp4", "mov") else Fraction(0)
        self._shift = max(Fraction(0), early)
        self._look_for_alpha = (has_alpha(info.pix_fmt) or info.pix_fmt == "pal8") and not info.alpha
        self._captions_lost = False
        self._durations: dict[int, int] = {}
        self._held: Any = None  # the packet that is muxed when the next one is there
        self._begin: int | None = None  # decoding time of the first packet
        self._ends: tuple[int, int] | None = None  # when the first frame is shown, and when the last one ends
        self._last_pts: int | None = None
        self._last: tuple[int, SourceFrame] | None = None  # pts of the first frame, and the last frame
        self._unlisted: set[str] = set()  # tags that mp4 has no room for beside a cover
        self._copier: Copier | None = None
        self._container: Any = None
        self._complete = self._done = False
        self._file: OutFile | StdOut = StdOut() if self.path == "-" else OutFile(self.path, overwrite=overwrite)
        try:
            self._start()
        except BaseException:
            self.abort()
            raise

    @property
    def temporary(self) -> Path | None:
        """Where the file lies until :meth:`publish`; None for standard output."""
        return self._file.temporary

    def _start(self) -> None:
        info, plan = self.info, self.plan
        container_options: dict[str, str] = {}
        if plan.format in ("mp4", "mov"):
            # The same clock as the source, so that every time stays exact.
            scale = info.time_base.denominator
            if info.time_base.numerator == 1 and scale < 1 << 31:
                container_options["video_track_timescale"] = str(scale)
            listed = _ITUNES_KEYS if plan.format == "mp4" else _QUICKTIME_KEYS
            self._unlisted = {k.lower() for k in info.metadata} - listed - _OWN_KEYS
            cover = any("attached_pic" in stream.dispositions for stream in info.streams)
            if cover and plan.format == "mp4":
                pass  # a cover lies in the list of iTunes, which is left out where other tags are written
            elif self._unlisted:
                container_options["movflags"] = "use_metadata_tags"
                self._unlisted = set()
        if plan.format == "mpegts":
            container_options["mpegts_copyts"] = "1"
            if Path(self.path).suffix.lower() in (".m2ts", ".mts"):
                others = [s.codec or "" for s in info.streams if s.kind != "audio" or self._audio]
                strange = sorted({codec for codec in others if codec not in _BLURAY})
                if strange or plan.codec != "libx264":
                    what = ", ".join([*strange, *([] if plan.codec == "libx264" else [plan.codec])])
                    self.warnings.append(
                        f"written as an ordinary transport stream: Blu-ray's packets cannot name {what}"
                    )
                else:
                    # FFmpeg tells it by a name that it is not given here.
                    container_options["mpegts_m2ts_mode"] = "1"
        if plan.codec == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # errors alone: its banner would fill the terminal
        self._container = av.open(self._file, "w", format=plan.format, container_options=container_options)
        self._container.flags |= av.container.Flags.bitexact.value
        source = info.open()
        broadcast = "mpegts" in info.container or info.container == "mpeg"
        if plan.format == "avi" or (broadcast and plan.format != "mpegts"):
            # AVI's sound begins at zero, whatever its time was. The clock of a transport stream begins anywhere: other
            # containers would show nothing for as long.
            self._shift = -min(info.start, Fraction(source.start_time or 0, av.time_base))
        try:
            self._copier = Copier(source, info, plan.format, self._audio, self.warnings, self._shift)
            self._copier.add_streams(self._container, self._add_video)
            metadata = {k: v for k, v in info.metadata.items() if k.lower() not in _OWN_KEYS}
            self._container.metadata.update(metadata)
            self._name_lost_tags(metadata)
            chapters = source.chapters()
            if chapters:
                if plan.format in ("mp4", "mov", "matroska", "webm", "nut"):
                    self._container.set_chapters([_later(chapter, self._shift) for chapter in chapters])
                else:
                    self.warnings.append(f"chapters are not kept: {plan.format} cannot hold them")
        except BaseException:
            source.close()
            raise
        try:
            self._container.start_encoding()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if self._file.error is not None:
                raise write_failure(self._name, self._file.error) from None
            detail = getattr(error, "strerror", None) or str(error)
            size = "x".join(map(str, self._size))
            raise VeditError(
                f"{self.path}: {plan.codec} refuses {size} {plan.pix_fmt} ({detail}); try another --codec or --pix-fmt"
            ) from None

    def _name_lost_tags(self, metadata: dict[str, str]) -> None:
        keeps = _TAGS.get(self.plan.format)
        lost = sorted(self._unlisted if keeps is None else {k.lower() for k in metadata} - keeps - {"software"})
        if lost and keeps is None:
            self.warnings.append(
                f"tags are not kept: {self.plan.format} cannot hold {', '.join(lost[:5])} beside a cover"
            )
        elif lost:
            named = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
            self.warnings.append(f"tags are not kept: {self.plan.format} cannot hold {named}")

    def _add_video(self, template: Any) -> Any:
        info, plan = self.info, self.plan
        self._track = sum(stream.type != "attachment" for stream in self._container.streams)
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
        context.colorspace, context.color_range = self._tags = self._matrix_and_range()
        context.thread_count = plan.threads
        context.flags |= av.codec.context.Flags.bitexact
        if plan.codec == "ffv1":
            context.gop_size = 1
        if info.display_matrix and not plan.bake_rotation:
            stream.set_display_matrix(info.display_matrix)
        lost = describe(stream, template, plan.format)
        if lost:
            self.warnings.append(f"the video loses its {' and '.join(lost)}: {plan.format} cannot hold that")
        self._stream = stream
        return stream

    def _matrix_and_range(self) -> tuple[int, int]:
        """Tags of the result: the source's own, but what was RGB has to say how it became YUV."""
        info = self.info
        if is_rgb(self.plan.pix_fmt):
            return 0, info.range_tag
        if is_rgb(info.pix_fmt):
            return info.color.matrix, LIMITED
        return 2 if info.matrix_tag == 0 else info.matrix_tag, LIMITED if self._narrowed else info.range_tag

    def write(self, rgb: np.ndarray, source: SourceFrame, weights: np.ndarray | None = None) -> None:
        """Encodes ``rgb`` (H, W, 3) uint8 or uint16 in displayed orientation with the times of ``source``.

        ``weights`` (H, W) uint8 in displayed orientation: 255 takes ``rgb``, 0 the source's own samples as they are.
        """
        expected = (self.info.display_height, self.info.display_width, 3)
        if rgb.shape != expected:
            raise ValueError(f"expected {expected}, got {rgb.shape}")
        coded = rgb if self.plan.bake_rotation else self.info.orientation.undo(rgb)
        frame = self._from_rgb(coded, source)
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
        if self._baked.identity and not self._narrowed:
            return self._converter.to_format(source.frame, self.plan.pix_fmt)
        return self._from_rgb(source.rgb(8 if self.info.bits == 8 else 16), source)

    def _from_rgb(self, coded: np.ndarray, source: SourceFrame) -> Any:
        """RGB in the result's orientation to its format, with the source's transparency where that is kept."""
        alpha = None
        if self.plan.alpha:
            alpha = self._baked.apply(alpha_of(source.frame, self.info.width, self.info.height))
        return self._converter.from_rgb(coded, self.plan.pix_fmt, alpha)

    def _encode(self, frame: Any, source: SourceFrame) -> None:
        info = self.info
        if self._grid is not None and (source.pts * info.time_base / self._grid).denominator != 1:
            self.warnings.append(
                f"{self.plan.format} keeps times in units of {float(self._grid):.6g} s: frame times are rounded"
            )
            self._grid = None  # once is enough
        pts = source.pts + round(self._shift / info.time_base)
        if self._time_base != info.time_base:
            pts = round(pts * info.time_base / self._time_base)
            if self._last_pts is not None:
                pts = max(pts, self._last_pts + 1)
        if self._last_pts is not None and pts <= self._last_pts:
            raise ValueError(f"frame {source.index}: pts {pts} after {self._last_pts}")
        self._last_pts = pts
        self._last = (source.pts if self._last is None else self._last[0], source)
        frame = self._captioned(frame, source)
        if self.plan.codec == "ffv1" and info.sar not in (None, 1) and self._baked.identity:
            # It writes the shape of the pixels into every frame, as the frame itself has it.
            frame = self._converter.carried(frame, source.frame)
        frame.pts = pts
        frame.time_base = self._time_base
        frame.pict_type = 0  # the encoder decides, not what the source's encoder once decided
        matrix, frame.color_range = self._tags
        if not is_rgb(frame.format.name):
            frame.colorspace = matrix
        if self.plan.codec == "prores_ks":  # which writes into each frame what that frame says
            frame.color_primaries, frame.color_trc = info.primaries, info.transfer
        self._notice_transparency(source)
        duration = self._durations[pts] = max(1, round(source.duration * info.time_base / self._time_base))
        self._ends = (pts if self._ends is None else self._ends[0], pts + duration)
        self._guard(lambda: self._mux(self._stream.encode(frame)))
        self.frames += 1

    def _captioned(self, frame: Any, source: SourceFrame) -> Any:
        """The frame with the closed captions that the source carries inside its pictures."""
        if self._captions_lost or not _has_captions(source.frame):
            return frame
        if self.plan.codec in _CAPTIONS:
            return frame if _has_captions(frame) else self._converter.carried(frame, source.frame)
        self._captions_lost = True
        self.warnings.append(f"closed captions are not kept: {self.plan.codec} has none; libx264 and libx265 keep them")
        return frame

    def _notice_transparency(self, source: SourceFrame) -> None:
        """A GIF or PNG whose first picture is opaque was not planned to be transparent."""
        if self._look_for_alpha and transparent(source.frame):
            self.warnings.append(f"frame {source.index} is transparent, which is not kept")
            self._look_for_alpha = False

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            duration = self._durations.pop(packet.pts, None)
            if duration is not None:
                packet.duration = duration
            self._put_held()
            self._held = packet

    def _put_held(self) -> None:
        packet, self._held = self._held, None
        if packet is None:
            return
        if self._begin is None:
            self._begin = packet.dts
        if self._copier is not None and packet.dts is not None:
            self._copier.copy_until(self._container, packet.dts * packet.time_base)
        self._container.mux(packet)

    def _stretch_held(self) -> None:
        """mp4 counts a track's length in decoding order, and where pictures are reordered that falls short if the last
        ones are not as far apart as the others: the last packet is stretched, or decoded later where it is the last
        picture too, whose end is what is shown last."""
        packet = self._held
        if packet is None or packet.dts is None or self._begin is None or self.plan.format not in ("mp4", "mov"):
            return
        assert self._ends is not None
        left = self._ends[1] - self._ends[0] - (packet.dts - self._begin)
        if left > 0:
            packet.duration = min(left, self._ends[1] - packet.pts)
            packet.dts += left - packet.duration

    def _guard(self, action: Any) -> None:
        try:
            action()
        except (av.error.FFmpegError, OSError) as error:
            raise write_failure(self._name, self._file.error or error) from None

    @property
    def before(self) -> Path | None:
        """Where what had the name before lies until :meth:`settle`, if there was anything."""
        return self._file.before

    @property
    def target(self) -> Path | None:
        """What :meth:`publish` writes over or makes; None for standard output."""
        return self._file.target

    def complete(self) -> None:
        """Flushes the encoder, copies what is left of the other streams, and syncs: nothing is left but the name."""
        if self._done or self._complete:
            raise ValueError("already complete or aborted")
        if self.frames == 0:
            self.abort()
            raise VeditError(f"{self.path}: no frame was written; nothing is kept")
        try:
            self._guard(self._finish)
        except BaseException:
            self.abort()
            raise
        self._complete = True

    def publish(self) -> None:
        """Gives the complete file its name."""
        if self._done or not self._complete:
            raise ValueError("not complete, or published or aborted already")
        try:
            self._guard(self._file.publish)
        except BaseException:
            self.abort()
            raise
        self._done = True

    def settle(self) -> None:
        """After :meth:`publish`: what had the name before is not wanted any more."""
        self._file.settle()

    def withdraw(self) -> None:
        """Takes :meth:`publish` back: what had the name before has it again, or nothing."""
        self._file.withdraw()

    def commit(self) -> None:
        """All: :meth:`complete`, :meth:`publish` and :meth:`settle`."""
        self.complete()
        self.publish()
        self.settle()

    def _name_lost_end(self) -> None:
        if self.plan.format not in _NO_DURATIONS or self._last is None:
            return
        first, last = self._last
        base = self.info.time_base
        usual = (last.pts - first) * base / (self.frames - 1) if self.frames > 1 else 1 / self.info.rate
        shown = last.duration * base
        if abs(shown - usual) > max(usual / 2, Fraction(1, 1000)):
            self.warnings.append(
                f"{self.plan.format} does not say how long the last frame is shown: its {float(shown):.3g} s are lost"
            )

    def _finish(self) -> None:
        assert self._copier is not None
        self._name_lost_end()
        self._mux(self._stream.encode(None))
        self._stretch_held()
        self._put_held()
        self._copier.copy_until(self._container, None)
        self._copier.close()
        self._container.close()
        self._describe_shape()
        self._file.complete()

    def _describe_shape(self) -> None:
        """Matroska's muxer has not heard of pixels that are not square: see :mod:`vedit.video.matroska`."""
        shape = self._stream.codec_context.sample_aspect_ratio if self.info.sar not in (None, 1) else None
        if not shape or self.plan.format not in ("matroska", "webm") or not isinstance(self._file, OutFile):
            return
        told = describe_shape(self._file, *self._size, shape, self._track)
        if not told and self.plan.codec not in ("libx264", "libx265"):  # these say it in their own data
            self.warnings.append(shape_lost(self.info.sar, self.plan.codec, Path(self.path).suffix.lower()))

    def abort(self) -> None:
        """Leaves nothing behind. Safe to call twice, and after :meth:`commit` it does nothing."""
        if self._done:
            return
        self._done = True
        if self._copier is not None:
            self._copier.close()
        self._file.abandon()  # before the container: a trailer for half a file is not wanted
        if self._container is not None:
            # Its file is closed already; there is nothing left to lose.
            with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
                self._container.close()
        self._file.discard()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()


def _later(chapter: Any, shift: Fraction) -> Any:
    ticks = round(shift / (chapter.get("time_base") or Fraction(1, 1000)))
    return chapter | {"start": chapter["start"] + ticks, "end": chapter["end"] + ticks}


def _has_captions(frame: Any) -> bool:
    return any(data.type.name == "A53_CC" for data in side_data(frame))


def _limited(rate: Fraction) -> Fraction:
    return rate.limit_denominator(1 << 20) if rate > 0 else Fraction(25)
