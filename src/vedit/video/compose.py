"""Brings an edit from the model's working size to the size of the source, as sharp as the source.

The edit is told in three parts, each of what the one before leaves over; all are found at working size, between the
codec's own reconstruction of the source and the edit, so that what the codec does to colours and sharpness drops out.
What the model blurs beyond that is told by the blur that makes the reconstruction most like the edit; everything is
fitted to the reconstruction after that blur.

1. *Curves* of the whole frame: what is added to a channel is a sum of piecewise linear functions of red, green, blue
   and luma (an additive model). Nearly every edit of tone is such a sum, and a pixel's own colour decides, however fine
   the structure that it belongs to.
2. *Affine maps* of neighbourhoods, fitted by regularised least squares as in He, Sun and Tang's guided image filter
   (2013, equations 11-14). Where a neighbourhood is too flat to tell, its map leans to zero, that is to the curves.
3. *The edit's own detail* (strokes, snow), which no such map explains.

The last two are taken less what is no stronger than noise, or than the error that a model makes beside strong
structure.

Curves and maps are applied to the native source, and the edit's own detail is upsampled and added.

What working size or codec lose of the source comes back only where the edit keeps fine structure. That is told by the
regression of the edit's fine structure on the source's after the curves: a model's softness leaves a slope of two
thirds or more, an edit that blurs or paints over (fog, oil) half of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import cv2
import numpy as np

Detail = Literal["auto", "source", "edit", "tone"]

NOISE = 0.016  # root mean square of a residual that counts as noise, of full scale
MAP_ERROR = 0.02  # the same of what a neighbourhood's map changes
UNEXPLAINED = 0.03  # share of a neighbourhood's mapped variance that a residual may have and still count as error
FLATNESS = 4e-3  # variance (of full scale squared) below which a neighbourhood leans to the whole frame's curves
RADIUS = 1 / 32  # of the neighbourhood, as a share of the short side at working size
SOFTNESS = (0.0, 0.4, 0.7, 1.0, 1.4, 2.0, 2.8)  # blurs that are tried: standard deviations in 1/256 of the short side
FINE = 1 / 256, 2.5 / 256  # standard deviations of the blurs whose difference is fine structure, of the short side
LEAN = 0.5  # where there is less than this share of the frame's mean fine structure, the frame's slope decides
PAINTED, SHARP = 0.5, 0.7  # slopes of the fine structure: none of the source's detail comes back below, all above
FOREIGN, OWN = 0.7, 0.85  # correlations of the frame's fine structure with the source's: the same, below and above
KNOTS = 9  # of each curve
BEND = 1e-3  # weight of the curves' second differences: they go straight on where the frame has no such colours
IDENTITY = 1e-6  # weight of the curves' size: without anything else to go by, nothing is changed
_LEVELS = 4096  # of the curves' tables
_FIT_SIZE = 128  # short side on which curves and maps are fitted: a model's softness hardly shows there
_LUMA = (0.299, 0.587, 0.114)


def compose(
    source_rgb: np.ndarray, reconstruction: np.ndarray, edited: np.ndarray, detail: Detail = "auto"
) -> np.ndarray:
    """The edit at the source's size, in the source's dtype (uint8 or uint16).

    ``source_rgb`` (H, W, 3) uint8 or uint16; ``reconstruction`` and ``edited`` (h, w, 3) uint8, uint16 or float in [0,
    1]. If these two are equal the source comes back (not with ``edit``).

    ``detail``: ``auto`` brings the source's detail back where the edit keeps fine structure, and adds the edit's own;
    ``source`` brings it back everywhere; ``tone`` too, and adds nothing of the edit's own; ``edit`` is the edit
    upsampled, with nothing of the source.
    """
    if reconstruction.shape != edited.shape or edited.ndim != 3 or edited.shape[2] != 3 or source_rgb.shape[2:] != (3,):
        raise ValueError(f"sizes do not fit: {source_rgb.shape}, {reconstruction.shape}, {edited.shape}")
    if detail not in get_args(Detail):
        raise ValueError(f"detail {detail!r}: one of {', '.join(get_args(Detail))}")
    guide, target = _unit(reconstruction), _unit(edited)
    height, width = source_rgb.shape[:2]
    if detail == "edit":
        return _whole_numbers([_to_size(plane, width, height) for plane in cv2.split(target)], source_rgb.dtype)

    softness = _softness(guide, target)
    soft = cv2.GaussianBlur(guide, (0, 0), softness) if softness > 0 else guide
    size = _fit_size(guide)
    small_soft, small_target = (_to_size(image, *size, cv2.INTER_AREA) for image in (soft, target))
    tables = _tables(_curves(small_soft, small_target))
    small_bent = small_soft + _bend(tables, small_soft)
    coefficients = _weighed(_maps(small_soft, small_target - small_bent), small_soft, small_bent)

    unit = np.float32(1.0 / np.iinfo(source_rgb.dtype).max)
    native = [np.multiply(plane, unit, dtype=np.float32) for plane in cv2.split(source_rgb)]
    if detail == "auto":
        kept = _to_size(_kept(guide + _bend(tables, guide), target), width, height, cv2.INTER_LINEAR)
        for k in range(3):
            coarse = _to_size(np.ascontiguousarray(soft[..., k]), width, height)
            native[k] -= coarse
            native[k] *= kept
            native[k] += coarse
    own = None if detail == "tone" else _own_detail(tables, coefficients, soft, target)
    return _whole_numbers(_apply(tables, coefficients, native, own), source_rgb.dtype)


def _apply(
    tables: np.ndarray, coefficients: list[np.ndarray], native: list[np.ndarray], own: np.ndarray | None
) -> list[np.ndarray]:
    """Curves, maps and the edit's own detail (h, w, 3) on the planes of the source: three planes (H, W) float32.

    One plane at a time, so that a frame of any size needs little memory beside its own.
    """
    height, width = native[0].shape
    levels = [_level(plane) for plane in (*native, _luma(native))]
    planes = []
    for c in range(3):
        plane = native[c].copy()
        for k, level in enumerate(levels):
            if tables[k, c].any():
                plane += np.take(tables[k, c], level)
        for k in range(3):
            slope = _to_size(np.ascontiguousarray(coefficients[k][..., c]), width, height, cv2.INTER_LINEAR)
            cv2.accumulateProduct(slope, native[k], plane)
        plane += _to_size(np.ascontiguousarray(coefficients[3][..., c]), width, height, cv2.INTER_LINEAR)
        if own is not None:
            plane += _to_size(np.ascontiguousarray(own[..., c]), width, height)
        planes.append(plane)
    return planes


def _softness(guide: np.ndarray, target: np.ndarray) -> float:
    """Standard deviation, in pixels, of the blur that makes the reconstruction most like the edit; 0 for none.

    Most like: by the correlation of what is finer than the widest blur, after the frame's curves, in luma.
    """
    if np.array_equal(guide, target):
        return 0.0
    size = _fit_size(guide)
    tables = _tables(_curves(*(_to_size(image, *size, cv2.INTER_AREA) for image in (guide, target))))
    bent, edit = (_luma(cv2.split(image)) for image in (guide + _bend(tables, guide), target))
    unit = min(bent.shape) / 256
    widest = 3 * SOFTNESS[-1] * unit
    edit -= cv2.GaussianBlur(edit, (0, 0), widest)
    bent -= cv2.GaussianBlur(bent, (0, 0), widest)
    likeness = []
    for sigma in SOFTNESS:
        soft = cv2.GaussianBlur(bent, (0, 0), sigma * unit) if sigma else bent
        likeness.append(float((soft * edit).sum() / np.sqrt((soft * soft).sum() + 1e-9)))
    best = int(np.argmax(likeness))
    if best == 0:
        return 0.0
    if best == len(SOFTNESS) - 1:
        return SOFTNESS[-1] * unit
    # Through the best and its neighbours a parabola: so it changes smoothly from frame to frame.
    curve = np.polyfit(SOFTNESS[best - 1 : best + 2], likeness[best - 1 : best + 2], 2)
    return float(-curve[1] / (2 * curve[0])) * unit


def _own_detail(tables: np.ndarray, coefficients: list[np.ndarray], soft: np.ndarray, target: np.ndarray) -> np.ndarray:
    """What curves and maps leave over of the edit, less noise and error (a Wiener gain): (h, w, 3) float32."""
    height, width = soft.shape[:2]
    maps = [_to_size(part, width, height, cv2.INTER_LINEAR) for part in coefficients]
    mapped = soft + _bend(tables, soft) + maps[3] + sum(maps[k] * soft[..., k : k + 1] for k in range(3))
    residual = target - mapped
    energy = cv2.blur(np.einsum("hwc,hwc->hw", residual, residual) / 3, (5, 5), borderType=cv2.BORDER_REFLECT)
    error = np.float32(NOISE * NOISE) + np.float32(UNEXPLAINED) * _variance(mapped)
    residual *= np.maximum(0.0, 1.0 - error / np.maximum(energy, 1e-9))[..., None]
    return residual


def _kept(bent: np.ndarray, target: np.ndarray) -> np.ndarray:
    """How much of the source's fine structure comes back: (h, w) float32 in [0, 1].

    ``bent`` is the reconstruction with the curves on it, without the local maps, which would follow a blur. Where a
    neighbourhood holds too little to tell, the slope of the whole frame decides. Where most of the edit's structure is
    not the source's (snow, dots), none comes back at all: in patches it would look worse than nowhere.
    """
    short = min(bent.shape[:2])
    source, edit = (
        cv2.GaussianBlur(image, (0, 0), FINE[0] * short) - cv2.GaussianBlur(image, (0, 0), FINE[1] * short)
        for image in (bent, target)
    )
    own, both = np.einsum("hwc,hwc->hw", source, source), np.einsum("hwc,hwc->hw", source, edit)
    mean = float(own.mean()) + 1e-9
    whole = (float(both.mean()) + 1e-9) / mean
    theirs = max(float(np.einsum("hwc,hwc->", edit, edit)) / own.size - NOISE * NOISE, 1e-9)  # a third of it a channel
    likeness = whole * np.sqrt(mean / theirs)
    own, both = (cv2.blur(energy, _window(bent), borderType=cv2.BORDER_REFLECT) for energy in (own, both))
    slope = (both + np.float32(LEAN * mean * whole)) / (own + np.float32(LEAN * mean))
    return _smooth(slope, PAINTED, SHARP) * _smooth(np.float32(likeness), FOREIGN, OWN)


def _smooth(x: np.ndarray | np.float32, low: float, high: float) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, smooth between."""
    share = np.clip((x - np.float32(low)) * np.float32(1 / (high - low)), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def _curves(guide: np.ndarray, target: np.ndarray) -> np.ndarray:
    """What is added to each channel, as values at the knots: (4, 3, KNOTS) float64, by red, green, blue and luma."""
    step = max(1, min(guide.shape[:2]) // 128)
    x = guide[::step, ::step].reshape(-1, 3)
    difference = target[::step, ::step].reshape(-1, 3).astype(np.float64) - x
    signals = np.concatenate([x, x @ np.array(_LUMA, np.float32)[:, None]], axis=1).T
    knots = np.arange(KNOTS, dtype=np.float32)[:, None]
    hats = [np.maximum(0.0, 1.0 - np.abs(np.clip(s, 0, 1) * (KNOTS - 1) - knots)) for s in signals]
    basis = np.concatenate(hats).astype(np.float64)
    second = np.kron(np.eye(4), np.diff(np.eye(KNOTS), 2, axis=0))
    normal = basis @ basis.T / len(x) + BEND * (second.T @ second) + IDENTITY * np.eye(len(basis))
    solved = np.linalg.solve(normal, basis @ difference / len(x))
    return solved.reshape(4, KNOTS, 3).transpose(0, 2, 1)


def _tables(curves: np.ndarray) -> np.ndarray:
    """The curves at every level: (4, 3, levels) float32."""
    at, knots = np.linspace(0, 1, _LEVELS), np.linspace(0, 1, KNOTS)
    return np.array([[np.interp(at, knots, curve) for curve in signal] for signal in curves], np.float32)


def _bend(tables: np.ndarray, image: np.ndarray) -> np.ndarray:
    """What the curves add to an image (h, w, 3)."""
    planes = cv2.split(image)
    levels = [_level(plane) for plane in (*planes, _luma(planes))]
    added = [sum(np.take(tables[k, c], level) for k, level in enumerate(levels)) for c in range(3)]
    return np.stack(added, axis=-1)


def _level(plane: np.ndarray) -> np.ndarray:
    return (np.clip(plane, 0.0, 1.0) * np.float32(_LEVELS - 1) + np.float32(0.5)).astype(np.uint16)


def _luma(planes: Sequence[np.ndarray]) -> np.ndarray:
    red, green, blue = (plane * np.float32(weight) for plane, weight in zip(planes, _LUMA, strict=True))
    red += green
    red += blue
    return red


def _maps(guide: np.ndarray, rest: np.ndarray) -> list[np.ndarray]:
    """Maps rest = A guide + b of every pixel's neighbourhood: four (h, w, 3) float32, columns of A for R, G, B, then
    b."""
    window = _window(guide)

    def mean(image: np.ndarray) -> np.ndarray:
        return cv2.blur(image, window, borderType=cv2.BORDER_REFLECT)

    mean_guide, mean_rest = mean(guide), mean(rest)
    red, green, blue = (np.ascontiguousarray(mean_guide[..., k]) for k in range(3))
    squares = mean(guide * guide)
    crosses = mean(guide * guide[..., (1, 2, 0)])  # RG, GB, BR
    rr = squares[..., 0] - red * red + FLATNESS
    gg = squares[..., 1] - green * green + FLATNESS
    bb = squares[..., 2] - blue * blue + FLATNESS
    rg = crosses[..., 0] - red * green
    gb = crosses[..., 1] - green * blue
    br = crosses[..., 2] - blue * red
    # Inverse of the symmetric 3x3 matrix by cofactors.
    c_rr, c_rg, c_rb = gg * bb - gb * gb, gb * br - rg * bb, rg * gb - gg * br
    c_gg, c_gb, c_bb = rr * bb - br * br, rg * br - rr * gb, rr * gg - rg * rg
    scale = 1.0 / (rr * c_rr + rg * c_rg + br * c_rb)
    covariance = [
        mean(guide[..., k : k + 1] * rest) - m[..., None] * mean_rest for k, m in enumerate((red, green, blue))
    ]
    rows = ((c_rr, c_rg, c_rb), (c_rg, c_gg, c_gb), (c_rb, c_gb, c_bb))
    columns = []
    offset = mean_rest
    for k, row in enumerate(rows):
        column = sum((row[j] * scale)[..., None] * covariance[j] for j in range(3))
        offset = offset - column * mean_guide[..., k : k + 1]
        columns.append(column)
    return [mean(c) for c in (*columns, offset)]


def _weighed(coefficients: list[np.ndarray], guide: np.ndarray, bent: np.ndarray) -> list[np.ndarray]:
    """The maps, less those that change no more than a model's error does (a Wiener gain)."""
    change = coefficients[3] + sum(coefficients[k] * guide[..., k : k + 1] for k in range(3))
    window = _window(guide)
    energy = cv2.blur(np.einsum("hwc,hwc->hw", change, change) / 3, window, borderType=cv2.BORDER_REFLECT)
    error = np.float32(MAP_ERROR**2) + np.float32(UNEXPLAINED) * _variance(bent)
    gain = np.maximum(0.0, 1.0 - error / np.maximum(energy, 1e-9))
    gain = cv2.blur(gain, window, borderType=cv2.BORDER_REFLECT)[..., None]
    return [part * gain for part in coefficients]


def _variance(image: np.ndarray) -> np.ndarray:
    """Mean variance of the channels in every pixel's neighbourhood: (h, w) float32."""
    window = _window(image)
    mean = cv2.blur(image, window, borderType=cv2.BORDER_REFLECT)
    squares = cv2.blur(np.einsum("hwc,hwc->hw", image, image), window, borderType=cv2.BORDER_REFLECT)
    return np.maximum(0.0, squares - np.einsum("hwc,hwc->hw", mean, mean)) / 3


def _fit_size(image: np.ndarray) -> tuple[int, int]:
    height, width = image.shape[:2]
    share = min(1.0, _FIT_SIZE / min(height, width))
    return max(1, round(width * share)), max(1, round(height * share))


def _window(image: np.ndarray) -> tuple[int, int]:
    radius = max(2, round(min(image.shape[:2]) * RADIUS))
    return 2 * radius + 1, 2 * radius + 1


def _unit(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image.astype(np.float32) * np.float32(1 / 255)
    if image.dtype == np.uint16:
        return image.astype(np.float32) * np.float32(1 / 65535)
    return np.ascontiguousarray(image, np.float32)


def _to_size(image: np.ndarray, width: int, height: int, interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
    if image.shape[:2] == (height, width):
        return image
    return cv2.resize(image, (width, height), interpolation=interpolation)


def _whole_numbers(planes: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    """Planes (H, W) float32 in [0, 1] to one picture (H, W, 3) of an integer dtype."""
    top = float(np.iinfo(dtype).max)
    picture = np.empty((*planes[0].shape, 3), dtype)
    for k, plane in enumerate(planes):
        picture[..., k] = np.clip(np.rint(plane * np.float32(top)), 0, top)
    return picture
