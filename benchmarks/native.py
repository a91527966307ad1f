"""Measure edits at the clip's own size: how sharp, how near to the exact operation, and if windows show.

    python benchmarks/native.py CLIP... --out benchmarks/results/native.json [--operations sepia,fog] [--sheets FOLDER]
    python benchmarks/native.py CLIP... --out benchmarks/results/windows.json --only windows [--window 16 --overlap 2]

One frame of each clip goes through every operation of the world twice: the exact operation at working size through the
VAE, in place of a model (``exact``: what native size costs by itself), and the model (``model``). The result at native
size is compared with the exact operation at native size:

- ``psnr``, and ``psnr_enlarged`` of the edit enlarged without the source's help (``--detail edit``);
- ``sharpness``: variance of the Laplacian of luma over that of the exact operation;
- ``high_band``: correlation of what the working size cannot hold (the picture less itself reduced and enlarged).

``nothing`` is the PSNR from the source after phrasings that ask for nothing. ``windows`` is the difference between
neighbouring frames, over that of the exact operation, where a window begins over elsewhere: 1 when windows do not show.
Elsewhere is not everywhere alike, either: ``chance`` is how far from 1 the same ratio gets for as many frames drawn at
random from elsewhere, 95 % of the time. Every operation that does not depend on a seed is measured, on windows of the
model's own size or smaller, and three of them in a row.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from instruct import finite, psnr, to_array, to_tensor

from vedit.engines.base import Window
from vedit.video.compose import compose
from vedit.video.reader import Reader
from vedit.video.windows import plan_windows
from vedit.world import operations, phrasings

FIRST = 10  # the frame that is measured
WINDOWS = 3  # in a row
DRAWS = 2000  # for the ratio that chance alone gives
CROP = 300  # pixels of a sheet's tiles


def read(path: Path, first: int, count: int) -> list[np.ndarray]:
    """``count`` frames (H, W, 3) uint8 in displayed orientation."""
    from vedit.video.info import probe

    frames = []
    with Reader(path, probe(path)) as reader:
        for frame in reader:
            if frame.index >= first:
                frames.append(frame.rgb())
            if len(frames) == count:
                break
    return frames


def reduce(rgb: np.ndarray, short: int = 256, multiple: int = 8) -> np.ndarray:
    """To the working size, (h, w, 3) uint8."""
    scale = short / min(rgb.shape[:2])
    height, width = (round(side * scale / multiple) * multiple for side in rgb.shape[:2])
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)


def luma(image: np.ndarray) -> np.ndarray:
    return image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def high_band(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    y = luma(image)
    return y - cv2.resize(
        cv2.resize(y, size, interpolation=cv2.INTER_AREA), y.shape[::-1], interpolation=cv2.INTER_CUBIC
    )


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt(max(float((a * a).sum() * (b * b).sum()), 1e-20)))


def sharpness(image: np.ndarray) -> float:
    return float(cv2.Laplacian(luma(image), cv2.CV_32F).var())


def compared(result: np.ndarray, enlarged: np.ndarray, truth: np.ndarray, size: tuple[int, int]) -> dict[str, float]:
    """The figures of one result; all (H, W, 3), results uint8, truth float32 in [0, 1]."""
    result, enlarged = result / np.float32(255), enlarged / np.float32(255)
    return {
        "psnr": round(psnr(result, truth), 2),
        "psnr_enlarged": round(psnr(enlarged, truth), 2),
        "sharpness": round(sharpness(result) / max(sharpness(truth), 1e-9), 3),
        "high_band": round(correlation(high_band(result, size), high_band(truth, size)), 3),
    }


def measure(engine: Any, path: Path, names: list[str], sheets: Path | None) -> list[dict[str, Any]]:
    """Rows of ``exact`` and ``model`` for one frame of a clip."""
    native = read(path, FIRST, 1)[0]
    small = reduce(native)
    size = (small.shape[1], small.shape[0])
    pixels = to_tensor(small[None].astype(np.float32) / 255)
    rows, tiles = [], []
    for name in names:
        truth = operations.apply(name, native[None].astype(np.float32) / 255, seed=0)[0]
        exact = operations.apply(name, small[None].astype(np.float32) / 255, seed=0)
        edited = engine.edit(Window(pixels, 0), phrasings.TEST[name][0])
        reconstruction, model = to_array(edited.reconstruction)[0], to_array(edited.frames)[0]
        coded = to_array(engine.codec.decode(engine.codec.encode(to_tensor(exact))))[0]
        row = {"clip": path.stem, "operation": name, "family": operations.OPERATIONS[name].family}
        strip = [native, np.rint(truth * 255).astype(np.uint8)]
        for kind, edit in (("exact", coded), ("model", model)):
            result, enlarged = compose(native, reconstruction, edit), compose(native, reconstruction, edit, "edit")
            row[kind] = compared(result, enlarged, truth, size)
            strip += [enlarged, result]
        rows.append(row)
        tiles.append(np.concatenate([crop(picture) for picture in strip], 1))
        print(f"{path.stem:20} {name:16} {row['exact']} {row['model']}", flush=True)
    if sheets is not None:
        sheets.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(sheets / f"{path.stem}.png"), np.concatenate(tiles, 0)[..., ::-1])
    return rows


def crop(picture: np.ndarray) -> np.ndarray:
    """The middle at 100 %, with a white rim to the right and below."""
    top, left = ((side - CROP) // 2 for side in picture.shape[:2])
    tile = picture[max(0, top) : max(0, top) + CROP, max(0, left) : max(0, left) + CROP]
    return cv2.copyMakeBorder(tile, 0, 4, 0, 4, cv2.BORDER_CONSTANT, value=(255, 255, 255))


def nothing(engine: Any, path: Path) -> dict[str, Any]:
    """PSNR from the source, dB, for every phrasing kept for testing that asks for nothing."""
    native = read(path, FIRST, 1)[0]
    pixels = to_tensor(reduce(native)[None].astype(np.float32) / 255)
    found = []
    for prompt in phrasings.TEST["nothing"]:
        edited = engine.edit(Window(pixels, 0), prompt)
        result = compose(native, to_array(edited.reconstruction)[0], to_array(edited.frames)[0])
        found.append(psnr(result / np.float32(255), native / np.float32(255)))
    return {"clip": path.stem, "mean": round(float(np.mean(found)), 2), "lowest": round(min(found), 2)}


def windows(engine: Any, path: Path, name: str, window: int, overlap: int) -> dict[str, Any]:
    """How much more neighbouring frames differ where a window begins; each difference over the exact operation's."""
    natives = read(path, FIRST, window + (WINDOWS - 1) * (window - overlap))
    small = np.stack([reduce(native) for native in natives]).astype(np.float32) / 255
    results, begins, carry = [], [], None
    for part in plan_windows(len(natives), window, overlap):
        pixels = to_tensor(small[part.first : part.end])
        edited = engine.edit(Window(pixels, part.first, part.reference, carry), phrasings.TEST[name][0])
        carry = edited.carry
        begins.append(part.produces.start)
        for t in part.produces:
            k = t - part.first
            arrays = (to_array(frames[k : k + 1])[0] for frames in (edited.reconstruction, edited.frames))
            results.append(compose(natives[t], *arrays) / np.float32(255))
    exact = operations.apply(name, np.stack(natives).astype(np.float32) / 255, seed=0)
    ratios = [
        float(np.abs(results[t] - results[t - 1]).mean() / max(np.abs(exact[t] - exact[t - 1]).mean(), 1e-4))
        for t in range(1, len(results))
    ]
    edges = [ratio for t, ratio in enumerate(ratios, 1) if t in begins]
    elsewhere = [ratio for t, ratio in enumerate(ratios, 1) if t not in begins]
    at, off = float(np.mean(edges)), float(np.mean(elsewhere))
    return {"clip": path.stem, "operation": name, "window": window, "overlap": overlap, "edges": round(at, 3),
            "elsewhere": round(off, 3), "ratio": round(at / off, 3),
            "chance": round(by_chance(elsewhere, len(edges)), 3)}  # fmt: skip


def by_chance(elsewhere: list[float], edges: int) -> float:
    """How far from 1 the ratio gets, 95 % of the time, where no window begins."""
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(DRAWS if len(elsewhere) > edges else 0):
        order = rng.permutation(elsewhere)
        ratios.append(abs(order[:edges].mean() / order[edges:].mean() - 1))
    return float(np.quantile(ratios, 0.95)) if ratios else 0.0


def summary(figures: dict[str, Any]) -> dict[str, Any]:
    """Means by family, and how many of the tone edits are as sharp as asked for."""
    rows, told = figures["rows"], {}
    for kind in ("exact", "model"):
        told[kind] = {}
        for family in ("none", "tone", "weather", "style"):
            own = [row[kind] for row in rows if row["family"] == family]
            if own:
                told[kind][family] = {key: round(float(np.mean([r[key] for r in own])), 3) for key in own[0]}
        tone = [row[kind] for row in rows if row["family"] == "tone"]
        if tone:
            told[kind]["tone_sharp_share"] = round(float(np.mean([0.8 <= r["sharpness"] <= 1.2 for r in tone])), 3)
            told[kind]["tone_high_band_share"] = round(float(np.mean([r["high_band"] >= 0.7 for r in tone])), 3)
    if figures["nothing"]:
        told["nothing_mean"] = round(float(np.mean([r["mean"] for r in figures["nothing"]])), 2)
    if figures["windows"]:
        ratios = [row["ratio"] for row in figures["windows"]]
        told["windows_ratio"] = round(float(np.mean(ratios)), 3)
        told["windows_ratio_highest"] = max(ratios)
        told["windows_beyond_chance"] = sum(row["ratio"] > 1 + row["chance"] for row in figures["windows"])
        told["windows_measured"] = len(ratios)
    return told


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--operations", default="all")
    parser.add_argument("--only", choices=("all", "sizes", "windows"), default="all")
    parser.add_argument("--window", type=int, help="frames of a window [the model's own]")
    parser.add_argument("--overlap", type=int, help="frames that windows share [the model's own]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheets", type=Path, help="folder for crops at 100 %%: source, exact, and the two edits")
    args = parser.parse_args()

    from vedit import engines, weights

    bundle = weights.open_bundle(args.model, "instruct")
    engine: Any = engines.load("instructvid2vid", bundle, {}, seed=args.seed, device="cpu", dtype="auto")
    names = list(operations.OPERATIONS) if args.operations == "all" else args.operations.split(",")
    figures: dict[str, Any] = {"model": bundle.name, "model_sha256": bundle.sha256}
    figures |= {"nothing": [], "rows": [], "windows": []}
    window = args.window or int(bundle.preset["frames"])
    overlap = min(window - 1, int(bundle.preset["overlap"]) if args.overlap is None else args.overlap)
    fixed = [name for name in names if not operations.OPERATIONS[name].stochastic]
    args.out.parent.mkdir(parents=True, exist_ok=True)

    def keep() -> None:  # again and again: a long run may be stopped
        figures["summary"] = summary(figures)
        args.out.write_text(json.dumps(finite(figures), indent=1, allow_nan=False) + "\n")

    with torch.inference_mode():
        for path in args.clips:
            if args.only != "windows":
                figures["nothing"].append(nothing(engine, path))
                figures["rows"] += measure(engine, path, names, args.sheets)
                keep()
            for name in fixed if args.only != "sizes" else ():
                figures["windows"].append(windows(engine, path, name, window, overlap))
                keep()
    print(json.dumps({key: figures[key] for key in ("summary", "nothing", "windows")}, indent=1))


if __name__ == "__main__":
    main()
