"""What `vedit prompt-edit` costs and how exact its inversion is.

    python benchmarks/prompt_costs.py cache CLIP --source TEXT --target TEXT --target2 TEXT --out OUT
    python benchmarks/prompt_costs.py reconstruction CLIP... --source TEXT --out OUT [--size 256]
    python benchmarks/prompt_costs.py length CLIP --source TEXT --target TEXT --out OUT [--frames 8,32,96] [--steps 2]

cache: every method edits a clip twice, with two targets, from an empty cache. The second time the way back to noise
lies there; the ratio of the times of the whole job stands beside its bound, the ratio of the frames that the network
sees (an evaluation of TokenFlow's keyframes sees few of them).
reconstruction: source prompt, guidance 1, back and forth: PSNR to the source through the codec alone, for plain
inversion of 50 and 250 steps and for fixed-point iterations. length: peak memory of every method, a process each,
against the number of frames.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

STEPS = 50  # of the sampler, in reconstruction
METHODS = ("sdedit", "text2video-zero", "fatezero", "tokenflow", "tune-a-video", "tcve")


def job(clip: str, output: str, method: str, source: str, target: str, **more: Any) -> dict[str, Any]:
    """Run a job as the shell would; its report."""
    from vedit import render
    from vedit.cache import Cache
    from vedit.cli.tuning import tuned
    from vedit.jobs import EditJob

    described = EditJob.build(
        command="prompt-edit", input=clip, output=output, source_prompt=source, prompt=target, method=method,
        device="cpu", overwrite=True, **more,
    )  # fmt: skip
    from vedit import engines
    from vedit.render import estimate

    kept = Cache.default()
    with tuned(render.plan(described), "none", kept) as ready:
        shares = estimate.shares(ready.edited_frames, ready.window, ready.overlap)
        work = engines.work(method, ready.bundle, ready.settings, shares)
        seen = {"work": {"frames": work.frames, "inversion": work.inversion_evaluations}}
        return render.run(ready, cache=kept).report() | seen


def of_process(**fields: Any) -> dict[str, Any]:
    """:func:`job` in a process of its own, so that peak memory is its own."""
    done = subprocess.run(
        [sys.executable, __file__, "job", "--fields", json.dumps(fields)], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def cache(args: argparse.Namespace) -> dict[str, Any]:
    """Both edits of every method."""
    import os

    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VEDIT_CACHE"] = str(Path(folder, "cache"))
        for method in args.methods.split(","):
            common: dict[str, Any] = {
                "clip": args.clips[0], "method": method, "source": args.source, "model": args.model,
                "settings": json.loads(args.settings), "end": str(args.take),
            }  # fmt: skip
            # The adapter of a tuned method is trained before, since it is no part of what the inversion costs.
            of_process(**common | {"settings": {"steps": 1}}, output=f"{folder}/0.mkv", target=args.target)
            first = of_process(**common, output=f"{folder}/1.mkv", target=args.target)
            second = of_process(**common, output=f"{folder}/2.mkv", target=args.target2)
            rows[method] = {
                "first_seconds": first["timings"]["total"], "second_seconds": second["timings"]["total"],
                "ratio": first["timings"]["total"] / second["timings"]["total"],
                # One window: every evaluation of the inversion sees all of its frames.
                "bound": first["work"]["frames"] / (first["work"]["frames"] - first["work"]["inversion"] * args.take),
                "invert_seconds": [r["timings"].get("invert", 0.0) for r in (first, second)],
                "evaluations": [r["evaluations"] for r in (first, second)],
                "inversion_evaluations": [r["inversion_evaluations"] for r in (first, second)],
            }  # fmt: skip
            print(method, json.dumps(rows[method]), flush=True)
    return rows


def reconstruction(args: argparse.Namespace) -> dict[str, Any]:
    """There and back again by the source prompt."""
    import torch
    from instruct import psnr, read_clip, to_array, to_tensor

    from vedit import engines, weights
    from vedit.diffusion.inversion import invert
    from vedit.diffusion.sampling import ddim
    from vedit.engines.shared import Tally

    bundle = weights.open_bundle(args.model, "text2image")
    engine: Any = engines.load("sdedit", bundle, {}, device="cpu", dtype="fp32")
    ways = {
        "50 steps": {},
        "250 inversion steps": {"inversion_steps": 250},
        "50 steps, 3 fixed-point iterations": {"fixed_point": 3},
    }
    rows: dict[str, Any] = {}
    with torch.inference_mode():
        for clip, said in zip(args.clips, args.source.split("|"), strict=True):
            frames = read_clip(Path(clip), args.take, args.size)
            source = engine.codec.encode(to_tensor(frames))
            alone = psnr(np.clip(to_array(engine.codec.decode(source)), 0, 1), frames)
            kept = rows["/".join(Path(clip).parts[-2:])] = {"codec alone": alone}
            for name, options in ways.items():

                def predict(z: torch.Tensor, timestep: int, said: str = said) -> torch.Tensor:
                    return engine.predict(z, timestep, said, Tally())

                def denoise(z: torch.Tensor, step: Any, said: str = said) -> torch.Tensor:
                    return engine.schedule.to_clean(engine.predict(z, step.timestep, said, Tally()), z, step.timestep)

                way = invert(predict, source, engine.schedule, STEPS, **options)
                back = ddim(denoise, way.noise, engine.schedule, STEPS, start=way.start)
                kept[name] = psnr(np.clip(to_array(engine.codec.decode(back)), 0, 1), frames)
                print(clip, name, kept[name], "codec", alone, flush=True)
    return rows


def length(args: argparse.Namespace) -> dict[str, Any]:
    """Peak memory in MB by method and number of frames."""
    import os

    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VEDIT_CACHE"] = str(Path(folder, "cache"))
        for method in args.methods.split(","):
            rows[method] = {}
            for frames in (int(n) for n in args.frames.split(",")):
                fields: dict[str, Any] = {
                    "clip": args.clips[0], "output": f"{folder}/x.mkv", "method": method, "source": args.source,
                    "model": args.model, "end": str(frames), "settings": {"steps": args.steps}, "size": 128,
                }  # fmt: skip
                # A tuned method trains in the first process, whose memory is no part of the edit's.
                of_process(**fields | {"settings": {"steps": 1}}, target=args.target)
                done = of_process(**fields, target=args.target)
                rows[method][frames] = done["peak_rss_mb"]
                print(method, frames, done["peak_rss_mb"], flush=True)
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cache", "reconstruction", "length", "job"])
    parser.add_argument("clips", nargs="*")
    parser.add_argument("--source", help="what the clip shows; for reconstruction one for each clip, split by |")
    parser.add_argument("--target")
    parser.add_argument("--target2")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--settings", default='{"steps": 50}')
    parser.add_argument("--take", type=int, default=8, help="frames of the clip")
    parser.add_argument("--size", type=int, default=256, help="short side in pixels, for reconstruction")
    parser.add_argument("--frames", default="8,32,96")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--fields", help=argparse.SUPPRESS)
    args = parser.parse_intermixed_args()
    needed = {"cache": ("source", "target", "target2", "out"), "reconstruction": ("source", "out")}
    needed["length"] = ("source", "target", "out")
    missing = [name for name in needed.get(args.what, ()) if getattr(args, name) is None]
    if missing or (not args.clips and args.what != "job"):
        parser.error(f"{args.what}: give CLIP and {', '.join(f'--{name}' for name in needed[args.what])}")
    if args.what == "job":
        print(json.dumps(job(**json.loads(args.fields))))
        return
    rows = {"cache": cache, "reconstruction": reconstruction, "length": length}[args.what](args)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({"what": args.what, "model": args.model, "rows": rows}, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
