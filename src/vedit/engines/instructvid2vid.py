"""InstructVid2Vid: edit a video by a natural-language instruction.

Qin et al., "InstructVid2Vid: Controllable Video Editing with Natural Language Instructions" (2023): a 2D text-to-image
network inflated to video denoises the edit while it sees the source's latents beside it on the channels, guided by
source and text. What that paper leaves open follows Cheng et al., "Consistent Video-to-Video Transfer Using Synthetic
Dataset" (InsV2V, 2023): three-term guidance, and long video sampling correction from window to window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from vedit import weights
from vedit.diffusion.guidance import FULL, UNCOND, text_video
from vedit.diffusion.noise import frame_noise
from vedit.diffusion.sampling import SOLVERS, Progress
from vedit.diffusion.schedule import Schedule, Step
from vedit.engines.base import Edited, Window
from vedit.engines.shared import Knowledge, Texts, check_channels, check_text_width, timed
from vedit.errors import UsageError

if TYPE_CHECKING:
    from vedit.cache import Cache
    from vedit.nets.codec import Codec
    from vedit.nets.text import TextEncoder
    from vedit.nets.video_unet import VideoUNet
    from vedit.weights import Bundle


class Settings(BaseModel):
    """Options of the method. A scale of one switches its term of the guidance off, which saves an evaluation a step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=20, ge=1, le=1000, description="denoising steps")
    random_steps: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="steps for an edit that adds something random, as snow or grain, where the model knows which do; "
        "0: as many as for the others",
    )
    guidance: float = Field(default=7.5, ge=0, le=50, description="scale of the guidance by the instruction")
    video_guidance: float = Field(default=1.5, ge=0, le=50, description="scale of the guidance by the source")
    guidance_rescale: float = Field(
        default=0.0, ge=0, le=1, description="share of the contrast added by guidance that is taken back"
    )
    solver: Literal["ddim", "dpmpp_2m"] = Field(default="dpmpp_2m", description="sampler")
    noise_share: float = Field(default=0.5, ge=0, le=1, description="share of the noise that all frames have in common")
    correction: float = Field(
        default=0.5, ge=0, le=1, description="share of the steps in which a window is held to the one before it"
    )


@dataclass(frozen=True, eq=False)
class Carry:
    """What a window leaves to the next: everything of its own frames, the first of which has the index ``first``."""

    first: int
    source: torch.Tensor  # (T, C, h, w) latents of the source
    latents: torch.Tensor  # (T, C, h, w) final clean latents of the edit
    reconstruction: torch.Tensor  # (T, 3, H, W)
    frames: torch.Tensor  # (T, 3, H, W)

    def references(self, first: int, count: int) -> Carry:
        """The part that the frames ``first`` .. ``first + count`` of the next window share with this one."""
        start = first - self.first
        if start < 0 or start + count > len(self.latents):
            raise ValueError(
                f"{count} reference frames from {first} on, but the window before has frames "
                f"{self.first} to {self.first + len(self.latents) - 1}"
            )
        part = slice(start, start + count)
        return Carry(first, self.source[part], self.latents[part], self.reconstruction[part], self.frames[part])


class InstructVid2Vid:
    """The engine. Deterministic: the same window, prompt, settings and seed give the same bytes."""

    name: ClassVar[str] = "instructvid2vid"
    Settings: ClassVar[type[BaseModel]] = Settings

    def __init__(
        self,
        codec: Codec,
        text: TextEncoder,
        network: VideoUNet,
        schedule: Schedule,
        settings: Settings,
        *,
        seed: int = 0,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        directions: dict[str, torch.Tensor] | None = None,
        threshold: float | None = None,
        known: tuple[str, ...] = (),
        model: str = "the model",
    ) -> None:
        """``directions``, ``threshold`` and ``known`` are for :meth:`knows` and :meth:`steps`; see there."""
        check_channels(
            (network.in_channels, network.out_channels),
            (2 * codec.channels, codec.channels),
            "editing by instruction (InstructPix2Pix)",
            model,
        )
        check_text_width(network.unet.config["cross_attention_dim"], text.width, model)
        self.codec = codec.to(device, dtype)
        self.text = text.to(device)
        self.network = network.to(device, dtype)
        self.schedule = schedule
        self.settings = settings
        self.seed = seed
        self.device = device
        self.dtype = dtype
        self._knowledge = Knowledge(directions or {}, threshold, known, model)
        self._model = model
        self._state = Texts(self.text)

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
    ) -> InstructVid2Vid:
        """Load vae, clip, tokenizer, unet and scheduler. Nothing is worth a ``cache``. Raises ``ModelError``."""
        from vedit.nets.text import TextEncoder

        assert isinstance(settings, Settings)
        parts, knowledge = bundle.components, Knowledge.of(bundle)
        return cls(
            weights.load_vae(parts["vae"]),
            TextEncoder(weights.load_clip(parts["clip"]), weights.load_tokenizer(parts["tokenizer"])),
            weights.load_unet(parts["unet"], dtype),
            weights.load_schedule(parts["scheduler"]),
            settings,
            seed=seed,
            device=device,
            dtype=dtype,
            directions=knowledge.directions,
            threshold=knowledge.threshold,
            known=knowledge.known,
            model=knowledge.model,
        )

    # -- editing -------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def edit(self, window: Window, prompt: str, progress: Progress | None = None) -> Edited:
        """Edit one window. What the previous one already gave for the reference frames is taken as it is.

        Raises ``UsageError`` for more frames than the network takes at once.
        """
        count, reference = len(window.frames), window.reference
        most = self.network.max_frames
        if count > most:
            raise UsageError(f"--window {count}: {self._model} takes at most {most} frames at once; lower --window")
        before = None
        if reference:
            if not isinstance(window.carry, Carry):
                raise ValueError(f"{reference} reference frames, but nothing was carried over")
            before = window.carry.references(window.first, reference)
        timings: dict[str, float] = {}
        with timed(timings, "encode"):
            source = self.codec.encode(window.frames[reference:].to(self.device))
            if before is not None:
                source = torch.cat([before.source, source])
        with timed(timings, "denoise"):
            frames = range(window.first, window.first + count)
            noise = frame_noise(self.seed, frames, source.shape[1:], self.settings.noise_share).to(self.device)
            latents, evaluations = self.sample(
                noise, source, prompt, before.latents if before is not None else None, progress
            )
        with timed(timings, "decode_latents"):
            edited = self.codec.decode(latents[reference:])
            reconstruction = self.codec.decode(source[reference:])
            if before is not None:
                latents = torch.cat([before.latents, latents[reference:]])  # those that belong to the frames
                edited = torch.cat([before.frames, edited])
                reconstruction = torch.cat([before.reconstruction, reconstruction])
        carry = Carry(window.first, source, latents, reconstruction, edited)
        return Edited(edited, reconstruction, carry, evaluations, timings)

    @torch.inference_mode()
    def sample(
        self,
        noise: torch.Tensor,
        source: torch.Tensor,
        prompt: str,
        references: torch.Tensor | None = None,
        progress: Progress | None = None,
    ) -> tuple[torch.Tensor, int]:
        """From noise (T, C, h, w) to the clean latents of the edit, and the number of evaluations that took.

        ``source``: scaled latents of the source, (T, C, h, w). ``references``: (R, C, h, w), clean latents that the
        first R frames are held to in the first steps.
        """
        settings = self.settings
        seen = self.codec.unscale(source)  # the source is shown as the autoencoder gives it (InstructPix2Pix, 3.2)
        unseen = torch.zeros_like(seen)
        texts = {True: self._state(prompt), False: self._state("")}
        evaluations = 0

        def denoise(z: torch.Tensor, step: Step) -> torch.Tensor:
            nonlocal evaluations

            def evaluate(branch: str) -> torch.Tensor:
                latents = torch.cat([z, unseen if branch == UNCOND else seen], dim=1)
                return self.network(latents[None], step.timestep, texts[branch == FULL])[0]

            output, made = text_video(evaluate, settings.guidance, settings.video_guidance, settings.guidance_rescale)
            evaluations += made
            return self.schedule.to_clean(output, z, step.timestep)

        def correct(clean: torch.Tensor, z: torch.Tensor, step: Step) -> torch.Tensor:
            if references is None or step.index >= round(settings.correction * step.count):
                return clean
            return hold(clean, references)

        solve = SOLVERS[settings.solver]
        latents = solve(denoise, noise, self.schedule, self.steps(prompt), correct=correct, progress=progress)
        return latents, evaluations

    @torch.inference_mode()
    def steps(self, prompt: str) -> int:
        """Denoising steps for an instruction.

        One step from pure noise gives the mean of all answers (Karras et al. 2022, section 2), which is the answer
        where there is only one. Falling snow has many, and their mean is a haze: it takes several steps to choose one.
        """
        settings, random = self.settings, self._knowledge.directions.get("random")
        if not settings.random_steps or random is None or not self.text.can_embed:
            return settings.steps
        embedded = self.text.embed([prompt])[0].cpu()
        nearest = int((self._knowledge.directions["directions"].float() @ embedded).argmax())
        return settings.random_steps if bool(random[nearest]) else settings.steps

    # -- what it knows -------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def knows(self, prompt: str) -> str | None:
        """A warning when ``prompt`` is far from every edit the model was trained for, or too long; else None."""
        return self._knowledge.warning(self.text, "instruction", prompt)


def hold(clean: torch.Tensor, references: torch.Tensor) -> torch.Tensor:
    """Long video sampling correction (InsV2V), on clean estimates (T, C, h, w).

    With Δ = ẑ_ref − x̂₀[:R], the R reference frames get Δ, which makes them ẑ_ref exactly, and all others the mean of Δ
    over the references. InsV2V adds it to ε, where it would vanish at zero terminal SNR.
    """
    count = len(references)
    difference = (references - clean[:count]).mean(dim=0, keepdim=True)
    return torch.cat([references, clean[count:] + difference])


ENGINE = InstructVid2Vid
