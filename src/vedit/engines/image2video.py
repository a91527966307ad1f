"""The image-to-video base of the methods that start from a first frame: Stable Video Diffusion's way of conditioning.

Blattmann et al. 2023, "Stable Video Diffusion", section 4 and appendix D: a picture becomes a clip by a network that
gets it twice, as a CLIP embedding for cross-attention and as latents beside every noisy frame, and that is told the
frame rate, how much moves, and how much noise was put on the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from pydantic import BaseModel, ConfigDict, Field

from vedit import weights
from vedit.diffusion import edm
from vedit.diffusion.edm import EDM, Step
from vedit.diffusion.noise import frame_noise
from vedit.diffusion.sampling import Progress
from vedit.engines.base import Execution, Window, Work
from vedit.engines.shared import Carry, Tally, check_channels, evaluator
from vedit.errors import ModelError
from vedit.nets.placing import place

if TYPE_CHECKING:
    from diffusers import UNetSpatioTemporalConditionModel

    from vedit.nets.codec import Codec
    from vedit.nets.image_encoder import ImageEncoder
    from vedit.weights import Bundle

UNCOND, FULL = "uncond", "full"

# (1, T, 2·C, h, w), level (1,), states (1, 1, P), ids (1, 3) to a tuple of (1, T, C, h, w): the network's own forward.
Forward = Callable[..., tuple[torch.Tensor, ...]]


class Image2VideoSettings(BaseModel):
    """Options of every method on an image-to-video model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=25, ge=1, le=1000, description="denoising steps")
    min_guidance: float = Field(default=1.0, ge=0, le=50, description="scale of the guidance at a window's first frame")
    max_guidance: float = Field(default=3.0, ge=0, le=50, description="the same at its last frame; linear between")
    fps: float = Field(default=7.0, ge=1, le=240, description="frames a second that the network is told")
    fps_offset: int = Field(
        default=-1, ge=-1, le=0, description="added to fps for the network: -1 as diffusers, 0 as ReVideo and DragNUWA"
    )
    motion_bucket: float = Field(default=127.0, ge=0, le=255, description="how much moves, as the network is told")
    noise_augmentation: float = Field(
        default=0.02, ge=0, le=1, description="standard deviation of the noise that is put on the first frame"
    )


@dataclass(frozen=True, eq=False)
class Condition:
    """What the network is told. ``embedding``: (1, 1, P); ``latents``: (C, h, w), not scaled; ``ids``: (1, 3)."""

    embedding: torch.Tensor
    latents: torch.Tensor
    ids: torch.Tensor

    def without_picture(self) -> Condition:
        """The unconditional branch: no embedding and no latents, but the same ids."""
        return replace(
            self, embedding=torch.zeros_like(self.embedding), latents=torch.zeros_like(self.latents)
        )  # fmt: skip

    def branch(self, name: str) -> Condition:
        """Of a branch of guidance, by its name."""
        return self if name == FULL else self.without_picture()


class Image2Video:
    """A network with its autoencoder, its image encoder and its levels."""

    def __init__(
        self,
        codec: Codec,
        encoder: ImageEncoder,
        network: UNetSpatioTemporalConditionModel,
        levels: EDM,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        execution: Execution | None = None,
        placed: bool = True,
        model: str = "the model",
        identity: str = "",
    ) -> None:
        """``identity``: the hash of the model. ``placed``: whether ``network`` is made ready to run; else the caller
        does that, by :meth:`place`. Raises ``ModelError`` where the parts do not fit each other."""
        config = network.config
        channels = (2 * codec.channels, codec.channels)
        check_channels((config["in_channels"], config["out_channels"]), channels, "image-to-video", model)
        if config["cross_attention_dim"] != encoder.width:
            raise ModelError(
                f"{model}: its U-Net reads pictures of width {config['cross_attention_dim']}, its image encoder gives "
                f"{encoder.width}"
            )
        if config["projection_class_embeddings_input_dim"] != 3 * config["addition_time_embed_dim"]:
            raise ModelError(f"{model}: its U-Net does not read three numbers (frame rate, motion, noise)")
        self.execution = how = execution or Execution()
        self.device = device
        self.dtype = dtype
        last = how.channels_last
        self.codec: Codec = place(codec, device, codec.beside(dtype), offload=how.offload, channels_last=last)
        self.encoder = place(encoder, device, dtype, offload=how.offload)
        self.network: Any = self.place(network) if placed else network
        self.levels = levels
        self.model = model
        self.identity = identity

    @classmethod
    def from_bundle(
        cls,
        bundle: Bundle,
        *,
        device: str,
        dtype: torch.dtype,
        execution: Execution | None = None,
        placed: bool = True,
    ) -> Self:
        """Load vae, image encoder, unet and scheduler. Raises ``ModelError``."""
        parts = bundle.components
        return cls(
            weights.load_vae(parts["vae"]),
            weights.load_image_encoder(parts["image_encoder"], parts["feature_extractor"]),
            weights.load_image2video_unet(parts["unet"], dtype),
            weights.load_levels(parts["scheduler"]),
            device=device,
            dtype=dtype,
            execution=execution,
            placed=placed,
            model=bundle.name,
            identity=bundle.sha256,
        )

    def place(self, network: Any) -> Any:
        """Make a diffusion network ready to run."""
        how = self.execution
        return place(
            network, self.device, self.dtype, offload=how.offload, channels_last=how.channels_last, compiled=how.compile
        )

    def condition(
        self, frame: torch.Tensor, settings: Image2VideoSettings, *, seed: int = 0, noise: torch.Tensor | None = None
    ) -> Condition:
        """Of a first frame (3, H, W) in [-1, 1]; sides are multiples of the codec's stride.

        ``noise``: what is put on it, times ``noise_augmentation``; by default drawn from ``seed``.
        """
        frame = frame.to(self.device).float()
        embedding = self.encoder(frame[None]).unsqueeze(1)
        if settings.noise_augmentation:
            drawn = frame_noise(f"{seed}:augmentation", [0], frame.shape)[0] if noise is None else noise
            frame = frame + settings.noise_augmentation * drawn.to(frame)
        latents = self.codec.unscale(self.codec.encode(frame[None]))[0]
        ids = [settings.fps + settings.fps_offset, settings.motion_bucket, settings.noise_augmentation]
        return Condition(embedding, latents, torch.tensor([ids], device=self.device))

    def predict(
        self, z: torch.Tensor, sigma: float, condition: Condition, tally: Tally, forward: Forward | None = None
    ) -> torch.Tensor:
        """The network's output at z = c_in·x, (T, C, h, w): float32, the same shape.

        ``forward``: takes the network's place, with its arguments.
        """
        return self.predict_all(z, sigma, [condition], tally, forward)[0]

    def predict_all(
        self,
        z: torch.Tensor,
        sigma: float,
        conditions: Sequence[Condition],
        tally: Tally,
        forward: Forward | None = None,
    ) -> torch.Tensor:
        """The same under several conditions in one call, which counts as one of each: (B, T, C, h, w)."""
        tally.evaluations += len(conditions)
        shown = [condition.latents.expand(len(z), -1, -1, -1) for condition in conditions]
        sample = torch.stack([torch.cat([z.float(), latents], dim=1) for latents in shown])
        level = torch.tensor([float(edm.c_noise(sigma))], device=self.device).expand(len(conditions))
        states = torch.cat([condition.embedding for condition in conditions])
        ids = torch.cat([condition.ids for condition in conditions])
        run = self.network if forward is None else forward
        return run(sample.to(self.dtype), level, states.to(self.dtype), ids, return_dict=False)[0].float()

    @staticmethod
    def branches(settings: Image2VideoSettings) -> tuple[str, ...]:
        """The branches of the guidance that count, by name."""
        return (FULL,) if settings.min_guidance == settings.max_guidance == 1.0 else (UNCOND, FULL)

    @staticmethod
    def sampling(settings: Image2VideoSettings, frames: int, start: int = 0) -> Work:
        """What :meth:`sample` takes of the network for so many frames, from the step ``start`` on."""
        scales = edm.rising(settings.min_guidance, settings.max_guidance, frames)
        evaluations = (settings.steps - start) * len(edm.branches(scales))
        return Work(evaluations, evaluations * frames)

    def sample(
        self,
        x: torch.Tensor,
        condition: Condition,
        settings: Image2VideoSettings,
        tally: Tally,
        *,
        start: int = 0,
        around: Callable[[str, Step], AbstractContextManager[Any]] | None = None,
        forward: Forward | None = None,
        held: torch.Tensor | None = None,
        progress: Progress | None = None,
    ) -> torch.Tensor:
        """From x (T, C, h, w) at the level of the step ``start`` to clean latents, with guidance rising over frames.

        ``around(branch, step)``: a context around each evaluation, by the name of its branch, which then stays one of
        its own. ``held`` (K, C, h, w): clean latents of the first frames, which are led to at every step whatever the
        network makes of them.
        """
        scales = edm.rising(settings.min_guidance, settings.max_guidance, len(x))

        def denoise(x: torch.Tensor, step: Step) -> torch.Tensor:
            z = edm.to_network(x, step.sigma)

            def together(branches: tuple[str, ...]) -> torch.Tensor:
                conditions = [condition.branch(branch) for branch in branches]
                with around(branches[0], step) if around is not None else nullcontext():
                    return self.predict_all(z, step.sigma, conditions, tally, forward)

            evaluate = evaluator(together, edm.branches(scales), self.execution)
            clean = edm.to_clean(edm.guided(evaluate, scales), x, step.sigma)
            return clean if held is None else torch.cat([held.to(clean), clean[len(held) :]])

        return edm.euler(denoise, x.float(), self.levels, settings.steps, start=start, progress=progress)


def edited_before(window: Window) -> torch.Tensor | None:
    """(K, 3, h, w): a window's reference frames as the window before it made them; None at the start of a shot.

    Raises ``ValueError`` for a window that shares no frame with the one before, or frames that one does not have.
    """
    if window.carry is None and not window.reference:
        return None
    if not isinstance(window.carry, Carry) or not window.reference:
        raise ValueError("a window that shares no frame with the one before has no edited first frame")
    return window.carry.frames[window.carry.part(window.first, window.reference)]
