"""Brings an edit from the model's working size to the size of the source, as sharp as the source.

In every neighbourhood the edit is a colour map: an affine one, fitted by regularised least squares between the codec's
own reconstruction of the source and the edit (so what the codec does to colours and sharpness drops out), as in He,
Sun and Tang's guided image filter (2013, equations 11-14) with one difference: where a neighbourhood is too flat to
tell, the map leans to the map of the whole frame and not to zero, or the source's fine detail would be lost there. The
maps are upsampled and applied to the native source. What no such map explains (strokes, snow) is the edit's own
detail: it is upsampled and added, less what is no stronger than the noise of a good fit.

What the codec loses of the source is given back only as far as the edit keeps fine structure: where it blurs or paints
over (fog, oil), the regression of the edit's finest visible structure on the mapped source's falls below one, and the
source's detail is scaled by it.
"""

from __future__ import annotations

import cv2
import numpy as np

NOISE = 0.012  # root mean square of a residual that counts as noise, of full scale
FLATNESS = 1e-3  # variance (of full scale squared) below which a neighbourhood leans to the whole frame's map
RADIUS = 1 / 32  # of the neighbourhood, as a share of the short side at working size
FINE = 1 / 170  # standard deviation of the blur that parts fine structure from coarse, as a share of the short side
KEPT = 5e-5  # variance of fine structure (of full scale squared) below which the edit counts as keeping it
_FIT_SIZE = 256  # short side on which maps are fitted at most: they are smooth, more pixels change nothing


def compose(
    source_rgb: np.ndarray, reconstruction: np.ndarray, edited: np.ndarray, detail: float = 1.0, *, noise: float = NOISE
) -> np.ndarray:
    """The edit at the source's size, in the source's dtype (uint8 or uint16).

    ``source_rgb`` (H, W, 3) uint8 or uint16; ``reconstruction`` and ``edited`` (h, w, 3) uint8, uint16 or float in [0,
    1]; ``detail`` scales the edit's own detail (0: colour map only). If the two are equal the source comes back.
    """
    if reconstruction.shape != edited.shape or edited.ndim != 3 or edited.shape[2] != 3 or source_rgb.shape[2:] != (3,):
        raise ValueError(f"sizes do not fit: {source_rgb.shape}, {reconstruction.shape}, {edited.shape}")
    guide, target = _unit(reconstruction), _unit(edited)
    height, width = guide.shape[:2]
    native = _unit(source_rgb)

    share = _FIT_SIZE / min(height, width)
    if share <= 0.75:
        fit_size = (max(1, round(width * share)), max(1, round(height * share)))
        coefficients = _fit(cv2.resize(guide, fit_size, interpolation=cv2.INTER_AREA),
                            cv2.resize(target, fit_size, interpolation=cv2.INTER_AREA))  # fmt: skip
    else:
        coefficients = _fit(guide, target)

    size = (native.shape[1], native.shape[0])
    same = size == (width, height)
    working = _resize(coefficients, (width, height))
    mapped = _apply(working, guide)
    coarse = guide if same else cv2.resize(guide, size, interpolation=cv2.INTER_CUBIC)
    kept = _kept(mapped, target)
    if not same:
        kept = cv2.resize(kept, size, interpolation=cv2.INTER_LINEAR)
    result = _apply(working if same else _resize(coefficients, size), coarse + kept[..., None] * (native - coarse))
    if detail:
        residual = target - mapped
        energy = cv2.blur(np.einsum("hwc,hwc->hw", residual, residual) / 3, (5, 5), borderType=cv2.BORDER_REFLECT)
        gain = detail * np.maximum(0.0, 1.0 - noise * noise / np.maximum(energy, 1e-9))
        residual *= gain[..., None]
        result += residual if same else cv2.resize(residual, size, interpolation=cv2.INTER_CUBIC)
    top = 255.0 if source_rgb.dtype == np.uint8 else 65535.0
    result *= top
    np.rint(result, out=result)
    np.clip(result, 0, top, out=result)
    return result.astype(source_rgb.dtype)


def _kept(mapped: np.ndarray, target: np.ndarray) -> np.ndarray:
    """How much of the source's fine structure the edit keeps: (h, w) float32 in [0, 1], a local regression slope."""
    sigma = FINE * min(mapped.shape[:2])
    fine_mapped, fine_target = (image - cv2.GaussianBlur(image, (0, 0), sigma) for image in (mapped, target))
    radius = max(2, round(min(mapped.shape[:2]) * RADIUS))
    window = (2 * radius + 1, 2 * radius + 1)
    both = cv2.blur(np.einsum("hwc,hwc->hw", fine_mapped, fine_target), window, borderType=cv2.BORDER_REFLECT)
    own = cv2.blur(np.einsum("hwc,hwc->hw", fine_mapped, fine_mapped), window, borderType=cv2.BORDER_REFLECT)
    return np.clip((both + KEPT) / (own + KEPT), 0.0, 1.0)


def _unit(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image.astype(np.float32) * np.float32(1 / 255)
    if image.dtype == np.uint16:
        return image.astype(np.float32) * np.float32(1 / 65535)
    return np.ascontiguousarray(image, np.float32)


def _fit(guide: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
    """Maps target = A guide + b of every pixel's neighbourhood: four (h, w, 3) float32, columns of A for R, G, B, then
    b."""
    radius = max(2, round(min(guide.shape[:2]) * RADIUS))
    window = (2 * radius + 1, 2 * radius + 1)

    def mean(image: np.ndarray) -> np.ndarray:
        return cv2.blur(image, window, borderType=cv2.BORDER_REFLECT)

    whole = _whole_map(guide, target)
    # What the whole frame's map leaves over is fitted: so "no difference" is exactly zero, and leaning to zero is
    # leaning to it.
    rest = target - cv2.transform(guide, whole)
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
    smooth = [mean(c) for c in (*columns, offset)]
    for k in range(4):
        smooth[k] += whole[:, k].astype(np.float32)
    return smooth


def _whole_map(guide: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The affine map of the whole frame, (3, 4) float64, leaning to the identity where the frame's colours do not
    tell."""
    step = max(1, min(guide.shape[:2]) // 64)
    x = guide[::step, ::step].reshape(-1, 3).astype(np.float64)
    y = target[::step, ::step].reshape(-1, 3).astype(np.float64)
    center_x, center_y = x.mean(0), y.mean(0)
    x, difference = x - center_x, (y - center_y) - (x - center_x)
    ridge = 1e-4 * len(x) * np.eye(3)
    matrix = np.eye(3) + np.linalg.solve(x.T @ x + ridge, x.T @ difference).T
    return np.concatenate([matrix, (center_y - matrix @ center_x)[:, None]], axis=1)


def _resize(coefficients: list[np.ndarray], size: tuple[int, int]) -> list[np.ndarray]:
    if coefficients[0].shape[1::-1] == size:
        return coefficients
    return [cv2.resize(c, size, interpolation=cv2.INTER_LINEAR) for c in coefficients]


def _apply(coefficients: list[np.ndarray], image: np.ndarray) -> np.ndarray:
    result = coefficients[3].copy()
    for k in range(3):
        result += coefficients[k] * image[..., k : k + 1]
    return result
