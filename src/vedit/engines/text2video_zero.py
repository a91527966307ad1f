"""Text2Video-Zero's cross-frame attention, applied to the inverted clip.

Khachatryan et al., "Text2Video-Zero: Text-to-Image Diffusion Models are Zero-Shot Video Generators" (2023), section
3.3.2: in self-attention every frame takes keys and values from the first frame, which gives all frames its look. The
paper generates; here the latents come from DDIM inversion by the source prompt, under the same attention, so that with
the source prompt and without guidance the way back is the way there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import BaseModel

from vedit.diffusion.attention import attention, cross_frame, of_frame
from vedit.diffusion.sampling import Progress
from vedit.diffusion.schedule import Schedule
from vedit.engines.base import Share, Work
from vedit.engines.prompt import InversionSettings, PromptEngine
from vedit.engines.shared import REWIRES, Tally
from vedit.jobs import PromptPair


class Settings(InversionSettings):
    """Options of the method."""


class Text2VideoZero(PromptEngine):
    """The engine. The first frame of a shot goes along with every window of it, so windows make no difference."""

    name: ClassVar[str] = "text2video-zero"
    Settings: ClassVar[type[BaseModel]] = Settings
    hinders: ClassVar[Mapping[str, str]] = REWIRES

    @classmethod
    def work(cls, settings: Settings, schedule: Schedule, share: Share) -> Work:
        """See :meth:`ModelEngine.work`. The shot's first frame goes along."""
        return super().work(settings, schedule, Share(share.new + share.before))

    def denoise(
        self, source: torch.Tensor, frames: range, prompt: PromptPair, kept: torch.Tensor | None, tally: Tally,
        progress: Progress | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """See :meth:`ModelEngine.denoise`. ``kept``: (1, C, h, w), the source's latents of the shot's first frame."""
        together = source if kept is None else torch.cat([kept, source])
        rule = cross_frame(of_frame(0))
        trajectory = self.inverted(together, prompt, tally, rule=("first frame", rule))
        with attention(self.self_attention, rule):
            latents = self.sample(trajectory.noise, trajectory.start, prompt, tally, progress=progress)
        return latents[len(together) - len(source) :], together[:1]


ENGINE = Text2VideoZero
