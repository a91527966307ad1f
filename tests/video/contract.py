"""The contract as a table: kinds of files that people have, and what comes out when they go through without an edit.

``python scripts/contract.py`` writes docs/contract.md from it; test_contract.py checks each row, and the page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from vedit.render import passthrough
from vedit.video.clip import ClipInfo
from vedit.video.info import probe
from vedit.video.reader import Reader

from .synth import make_clip, moving_frames

TICK = Fraction(1, 90000)
VARYING = [0, 3000, 9000, 10500, 24000, 27000, 45000, 46000, 60000, 75000]
LINES = [(0.0, 0.2, "one"), (0.24, 0.4, "two")]
MASTER = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"


@dataclass(frozen=True)
class Case:
    """A kind of file. ``make`` draws it into a folder; ``changes`` are the columns in which the result differs, and
    ``said`` a word of each warning, in order."""

    name: str
    make: Callable[[Path], Path]
    target: str = "out.mp4"
    changes: frozenset[str] = frozenset()
    said: tuple[str, ...] = ()
    stream: int | None = None


@dataclass
class Facts:
    """One file as the table shows it: a text for each column."""

    columns: dict[str, str]
    frames: list[Any] = field(default_factory=list)  # small RGB pictures, for a look at the pixels
    packets: dict[int, list[bytes]] = field(default_factory=dict)


def clip(name: str, **how: Any) -> Callable[[Path], Path]:
    count = how.pop("count", 12)
    return lambda folder: make_clip(folder / name, count, **how)


def interlaced(folder: Path) -> Path:
    options = {"x264-params": "tff=1", "flags": "+ilme+ildct"}
    return make_clip(folder / "in.mp4", 12, options=options)


def images(folder: Path) -> Path:
    (folder / "frames").mkdir()
    for number, frame in enumerate(moving_frames(5)):
        cv2.imwrite(str(folder / "frames" / f"{number:04d}.png"), frame[..., ::-1])
    return folder / "frames" / "%04d.png"


def photographs(folder: Path) -> Path:
    """As a camera that was held upright leaves them: EXIF says how they are turned."""
    (folder / "frames").mkdir()
    for number, frame in enumerate(moving_frames(5)):
        told = np.frombuffer(bytes.fromhex("49492a00080000000100120103000100000006000000 00000000"), np.uint8)
        _, data = cv2.imencodeWithMetadata(".png", frame[..., ::-1], [cv2.IMAGE_METADATA_EXIF], [told])
        (folder / "frames" / f"{number:04d}.png").write_bytes(data.tobytes())
    return folder / "frames"


def cut(path: Path) -> Path:
    """Three fifths of it, and a bit."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5 // 188 * 188 + 100])
    return path


def transparent(folder: Path) -> Path:
    with av.open(str(folder / "in.webm"), "w") as container:
        stream: Any = container.add_stream("libvpx-vp9", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuva420p"
        for k, image in enumerate(moving_frames(5)):
            alpha = np.full((64, 96), 255, np.uint8)
            alpha[:, 40 + 4 * k :] = 60
            frame = av.VideoFrame.from_ndarray(np.dstack([image, alpha]), format="rgba")
            container.mux(stream.encode(frame.reformat(format="yuva420p")))
        container.mux(stream.encode(None))
    return folder / "in.webm"


def two_videos(folder: Path) -> Path:
    with av.open(str(folder / "in.mkv"), "w") as container:
        streams: list[Any] = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for k, image in enumerate(moving_frames(5)):
            for stream, picture in zip(streams, (image, 255 - image), strict=True):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = k
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return folder / "in.mkv"


HDR = {
    "codec": "libx265", "options": {"x265-params": f"log-level=error:max-cll=1000,400:master-display={MASTER}"},
    "pix_fmt": "yuv420p10le", "matrix": 9, "primaries": 9, "transfer": 16, "color_range": 1,
}  # fmt: skip
FONT = ("font.ttf", "font/ttf", b"not a font" * 9)
CHAPTERS = [(0, 0.2, "one"), (0.2, 0.48, "two")]

CASES = [
    Case("plain H.264 with sound", clip("in.mp4", audio=1)),
    Case("30000/1001 frames a second", clip("in.mp4", rate=Fraction(30000, 1001), time_base=Fraction(1, 30000))),
    Case("variable frame rate, long last frame",
         clip("in.mp4", count=10, time_base=TICK, pts=VARYING, last_duration=30000, bframes=0)),
    Case("variable frame rate, Matroska", clip("in.mkv", count=10, time_base=TICK, pts=VARYING), "out.mkv"),
    Case("variable frame rate to another container", clip("in.mkv", count=10, time_base=TICK, pts=VARYING)),
    Case("odd size", lambda f: make_clip(f / "in.mkv", moving_frames(5, 97, 65), codec="ffv1"), "out.mp4",
         frozenset({"samples"}), ("odd",)),
    Case("odd size to WebM", lambda f: make_clip(f / "in.mkv", moving_frames(5, 97, 65), codec="ffv1"), "out.webm",
         frozenset({"colour"})),
    Case("pixels that are not square (4:3)", clip("in.mp4", sar=Fraction(4, 3))),
    Case("pixels that are not square, to WebM", clip("in.mp4", sar=Fraction(4, 3)), "out.webm",
         frozenset({"colour"})),
    Case("turned by 90°", clip("in.mp4", rotation=90)),
    Case("turned by 180°", clip("in.mp4", rotation=180)),
    Case("turned by 270°", clip("in.mp4", rotation=270)),
    Case("mirrored", clip("in.mp4", hflip=True)),
    Case("turned by 90° to Matroska", clip("in.mp4", rotation=90), "out.mkv"),
    Case("turned by 90° to AVI, which cannot say it", clip("in.mp4", rotation=90), "out.avi",
         frozenset({"picture"}), ("rotation",)),
    Case("10 bit", clip("in.mp4", pix_fmt="yuv420p10le")),
    Case("4:2:2, 10 bit, Matroska", clip("in.mkv", pix_fmt="yuv422p10le"), "out.mkv"),
    Case("full range, BT.709", clip("in.mp4", color_range=2, matrix=1, primaries=1, transfer=1)),
    Case("BT.601", clip("in.mp4", color_range=1, matrix=6, primaries=6, transfer=6)),
    Case("BT.2020 without a curve for HDR",
         clip("in.mp4", pix_fmt="yuv420p10le", color_range=1, matrix=9, primaries=9, transfer=14)),
    Case("HDR10: PQ, mastering display, content light", clip("in.mp4", **HDR)),
    Case("HDR10 to FFV1", clip("in.mkv", **HDR), "out.nut", frozenset({"colour"}), ("colour tags", "HDR metadata")),
    Case("sound that starts late", clip("in.mp4", audio=1, audio_offset=0.2)),
    Case("sound that starts late, to AVI", clip("in.mkv", audio=1, audio_offset=0.2), "out.avi",
         frozenset({"times", "streams"}), ("language", "begins all sound at zero")),
    Case("video that starts late",
         clip("in.mkv", audio=1, time_base=Fraction(1, 1000), pts=[500 + 40 * k for k in range(12)]), "out.mkv"),
    Case("two sound tracks", clip("in.mp4", audio=2)),
    Case("two sound tracks to QuickTime, whose codes are others", clip("in.mp4", audio=2), "out.mov",
         frozenset({"streams"})),
    Case("sound of a camera to MPEG-TS, which has no PCM",
         clip("in.mov", audio=1, audio_codec="pcm_s16le"), "out.ts", frozenset({"streams"}), ("becomes aac",)),
    Case("sound of mp4 to WebM, which has no AAC",
         clip("in.mp4", audio=1), "out.webm", frozenset({"times", "streams", "colour"}), ("becomes opus",)),
    Case("SRT to WebM", clip("in.mkv", subtitles=LINES), "out.webm", frozenset({"streams", "colour"}),
         ("becomes webvtt",)),
    Case("SRT in Matroska", clip("in.mkv", subtitles=LINES), "out.mkv"),
    Case("SRT in Matroska to mp4", clip("in.mkv", subtitles=LINES), "out.mp4", frozenset({"streams"}), ("becomes",)),
    Case("mov_text in mp4", clip("in.mp4", subtitles=LINES, subtitle_codec="mov_text")),
    Case("mov_text in mp4 to Matroska", clip("in.mp4", subtitles=LINES, subtitle_codec="mov_text"), "out.mkv",
         frozenset({"streams"}), ("becomes",)),
    Case("ASS in Matroska", clip("in.mkv", subtitles=LINES, subtitle_codec="ass"), "out.mkv"),
    Case("ASS in Matroska to mp4", clip("in.mkv", subtitles=LINES, subtitle_codec="ass"), "out.mp4",
         frozenset({"streams"}), ("becomes",)),
    Case("WebVTT in Matroska to mp4", clip("in.mkv", subtitles=LINES, subtitle_codec="webvtt"), "out.mp4",
         frozenset({"streams"}), ("becomes",)),
    Case("chapters and titles, mp4", clip("in.mp4", chapters=CHAPTERS, metadata={"title": "A clip"})),
    Case("chapters and titles, Matroska", clip("in.mkv", chapters=CHAPTERS, metadata={"title": "A clip"}), "out.mkv"),
    Case("chapters to MPEG-TS, which has none", clip("in.mp4", chapters=CHAPTERS), "out.ts",
         frozenset({"streams"}), ("chapters",)),
    Case("titles to MPEG-TS, which has none", clip("in.mp4", metadata={"title": "A clip"}), "out.ts",
         frozenset({"streams"}), ("tags",)),
    Case("a font attached", clip("in.mkv", attachment=FONT), "out.mkv"),
    Case("a font attached, to mp4", clip("in.mkv", attachment=FONT), "out.mp4", frozenset({"streams"}), ("dropped",)),
    Case("cover art", clip("in.mp4", cover=True)),
    Case("cover art to Matroska, as an attached file", clip("in.mp4", cover=True), "out.mkv", frozenset({"streams"})),
    Case("cover art to QuickTime, which has none", clip("in.mp4", cover=True), "out.mov", frozenset({"streams"}),
         ("dropped",)),
    Case("timecode track", clip("in.mov", timecode="01:00:00:00"), "out.mov"),
    Case("timecode track to Matroska, as a tag", clip("in.mov", timecode="01:00:00:00"), "out.mkv",
         frozenset({"streams"})),
    Case("interlaced", interlaced, "out.mp4", frozenset({"samples"}), ("deinterlaced",)),
    Case("several video streams, the second chosen", two_videos, "out.mkv", said=("several video streams",), stream=1),
    Case("one frame", clip("in.mp4", count=1)),
    Case("one second of 4K",
         lambda f: make_clip(f / "in.mp4", moving_frames(8, 3840, 2160), rate=8, options={"preset": "ultrafast"})),
    Case("GIF", lambda f: make_clip(f / "in.gif", 5, codec="gif", pix_fmt="rgb8", rate=10, time_base=Fraction(1, 100)),
         "out.mp4", frozenset({"samples", "colour"})),
    Case("numbered PNG images", images, "out.mp4", frozenset({"samples", "colour"})),
    Case("photographs that EXIF turns", photographs, "out.mp4", frozenset({"samples", "colour"})),
    Case("transparent WebM", transparent, "out.webm"),
    Case("transparent WebM to mp4", transparent, "out.mp4", frozenset({"samples", "colour"}), ("transparency",)),
    Case("MPEG-TS", clip("in.ts", audio=1), "out.ts"),
    Case("MPEG-TS, cut", lambda f: cut(make_clip(f / "in.ts", 40, bframes=0)), "out.ts",
         said=("damaged", "cut short")),
    Case("AVI", clip("in.avi", codec="mpeg4", audio=1, audio_codec="mp3"), "out.avi"),
    Case("H.264 with B-frames in AVI", clip("in.avi", audio=1, audio_codec="mp3"), "out.avi"),
    Case("H.264 with B-frames in AVI to mp4", clip("in.avi", audio=1, audio_codec="mp3")),
]  # fmt: skip
COLUMNS = ("frames", "times", "picture", "samples", "colour", "streams")


def facts(path: Path, stream: int | None) -> Facts:
    """What the table says of a file."""
    info = probe(path, stream)
    with Reader(path, info, strict=False) as reader:
        frames = list(reader)
    pictures = [cv2.resize(f.rgb(), (info.display_width // 4 or 1, info.display_height // 4 or 1)) for f in frames]
    times = [f.time for f in frames] + [frames[-1].time + frames[-1].duration * info.time_base]
    start = frames[0].pts * info.time_base
    packets, first = _packets(path, info)
    late = {k: float(t - start) for k, t in first.items()}
    columns = {
        "frames": str(len(frames)),
        "times": f"{_times(times)}"
        + "".join(f", sound {t:+.2f} s" for k, t in late.items() if _kind(info, k) == "audio"),
        "picture": _picture(info),
        "samples": info.pix_fmt + (", interlaced" if info.interlaced else ""),
        "colour": _colour(info),
        "streams": _streams(info, late, _timecode(info)),
    }
    return Facts(columns, pictures, packets)


def _times(times: list[Fraction]) -> str:
    steps = [b - a for a, b in pairwise(times)]
    if max(steps) - min(steps) <= Fraction(2, 1000):
        return f"{float(times[-1]):.2f} s, even"
    return "ms " + " ".join(str(round(1000 * t)) for t in times[1:])


def _picture(info: ClipInfo) -> str:
    parts = [f"{info.display_width}×{info.display_height}"]
    if info.sar not in (None, 1):
        parts.append(f"pixels {info.sar.numerator}:{info.sar.denominator}")  # type: ignore[union-attr]
    if not info.orientation.identity:
        parts.append(f"turned {info.rotation}°{', mirrored' if info.orientation.mirrored else ''}")
    return ", ".join(parts)


def _colour(info: ClipInfo) -> str:
    told = info.to_dict()
    tags = [told[f"color_{name}"] for name in ("primaries", "transfer", "matrix", "range")]
    named = "/".join(tag or "–" for tag in tags) if any(tags) else "untagged"
    light = f", {info.light[0]} and {info.light[1]} cd/m²" if info.light else ""
    return named + light + (", mastering display" if info.mastering else "")


def _streams(info: ClipInfo, late: dict[int, float], timecode: str | None) -> str:
    parts = []
    for s in info.streams:
        when = f" at {late[s.index]:.2f} s" if s.kind == "subtitle" and s.index in late else ""
        words = [s.codec, s.language, s.title, *(d for d in s.dispositions if d != "default")]
        parts.append(" ".join(word for word in words if word and word != "und") + when)
    parts += [f"chapter {c.title} at {float(c.start):.2f} s" for c in info.chapters]
    parts += [f"title: {info.metadata['title']}"] if "title" in info.metadata else []
    parts += [f"timecode {timecode}"] if timecode else []
    return "; ".join(parts) or "none"


def _timecode(info: ClipInfo) -> str | None:
    if info.sequence:
        return None
    with info.open() as container:
        tags = {k.lower(): v for k, v in container.streams[info.stream].metadata.items()}
        return tags.get("timecode")


def _kind(info: ClipInfo, index: int) -> str:
    return next((s.kind for s in info.streams if s.index == index), "")


def _packets(path: Path, info: ClipInfo) -> tuple[dict[int, list[bytes]], dict[int, Fraction]]:
    """Bytes of the other streams' packets, and when the first of each is shown."""
    found: dict[int, list[bytes]] = {}
    first: dict[int, Fraction] = {}
    if info.sequence:
        return found, first
    with info.open() as container:
        for packet in container.demux():
            if packet.size and packet.stream.index != info.stream and packet.stream.type != "data":
                found.setdefault(packet.stream.index, []).append(bytes(packet))
                if packet.pts is not None and any(bytes(packet)[2:]):
                    first.setdefault(packet.stream.index, packet.pts * packet.time_base)
    return found, first


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    case: Case
    source: Facts
    result: Facts
    warnings: list[str]

    @property
    def changed(self) -> set[str]:
        """The columns in which the result is not as the source."""
        return {name for name in COLUMNS if self.source.columns[name] != self.result.columns[name]}

    def markdown(self) -> str:
        """The line: what stayed once, what changed as before → after."""
        cells = [f"{self.case.name} → `{Path(self.case.target).suffix}`"]
        for name in COLUMNS:
            before, after = self.source.columns[name], self.result.columns[name]
            cells.append(before if before == after else f"**{before} → {after}**")
        cells.append("; ".join(self.warnings) or "–")
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def run(case: Case, folder: Path) -> Row:
    """Draw the file, let it pass through, and look at both."""
    source = case.make(folder)
    target = folder / case.target
    passed = passthrough.run(str(source), str(target), stream=case.stream)
    return Row(case, facts(source, case.stream), facts(target, case.stream), passed.warnings)


HEAD = """# What goes in comes out

Files drawn by code, each sent through vedit's reader and writer without an edit, and what came out. A cell with one
value says that it is the same before and after; a change is **before → after**, and the last column is the warning that
the person gets. Times are those of the frames and of the end of the last one; packets of all other streams are the same
bytes unless the cell says otherwise. This page is written by `python scripts/contract.py`, and a test compares it with
what the code does.

| file → container | frames | times | picture | samples | colour | other streams, chapters, tags | said |
|---|---|---|---|---|---|---|---|
"""

TAIL = """
## Files that are cut

mp4, QuickTime, Matroska and AVI announce how long they are: one that ends before is refused, and so is a fragmented mp4
that ends inside a fragment; one that ends between two of them is a shorter clip. MPEG-TS and NUT announce
nothing, and what they hold is a clip. A transport stream that ends inside one of its packets of 188 bytes, or inside a
packet of sound, and a NUT file without the index that FFmpeg always writes at its end are edited, with a warning. What
cannot be told: a transport stream cut between two packets while a picture is under way, since a picture does not say
how many bytes it has (one cut in 188, for one with sound fewer); sound that ends later than the picture, which is in
good files too; a Matroska file that was written to a pipe, which announces no length; MPEG program streams.
"""
