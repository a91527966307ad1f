"""Whether an edit is nearest to what was asked, for every phrasing that was kept out of training.

    python benchmarks/nearest.py CLIP... --out benchmarks/results/nearest.json [--frames 1]

At the working size (short side 256). Every phrasing of every operation is given to the engine; its result counts when
it is nearer (mean squared error) to the exact operation than to any other of the world's operations. Two lists: the
phrasings that the project kept for testing (``world/phrasings.py``) and those of ``phrasings.json``, written by
somebody who had not seen the project's own.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, cast

import numpy as np
from instruct import finite, read_clip, to_array, to_tensor

from vedit.world import operations, phrasings


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--phrasings", type=Path, default=Path(__file__).with_name("phrasings.json"))
    parser.add_argument("--only", choices=["kept", "foreign"], help="one of the two lists")
    parser.add_argument("--setting", action="append", default=[], help="of the method, key=value")
    args = parser.parse_args()

    from vedit import engines, weights
    from vedit.engines.base import Window
    from vedit.engines.instructvid2vid import InstructVid2Vid

    bundle = weights.open_bundle(args.model, "instruct")
    settings = dict(item.split("=", 1) for item in args.setting)
    engine = cast(InstructVid2Vid, engines.load("instructvid2vid", bundle, settings, device="cpu", dtype="auto"))
    lists = {"kept": phrasings.TEST, "foreign": json.loads(args.phrasings.read_text())}
    lists = {key: value for key, value in lists.items() if args.only in (None, key)}
    started = time.time()
    rows: list[dict[str, Any]] = []
    for path in args.clips:
        source = read_clip(path, args.frames)
        exact = {name: operations.apply(name, source, seed=0) for name in operations.OPERATIONS}
        for key, texts in lists.items():
            for name in operations.OPERATIONS:
                for prompt in texts[name]:
                    result = to_array(engine.edit(Window(to_tensor(source), 0, 0, None), prompt).frames)
                    errors = {other: float(np.mean((result - e) ** 2)) for other, e in exact.items()}
                    nearest = min(errors, key=errors.__getitem__)
                    rows.append(
                        {"list": key, "clip": path.stem, "operation": name, "prompt": prompt, "nearest": nearest}
                    )
        print(path.stem, round(time.time() - started), "s", flush=True)
    figures: dict[str, Any] = {
        "frames": args.frames, "clips": [path.stem for path in args.clips], "model": bundle.name,
        "parts_sha256": bundle.parts_sha256, "settings": engine.settings.model_dump(mode="json"),
    }  # fmt: skip
    for key in lists:
        own = [row for row in rows if row["list"] == key]
        wrong = [row for row in own if row["nearest"] != row["operation"]]
        shares = {
            name: round(sum(row["nearest"] == name for row in own if row["operation"] == name)
                        / sum(row["operation"] == name for row in own), 3)
            for name in operations.OPERATIONS
        }  # fmt: skip
        figures[key] = {
            "edits": len(own),
            "nearest": round(1 - len(wrong) / len(own), 4),
            "nearest_by_clip": {
                clip: round(
                    float(np.mean([row["nearest"] == row["operation"] for row in own if row["clip"] == clip])), 4
                )
                for clip in figures["clips"]
            },
            "operations_below_90": {name: share for name, share in shares.items() if share < 0.9},
            "taken_for": Counter(f"{row['operation']} → {row['nearest']}" for row in wrong).most_common(12),
            "wrong": [{k: row[k] for k in ("clip", "operation", "prompt", "nearest")} for row in wrong],
        }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(finite(figures), indent=1, ensure_ascii=False) + "\n")
    shown = {key: {k: v for k, v in figures[key].items() if k != "wrong"} for key in lists}
    print(json.dumps(shown, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
