"""What the methods that edit by a pair of prompts have in common.

A method is a subclass with its settings and one function, ``denoise`` (:mod:`vedit.engines.model`), from latents of the
source to latents of the edit. What those functions are made of is here: inversion through the cache, guidance and
counting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field

from vedit import weights
from vedit.diffusion import guidance
from vedit.diffusion.attention import Rule, attention, places
from vedit.diffusion.inversion import Trajectory, asked, first_step, invert
from vedit.diffusion.sampling import Progress, ddim
from vedit.diffusion.schedule import Schedule, Step
from vedit.engines.base import Share, Work
from vedit.engines.model import TextEngine
from vedit.engines.shared import Tally, check_channels, check_text_width
from vedit.engines.trajectories import inverted
from vedit.jobs import PromptPair

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import UNet2DConditionModel

    from vedit.nets.codec import Codec


class PromptSettings(BaseModel):
    """Options that all methods have. A guidance of one needs no unconditional branch, which saves an evaluation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=50, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(default=7.5, ge=0, le=50, description="scale of the guidance by the target prompt")
    guidance_rescale: float = Field(
        default=0.0, ge=0, le=1, description="share of the contrast added by guidance that is taken back"
    )
    negative_prompt: str = Field(default="", description="what the guidance leads away from")


class InversionSettings(PromptSettings):
    """Options of the methods that go back from the source to noise."""

    inversion_steps: int | None = Field(
        default=None, ge=1, le=1000, description="steps back to noise, at least as many as steps; none: as many"
    )
    fixed_point: int = Field(
        default=0, ge=0, le=20, description="iterations that make each step back more exact, an evaluation each"
    )


class PromptEngine(TextEngine):
    """A method on a text-to-image model."""

    stages: ClassVar[tuple[str, ...]] = ("encode", "invert", "denoise", "decode_latents")

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self.self_attention = places(self.network, text=False)
        self.text_attention = places(self.network, text=True)

    @classmethod
    def load_network(cls, parts: Mapping[str, Path], dtype: torch.dtype) -> UNet2DConditionModel:
        """``unet``."""
        return weights.load_unet2d(parts["unet"], dtype)

    def check(self, codec: Codec, encoder: Any, network: Any) -> None:
        """See :meth:`ModelEngine.check`."""
        config, channels = network.config, (codec.channels, codec.channels)
        check_channels((config["in_channels"], config["out_channels"]), channels, "editing by prompt", self.model)
        check_text_width(config["cross_attention_dim"], encoder.width, self.model)

    # -- editing -------------------------------------------------------------------------------------------------

    @classmethod
    def branches(cls, settings: Any) -> tuple[str, ...]:
        """See :meth:`ModelEngine.branches`."""
        return tuple(guidance.text_weights(settings.guidance))

    @classmethod
    def sampling(cls, settings: Any, schedule: Schedule, frames: int, start: int | None = None) -> Work:
        """Of :meth:`sample` on so many frames, from the step ``start`` on; by default where an inversion ends."""
        start = first_step(schedule, settings.steps) if start is None else start
        evaluations = (settings.steps - start) * len(cls.branches(settings))
        return Work(evaluations, evaluations * frames)

    @classmethod
    def inversion(cls, settings: Any, schedule: Schedule, frames: int) -> Work:
        """Of :meth:`inverted` on so many frames, when the cache does not have it. Raises ``UsageError``."""
        levels = asked(schedule, settings.steps, settings.inversion_steps)
        evaluations = len(levels) * (1 + settings.fixed_point)
        return Work(evaluations, evaluations * frames, evaluations)

    @classmethod
    def work(cls, settings: Any, schedule: Schedule, share: Share) -> Work:
        """See :meth:`ModelEngine.work`. By default there and back again with the new frames."""
        return cls.inversion(settings, schedule, share.new) + cls.sampling(settings, schedule, share.new)

    def predict(self, z: torch.Tensor, timestep: int, text: str, tally: Tally) -> torch.Tensor:
        """The network's output for latents (N, C, h, w) and one text: float32, the same shape."""
        return self.predict_all(z, timestep, (text,), tally)[0]

    def predict_all(self, z: torch.Tensor, timestep: int, texts: tuple[str, ...], tally: Tally) -> torch.Tensor:
        """The same for several texts in one call of the network, which counts as one of each: (B, N, C, h, w)."""
        tally.evaluations += len(texts)
        states = torch.cat([self._state(text).to(self.dtype).expand(len(z), -1, -1) for text in texts])
        time = torch.tensor(timestep, device=z.device)  # a number would be compiled anew each time
        output = self.network(z.to(self.dtype).repeat(len(texts), 1, 1, 1), time, states, return_dict=False)[0]
        return output.float().unflatten(0, (len(texts), -1))

    def predict_back(self, z: torch.Tensor, timestep: int, text: str, tally: Tally) -> torch.Tensor:
        """:meth:`predict` on the way back to noise, for all frames of a window."""
        return self.predict(z, timestep, text, tally)

    def inverted(
        self,
        source: torch.Tensor,
        prompt: PromptPair,
        tally: Tally,
        *,
        rule: tuple[str, Rule] | None = None,
        watch: Callable[[int], AbstractContextManager[Any]] | None = None,
    ) -> Trajectory:
        """The source's way back to noise by the source prompt, from the cache if it is there.

        ``source``: (N, C, h, w). ``rule``: a name and what self-attention does on the way, by default what it does in
        the network itself. ``watch(timestep)``: a context around each evaluation that then applies the rule.
        """

        def predict(z: torch.Tensor, timestep: int) -> torch.Tensor:
            with watch(timestep) if watch is not None else nullcontext():
                return self.predict_back(z, timestep, prompt.source, tally)

        def make() -> Trajectory:
            asked: dict[str, Any] = {"inversion_steps": settings.inversion_steps, "fixed_point": settings.fixed_point}
            with attention(self.self_attention, rule[1]) if rule and watch is None else nullcontext():
                return invert(predict, source, self.schedule, settings.steps, **asked)

        settings, name = self.settings, rule[0] if rule else ""
        told = {"prompt": prompt.source}
        return inverted(make, source, settings, self, self._cache, tally, told=told, rule=name, prompt=prompt.source)

    def sample(
        self,
        z: torch.Tensor,
        start: int,
        prompt: PromptPair,
        tally: Tally,
        *,
        around: Callable[[str, Step], AbstractContextManager[Any]] | None = None,
        solve: Callable[..., torch.Tensor] = ddim,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """From latents at the level of the step ``start`` to clean ones, guided by the target prompt.

        ``around(branch, step)``: a context around each evaluation, by the name of its branch, which then stays one of
        its own. ``solve``: a sampler.
        """
        texts = {guidance.UNCOND: self.settings.negative_prompt, guidance.FULL: prompt.target}

        def denoise(z: torch.Tensor, step: Step) -> torch.Tensor:
            def together(branches: tuple[str, ...]) -> torch.Tensor:
                with around(branches[0], step) if around is not None else nullcontext():
                    return self.predict_all(z, step.timestep, tuple(texts[branch] for branch in branches), tally)

            evaluate = self.evaluator(together)
            output, _ = guidance.text(evaluate, self.settings.guidance, self.settings.guidance_rescale)
            return self.schedule.to_clean(output, z, step.timestep)

        return solve(denoise, z, self.schedule, self.settings.steps, start=start, progress=progress)

    # -- what it knows -------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def knows(self, prompt: PromptPair) -> str | None:
        """A warning when a prompt is far from what the model was trained for, or too long; else None."""
        return self.knowledge.warning(self.text, "target prompt", prompt.target) or self.knowledge.warning(
            self.text, "source prompt", prompt.source
        )
