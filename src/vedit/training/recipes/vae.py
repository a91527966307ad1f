"""Train nano's VAE (diffusers' ``AutoencoderTiny``) on stills of the world.

    python -m vedit.training.recipes.vae --out runs/vae-1
    python -m vedit.training.recipes.vae --out runs/vae --start runs/vae-1/vae --steps 2000 --rate 6e-4 --noise 0.03

16 latent channels at stride 8, no norms and no sampling: ``AutoencoderKL`` at this size cannot keep colours (its group norm stands in
the way of a linear map). The latents are held to zero mean and unit variance per channel, and the decoder sees them with noise, so that
an error of the diffusion model costs the same in every channel. First the encoder is regressed on the principal components of 8×8
patches, which is where a linear codec of that stride and width would stop; then both halves train together on the picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vedit.training.common import Average, Means, Run, prefetch, step_rng, torch_rng, warm_cosine
from vedit.training.stills import draw_stills

CONFIG = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 16,
    "encoder_block_out_channels": (64, 64, 64, 64),
    "decoder_block_out_channels": (64, 64, 64, 64),
    "num_encoder_blocks": (1, 1, 2, 3),
    "num_decoder_blocks": (3, 3, 2, 1),
    "scaling_factor": 1.0,
}


def principal_components(crops: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Linear codec of 8×8 patches: ``(matrix (channels, 192), mean (192,))``; rows scaled to unit latent variance."""
    patches = F.pixel_unshuffle(crops, 8).permute(0, 2, 3, 1).reshape(-1, 192)
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
    order = values.argsort(descending=True)[:channels]
    return (vectors[:, order] / values[order].sqrt()).T.contiguous(), mean


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
        out[index] = change(crop, rng) if rng.random() < 0.6 else crop
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


def train(out: Path, data: Path, steps: int, batch: int, size: int, rate: float, noise: float, count: int, seed: int, device: str, resume: bool, start: Path | None) -> None:
    """Train and write ``out/vae`` in the diffusers layout (bf16 weights)."""
    from diffusers import AutoencoderTiny

    identity = dict(recipe="vae", steps=steps, batch=batch, size=size, rate=rate, noise=noise, count=count, seed=seed, start=str(start))
    run = Run(out, identity, resume)
    stills = draw_stills(data / f"stills-{seed}-{count}.npy", seed, count)
    torch.manual_seed(seed)
    vae = AutoencoderTiny(**CONFIG) if start is None else AutoencoderTiny.from_pretrained(start)  # type: ignore[call-overload]
    vae = vae.float().to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(vae.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=1e-4)
    average = Average(vae, 0.998)
    run.restore(vae, optimiser, average)
    matrix, mean = (t.to(device) for t in principal_components(crops(stills, seed, 0, 64, size), CONFIG["latent_channels"]))  # type: ignore[arg-type]
    warm = steps // 20 if start is None else 0
    offset = 0 if start is None else 1_000_000  # other crops than the first stage saw
    means = Means()
    for step, target in prefetch(lambda s: crops(stills, seed, s + offset, batch, size), range(run.first_step, steps)):
        for group in optimiser.param_groups:
            group["lr"] = rate * warm_cosine(step, steps)
        target = target.to(device, memory_format=torch.channels_last)
        generator = torch_rng(seed, step, 1)
        with torch.autocast(device, torch.bfloat16):
            latents = vae.encode(target).latents.float()
            jitter = torch.randn(latents.shape, generator=generator).to(device) * noise
            if step < warm:  # each half against the linear codec, then together
                linear = torch.einsum("cp,bphw->bchw", matrix, F.pixel_unshuffle(target, 8) - mean[:, None, None])
                decoded = vae.decode(linear + jitter).sample.float()
                match = F.mse_loss(latents, linear)
            else:
                decoded = vae.decode(latents + jitter).sample.float()
                match = torch.zeros((), device=device)
        error = decoded - target
        moments = latents.mean((0, 2, 3)).square().mean() + (latents.var((0, 2, 3)) - 1).square().mean()
        edges = sum((error.diff(dim=d)).abs().mean() for d in (2, 3))
        # Loosely at first, while the picture is learnt; then the latents have to come to unit variance.
        hold = 0.02 if start is None and step < 1000 else 0.3
        # Charbonnier: squared for small errors (PSNR), absolute for large ones (a few hard patterns must not rule).
        loss = (error.square() + 1e-3).sqrt().mean() + 4 * error.square().mean() + 0.25 * edges + hold * moments + 0.5 * match
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        average.update(vae, step)
        means.add(loss=loss, psnr=-10 * torch.log10(error.square().mean() / 4), moments=moments, match=match)
        if (step + 1) % 50 == 0:
            run.log(step + 1, **means.take())
        if (step + 1) % 250 == 0 or step + 1 == steps:
            run.save(step + 1, vae, optimiser, average)
            final = AutoencoderTiny(**CONFIG)  # type: ignore[call-overload]
            average.copy_to(final)
            final.to(torch.bfloat16).save_pretrained(out / "vae")


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("runs/data"))
    parser.add_argument("--steps", type=int, default=5500)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=96, help="crop, pixels")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--noise", type=float, default=0.08, help="standard deviation of the noise that the decoder sees")
    parser.add_argument("--count", type=int, default=5000, help="stills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--start", type=Path, help="weights to go on from, instead of a fresh start")
    parser.add_argument("--resume", action="store_true")
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
