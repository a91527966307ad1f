"""Measure the methods of `vedit prompt-edit` on world clips whose true edit is known.

    python benchmarks/prompt_edit.py --out benchmarks/results/prompt_edit [--methods tcve,tokenflow] [--seeds 5]
    python benchmarks/prompt_edit.py --out benchmarks/results/tcve --ablations

A scene is drawn twice, the second time with one attribute changed: that is the true edit. Four categories, as in TCVE's
Table I: style (an exact operation over all), object (a thing in another colour, or of another shape), background
(another place behind the same things), several (a thing and the place at once). Every method edits the source by the
two captions with the model's own defaults. All clips have one size, so peak memory is that of a method's first edit,
which has a process of its own (of a tuned method the edit's, not the training's). Beside them stand the source,
untouched, and what does nothing at all: the source through the codec. OUT gets results.json and table.md, and sheets/
with a row for each method. With --work DIR clips and rows are kept there, and what was measured already is not measured
again; --cases takes the first so many of a category, for methods that take long.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vedit.world import operations, phrasings
from vedit.world.scene import PLACES, Rendered, Scene, Thing, caption, draw_scene, recolour, render, reshape

CATEGORIES = ("style", "object", "background", "several")
METHODS = ("sdedit", "text2video-zero", "fatezero", "tokenflow", "tune-a-video", "tcve")
TUNED = ("tune-a-video", "tcve")
STYLES = ("watercolour", "pencil-sketch", "night", "autumn", "cartoon", "snow", "oil-painting")
#: TCVE's Tables II and III: what is left out, as settings of its network.
ABLATIONS: dict[str, dict[str, Any]] = {
    "whole": {},
    "without temporal U-Net": {"temporal_unet": False},
    "without units": {"unit": "sum"},
    "without temporal attention": {"temporal_attention": False},
    "without 3D convolution": {"convolution": False},
}
SIZE, CROP, RATE = 128, (80, 64), Fraction(12)  # pixels: of a clip, and where (y, x) it lies in a scene of 256
COLUMNS = ("psnr_reference", "psnr_unedited", "warp_error", "frame_consistency_all", "textual_alignment")
SEED = 4100  # of the first scene; training draws its scenes elsewhere
MARGIN = 3  # pixels around what changes that count as changed, for the edges' sake


def pair(category: str, seed: int, frames: int) -> tuple[Scene, Rendered, np.ndarray, str, str, np.ndarray | None]:
    """``(scene, source, truth, source prompt, target prompt, mask)`` of a case; the mask (T, H, W) is what changes.

    The mask is None where all of the picture does.
    """
    rng = np.random.default_rng([SEED, seed, CATEGORIES.index(category)])
    place = str(rng.choice(PLACES))
    scene = draw_scene(SEED + seed, 256, 256, frames=frames, place=place, things=2)
    scene = replace(scene, things=tuple(_seen(thing, number) for number, thing in enumerate(scene.things)), noise=0.004)
    source = cut(render(scene))
    if category == "style":
        name = STYLES[seed % len(STYLES)]
        truth = operations.apply(name, source.frames, seed=seed, height=256)
        return scene, source, truth, caption(scene), phrasings.describe(name, rng, caption(scene)), None
    changed = scene
    if category in {"object", "several"}:
        thing = scene.things[0]
        if seed % 2:
            shapes = [shape for shape in phrasings.SHAPE_WORDS if shape not in {t.shape for t in scene.things}]
            changed = reshape(changed, 0, str(rng.choice(shapes)))
        else:
            colours = [colour for colour in phrasings.COLOUR_WORDS if colour not in {t.colour for t in scene.things}]
            changed = recolour(changed, 0, str(rng.choice(colours)))
        assert changed.things[0] != thing
    if category in {"background", "several"}:
        changed = replace(changed, place=str(rng.choice([other for other in PLACES if other != place])))
    after = cut(render(changed))
    whole = np.ones(source.layers.shape, bool)
    own = source.masks[:, 0] | after.masks[:, 0]
    mask = {"object": own, "background": source.layers == 0, "several": whole & (source.layers != 2)}[category]
    kernel = np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)
    mask = np.stack([cv2.dilate(frame.astype(np.uint8), kernel) > 0 for frame in mask])
    return scene, source, after.frames, caption(scene), caption(changed), mask


def cut(drawn: Rendered) -> Rendered:
    """The part of a drawn scene that is edited: nano was taught mostly on such parts, and they cost a quarter."""
    rows, columns = (slice(at, at + SIZE) for at in CROP)
    return replace(
        drawn, frames=drawn.frames[:, rows, columns], masks=drawn.masks[:, :, rows, columns],
        layers=drawn.layers[:, rows, columns],
    )  # fmt: skip


def _seen(thing: Thing, number: int) -> Thing:
    """In the part that is cut out, large enough to be told apart, and neither hides the other."""
    return replace(
        thing, size=0.12 + 0.02 * number, start=(0.37 + 0.26 * number, 0.5 + 0.1 * (thing.start[1] - 0.5)),
        velocity=(thing.velocity[0] * 0.3, thing.velocity[1] * 0.3),
    )  # fmt: skip


def write(path: Path, frames: np.ndarray) -> Path:
    """Frames (T, H, W, 3) in [0, 1], without loss."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "bgr0"
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.round(np.clip(frame, 0, 1) * 255).astype(np.uint8), format="rgb24")
            picture.pts, picture.time_base = index, 1 / RATE
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def edit(
    case: dict[str, Any], row: dict[str, Any], output: Path, model: str, settings: dict[str, Any], apart: bool
) -> None:
    """Run one method on one case as the shell would; its costs go into ``row``. ``apart``: in a process of its own, so
    that peak memory is its own."""
    from vedit.render import machine

    method = row["method"]
    adapter = None
    if method in TUNED:
        from importlib import import_module

        adapter, began = output.with_suffix(".adapter"), time.perf_counter()
        shutil.rmtree(adapter, ignore_errors=True)  # of a run that was cut off
        import_module(f"vedit.training.recipes.{method.replace('-', '_')}").train(
            clip=case["source"], prompt=case["source_prompt"], model=model, output=str(adapter), size=SIZE,
            threads=machine.cores(), choices=row.get("choices", {}), log=lambda line: None,
        )  # fmt: skip
        row["training_seconds"] = time.perf_counter() - began
    fields: dict[str, Any] = {
        "command": "prompt-edit", "input": case["source"], "output": str(output), "prompt": case["target_prompt"],
        "source_prompt": case["source_prompt"], "method": method, "model": model, "codec": "ffv1", "device": "cpu",
        "size": SIZE, "overwrite": True, "settings": settings, "threads": machine.cores(),
        "adapter": None if adapter is None else str(adapter),
    }  # fmt: skip
    cache = output.with_name(output.name + ".cache")  # nobody's: all is made anew
    shutil.rmtree(cache, ignore_errors=True)
    os.environ["VEDIT_CACHE"] = str(cache)
    if apart:
        command = [sys.executable, __file__, "--out", str(output.parent), "--job", json.dumps(fields)]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        done = json.loads(ran.stdout.splitlines()[-1])
        row["peak_rss_mb"] = done["peak_rss_mb"]
    else:
        done = run(fields)
    row["seconds"], row["evaluations"] = done["timings"]["total"], done.get("evaluations")


def run(fields: dict[str, Any]) -> dict[str, Any]:
    """A job's own report."""
    from vedit import render as rendering
    from vedit.jobs import EditJob

    return rendering.run(rendering.plan(EditJob.build(**fields))).report()


def through_codec(source: Path, output: Path, model: str) -> None:
    """What does nothing: encoded and decoded by the model's autoencoder."""
    import torch

    from vedit import weights
    from vedit.video.info import probe
    from vedit.video.reader import Reader

    codec = weights.load_vae(weights.open_bundle(model, "text2image").components["vae"])
    with Reader(source, probe(source)) as reader:
        frames = np.stack([frame.rgb() for frame in reader]).astype(np.float32) / 127.5 - 1
    with torch.inference_mode():
        again = codec.decode(codec.encode(torch.from_numpy(frames).permute(0, 3, 1, 2)))
    write(output, (again.permute(0, 2, 3, 1).numpy() + 1) / 2)


def measure(case: dict[str, Any], edited: Path, encoder: Any) -> dict[str, float | None]:
    """`vedit evaluate`'s figures of an edit."""
    from vedit.metrics.evaluate import Question, evaluate
    from vedit.metrics.pairs import Clips
    from vedit.metrics.registry import choose

    clips = Clips.open(case["source"], [str(edited)], mask=case["mask"], reference=case["truth"])
    given = {"reference", "clip", "prompt"} | ({"mask"} if case["mask"] else set())
    names = [name for name in COLUMNS if name != "psnr_unedited" or case["mask"]]
    question = Question(choose(",".join(names), frozenset(given)), prompt=case["target_prompt"], clip=encoder)
    figures = evaluate(clips, question).figures[0]
    found = {name: figures[name].value if name in figures else None for name in COLUMNS}
    # A copy has no PSNR.
    return {name: value if value is None or math.isfinite(value) else None for name, value in found.items()}


def work(args: argparse.Namespace) -> None:
    """The process of one method: rows to standard output, one JSON object a line."""
    from vedit.metrics.clip import Encoder

    spec = json.loads(args.worker)
    encoder = Encoder.load("clip", args.model)
    first = not spec["done"]
    for case in json.loads(Path(spec["cases"]).read_text()):
        if [case["category"], case["seed"]] in spec["done"]:
            continue
        row = {"method": spec["method"], "label": spec["label"], "choices": spec["choices"]}
        row |= {key: case[key] for key in ("category", "seed")}
        output = edited_file(case, spec["label"])
        if spec["method"] == "source":
            output = Path(case["source"])
        elif spec["method"] == "codec":
            through_codec(Path(case["source"]), output, args.model)
        elif spec["method"] == "truth":
            output = Path(case["truth"])
        else:
            edit(case, row, output, args.model, spec["settings"], first)
            first = False
        row |= measure(case, output, encoder)
        print(json.dumps(row), flush=True)


def edited_file(case: dict[str, Any], label: str) -> Path:
    """Where an edit of a case goes, which is none of its own files."""
    return Path(case["source"]).parent / "edits" / f"{label.replace(' ', '-')}.mkv"


def draw_cases(folder: Path, seeds: int, frames: int) -> list[dict[str, Any]]:
    """All cases as files: source, truth and mask."""
    cases = []
    for category in CATEGORIES:
        for seed in range(seeds):
            _, source, truth, said, wanted, mask = pair(category, seed, frames)
            own = folder / f"{category}-{seed}"
            (own / "edits").mkdir(parents=True, exist_ok=True)
            case = {"category": category, "seed": seed, "source_prompt": said, "target_prompt": wanted, "mask": None}
            case["source"] = str(write(own / "source.mkv", source.frames))
            case["truth"] = str(write(own / "truth.mkv", truth))
            if mask is not None:
                shown = np.repeat(mask[..., None], 3, axis=-1).astype(np.float32)
                case["mask"] = str(write(own / "mask.mkv", shown))
            cases.append(case)
    return cases


def sheet(path: Path, case: dict[str, Any], labels: list[str]) -> None:
    """First, middle and last frame of source, truth and every edit, a row each."""
    from vedit.video.info import probe
    from vedit.video.reader import Reader

    rows = []
    for file in [Path(case["source"]), Path(case["truth"]), *[edited_file(case, label) for label in labels]]:
        with Reader(file, probe(file)) as reader:
            frames = [frame.rgb() for frame in reader]
        rows.append(np.concatenate([frames[0], frames[len(frames) // 2], frames[-1]], axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))


def spread(values: list[float], digits: int) -> str:
    """Mean ± standard deviation over the clips."""
    deviation = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{deviation}" if values else "–"


def table(rows: list[dict[str, Any]], labels: list[str]) -> str:
    """A row for each method: PSNR to the truth by category and over all, then the other figures over all."""
    head = ["method", *CATEGORIES, "all", *COLUMNS[1:], "seconds", "of them training", "peak MB"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for label in labels:
        own = [row for row in rows if row["label"] == label]

        def values(name: str, category: str | None = None, own: list[dict[str, Any]] = own) -> list[float]:
            chosen = [row for row in own if category in {None, row["category"]}]
            return [row[name] for row in chosen if row.get(name) is not None and math.isfinite(row[name])]

        cells = [label, *(spread(values(COLUMNS[0], category), 1) for category in (*CATEGORIES, None))]
        cells += [spread(values(name), digits) for name, digits in zip(COLUMNS[1:], (1, 4, 3, 1), strict=True)]
        trained, took, peaks = values("training_seconds"), values("seconds"), values("peak_rss_mb")
        # The median: other work beside a single edit says nothing of the method.
        cells += [f"{np.median(times):.0f}" if times else "–" for times in (took, trained)]
        cells.append(f"{max(peaks):.0f}" if peaks else "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def paired(rows: list[dict[str, Any]], labels: list[str], name: str = COLUMNS[0], digits: int = 1) -> str:
    """How much more a row has of a figure than a column, clip by clip: mean ± standard deviation, and on how many
    clips it is more."""
    by = {label: {(row["category"], row["seed"]): row.get(name) for row in rows if row["label"] == label}
          for label in labels}  # fmt: skip
    lines = ["| " + " | ".join([name, *labels]) + " |", "|" + "---|" * (len(labels) + 1)]
    for label in labels:
        cells = [label]
        for other in labels:
            both = [case for case in by[label] if by[label][case] is not None and by[other].get(case) is not None]
            more = [by[label][case] - by[other][case] for case in both]
            won = sum(difference > 0 for difference in more)
            cells.append("" if label == other or not more else f"{spread(more, digits)}, {won}/{len(more)}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def asked_for(text: str) -> dict[str, Any]:
    """A job of ``METHOD`` or ``METHOD:KEY=VALUE+KEY=VALUE``."""
    method, _, settings = text.partition(":")
    pairs = (pair.partition("=") for pair in settings.split("+") if pair)
    return {"method": method, "label": text.replace(":", " "), "own": {key: value for key, _, value in pairs}}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--methods", default=",".join(METHODS), help="each METHOD or METHOD:KEY=VALUE+KEY=VALUE")
    parser.add_argument("--ablations", action="store_true", help="TCVE's, instead of the methods")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--work", type=Path, help="where clips and rows are kept; by default they are not")
    parser.add_argument("--cases", type=int, help="of each category; by default all seeds")
    parser.add_argument("--settings", default="{}", help="JSON, for all methods that know them")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        print(json.dumps(run(json.loads(args.job))))
        return
    if args.worker:
        work(args)
        return
    jobs: list[dict[str, Any]] = [{"method": name, "label": name} for name in ("truth", "source", "codec")]
    if args.ablations:
        jobs += [{"method": "tcve", "label": label, "choices": choices} for label, choices in ABLATIONS.items()]
    else:
        jobs += [asked_for(text) for text in args.methods.split(",")]
    from vedit import engines, weights

    rows: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        folder = args.work or stack.enter_context(tempfile.TemporaryDirectory(prefix="vedit-prompt-edit-"))
        cases = draw_cases(Path(folder), args.seeds, args.frames)
        listed, kept = Path(folder, "cases.json"), Path(folder, "rows.jsonl")
        listed.write_text(json.dumps([case for case in cases if args.cases is None or case["seed"] < args.cases]))
        identity = weights.open_bundle(args.model, "text2image").parts_sha256
        earlier = [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []
        for job in jobs:
            known = engines.settings_of(job["method"]).model_fields if job["method"] in METHODS else {}
            settings = {name: value for name, value in json.loads(args.settings).items() if name in known}
            settings |= job.get("own", {})
            same = {"parts_sha256": identity, "frames": args.frames, "settings": settings}
            same |= {"label": job["label"], "choices": job.get("choices", {})}
            asked = {(case["category"], case["seed"]) for case in json.loads(listed.read_text())}
            found = [
                row for row in earlier
                if all(row.get(key) == value for key, value in same.items()) and (row["category"], row["seed"]) in asked
            ]  # fmt: skip
            rows += found
            spec = {"choices": {}, **job, "settings": settings, "cases": str(listed)}
            spec["done"] = [[row["category"], row["seed"]] for row in found]
            command = [sys.executable, __file__, "--out", str(args.out), "--model", args.model]
            process = subprocess.Popen([*command, "--worker", json.dumps(spec)], stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            for line in process.stdout:
                rows.append(json.loads(line))
                with kept.open("a") as file:
                    file.write(json.dumps(rows[-1] | same) + "\n")
                print(
                    {k: rows[-1].get(k) for k in ("label", "category", "seed", "psnr_reference", "seconds")}, flush=True
                )
            if process.wait():
                raise SystemExit(f"{job['label']}: failed with {process.returncode}")
        labels = [job["label"] for job in jobs]
        for category in CATEGORIES:
            for case in [c for c in cases if c["category"] == category][:2]:
                made = [label for label in labels if edited_file(case, label).is_file()]
                name = f"{category}-{case['seed']}.png"
                sheet(args.out / "sheets" / name, case, made)
    args.out.mkdir(parents=True, exist_ok=True)
    result = {
        "model": args.model, "parts_sha256": identity, "frames": args.frames, "seeds": args.seeds,
        "settings": json.loads(args.settings), "rows": rows,
    }  # fmt: skip
    (args.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    tables = [table(rows, labels), paired(rows, labels), paired(rows, labels, "frame_consistency_all", 4)]
    tables += [paired(rows, labels, "warp_error", 4), paired(rows, labels, "textual_alignment")]
    (args.out / "table.md").write_text("\n".join(tables))
    print(*tables, sep="\n")


if __name__ == "__main__":
    main()
