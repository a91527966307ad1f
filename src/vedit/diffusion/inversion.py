"""DDIM inversion: from a clean latent back to the noise that the sampler would have made it from.

It runs DDIM's deterministic step (Song et al. 2021, eq. 12; TCVE eq. 3) against the direction of sampling:

    z_t = α_t·(z_s − σ_s·ε̂)/α_s + σ_t·ε̂        from the level s to the noisier level t

where ε̂ should be the network's at z_t, which is not known yet. Plain inversion asks the network at level t for z_s
instead. What the network returns is converted with α and σ of t, the level that it was told: a v-prediction read with
those of s, or read as if it were ε, gives another latent. Fixed-point iterations put the z_t that came out back in
(Pan et al. 2023, "Effective Real Image Editing with Accelerated Iterative Diffusion Inversion", section 4.1), until
z_t is the latent from which a step of the sampler leads to z_s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from vedit.diffusion.sampling import Progress
from vedit.diffusion.schedule import Schedule
from vedit.errors import UsageError

# Below this ᾱ nothing of the source is left to come back to. Stable Diffusion's schedule ends just above, at 0.0047;
# at zero terminal SNR the last levels lie below.
LEAST_SIGNAL = 0.0045

Predict = Callable[[torch.Tensor, int], torch.Tensor]


class Indexed(Protocol):
    """A step of a sampler, which knows its place in the order of steps."""

    @property
    def index(self) -> int:
        """From 0, noisiest first."""
        ...


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The latents of an inversion at the levels of a sampler.

    ``latents``: (K + 1, ...), noisiest first; ``latents[i]`` is where the step ``start + i`` of the sampler begins, and
    the last one is the clean latent. ``start``: index of the sampler's first step whose level was inverted to.
    """

    latents: torch.Tensor
    start: int

    @property
    def noise(self) -> torch.Tensor:
        """Where the sampler begins, at its step ``start``."""
        return self.latents[0]

    def at(self, step: Indexed) -> torch.Tensor:
        """The source's latent where ``step`` begins."""
        return self.latents[step.index - self.start]

    def after(self, step: Indexed) -> torch.Tensor:
        """The source's latent where ``step`` ends, which is what plain inversion on the sampler's own grid showed the
        network at its level."""
        return self.latents[step.index - self.start + 1]


def first_step(schedule: Schedule, steps: int, least_signal: float = LEAST_SIGNAL) -> int:
    """Index of the first of ``steps`` sampling steps whose ᾱ is at least ``least_signal``.

    Raises ``UsageError`` when there is none.
    """
    for step in schedule.steps(steps):
        if step.alpha**2 >= least_signal:
            return step.index
    raise UsageError(
        f"--steps {steps}: too few to go back from; at every level of theirs nothing of the source is left"
    )


def grid(schedule: Schedule, steps: int, inversion_steps: int | None = None) -> list[int]:
    """Timesteps of the inversion, ascending: ``inversion_steps`` of them, those of the sampler's grid included.

    Raises ``UsageError`` for fewer inversion steps than sampling steps.
    """
    count = inversion_steps or steps
    if count < steps:
        raise UsageError(f"--inversion-steps {count}: fewer than the {steps} sampling steps; give at least as many")
    wanted = schedule.timesteps(steps)
    between = [timestep for timestep in schedule.timesteps(count) if timestep not in wanted]
    for timestep in set(wanted) - set(schedule.timesteps(count)):  # the nearest gives way
        between.remove(min(between, key=lambda other: abs(other - timestep)))
    return sorted([*wanted, *between])


def asked(
    schedule: Schedule, steps: int, inversion_steps: int | None = None, least_signal: float = LEAST_SIGNAL
) -> list[int]:
    """The timesteps of :func:`grid` at which :func:`invert` asks the network. Raises ``UsageError``."""
    noisiest = schedule.timesteps(steps)[first_step(schedule, steps, least_signal)]
    return [timestep for timestep in grid(schedule, steps, inversion_steps) if timestep <= noisiest]


def invert(
    predict: Predict,
    clean: torch.Tensor,
    schedule: Schedule,
    steps: int,
    *,
    inversion_steps: int | None = None,
    fixed_point: int = 0,
    least_signal: float = LEAST_SIGNAL,
    progress: Progress | None = None,
) -> Trajectory:
    """Invert ``clean``, of any shape, to the levels of a DDIM sampler of ``steps`` steps.

    ``predict(z, timestep)`` is the network's output (ε or v, as ``schedule`` says), without guidance. It is asked
    1 + ``fixed_point`` times at each of the ``inversion_steps`` levels, which are finer than the sampler's if there are
    more. Levels with ᾱ below ``least_signal`` are left out. Raises ``UsageError``.
    """
    start = first_step(schedule, steps, least_signal)
    sampled = schedule.timesteps(steps)[start:]
    timesteps = asked(schedule, steps, inversion_steps, least_signal)
    z, alpha, sigma = clean, *_roots(schedule.final_alpha_cumprod)
    kept = [clean]
    for index, timestep in enumerate(timesteps):
        next_alpha, next_sigma = _roots(float(schedule.alphas_cumprod[timestep]))
        guess = z
        for _ in range(1 + fixed_point):
            epsilon = schedule.to_noise(predict(guess, timestep), guess, timestep)
            guess = next_alpha * (z - sigma * epsilon) / alpha + next_sigma * epsilon
        z, alpha, sigma = guess, next_alpha, next_sigma
        if timestep in sampled:
            kept.append(z)
        if progress is not None:
            progress(index + 1, len(timesteps))
    return Trajectory(torch.stack(kept[::-1]), start)


def _roots(level: float) -> tuple[float, float]:
    return math.sqrt(level), math.sqrt(1.0 - level)
