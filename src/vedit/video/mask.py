"""Where a clip is edited (``--mask``): white is edited, black keeps the source's own samples, bit for bit.

A mask is a picture or a video of the clip's displayed size. It becomes weights from 0 (the source) to 255 (the edit),
one for each pixel. The soft rim lies inside: a pixel that is black in the mask has weight 0 whatever the feather.

The two are mixed sample by sample in the format of the result, not in RGB. Where chroma is subsampled, a chroma sample
gets the smallest weight of the pixels that it covers: one that an outside pixel has a share in stays the source's.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from vedit.errors import InputError, UsageError
from vedit.video.clip import ClipInfo, Orientation
from vedit.video.info import probe
from vedit.video.reader import Reader, SourceFrame

DEFAULT_FEATHER = "1%"
WIDEST = 0.5  # of a feather, as a share of the short side
# Grey levels of a mask: up to the first counts as black and from the second on as white, which a lossy codec leaves
# neither of; between them the edit shows in part.
BLACK, WHITE = 16, 239
_RAMP = np.rint(np.clip((np.arange(256) - BLACK) / (WHITE - BLACK), 0, 1) * 255).astype(np.uint8)


@dataclass(frozen=True)
class MaskInfo:
    """A mask that fits its clip: ``feather`` in pixels of the displayed clip; ``video`` is None for a picture."""

    path: str
    feather: float
    video: ClipInfo | None = None
    warnings: tuple[str, ...] = ()


def parse_feather(text: str, info: ClipInfo) -> float:
    """Pixels from "12", "12px" or "1.5%" (of the clip's short side). Raises :class:`UsageError`."""
    short = min(info.width, info.height)
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(px|%|)\s*", text)
    if found is None:
        raise UsageError(f"--feather {text}: not a width; give pixels (12) or a share of the short side (1%)")
    pixels = float(found[1]) * (short / 100 if found[2] == "%" else 1)
    if pixels > WIDEST * short:
        raise UsageError(f"--feather {text}: wider than half of the clip's short side ({short} pixels); lower it")
    return pixels


def check_mask(path: str, info: ClipInfo, feather: str | None = None) -> MaskInfo:
    """Look at a mask before anything else is done. Raises :class:`InputError` for one that cannot be read, has another
    size, ends before the clip or is black all over; :class:`UsageError` for a feather that is none."""
    width = parse_feather(DEFAULT_FEATHER if feather is None else feather, info)
    if not Path(path).exists():
        raise InputError(f"--mask {path}: no such file; check the path")
    if not Path(path).is_file():
        raise InputError(f"--mask {path}: is not an ordinary file; give a picture or a video")
    if _is_picture(path):
        weights = _RAMP[read_picture(path)]
        _check_size(path, weights.shape[1], weights.shape[0], info)
        if not weights.any():
            raise InputError(f"--mask {path}: is black all over, so nothing would be edited; white is what is edited")
        return MaskInfo(path, width)
    video = probe(path)
    video.require_complete()
    _check_size(path, video.display_width, video.display_height, info)
    warnings = []
    # A duration that is not the video's own may be that of longer sound; what is too short is found at the end then.
    if video.duration is not None and info.duration is not None and video.own_duration and info.own_duration:
        longer = video.duration - info.duration
        if longer < -1 / min(video.rate, info.rate):
            raise _too_short(path, video.duration, info.duration)
        if longer > 1 / min(video.rate, info.rate):
            warnings.append(f"--mask {path} is {float(longer):.3g} s longer than the clip: the rest of it is not used")
    return MaskInfo(path, width, video, tuple(warnings))


def _check_size(path: str, width: int, height: int, info: ClipInfo) -> None:
    if (width, height) != (info.display_width, info.display_height):
        raise InputError(
            f"--mask {path}: is {width}x{height}, but the clip is shown at {info.display_width}x{info.display_height}; "
            "scale the mask to that size"
        )


def _too_short(path: str, has: Fraction, needs: Fraction) -> InputError:
    return InputError(
        f"--mask {path}: ends at {float(has):.4g} s, but the clip goes on to {float(needs):.4g} s; "
        "a mask video must be as long as the clip"
    )


def _is_picture(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            # OpenCV would take the first frame of an animation.
            return file.read(4) != b"GIF8" and cv2.haveImageReader(path)
    except OSError as error:
        raise InputError(f"--mask {path}: cannot be read ({error.strerror}); give a picture or a video") from None


def read_picture(path: str, option: str = "--mask") -> np.ndarray:
    """Grey levels (H, W) uint8, turned as EXIF says; what is transparent is black. Raises :class:`InputError` that
    names the option."""
    try:
        # OpenCV turns a picture only where it may leave out its transparency.
        image, kinds, values = cv2.imreadWithMetadata(path, flags=cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{option} {path}: cannot be read as a picture; it is damaged, save it again as PNG")
    told = [value.tobytes() for kind, value in zip(kinds, values, strict=True) if kind == cv2.IMAGE_METADATA_EXIF]
    image = exif_orientation(told[0] if told else b"").apply(image)
    if image.dtype == np.uint16:
        image = np.right_shift(image, 8).astype(np.uint8)
    if image.ndim == 2:
        return image
    if image.shape[2] == 2:
        grey, alpha = image[..., 0], image[..., 1]
    else:
        grey = cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_BGR2GRAY)
        alpha = image[..., 3] if image.shape[2] == 4 else None
    return grey if alpha is None else cv2.multiply(grey, np.ascontiguousarray(alpha), scale=1 / 255)


_EXIF_TURNS = {
    2: Orientation(False, True, False), 3: Orientation(False, True, True), 4: Orientation(False, False, True),
    5: Orientation(True, False, False), 6: Orientation(True, True, False), 7: Orientation(True, True, True),
    8: Orientation(True, False, True),
}  # fmt: skip


def exif_orientation(data: bytes) -> Orientation:
    """How a picture with this EXIF (a TIFF header and its first directory) is shown; as it is, where nothing says."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    try:
        if order is None:
            return Orientation()
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        for k in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", data, at + 2 + 12 * k)
            if (tag, kind) == (0x0112, 3):
                return _EXIF_TURNS.get(value, Orientation())
    except struct.error:  # cut or damaged: the picture is there all the same
        return Orientation()
    return Orientation()


def soft_weights(grey: np.ndarray, feather: float) -> np.ndarray:
    """Weights (H, W) uint8 from grey levels (H, W) uint8; over ``feather`` pixels they rise from the rim inwards."""
    weights = cv2.LUT(grey, _RAMP)
    inside = (weights > 0).astype(np.uint8)
    if feather <= 0 or inside.all():
        return weights
    # The first pixel inside has the distance one. The border of the picture is no rim.
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    rising = np.minimum(distance * np.float32(1 / (feather + 1)), 1.0)
    return np.rint(weights * rising).astype(np.uint8)


class Mask:
    """The weights of frame after frame. Times must not decrease; one frame of a mask video is in memory."""

    def __init__(self, mask: MaskInfo, info: ClipInfo, *, threads: int | None = None) -> None:
        self.warnings: list[str] = []
        self._mask = mask
        self._asked = False
        self._seen = False
        self._reader: Reader | None = None
        self._frames: Iterator[SourceFrame] = iter(())
        self._shown: SourceFrame | None = None
        self._next: SourceFrame | None = None
        self._weights: np.ndarray | None = None
        if mask.video is None:
            self._weights = soft_weights(read_picture(mask.path), mask.feather)
            return
        # Clocks that differ by less than this name the same moment: containers round times.
        self._slack = 1 / (4 * max(mask.video.rate, info.rate))
        self._reader = Reader(mask.path, mask.video, threads=threads)
        self._frames = iter(self._reader)

    def at(self, time: Fraction) -> np.ndarray:
        """Weights (H, W) uint8 in displayed orientation for the frame at ``time``, seconds from the clip's first.

        Raises :class:`InputError` when the mask has ended before.
        """
        if self._reader is not None:
            self._advance(time)
        if self._weights is None:
            assert self._shown is not None
            grey = cv2.cvtColor(self._shown.rgb(), cv2.COLOR_RGB2GRAY)
            self._weights = soft_weights(grey, self._mask.feather)
        self._asked = True
        self._seen = self._seen or bool(self._weights.any())
        return self._weights

    def _advance(self, time: Fraction) -> None:
        if self._shown is None and self._next is None:
            self._next = next(self._frames, None)
        while self._next is not None and self._next.time <= time + self._slack:
            self._shown, self._weights = self._next, None
            self._next = next(self._frames, None)
        shown = self._shown
        if shown is not None and self._next is None:
            end = shown.time + shown.duration * shown.info.time_base
            if time + self._slack >= end:
                raise _too_short(self._mask.path, end, time)

    def close(self) -> None:
        """Close the file. Safe to call twice; ``warnings`` is complete then."""
        if self._reader is None:
            return
        self._reader.close()
        self.warnings = list(self._reader.warnings)
        if self._asked and not self._seen:
            self.warnings.append(f"--mask {self._mask.path} is black in every frame: nothing was edited")

    def __enter__(self) -> Mask:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class RegionMask:
    """The weights of regions, the same in every frame, and of a :class:`Mask` beside them where there is one: the
    smaller of the two."""

    def __init__(self, grey: np.ndarray, feather: float, mask: Mask | None = None) -> None:
        """``grey``: (H, W) uint8 in displayed orientation, white inside."""
        self._weights, self._mask = soft_weights(grey, feather), mask

    @property
    def warnings(self) -> list[str]:
        """Of the mask."""
        return [] if self._mask is None else self._mask.warnings

    def at(self, time: Fraction) -> np.ndarray:
        """See :meth:`Mask.at`."""
        return self._weights if self._mask is None else np.minimum(self._weights, self._mask.at(time))

    def close(self) -> None:
        """See :meth:`Mask.close`."""
        if self._mask is not None:
            self._mask.close()

    def __enter__(self) -> RegionMask:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def mix(source: np.ndarray, edited: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``edited`` where the weight is 255, exactly ``source`` where it is 0; both (H, W, ...) uint8 or uint16, weights
    (H, W) uint8."""
    out = source.copy()
    x, y, width, height = cv2.boundingRect(weights)
    if width == 0:
        return out
    part = np.s_[y : y + height, x : x + width]
    share = weights[part].astype(np.int32)
    share = share.reshape(share.shape + (1,) * (source.ndim - 2))
    low = source[part].astype(np.int32)
    out[part] = low + ((edited[part].astype(np.int32) - low) * share + 127) // 255
    return out


def composite(source: av.VideoFrame, edited: av.VideoFrame, weights: np.ndarray) -> av.VideoFrame:
    """A new frame mixed sample by sample; the two have one size and format, ``weights`` (H, W) uint8 are in coded
    orientation. Raises ``ValueError`` for a format whose samples cannot be told apart; see :func:`can_mix`."""
    name = edited.format.name
    if (
        not can_mix(name)
        or source.format.name != name
        or (source.width, source.height) != (edited.width, edited.height)
    ):
        raise ValueError(f"cannot mix {source.format.name} {source.width}x{source.height} into {name}")
    result = av.VideoFrame(edited.width, edited.height, name)
    for k, plane in enumerate(result.planes):
        below, above = _samples(source, k), _samples(edited, k)
        lines = np.zeros((plane.height, plane.line_size // below.itemsize), below.dtype)
        mixed = mix(below, above, _cover(weights, below.shape[1], below.shape[0]))
        lines[:, : mixed[0].size] = mixed.reshape(plane.height, -1)
        plane.update(lines.tobytes())
    return result


def can_mix(pix_fmt: str) -> bool:
    """Whether each plane of this FFmpeg pixel format has whole pixels of one sampling, 8 or 16 bits a sample."""
    layout = av.VideoFormat(pix_fmt, 64, 64)
    sizes = {(c.plane, c.width, c.height) for c in layout.components}
    planes = {c.plane for c in layout.components}
    bits = {c.bits for c in layout.components}
    packed = len(planes) == 1 and len(layout.components) > 1
    return pix_fmt != "pal8" and len(sizes) == len(planes) and (bits <= {8, 16} if packed else min(bits) >= 8)


def _samples(frame: av.VideoFrame, plane: int) -> np.ndarray:
    """(h, w, samples of a pixel) of one plane, uint8 or uint16: a view."""
    data, layout = frame.planes[plane], frame.format
    own = [c for c in layout.components if c.plane == plane]
    dtype = np.dtype(np.uint16 if max(c.bits for c in layout.components) > 8 else np.uint8)
    # A packed format may have a byte more than it has components (bgr0).
    packed = len(frame.planes) == 1 and len(own) > 1
    each = layout.padded_bits_per_pixel // (8 * dtype.itemsize) if packed else len(own)
    lines = np.frombuffer(memoryview(data), dtype).reshape(data.height, -1)
    return lines[:, : data.width * each].reshape(data.height, data.width, each)


def _cover(weights: np.ndarray, width: int, height: int) -> np.ndarray:
    """The smallest weight of the pixels that each sample of a (perhaps subsampled) plane covers."""
    if weights.shape == (height, width):
        return weights
    across, down = -(-weights.shape[1] // width), -(-weights.shape[0] // height)
    full = np.full((height * down, width * across), 255, np.uint8)
    full[: weights.shape[0], : weights.shape[1]] = weights
    return np.ascontiguousarray(full.reshape(height, down, width, across).min(axis=(1, 3)))
