"""Train nano's VAE (:class:`vedit.nets.patch_autoencoder.PatchAutoencoder`) on stills of the world.

    python -m vedit.training.recipes.vae --out runs/vae

It starts as the principal components of 8×8 patches (whitened, so every latent channel has unit variance) and learns
what a linear codec cannot do. The decoder sees the latents with noise, so that an error of the diffusion model costs
about the same in every channel, and the latents are held to zero mean and unit variance.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vedit.nets.patch_autoencoder import PatchAutoencoder
from vedit.training.common import (
    Average,
    Means,
    Run,
    autocast,
    averaged,
    prefetch,
    step_rng,
    torch_rng,
    trained,
    warm_cosine,
)
from vedit.training.stills import draw_stills

CONFIG: dict[str, Any] = {
    "latent_channels": 16,
    "patch_size": 8,
    "encoder_width": 128,
    "encoder_layers": 2,
    "decoder_width": 192,
    "decoder_layers": 4,
}


def principal_components(crops: Tensor, channels: int, patch: int = 8, whiten: float = 1.0) -> tuple[Tensor, Tensor]:
    """Linear codec of patches: ``(matrix (channels, 3·p²), mean (3·p²,))``, of latents of unit variance on average.

    ``crops``: (N, 3, H, W). ``whiten``: 1 gives every channel the same variance, 0 leaves them theirs.
    """
    patches = F.pixel_unshuffle(crops, patch).permute(0, 2, 3, 1).reshape(-1, 3 * patch**2).double()
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
    order = values.argsort(descending=True)[:channels]
    kept = values[order] ** (1 - whiten)
    scale = values[order] ** (whiten / 2) * kept.mean().sqrt()
    return (vectors[:, order] / scale).T.float().contiguous(), mean.float()


def crops(stills: np.ndarray, seed: int, step: int, batch: int, size: int) -> Tensor:
    """``(batch, 3, size, size)`` in [-1, 1]: random crops with flips, and the kind of changes that edits make."""
    rng = step_rng(seed, step)
    out = np.empty((batch, size, size, 3), np.float32)
    for index in range(batch):
        picture = stills[rng.integers(len(stills))]
        y, x = rng.integers(0, picture.shape[0] - size + 1, 2)
        crop = picture[y : y + size, x : x + size].astype(np.float32) / 255
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        out[index] = change(crop, rng) if rng.random() < 0.5 else crop
    return torch.from_numpy(out).permute(0, 3, 1, 2) * 2 - 1


def change(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One random operation of the world, or a random colour matrix with a curve."""
    from vedit.world import operations

    names = [name for name in operations.OPERATIONS if name != "nothing"]
    if rng.random() < 0.6:
        name = names[rng.integers(len(names))]
        return operations.apply(name, crop[None], seed=int(rng.integers(2**31)), height=256)[0]
    matrix = np.eye(3) * rng.uniform(0.4, 1.3) + rng.normal(0, 0.25, (3, 3))
    mixed = np.clip(crop @ matrix.T + rng.uniform(-0.2, 0.3), 0, 1) ** np.exp(rng.normal(0, 0.4))
    return (1 - mixed if rng.random() < 0.2 else mixed).astype(np.float32)


def train(
    out: Path,
    data: Path,
    steps: int,
    batch: int,
    size: int,
    rate: float,
    noise: float,
    count: int,
    seed: int,
    device: str,
    resume: bool,
) -> None:
    """Train and write ``out/vae`` (bf16 weights, fp32 for the linear codec's own precision is not needed)."""
    identity = {
        "recipe": "vae",
        "steps": steps,
        "batch": batch,
        "size": size,
        "rate": rate,
        "noise": noise,
        "count": count,
        "seed": seed,
    }
    run = Run(out, identity, resume)
    stills = draw_stills(data / f"stills-{seed}-{count}.npy", seed, count)
    torch.manual_seed(seed)
    vae = PatchAutoencoder(**CONFIG)
    vae.start_from_components(
        *principal_components(crops(stills, seed, 1_000_000, 400, size), CONFIG["latent_channels"])
    )
    fit(run, vae, lambda step: crops(stills, seed, step, batch, size), steps, rate, noise, seed, device)


def fit(
    run: Run,
    vae: PatchAutoencoder,
    make: Callable[[int], Tensor],
    steps: int,
    rate: float,
    noise: float,
    seed: int,
    device: str,
) -> None:
    """The training loop, on what ``make(step)`` gives, (B, 3, H, W) in [-1, 1]. Writes ``vae`` into the run's folder.

    Afterwards the network has the averaged weights. Frozen parameters stay as they are.
    """
    cast(Any, vae).to(device)  # diffusers' wrapper of Module.to loses its signature
    parameters = list(trained(vae).values())
    optimiser = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.99), weight_decay=1e-4)
    average = Average(vae, 0.998)
    run.restore(vae, optimiser, average)
    means = Means()
    for step, pictures in prefetch(make, range(run.first_step, steps), device):
        for group in optimiser.param_groups:
            group["lr"] = rate * warm_cosine(step, steps)
        target = pictures.to(device)
        with autocast(device):
            latents = vae.encode(target).latent_dist.mode().float()  # type: ignore[union-attr]
            jitter = torch.randn(latents.shape, generator=torch_rng(seed, step, 1)).to(device) * noise
            decoded = vae.decode(latents + jitter).sample.float()  # type: ignore[union-attr]
        error = decoded - target
        moments = latents.mean((0, 2, 3)).square().mean() + (latents.var((0, 2, 3)) - 1).square().mean()
        edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        # Charbonnier beside the squared error: absolute for large errors, so that a few hard patterns do not rule.
        loss = 0.5 * (error.square() + 1e-3).sqrt().mean() + 8 * error.square().mean() + 0.15 * edges + 0.05 * moments
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        average.update(vae, step)
        means.add(loss=loss, psnr=-10 * torch.log10(error.square().mean() / 4), moments=moments)
        if (step + 1) % 50 == 0:
            run.log(step + 1, **means.take())
        if (step + 1) % 250 == 0 or step + 1 == steps:
            run.save(step + 1, vae, optimiser, average)
            cast(Any, averaged(vae, average)).to(torch.bfloat16).save_pretrained(run.folder / "vae")
    average.copy_to(vae)


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("runs/data"))
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=128, help="crop, pixels")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument(
        "--noise", type=float, default=0.08, help="standard deviation of the noise that the decoder sees"
    )
    parser.add_argument("--count", type=int, default=5000, help="stills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true")
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
