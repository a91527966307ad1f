"""Regions of a motion that do not touch, each by itself."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch

from vedit.engines.base import Drag


def apart(prompt: Drag) -> list[Drag]:
    """The same for each region by itself, of those that do not touch. A track is of the region that it begins in, or
    nearest to."""
    count, labels = cv2.connectedComponents((prompt.mask.numpy() > 0.5).astype(np.uint8))
    if count <= 2:
        return [prompt]
    masks = [torch.from_numpy((labels == number).astype(np.float32)) for number in range(1, count)]
    nearest = owners(masks)
    height, width = nearest.shape
    starts = prompt.places[0].round().long()
    own = [int(nearest[min(max(y, 0), height - 1), min(max(x, 0), width - 1)]) for x, y in starts.tolist()]
    return [
        replace(prompt, mask=mask, places=prompt.places[:, [number for number, of in enumerate(own) if of == at]])
        for at, mask in enumerate(masks)
    ]


def owners(masks: list[torch.Tensor]) -> torch.Tensor:
    """(h, w) int64: the index of the nearest of ``masks``, (h, w) each, at every place."""
    away = [
        cv2.distanceTransform((mask.numpy() < 0.5).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        for mask in masks
    ]
    return torch.from_numpy(np.stack(away)).argmin(0)
