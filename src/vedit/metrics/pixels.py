"""Measures that compare pixels: PSNR, SSIM, drift of colours, sharpness."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from vedit.errors import InputError
from vedit.metrics.accumulate import Mean, Moment
from vedit.metrics.pictures import Picture

WINDOW, SIGMA = 11, 1.5  # of SSIM's Gaussian, pixels
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_EDGE = WINDOW // 2


def decibels(mse: float) -> float:
    """PSNR of a mean squared error in 8-bit levels; infinite for 0."""
    return 10 * math.log10(255**2 / mse) if mse > 0 else math.inf if mse == 0 else math.nan


def ssim_map(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """SSIM of two (H, W, 3) float32 pictures of 0 to 255: (H-10, W-10) float32, one value a whole window, channels
    averaged.

    Wang et al. 2004, eq. 13, with their Gaussian window of 11×11 and σ 1.5. Raises ``ValueError`` below 11×11.
    """
    if min(one.shape[:2]) < WINDOW:
        raise ValueError(f"SSIM needs pictures of {WINDOW}×{WINDOW} at least, got {one.shape[1]}×{one.shape[0]}")

    def blur(image: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(image, (WINDOW, WINDOW), SIGMA)[_EDGE:-_EDGE, _EDGE:-_EDGE]

    # Variances do not change with the zero point, and single precision is better near it.
    x, y = one - np.float32(128), other - np.float32(128)
    mean_x, mean_y = blur(x), blur(y)
    square_x, square_y, product = mean_x * mean_x, mean_y * mean_y, mean_x * mean_y
    variances = (blur(x * x) - square_x) + (blur(y * y) - square_y)  # so summed, equal pictures give exactly 1
    covariance = blur(x * y) - product
    mean_x, mean_y = mean_x + 128, mean_y + 128
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x * mean_x + mean_y * mean_y + _C1)
    structure = (2 * covariance + _C2) / (variances + _C2)
    return (luminance * structure).mean(-1)


class Fidelity:
    """PSNR and SSIM of the edit against another picture of the moment, all over or where the mask leaves it alone."""

    def __init__(self, suffix: str, against: Callable[[Moment], Picture | None], masked: bool, ssim: bool) -> None:
        self._psnr, self._ssim = f"psnr{suffix}", f"ssim{suffix}"
        self._against, self._masked, self._wants_ssim = against, masked, ssim
        self._squares, self._similarity = Mean(), Mean()

    def update(self, moment: Moment) -> dict[str, float]:
        """The frame's own figures."""
        other = self._against(moment)
        assert other is not None
        error = ((moment.edited.levels - other.levels) ** 2).mean(-1)
        keep = ~moment.mask if self._masked and moment.mask is not None else None
        values = {}
        count = error.size if keep is None else int(keep.sum())
        if count:
            mse = float(error.mean(dtype=np.float64) if keep is None else error[keep].mean(dtype=np.float64))
            self._squares.add(mse, count)
            values[self._psnr] = decibels(mse)
        if self._wants_ssim:
            similarity = self._similar(moment.edited, other, keep)
            if similarity is not None:
                self._similarity.add(similarity)
                values[self._ssim] = similarity
        return values

    def _similar(self, one: Picture, other: Picture, keep: np.ndarray | None) -> float | None:
        found = ssim_map(one.levels, other.levels)
        if keep is None:
            return float(found.mean(dtype=np.float64))
        # Only windows without a pixel of the mask: what happens inside it must not be seen at all.
        clear = cv2.erode(keep.astype(np.uint8), np.ones((WINDOW, WINDOW), np.uint8), borderValue=1)
        clear = clear[_EDGE:-_EDGE, _EDGE:-_EDGE].astype(bool)
        return float(found[clear].mean(dtype=np.float64)) if clear.any() else None

    def result(self) -> dict[str, float]:
        """Over all frames."""
        if self._masked and not self._squares.weight:
            raise InputError("--mask: covers every pixel of every frame; nothing is left that should be unedited")
        values = {self._psnr: decibels(self._squares.value)}
        if self._wants_ssim:
            if not self._similarity.weight:
                raise InputError(
                    f"--mask: leaves no window of {WINDOW}×{WINDOW} pixels clear, so there is no {self._ssim}; "
                    f"give another mask, or leave the metric out of --metrics"
                )
            values[self._ssim] = self._similarity.value
        return values


class ColourDrift:
    """How far the mean colour wanders off from the source's: a least-squares line through the differences, so that
    flicker and a constant change of tone do not count."""

    def __init__(self) -> None:
        self._count = 0
        self._first = np.zeros(3)
        self._time = self._time2 = 0.0
        self._lab, self._lab_time = np.zeros(3), np.zeros(3)
        self._start = self._end = 0.0

    def update(self, moment: Moment) -> dict[str, float]:
        """The frame's distance from the difference that the first frame had."""
        offset, time = moment.edited.lab - moment.source.lab, float(moment.time)
        if not self._count:
            self._first, self._start = offset, time
        # From the first frame on, so that the sums stay small.
        time -= self._start
        self._count += 1
        self._end = time
        self._time += time
        self._time2 += time * time
        self._lab += offset - self._first
        self._lab_time += time * (offset - self._first)
        return {"colour_drift": float(np.linalg.norm(offset - self._first))}

    def result(self) -> dict[str, float]:
        """Length of the trend over the whole clip."""
        spread = self._count * self._time2 - self._time**2
        if spread <= 0:
            return {"colour_drift": math.nan}
        slope = (self._count * self._lab_time - self._time * self._lab) / spread
        return {"colour_drift": float(np.linalg.norm(slope) * self._end)}


class Sharpness:
    """Variance of the Laplacian, edit over source."""

    def __init__(self) -> None:
        self._edited = self._source = 0.0

    def update(self, moment: Moment) -> dict[str, float]:
        """The frame's own ratio, where its source has any detail."""
        edited, source = laplacian_variance(moment.edited), laplacian_variance(moment.source)
        self._edited += edited
        self._source += source
        return {"sharpness_ratio": edited / source} if source > 0 else {}

    def result(self) -> dict[str, float]:
        """Over all frames; NaN for a source without any detail."""
        return {"sharpness_ratio": self._edited / self._source if self._source > 0 else math.nan}


def laplacian_variance(picture: Picture) -> float:
    """Variance of the four-neighbour Laplacian of the luma of 0 to 255."""
    return float(cv2.Laplacian(picture.luma, cv2.CV_32F).astype(np.float64).var())
