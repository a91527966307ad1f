"""The way of a clip back to noise: made once, kept in the cache, and found there by the next edit of the same clip."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import torch

from vedit.cache import digest, digest_of
from vedit.diffusion.inversion import Trajectory
from vedit.engines.shared import Tally, check_finite, fresh, timed

if TYPE_CHECKING:
    from vedit.cache import Cache
    from vedit.engines.base import Execution

KIND = "trajectories"  # of the entries in the cache
VERSION = 1  # of the inversion: another number, and what older versions kept is not used any more


class Asked(Protocol):
    """The settings of an inversion, which every method has that inverts."""

    @property
    def steps(self) -> int: ...
    @property
    def inversion_steps(self) -> int | None: ...
    @property
    def fixed_point(self) -> int: ...


class Runs(Protocol):
    """The model that it goes through, and how that is run."""

    model: str
    identity: str
    device: str
    dtype: torch.dtype
    execution: Execution


def inverted(
    make: Callable[[], Trajectory],
    source: torch.Tensor,
    settings: Asked,
    runs: Runs,
    cache: Cache | None,
    tally: Tally,
    *,
    told: dict[str, str],
    **key: Any,
) -> Trajectory:
    """What ``make()`` gives for the latents ``source`` (N, C, h, w), unless the cache has it.

    ``key``: what it depends on beside latents, settings, model and machine; ``told``: what `vedit cache list` says of
    it. Counts time and evaluations. Raises ``VeditError`` for an inversion that is not finite, which is not kept.
    """
    with timed(tally.timings, "invert"):
        name = "" if cache is None else _name(source, settings, runs, key)
        found = None if cache is None else cache.get(KIND, name)
        if found is not None:
            return Trajectory(fresh(found["latents"].to(source)), int(found["start"]))
        before = tally.evaluations
        made = make()
        tally.inversion_evaluations += tally.evaluations - before
        check_finite(made.latents, settings.fixed_point)
        if cache is not None:
            tensors = {"latents": made.latents, "start": torch.tensor(made.start)}
            cache.put(KIND, name, tensors, {"model": runs.model, **told, "frames": str(len(source))})
        return Trajectory(fresh(made.latents), made.start)


def _name(source: torch.Tensor, settings: Asked, runs: Runs, key: dict[str, Any]) -> str:
    """Of all that a trajectory depends on, to the last bit."""
    device = torch.device(runs.device).type
    return digest(
        version=VERSION,
        **key,
        frames=digest_of(source),
        model=runs.identity,
        steps=settings.steps,
        inversion_steps=settings.inversion_steps or settings.steps,
        fixed_point=settings.fixed_point,
        dtype=str(runs.dtype),
        channels_last=runs.execution.channels_last,
        device=device,
        threads=torch.get_num_threads() if device == "cpu" else 0,
        torch=torch.__version__,
    )
