"""Training ReVideo's control in its three stages (section 3.3): the loop that everyone's clips and nano's share.

0, which the paper has no need of: base and motion prior at once, from nothing, which is how nano's base begins.
1, motion prior: whole clips, tracks from anywhere, no content. 2, decoupling: the region shows one clip and the rest
another, so the region's motion cannot be told from the rest. 3, deblocking: ordinary clips; only keys and values of the
temporal self-attention, and SAFM, are trained. Γ is 0.5 before stage 3. The loss is that of the base: the mean squared
error of F at unit variance, which is eq. 2 with its weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vedit.diffusion import edm
from vedit.errors import VeditError
from vedit.nets.revideo import HALF, Conditions, ReVideoUNet, Stage, Tuned, kept_content, trajectory_map
from vedit.training.common import Average, Means, Run, autocast, averaged, prefetch, step_rng, torch_rng, warm_cosine
from vedit.training.moving import Moving, Source
from vedit.training.trajectories import box_around, choose, random_box

if TYPE_CHECKING:
    from vedit.engines.image2video import Image2Video, Image2VideoSettings

Progress = Callable[[int, int], None]
Check = Callable[[ReVideoUNet, int], dict[str, float]]
MOST_LOST = 50  # steps without a finite gradient, in a row
NOISE = (0.005, 0.1)  # standard deviation of the noise on a first frame, where it is random
STEPS = {1: 40_000, 2: 30_000, 3: 20_000}  # the paper's


@dataclass(frozen=True)
class Settings:
    """Of a stage. The paper's batch is 4 on each of 4 GPUs; rate, noise levels and dropout are not in it.

    ``noise_mean`` and ``noise_deviation``: of ln σ. ``dropout``: share of clips without their first frame, for
    guidance; ``drop_embedding``: without its embedding alone. ``noisy_share``: of clips with noise of a random strength
    on their first frame, which the network is told. ``terminal_share``: of clips at the highest level, from which
    sampling begins: all that a single step has. ``alone``: share of steps without control, for stage 0. ``things``:
    how much more the loss counts where a thing is or was, where that is known. ``tuned``: what stage 3 trains,
    ``temporal`` as the paper or ``everything``, which it shows to harm. ``scenes``: what the clips are put together of,
    by default as the stage says.
    """

    stage: Stage = 1
    steps: int = 40_000
    rate: float = 3e-5
    batch: int = 4
    warm: int = 200
    noise_mean: float = 0.7
    noise_deviation: float = 1.6
    terminal_share: float = 0.0
    dropout: float = 0.1
    drop_embedding: float = 0.0
    noisy_share: float = 0.0
    alone: float = 0.0
    things: float = 0.0
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
    """What one step sees. ``pixels``: (B, T, 3, H, W) in [-1, 1]; ``given``: without content in stages 0 and 1;
    ``alone``: whether the base goes without it; ``numbers``: frames a second and motion bucket of each clip, None for
    the model's usual ones; ``noise``: (B,) on the pixels of the first frame, NaN for the model's usual one; ``things``:
    (B, T, 1, H, W), 1 where a thing is or was, 0 everywhere where that is not known."""

    pixels: Tensor
    given: Conditions
    numbers: list[tuple[float, float] | None]
    noise: Tensor
    things: Tensor
    alone: bool


def draw_batch(source: Source, settings: Settings, config: Any, step: int, stride: int) -> Batch:
    """The clips of a step, keyed by its number. Regions are multiples of ``stride``, the autoencoder's, so that in
    stage 2 no latent shows both clips; where a clip has few tracks, the region holds all that moves."""
    rng = step_rng(settings.seed, step, 40 + settings.stage)
    pixels, motions, masks, numbers, things = [], [], [], [], []
    for _ in range(settings.batch):
        clip = source.draw(rng)
        frames, (height, width) = clip.pixels.astype(np.float32) / 127.5 - 1, clip.pixels.shape[1:3]
        mask = np.ones((1, height, width), np.float32)
        box = None
        if settings.stage > 1:
            if clip.few and clip.things is not None:
                box = box_around(clip.things.max(0) > 0, rng, stride)
            else:
                box = random_box(rng, width, height, step=stride)
            x, y, across, down = box
            mask[:] = 0
            mask[:, y : y + down, x : x + across] = 1
        if settings.stage == 2 and settings.scenes == "stage":
            other = _another(source, rng, clip)
            frames = np.where(mask[0][None, ..., None] > 0, frames, other.pixels.astype(np.float32) / 127.5 - 1)
            if clip.things is not None and other.things is not None:
                clip = replace(clip, things=np.where(mask > 0, clip.things, other.things))
        chosen = clip.tracks if clip.few else clip.tracks[:, choose(clip.tracks, rng, box)]
        places = torch.from_numpy(np.ascontiguousarray(chosen))
        motions.append(trajectory_map(places, height, width, config.kernel, config.sigma))
        pixels.append(torch.from_numpy(frames).permute(0, 3, 1, 2))
        masks.append(torch.from_numpy(mask)[None])
        numbers.append(clip.numbers)
        known = clip.things if clip.things is not None else np.zeros(clip.pixels.shape[:3], np.float32)
        things.append(torch.from_numpy(known)[:, None])
    frames, mask = torch.stack(pixels), torch.stack(masks)
    content = None if settings.stage < 2 else kept_content(frames, mask)
    strengths = np.exp(rng.uniform(np.log(NOISE[0]), np.log(NOISE[1]), settings.batch))
    spoiled = rng.random(settings.batch) < settings.noisy_share
    noise = np.where(spoiled, strengths, 0.0 if settings.noisy_share else np.nan).astype(np.float32)
    alone = bool(rng.random() < settings.alone)
    given = Conditions(torch.stack(motions), mask, content)
    return Batch(frames, given, numbers, torch.from_numpy(noise), torch.stack(things), alone)


def _another(source: Source, rng: np.random.Generator, clip: Moving) -> Moving:
    """A stretch of another clip, where it is known which; if chance will not have it so, of the same."""
    other = source.draw(rng)
    for _ in range(20):
        if other.clip is None or other.clip != clip.clip:
            break
        other = source.draw(rng)
    return other


class Trainer:
    """One stage of one control branch on one base."""

    def __init__(
        self,
        base: Image2Video,
        network: ReVideoUNet,
        told: Image2VideoSettings,
        settings: Settings,
        source: Source,
    ) -> None:
        """``told``: what the network is told of frame rate, motion and noise where a clip does not say itself."""
        self.base, self.network, self.told, self.settings, self.source = base, network, told, settings, source
        network.requires_grad_(False)
        self.parameters = network.trained(settings.stage, settings.tuned)
        for parameter in self.parameters.values():
            parameter.requires_grad_(True)

    def batch(self, step: int) -> Batch:
        """See :func:`draw_batch`."""
        return draw_batch(self.source, self.settings, self.network.control.config, step, self.base.codec.stride)

    @torch.no_grad()
    def encode(self, pixels: Tensor, noise: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Latents (B, T, C, h, w), the first frames' latents as the network is given them, with ``noise`` (B,) on their
        pixels (B, C, h, w), and their embeddings (B, 1, D)."""
        base, batch = self.base, len(pixels)
        clean = base.codec.encode(pixels.flatten(0, 1)).unflatten(0, (batch, -1))
        first = pixels[:, 0]
        noisy = first
        if bool(noise.any()):
            noisy = first + noise.view(-1, 1, 1, 1) * torch.randn(first.shape, generator=generator).to(first)
        return clean, base.codec.unscale(base.codec.encode(noisy)), base.encoder(first).unsqueeze(1)

    def loss(self, step: int, batch: Batch) -> Tensor:
        """The mean squared error of F on a batch."""
        settings, device, told = self.settings, self.base.device, self.told
        generator = torch_rng(settings.seed, step, 50 + settings.stage)
        pixels = batch.pixels.to(device)
        count, frames = pixels.shape[:2]
        strength = batch.noise.nan_to_num(told.noise_augmentation)
        clean, first, embedding = self.encode(pixels, strength.to(device), generator)
        sigma = edm.log_normal(count, settings.noise_mean, settings.noise_deviation, generator).to(device)
        if settings.terminal_share:
            terminal = torch.rand(count, generator=generator) < settings.terminal_share
            sigma = torch.where(terminal.to(device), torch.full_like(sigma, self.base.levels.sigma_max), sigma)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        drawn = torch.rand(count, generator=generator)
        kept = (drawn >= settings.dropout).to(clean)
        first = (first * kept.view(-1, 1, 1, 1))[:, None].expand(-1, frames, -1, -1, -1)
        embedding = embedding * (drawn >= settings.dropout + settings.drop_embedding).to(clean).view(-1, 1, 1)
        usual = (told.fps, told.motion_bucket)
        ids = [
            [(pair or usual)[0] + told.fps_offset, (pair or usual)[1], float(spoiled)]
            for pair, spoiled in zip(batch.numbers, strength, strict=True)
        ]
        given = None
        if not batch.alone:
            motion, mask, content = batch.given.motion, batch.given.mask, batch.given.content
            content = None if content is None else content.to(device)
            given = Conditions(motion.to(device), mask.to(device), content)
        gate = HALF if settings.stage < 3 else None
        numbers = torch.tensor(ids, device=device)

        def evaluate(z: Tensor, level: Tensor) -> Tensor:
            with autocast(device):
                return self.network(torch.cat([z, first], 2), level, embedding, numbers, given, gate)

        weight = None
        if settings.things:
            things = functional.avg_pool2d(batch.things.flatten(0, 1).to(clean), self.base.codec.stride)
            places = 1 + settings.things * things.unflatten(0, (count, frames))
            weight = places / places.mean()
        return edm.loss(evaluate, clean, noise, sigma, weight)

    def fit(self, run: Run, progress: Progress | None = None, check: Check | None = None) -> None:
        """Train; checkpoints and log go to ``run``. Afterwards the network has the averaged weights.

        ``check``: asked for figures of the averaged weights at every checkpoint, for the log. A loss that is not finite
        stops the run with a ``VeditError``, and the checkpoint before stays.
        """
        settings, network = self.settings, self.network
        optimiser = torch.optim.AdamW(
            list(self.parameters.values()), lr=settings.rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay
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
                if check is not None:
                    run.log(step + 1, **check(cast(ReVideoUNet, averaged(network, average)), step + 1))
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
