"""Measure how much memory a whole edit takes as clips get longer: the command in a process of its own, nano behind it.

    python benchmarks/memory.py --out benchmarks/results/memory.json [--frames 60,600,3000] [--size 64]

One drawn clip a length, with sound, small frames and a cut in the middle. ``over_shortest`` is what is asked for: at
most 1.1 at ten times the length.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np


def draw(path: Path, frames: int, width: int, height: int, cut: bool = True) -> Path:
    """A texture that slides, another one after the ``cut`` in the middle, and a tone beside it."""
    rng = np.random.default_rng(0)
    halves = [
        cv2.resize(rng.integers(0, 255, (9, 40, 3), np.uint8), (4 * width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(2)
    ]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "28"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        sound: Any = container.add_stream("aac", rate=48000)
        for k in range(frames):
            left = (2 * k) % (3 * width)
            picture = np.ascontiguousarray(halves[cut and 2 * k >= frames][:, left : left + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            wave = np.sin(np.arange(k * 1920, (k + 1) * 1920, dtype=np.float32) / 20)[None].repeat(2, 0)
            tone = av.AudioFrame.from_ndarray(0.1 * wave, format="fltp", layout="stereo")
            tone.sample_rate, tone.pts, tone.time_base = 48000, k * 1920, Fraction(1, 48000)
            container.mux(sound.encode(tone))
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    return path


def measure(clip: Path, out: Path, instruction: str, size: int) -> dict[str, Any]:
    """What one edit took."""
    options = ["--size", str(size), "--threads", "1", "--json", "--progress", "none", "-y", "-o", str(out)]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "vedit", "instruct", str(clip), instruction, *options],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    return {
        "frames": told["frames"],
        "windows": told["windows"],
        "peak_rss_mb": told["peak_rss_mb"],
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", default="60,600,3000")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--instruction", default="make it sepia")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    width, height = 160, 96
    figures: dict[str, Any] = {"clip": f"{width}x{height}", "size": args.size, "instruction": args.instruction}
    figures["load_average"] = round(os.getloadavg()[0], 1)  # of other programs: seconds say nothing where it is high
    figures["rows"] = []
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for frames in map(int, args.frames.split(",")):
            clip = draw(Path(folder, f"{frames}.mp4"), frames, width, height)
            row = measure(clip, Path(folder, "out.mp4"), args.instruction, args.size)
            figures["rows"].append(row)
            row["over_shortest"] = round(row["peak_rss_mb"] / figures["rows"][0]["peak_rss_mb"], 3)
            print(json.dumps(row), flush=True)
            args.out.write_text(json.dumps(figures, indent=1) + "\n")  # after each: a long run may be stopped


if __name__ == "__main__":
    main()
