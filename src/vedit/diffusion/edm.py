"""EDM with v-prediction, as Stable Video Diffusion has it: levels, preconditioning, Euler's sampler, inversion.

Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models", here with σ_data = 1. Noisy
latents are x = x₀ + σ·ε, of standard deviation √(1 + σ²). The network F sees z = x/√(1 + σ²), which has unit variance,
and the level as ¼·ln σ:

    D(x; σ) = c_skip·x + c_out·F(c_in·x; c_noise)         (Karras et al., eq. 7)
    c_skip = 1/(σ²+1), c_out = −σ/√(σ²+1), c_in = 1/√(σ²+1), c_noise = ¼·ln σ

so that F is trained towards (ε − σ·x₀)/√(1 + σ²): with α = 1/√(1 + σ²) and β = σ/√(1 + σ²) this is v = α·ε − β·x₀ at
z = α·x₀ + β·ε, and Euler's step in x is DDIM's in z.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vedit.diffusion.inversion import Trajectory
from vedit.diffusion.sampling import Progress
from vedit.diffusion.schedule import read_config
from vedit.errors import ModelError, UsageError

HIGHEST = 80.0  # σ above which nothing of the source is left to come back to

Level = float | torch.Tensor
Predict = Callable[[torch.Tensor, float], torch.Tensor]


@dataclass(frozen=True)
class Step:
    """One step of the sampler: from the level ``sigma`` to ``next_sigma``, which is 0 in the last one."""

    index: int
    count: int
    sigma: float
    next_sigma: float


@dataclass(frozen=True)
class EDM:
    """The levels of a model (Karras et al., eq. 5).

    ``unit_start``: whether sampling starts at n·√(1 + σ_max²), the standard deviation of noisy data, or at n·σ_max.
    """

    sigma_min: float = 0.002
    sigma_max: float = 700.0
    rho: float = 7.0
    unit_start: bool = True

    @classmethod
    def from_config(cls, config: str | Path | Mapping[str, Any]) -> EDM:
        """Read a ``scheduler_config.json`` of diffusers' ``EulerDiscreteScheduler`` (a path, its folder, a mapping).

        Raises ``ModelError`` for anything but Karras levels, v-prediction and continuous time.
        """
        config, where = read_config(config)
        wanted = {"prediction_type": "v_prediction", "timestep_type": "continuous", "use_karras_sigmas": True}
        for name, value in wanted.items():
            if config.get(name) != value:
                raise ModelError(f"{where}: {name} is {config.get(name)!r}; an image-to-video model has {value!r}")
        if config.get("final_sigmas_type", "zero") != "zero":
            raise ModelError(f"{where}: final_sigmas_type is {config['final_sigmas_type']!r} and not 'zero'")
        low, high = config.get("sigma_min"), config.get("sigma_max")
        if low is None or high is None or not 0.0 < float(low) < float(high):
            raise ModelError(f"{where}: sigma_min {low!r} and sigma_max {high!r} are no range of noise levels")
        # diffusers scales the first noise by the spacing of timesteps that play no other part here.
        return cls(float(low), float(high), unit_start=config.get("timestep_spacing", "linspace") == "leading")

    def sigmas(self, steps: int) -> list[float]:
        """``steps`` levels, highest first, and 0: the grid of a sampler."""
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        ramp = [index / max(1, steps - 1) for index in range(steps)]
        return [self._warped(self._root(self.sigma_max), self._root(self.sigma_min), part) for part in ramp] + [0.0]

    def steps(self, steps: int) -> list[Step]:
        """The steps of a sampler."""
        sigmas = self.sigmas(steps)
        return [Step(index, steps, sigmas[index], sigmas[index + 1]) for index in range(steps)]

    def between(self, low: float, high: float, parts: int) -> list[float]:
        """Levels that cut the way from ``low`` up to ``high`` into ``parts``, ``high`` included and ``low`` not."""
        return [self._warped(self._root(low), self._root(high), (index + 1) / parts) for index in range(parts)]

    def start(self, noise: torch.Tensor) -> torch.Tensor:
        """Where sampling starts: x of the highest level, from noise of unit variance."""
        return noise * (math.sqrt(1.0 + self.sigma_max**2) if self.unit_start else self.sigma_max)

    def _root(self, sigma: float) -> float:
        return sigma ** (1.0 / self.rho)

    def _warped(self, low: float, high: float, part: float) -> float:
        return (low + part * (high - low)) ** self.rho


# --- the network's border ---------------------------------------------------------------------------------------------


def c_noise(sigma: Level) -> Level:
    """The level as the network reads it: ¼·ln σ."""
    return 0.25 * torch.log(sigma) if isinstance(sigma, torch.Tensor) else 0.25 * math.log(sigma)


def alpha_beta(sigma: Level) -> tuple[Level, Level]:
    """α = 1/√(1 + σ²) and β = σ/√(1 + σ²): shares of the clean latent and of the noise in what the network sees."""
    alpha = (1.0 + sigma**2) ** -0.5
    return alpha, sigma * alpha


def to_network(x: torch.Tensor, sigma: Level) -> torch.Tensor:
    """z = x/√(1 + σ²), what the network sees. ``sigma``: a number, or a tensor that broadcasts."""
    return x * alpha_beta(sigma)[0]


def from_network(z: torch.Tensor, sigma: Level) -> torch.Tensor:
    """x = z·√(1 + σ²)."""
    return z / alpha_beta(sigma)[0]


def to_clean(output: torch.Tensor, x: torch.Tensor, sigma: Level) -> torch.Tensor:
    """D(x; σ) from the network's output at z = c_in·x."""
    alpha, beta = alpha_beta(sigma)
    return alpha**2 * x - beta * output


def to_noise(output: torch.Tensor, z: torch.Tensor, sigma: Level) -> torch.Tensor:
    """ε̂ = α·v̂ + β·z, from the network's output at z."""
    alpha, beta = alpha_beta(sigma)
    return alpha * output + beta * z


def target(clean: torch.Tensor, noise: torch.Tensor, sigma: Level) -> torch.Tensor:
    """What the network is trained towards: v = α·ε − β·x₀."""
    alpha, beta = alpha_beta(sigma)
    return alpha * noise - beta * clean


def loss(
    network: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    clean: torch.Tensor,
    noise: torch.Tensor,
    sigma: torch.Tensor,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """What a training step minimises: the mean squared error of F at unit variance (Karras et al., eq. 8, with the
    weight λ = 1/c_out² that its table 1 asks for).

    ``network(z, c_noise)`` gives F for latents (B, T, C, h, w). ``clean`` and ``noise``: of that shape; ``sigma``:
    (B,). ``weight``: of the squares, broadcast to the latents; none: all alike.
    """
    each = sigma.view(-1, *[1] * (clean.ndim - 1))
    output = network(to_network(clean + each * noise, each), torch.as_tensor(c_noise(sigma))).float()
    squared = (output - target(clean, noise, each)).square()
    return (squared if weight is None else squared * weight.to(squared)).mean()


def log_normal(count: int, mean: float, deviation: float, generator: torch.Generator) -> torch.Tensor:
    """Levels of a training step, (count,): ln σ is normal (Karras et al., table 1)."""
    return torch.exp(mean + deviation * torch.randn(count, generator=generator))


# --- guidance ---------------------------------------------------------------------------------------------------------


def rising(low: float, high: float, frames: int) -> torch.Tensor:
    """Guidance scales, (T, 1, 1, 1): ``low`` at the first frame, ``high`` at the last, linear between."""
    return torch.linspace(low, high, frames).view(-1, 1, 1, 1)


def branches(scales: torch.Tensor) -> tuple[str, ...]:
    """What :func:`guided` asks for, in this order."""
    return ("full",) if bool((scales == 1.0).all()) else ("uncond", "full")


def guided(evaluate: Callable[[str], torch.Tensor], scales: torch.Tensor) -> torch.Tensor:
    """F(⌀) + s·[F(c) − F(⌀)] with a scale for every frame.

    ``evaluate(name)`` gives (T, C, h, w) for ``"uncond"`` and ``"full"``, and is asked in this order. Where all scales
    are one, the first is left out. Guiding F or D comes to the same, since D is affine in F and the weights sum to one.
    """
    if branches(scales) == ("full",):
        return evaluate("full")
    uncond = evaluate("uncond")
    return uncond + scales.to(uncond) * (evaluate("full") - uncond)


# --- there and back ---------------------------------------------------------------------------------------------------


def euler(
    denoise: Callable[[torch.Tensor, Step], torch.Tensor],
    x: torch.Tensor,
    levels: EDM,
    steps: int,
    *,
    start: int = 0,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Euler's deterministic sampler (Karras et al., algorithm 1 without its second order).

    ``denoise(x, step)`` gives D(x; σ) after guidance. ``x``: latents at the level of the step ``start``, of any shape,
    in float32; the steps before it are left out.
    """
    for step in levels.steps(steps)[start:]:
        slope = (x - denoise(x, step)) / step.sigma
        x = x + (step.next_sigma - step.sigma) * slope
        if progress is not None:
            progress(step.index + 1, step.count)
    return x


def first_step(levels: EDM, steps: int, highest: float = HIGHEST) -> int:
    """Index of the first of ``steps`` sampling steps whose level is at most ``highest``. Raises ``UsageError``."""
    for step in levels.steps(steps):
        if 2.0 * levels.sigma_min < step.sigma <= highest * (1.0 + 1e-6):
            return step.index
    raise UsageError(f"--steps {steps}: too few to go back from; at every level of theirs the source is lost in noise")


def asked(levels: EDM, steps: int, inversion_steps: int | None = None, highest: float = HIGHEST) -> list[list[float]]:
    """The levels at which :func:`invert` asks the network, ascending: for each of the sampler's up to ``highest`` those
    on the way to it, itself the last. Raises ``UsageError``.
    """
    if inversion_steps is not None and inversion_steps < steps:
        raise UsageError(
            f"--inversion-steps {inversion_steps}: fewer than the {steps} sampling steps; give at least as many"
        )
    sampled = levels.sigmas(steps)[first_step(levels, steps, highest) : -1][::-1]
    parts = math.ceil((inversion_steps or steps) / steps)
    return [levels.between(below, level, parts) for below, level in zip([0.0, *sampled], sampled, strict=False)]


def invert(
    predict: Predict,
    clean: torch.Tensor,
    levels: EDM,
    steps: int,
    *,
    inversion_steps: int | None = None,
    fixed_point: int = 0,
    highest: float = HIGHEST,
    progress: Progress | None = None,
) -> Trajectory:
    """DDIM inversion for v-prediction, on z = x/√(1 + σ²) and in float32: the way back of :func:`euler`.

    ``predict(z, sigma)`` is the network's output without guidance, asked 1 + ``fixed_point`` times at each level, as in
    :func:`vedit.diffusion.inversion.invert`. The levels are the sampler's up to ``highest``; with more
    ``inversion_steps`` the way between two of them is cut into equally many parts. Returns z at the sampler's levels,
    the clean latent last. Raises ``UsageError``.
    """
    ways = asked(levels, steps, inversion_steps, highest)
    z, alpha, beta = clean.float(), 1.0, 0.0
    kept, done = [z], 0
    for way in ways:
        for sigma in way:
            next_alpha = 1.0 / math.sqrt(1.0 + sigma**2)
            next_beta = sigma * next_alpha
            guess = z
            for _ in range(1 + fixed_point):
                epsilon = to_noise(predict(guess, sigma), guess, sigma)
                guess = next_alpha * (z - beta * epsilon) / alpha + next_beta * epsilon
            z, alpha, beta = guess, next_alpha, next_beta
            done += 1
            if progress is not None:
                progress(done, sum(map(len, ways)))
        kept.append(z)
    return Trajectory(torch.stack(kept[::-1]), first_step(levels, steps, highest))
