"""Measure autoencoders against the linear codec of the same stride and channels, on real frames.

    python benchmarks/codec.py CLIP... --out benchmarks/results/codec.json [--other FOLDER]

The linear codec is the principal components of 8×8 patches of procedural stills, sixteen of them: what a learned
autoencoder must beat. ``--other`` measures one more autoencoder folder (diffusers layout, any class that vedit loads).
Every figure is the mean PSNR in dB of four frames spread over the clip, at short side 256.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from instruct import psnr, read_clip, to_array, to_tensor

from vedit import weights
from vedit.world.scene import draw_scene, render


def patches(frames: np.ndarray, side: int) -> np.ndarray:
    """(T, H, W, 3) to (N, 3·side²) float64."""
    count, height, width, _ = frames.shape
    cut = frames.reshape(count, height // side, side, width // side, side, 3).transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(-1, 3 * side**2).astype(np.float64)


def unpatch(rows: np.ndarray, shape: tuple[int, ...], side: int) -> np.ndarray:
    """Inverse of :func:`patches`."""
    count, height, width, _ = shape
    cut = rows.reshape(count, height // side, width // side, side, side, 3).transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(shape)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--other", type=Path, help="folder of one more autoencoder")
    parser.add_argument("--stills", type=int, default=300, help="procedural stills for the linear codec")
    args = parser.parse_args()
    codecs = {"nano": weights.load_vae(weights.open_bundle(args.model, "instruct").components["vae"])}
    if args.other is not None:
        other = weights.load_vae(args.other)
        codecs[type(other.vae).__name__] = other
    side, channels = codecs["nano"].stride, codecs["nano"].channels
    stills = np.concatenate([render(draw_scene(70_000_000 + k, 256, 256, frames=1)).frames for k in range(args.stills)])
    rows = patches(stills, side)
    mean = rows.mean(0)
    _, axes = np.linalg.eigh((rows - mean).T @ (rows - mean))
    basis = axes[:, -channels:]

    def linear(frames: np.ndarray) -> np.ndarray:
        rows = patches(frames, side) - mean
        return unpatch(rows @ basis @ basis.T + mean, frames.shape, side)

    figures: dict[str, dict[str, float]] = {}
    for path in args.clips:
        whole = read_clip(path, 64)
        frames = whole[np.linspace(0, len(whole) - 1, 4).astype(int)]
        row = {"linear": psnr(linear(frames), frames)}
        with torch.inference_mode():
            for name, codec in codecs.items():
                row[name] = psnr(to_array(codec.decode(codec.encode(to_tensor(frames)))), frames)
        figures[path.stem] = {name: round(value, 2) for name, value in row.items()}
    names = list(next(iter(figures.values())))
    mean_row = {name: round(float(np.mean([row[name] for row in figures.values()])), 2) for name in names}
    result = {"stride": side, "channels": channels, "mean": mean_row, "clips": figures}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
