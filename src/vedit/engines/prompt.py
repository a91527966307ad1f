"""What the methods that edit by a pair of prompts have in common.

A method is a subclass with its settings and one function, :meth:`PromptEngine.denoise`, from latents of the source to
latents of the edit. Everything around it is here: loading, encoding and decoding, inversion through the cache,
guidance, counting, and what goes from window to window.

A window is asked for its new frames only: what the window before gave for the frames that both share is taken as it
is. A method that lets frames see others keeps what it needs of earlier ones itself, in the value that
:meth:`PromptEngine.denoise` returns beside the latents.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from pydantic import BaseModel, ConfigDict, Field

from vedit import weights
from vedit.cache import Cache, digest, digest_of
from vedit.diffusion import guidance
from vedit.diffusion.attention import Rule, attention, places
from vedit.diffusion.inversion import Trajectory, invert
from vedit.diffusion.sampling import Progress, ddim
from vedit.diffusion.schedule import Schedule, Step
from vedit.engines.base import Edited, Window
from vedit.engines.shared import Carry, Knowledge, Texts, check_channels, check_text_width, timed
from vedit.jobs import PromptPair

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

    from vedit.nets.codec import Codec
    from vedit.nets.text import TextEncoder
    from vedit.weights import Bundle

TRAJECTORIES = "trajectories"  # kind of the entries in the cache
VERSION = 1  # of the inversion: another number, and what older versions kept is not used any more


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


@dataclass
class Tally:
    """What an edit took."""

    timings: dict[str, float] = field(default_factory=dict)
    evaluations: int = 0
    inversion_evaluations: int = 0


class PromptEngine(ABC):
    """A method on a text-to-image model. Deterministic: the same window, prompts, settings and seed, the same bytes."""

    name: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]
    takes_adapter: ClassVar[bool] = False

    def __init__(
        self,
        codec: Codec,
        text: TextEncoder,
        network: UNet2DConditionModel,
        schedule: Schedule,
        settings: Any,
        *,
        seed: int = 0,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        cache: Cache | None = None,
        knowledge: Knowledge | None = None,
        identity: str = "",
    ) -> None:
        """``identity``: the hash of the model; without one nothing goes into the cache. Raises ``ModelError``."""
        self._knowledge = knowledge or Knowledge({})
        model, config = self._knowledge.model, network.config
        channels = (codec.channels, codec.channels)
        check_channels((config["in_channels"], config["out_channels"]), channels, "editing by prompt", model)
        check_text_width(config["cross_attention_dim"], text.width, model)
        self.codec = codec.to(device, dtype)
        self.text = text.to(device)
        self.network: Any = torch.nn.Module.to(network, device, dtype)  # diffusers' own prints advice
        self.schedule = schedule
        self.settings = settings
        self.seed = seed
        self.device = device
        self.dtype = dtype
        self.model = model
        self._cache = cache if identity else None
        self._identity = identity
        self._state = Texts(self.text)
        self.self_attention = places(self.network, text=False)
        self.text_attention = places(self.network, text=True)

    @classmethod
    def from_bundle(
        cls,
        bundle: Bundle,
        settings: BaseModel,
        *,
        seed: int,
        device: str,
        dtype: torch.dtype,
        cache: Cache | None = None,
    ) -> Self:
        """Load vae, clip, tokenizer, unet and scheduler. Raises ``ModelError``."""
        from vedit.nets.text import TextEncoder

        assert isinstance(settings, cls.Settings)
        parts = bundle.components
        return cls(
            weights.load_vae(parts["vae"]),
            TextEncoder(weights.load_clip(parts["clip"]), weights.load_tokenizer(parts["tokenizer"])),
            weights.load_unet2d(parts["unet"], dtype),
            weights.load_schedule(parts["scheduler"]),
            settings,
            seed=seed,
            device=device,
            dtype=dtype,
            cache=cache,
            knowledge=Knowledge.of(bundle),
            identity=bundle.sha256,
        )

    # -- editing -------------------------------------------------------------------------------------------------

    @abstractmethod
    def denoise(
        self,
        source: torch.Tensor,
        frames: range,
        prompt: PromptPair,
        kept: Any,
        tally: Tally,
        progress: Progress | None,
    ) -> tuple[torch.Tensor, Any]:
        """Latents of the edit, and what the next window of the shot gets as ``kept`` (None at the start of a shot).

        ``source``: (N, C, h, w) latents of new frames, whose absolute indices are ``frames``.
        """

    @torch.inference_mode()
    def edit(self, window: Window, prompt: PromptPair, progress: Progress | None = None) -> Edited:
        """Edit one window. What the previous one already gave for the reference frames is taken as it is."""
        tally, reference = Tally(), window.reference
        before, kept = None, None
        if window.carry is not None:
            assert isinstance(window.carry, Carry)
            before, kept = window.carry, window.carry.kept
        if reference and before is None:
            raise ValueError(f"{reference} reference frames, but nothing was carried over")
        with timed(tally.timings, "encode"):
            source = self.codec.encode(window.frames[reference:].to(self.device))
        with timed(tally.timings, "denoise"):
            frames = range(window.first + reference, window.first + len(window.frames))
            latents, kept = self.denoise(source, frames, prompt, kept, tally, progress)
        # The inversion is part of what a method does, so it was measured twice.
        tally.timings["denoise"] -= tally.timings.setdefault("invert", 0.0)
        with timed(tally.timings, "decode_latents"):
            edited, reconstruction = self.codec.decode(latents), self.codec.decode(source)
        carry = Carry.joined(before, window.first, reference, edited, reconstruction, kept)
        return Edited(
            carry.frames, carry.reconstruction, carry, tally.evaluations, tally.timings, tally.inversion_evaluations
        )

    def predict(self, z: torch.Tensor, timestep: int, text: str, tally: Tally) -> torch.Tensor:
        """The network's output for latents (N, C, h, w) and one text: float32, the same shape."""
        tally.evaluations += 1
        state = self._state(text).to(self.dtype).expand(len(z), -1, -1)
        return self.network(z.to(self.dtype), timestep, state, return_dict=False)[0].float()

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
        with timed(tally.timings, "invert"):
            key = self._key(source, prompt, rule[0] if rule else "") if self._cache is not None else ""
            found = self._cache.get(TRAJECTORIES, key) if self._cache is not None else None
            if found is not None:
                return Trajectory(_fresh(found["latents"].to(source)), int(found["start"]))
            before = tally.evaluations

            def predict(z: torch.Tensor, timestep: int) -> torch.Tensor:
                with watch(timestep) if watch is not None else nullcontext():
                    return self.predict(z, timestep, prompt.source, tally)

            settings = self.settings
            options: dict[str, Any] = {
                "inversion_steps": settings.inversion_steps,
                "fixed_point": settings.fixed_point,
            }
            with attention(self.self_attention, rule[1]) if rule and watch is None else nullcontext():
                trajectory = invert(predict, source, self.schedule, settings.steps, **options)
            tally.inversion_evaluations += tally.evaluations - before
            if self._cache is not None:
                tensors = {"latents": trajectory.latents, "start": torch.tensor(trajectory.start)}
                about = {"model": self.model, "prompt": prompt.source, "frames": str(len(source))}
                self._cache.put(TRAJECTORIES, key, tensors, about)
            return Trajectory(_fresh(trajectory.latents), trajectory.start)

    def _key(self, source: torch.Tensor, prompt: PromptPair, rule: str) -> str:
        """Of all that a trajectory depends on, to the last bit."""
        settings = self.settings
        return digest(
            version=VERSION,
            rule=rule,
            frames=digest_of(source),
            model=self._identity,
            prompt=prompt.source,
            steps=settings.steps,
            inversion_steps=settings.inversion_steps or settings.steps,
            fixed_point=settings.fixed_point,
            dtype=str(self.dtype),
            device=torch.device(self.device).type,
            threads=torch.get_num_threads() if torch.device(self.device).type == "cpu" else 0,
            torch=torch.__version__,
        )

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

        ``around(branch, step)``: a context around each evaluation, by the name of its branch. ``solve``: a sampler.
        """
        texts = {guidance.UNCOND: self.settings.negative_prompt, guidance.FULL: prompt.target}

        def denoise(z: torch.Tensor, step: Step) -> torch.Tensor:
            def evaluate(branch: str) -> torch.Tensor:
                with around(branch, step) if around is not None else nullcontext():
                    return self.predict(z, step.timestep, texts[branch], tally)

            output, _ = guidance.text(evaluate, self.settings.guidance, self.settings.guidance_rescale)
            return self.schedule.to_clean(output, z, step.timestep)

        return solve(denoise, z, self.schedule, self.settings.steps, start=start, progress=progress)

    # -- what it knows -------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def knows(self, prompt: PromptPair) -> str | None:
        """A warning when a prompt is far from what the model was trained for, or too long; else None."""
        return self._knowledge.warning(self.text, "target prompt", prompt.target) or self._knowledge.warning(
            self.text, "source prompt", prompt.source
        )


def _fresh(latents: torch.Tensor) -> torch.Tensor:
    """A plain copy. Kernels add in another order for other strides or alignment, and a hit must give a miss's bytes."""
    return latents.clone(memory_format=torch.contiguous_format)
