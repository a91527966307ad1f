"""InstructVid2Vid: edit a video by a natural-language instruction.

Qin et al., "InstructVid2Vid: Controllable Video Editing with Natural Language Instructions" (2023): a 2D text-to-image
network inflated to video denoises the edit while it sees the source's latents beside it on the channels, guided by
source and text. What that paper leaves open follows Cheng et al., "Consistent Video-to-Video Transfer Using Synthetic
Dataset" (InsV2V, 2023): three-term guidance, and long video sampling correction from window to window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, Field

from vedit.diffusion.noise import falling_noise, frame_noise
from vedit.diffusion.sampling import SOLVERS, Progress
from vedit.diffusion.schedule import Step
from vedit.engines.base import Window
from vedit.engines.instruct import InstructEngine, InstructSettings
from vedit.engines.shared import Carry, Tally
from vedit.errors import UsageError

KNOWN_SIZE = 256  # short side in pixels for which ``known`` says how far particles fall
_LATENT = 8  # pixels a latent position


class Settings(InstructSettings):
    """Options of the method."""

    steps: int = Field(default=20, ge=1, le=1000, description="denoising steps")
    solver: Literal["ddim", "dpmpp_2m"] = Field(default="dpmpp_2m", description="sampler")
    noise_share: float = Field(default=0.5, ge=0, le=1, description="share of the noise that all frames have in common")
    fall: bool = Field(
        default=True,
        description="let the noise of edits with particles, as snow, fall as fast as these do, without noise_share",
    )
    correction: float = Field(
        default=0.5, ge=0, le=1,
        description="share of the steps, rounded (half of one: none), in which a window is held to the one before it",
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Held:
    """Frames of a window that the next one is held to: latents (T, C, h, w) of the source, clean ones of the edit."""

    source: torch.Tensor
    latents: torch.Tensor


class InstructVid2Vid(InstructEngine):
    """The engine."""

    name: ClassVar[str] = "instructvid2vid"
    Settings: ClassVar[type[BaseModel]] = Settings
    shares_frames: ClassVar[bool] = True

    # -- editing -------------------------------------------------------------------------------------------------

    def handed(self, window: Window, before: Carry | None) -> Held | None:
        """The reference frames. Raises ``UsageError`` for more frames than the network takes at once."""
        count, most = len(window.frames), self.network.max_frames
        if count > most:
            raise UsageError(f"--window {count}: {self.model} takes at most {most} frames at once; lower --window")
        if before is None or not window.reference:
            return None
        part = before.part(window.first, window.reference)
        return Held(before.kept.source[part], before.kept.latents[part])

    def denoise(
        self, source: torch.Tensor, frames: range, prompt: str, kept: Held | None, tally: Tally,
        progress: Progress | None,
    ) -> tuple[torch.Tensor, Held]:  # fmt: skip
        """See :meth:`ModelEngine.denoise`. The reference frames are sampled along with the new ones."""
        count = len(kept.source) if kept is not None else 0
        if kept is not None:
            source = torch.cat([kept.source, source])
        whole = range(frames.start - count, frames.stop)
        noise = self.noise(whole, source.shape[1:], prompt).to(self.device)
        references = kept.latents if kept is not None else None
        latents = self.sample(noise, source, prompt, tally, references, progress)[count:]
        # What is carried on belongs to the frames, which for the references are those of the window before.
        return latents, Held(source, latents if references is None else torch.cat([references, latents]))

    @torch.inference_mode()
    def sample(
        self,
        noise: torch.Tensor,
        source: torch.Tensor,
        prompt: str,
        tally: Tally,
        references: torch.Tensor | None = None,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """From noise (T, C, h, w) to the clean latents of the edit.

        ``source``: scaled latents of the source, (T, C, h, w). ``references``: (R, C, h, w), clean latents that the
        first R frames are held to in the first steps.
        """
        settings = self.settings

        def correct(clean: torch.Tensor, z: torch.Tensor, step: Step) -> torch.Tensor:
            if references is None or step.index >= round(settings.correction * step.count):
                return clean
            return hold(clean, references)

        solve, denoise = SOLVERS[settings.solver], self.denoiser(source, prompt, tally)
        return solve(denoise, noise, self.schedule, settings.steps, correct=correct, progress=progress)

    @torch.inference_mode()
    def noise(self, frames: range, shape: Sequence[int], prompt: str) -> torch.Tensor:
        """Where an edit of these absolute frames starts from: (T, C, h, w), on the CPU.

        One step from pure noise gives the mean of all answers (Karras et al. 2022, section 2), which is the answer
        where there is only one. Falling snow has many, and their mean is a haze. A model that was trained with noise
        that says where the particles are (``known`` then has ``fall``, how far they fall in a frame at
        :data:`KNOWN_SIZE`) gives one answer to each noise; so the noise has to fall as they do.
        """
        fall = self.knowledge.directions.get("fall")
        if self.settings.fall and fall is not None and self.text.can_embed:
            embedded = self.text.embed([prompt])[0].cpu()
            speed = float(fall[(self.knowledge.directions["directions"].float() @ embedded).argmax()])
            if speed:
                short = min(shape[1:]) - self.margin // _LATENT
                speed *= short * _LATENT / KNOWN_SIZE
                return falling_noise(self.seed, frames, shape, speed)
        return frame_noise(self.seed, frames, shape, self.settings.noise_share)


def hold(clean: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Long video sampling correction (InsV2V), on clean estimates (T, C, h, w).

    With Δ = ẑ_ref − x̂₀[:R], the R reference frames get Δ, which makes them ẑ_ref exactly, and all others the mean of Δ
    over the references. InsV2V adds it to ε, where it would vanish at zero terminal SNR.
    """
    count = len(references)
    difference = (references - clean[:count]).mean(dim=0, keepdim=True)
    return torch.cat([references, clean[count:] + difference])


ENGINE = InstructVid2Vid
