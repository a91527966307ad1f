"""Classifier-free guidance with named branches."""

from __future__ import annotations

from collections.abc import Callable

import torch

UNCOND, VIDEO, FULL = "uncond", "video", "full"


def branch_weights(text_scale: float, video_scale: float) -> dict[str, float]:
    """The branches that count, with their weights, which sum to one.

    ε(⌀,⌀) + s_V·[ε(c_V,⌀) − ε(⌀,⌀)] + s_T·[ε(c_V,c_T) − ε(c_V,⌀)], gathered by branch, is
    (1 − s_V)·ε(⌀,⌀) + (s_V − s_T)·ε(c_V,⌀) + s_T·ε(c_V,c_T): a branch of weight zero need not be evaluated.
    """
    weights = {UNCOND: 1.0 - video_scale, VIDEO: video_scale - text_scale, FULL: text_scale}
    return {name: weight for name, weight in weights.items() if weight != 0.0}


def text_video(
    evaluate: Callable[[str], torch.Tensor], text_scale: float, video_scale: float, rescale: float = 0.0
) -> tuple[torch.Tensor, int]:
    """Three-term guidance by text and by source (InstructPix2Pix eq. 3, InsV2V); returns it and the evaluations made.

    ``evaluate(name)`` is the network's output (any parameterisation, any shape) for ``"uncond"`` (no source, empty
    text), ``"video"`` (source, empty text) or ``"full"`` (source and text); only branches that count are asked for.
    ``rescale`` in [0, 1] brings the standard deviation back towards that of ``"full"`` (Lin et al. 2024, section 3.4),
    over the whole clip, so that it cannot flicker.
    """
    return _weighted(evaluate, branch_weights(text_scale, video_scale), rescale)


def text_weights(scale: float) -> dict[str, float]:
    """The branches of :func:`text` that count, in the order in which they are asked for, with their weights."""
    return {name: weight for name, weight in ((UNCOND, 1.0 - scale), (FULL, scale)) if weight != 0.0}


def text(evaluate: Callable[[str], torch.Tensor], scale: float, rescale: float = 0.0) -> tuple[torch.Tensor, int]:
    """Classifier-free guidance, ε(⌀) + s·[ε(c) − ε(⌀)]; returns it and the evaluations made.

    ``evaluate(name)`` is asked for ``"uncond"`` and ``"full"``, in this order, and only for those that count.
    ``rescale`` as in :func:`text_video`.
    """
    return _weighted(evaluate, text_weights(scale), rescale)


def _weighted(
    evaluate: Callable[[str], torch.Tensor], weights: dict[str, float], rescale: float
) -> tuple[torch.Tensor, int]:
    outputs = {name: evaluate(name) for name in weights}
    if len(weights) == 1:  # its weight is one
        return outputs.popitem()[1], 1
    guided = sum((weight * outputs[name] for name, weight in weights.items()), start=torch.zeros(()))
    if rescale and FULL in outputs:
        guided = guided * (1.0 - rescale + rescale * outputs[FULL].std() / guided.std())
    return guided, len(outputs)
