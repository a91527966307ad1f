"""Measure jobs and hold them against what --dry-run says of them beforehand: seconds and memory.

    python benchmarks/estimate.py --out benchmarks/results/estimate.json [--jobs a,b] [--threads 1]

Jobs of several sizes and methods, with nano and with a tiny random text-to-image model, on drawn clips. Each runs in a
process of its own, forked after the libraries were loaded. ``cpu`` are seconds of processor time, which other programs
disturb little; with one thread they are what the job takes on a processor that has nothing else to do. ``over`` is
estimate over measurement. ``fitted`` are the constants of vedit/render/estimate.py that would fit these jobs best.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from memory import draw

ROOT = Path(__file__).resolve().parents[1]
# Method, model, clip (width, height, frames), and fields of the job.
JOBS: dict[str, tuple[str, str, tuple[int, int, int], dict[str, Any]]] = {
    "start": ("instructvid2vid", "nano", (64, 64, 2), {"size": 64}),
    "small": ("instructvid2vid", "nano", (160, 96, 48), {"size": 64}),
    "wide": ("instructvid2vid", "nano", (640, 360, 16), {"size": 64}),
    "large": ("instructvid2vid", "nano", (320, 320, 18), {"size": 256}),
    "fp32": ("instructvid2vid", "nano", (320, 320, 18), {"size": 256, "dtype": "fp32"}),
    "steps": ("instructvid2vid", "nano", (160, 96, 16), {"size": 128, "settings": {"steps": 4}}),
    "guided": ("instructvid2vid", "nano", (160, 96, 16), {"size": 96, "settings": {"steps": 2, "guidance": 3.0}}),
    "sdedit": ("sdedit", "tiny", (96, 64, 16), {"size": 64, "settings": {"steps": 10}}),
    "tokenflow": ("tokenflow", "tiny", (96, 64, 16), {"size": 64, "settings": {"steps": 6}}),
    "fatezero": ("fatezero", "tiny", (96, 64, 16), {"size": 64, "settings": {"steps": 6}}),
}


def job(name: str, folder: Path, tiny: Path, threads: int) -> Any:
    """The job ``name``, on a clip that is drawn into ``folder``."""
    from vedit.jobs import EditJob

    method, model, (width, height, frames), more = JOBS[name]
    clip = draw(folder / f"{name}.mp4", frames, width, height, cut=False)
    words: dict[str, Any] = {"prompt": "make it sepia"}
    if model == "tiny":
        words = {"command": "prompt-edit", "source_prompt": "a red ball", "prompt": "a no ow"}
    return EditJob.build(
        input=str(clip), output=str(folder / f"{name}.out.mp4"), model=str(tiny) if model == "tiny" else model,
        method=method, threads=threads, device="cpu", overwrite=True, **words, **more,
    )  # fmt: skip


def peak_mb() -> float:
    """The most memory since :func:`forked` began, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


def forked(one: Any) -> dict[str, Any]:
    """Plan and run a job in a process of its own; what was foreseen and what it took."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read)
            told = json.dumps(measured(one)).encode()
            os.write(write, told)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    if os.waitpid(child, 0)[1] != 0:
        raise SystemExit(f"{one.input}: the job failed")
    return json.loads(said)


def measured(one: Any) -> dict[str, Any]:
    """In the forked process."""
    from vedit import engines, render
    from vedit.render import estimate

    plan = render.plan(one)
    shares = estimate.shares(plan.edited_frames, plan.window, plan.overlap)
    work = engines.work(one.method, plan.bundle, plan.settings, shares)
    made = estimate.amounts(
        plan.bundle, work, plan.info, frames=plan.edited_frames, window=min(plan.window, plan.edited_frames),
        width=plan.working_width, height=plan.working_height, dtype=plan.dtype,
    )  # fmt: skip
    cpu, began = time.process_time(), time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        done = render.run(plan)
    return {
        "dtype": plan.dtype,
        "amounts": asdict(made),
        "evaluations": {"foreseen": plan.evaluations, "made": done.evaluations},
        "estimated": {"seconds": round(made.seconds(), 1), "mb": round(made.megabytes())},
        "cpu": round(time.process_time() - cpu, 2),
        "seconds": round(time.perf_counter() - began, 1),
        "mb": round(peak_mb()),
    }


def start(folder: Path) -> dict[str, Any]:
    """What the command takes for a frame or two, from a cold start: nearly all of it is loading."""
    clip = draw(folder / "cold.mp4", 2, 64, 64)
    options = ["--size", "64", "--threads", "1", "--json", "--progress", "none", "-o", str(folder / "cold.out.mp4")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "vedit", "instruct", str(clip), "make it sepia", *options],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": round(cpu, 2), "mb": json.loads(done.stdout)["peak_rss_mb"]}


def fit(rows: dict[str, dict[str, Any]], names: list[str], key: str, offset: float) -> dict[str, float]:
    """Constants, none below zero, for which the relative errors are least."""
    wanted = np.array([row[key] - offset for row in rows.values()])
    table = np.array([[row["amounts"][name] for name in names] for row in rows.values()])
    weight = 1 / np.array([row[key] for row in rows.values()])
    left = list(range(len(names)))
    while left:
        found = np.linalg.lstsq(table[:, left] * weight[:, None], wanted * weight, rcond=None)[0]
        if (found >= 0).all():
            return {names[k]: float(f"{value:.3g}") for k, value in zip(left, found, strict=True)}
        left.pop(int(found.argmin()))
    return {}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", default=",".join(JOBS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    import torch

    from tests.engines.tiny import write_diffusers
    from vedit.render import estimate

    torch.set_num_threads(1)  # a pool of threads would not come along into the children
    figures: dict[str, Any] = {"threads": args.threads, "load_average": round(os.getloadavg()[0], 1), "jobs": {}}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["VEDIT_CACHE"] = str(folder / "cache")  # an inversion that is there already costs nothing
        tiny = write_diffusers(folder / "tiny", "StableDiffusionPipeline")
        figures["start"] = start(folder)
        loading = figures["start"]["cpu"]
        # A child has not touched all that its parent holds.
        untouched = figures["start"]["mb"] - forked(job("start", folder, tiny, args.threads))["mb"]
        for which in args.jobs.split(","):
            row = forked(job(which, folder, tiny, args.threads))
            # The libraries were there before the fork; estimates begin with loading them.
            row["cpu"] = round(row["cpu"] + loading, 2)
            row["mb"] = round(row["mb"] + untouched)
            row["over"] = {
                "seconds": round(row["estimated"]["seconds"] / row["cpu"], 2),
                "mb": round(row["estimated"]["mb"] / row["mb"], 2),
            }
            figures["jobs"][which] = row
            print(which, json.dumps({key: row[key] for key in ("estimated", "cpu", "mb", "over")}), flush=True)
            args.out.write_text(json.dumps(figures, indent=1) + "\n")  # after each: a long run may be stopped
    names = [name for name in estimate.SECONDS if name != "start"]
    held = [name for name in estimate.MEGABYTES if name != "start"]
    figures["fitted"] = {
        "seconds": fit(figures["jobs"], names, "cpu", loading),
        "megabytes": fit(figures["jobs"], held, "mb", figures["start"]["mb"] - 100),
    }
    args.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures["fitted"]))


if __name__ == "__main__":
    main()
