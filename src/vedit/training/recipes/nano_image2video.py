"""nano's image-to-video model: clips of the moving world, in the class of Stable Video Diffusion and told the same.

    python -m vedit.training.recipes.nano_image2video cache
    python -m vedit.training.recipes.nano_image2video train --out runs/image2video
    python -m vedit.training.recipes.nano_image2video train --out runs/longer --start models/nano/image2video/unet

(``--vae`` and ``--clip`` say where the other parts are, if not in ``runs``.) The network is diffusers'
``UNetSpatioTemporalConditionModel`` from scratch, trained towards v at levels whose logarithm is normal. It gets the
first frame's latents beside every frame, the first frame as nano-CLIP's vector, and three numbers: the frame rate, how
much moves, how much noise was put on the first frame. One clip in ten goes without the picture, for guidance.

Most of what a clip shows has to be carried from its first frame, so attention is needed at the finest level, latents of
unit variance, and levels high enough that motion is undecided (Blattmann et al. 2023, appendix D, say the same of
levels). Clips run forwards or backwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vedit.diffusion import edm
from vedit.diffusion.edm import EDM
from vedit.training import common
from vedit.training.common import BEGAN, Average, Descent, Run, autocast, averaged, step_rng, torch_rng
from vedit.training.moving_clips import Batch, MovingClips, encode_clips
from vedit.training.nano import coder, hash_of, options, picture_embedder, write_scheduler

CROP, SIZE, FRAMES = 128, 256, 8  # pixels of a crop and of a whole scene; frames
SCHEDULER: dict[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "interpolation_type": "linear",
    "timestep_type": "continuous",
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 80.0,  # hardly any level of the training is higher
}
LAYOUT: dict[str, Any] = {
    "sample_size": SIZE // 8,
    "in_channels": 32,
    "out_channels": 16,
    "block_out_channels": (64, 96, 32, 32),
    "layers_per_block": 1,
    "cross_attention_dim": 128,
    "num_attention_heads": 4,
    "addition_time_embed_dim": 32,
    "projection_class_embeddings_input_dim": 96,
    "num_frames": FRAMES,
}
#: Chosen with ``benchmarks/first_frame.py``: guidance makes what is left undecided worse; fixed points keep the rest.
PRESET: dict[str, Any] = {
    "steps": 16,
    "min_guidance": 1.0,
    "max_guidance": 1.0,
    "fps": 12,
    "fps_offset": 0,  # the network reads the frame rate itself
    "motion_bucket": 80,
    "noise_augmentation": 0.0,
    "frames": FRAMES,
    "overlap": 1,
    "size": SIZE,
    "multiple": 8,
    "methods": {"anyv2v": {"convolution": 1.0, "spatial": 1.0, "temporal": 1.0, "fixed_point": 2}},
}


@dataclass(frozen=True)
class Settings(common.Settings):
    """Of a training. ``whole_share`` of the steps see whole scenes (``whole_batch`` of them), the others crops.

    The first ``window_share`` of the steps see no whole scenes and parts of the crops, ``window`` latents wide.
    ln σ is normal with ``level_mean`` and ``level_deviation``. ``drop_picture``: share of clips without the first
    frame; ``drop_embedding``: without its vector alone. ``noisy_share``: with noise on it.
    """

    steps: int = 10000
    batch: int = 6
    rate: float = 1e-3
    whole_batch: int = 1
    whole_share: float = 0.2
    window: int = 12
    window_share: float = 0.5
    level_mean: float = 1.0
    level_deviation: float = 1.6
    drop_picture: float = 0.1
    drop_embedding: float = 0.05
    noisy_share: float = 0.5


def loss_of(
    network: Callable[..., Any],
    batch: Batch,
    settings: Settings,
    generator: torch.Generator,
    weight: Tensor | None = None,
) -> Tensor:
    """Mean square error of v. ``weight``: (C,), of the latents' channels; none: all alike."""
    clean, device = batch.latents, batch.latents.device
    count = len(clean)
    sigma = edm.log_normal(count, settings.level_mean, settings.level_deviation, generator).to(device)
    noise = torch.randn(clean.shape, generator=generator).to(device)
    drawn = torch.rand(count, generator=generator).to(device)
    picture = (drawn >= settings.drop_picture).float()
    vector = (drawn >= settings.drop_picture + settings.drop_embedding).float()
    first = batch.first * picture.view(-1, 1, 1, 1)
    embedding = batch.embedding * vector.view(-1, 1, 1)

    def evaluate(z: Tensor, level: Tensor) -> Tensor:
        shown = first[:, None].expand_as(z)
        return network(torch.cat([z, shown], dim=2), level, embedding, batch.ids, return_dict=False)[0]

    return edm.loss(evaluate, clean, noise, sigma, weight)


def moved(batch: Batch, device: str) -> Batch:
    """The batch with its tensors on ``device``."""
    return Batch(
        batch.latents.to(device), batch.first.to(device), batch.embedding.to(device), batch.ids.to(device),
        batch.chosen, batch.reversed,
    )  # fmt: skip


def fit(
    out: Path,
    network: nn.Module,
    crops: MovingClips,
    whole: MovingClips | None,
    settings: Settings,
    *,
    device: str = "cpu",
    resume: bool = False,
    check: Callable[[nn.Module, int], dict[str, float]] | None = None,
    weight: Tensor | None = None,
    began: str | None = None,
) -> Average:
    """The training loop: checkpoints in ``out``, the averaged weights returned. ``check`` runs at checkpoints.

    ``began``: the hash of the weights that ``network`` has, where they are those of an earlier training.
    """
    counts = [len(crops), 0 if whole is None else len(whole)]
    identity = {"recipe": "nano_image2video", **asdict(settings), "clips": counts}
    run = Run(out, identity if began is None else identity | {BEGAN: began}, resume)
    network.to(device).train()
    descent = Descent(run, network, [(1.0, network.parameters())], settings, check)

    def make(step: int) -> Batch:
        rng = step_rng(settings.seed, step, 41)
        early = step < settings.window_share * settings.steps
        large = whole is not None and rng.random() < settings.whole_share and not early
        clips, size = (whole, settings.whole_batch) if large else (crops, settings.batch)
        assert clips is not None
        batch = clips.batch(rng, size, noisy=settings.noisy_share)
        return batch.window(rng, min(settings.window, batch.latents.shape[-1])) if early else batch

    for step, batch in descent.over(make):
        with autocast(device):
            loss = loss_of(network, moved(batch, device), settings, torch_rng(settings.seed, step, 42), weight)
        descent.take(step, loss)
    return descent.average


# --- what it can do so far --------------------------------------------------------------------------------------------


@torch.no_grad()
def generate(
    network: nn.Module, batch: Batch, *, steps: int = 12, scale: float = PRESET["max_guidance"], seed: int = 3
) -> Tensor:
    """Clips from first frames, (B, T, C, h, w): the sampler of :mod:`vedit.engines.image2video` on a whole batch."""
    levels = EDM.from_config(SCHEDULER)
    clean = batch.latents
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed)).to(clean)
    scales = edm.rising(1.0, scale, clean.shape[1]).to(clean)

    def denoise(x: Tensor, step: edm.Step) -> Tensor:
        z = edm.to_network(x, step.sigma)

        def evaluate(branch: str) -> Tensor:
            shown = float(branch == "full")
            level = torch.full((len(z),), float(edm.c_noise(step.sigma)), device=z.device)
            first = shown * batch.first[:, None].expand_as(z)
            with autocast(z.device):
                return network(
                    torch.cat([z, first], 2), level, shown * batch.embedding, batch.ids, return_dict=False
                )[0].float()  # fmt: skip

        return edm.to_clean(edm.guided(evaluate, scales), x, step.sigma)

    return edm.euler(denoise, levels.start(noise), levels, steps)


def checker(held: MovingClips, device: str, grid: Callable[[Tensor, Tensor, int], None] | None = None):
    """A check on clips kept out of training.

    The loss at three levels; of clips made from first frames, the error of the first frame and how much changes from
    frame to frame, as a share of what does in truth (0 is a frozen clip). ``grid(truth, made, step)`` draws them.
    """
    count = min(24, len(held))
    batch = moved(held.take(np.arange(count), np.zeros(count, bool), np.zeros(count, bool)), device)
    few = moved(held.take(np.arange(min(6, count)), np.zeros(6, bool)[:count], np.zeros(6, bool)[:count]), device)

    @torch.no_grad()
    def check(network: nn.Module, step: int) -> dict[str, float]:
        figures = {}
        clean = batch.latents
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(5)).to(clean)
        for sigma in (0.5, 3.0, 20.0):
            z = edm.to_network(clean + sigma * noise, sigma)
            level = torch.full((len(z),), float(edm.c_noise(sigma)), device=z.device)
            with autocast(z.device):
                output = network(
                    torch.cat([z, batch.first[:, None].expand_as(z)], 2), level, batch.embedding, batch.ids,
                    return_dict=False,
                )[0].float()  # fmt: skip
            figures[f"loss_{sigma:g}"] = float((output - edm.target(clean, noise, sigma)).square().mean())
        made, truth = generate(network, few), few.latents
        figures["first_error"] = float((made[:, 0] - truth[:, 0]).square().mean())
        changes = [(clip[:, 1:] - clip[:, :-1]).abs().mean() for clip in (made, truth)]
        figures["change"] = float(changes[0] / changes[1])
        if grid is not None:
            grid(truth, made, step)
        return figures

    return check


def draw_grid(truth: Tensor, made: Tensor, decode: Callable[[Tensor], Tensor], picture: Path) -> None:
    """A PNG: for each clip (B, T, C, h, w) a row of the true frames above a row of the made ones."""
    import cv2

    rows = [
        np.concatenate(list(((decode(clip).clamp(-1, 1).cpu() + 1) * 127.5).byte().permute(0, 2, 3, 1).numpy()), 1)
        for pair in zip(truth, made, strict=True)
        for clip in pair
    ]
    picture.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(picture), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))


def export(network: nn.Module, folder: Path) -> None:
    """Write ``unet`` (bf16), ``scheduler`` and ``preset.json`` into ``folder``, as a bundle's role has them."""
    final: Any = nn.Module.to(network, "cpu", torch.bfloat16)  # diffusers' own prints advice
    final.save_pretrained(folder / "unet")
    write_scheduler(folder, SCHEDULER)
    (folder / "preset.json").write_text(json.dumps(PRESET, indent=2) + "\n")


def main() -> None:
    """Command line of the recipe."""
    parser = options(__doc__, Settings, "runs/image2video")
    parser.add_argument("--scenes", type=int, default=3000, help="for the crops, two each; a sixth as many for wholes")
    parser.add_argument("--workers", type=int, help="processes that draw; by default one a core")
    parser.add_argument("--window-share", type=float, default=Settings.window_share)
    parser.add_argument("--start", type=Path, help="a network's folder: go on from its weights")
    args = parser.parse_args()

    from diffusers import UNetSpatioTemporalConditionModel

    from vedit import weights
    from vedit.training.recipes.nano_instruct import channel_weight

    encode, decode = coder(args.vae, args.device)
    embed = picture_embedder(args.clip, args.clip, args.device)

    models = hash_of(args.vae, args.clip)

    def cache(seed: int, scenes: int, each: int, side: int) -> MovingClips:
        folder = args.data / f"moving-{seed}-{scenes}-{side}"
        return encode_clips(folder, seed, scenes, each, side, FRAMES, encode, embed, args.workers, models)

    held = cache(99, 24, 1, CROP)
    crops = cache(args.seed, args.scenes, 2, CROP)
    whole = cache(args.seed + 50, max(1, args.scenes // 6), 1, SIZE)
    if args.stage == "cache":
        return
    gains = channel_weight(args.vae, held.parts["frames"][:, 0])
    torch.manual_seed(args.seed)
    if args.start is None:
        network: Any = UNetSpatioTemporalConditionModel(**LAYOUT)
        nn.init.zeros_(network.conv_out.weight)
        began = None
    else:
        network = weights.load_image2video_unet(args.start)
        began = common.sha256(next(args.start.glob("*.safetensors")))

    def grid(truth: Tensor, made: Tensor, step: int) -> None:
        draw_grid(truth, made, decode, args.out / "grids" / f"{step:06d}.png")

    settings = Settings(
        steps=args.steps, batch=args.batch, rate=args.rate, seed=args.seed, window_share=args.window_share
    )  # fmt: skip
    average = fit(
        args.out, network.float(), crops, whole, settings, device=args.device, resume=args.resume,
        check=checker(held, args.device, grid), weight=gains, began=began,
    )  # fmt: skip
    export(averaged(network, average), args.out)


if __name__ == "__main__":
    main()
