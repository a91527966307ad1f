"""Measure `vedit instruct` on clips that nano never saw, against the exact operations of the world.

    python benchmarks/instruct.py CLIP... --out benchmarks/instruct [--frames 16] [--operations snow,fog] [--sheet]

Everything is measured at the working size (short side 256). For every clip and operation one phrasing that was kept out
of training is given to the engine, and its result is compared with the exact operation on the same frames:

- ``psnr``: the engine's frames;  ``psnr_composed``: after the affine map that carries the edit onto the source's own
  detail;
- ``codec``: the exact result through the VAE, which is what a perfect model would get;
- ``matrix``: the best 3×4 colour matrix for the clip, fitted to the exact result: what a colour filter could reach at
  best;
- ``spread`` (stochastic operations): the exact operation against itself with another seed. A conditional mean scores
  higher than that without drawing a single flake, so ``energy`` stands beside it: warp error over the exact
  operation's, 1 where as much moves on its own as should;
- ``nearest``: whether the result is nearest to the asked operation among all;
- ``warp``, ``warp_exact``, ``warp_single``: warp error with the source's flow of the result, of the exact operation,
  and of the same weights run frame by frame with shared noise.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch

from vedit.metrics.accumulate import Mean
from vedit.metrics.motion import warp_difference
from vedit.metrics.pictures import Picture, Step
from vedit.metrics.pixels import decibels
from vedit.world import operations, phrasings


def read_clip(path: Path, count: int, short: int = 256, multiple: int = 8) -> np.ndarray:
    """The first ``count`` frames (T, H, W, 3) float32 in [0, 1] at the working size."""
    import av

    frames = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="rgb24")
            height, width = picture.shape[:2]
            scale = short / min(height, width)
            size = tuple(max(multiple, round(v * scale / multiple) * multiple) for v in (width, height))
            frames.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
            if len(frames) == count:
                break
    return np.stack(frames).astype(np.float32) / 255


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio of arrays in [0, 1], dB."""
    return decibels(float(np.mean((a.astype(np.float64) - b) ** 2)) * 255**2)


def best_matrix(source: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """The exact result as well as one 3×4 colour matrix for the whole clip can give it."""
    x = np.concatenate([source.reshape(-1, 3), np.ones((source[..., 0].size, 1), np.float32)], 1).astype(np.float64)
    solution, *_ = np.linalg.lstsq(x[::7], exact.reshape(-1, 3).astype(np.float64)[::7], rcond=None)
    return np.clip(x @ solution, 0, 1).reshape(source.shape).astype(np.float32)


def flows(source: np.ndarray) -> list[Step]:
    """The steps from frame to frame, whose flow says what ``vedit evaluate`` would."""
    pictures = [Picture(np.round(frame * 255).astype(np.uint8)) for frame in source]
    return [Step(before, after) for before, after in pairwise(pictures)]


def warp_error(video: np.ndarray, steps: list[Step]) -> float:
    """Mean squared difference of every frame to its warped predecessor where the source's flow can be trusted."""
    mean = Mean()
    for t, step in enumerate(steps):
        error = warp_difference(video[t], video[t + 1], step.back)[step.trusted]
        mean.add(float(error.mean(dtype=np.float64)) if error.size else 0.0, error.size)
    return mean.value


def to_tensor(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous() * 2 - 1


def to_array(frames: torch.Tensor) -> np.ndarray:
    return ((frames.detach().float().clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1).cpu().numpy()


# What was asked of the mean, dB; and by how much an edit should be nearer than a colour matrix.
FLOORS = {"tone": 28.0, "weather": 23.0, "style": 20.0}
OVER_MATRIX = 2.0


def misses(family: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What a mean hides: the worst row, and the share of the rows that miss what is asked of the mean."""
    worst = min(rows, key=lambda row: row["psnr"])
    found: dict[str, Any] = {"lowest": round(worst["psnr"], 2), "lowest_is": f"{worst['operation']} {worst['clip']}"}
    if family in FLOORS:
        found["below_floor"] = round(float(np.mean([row["psnr"] < FLOORS[family] for row in rows])), 3)
    if family in ("weather", "style"):
        found["below_matrix"] = round(float(np.mean([row["psnr"] < row["matrix"] + OVER_MATRIX for row in rows])), 3)
    return found


def finite(value: Any) -> Any:
    """As JSON has it: what is without bound, as the PSNR of equal pictures, is null."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--operations", default="all")
    parser.add_argument("--phrasing", type=int, default=0, help="which of the phrasings kept for testing")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--setting", action="append", default=[], help="any other setting, key=value")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--single", action="store_true", help="also run frame by frame (for the flicker figures)")
    args = parser.parse_args()

    from vedit import engines, weights
    from vedit.engines.base import Window
    from vedit.engines.instructvid2vid import InstructVid2Vid
    from vedit.video.compose import compose

    bundle = weights.open_bundle(args.model, "instruct")
    settings = dict(item.split("=", 1) for item in args.setting)
    settings |= {} if args.steps is None else {"steps": args.steps}
    engine = cast(
        InstructVid2Vid, engines.load("instructvid2vid", bundle, settings, seed=args.seed, device="cpu", dtype="auto")
    )
    names = list(operations.OPERATIONS) if args.operations == "all" else args.operations.split(",")
    rows, sheets = [], {}
    started = time.time()
    for path in args.clips:
        source = read_clip(path, args.frames)
        field = flows(source)
        exact = {name: operations.apply(name, source, seed=0) for name in operations.OPERATIONS}
        strip = [source[len(source) // 2]]
        for name in names:
            prompt = phrasings.TEST[name][args.phrasing % len(phrasings.TEST[name])]
            edited = engine.edit(Window(to_tensor(source), 0, 0, None), prompt)
            result, codec_source = to_array(edited.frames), to_array(edited.reconstruction)
            composed = np.stack(
                [
                    compose(np.round(s * 255).astype(np.uint8), r, e)
                    for s, r, e in zip(source, codec_source, result, strict=True)
                ]
            )
            composed = composed.astype(np.float32) / (255 if composed.dtype == np.uint8 else 1)
            truth = exact[name]
            codec = to_array(engine.codec.decode(engine.codec.encode(to_tensor(truth))))
            distances = {other: float(np.mean((result - e) ** 2)) for other, e in exact.items()}
            kind = operations.OPERATIONS[name]
            row = {
                "clip": path.stem,
                "operation": name,
                "family": kind.family,
                "prompt": prompt,
                "psnr": psnr(result, truth),
                "psnr_composed": psnr(composed, truth),
                "codec": psnr(codec, truth),
                "matrix": psnr(best_matrix(source, truth), truth),
                "spread": psnr(operations.apply(name, source, seed=1), truth) if kind.stochastic else None,
                "nearest": min(distances, key=distances.__getitem__) == name,
                "nearest_is": min(distances, key=distances.__getitem__),
                "warp": warp_error(result, field),
                "warp_composed": warp_error(composed, field),
                "warp_exact": warp_error(truth, field),
                "warp_source": warp_error(source, field),
            }
            if args.single:
                parts = [
                    to_array(engine.edit(Window(to_tensor(source[t : t + 1]), 0, 0, None), prompt).frames)
                    for t in range(len(source))
                ]
                row["warp_single"] = warp_error(np.concatenate(parts), field)
            rows.append(row)
            middle = len(source) // 2
            strip.append(np.concatenate([truth[middle], result[middle], composed[middle]], 0))
            print(
                f"{path.stem:20} {name:16} psnr {row['psnr']:.1f} composed {row['psnr_composed']:.1f} "
                f"codec {row['codec']:.1f} matrix {row['matrix']:.1f} nearest {row['nearest_is']}",
                flush=True,
            )
        strip[0] = np.concatenate([strip[0], np.ones_like(strip[0]), np.ones_like(strip[0])], 0)
        sheets[path.stem] = strip
    args.out.mkdir(parents=True, exist_ok=True)
    summary: dict[str, Any] = {
        "seconds": round(time.time() - started), "frames": args.frames, "clips": [path.stem for path in args.clips],
        "model": bundle.name, "parts_sha256": bundle.parts_sha256, "settings": engine.settings.model_dump(mode="json"),
        "dtype": str(engine.dtype),
    }  # fmt: skip
    for family in ("none", "tone", "weather", "style"):
        own = [r for r in rows if r["family"] == family]
        if own:
            summary[family] = {
                key: round(float(np.mean([r[key] for r in own])), 2)
                for key in ("psnr", "psnr_composed", "codec", "matrix")
            } | misses(family, own)
    summary["nearest"] = round(float(np.mean([r["nearest"] for r in rows])), 3)
    fixed = [r for r in rows if not operations.OPERATIONS[r["operation"]].stochastic]
    summary["warp_ratio_exact"] = round(float(np.mean([r["warp"] / r["warp_exact"] for r in fixed])), 3)
    summary["warp_ratio_exact_composed"] = round(
        float(np.mean([r["warp_composed"] / r["warp_exact"] for r in fixed])), 3
    )
    summary["particles"] = {
        name: {
            "psnr": round(float(np.mean([r["psnr"] for r in own])), 2),
            "spread": round(float(np.mean([r["spread"] for r in own])), 2),
            "energy": round(float(np.mean([r["warp"] / r["warp_exact"] for r in own])), 2),
        }
        for name in names
        if operations.OPERATIONS[name].stochastic and (own := [r for r in rows if r["operation"] == name])
    }
    if args.single:
        summary["warp_ratio_single"] = round(float(np.mean([r["warp_single"] / r["warp"] for r in fixed])), 3)
    (args.out / "results.json").write_text(json.dumps(finite({"summary": summary, "rows": rows}), indent=1))
    for name, strip in sheets.items():
        cv2.imwrite(str(args.out / f"{name}.png"), (np.concatenate(strip, 1)[..., ::-1] * 255).round().astype(np.uint8))
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
