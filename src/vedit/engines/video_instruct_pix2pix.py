"""Video Instruct-Pix2Pix: InstructPix2Pix frame by frame, with the look of the first frame for all.

Khachatryan et al., "Text2Video-Zero" (2023), section 3.3.3: every frame is edited with itself as the image condition,
and in self-attention takes keys and values from the first frame of the shot. Frames are edited in chunks, each with the
first frame in front, whose noise is the same every time; so chunks and windows make no difference to any frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field

from vedit import weights
from vedit.diffusion.attention import attention, cross_frame, of_frame, places
from vedit.diffusion.guidance import FULL, UNCOND, text_video
from vedit.diffusion.noise import frame_noise
from vedit.diffusion.sampling import SOLVERS, Progress, ancestral
from vedit.diffusion.schedule import Schedule, Step
from vedit.engines.base import Edited, Window
from vedit.engines.shared import Carry, Knowledge, Texts, check_channels, check_text_width, timed

if TYPE_CHECKING:
    from vedit.cache import Cache
    from vedit.nets.codec import Codec
    from vedit.nets.text import TextEncoder
    from vedit.nets.video_unet import VideoUNet
    from vedit.weights import Bundle


class Settings(BaseModel):
    """Options of the method. A scale of one switches its term of the guidance off, which saves an evaluation a step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=50, ge=1, le=1000, description="denoising steps")
    guidance: float = Field(default=7.5, ge=0, le=50, description="scale of the guidance by the instruction")
    video_guidance: float = Field(default=1.5, ge=0, le=50, description="scale of the guidance by the source")
    guidance_rescale: float = Field(
        default=0.0, ge=0, le=1, description="share of the contrast added by guidance that is taken back"
    )
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


class VideoInstructPix2Pix:
    """The engine. Deterministic: the same window, prompt, settings and seed give the same bytes."""

    name: ClassVar[str] = "video-instruct-pix2pix"
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
        knowledge: Knowledge | None = None,
    ) -> None:
        self._knowledge = knowledge or Knowledge({})
        model = self._knowledge.model
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
        self._state = Texts(self.text)
        self._places = places(self.network.unet, text=False)

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
    ) -> VideoInstructPix2Pix:
        """Load vae, clip, tokenizer, unet and scheduler. Nothing is worth a ``cache``. Raises ``ModelError``."""
        from vedit.nets.text import TextEncoder

        assert isinstance(settings, Settings)
        parts = bundle.components
        return cls(
            weights.load_vae(parts["vae"]),
            TextEncoder(weights.load_clip(parts["clip"]), weights.load_tokenizer(parts["tokenizer"])),
            weights.load_unet(parts["unet"], dtype),
            weights.load_schedule(parts["scheduler"]),
            settings,
            seed=seed,
            device=device,
            dtype=dtype,
            knowledge=Knowledge.of(bundle),
        )

    @torch.inference_mode()
    def edit(self, window: Window, prompt: str, progress: Progress | None = None) -> Edited:
        """Edit one window. What the previous one already gave for the reference frames is taken as it is."""
        reference, carry = window.reference, window.carry
        before = carry if isinstance(carry, Carry) else None
        if reference and before is None:
            raise ValueError(f"{reference} reference frames, but nothing was carried over")
        timings: dict[str, float] = {}
        first = window.first + reference
        with timed(timings, "encode"):
            source = self.codec.encode(window.frames[reference:].to(self.device))
        with timed(timings, "denoise"):
            anchor = before.kept if before is not None else Anchor(first, source[:1])
            latents, evaluations = self._chunks(source, range(first, first + len(source)), prompt, anchor, progress)
        with timed(timings, "decode_latents"):
            edited, reconstruction = self.codec.decode(latents), self.codec.decode(source)
        after = Carry.joined(before, window.first, reference, edited, reconstruction, anchor)
        return Edited(after.frames, after.reconstruction, after, evaluations, timings)

    def _chunks(
        self, source: torch.Tensor, frames: range, prompt: str, anchor: Anchor, progress: Progress | None
    ) -> tuple[torch.Tensor, int]:
        """Latents of the edit for (N, C, h, w) of the source, and the evaluations that took."""
        made, evaluations, done = [], 0, 0
        size = max(2, min(self.settings.chunk, self.network.max_frames))
        while done < len(frames):
            alone = frames[done] == anchor.frame  # the first chunk of a shot begins with the anchor itself
            part = slice(done, done + size - (0 if alone else 1))
            here = source[part] if alone else torch.cat([anchor.source, source[part]])
            indices = [*([] if alone else [anchor.frame]), *frames[part]]
            latents, count = self._sample(here, indices, prompt, progress)
            made.append(latents if alone else latents[1:])
            evaluations += count
            done = part.stop
        return torch.cat(made), evaluations

    def _sample(
        self, source: torch.Tensor, frames: list[int], prompt: str, progress: Progress | None
    ) -> tuple[torch.Tensor, int]:
        settings, shape = self.settings, source.shape[1:]
        seen = self.codec.unscale(source)
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

        def fresh(step: Step) -> torch.Tensor:
            return frame_noise(f"{self.seed}:step:{step.index}", frames, shape, settings.noise_share).to(self.device)

        noise = frame_noise(self.seed, frames, shape, settings.noise_share).to(self.device)
        options: dict[str, Any] = {"progress": progress}
        solve = ancestral if settings.solver == "ancestral" else SOLVERS[settings.solver]
        if settings.solver == "ancestral":
            options["fresh"] = fresh
        with attention(self._places, cross_frame(of_frame(0))):
            return solve(denoise, noise, self.schedule, settings.steps, **options), evaluations

    @torch.inference_mode()
    def knows(self, prompt: str) -> str | None:
        """A warning when ``prompt`` is far from every edit the model was trained for, or too long; else None."""
        return self._knowledge.warning(self.text, "instruction", prompt)


ENGINE = VideoInstructPix2Pix
