"""Between a decoder's samples and RGB, with the clip's own matrix and range, the same both ways.

swscale is used with its accurate flags. Some of its paths are still off by more than a rounding: into full-range YUV
(a grey level), out of full-range samples deeper than 8 bits, from 16-bit RGB. There the matrix is applied here, and
swscale only changes the chroma sampling and the depth.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
from av.video import format as av_format
from av.video.reformatter import Interpolation, VideoReformatter

# All pixel formats that this FFmpeg has.
FORMATS: frozenset[str] = frozenset(av_format.names)  # pyright: ignore[reportAttributeAccessIssue]  (not in the stub)

UNSPECIFIED = 2  # of matrix, primaries and transfer; of the range it is 0
LIMITED, FULL = 1, 2

ACCURATE = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)

# Frames of that many pixels are converted in slices, by threads of their own; the samples are the same as without.
MANY_PIXELS, SLICES = 500_000, 4

# Luma weights (red, blue) by H.273 matrix number, and the number under which swscale knows the same matrix.
_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
_SWSCALE = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}


def resolve_matrix(tag: int, width: int, height: int) -> int:
    """H.273 matrix number to convert with; without a usable tag BT.709 from 1280 columns or 577 rows on, else
    BT.601."""
    if tag in _WEIGHTS:
        return tag
    return 1 if width >= 1280 or height > 576 else 6


def is_rgb(pix_fmt: str) -> bool:
    """Whether the samples of this FFmpeg pixel format are RGB (or a palette of RGB) already."""
    return pix_fmt == "pal8" or av.VideoFormat(pix_fmt).is_rgb


def bit_depth(pix_fmt: str) -> int:
    """Bits of the deepest component of an FFmpeg pixel format."""
    return 8 if pix_fmt == "pal8" else max(c.bits for c in av.VideoFormat(pix_fmt).components)


def has_alpha(pix_fmt: str) -> bool:
    """Whether this FFmpeg pixel format has transparency. A palette may, which only its frames tell."""
    return pix_fmt != "pal8" and any(c.is_alpha for c in av.VideoFormat(pix_fmt).components)


def opaque(pix_fmt: str) -> str:
    """The same pixel format without its transparency: ``yuv420p`` of ``yuva420p``."""
    if not has_alpha(pix_fmt):
        return pix_fmt
    plain = pix_fmt.replace("a", "", 1)
    if pix_fmt.startswith(("yuva", "gbra")) and plain in FORMATS:
        return plain
    deep = bit_depth(pix_fmt) > 8
    if pix_fmt.startswith("ya"):
        return "gray16le" if deep else "gray"
    if av.VideoFormat(pix_fmt).is_rgb:
        return "rgb48le" if deep else "rgb24"
    return "yuv444p16le" if deep else "yuv444p"


def alpha_of(frame: av.VideoFrame, width: int | None = None, height: int | None = None) -> np.ndarray:
    """Transparency of a frame that has it, (H, W) uint8 or uint16 over its whole range: 0 is clear.

    A frame of another size than ``width`` × ``height`` is scaled to it.
    """
    deep = bit_depth(frame.format.name) > 8
    rgba = frame.reformat(width, height, "rgba64le" if deep else "rgba").to_ndarray()
    return np.ascontiguousarray(rgba[..., 3])


def transparent(frame: av.VideoFrame) -> bool:
    """Whether any pixel of the frame is not opaque; the colours of a palette may be clear too."""
    if not has_alpha(frame.format.name) and frame.format.name != "pal8":
        return False
    alpha = alpha_of(frame)
    # Seven bits are enough to tell: a deeper full scale may be widened to a little less than full.
    return bool(int(alpha.min()) < (254 if alpha.dtype == np.uint8 else 254 << 8))


def with_alpha(frame: av.VideoFrame, alpha: np.ndarray, pix_fmt: str) -> av.VideoFrame:
    """``frame``, whose format is that of ``opaque(pix_fmt)``, with the transparency ``alpha`` (H, W) uint8 or
    uint16."""
    depth = bit_depth(pix_fmt)
    if alpha.dtype == np.uint16 or depth > 8:
        top = 65535.0 if alpha.dtype == np.uint16 else 255.0
        alpha = np.rint(alpha * (((1 << depth) - 1) / top)).astype(np.uint8 if depth == 8 else np.uint16)
    packed = {"rgb24": "rgba", "rgb48le": "rgba64le"}.get(frame.format.name)
    if packed is not None:
        rgba = np.concatenate([frame.to_ndarray(), alpha[..., None]], axis=2)
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgba), format=packed).reformat(format=pix_fmt)
    made = av.VideoFrame(frame.width, frame.height, pix_fmt)
    for old, new in zip(frame.planes, made.planes, strict=False):
        _copy_lines(np.frombuffer(memoryview(old), np.uint8).reshape(old.height, -1), new)
    _copy_lines(alpha.view(np.uint8).reshape(alpha.shape[0], -1), made.planes[3])
    return made


def _copy_lines(lines: np.ndarray, plane: Any) -> None:
    whole = np.zeros((plane.height, plane.line_size), np.uint8)
    width = min(lines.shape[1], plane.line_size)
    whole[:, :width] = lines[:, :width]
    plane.update(whole.tobytes())


def _rgb_to_yuv(matrix: int) -> np.ndarray:
    red, blue = _WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    b = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - blue))
    r = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - red))
    return np.stack([luma, b, r])


def plane_array(frame: av.VideoFrame, plane: int) -> np.ndarray:
    """Samples of one plane of a planar YUV or GBR frame, (h, w) uint8 or uint16 with line padding cut off (a view)."""
    p = frame.planes[plane]
    deep = bit_depth(frame.format.name) > 8
    array = np.frombuffer(memoryview(p), np.uint16 if deep else np.uint8).reshape(p.height, -1)
    return array[:, : p.width]


@dataclass(frozen=True)
class Color:
    """How a clip's samples mean colour: resolved H.273 ``matrix`` number and whether the range is ``full``."""

    matrix: int
    full: bool

    @property
    def range(self) -> int:
        """FFmpeg's number of the range: 1 limited, 2 full."""
        return FULL if self.full else LIMITED


class Converter:
    """Converts frames of one clip to RGB and back. May be used from several threads: each keeps its own scalers."""

    def __init__(self, color: Color, width: int, height: int) -> None:
        self.color = color
        self.width = width
        self.height = height
        self._threads = SLICES if width * height >= MANY_PIXELS else 1
        self._local = threading.local()

    def _scale(
        self, slot: str, frame: av.VideoFrame, pix_fmt: str, source_range: int, target_range: int
    ) -> av.VideoFrame:
        # One scaler a use: swscale rebuilds its tables whenever the parameters change.
        scaler = getattr(self._local, slot, None)
        if scaler is None:
            scaler = VideoReformatter()
            setattr(self._local, slot, scaler)
        matrix = _SWSCALE[self.color.matrix]
        return scaler.reformat(
            frame,
            width=self.width,
            height=self.height,
            format=pix_fmt,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=source_range,
            dst_color_range=target_range,
            interpolation=ACCURATE,
            threads=self._threads,
        )

    def to_rgb(self, frame: av.VideoFrame, bits: int = 8) -> np.ndarray:
        """RGB of a decoded frame in coded orientation: (H, W, 3) uint8, or uint16 over its whole range with
        ``bits=16``."""
        name = frame.format.name
        color_range = self.color.range
        if bits == 16 and bit_depth(name) < 8:
            # swscale widens these by shifting, which makes white grey.
            return self.to_rgb(frame).astype(np.uint16) * 257
        if is_rgb(name) or name.startswith("gray"):
            scaled = self._scale("rgb", frame, "rgb24" if bits == 8 else "rgb48le", FULL, FULL)
            return np.ascontiguousarray(scaled.to_ndarray())
        if bits == 8 and (bit_depth(name) == 8 or not self.color.full):
            return np.ascontiguousarray(self._scale("rgb", frame, "rgb24", color_range, FULL).to_ndarray())
        wide = self._scale("wide", frame, "yuv444p16le", color_range, color_range)
        return self._matrix_to_rgb(wide, bit_depth(name), bits)

    def _matrix_to_rgb(self, wide: av.VideoFrame, depth: int, bits: int) -> np.ndarray:
        # swscale widens by shifting: full scale of `depth` bits becomes (2**depth - 1) << (16 - depth).
        unit = float(1 << (16 - depth))
        planes = np.empty((self.height, self.width, 3), np.float32)
        for k in range(3):
            planes[..., k] = plane_array(wide, k)
        if self.color.full:
            scale = np.full(3, 1.0 / (((1 << depth) - 1) * unit))
            offset = np.array([0.0, 32768.0, 32768.0])
        else:
            scale = np.array([1 / (219 * 256.0), 1 / (224 * 256.0), 1 / (224 * 256.0)])
            offset = np.array([16 * 256.0, 32768.0, 32768.0])
        top = 255.0 if bits == 8 else 65535.0
        inverse = np.linalg.inv(_rgb_to_yuv(self.color.matrix)) * scale * top
        affine = np.concatenate([inverse, (-inverse @ offset)[:, None]], axis=1)
        out = cv2.transform(planes, affine)
        np.clip(np.rint(out, out=out), 0, top, out=out)
        return out.astype(np.uint8 if bits == 8 else np.uint16)

    def from_rgb(self, rgb: np.ndarray, pix_fmt: str, alpha: np.ndarray | None = None) -> av.VideoFrame:
        """A frame of ``pix_fmt`` from RGB in coded orientation, (H, W, 3) uint8 or uint16; size must be the clip's.

        ``alpha`` (H, W) uint8 or uint16 is its transparency, for a format that has it.
        """
        if alpha is not None:
            return with_alpha(self.from_rgb(rgb, opaque(pix_fmt)), alpha, pix_fmt)
        if rgb.shape != (self.height, self.width, 3) or rgb.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"expected {(self.height, self.width, 3)} uint8 or uint16, got {rgb.shape} {rgb.dtype}")
        rgb = np.ascontiguousarray(rgb)
        depth = bit_depth(pix_fmt)
        if is_rgb(pix_fmt) or (not self.color.full and depth == 8 and rgb.dtype == np.uint8):
            # Not copied: it is read once, here.
            packed = av.VideoFrame.from_numpy_buffer(rgb, "rgb24" if rgb.dtype == np.uint8 else "rgb48le")
            return self._scale("yuv", packed, pix_fmt, FULL, FULL if is_rgb(pix_fmt) else LIMITED)
        top = float((1 << depth) - 1)
        unit = float(1 << (depth - 8))
        if self.color.full:
            scale, black = np.full(3, top), 0.0
        else:
            scale, black = np.array([219.0, 224.0, 224.0]) * unit, 16 * unit
        forward = _rgb_to_yuv(self.color.matrix) * scale[:, None] / (255.0 if rgb.dtype == np.uint8 else 65535.0)
        middle = 128 * unit
        affine = np.concatenate([forward, np.array([[black], [middle], [middle]])], axis=1)
        yuv = cv2.transform(rgb.astype(np.float32), affine)
        # Rounded to the target's depth here: swscale would narrow 16 bits by a different rule for each depth.
        np.clip(np.rint(yuv, out=yuv), 0, top, out=yuv)
        if pix_fmt.startswith("gray"):
            return _planar(yuv.astype(np.uint8 if depth == 8 else np.uint16), pix_fmt)
        name = "yuv444p" if depth == 8 else f"yuv444p{depth}le"
        wide = _planar(yuv.astype(np.uint8 if depth == 8 else np.uint16), name)
        return self._scale("yuv", wide, pix_fmt, self.color.range, self.color.range)

    def carried(self, frame: av.VideoFrame, source: av.VideoFrame) -> av.VideoFrame:
        """A frame with the samples of ``frame`` and what ``source`` holds beside its own, as closed captions."""
        # What is beside the samples goes along with a conversion and nothing else. The first one makes sure that the
        # samples that are written over are not the decoder's.
        name = frame.format.name
        other = self._scale("carried", source, "yuv444p" if name != "yuv444p" else "yuv420p", FULL, FULL)
        made = self._scale("carrier", other, name, FULL, FULL)
        for old, new in zip(frame.planes, made.planes, strict=True):
            _copy_lines(np.frombuffer(memoryview(old), np.uint8).reshape(old.height, -1), new)
        return made

    def to_format(self, frame: av.VideoFrame, pix_fmt: str) -> av.VideoFrame:
        """The same picture in another pixel format without a way through RGB where both are YUV."""
        if frame.format.name == pix_fmt and (frame.width, frame.height) == (self.width, self.height):
            return frame
        if not is_rgb(frame.format.name) and not is_rgb(pix_fmt):
            return self._scale("format", frame, pix_fmt, self.color.range, self.color.range)
        keep = (has_alpha(frame.format.name) or frame.format.name == "pal8") and has_alpha(pix_fmt)
        alpha = alpha_of(frame, self.width, self.height) if keep else None
        return self.from_rgb(self.to_rgb(frame, 8 if bit_depth(frame.format.name) == 8 else 16), pix_fmt, alpha)


def _planar(yuv: np.ndarray, pix_fmt: str) -> av.VideoFrame:
    height, width = yuv.shape[:2]
    frame = av.VideoFrame(width, height, pix_fmt)
    for k in range(len(frame.planes)):
        plane = frame.planes[k]
        lines = np.zeros((plane.height, plane.line_size // yuv.itemsize), yuv.dtype)
        lines[:, :width] = yuv[..., k]
        plane.update(lines.tobytes())
    return frame
