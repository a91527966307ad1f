"""Measure `vedit first-frame-edit` on drawn scenes, where the edited clip is known exactly.

    python benchmarks/first_frame.py --out OUT [--model nano] [--scenes 8] [--row NAME=KEY=VALUE,... ...]

A scene moves (things, camera) and is drawn twice: as it is, and edited. The edits take turns: a thing in another
colour, in another shape, gone, or a tone over the whole picture. The method gets the source and the first frame of the
truth. Every ``--row`` is AnyV2V with other settings, brought to the scene's size as the command does it, or, with
``method=revideo``, ReVideo along ways that are followed in the source, in all of the picture or, with ``box=true``, in
a box around what changes. Beside them stand two that do nothing clever, ``source`` (the clip as it was) and ``repeat``
(the edited frame throughout), and ``codec``, the truth through the autoencoder.

- ``truth``: PSNR to the truth over the frames after the first, dB; ``changed``: the same where the edit changes
  something; ``rest``: where it does not;
- ``last``: PSNR at the last frame alone, dB;
- ``warp``: warp error by the truth's flow; ``warp_truth`` is the truth's own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from drag_motion import WHOLE, psnr, sized, warp_error

from vedit.video.compose import compose
from vedit.video.follow import follow_through
from vedit.video.mask import soft_weights
from vedit.world import operations
from vedit.world.moving import draw_moving
from vedit.world.scene import COLOURS, SHAPES, Scene, recolour, remove, render, reshape

FRAMES = 8
MARGIN, GRID, MOST = 6, 6, 10  # of ReVideo's box, pixels; points a side that are followed, and how many are kept
KINDS = ("recolour", "reshape", "remove", "tone")
TONES = ("sepia", "warmer", "cooler", "night", "sunset", "inverted")
ROWS = {
    "anyv2v": {},
    "plain inversion": {"fixed_point": "0"},
    "nothing put in": {"convolution": "0", "spatial": "0", "temporal": "0"},
    "guidance to 2": {"max_guidance": "2"},
    "revideo": {"method": "revideo"},
    "revideo in a box": {"method": "revideo", "box": "true"},
}


@dataclass(frozen=True, eq=False)
class Task:
    """One scene: clips (T, S, S, 3) float32 in [0, 1], and (T, S, S) bool where the edit changes something."""

    name: str
    source: np.ndarray
    truth: np.ndarray
    changed: np.ndarray


def make_task(seed: int, kind: str, side: int) -> Task | None:
    """A scene from ``seed``; None where too little of it would change."""
    rng = np.random.default_rng([seed, 71])
    scene, (top, left), _ = draw_moving(seed, side, FRAMES)
    if not scene.things:
        return None
    part = np.s_[:, top : top + side, left : left + side]
    drawn = render(scene)
    source = drawn.frames[part]
    if kind == "tone":
        name = str(rng.choice(TONES))
        truth = operations.apply(name, source, seed=seed, height=scene.height).astype(np.float32)
    else:
        index = int(drawn.masks[0][:, part[1], part[2]].sum((1, 2)).argmax())
        name, changed_scene = _edited(scene, index, kind, rng)
        truth = render(changed_scene).frames[part]
    changed = np.abs(truth - source).max(-1) > 0.06
    if changed[0].mean() < 0.01 or changed[-1].mean() < 0.005:
        return None
    return Task(f"{name}-{seed}", source, truth, changed)


def _edited(scene: Scene, index: int, kind: str, rng: np.random.Generator) -> tuple[str, Scene]:
    thing = scene.things[index]
    if kind == "recolour" and not thing.textured:
        return kind, recolour(scene, index, str(rng.choice([name for name in COLOURS if name != thing.colour])))
    if kind == "remove":
        return kind, remove(scene, index)
    return "reshape", reshape(scene, index, str(rng.choice([shape for shape in SHAPES if shape != thing.shape])))


def figures(made: np.ndarray, task: Task) -> dict[str, float]:
    """What one result comes to."""
    inside, rest = task.changed[1:], ~task.changed[1:]
    found = {
        "truth": psnr(made[1:], task.truth[1:]),
        "changed": psnr(made[1:][inside], task.truth[1:][inside]),
        "last": psnr(made[-1], task.truth[-1]),
        "warp": warp_error(made, task.truth),
        "warp_truth": warp_error(task.truth, task.truth),
    }
    return found | ({"rest": psnr(made[1:][rest], task.truth[1:][rest])} if rest.any() else {})


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Means over the scenes that have a figure. PSNR is capped at 60 dB, since a copy has none."""
    keys = [key for key in rows[0] if isinstance(rows[0][key], float)] + ["rest"]
    of = {key: [min(60.0, row[key]) for row in rows if key in row] for key in dict.fromkeys(keys)}
    return {key: round(float(np.mean(values)), 5) for key, values in of.items() if values}


def pixels(frames: torch.Tensor) -> np.ndarray:
    """(T, 3, H, W) in [-1, 1] to (T, H, W, 3) in [0, 1]."""
    return ((frames.float().cpu().clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1).contiguous().numpy()


def tensor(clip: np.ndarray) -> torch.Tensor:
    """The way back."""
    return torch.from_numpy(clip).permute(0, 3, 1, 2).float() * 2 - 1


def edited(engine: Any, task: Task, seen: int) -> np.ndarray:
    """The edit of a scene, which the model sees at ``seen`` pixels, brought to the scene's size as the command does."""
    from vedit.engines.base import Spread, Window

    source, first = sized(task.source, seen), sized(task.truth[:1], seen)
    with torch.inference_mode():
        done: Any = engine.edit(Window(tensor(source), 0), Spread(tensor(first)[0]))
    native = np.round(task.source * 255).clip(0, 255).astype(np.uint8)
    parts = zip(native, pixels(done.reconstruction), pixels(done.frames), strict=True)
    return np.stack([compose(*part, "auto") for part in parts]).astype(np.float32) / 255


def region_of(task: Task, box: bool) -> np.ndarray:
    """(S, S) bool: all of the picture, or a box around all that changes."""
    inside = np.ones(task.changed.shape[1:], bool)
    if box:
        x, y, width, height = cv2.boundingRect(task.changed.any(0).astype(np.uint8))
        inside[:] = False
        inside[max(0, y - MARGIN) : y + height + MARGIN, max(0, x - MARGIN) : x + width + MARGIN] = True
    return inside


def ways_in(source: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(T, N, 2): how the region moves in the source, as the command finds it: of points all over it that stay inside
    and in sight, the longest ways."""
    rows, columns = np.nonzero(inside)
    across, down = (np.linspace(line.min(), line.max(), GRID + 2)[1:-1] for line in (columns, rows))
    points = np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)
    grey = [cv2.cvtColor(np.round(frame * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY) for frame in source]
    ways = follow_through(grey, points)
    seen = np.flatnonzero(~np.isnan(ways).any((0, 2)))
    at = np.round(ways[:, seen]).astype(int).clip(0, len(inside) - 1)
    seen = seen[inside[at[..., 1], at[..., 0]].all(0)]
    lengths = np.linalg.norm(np.diff(ways[:, seen], axis=0), axis=-1).sum(0)
    return ways[:, seen[np.argsort(-lengths, kind="stable")[:MOST]]]


def dragged(engine: Any, task: Task, seen: int, box: bool) -> np.ndarray:
    """The edit by ReVideo, in a region and with its rim, as the command makes it."""
    from vedit.engines.base import Drag, Window

    inside, side = region_of(task, box), task.source.shape[1]
    mask = cv2.resize(inside.astype(np.float32), (seen, seen), interpolation=cv2.INTER_AREA) > 0.5
    places = (ways_in(task.source, inside) + 0.5) * seen / side - 0.5
    frame = tensor(sized(task.truth[:1], seen))[0]
    drag = Drag(torch.from_numpy(mask.astype(np.float32)), torch.from_numpy(places), frame=frame)
    with torch.inference_mode():
        done: Any = engine.edit(Window(tensor(sized(task.source, seen)), 0), drag)
    native = np.round(task.source * 255).clip(0, 255).astype(np.uint8)
    parts = zip(native, pixels(done.reconstruction), pixels(done.frames), strict=True)
    whole = np.stack([compose(*part, "auto") for part in parts]).astype(np.float32) / 255
    if not box:
        return whole
    weights = soft_weights(inside.astype(np.uint8) * 255, WHOLE / 100)[..., None] / 255
    return task.source + weights * (whole - task.source)


def sheet(clips: list[np.ndarray]) -> np.ndarray:
    """One row a clip."""
    rows = np.concatenate([np.concatenate(list(clip), 1) for clip in clips])
    return (rows.clip(0, 1) * 255).round().astype(np.uint8)[..., ::-1]


def parse_row(text: str) -> tuple[str, dict[str, Any]]:
    """``NAME=KEY=VALUE,KEY=VALUE``."""
    name, _, settings = text.partition("=")
    return name, dict(pair.split("=", 1) for pair in settings.split(",") if pair)


def tasks(count: int, first: int, side: int) -> list[Task]:
    """``count`` scenes from the seed ``first`` on, the kinds of edit in turn."""
    found: list[Task] = []
    while len(found) < count:
        task = make_task(first, KINDS[len(found) % len(KINDS)], side)
        found += [task] if task is not None else []
        first += 1
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--row", action="append", default=[], metavar="NAME=KEY=VALUE,...")
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--side", type=int, default=128, help="pixels of the square of a scene that is edited")
    parser.add_argument("--seen", type=int, help="what the model sees of it; by default as the command shows a scene")
    parser.add_argument("--first", type=int, default=6_000_000, help="seed of the first scene; none of training's")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="fp32", choices=["auto", "bf16", "fp16", "fp32"])
    args = parser.parse_args()

    from vedit import engines, weights

    torch.set_num_threads(args.threads)
    bundle = weights.open_bundle(args.model, "image2video")
    asked = dict(map(parse_row, args.row)) or ROWS
    steps = {} if args.steps is None else {"steps": args.steps}
    made: dict[str, Callable[[Task], np.ndarray]] = {
        "source": lambda task: task.source,
        "repeat": lambda task: np.repeat(task.truth[:1], FRAMES, 0),
    }

    # The scenes are drawn 256 pixels high, which the command brings to the model's size.
    seen = args.seen or round(args.side * int(bundle.preset.get("size", WHOLE)) / WHOLE / 8) * 8

    def by(settings: dict[str, Any]) -> Callable[[Task], np.ndarray]:
        def run(task: Task) -> np.ndarray:
            given = steps | settings  # the frame rate is the preset's, as in the command
            method, box = given.pop("method", "anyv2v"), given.pop("box", None) is not None
            engine = engines.load(method, bundle, given, seed=args.seed, device=args.device, dtype=args.dtype)
            return edited(engine, task, seen) if method == "anyv2v" else dragged(engine, task, seen, box)

        return run

    codec = weights.load_vae(bundle.components["vae"]).to(args.device)
    made["codec"] = lambda task: sized(
        pixels(codec.decode(codec.encode(tensor(sized(task.truth, seen)).to(args.device)))), args.side
    )
    made |= {name: by(settings) for name, settings in asked.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {name: {"settings": asked.get(name), "rows": [], "seconds": 0.0} for name in made}
    for number, task in enumerate(tasks(args.scenes, args.first, args.side)):
        clips = [task.source, task.truth]
        for name, run in made.items():
            began = time.time()
            with torch.inference_mode():
                clip = run(task)
            results[name]["seconds"] = round(results[name]["seconds"] + time.time() - began, 1)
            row = {"scene": task.name} | figures(clip, task)
            results[name]["rows"].append(row)
            clips += [clip] if name in asked else []
            print(f"{name:16} {task.name:20} truth {row['truth']:.1f} changed {row['changed']:.1f}", flush=True)
        if number < 8:
            cv2.imwrite(str(args.out / f"{task.name}.png"), sheet(clips))
    for result in results.values():
        result["summary"] = summary(result["rows"])
    report = {"model": bundle.sha256, "side": args.side, "seen": seen, "scenes": args.scenes, "first": args.first}
    report |= {"seed": args.seed, "dtype": args.dtype, "results": results}
    (args.out / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    shown = ("truth", "changed", "rest", "last", "warp", "warp_truth")
    print("| row | " + " | ".join(shown) + " |\n|" + "---|" * (len(shown) + 1))
    for name, result in results.items():
        print(f"| {name} | " + " | ".join(f"{result['summary'].get(key, float('nan')):.4g}" for key in shown) + " |")


if __name__ == "__main__":
    main()
