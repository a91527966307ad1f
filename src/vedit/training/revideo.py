"""Training ReVideo's control in its three stages (section 3.3): the loop that everyone's clips and nano's share.

1, motion prior: whole clips, tracks from anywhere, no content. 2, decoupling: the region shows one clip and the rest
another, so the region's motion cannot be told from the rest. 3, deblocking: ordinary clips; only keys and values of the
temporal self-attention, and SAFM, are trained. Γ is 0.5 in stages 1 and 2. The loss is that of the base: the mean
squared error of F at unit variance, which is eq. 2 with its weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from vedit.diffusion import edm
from vedit.errors import VeditError
from vedit.nets.revideo import HALF, Conditions, ReVideoUNet, Stage, Tuned, kept_content, trajectory_map
from vedit.training.common import Average, Means, Run, autocast, prefetch, step_rng, torch_rng, warm_cosine
from vedit.training.moving import Source
from vedit.training.trajectories import choose, random_box

if TYPE_CHECKING:
    from vedit.engines.image2video import Image2Video, Image2VideoSettings

Progress = Callable[[int, int], None]
MOST_LOST = 50  # steps without a finite gradient, in a row
STEPS = {1: 40_000, 2: 30_000, 3: 20_000}  # the paper's


@dataclass(frozen=True)
class Settings:
    """Of a stage. The paper's batch is 4 on each of 4 GPUs; rate, noise levels and dropout are not in it.

    ``noise_mean`` and ``noise_deviation``: of ln σ. ``dropout``: share of clips without their first frame, for
    guidance. ``tuned``: what stage 3 trains, ``temporal`` as the paper or ``everything``, which it shows to harm.
    ``scenes``: what the clips are put together of, by default as the stage says.
    """

    stage: Stage = 1
    steps: int = 40_000
    rate: float = 3e-5
    batch: int = 4
    warm: int = 200
    noise_mean: float = 0.7
    noise_deviation: float = 1.6
    dropout: float = 0.1
    tuned: Tuned = "temporal"
    scenes: Literal["stage", "ordinary"] = "stage"
    average: float = 0.999
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    save_every: int = 500
    log_every: int = 25


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step sees. ``pixels``: (B, T, 3, H, W) in [-1, 1]; ``given``: without content in stage 1; ``numbers``:
    frames a second and motion bucket of each clip, None for the model's usual ones."""

    pixels: Tensor
    given: Conditions
    numbers: list[tuple[float, float] | None]


def draw_batch(source: Source, settings: Settings, config: Any, step: int, stride: int) -> Batch:
    """The clips of a step, keyed by its number. Regions are multiples of ``stride``, the autoencoder's, in stage 2,
    so that no latent shows both clips."""
    rng = step_rng(settings.seed, step, 40 + settings.stage)
    pixels, motions, masks, numbers = [], [], [], []
    for _ in range(settings.batch):
        clip = source.draw(rng)
        frames, (height, width) = clip.pixels.astype(np.float32) / 127.5 - 1, clip.pixels.shape[1:3]
        mask = np.ones((1, height, width), np.float32)
        box = None
        if settings.stage > 1:
            box = random_box(rng, width, height, step=stride)
            x, y, across, down = box
            mask[:] = 0
            mask[:, y : y + down, x : x + across] = 1
        if settings.stage == 2 and settings.scenes == "stage":
            other = source.draw(rng).pixels.astype(np.float32) / 127.5 - 1
            frames = np.where(mask[0][None, ..., None] > 0, frames, other)
        chosen = clip.tracks[:, choose(clip.tracks, rng, box)]
        places = torch.from_numpy(np.ascontiguousarray(chosen))
        motions.append(trajectory_map(places, height, width, config.kernel, config.sigma))
        pixels.append(torch.from_numpy(frames).permute(0, 3, 1, 2))
        masks.append(torch.from_numpy(mask)[None])
        numbers.append(clip.numbers)
    frames, mask = torch.stack(pixels), torch.stack(masks)
    content = None if settings.stage == 1 else kept_content(frames, mask)
    return Batch(frames, Conditions(torch.stack(motions), mask, content), numbers)


class Trainer:
    """One stage of one control branch on one base."""

    def __init__(
        self,
        base: Image2Video,
        network: ReVideoUNet,
        told: Image2VideoSettings,
        settings: Settings,
        source: Source,
        weight: Tensor | None = None,
    ) -> None:
        """``told``: what the network is told of frame rate, motion and noise where a clip does not say itself;
        ``weight``: (C,), of the latents' channels in the loss."""
        self.base, self.network, self.told, self.settings, self.source = base, network, told, settings, source
        self.weight = weight
        network.requires_grad_(False)
        self.parameters = network.trained(settings.stage, settings.tuned)
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)

    def batch(self, step: int) -> Batch:
        """See :func:`draw_batch`."""
        return draw_batch(self.source, self.settings, self.network.control.config, step, self.base.codec.stride)

    @torch.no_grad()
    def encode(self, pixels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (B, T, C, h, w), the first frames' latents as the network is given them (B, C, h, w), and their
        embeddings (B, 1, D)."""
        base, batch = self.base, len(pixels)
        clean = base.codec.encode(pixels.flatten(0, 1)).unflatten(0, (batch, -1))
        first = pixels[:, 0]
        strength = self.told.noise_augmentation
        noisy = first + strength * torch.randn(first.shape, generator=generator).to(first) if strength else first
        return clean, base.codec.unscale(base.codec.encode(noisy)), base.encoder(first).unsqueeze(1)

    def loss(self, step: int, batch: Batch) -> Tensor:
        """The mean squared error of F on a batch."""
        settings, device = self.settings, self.base.device
        generator = torch_rng(settings.seed, step, 50 + settings.stage)
        pixels = batch.pixels.to(device)
        count, frames = pixels.shape[:2]
        clean, first, embedding = self.encode(pixels, generator)
        sigma = edm.log_normal(count, settings.noise_mean, settings.noise_deviation, generator).to(device)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        kept = (torch.rand(count, generator=generator) >= settings.dropout).to(clean)
        first = (first * kept.view(-1, 1, 1, 1))[:, None].expand(-1, frames, -1, -1, -1)
        embedding = embedding * kept.view(-1, 1, 1)
        told = self.told
        usual = (told.fps, told.motion_bucket)
        rows = [pair or usual for pair in batch.numbers]
        ids = [[fps + told.fps_offset, bucket, told.noise_augmentation] for fps, bucket in rows]
        given = batch.given
        content = None if given.content is None else given.content.to(device)
        given = Conditions(given.motion.to(device), given.mask.to(device), content)
        gate = HALF if settings.stage < 3 else None
        numbers = torch.tensor(ids, device=device)

        def evaluate(z: Tensor, level: Tensor) -> Tensor:
            with autocast(device):
                return self.network(torch.cat([z, first], 2), level, embedding, numbers, given, gate)

        return edm.loss(evaluate, clean, noise, sigma, self.weight)

    def fit(self, run: Run, progress: Progress | None = None) -> None:
        """Train; checkpoints and log go to ``run``. Afterwards the network has the averaged weights.

        A loss that is not finite stops the run with a ``VeditError``, and the checkpoint before stays.
        """
        settings, network = self.settings, self.network
        optimiser = torch.optim.AdamW(
            list(self.parameters.values()), lr=settings.rate, weight_decay=settings.weight_decay
        )
        average = Average(network, settings.average)
        run.restore(network, optimiser, average)
        network.train()
        means, lost = Means(), 0
        if progress is not None and run.first_step:
            progress(run.first_step, settings.steps)
        for step, batch in prefetch(self.batch, range(run.first_step, settings.steps), self.base.device):
            for group in optimiser.param_groups:
                group["lr"] = settings.rate * warm_cosine(step, settings.steps, settings.warm)
            loss = self.loss(step, batch)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(list(self.parameters.values()), settings.clip_norm)
            # Half precision now and then overflows in a group norm on the way back; such a step is left out.
            finite = bool(norm.isfinite())
            lost = 0 if finite else lost + 1
            means.add(loss=loss, left_out=float(not finite), **({"norm": norm} if finite else {}))
            if lost > MOST_LOST:
                raise VeditError(f"{run.folder}: {lost} steps in a row had no finite gradient; lower the learning rate")
            if not bool(loss.isfinite()) or (step + 1) % settings.log_every == 0 or step + 1 == settings.steps:
                run.log(step + 1, **means.take())
            if finite:
                optimiser.step()
            average.update(network, step)
            if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
                run.save(step + 1, network, optimiser, average)
            if progress is not None:
                progress(step + 1, settings.steps)
        average.copy_to(network)
        network.eval()


def with_settings(stage: int, given: dict[str, Any]) -> Settings:
    """The settings of a stage: the paper's, then ``given``."""
    values: dict[str, Any] = {"stage": stage, "steps": STEPS[stage]} | given
    return Settings(**values)


def tensors(network: ReVideoUNet) -> Iterator[tuple[str, Tensor]]:
    """What an adapter of this network holds, by name."""
    for name, parameter in network.added().items():
        yield name, parameter.detach()
