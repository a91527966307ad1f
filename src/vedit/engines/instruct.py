"""What the methods that edit by an instruction have in common: a network that sees the source beside the noise.

Brooks et al., "InstructPix2Pix" (2023), section 3.2: the source's latents stand beside the noisy ones on the channels,
and the guidance has a term for the source and one for the text (eq. 3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from vedit import weights
from vedit.diffusion.guidance import FULL, UNCOND, branch_weights, text_video
from vedit.diffusion.schedule import Schedule, Step
from vedit.engines.base import Share, Work
from vedit.engines.model import TextEngine
from vedit.engines.shared import Tally, check_channels, check_text_width

if TYPE_CHECKING:
    from pathlib import Path

    from vedit.nets.codec import Codec
    from vedit.nets.video_unet import VideoUNet


class InstructSettings(BaseModel):
    """Options of all methods. A scale of one switches its term of the guidance off: an evaluation a step less."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=50, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(default=7.5, ge=0, le=50, description="scale of the guidance by the instruction")
    video_guidance: float = Field(default=1.5, ge=0, le=50, description="scale of the guidance by the source")
    guidance_rescale: float = Field(
        default=0.0, ge=0, le=1, description="share of the contrast added by guidance that is taken back"
    )
    margin: int = Field(
        default=0, ge=0, le=256, multiple_of=8,
        description="pixels of mirrored picture that the model sees beyond the right and lower rim",
    )  # fmt: skip

    reword: bool = Field(
        default=True,
        description="where it is clear which edit is meant, ask in the words by which the model does it best, if it "
        "says which these are",
    )


class InstructEngine(TextEngine):
    """A method on a model of the role ``instruct``."""

    @property
    def margin(self) -> int:  # type: ignore[override]
        """See :class:`ModelEngine`: a network that was trained on crops may not know what a rim is."""
        return self.settings.margin

    @classmethod
    def load_network(cls, parts: Mapping[str, Path], dtype: torch.dtype) -> VideoUNet:
        """``unet``: a video network, or a 2D one inflated to one."""
        return weights.load_unet(parts["unet"], dtype)

    def check(self, codec: Codec, encoder: Any, network: Any) -> None:
        """See :meth:`ModelEngine.check`."""
        check_channels(
            (network.in_channels, network.out_channels),
            (2 * codec.channels, codec.channels),
            "editing by instruction (InstructPix2Pix)",
            self.model,
        )
        check_text_width(network.unet.config["cross_attention_dim"], encoder.width, self.model)

    @classmethod
    def branches(cls, settings: Any) -> tuple[str, ...]:
        """See :meth:`ModelEngine.branches`."""
        return tuple(branch_weights(settings.guidance, settings.video_guidance))

    @classmethod
    def work(cls, settings: Any, schedule: Schedule, share: Share) -> Work:
        """See :meth:`ModelEngine.work`. All frames of the window at every step."""
        evaluations = settings.steps * len(cls.branches(settings))
        return Work(evaluations, evaluations * (share.new + share.reference))

    def denoiser(self, source: torch.Tensor, prompt: str, tally: Tally) -> Callable[[torch.Tensor, Step], torch.Tensor]:
        """From latents z (T, C, h, w) and a step to the clean estimate, guided by source and ``prompt``.

        ``source``: scaled latents of the source, of the shape of z.
        """
        settings = self.settings
        seen = self.codec.unscale(source)  # the source is shown as the autoencoder gives it (InstructPix2Pix, 3.2)
        unseen = torch.zeros_like(seen)
        asked = self.knowledge.plain(self.text, prompt) if settings.reword else prompt
        texts = {True: self._state(asked), False: self._state("")}

        def denoise(z: torch.Tensor, step: Step) -> torch.Tensor:
            timestep = torch.tensor(step.timestep, device=z.device)  # a number would be compiled anew each time

            def together(branches: tuple[str, ...]) -> torch.Tensor:
                latents = [torch.cat([z, unseen if branch == UNCOND else seen], dim=1) for branch in branches]
                text = torch.cat([texts[branch == FULL] for branch in branches])
                return self.network(torch.stack(latents), timestep, text)

            evaluate = self.evaluator(together)
            output, made = text_video(evaluate, settings.guidance, settings.video_guidance, settings.guidance_rescale)
            tally.evaluations += made
            return self.schedule.to_clean(output, z, step.timestep)

        return denoise

    @torch.inference_mode()
    def knows(self, prompt: str) -> str | None:
        """A warning when ``prompt`` is far from every edit the model was trained for, or too long; else None."""
        return self.knowledge.warning(self.text, "instruction", prompt)
