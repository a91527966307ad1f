"""Measure ReVideo's `vedit drag-motion` on drawn scenes, where the asked clip is known exactly.

    python benchmarks/drag_motion.py --out OUT [--model nano] [--scenes 20] [--control NAME=ADAPTER ...] [--use USE ...]

A scene has one thing in its own colour before a background that rests. In the source it rests too, or moves somewhere;
asked for is another way, straight or bent, and the same scene drawn with that way is the truth. Every ``--control`` is
one row of the table (an adapter of ``train-adapter revideo`` or of the ablations; without any, what the model carries).
What the engine makes is brought to the scene's size and into the region as the command does it. The row ``truth`` has
the drawn truth in the place of a result: the best that the measures allow.

``--use``: ``motion`` keeps the content and changes the motion; ``content`` puts another thing into the first frame,
which moves as the source's does, along the true way, or in ``follow`` along what the command's tracker finds in the
source; ``both`` puts another thing there and moves it another way. ``outline`` is ``motion``
in an irregular region close around the ways, ``two`` is ``motion`` of two things at once, each in a region of its own
(two scenes side by side).

- ``error``: distance of the thing's middle (centroid of its colour, where it is nearer to that than to the background)
  from the asked way, mean over the frames, pixels, and as a share of the way's length; ``end``: at the last frame;
  ``by_frame``: at each, as a share;
- ``survival``: share of the scenes whose last frame has the thing where it should be, IoU with the true mask ≥ 0.5;
- ``shuffled_…``: the same when every scene is given another one's track: what it comes to without following;
- ``opposite``: share of the scenes where a track and its mirror image move the thing to opposite sides of its start;
- ``outside``: PSNR to the source outside of the region before anything is composited, dB;
- ``inside``: PSNR to the truth in the region, dB; ``enlarged``, of the model's own pixels made larger; ``codec``, of
  the truth at the model's size and through its autoencoder;
- ``seam_raw``: how much larger the step across the region's border is than in the truth, grey levels; ``seam``, after
  the rim is blended, where the command puts a part of the source there;
- ``warp``: warp error by the truth's flow, ``warp_truth`` the truth's own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from vedit.metrics.motion import warp_difference
from vedit.metrics.pictures import Picture, Step
from vedit.metrics.pixels import decibels
from vedit.video.compose import Detail, compose
from vedit.video.follow import follow_through
from vedit.video.mask import soft_weights
from vedit.world.palette import COLOURS
from vedit.world.scene import PLACES, SHAPES, draw_scene, remove, render

FRAMES, SIDE, WHOLE, MARGIN = 8, 128, 256, 6
USES = ("motion", "content", "follow", "both", "outline", "two")
TOLD = 0.8  # IoU with the true mask at which a thing counts as told from its background, on the truth itself


@dataclass(frozen=True, eq=False)
class Task:
    """One scene: clips (T, S, S, 3) float32 in [0, 1], the asked way (T, 2)."""

    name: str
    source: np.ndarray
    truth: np.ndarray
    empty: np.ndarray  # without the thing
    mask: np.ndarray  # (T, S, S) bool: where the thing is in the truth
    way: np.ndarray
    inside: np.ndarray  # (S, S) bool: the region
    colour: np.ndarray  # (3,), the thing's, in the truth's first frame
    told: np.ndarray  # (T, 2): what the model is told of it
    changed: bool = False  # the truth's first frame is given as the edited one

    @property
    def length(self) -> float:
        return float(np.linalg.norm(np.diff(self.way, axis=0), axis=1).sum())


def make_task(seed: int, use: str = "motion") -> Task | None:
    """A scene from ``seed``; None where the thing would not fit, or cannot be told from its background by colour."""
    rng = np.random.default_rng([seed, 70])
    place = "leaves" if rng.random() < 0.6 else str(rng.choice(PLACES))
    scene = draw_scene(seed, WHOLE, WHOLE, FRAMES, place=place, things=1)
    scene = replace(scene, pan=(0.0, 0.0), zoom=0.0, shake=0.0, noise=min(scene.noise, 0.005))
    middle, start = (FRAMES - 1) / 2, rng.uniform(0.35, 0.65, 2)
    colour = str(rng.choice(list(COLOURS)))
    size = float(rng.uniform(0.055, 0.085))

    def moved(velocity: np.ndarray, bend: np.ndarray) -> Any:
        at = start + velocity * middle - 0.5 * bend * middle**2
        thing = replace(
            scene.things[0], colour=colour, size=size, start=(float(at[0]), float(at[1])), spin=0.0, wobble=(0.0, 0.1),
            velocity=(float(velocity[0]), float(velocity[1])), bend=(float(bend[0]), float(bend[1])),
        )  # fmt: skip
        return replace(scene, things=(thing,))

    def way_of(length: float) -> np.ndarray:
        heading = rng.uniform(0, 2 * np.pi)
        return length / (FRAMES - 1) * np.array([np.cos(heading), np.sin(heading)])

    velocity = way_of(rng.uniform(20, 42) / WHOLE)
    bend = np.array([-velocity[1], velocity[0]]) * rng.uniform(-0.25, 0.25) * (rng.random() < 0.5)
    before = way_of(rng.uniform(15, 30) / WHOLE) * (rng.random() < 0.5)
    asked, given = moved(velocity, bend), moved(before, np.zeros(2))
    changed = use in ("content", "follow", "both")
    if changed:
        given = other_thing(given if use == "both" else asked, np.random.default_rng([seed, 71]))
    truth, source, empty = render(asked), render(given), render(remove(asked, 0))
    covered = truth.masks[:, 0].any(0) | source.masks[:, 0].any(0)
    x, y, width, height = cv2.boundingRect(covered.astype(np.uint8))
    # The mirrored way lies inside too: the truth's box, turned about where the way begins.
    turn_x, turn_y = 2 * truth.tracks[0, 0]
    right, bottom = max(x + width, round(turn_x) - x), max(y + height, round(turn_y) - y)
    x, y = min(x, round(turn_x) - x - width), min(y, round(turn_y) - y - height)
    width, height = right - x, bottom - y
    x, y, width, height = x - MARGIN, y - MARGIN, width + 2 * MARGIN, height + 2 * MARGIN
    left, top = (
        int(np.clip(v + side / 2 - SIDE / 2, 0, WHOLE - SIDE)) // 8 * 8 for v, side in ((x, width), (y, height))
    )
    x, y = x - left, y - top
    if min(x, y) < 0 or x + width > SIDE or y + height > SIDE:
        return None
    inside = np.zeros((SIDE, SIDE), bool)
    inside[y : y + height, x : x + width] = True
    if truth.masks[0, 0].sum() < 60:
        return None
    part = np.s_[:, top : top + SIDE, left : left + SIDE]
    first = truth.frames[0][truth.masks[0, 0]].mean(0)
    way = truth.tracks[:, 0].astype(np.float64) - [left, top]
    task = Task(
        f"{place}-{seed}", source.frames[part], truth.frames[part], empty.frames[part], truth.masks[:, 0][part], way,
        inside, first, way, changed,
    )  # fmt: skip
    if use == "follow":
        task = replace(task, told=followed(task.source, way[0]))
    if use == "outline":
        task = replace(task, inside=outline(covered[part[1:]], way[0]))
    return task if min(overlap(task.truth, task, at) for at in range(FRAMES)) >= TOLD else None


def other_thing(scene: Any, rng: np.random.Generator) -> Any:
    """The scene with a thing of another shape and colour in the place of its first."""
    thing = scene.things[0]
    shape = str(rng.choice([name for name in SHAPES if name != thing.shape]))
    colour = str(rng.choice([name for name in COLOURS if name != thing.colour]))
    return replace(scene, things=(replace(thing, shape=shape, colour=colour), *scene.things[1:]))


def followed(frames: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(T, 2): the way of what is at ``start``, as the command's ``--follow`` finds it; where it is lost it stays."""
    grey = [cv2.cvtColor(np.round(frame * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY) for frame in frames]
    way = follow_through(grey, start[None])[:, 0]
    for index in range(1, len(way)):
        way[index] = np.where(np.isnan(way[index]), way[index - 1], way[index])
    return way


def outline(covered: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(S, S) bool: ``covered`` and its turn by half a circle about ``start``, for the mirrored way, and a margin."""
    turned = cv2.warpAffine(
        covered.astype(np.uint8), np.array([[-1, 0, 2 * start[0]], [0, -1, 2 * start[1]]]), (SIDE, SIDE)
    )
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN + 1, 2 * MARGIN + 1))
    return cv2.dilate(np.maximum(covered.astype(np.uint8), turned), around) > 0


def thing_in(frame: np.ndarray, task: Task, index: int) -> np.ndarray:
    """(S, S) bool: the largest spot that is nearer to the thing's colour than to the background, in the region."""
    to_thing = np.linalg.norm(frame - task.colour, axis=-1)
    found = (to_thing < np.linalg.norm(frame - task.empty[index], axis=-1)) & (to_thing < 0.3) & task.inside
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    return found if count < 2 else labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())


def overlap(clip: np.ndarray, task: Task, index: int) -> float:
    """IoU of the thing as it is found in a frame of ``clip`` with where it should be."""
    found = thing_in(clip[index], task, index)
    return float((found & task.mask[index]).sum() / max(1, (found | task.mask[index]).sum()))


def centre(mask: np.ndarray) -> np.ndarray | None:
    """(2,): x and y of the middle of a spot; None for no spot."""
    y, x = np.nonzero(mask)
    return np.array([x.mean(), y.mean()]) if len(x) else None


def distances(made: np.ndarray, task: Task, way: np.ndarray | None = None) -> np.ndarray:
    """(T,): from the thing to the asked way, pixels; what is not found counts as still at its start."""
    way = task.way if way is None else way
    offset = centre(thing_in(task.truth[0], task, 0))
    assert offset is not None
    offset = offset - task.way[0]  # the centroid of a shape is not its middle
    places = [centre(thing_in(frame, task, index)) for index, frame in enumerate(made)]
    found = np.array([task.way[0] if place is None else place - offset for place in places])
    return np.linalg.norm(found - way, axis=1)


def sized(video: np.ndarray, side: int) -> np.ndarray:
    """(T, H, W, 3) with ``side`` pixels of height."""
    height, width = video.shape[1:3]
    if height == side:
        return video
    how = cv2.INTER_AREA if side < height else cv2.INTER_CUBIC
    size = width * side // height, side
    return np.stack([cv2.resize(frame.astype(np.float32), size, interpolation=how) for frame in video])


@dataclass(frozen=True, eq=False)
class Made:
    """What came of a scene: ``raw`` (T, S, S, 3), the model's own pixels made larger; ``whole``, brought to the scene's
    size as the command does; ``result``, that in the region, with the default rim, and the source outside."""

    raw: np.ndarray
    whole: np.ndarray
    result: np.ndarray


def finished(task: Task, edited: np.ndarray, reconstruction: np.ndarray, detail: Detail = "auto") -> Made:
    """Of the edit and the codec's reconstruction of the source, (T, s, s, 3) at the model's size."""
    source = np.round(task.source * 255).clip(0, 255).astype(np.uint8)
    frames = [compose(*parts, detail) for parts in zip(source, reconstruction, edited, strict=True)]
    whole = np.stack(frames).astype(np.float32) / 255
    weights = soft_weights(task.inside.astype(np.uint8) * 255, WHOLE / 100)[..., None] / 255
    return Made(sized(edited, SIDE), whole, task.source + weights * (whole - task.source))


def run(
    engine: Any, tasks: Sequence[Task], ways: Sequence[np.ndarray], side: int, detail: Detail = "auto"
) -> list[Made]:
    """The edit of scenes side by side, each along its way; the model sees ``side`` pixels of height."""
    from vedit.engines.base import Drag, Window

    places = []
    for number, (task, way) in enumerate(zip(tasks, ways, strict=True)):
        rows, columns = np.nonzero(task.inside)
        way = way.clip([columns.min(), rows.min()], [columns.max(), rows.max()])
        places.append((way + [number * SIDE, 0] + 0.5) * side / SIDE - 0.5)

    def whole(parts: Sequence[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(sized(np.concatenate(parts, 2), side)).permute(0, 3, 1, 2).float()

    mask = whole([np.repeat(task.inside[None, ..., None].astype(np.float32), 3, -1) for task in tasks])[0, 0] > 0.5
    frame = whole([task.truth[:1] for task in tasks])[0] * 2 - 1 if tasks[0].changed else None
    drag = Drag(mask.float(), torch.from_numpy(np.stack(places, 1)).double(), frame=frame)
    with torch.inference_mode():
        done = engine.edit(Window(whole([task.source for task in tasks]) * 2 - 1, 0), drag)
    edited, reconstruction = (
        np.split(((part.float().cpu().clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1).numpy(), len(tasks), 2)
        for part in (done.frames, done.reconstruction)
    )
    return [
        finished(task, np.ascontiguousarray(ours), np.ascontiguousarray(coded), detail)
        for task, ours, coded in zip(tasks, edited, reconstruction, strict=True)
    ]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return decibels(float(np.mean((a.astype(np.float64) - b) ** 2)) * 255**2)


def border_step(video: np.ndarray, inside: np.ndarray) -> float:
    """Mean absolute step across the border of the region, grey levels, over the frames after the first."""
    across = inside[:, 1:] != inside[:, :-1]
    down = inside[1:] != inside[:-1]
    steps = [np.abs(np.diff(video[1:], axis=2))[:, across], np.abs(np.diff(video[1:], axis=1))[:, down]]
    return 255 * float(np.concatenate(steps, 1).mean())


def warp_error(video: np.ndarray, truth: np.ndarray) -> float:
    """Mean squared difference of every frame to its warped predecessor, where the truth's flow can be trusted."""
    pictures = [Picture(np.round(frame * 255).astype(np.uint8)) for frame in truth]
    total = []
    for t, step in enumerate(Step(before, after) for before, after in pairwise(pictures)):
        size = step.back.shape[1::-1]  # flow is measured at a size of its own
        frames = [cv2.resize(video[k].astype(np.float32), size, interpolation=cv2.INTER_CUBIC) for k in (t, t + 1)]
        total.append(warp_difference(frames[0], frames[1], step.back)[step.trusted].mean())
    return float(np.mean(total))


def measure(
    engine: Any, tasks: Sequence[Task], others: Sequence[Task], side: int, detail: Detail = "auto"
) -> list[tuple[dict[str, Any], Any]]:
    """Figures and edit of scenes that are edited at once; ``others``: whose ways they get for the shuffled ones."""
    made = run(engine, tasks, [task.told for task in tasks], side, detail)
    ways = [task.way[0] + other.way - other.way[0] for task, other in zip(tasks, others, strict=True)]
    shuffled = run(engine, tasks, ways, side, detail)
    mirrored = run(engine, tasks, [2 * task.way[0] - task.way for task in tasks], side, detail)
    return [
        (of_edits(engine, task, *parts, side), parts[0].result)
        for task, *parts in zip(tasks, made, shuffled, mirrored, strict=True)
    ]


def of_edits(engine: Any, task: Task, made: Made, shuffled: Made, mirrored: Made, side: int) -> dict[str, Any]:
    """One scene's figures, of its edits along its own way, another scene's, and its mirror image."""
    ends = [centre(thing_in(done.result[-1], task, -1)) for done in (made, mirrored)]
    start = centre(thing_in(task.truth[0], task, 0))
    assert start is not None
    sides = [0.0 if end is None else float((end - start) @ (task.way[-1] - task.way[0])) for end in ends]
    inside = task.inside
    truth = torch.from_numpy(sized(task.truth, side)).permute(0, 3, 1, 2).float() * 2 - 1
    with torch.inference_mode():
        coded = engine.base.codec.decode(engine.base.codec.encode(truth.to(engine.base.device)))
    codec = sized(coded.float().cpu().permute(0, 2, 3, 1).numpy() / 2 + 0.5, SIDE)
    other = of_result(shuffled.result, task)
    return {
        "scene": task.name,
        "length": task.length,
        **of_result(made.result, task),
        **{f"shuffled_{name}": other[name] for name in ("error_share", "end_share", "overlap")},
        "opposite": bool(sides[0] > 0 > sides[1]),
        "outside": psnr(made.raw[:, ~inside], task.source[:, ~inside]),
        "enlarged": psnr(made.raw[:, inside], task.truth[:, inside]),
        "codec": psnr(codec[:, inside], task.truth[:, inside]),
        "seam_raw": border_step(np.where(inside[..., None], made.whole, task.source), inside)
        - border_step(task.truth, inside),
        "warp_truth": warp_error(task.truth, task.truth),
    }


def of_result(result: np.ndarray, task: Task) -> dict[str, Any]:
    """What is measured on a finished clip (T, S, S, 3)."""
    error = distances(result, task)
    return {
        "error": float(error[1:].mean()),
        "error_share": float(error[1:].mean()) / task.length,
        "end": float(error[-1]),
        "end_share": float(error[-1]) / task.length,
        "by_frame": [round(float(one) / task.length, 4) for one in error],
        "overlap": overlap(result, task, FRAMES - 1),
        "inside": min(60.0, psnr(result[:, task.inside], task.truth[:, task.inside])),  # a copy has none
        "seam": border_step(result, task.inside) - border_step(task.truth, task.inside),
        "warp": warp_error(result, task.truth),
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The means over the scenes."""
    mean = {
        key: float(np.mean([row[key] for row in rows]))
        for key in rows[0]
        if isinstance(rows[0][key], float) and not key.endswith("overlap") and key != "length"
    }
    mean["end_share_median"] = float(np.median([row["end_share"] for row in rows]))
    mean["survival"] = float(np.mean([row["overlap"] >= 0.5 for row in rows]))
    if "opposite" in rows[0]:
        mean["opposite"] = float(np.mean([row["opposite"] for row in rows]))
        mean["shuffled_survival"] = float(np.mean([row["shuffled_overlap"] >= 0.5 for row in rows]))
    by_frame = np.mean([row["by_frame"] for row in rows], 0)
    return {key: round(value, 5) for key, value in mean.items()} | {"by_frame": by_frame.round(4).tolist()}


def sheet(task: Task, made: np.ndarray) -> np.ndarray:
    """Source, truth and edit, one below the other, with the asked way on the edit."""
    rows = [np.concatenate(list(video), 1) for video in (task.source, task.truth, made)]
    picture = (np.concatenate(rows).clip(0, 1) * 255).round().astype(np.uint8)[..., ::-1].copy()
    for index, (x, y) in enumerate(task.way):
        cv2.circle(picture, (round(x + index * SIDE), round(y + 2 * SIDE)), 2, (255, 255, 255), -1, cv2.LINE_AA)
    return picture


def make_tasks(count: int, first: int, use: str) -> list[Task]:
    """The first ``count`` scenes that can be made, of the seeds from ``first`` on."""
    tasks = (make_task(seed, use) for seed in itertools.count(first))
    return list(itertools.islice((task for task in tasks if task is not None), count))


def named(control: str, use: str) -> str:
    """Name of a row."""
    return control if use == "motion" else f"{control} {use}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--control", action="append", default=[], metavar="NAME=ADAPTER")
    parser.add_argument("--use", action="append", choices=USES, help="may be repeated; by default motion")
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--first", type=int, default=5_000_000, help="seed of the first scene; none of training's")
    parser.add_argument("--side", type=int, help="pixels that the model sees of a scene; by default those of its crops")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--setting", action="append", default=[], help="any other setting, key=value")
    parser.add_argument("--detail", default="auto", choices=["auto", "source", "edit", "tone"], help="the command's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="fp32", choices=["auto", "bf16", "fp16", "fp32"])
    args = parser.parse_args()

    from vedit import engines, weights

    args.use = args.use or ["motion"]
    if args.scenes < 2 or ("two" in args.use and (args.scenes % 2 or args.scenes < 4)):
        parser.error("--scenes: every scene gets another one's track too; give at least 2, for --use two an even 4")
    torch.set_num_threads(args.threads)
    bundle = weights.open_bundle(args.model, "image2video")
    side = args.side or int(bundle.preset.get("crop", SIDE))
    settings = dict(item.split("=", 1) for item in args.setting) | ({} if args.steps is None else {"steps": args.steps})
    controls = dict(item.split("=", 1) for item in args.control) or {"carried": None}
    if "truth" in controls:
        parser.error("--control truth=…: is the name of the row that has the truth; choose another")
    args.out.mkdir(parents=True, exist_ok=True)
    asked: dict[str, list[Task]] = {use: make_tasks(args.scenes, args.first, use) for use in args.use}
    results: dict[str, Any] = {}
    for use, tasks in asked.items():
        truths = [{"scene": task.name, "length": task.length, **of_result(task.truth, task)} for task in tasks]
        results[named("truth", use)] = {"summary": summary(truths), "rows": truths}
    for name, adapter in controls.items():
        engine = engines.load(
            "revideo", bundle, settings, seed=args.seed, device=args.device, dtype=args.dtype, adapter=adapter
        )
        for use, tasks in asked.items():
            began, rows, row = time.time(), [], named(name, use)
            together = 2 if use == "two" else 1
            others = tasks[together:] + tasks[:together]
            for at in range(0, len(tasks), together):
                span = slice(at, at + together)
                for task, (found, made) in zip(
                    tasks[span], measure(engine, tasks[span], others[span], side, args.detail), strict=True
                ):
                    told = f"end {found['end_share']:.0%} shuffled {found['shuffled_end_share']:.0%}"
                    told += f" overlap {found['overlap']:.2f} inside {found['inside']:.1f} dB"
                    print(f"{row:12} {task.name:18} {told}", flush=True)
                    if len(rows) < 6:
                        cv2.imwrite(str(args.out / f"{row.replace(' ', '-')}-{task.name}.png"), sheet(task, made))
                    rows.append(found)
            results[row] = {"summary": summary(rows), "seconds": round(time.time() - began), "rows": rows}
            print(row, json.dumps(results[row]["summary"], indent=1), flush=True)
            asked_of = {"settings": engine.settings.model_dump(), "dtype": args.dtype, "seed": args.seed}
            asked_of |= {"detail": args.detail, "scenes": args.scenes, "first": args.first, "side": side}
            (args.out / "results.json").write_text(
                json.dumps({"model": bundle.sha256, **asked_of, "controls": results}, indent=1) + "\n"
            )
    shown = (
        "error",
        "error_share",
        "end_share",
        "end_share_median",
        "shuffled_error_share",
        "shuffled_end_share",
        "survival",
        "shuffled_survival",
        "opposite",
        "outside",
        "inside",
        "seam_raw",
        "seam",
        "warp",
    )
    print("| control | " + " | ".join(shown) + " |\n|" + "---|" * (len(shown) + 1))
    for name, result in results.items():
        print(f"| {name} | " + " | ".join(f"{result['summary'].get(key, math.nan):.3g}" for key in shown) + " |")


if __name__ == "__main__":
    main()
