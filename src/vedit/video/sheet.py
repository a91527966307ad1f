"""Contact sheets: rows of frames with a label each."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np

from vedit.errors import VeditError

_MARGIN = 8
_TEXT = 28  # height of a label's line, pixels


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]], labels: Sequence[str] = (), *, width: int = 240, title: str = ""
) -> np.ndarray:
    """One picture (H, W, 3) uint8: ``rows`` of RGB uint8 frames of any size, each scaled to ``width`` columns, labels
    above their row."""
    if not rows or not any(len(row) for row in rows):
        raise ValueError("a contact sheet needs at least one frame")
    columns = max(len(row) for row in rows)
    total = columns * (width + _MARGIN) + _MARGIN
    parts: list[np.ndarray] = []
    if title:
        parts.append(_line(title, total, 0.7))
    for index, row in enumerate(rows):
        if index < len(labels) and labels[index]:
            parts.append(_line(labels[index], total, 0.5))
        cells = [_fit(frame, width) for frame in row]
        height = max((c.shape[0] for c in cells), default=1)
        band = np.full((height + _MARGIN, total, 3), 255, np.uint8)
        for k, cell in enumerate(cells):
            left = _MARGIN + k * (width + _MARGIN)
            band[: cell.shape[0], left : left + width] = cell
        parts.append(band)
    parts.append(np.full((_MARGIN, total, 3), 255, np.uint8))
    return np.concatenate(parts)


def encode_png(image: np.ndarray) -> bytes:
    """PNG bytes of an RGB (H, W, 3) uint8 picture; the same picture gives the same bytes."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise VeditError("the contact sheet cannot be encoded as PNG")
    return data.tobytes()


def save_png(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Writes an RGB (H, W, 3) uint8 picture beside its place and renames it; :class:`VeditError` if that fails."""
    target = os.path.realpath(os.fspath(path))
    temporary = f"{target}.{os.getpid()}.part"
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(encode_png(image))
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise VeditError(f"{os.fspath(path)}: cannot be written ({error.strerror}); choose another place") from None


def _fit(frame: np.ndarray, width: int) -> np.ndarray:
    height = max(1, round(frame.shape[0] * width / frame.shape[1]))
    way = cv2.INTER_AREA if width < frame.shape[1] else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(frame), (width, height), interpolation=way)


def _line(text: str, total: int, scale: float) -> np.ndarray:
    band = np.full((_TEXT, total, 3), 255, np.uint8)
    # OpenCV's font has ASCII only.
    plain = text.encode("ascii", "replace").decode()
    while scale > 0.25 and cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0] > total - 2 * _MARGIN:
        scale -= 0.05
    cv2.putText(band, plain, (_MARGIN, _TEXT - 9), cv2.FONT_HERSHEY_SIMPLEX, scale, (20, 20, 20), 1, cv2.LINE_AA)
    return band


class SheetSampler:
    """Keeps ``columns`` evenly spread frames, at most ``width`` wide, of a clip whose length is only known at its
    end."""

    def __init__(self, columns: int = 6, width: int = 240) -> None:
        if columns < 1:
            raise ValueError("a sheet needs at least one column")
        self.columns = columns
        self.width = width
        self._step = 1
        self._kept: list[tuple[int, tuple[np.ndarray, ...]]] = []

    def wants(self, index: int) -> bool:
        """Whether frame ``index`` will be kept: then call :meth:`add`."""
        return index % self._step == 0

    def add(self, index: int, *frames: np.ndarray) -> None:
        """Keeps small copies of the frames (H, W, 3) uint8 of one instant, such as source and edit."""
        if not self.wants(index):
            return
        self._kept.append((index, tuple(_fit(f, min(self.width, f.shape[1])) for f in frames)))
        # Twice as many as needed are kept, so that an even choice is left at any length.
        if len(self._kept) >= 2 * self.columns:
            self._step *= 2
            self._kept = [k for k in self._kept if k[0] % self._step == 0]

    def rows(self) -> list[list[np.ndarray]]:
        """The chosen frames, one row for each frame given to :meth:`add`; empty if there was none."""
        if not self._kept:
            return []
        count = min(self.columns, len(self._kept))
        picks = [self._kept[round(k * (len(self._kept) - 1) / max(1, count - 1))] for k in range(count)]
        return [list(row) for row in zip(*(frames for _, frames in picks), strict=True)]
