"""Measure the command from outside: start-up, time and memory of an edit, and if the same job gives the same bytes.

python benchmarks/shell.py CLIP --out benchmarks/shell.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def seconds(command: list[str], runs: int) -> float:
    """Median wall time of a command."""
    taken = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])  # the first run fills the caches


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--instruction", default="make it snowy")
    args = parser.parse_args()
    vedit = [sys.executable, "-m", "vedit"]
    bare, helped = seconds([sys.executable, "-c", "import typer"], 7), seconds([*vedit, "--help"], 7)
    figures: dict[str, object] = {"help_over_import_typer": round(helped / bare, 2)}
    with tempfile.TemporaryDirectory() as folder:
        hashes = []
        for name, seed in (("a", 0), ("b", 0), ("c", 1)):
            out = Path(folder, f"{name}.mp4")
            options = ["-o", str(out), "--seed", str(seed), "--json"]
            command = [*vedit, "instruct", str(args.clip), args.instruction, *options]
            began = time.perf_counter()
            done = subprocess.run([*command, "--progress", "none"], check=True, capture_output=True, text=True)
            told = json.loads(done.stdout)
            told["wall"] = time.perf_counter() - began
            hashes.append(hashlib.sha256(out.read_bytes()).hexdigest())
            if name == "b":
                figures["edit"] = {
                    "frames": told["frames"],
                    "size": f"{told['width']}x{told['height']}",
                    "seconds": round(told["wall"], 1),
                    "peak_rss_mb": told["peak_rss_mb"],
                    "timings": told["timings"],
                    "settings": told["settings"],
                }
    figures["same_job_same_bytes"] = hashes[0] == hashes[1]
    figures["other_seed_other_bytes"] = hashes[0] != hashes[2]
    args.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
