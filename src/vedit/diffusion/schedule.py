"""The noise schedule: what a timestep means, and how a network's output turns into a clean latent.

Notation of DDPM/DDIM: z_t = √ᾱ_t·x₀ + √(1−ᾱ_t)·ε, written here α = √ᾱ and σ = √(1−ᾱ).
A network predicts ε, or v = α·ε − σ·x₀ (Salimans & Ho 2022, "Progressive Distillation", appendix D). All conversions
go through x̂₀ and stay finite at zero terminal SNR (ᾱ = 0, Lin et al. 2024, "Common Diffusion Noise Schedules and
Sample Steps are Flawed"), where v = −x₀ and z = ε.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from vedit.errors import ModelError

Prediction = Literal["epsilon", "v"]
Spacing = Literal["leading", "trailing", "linspace"]


def read_config(config: str | Path | Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """A ``scheduler_config.json`` (a path, its folder, or the parsed mapping) and what to call it in a message.

    Raises ``ModelError`` for a file that is not there or not JSON.
    """
    if isinstance(config, Mapping):
        return config, "scheduler"
    path = Path(config)
    path = path / "scheduler_config.json" if path.is_dir() else path
    try:
        return json.loads(path.read_text(encoding="utf-8")), str(path)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; the model needs a scheduler configuration") from None
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}); fetch the model again") from None


# Schedulers of diffusers whose grid begins at the last level, where their file says nothing of it.
_FROM_THE_LAST = ("Euler", "Heun", "KDPM2", "LMS", "DPMSolver", "UniPC", "DEIS")


@dataclass(frozen=True)
class Step:
    """One step of a sampler: from the noise level of ``timestep`` to the level of the next grid point.

    ``alpha`` and ``sigma`` are √ᾱ and √(1−ᾱ) here, ``next_alpha`` and ``next_sigma`` where the step lands.
    """

    index: int
    count: int
    timestep: int
    alpha: float
    sigma: float
    next_alpha: float
    next_sigma: float


@dataclass(frozen=True, eq=False)
class Schedule:
    """A discrete variance-preserving schedule.

    ``alphas_cumprod``: (N,) float64 on the CPU, ᾱ of every timestep, descending. ``final_alpha_cumprod``: ᾱ where the
    last step lands (1: on the clean latent). ``offset`` shifts the leading grid (``steps_offset`` of SD 1.x).
    """

    alphas_cumprod: torch.Tensor
    prediction: Prediction = "epsilon"
    spacing: Spacing = "leading"
    offset: int = 0
    final_alpha_cumprod: float = 1.0

    def __post_init__(self) -> None:
        last = float(self.alphas_cumprod[-1])
        if self.prediction == "epsilon" and last == 0.0:
            raise ModelError(
                "scheduler: epsilon prediction with a zero terminal SNR has no clean estimate at the last level; "
                "use prediction_type v_prediction, or rescale_betas_zero_snr false"
            )

    # -- building ------------------------------------------------------------------------------------------------

    @classmethod
    def scaled_linear(
        cls,
        count: int = 1000,
        beta_start: float = 0.00085,
        beta_end: float = 0.012,
        *,
        zero_terminal: bool = False,
        prediction: Prediction = "epsilon",
        spacing: Spacing = "leading",
        offset: int = 0,
        final_alpha_cumprod: float | None = 1.0,
    ) -> Schedule:
        """Stable Diffusion's betas: linear in √β. ``zero_terminal`` shifts and scales √ᾱ so that it ends at 0."""
        betas = torch.linspace(math.sqrt(beta_start), math.sqrt(beta_end), count, dtype=torch.float64) ** 2
        return cls._from_betas(betas, zero_terminal, prediction, spacing, offset, final_alpha_cumprod)

    @classmethod
    def from_config(cls, config: str | Path | Mapping[str, Any]) -> Schedule:
        """Read a diffusers ``scheduler_config.json`` (a path, its folder, or the parsed mapping).

        Missing keys mean what they mean to diffusers' ``DDIMScheduler``, except that the clean estimate is never
        clipped, as latents have no bounds, and that the grid is that of the scheduler which the file names.
        Raises ``ModelError`` for settings that this schedule does not know.
        """
        config, where = read_config(config)
        predictions: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v", "v": "v"}
        prediction = predictions.get(config.get("prediction_type", "epsilon"))
        usual = "linspace" if str(config.get("_class_name", "")).startswith(_FROM_THE_LAST) else "leading"
        spacing = config.get("timestep_spacing", usual)
        shape = config.get("beta_schedule", "linear")
        if prediction is None:
            raise ModelError(f"{where}: prediction_type {config['prediction_type']!r} is not epsilon or v_prediction")
        if spacing not in ("leading", "trailing", "linspace"):
            raise ModelError(f"{where}: timestep_spacing {spacing!r} is not leading, trailing or linspace")
        count = int(config.get("num_train_timesteps", 1000))
        start, end = float(config.get("beta_start", 0.0001)), float(config.get("beta_end", 0.02))
        if config.get("trained_betas") is not None:
            betas = torch.tensor(config["trained_betas"], dtype=torch.float64)
        elif shape == "scaled_linear":
            betas = torch.linspace(math.sqrt(start), math.sqrt(end), count, dtype=torch.float64) ** 2
        elif shape == "linear":
            betas = torch.linspace(start, end, count, dtype=torch.float64)
        else:
            raise ModelError(f"{where}: beta_schedule {shape!r} is not scaled_linear or linear")
        return cls._from_betas(
            betas,
            bool(config.get("rescale_betas_zero_snr", False)),
            prediction,
            spacing,
            int(config.get("steps_offset", 0)),
            1.0 if config.get("set_alpha_to_one", True) else None,
        )

    @classmethod
    def _from_betas(
        cls,
        betas: torch.Tensor,
        zero_terminal: bool,
        prediction: Prediction,
        spacing: Spacing,
        offset: int,
        final_alpha_cumprod: float | None,
    ) -> Schedule:
        alphas_cumprod = torch.cumprod(1.0 - betas, dim=0)
        if zero_terminal:  # Lin et al. 2024, algorithm 1
            root = alphas_cumprod.sqrt()
            root = (root - root[-1]) * (root[0] / (root[0] - root[-1]))
            alphas_cumprod = root**2
        final = float(alphas_cumprod[0]) if final_alpha_cumprod is None else final_alpha_cumprod
        return cls(alphas_cumprod, prediction, spacing, offset, final)

    # -- the grid ------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.alphas_cumprod)

    def timesteps(self, steps: int) -> list[int]:
        """The timesteps of a ``steps``-step sampler, from noise to clean. ``trailing`` begins at the last level."""
        if not 1 <= steps <= len(self):
            raise ValueError(f"steps must be from 1 to {len(self)}, got {steps}")
        if self.spacing == "trailing":
            return [round(len(self) * (steps - index) / steps) - 1 for index in range(steps)]
        if self.spacing == "linspace":
            return [round((len(self) - 1) * index / max(1, steps - 1)) for index in reversed(range(steps))]
        stride = len(self) // steps
        return [min(index * stride + self.offset, len(self) - 1) for index in reversed(range(steps))]

    def steps(self, steps: int) -> list[Step]:
        """The steps of a sampler. Each lands on the next grid point, the last one on ``final_alpha_cumprod``."""
        timesteps = self.timesteps(steps)
        levels = [float(self.alphas_cumprod[timestep]) for timestep in timesteps] + [self.final_alpha_cumprod]
        roots = [(math.sqrt(level), math.sqrt(1.0 - level)) for level in levels]
        return [
            Step(index, steps, timestep, *roots[index], *roots[index + 1]) for index, timestep in enumerate(timesteps)
        ]

    def alpha_sigma(self, timestep: int | torch.Tensor, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """√ᾱ and √(1−ᾱ) of a timestep, () or (B,), shaped to multiply ``like`` (B, ...), in its dtype and device."""
        index = torch.as_tensor(timestep, device="cpu", dtype=torch.long)
        level = self.alphas_cumprod[index]
        level = level.reshape(level.shape + (1,) * (like.ndim - level.ndim)) if level.ndim else level
        return level.sqrt().to(like), (1.0 - level).sqrt().to(like)

    def snr(self, timestep: int | torch.Tensor) -> torch.Tensor:
        """Signal-to-noise ratio ᾱ/(1−ᾱ), float64 of the timestep's shape; 0 at zero terminal SNR."""
        level = self.alphas_cumprod[torch.as_tensor(timestep, device="cpu", dtype=torch.long)]
        return level / (1.0 - level)

    # -- conversions ---------------------------------------------------------------------------------------------

    def add_noise(self, clean: torch.Tensor, noise: torch.Tensor, timestep: int | torch.Tensor) -> torch.Tensor:
        """z_t = α·x₀ + σ·ε. Shapes (B, ...); timestep () or (B,)."""
        alpha, sigma = self.alpha_sigma(timestep, clean)
        return alpha * clean + sigma * noise

    def velocity(self, clean: torch.Tensor, noise: torch.Tensor, timestep: int | torch.Tensor) -> torch.Tensor:
        """v = α·ε − σ·x₀."""
        alpha, sigma = self.alpha_sigma(timestep, clean)
        return alpha * noise - sigma * clean

    def target(self, clean: torch.Tensor, noise: torch.Tensor, timestep: int | torch.Tensor) -> torch.Tensor:
        """What the network of this schedule is trained to return: ε or v."""
        return noise if self.prediction == "epsilon" else self.velocity(clean, noise, timestep)

    def to_clean(self, output: torch.Tensor, noisy: torch.Tensor, timestep: int | torch.Tensor) -> torch.Tensor:
        """x̂₀ from the network's output at z_t: α·z − σ·v, or (z − σ·ε)/α."""
        alpha, sigma = self.alpha_sigma(timestep, noisy)
        if self.prediction == "v":
            return alpha * noisy - sigma * output
        return (noisy - sigma * output) / alpha

    def to_noise(self, output: torch.Tensor, noisy: torch.Tensor, timestep: int | torch.Tensor) -> torch.Tensor:
        """ε̂ from the network's output at z_t: α·v + σ·z, or the output itself."""
        if self.prediction == "epsilon":
            return output
        alpha, sigma = self.alpha_sigma(timestep, noisy)
        return alpha * output + sigma * noisy

    def clean_to_noise(self, clean: torch.Tensor, noisy: torch.Tensor, timestep: int | torch.Tensor) -> torch.Tensor:
        """ε̂ = (z − α·x̂₀)/σ, from a clean estimate."""
        alpha, sigma = self.alpha_sigma(timestep, noisy)
        return (noisy - alpha * clean) / sigma

    def clean_to_velocity(self, clean: torch.Tensor, noisy: torch.Tensor, timestep: int | torch.Tensor) -> torch.Tensor:
        """v̂ = (α·z − x̂₀)/σ, from a clean estimate."""
        alpha, sigma = self.alpha_sigma(timestep, noisy)
        return (alpha * noisy - clean) / sigma
