"""Source and edit in one picture, for ``--compare``."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from vedit.video.clip import ClipInfo, Orientation
from vedit.video.color import opaque


def side_by_side(source: np.ndarray, edited: np.ndarray) -> np.ndarray:
    """(H, 2 W, 3): the source left, the edit right; both (H, W, 3) of one dtype, in displayed orientation."""
    if source.shape != edited.shape or source.dtype != edited.dtype:
        raise ValueError(f"source {source.shape} {source.dtype} and edit {edited.shape} {edited.dtype} differ")
    return np.concatenate([source, edited], axis=1)


def compare_info(info: ClipInfo) -> ClipInfo:
    """The clip that a writer of side-by-side frames has to make: twice as wide, unrotated and opaque, else as the
    source."""
    sar = info.sar
    if sar is not None and info.orientation.transpose:
        sar = Fraction(sar.denominator, sar.numerator)
    return replace(
        info,
        width=2 * info.display_width,
        height=info.display_height,
        sar=sar,
        orientation=Orientation(),
        display_matrix=None,
        pix_fmt="rgb24" if info.pix_fmt == "pal8" else opaque(info.pix_fmt),
        alpha=False,
    )
