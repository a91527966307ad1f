"""InstructVid2Vid's training: the inflated, source-conditioned video U-Net on ⟨source, instruction, edited⟩ triplets.

The network sees the noisy edited latents with the source's latents beside them on the channels and the instruction's
last hidden states as text. Per step: t from the schedule with an extra share at the terminal level (there the source
alone decides, so a model with zero terminal SNR answers with the conditional mean: what few-step sampling stands on),
noise mixed over frames (PYoCo), condition dropout 5/5/5 % (text, source, both: Brooks et al. 2023, section 3.2.1),
loss = v- or ε-MSE + λ · inter-frame consistency.

The inter-frame consistency loss of the paper is given in words only (methods B), so both readings are here.
``literal`` penalises any difference between consecutive clean estimates; it pulls towards a still picture, so it is
weighted with ᾱ_t. ``matched`` penalises the difference to the true change: a quadratic form of the error, which leaves
the best estimate what it was and counts errors that change from frame to frame for more. It has the same weight at
every noise level where the network predicts v, whose error the clean estimate has √(1 − ᾱ_t) times. One that predicts
ε has its error √((1 − ᾱ_t)/ᾱ_t) times there, without bound, so the weight is min(1, ᾱ_t/(1 − ᾱ_t)).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vedit.diffusion.noise import clip_noise
from vedit.diffusion.schedule import Schedule
from vedit.nets.video_unet import VideoUNet
from vedit.training import common
from vedit.training.common import Average, Descent, Run, autocast, step_rng, torch_rng
from vedit.training.latents import Latents
from vedit.training.particles import ParticleClips, couple

Consistency = Literal["none", "literal", "matched"]


@dataclass(frozen=True)
class Settings(common.Settings):
    """Of a training. ``rate``: of the temporal layers; spatial ones learn at ``rate * spatial_rate`` (0: frozen).

    ``one_frame_share`` of the steps see single frames (``still_batch`` stills, where :func:`fit` is given any), and
    ``half_share`` of them twice as many clips of half the length, so that short windows are in distribution too.
    ``particle_share`` of the steps see clips whose noise says where particles are (where :func:`fit` is given any).
    ``noise_share``: of the noise's variance, common to all frames; in ``common_share`` of the steps all of it is.
    """

    frames: int = 8
    spatial_rate: float = 0.3
    terminal_share: float = 0.2
    one_frame_share: float = 0.3
    half_share: float = 0.0
    still_batch: int = 16
    particle_share: float = 0.0
    noise_share: float = 0.5
    common_share: float = 0.0
    drop_text: float = 0.05
    drop_source: float = 0.05
    drop_both: float = 0.05
    consistency: Consistency = "matched"
    consistency_weight: float = 0.1


def consistency_loss(
    kind: Consistency, estimate: Tensor, truth: Tensor, level: Tensor, prediction: str = "v"
) -> Tensor:
    """Inter-frame consistency of clean estimates ``(B, T, C, h, w)``; ``level`` (B,) is ᾱ_t. Zero for one frame.

    ``prediction``: what the network says, ``v`` or ``epsilon``.
    """
    if kind == "none" or estimate.shape[1] < 2:
        return estimate.new_zeros(())
    if kind == "literal":
        return (level.to(estimate) * estimate.diff(dim=1).square().mean(dim=(1, 2, 3, 4))).mean()
    error = (estimate - truth).diff(dim=1).square()
    if prediction == "v":
        return error.mean()
    weight = (level / (1 - level)).clamp(max=1).to(estimate)
    return (weight * error.mean(dim=(1, 2, 3, 4))).mean()


def losses(
    network: Callable[[Tensor, Tensor, Tensor], Tensor],
    schedule: Schedule,
    source: Tensor,
    edited: Tensor,
    text: Tensor,
    empty: Tensor,
    settings: Settings,
    generator: torch.Generator,
    channel_weight: Tensor | None = None,
    fit_noise: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """``(denoising loss, consistency loss)`` of a batch: latents (B, T, C, h, w), text (B, L, D), ``empty`` (L, D).

    ``fit_noise``: what is done to the noise to make it belong to ``edited``.
    """
    batch, device = len(edited), edited.device
    timestep = torch.randint(0, len(schedule), (batch,), generator=generator)
    # A share at the last level is for few steps from it, which takes one without signal.
    share = settings.terminal_share if float(schedule.alphas_cumprod[-1]) == 0.0 else 0.0
    terminal = torch.rand(batch, generator=generator) < share
    timestep = torch.where(terminal, torch.full_like(timestep, len(schedule) - 1), timestep)
    same = 1.0 if torch.rand((), generator=generator) < settings.common_share else settings.noise_share
    noise = clip_noise(edited.shape, same if edited.shape[1] > 1 else 0.0, generator)
    noise = (noise if fit_noise is None else fit_noise(noise)).to(device)
    u = torch.rand(batch, generator=generator)
    both = settings.drop_text + settings.drop_both
    no_text = (u < both).to(device)
    no_source = ((u >= settings.drop_text) & (u < both + settings.drop_source)).to(device)
    text = torch.where(no_text[:, None, None], empty.expand_as(text), text)
    source = source * (~no_source)[:, None, None, None, None]
    noisy = schedule.add_noise(edited, noise, timestep)
    output = network(torch.cat([noisy, source], dim=2), timestep.to(device), text).float()
    squared = (output - schedule.target(edited, noise, timestep)).square()
    if channel_weight is not None:
        squared = squared * channel_weight.to(squared)[:, None, None]
    denoising = squared.mean()
    level = schedule.alphas_cumprod[timestep]
    clean = schedule.to_clean(output, noisy, timestep) if settings.consistency != "none" else output
    return denoising, consistency_loss(settings.consistency, clean, edited, level, schedule.prediction)


def told_apart(settings: Settings, pairs: int, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What must not change between a run and its resumption."""
    return {"recipe": "instructvid2vid", **asdict(settings), "pairs": pairs, **(more or {})}


def fit(
    out: Path,
    network: nn.Module,
    schedule: Schedule,
    latents: Latents,
    settings: Settings,
    *,
    device: str = "cpu",
    resume: bool = False,
    check: Callable[[nn.Module, int], dict[str, float]] | None = None,
    unscale: Callable[[Tensor], Tensor] = lambda latents: latents,
    channel_weight: Tensor | None = None,
    stills: Latents | None = None,
    particles: ParticleClips | None = None,
    identity: Mapping[str, Any] | None = None,
) -> Average:
    """The training loop: checkpoints in ``out``, the averaged weights returned. ``check`` runs at checkpoints.

    ``unscale``: from scaled latents to what the network is shown of the source (InstructPix2Pix: as the codec has it).
    ``channel_weight`` (C,): weights of the latent channels in the denoising loss, of mean one; None: all alike.
    ``stills``: triplets of one frame, taken where a step sees single frames; None: frames of the clips.
    ``particles``: clips for ``particle_share`` of the steps, whose noise says where particles are. ``identity``: what
    else a resumed run must have in common with the one that it goes on with.
    """
    run = Run(out, told_apart(settings, len(latents.pairs), identity), resume)
    network.to(device).train()
    if isinstance(network, VideoUNet):
        groups = [(1.0, list(network.temporal_parameters()))]
        if settings.spatial_rate > 0:
            groups.append((settings.spatial_rate, list(network.spatial_parameters())))
        else:
            for p in network.spatial_parameters():
                p.requires_grad_(False)
    else:
        groups = [(1.0, list(network.parameters()))]
    descent = Descent(run, network, groups, settings, check)
    empty = torch.from_numpy(latents.texts[0].astype("float32")).to(device)

    def make(step: int) -> tuple[tuple[Tensor, Tensor, Tensor], Callable[[Tensor], Tensor] | None]:
        rng = step_rng(settings.seed, step, 11)
        kind = rng.random()
        falling = particles is not None and rng.random() < settings.particle_share
        if kind < settings.one_frame_share and stills is not None and not falling:
            return stills.batch(rng, settings.still_batch), None
        halved = kind >= settings.one_frame_share and kind < settings.one_frame_share + settings.half_share
        size = settings.still_batch if falling and kind < settings.one_frame_share else settings.batch
        size *= 2 if halved else 1
        if falling:
            assert particles is not None
            source, edited, text, marks, share = particles.batch(rng, size)
        else:
            source, edited, text = latents.batch(rng, size)
        whole = source.shape[1]
        length = 1 if kind < settings.one_frame_share else whole // 2 if halved else whole
        at = int(rng.integers(whole - length + 1))
        part = slice(at, at + length)
        fit_noise = partial(couple, marks=marks[:, part], share=share) if falling else None
        return (source[:, part], edited[:, part], text), fit_noise

    for step, (tensors, fit_noise) in descent.over(make):
        source, edited, text = (t.to(device) for t in tensors)
        source = unscale(source)
        with autocast(device):
            denoising, consistency = losses(
                network,
                schedule,
                source,
                edited,
                text,
                empty,
                settings,
                torch_rng(settings.seed, step, 12),
                channel_weight,
                fit_noise,
            )
        loss = denoising + settings.consistency_weight * consistency
        descent.take(step, loss, denoising=denoising, consistency=consistency)
    return descent.average
