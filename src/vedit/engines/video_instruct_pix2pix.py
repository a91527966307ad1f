"""Video Instruct-Pix2Pix: InstructPix2Pix frame by frame, with the look of the first frame for all.

Khachatryan et al., "Text2Video-Zero" (2023), section 3.3.3: every frame is edited with itself as the image condition,
and in self-attention takes keys and values from the first frame of the shot. Frames are edited in chunks, each with the
first frame in front, whose noise is the same every time; so chunks and windows make no difference to any frame.

The public code draws noise by a frame's place in its chunk. Here all frames have one noise by default, which is
steadier; with ``noise_share=0`` every frame has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, Field

from vedit.diffusion.attention import attention, cross_frame, of_frame, places
from vedit.diffusion.noise import frame_noise
from vedit.diffusion.sampling import SOLVERS, Progress, ancestral
from vedit.diffusion.schedule import Schedule, Step
from vedit.engines.base import Share, Work
from vedit.engines.instruct import InstructEngine, InstructSettings
from vedit.engines.shared import REWIRES, Tally


class Settings(InstructSettings):
    """Options of the method."""

    solver: Literal["ancestral", "ddim", "dpmpp_2m"] = Field(
        default="ancestral", description="sampler; ancestral is Euler's, which draws new noise at every step"
    )
    noise_share: float = Field(default=1.0, ge=0, le=1, description="share of the noise that all frames have in common")
    chunk: int = Field(default=8, ge=2, le=64, description="frames edited at once, the first one included")


@dataclass(frozen=True, eq=False)
class Anchor:
    """The first frame of a shot: its absolute index and its source latents (1, C, h, w)."""

    frame: int
    source: torch.Tensor


class VideoInstructPix2Pix(InstructEngine):
    """The engine."""

    name: ClassVar[str] = "video-instruct-pix2pix"
    Settings: ClassVar[type[BaseModel]] = Settings
    hinders: ClassVar[Mapping[str, str]] = REWIRES

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._places = places(self.network.unet, text=False)

    @classmethod
    def work(cls, settings: Settings, schedule: Schedule, share: Share) -> Work:
        """See :meth:`ModelEngine.work`. Each chunk has the first frame in front, which the shot's first one begins
        with; a network that takes fewer frames than a chunk has makes more of them."""
        new = share.new if share.before else share.new - 1
        chunks = max(1, -(-new // (settings.chunk - 1)))
        evaluations = settings.steps * len(cls.branches(settings))
        return Work(evaluations * chunks, evaluations * (new + chunks))

    def denoise(
        self, source: torch.Tensor, frames: range, prompt: str, kept: Anchor | None, tally: Tally,
        progress: Progress | None,
    ) -> tuple[torch.Tensor, Anchor]:  # fmt: skip
        """See :meth:`ModelEngine.denoise`. ``kept``: the first frame of the shot."""
        anchor = kept or Anchor(frames[0], source[:1])
        made, done = [], 0
        size = max(2, min(self.settings.chunk, self.network.max_frames))
        while done < len(frames):
            alone = frames[done] == anchor.frame  # the first chunk of a shot begins with the anchor itself
            part = slice(done, done + size - (0 if alone else 1))
            here = source[part] if alone else torch.cat([anchor.source, source[part]])
            indices = [*([] if alone else [anchor.frame]), *frames[part]]
            latents = self._sample(here, indices, prompt, tally, progress)
            made.append(latents if alone else latents[1:])
            done = part.stop
        return torch.cat(made), anchor

    def _sample(
        self, source: torch.Tensor, frames: list[int], prompt: str, tally: Tally, progress: Progress | None
    ) -> torch.Tensor:
        """Latents of the edit of one chunk, whose first frame is the anchor."""
        settings, shape = self.settings, source.shape[1:]

        def fresh(step: Step) -> torch.Tensor:
            return frame_noise(f"{self.seed}:step:{step.index}", frames, shape, settings.noise_share).to(self.device)

        noise = frame_noise(self.seed, frames, shape, settings.noise_share).to(self.device)
        options: dict[str, Any] = {"progress": progress}
        solve = ancestral if settings.solver == "ancestral" else SOLVERS[settings.solver]
        if settings.solver == "ancestral":
            options["fresh"] = fresh
        denoise = self.denoiser(source, prompt, tally)
        with attention(self._places, cross_frame(of_frame(0))):
            return solve(denoise, noise, self.schedule, settings.steps, **options)


ENGINE = VideoInstructPix2Pix
