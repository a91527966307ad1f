"""SDEdit: the plain baseline of editing by prompt.

Meng et al., "SDEdit: Guided Image Synthesis and Editing with Stochastic Differential Equations" (2022), section 3:
noise of a middle level is put over the source and taken away again by the target prompt. Each frame is edited on its
own; what they have in common is noise, as far as ``noise_share`` goes.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, Field

from vedit.diffusion.noise import frame_noise
from vedit.diffusion.sampling import SOLVERS, Progress
from vedit.diffusion.schedule import Schedule
from vedit.engines.base import Share, Work
from vedit.engines.prompt import PromptEngine, PromptSettings
from vedit.engines.shared import Tally
from vedit.jobs import PromptPair


class Settings(PromptSettings):
    """Options of the method."""

    strength: float = Field(
        default=0.6, ge=0, le=1, description="share of the steps that are taken; 0 leaves the source as it is"
    )
    solver: Literal["ddim", "dpmpp_2m"] = Field(default="ddim", description="sampler")
    noise_share: float = Field(default=1.0, ge=0, le=1, description="share of the noise that all frames have in common")


class SDEdit(PromptEngine):
    """The engine. The source prompt has no part in it."""

    name: ClassVar[str] = "sdedit"
    Settings: ClassVar[type[BaseModel]] = Settings

    @classmethod
    def work(cls, settings: Settings, schedule: Schedule, share: Share) -> Work:
        """See :meth:`ModelEngine.work`. There is no way back to noise."""
        start = settings.steps - round(settings.strength * settings.steps)
        return cls.sampling(settings, schedule, share.new, start)

    def denoise(
        self, source: torch.Tensor, frames: range, prompt: PromptPair, kept: Any, tally: Tally,
        progress: Progress | None,
    ) -> tuple[torch.Tensor, None]:  # fmt: skip
        """See :meth:`ModelEngine.denoise`. Nothing is kept: no frame sees another."""
        settings: Settings = self.settings
        start = settings.steps - round(settings.strength * settings.steps)
        if start == settings.steps:
            return source, None
        step = self.schedule.steps(settings.steps)[start]
        noise = frame_noise(self.seed, frames, source.shape[1:], settings.noise_share).to(source)
        noisy = step.alpha * source + step.sigma * noise
        return self.sample(noisy, start, prompt, tally, solve=SOLVERS[settings.solver], progress=progress), None


ENGINE = SDEdit
