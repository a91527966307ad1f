"""Every method of `vedit prompt-edit` on one clip, of which no true edit is known: a sheet to look at, and figures.

    python benchmarks/prompt_clips.py CLIP --source TEXT --target TEXT --out OUT [--methods A,B] [--take 8] [--size 256]

OUT gets the edits, sheet.png (the source, then a row for each method) and results.json: warp error, frame consistency
over all pairs and textual alignment by the model's own CLIP, and the seconds that the edit took, of which training.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from prompt_costs import METHODS, job

COLUMNS = ("warp_error", "frame_consistency_all", "textual_alignment")
WIDTH = 256  # pixels of a picture on the sheet


def figures(clip: str, edited: Path, prompt: str, encoder: Any) -> dict[str, float | None]:
    """`vedit evaluate`'s of an edit of the first frames of ``clip``."""
    from vedit.metrics.evaluate import Question, evaluate
    from vedit.metrics.pairs import Clips
    from vedit.metrics.registry import choose

    question = Question(choose(",".join(COLUMNS), frozenset({"clip", "prompt"})), prompt=prompt, clip=encoder)
    found = evaluate(Clips.open(clip, [str(edited)]), question).figures[0]
    return {name: found[name].value if name in found else None for name in COLUMNS}


def row(file: Path, at: list[int]) -> np.ndarray:
    """Some frames of a clip beside each other, BGR."""
    from vedit.video.info import probe
    from vedit.video.reader import Reader

    with Reader(file, probe(file)) as reader:
        frames = [frame.rgb() for index, frame in enumerate(reader) if index <= max(at)]
    height = round(WIDTH * frames[0].shape[0] / frames[0].shape[1])
    shown = [cv2.resize(frames[index], (WIDTH, height), interpolation=cv2.INTER_AREA) for index in at]
    return cv2.cvtColor(np.concatenate(shown, axis=1), cv2.COLOR_RGB2BGR)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip")
    parser.add_argument("--source", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--take", type=int, default=8, help="frames of the clip")
    parser.add_argument("--size", type=int, help="by default what an edit works at")
    args = parser.parse_args()
    from vedit.metrics.clip import Encoder

    args.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("VEDIT_CACHE", str(args.out / "cache"))
    encoder = Encoder.load("clip", args.model)
    results: dict[str, Any] = {}
    kept = args.out / "results.json"
    asked = {"clip": Path(args.clip).name, "source": args.source, "target": args.target, "frames": args.take}
    asked |= {"size": args.size, "model": args.model}
    if kept.is_file():
        found = json.loads(kept.read_text())
        results = found.pop("rows")
        if found != asked:
            parser.error(f"--out: {kept} is of {found}; choose another folder")
    for method in args.methods.split(","):
        edited = args.out / f"{method}.mkv"
        if method in results and edited.is_file():
            continue
        more = {} if args.size is None else {"size": args.size}
        done = job(
            args.clip, str(edited), method, args.source, args.target, model=args.model, end=str(args.take), **more
        )
        results[method] = {"timings": done["timings"], **figures(args.clip, edited, args.target, encoder)}
        print(method, json.dumps(results[method]), flush=True)
        kept.write_text(json.dumps(asked | {"rows": results}, indent=1) + "\n")
    at = [0, args.take // 2, args.take - 1]
    files = [Path(args.clip), *[args.out / f"{method}.mkv" for method in results]]
    cv2.imwrite(str(args.out / "sheet.png"), np.concatenate([row(file, at) for file in files]))


if __name__ == "__main__":
    main()
