"""Measure the pipe: decode, RGB, encode through vedit's threads, against the same in one loop of plain PyAV.

    python benchmarks/pipe.py [CLIP] --out benchmarks/results/pipe.json
    python benchmarks/pipe.py --encoder-threads 1 --out benchmarks/results/pipe_one_thread.json
    python benchmarks/pipe.py --parts --out benchmarks/results/pipe_parts.json
    python benchmarks/pipe.py --colours --out benchmarks/results/pipe_colours.json

Without a clip, one of 1920×1080 is drawn. All ways use the same codec, options and threads and take turns; the figures
are ratios of the medians of one run. "loop" converts colours as vedit does, "defaults" as PyAV does by itself, which is
several times quicker and shifts colours. ``--encoder-threads`` says how many threads the encoder has in all ways: with
as many as there are cores none is idle in the loop either. ``--parts`` says in milliseconds of processor time, which
other programs disturb little, where the time for a frame goes, and what other flags of swscale would cost.
``--colours`` says in grey levels how far each set of flags is off on flat colours and on fine ones, which needs no
quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from vedit.render import passthrough
from vedit.video.color import ACCURATE, Color, Converter, plane_array
from vedit.video.compose import compose
from vedit.video.encoding import EncoderOptions, plan_output
from vedit.video.info import probe


def draw(path: Path, frames: int) -> Path:
    """A clip of 1080p: a texture that slides, with a little noise."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (135, 260, 3), np.uint8)
    wide = cv2.resize(small, (2080, 1080), interpolation=cv2.INTER_CUBIC)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for k in range(frames):
            image = np.ascontiguousarray(wide[:, k % 150 : k % 150 + 1920])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def loop(source: Path, target: Path, encoder: EncoderOptions, accurate: bool = True) -> int:
    """The same work as people write it: one loop, one frame after the other."""
    info = probe(source)
    plan = plan_output(target, info, encoder)
    converter = Converter(info.color, info.width, info.height)
    count = 0
    with av.open(str(source)) as reader, av.open(str(target), "w", format=plan.format) as writer:
        video = reader.streams.video[0]
        video.thread_type = "AUTO"
        stream: Any = writer.add_stream(plan.codec, rate=info.rate, options=plan.options)
        stream.width, stream.height, stream.pix_fmt = info.width, info.height, plan.pix_fmt
        stream.codec_context.thread_count = plan.threads
        for frame in reader.decode(video):
            if accurate:
                made = converter.from_rgb(converter.to_rgb(frame), plan.pix_fmt)
            else:
                made = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
            made.pts, made.time_base = frame.pts, frame.time_base
            writer.mux(stream.encode(made))
            count += 1
        writer.mux(stream.encode(None))
    return count


_FAST = Interpolation.ACCURATE_RND | Interpolation.BITEXACT
# Flags of swscale on the way to RGB, by what is left out of the accurate ones.
FLAGS = {
    "to_rgb": ACCURATE,
    "to_rgb_with_bilinear_chroma": ACCURATE & ~Interpolation.BICUBIC | Interpolation.BILINEAR,
    "to_rgb_with_chroma_of_half_the_width": _FAST | Interpolation.BICUBIC,
}


def to_rgb_with(flags: int) -> Callable[[Any], np.ndarray]:
    """A conversion of BT.709 frames of limited range to RGB by these flags."""
    scaler = VideoReformatter()

    def convert(frame: Any) -> np.ndarray:
        made = scaler.reformat(
            frame, format="rgb24", src_colorspace=1, dst_colorspace=1, src_color_range=1, dst_color_range=2,
            interpolation=flags, threads=1,
        )  # fmt: skip
        return made.to_ndarray()

    return convert


def colours() -> dict[str, dict[str, float]]:
    """Grey levels by which each set of flags is off: from the matrix itself on flat colours, at most; and from the
    picture on average where colours change within a few pixels."""
    width, height = 64, 48
    converter = Converter(Color(1, False), width, height)
    rng = np.random.default_rng(0)
    flat = [np.broadcast_to(rng.integers(0, 256, 3, np.uint8), (height, width, 3)).copy() for _ in range(200)]
    noise = [rng.integers(0, 256, (height // 4, width // 4, 3), np.uint8) for _ in range(20)]
    fine = [cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC) for image in noise]
    ways = {name: to_rgb_with(flags) for name, flags in FLAGS.items()}
    ways["to_rgb_by_defaults"] = lambda frame: frame.to_ndarray(format="rgb24")
    found = {}
    for name, way in ways.items():
        frames = [converter.from_rgb(image, "yuv420p") for image in flat]
        shifts = [np.abs(way(frame) - exact(frame)).max() for frame in frames]
        losses = [np.abs(way(converter.from_rgb(image, "yuv420p")).astype(int) - image).mean() for image in fine]
        found[name] = {
            "flat_at_most": round(float(max(shifts)), 2),
            "fine_on_average": round(float(np.mean(losses)), 2),
        }
    return found


def exact(frame: Any) -> np.ndarray:
    """(3,) float RGB of a frame of one colour, BT.709 of limited range, by the matrix."""
    y, u, v = (float(plane_array(frame, k)[0, 0]) for k in range(3))
    y, u, v = (y - 16) * 255 / 219, (u - 128) * 255 / 224, (v - 128) * 255 / 224
    red, blue = 0.2126, 0.0722
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    return np.clip([r, (y - red * r - blue * b) / (1 - red - blue), b], 0, 255)


def parts(runs: int = 8) -> dict[str, float]:
    """Milliseconds of processor time for one frame of 1080p, by what is done with it."""
    cv2.setNumThreads(1)
    width, height = 1920, 1080
    rgb = cv2.resize(np.random.default_rng(0).integers(0, 255, (135, 240, 3), np.uint8), (width, height))
    small = cv2.resize(rgb, (456, 256), interpolation=cv2.INTER_AREA)
    before = small.astype(np.float32) / 255
    converter = Converter(Color(1, False), width, height)
    frame = converter.from_rgb(rgb, "yuv420p")

    ways: dict[str, Callable[[], Any]] = {
        "to_rgb": lambda: converter.to_rgb(frame),
        **{name: partial(to_rgb_with(flags), frame) for name, flags in FLAGS.items() if name != "to_rgb"},
        "to_rgb_by_defaults": lambda: frame.to_ndarray(format="rgb24"),
        "shrink": lambda: cv2.resize(rgb, (456, 256), interpolation=cv2.INTER_AREA),
        "compose": lambda: compose(rgb, before, 1 - before),
        "from_rgb": lambda: converter.from_rgb(rgb, "yuv420p"),
        "copy_into_a_frame": lambda: av.VideoFrame.from_ndarray(rgb, format="rgb24"),
    }
    taken = {}
    for name, way in ways.items():
        way()
        began = time.process_time()
        for _ in range(runs):
            way()
        taken[name] = round(1000 * (time.process_time() - began) / runs, 2)
    return taken


def defaults(source: Path, target: Path, encoder: EncoderOptions) -> int:
    """The loop with PyAV's own conversion."""
    return loop(source, target, encoder, accurate=False)


def threads(source: Path, target: Path, encoder: EncoderOptions) -> int:
    """Through vedit."""
    return passthrough.run(str(source), str(target), encoder).frames


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=100, help="of the clip that is drawn")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--encoder-threads", type=int, help="by default as many as vedit's own")
    parser.add_argument("--parts", action="store_true", help="processor time of each part instead")
    parser.add_argument("--colours", action="store_true", help="how far other flags move colours instead")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.parts or args.colours:
        args.out.write_text(json.dumps(parts() if args.parts else colours(), indent=1) + "\n")
        print(args.out.read_text())
        return
    encoder = EncoderOptions(threads=args.encoder_threads)
    ways = {"loop": loop, "defaults": defaults, "vedit": threads}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    frames = {}
    with tempfile.TemporaryDirectory() as folder:
        source = args.clip or draw(Path(folder, "in.mp4"), args.frames)
        info = probe(source)
        for _ in range(args.runs):
            for name, way in ways.items():
                began = time.perf_counter()
                frames[name] = way(source, Path(folder, f"{name}.mp4"), encoder)
                taken[name].append(time.perf_counter() - began)
    if len(set(frames.values())) > 1:
        raise SystemExit(f"not the same work: {frames}")
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    figures = {
        "size": f"{info.display_width}x{info.display_height}",
        "frames": frames["vedit"],
        "runs": args.runs,
        "encoder_threads": plan_output(Path("out.mp4"), info, encoder).threads,
        "cores": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 1),  # other programs on the same cores make the ratio worthless
        "frames_per_second": {name: round(frames[name] / seconds, 1) for name, seconds in medians.items()},
        "over_loop": round(medians["loop"] / medians["vedit"], 2),
        "over_defaults": round(medians["defaults"] / medians["vedit"], 2),
    }
    args.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
