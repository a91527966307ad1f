"""Samplers: each is one pure function from noise to a clean latent.

``denoise(z, step)`` returns x̂₀, the clean estimate after guidance. ``correct(x̂₀, z, step)``, if given, may change it
before the solver uses it or remembers it; ``land(z, step)`` the latent where a step has led. ``progress(done, count)``
is called after every step.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from vedit.diffusion.schedule import Schedule, Step

Denoise = Callable[[torch.Tensor, Step], torch.Tensor]
Correct = Callable[[torch.Tensor, torch.Tensor, Step], torch.Tensor]
Land = Callable[[torch.Tensor, Step], torch.Tensor]
Progress = Callable[[int, int], None]


def ddim(
    denoise: Denoise,
    noise: torch.Tensor,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    correct: Correct | None = None,
    land: Land | None = None,
    progress: Progress | None = None,
) -> torch.Tensor:
    """DDIM, η = 0 (Song et al. 2021, eq. 12). ``noise`` has unit variance and any shape; returns the same shape.

    ``start``: leave the steps before it out; ``noise`` is then the latent at the level where it begins.
    """
    z = noise
    for step in schedule.steps(steps)[start:]:
        clean = denoise(z, step)
        if correct is not None:
            clean = correct(clean, z, step)
        epsilon = (z - step.alpha * clean) / step.sigma
        z = step.next_alpha * clean + step.next_sigma * epsilon
        if land is not None:
            z = land(z, step)
        if progress is not None:
            progress(step.index + 1, step.count)
    return z


def dpmpp_2m(
    denoise: Denoise,
    noise: torch.Tensor,
    schedule: Schedule,
    steps: int,
    *,
    start: int = 0,
    correct: Correct | None = None,
    progress: Progress | None = None,
) -> torch.Tensor:
    """DPM-Solver++(2M), data prediction (Lu et al. 2022, "DPM-Solver++", algorithm 2). Shapes, start: as :func:`ddim`.

    With λ = ln(α/σ), h = λ_next − λ and r = h_before/h, the estimate D = (1 + 1/2r)·x̂₀ − (1/2r)·x̂₀_before drives
    z_next = (σ_next/σ)·z + α_next·(1 − e^−h)·D. At zero terminal SNR λ = −∞: the first step is DDIM's, and the one
    after it (r = ∞) is of first order by itself. The last step, on to σ = 0, is taken at first order, and so is the one
    after a step that stays at its level (r = 0), as the first of 1000 steps of Stable Diffusion's grid does.
    """
    z, before, h_before = noise, noise, math.inf
    for step in schedule.steps(steps)[start:]:
        clean = denoise(z, step)
        if correct is not None:
            clean = correct(clean, z, step)
        h = _log_snr(step.next_alpha, step.next_sigma) - _log_snr(step.alpha, step.sigma)
        first_order = step.index == start or math.isinf(h) or h_before == 0.0
        extrapolate = 0.0 if first_order else h / (2.0 * h_before)
        data = clean if extrapolate == 0.0 else (1.0 + extrapolate) * clean - extrapolate * before
        ratio = step.next_sigma / step.sigma
        z = ratio * z + (step.next_alpha - step.alpha * ratio) * data  # α_next·e^−h = α·σ_next/σ
        before, h_before = clean, h
        if progress is not None:
            progress(step.index + 1, step.count)
    return z


def ancestral(
    denoise: Denoise,
    noise: torch.Tensor,
    schedule: Schedule,
    steps: int,
    *,
    fresh: Callable[[Step], torch.Tensor],
    start: int = 0,
    progress: Progress | None = None,
) -> torch.Tensor:
    """DDIM, η = 1 (Song et al. 2021, eq. 16): a share of the noise is replaced by ``fresh(step)`` after every step.

    This is k-diffusion's Euler ancestral sampler on the grid of ``schedule``: in the coordinates z/α, η = 1 splits
    σ_next into its σ_down and σ_up. As there, the last step leads to σ = 0, whatever the schedule ends at: it brings
    the estimate itself, and no new noise. Shapes and ``start`` as :func:`ddim`.
    """
    z = noise
    for step in schedule.steps(steps)[start:]:
        clean = denoise(z, step)
        epsilon = (z - step.alpha * clean) / step.sigma
        last = step.index == step.count - 1
        alpha, sigma = (1.0, 0.0) if last else (step.next_alpha, step.next_sigma)
        share = (sigma / step.sigma) ** 2 * (1.0 - (step.alpha / alpha) ** 2)
        kept = math.sqrt(max(0.0, sigma**2 - share))
        z = alpha * clean + kept * epsilon
        if share > 0.0:
            z = z + math.sqrt(share) * fresh(step)
        if progress is not None:
            progress(step.index + 1, step.count)
    return z


SOLVERS = {"ddim": ddim, "dpmpp_2m": dpmpp_2m}


def _log_snr(alpha: float, sigma: float) -> float:
    if alpha == 0.0:
        return -math.inf
    return math.inf if sigma == 0.0 else math.log(alpha / sigma)
