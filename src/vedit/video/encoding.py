"""How a result is encoded: container, codec, its options and pixel format, and what of the source will be lost.

All of it is settled before anything is decoded; what a container or codec cannot hold is a warning, never a failed job.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.codec

from vedit import x264
from vedit.errors import UsageError
from vedit.video.clip import ClipInfo, Mastering
from vedit.video.color import bit_depth, has_alpha, is_rgb, opaque

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
    ".mts": ("mpegts", "libx264"),
    ".nut": ("nut", "ffv1"),
}
_ALIASES = {"h264": "libx264", "x264": "libx264", "h265": "libx265", "hevc": "libx265", "x265": "libx265",
            "vp9": "libvpx-vp9", "av1": "libsvtav1", "prores": "prores_ks"}  # fmt: skip
_CODECS: dict[str, tuple[int | None, str | None, int]] = {  # default crf, default preset, highest crf
    "libx264": (16, "veryfast", 51),
    "libx265": (18, "fast", 51),
    "libvpx-vp9": (24, "4", 63),
    "libsvtav1": (24, "8", 63),
    "ffv1": (None, None, 0),
    "prores_ks": (None, None, 0),
}
# Encoders with transparency, and the muxers that keep it.
_ALPHA = {
    "ffv1": {"matroska", "nut", "avi"},
    "prores_ks": {"mov", "matroska"},
    "libvpx-vp9": {"webm", "matroska"},
}
_ALPHA_FORMATS: dict[str, tuple[str, ...]] = {
    "libx264": (), "libx265": (), "libsvtav1": (), "libvpx-vp9": ("yuva420p",)
}  # fmt: skip
STREAMING = (".mkv", ".webm", ".ts", ".nut")  # containers that can be written to a pipe
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
    alpha: bool = False  # the source's transparency is kept
    warnings: tuple[str, ...] = ()


def default_suffix(info: ClipInfo) -> str:
    """Suffix of the source's own container if vedit can write it, else ``.mp4``."""
    suffix = Path(info.path).suffix.lower()
    if suffix in CONTAINERS:
        return suffix
    names = set(info.container.split(","))
    own = {"mov": ".mp4", "mp4": ".mp4", "matroska": ".mkv", "mpegts": ".ts", "avi": ".avi", "nut": ".nut"}
    return next((suffix for name, suffix in own.items() if name in names), ".mp4")


def stream_suffix(info: ClipInfo) -> str:
    """Suffix of the container that goes to standard output: the source's own if it streams, else Matroska."""
    own = default_suffix(info)
    return own if own in STREAMING else ".mkv"


def plan_output(path: str | os.PathLike[str], info: ClipInfo, encoder: EncoderOptions | None = None) -> OutputPlan:
    """Checks everything about the output that can be known before encoding; :class:`UsageError` names the option."""
    encoder = encoder or EncoderOptions()
    suffix = stream_suffix(info) if os.fspath(path) == "-" else Path(path).suffix.lower()
    if suffix not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise UsageError(f"{os.fspath(path)}: cannot write {suffix or 'a file without a suffix'}; use one of {known}")
    muxer, default_codec = CONTAINERS[suffix]
    if info.alpha and encoder.pix_fmt is None:
        default_codec = _alpha_codec(muxer, info) or default_codec
    codec = _ALIASES.get(encoder.codec or "", encoder.codec) or default_codec
    if codec not in _CODECS:
        raise UsageError(f"--codec: {encoder.codec!r} is not known; use one of {', '.join(_CODECS)}")
    try:
        formats = [f.name for f in av.codec.Codec(codec, "w").video_formats or ()]
        # libx265 and libvpx list formats with transparency that they then refuse.
        formats = [name for name in formats if not has_alpha(name) or name in _ALPHA_FORMATS.get(codec, formats)]
    except ValueError:
        raise UsageError(f"--codec: this build of FFmpeg has no {codec}; use one of {', '.join(_CODECS)}") from None
    if not _holds_codec(muxer, codec):
        raise UsageError(f"--codec: {suffix} cannot hold {codec}; use {default_codec}, or an output that ends in .mkv")
    options = _codec_options(codec, encoder, muxer, info.variable)
    lost_light = _keep_light(codec, options, info)
    threads = THREADS if encoder.threads is None else encoder.threads
    if threads < 1:
        raise UsageError(f"--threads: {threads} is not a number of threads; give 1 or more")

    warnings: list[str] = list(info.warnings)
    if encoder.pix_fmt is not None and encoder.pix_fmt not in formats:
        raise UsageError(f"--pix-fmt: {codec} cannot write {encoder.pix_fmt!r}; use one of {', '.join(formats)}")
    alpha = info.alpha and muxer in _ALPHA.get(codec, ())
    pix_fmt = encoder.pix_fmt or _choose_pix_fmt(formats, info, alpha, warnings)
    alpha = alpha and has_alpha(pix_fmt)
    bake = not info.orientation.identity and not (
        muxer in _ROTATES or (muxer in ("matroska", "webm") and not info.orientation.mirrored)
    )
    if codec in ("libx264", "libx265", "libsvtav1"):
        size = (info.display_width, info.display_height) if bake else (info.width, info.height)
        pix_fmt = _fit_size(codec, pix_fmt, formats, size, encoder, warnings)
    if bake:
        turned = f"rotation of {info.rotation} degrees" if info.rotation else "mirroring"
        warnings.append(f"{suffix} cannot keep the {turned}: the picture itself is turned")
    if codec == "prores_ks" and info.color.full:
        warnings.append(f"the source has full range, which {codec} cannot say: the result has limited range")
    if info.alpha and not alpha:
        warnings.append(f"transparency is not kept: {codec} in {suffix} has none; .mov, .mkv and .webm can keep it")
    tags = (info.primaries, info.transfer, info.matrix_tag, info.range_tag)
    if codec == "ffv1" and muxer in ("nut", "avi") and tags != (2, 2, 2, 0):
        warnings.append(f"colour tags are not kept: neither {codec} nor {suffix} has them; .mkv keeps them")
    if codec == "libvpx-vp9" and muxer in ("nut", "avi") and (info.primaries, info.transfer) != (2, 2):
        warnings.append(f"primaries and transfer are not kept: neither {codec} nor {suffix} has them; .mkv keeps them")
    told_later = muxer in ("matroska", "webm") and os.fspath(path) != "-"
    if info.sar not in (None, 1) and not told_later and muxer not in _ROTATES and codec not in ("libx264", "libx265"):
        warnings.append(shape_lost(info.sar, codec, suffix))
    if lost_light:
        warnings.append(f"HDR metadata is not kept: {', '.join(lost_light)}")
    if info.layout:
        warnings.append(f"{' and '.join(info.layout)} metadata is not kept: players show the result as a flat picture")
    if info.interlaced:
        warnings.append("the source is interlaced: deinterlaced at the same frame rate")
    return OutputPlan(muxer, codec, pix_fmt, options, threads, bake, alpha, tuple(warnings))


def shape_lost(shape: Fraction | None, codec: str, suffix: str) -> str:
    """The warning that pixels that are not square may be shown so."""
    assert shape is not None
    said = f"the shape of its pixels ({shape.numerator}:{shape.denominator})"
    keep = ".mp4 and .mov, or libx264 and libx265, keep it"
    if codec == "ffv1":
        return (
            f"{said} may be lost: {codec} has it in its frames at most, and some players of {suffix} show them square; "
            f"{keep}"
        )
    return f"{said} is not kept: {codec} in {suffix} shows them square; {keep}"


def _alpha_codec(muxer: str, info: ClipInfo) -> str | None:
    """The encoder by which this muxer keeps transparency; where several do, a lossy one for 8 bits."""
    wanted = ("libvpx-vp9", "prores_ks", "ffv1") if info.bits == 8 else ("ffv1", "prores_ks", "libvpx-vp9")
    return next((codec for codec in wanted if muxer in _ALPHA[codec]), None)


def _keep_light(codec: str, options: dict[str, str], info: ClipInfo) -> list[str]:
    """Adds to the encoder's options what is known of the HDR master; returns what cannot be kept."""
    lost = dict.fromkeys(info.hdr_metadata)
    key, display, light = {
        "libx264": ("x264-params", "mastering-display", "cll"),
        "libx265": ("x265-params", "master-display", "max-cll"),
        "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
    }.get(codec, ("", "", ""))
    if not key:
        return list(lost)
    said = [options[key]] if key in options else []
    if info.mastering is not None:
        said.append(f"{display}={_display(info.mastering, whole=codec != 'libsvtav1')}")
        lost.pop("mastering_display_metadata", None)
    if info.light is not None:
        said.append(f"{light}={info.light[0]},{info.light[1]}")
        lost.pop("content_light_level", None)
    if said:
        options[key] = ":".join(said)
    return list(lost)


def _display(display: Mastering, whole: bool) -> str:
    """As encoders take it: H.265's whole units (0.00002 of xy, 0.0001 cd/m²), or plain numbers."""

    def number(value: Fraction, unit: int) -> str:
        return str(round(value * unit)) if whole else f"{float(value):.6g}"

    points = {"G": display.green, "B": display.blue, "R": display.red, "WP": display.white}
    xy = "".join(f"{name}({number(x, 50000)},{number(y, 50000)})" for name, (x, y) in points.items())
    return f"{xy}L({number(display.brightest, 10000)},{number(display.darkest, 10000)})"


# What FFmpeg's muxers say yes to, and nobody can read afterwards or they refuse at the first frame.
_NOT_HELD = {
    "mpegts": {"libvpx-vp9", "libsvtav1", "ffv1", "prores_ks"},
    "mov": {"libvpx-vp9", "libsvtav1"},
}


def _holds_codec(muxer: str, codec: str) -> bool:
    if codec in _NOT_HELD.get(muxer, ()):
        return False
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
            why = "is lossless and has no quality setting" if codec == "ffv1" else "has no quality setting"
            raise UsageError(f"--crf: {codec} {why}; leave it out")
        if not 0 <= encoder.crf <= highest:
            raise UsageError(f"--crf: {encoder.crf} is outside 0 (best) to {highest}")
        crf = encoder.crf
    if encoder.preset is not None:
        preset = encoder.preset
        allowed = {"libx264": _X26_PRESETS, "libx265": _X26_PRESETS, "ffv1": (), "prores_ks": ()}.get(
            codec, tuple(map(str, range(9 if codec == "libvpx-vp9" else 14)))
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
    if codec == "libx264":
        options |= x264.steady()
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


def _choose_pix_fmt(formats: list[str], info: ClipInfo, alpha: bool, warnings: list[str]) -> str:
    formats = [name for name in formats if has_alpha(name) == alpha or name == "bgra"]
    plain = {"nv12": "yuv420p", "nv21": "yuv420p", "p010le": "yuv420p10le", "yuyv422": "yuv422p", "uyvy422": "yuv422p"}
    source = plain.get(info.pix_fmt, opaque(info.pix_fmt))
    if source.startswith("gray"):
        # Grey has no room for the colours of an edit, and many players do not show it.
        source = "yuv420p"
        warnings.append(f"the source is grey ({info.pix_fmt}): the result has room for colours")
    candidates = [source] if info.bits == bit_depth(source) else []
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
    if alpha:
        rgb = ["bgra", "gbrap"] if info.bits == 8 else ["gbrap10le", "gbrap12le"]
        own = [] if info.pix_fmt.startswith("ya") else [info.pix_fmt]  # grey has no room for colours
        candidates = [*own, *(rgb if is_rgb(source) else ()), *(c.replace("yuv", "yuva") for c in candidates)]
    chosen = next((c for c in candidates if c in formats), formats[0])
    if bit_depth(chosen) < info.bits:
        warnings.append(f"{info.bits} bits a sample become {bit_depth(chosen)} ({chosen})")
    if _coarser(chosen, info):
        whole = next((name for name in ("yuv444p", "yuv444p10le") if name in formats), None)
        advice = f"; --pix-fmt {whole} keeps them" if whole is not None and not alpha else ""
        warnings.append(f"colours lose resolution: {info.pix_fmt} becomes {chosen}{advice}")
    return chosen


def _coarser(chosen: str, info: ClipInfo) -> bool:
    """Whether colours have fewer samples than in a video source. Of pictures it is what a video is expected to do."""
    names = info.container.split(",")
    if info.pix_fmt.startswith(("gray", "ya", "mono")) or any(
        name in ("gif", "apng", "image2") or name.endswith("_pipe") for name in names
    ):
        return False
    (own_x, own_y), (x, y) = _grid(info.pix_fmt), _grid(chosen)
    return x < own_x or y < own_y


def _grid(pix_fmt: str) -> tuple[int, int]:
    """Colour samples of a picture of 64 × 64."""
    if is_rgb(pix_fmt) or pix_fmt == "pal8":
        return 64, 64
    layout = av.VideoFormat(pix_fmt, 64, 64)
    return layout.chroma_width(), layout.chroma_height()


def _fit_size(
    codec: str, pix_fmt: str, formats: list[str], size: tuple[int, int], encoder: EncoderOptions, warnings: list[str]
) -> str:
    """4:2:0 and 4:2:2 of these codecs need even sizes; an odd one keeps its size in 4:4:4 instead."""
    width, height = size
    if is_rgb(pix_fmt) or pix_fmt.startswith("gray"):
        return pix_fmt
    layout = av.VideoFormat(pix_fmt, 64, 64)
    odd_x = layout.chroma_width() < 64 and width % 2
    odd_y = layout.chroma_height() < 64 and height % 2
    if not odd_x and not odd_y:
        return pix_fmt
    wider = {8: ["yuvj444p"] if pix_fmt.startswith("yuvj") else ["yuv444p"], 10: ["yuv444p10le"], 12: ["yuv444p12le"]}
    for candidate in [*wider.get(bit_depth(pix_fmt), []), "yuv444p"]:
        if candidate in formats:
            if encoder.pix_fmt is not None:
                raise UsageError(f"--pix-fmt: {pix_fmt} cannot hold {width}x{height}; use {candidate} or another codec")
            warnings.append(f"{width}x{height} is odd, which {codec} cannot hold in {pix_fmt}: {candidate} is used")
            return candidate
    raise UsageError(f"--codec: {codec} cannot hold the odd size {width}x{height}; use libx264, libvpx-vp9 or ffv1")
