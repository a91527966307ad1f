"""One clip through `vedit drag-motion`, as a person would run it: along a track, and along its mirror image.

    python benchmarks/drag_clip.py CLIP --region X,Y,W,H --track "x,y x,y" --out OUT [--end 8] [--patch 32]
    python benchmarks/drag_clip.py --drawn 90 --out OUT

The second draws a clip of so many frames itself: one thing at rest before a background at rest, asked to travel.
Results are lossless, so that what lies outside of the region can be compared sample for sample. Printed, and written to
``OUT/results.json``, for the track and for the mirrored one:

- ``along``: how far the patch around the track's first point went along the track's direction, as a share of the
  track's length: 1 is where it was asked to go, negative the other way. The patch is looked for anywhere in the region
  of the last frame, by normalised correlation; ``match`` is the best;
- ``side``: whether the last frame has the thing's colour rather at the track's end than at its mirror image: how much
  farther the mean of a disc of half the patch there is from its mean at the start, grey levels. Positive at the track's
  end, negative at the other; it finds a thing that lost its detail. The row ``source`` has it of the clip as it was;
- ``error``: mean distance of the patch from the track over all frames, as a share of the length;
- ``drift``: the largest of red, green and blue, grey levels over the clip, as the command reports it;
- ``outside``: the largest difference to the source outside of the region, of all samples, of the brightness and of the
  colours;
- ``windows`` and ``seconds``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

SHOWN = 8  # frames of a sheet


def read(path: Path, count: int | None = None) -> tuple[np.ndarray, list[np.ndarray]]:
    """RGB (T, H, W, 3) and the samples of each plane (T, h, w) of a clip of eight bits."""
    colours: list[np.ndarray] = []
    planes: list[list[np.ndarray]] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            colours.append(frame.to_ndarray(format="rgb24"))
            planes.append([np.frombuffer(bytes(p), np.uint8).reshape(p.height, -1)[:, : p.width] for p in frame.planes])
            if len(colours) == count:
                break
    return np.stack(colours), [np.stack(plane) for plane in zip(*planes, strict=True)]


def beyond(made: list[np.ndarray], source: list[np.ndarray], inside: np.ndarray) -> int:
    """The largest difference of samples of which no pixel lies in ``inside`` (H, W)."""
    found = 0
    for ours, theirs in zip(made, source, strict=True):
        height, width = theirs.shape[1:]
        part = cv2.resize(inside.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0
        found = max(found, int(np.abs(ours.astype(int) - theirs)[:, ~part].max(initial=0)))
    return found


def draw(path: Path, frames: int, side: int = 256) -> tuple[str, str]:
    """Write a clip of one thing that rests; returns a region and a track for it."""
    from vedit.world.clipfile import write_clip
    from vedit.world.scene import draw_scene, render

    scene = draw_scene(5_100_000, side, side, frames, place="leaves", things=1)
    thing = replace(
        scene.things[0], shape="ball", colour="red", size=0.075, start=(0.5, 0.5), velocity=(0.0, 0.0), bend=(0.0, 0.0),
        spin=0.0, wobble=(0.0, 0.1),
    )  # fmt: skip
    scene = replace(scene, things=(thing,), pan=(0.0, 0.0), zoom=0.0, shake=0.0, noise=0.002)
    write_clip(path, render(scene).frames)
    middle = side // 2
    return f"{middle - 64},{middle - 40},128,80", f"{middle},{middle} {middle + 36},{middle}"


def matched(frames: np.ndarray, box: tuple[int, int, int, int], start: np.ndarray, patch: int) -> tuple[Any, float]:
    """(T, 2): where the patch of the first frame around ``start`` is in each frame, in the region; the last match."""
    x, y, width, height = box
    half = patch // 2
    left, top = (round(float(v)) - half for v in start)
    template = frames[0][top : top + patch, left : left + patch]
    places, score = [], 0.0
    for frame in frames:
        found = cv2.matchTemplate(frame[y : y + height, x : x + width], template, cv2.TM_CCOEFF_NORMED)
        _, score, _, best = cv2.minMaxLoc(found)
        places.append([x + best[0] + half, y + best[1] + half])
    return np.array(places, np.float64), float(score)


def side(first: np.ndarray, last: np.ndarray, way: np.ndarray, patch: int) -> float:
    """Of two frames (H, W, 3): see the head."""

    def colour(frame: np.ndarray, at: np.ndarray) -> np.ndarray:
        disc = np.zeros(frame.shape[:2], np.uint8)
        cv2.circle(disc, (round(float(at[0])), round(float(at[1]))), max(1, patch // 4), 1, -1)
        return frame[disc > 0].mean(0)

    thing = colour(first, way[0])
    there, mirrored = (np.linalg.norm(colour(last, at) - thing) for at in (way[-1], 2 * way[0] - way[-1]))
    return float(mirrored - there)


def edit(clip: Path, region: str, way: np.ndarray, out: Path, more: list[str]) -> dict[str, Any]:
    """Run the command; returns its own report."""
    track = " ".join(f"{x:g},{y:g}" for x, y in way)
    command = [sys.executable, "-m", "vedit", "drag-motion", str(clip), "--region", region, "--track", track,
               "-o", str(out), "-y", "--codec", "ffv1", "--json", "--progress", "none", *more]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)  # what it says of errors is seen
    if done.returncode:
        raise SystemExit(f"{out.stem}: vedit ended with {done.returncode}")
    return json.loads(done.stdout)


def sheet(rows: list[np.ndarray], ways: list[np.ndarray], height: int = 200) -> np.ndarray:
    """The source and both results, one below the other, with where the track is at each frame shown."""
    count = len(rows[0])
    shown = np.unique(np.linspace(0, count - 1, min(SHOWN, count)).round().astype(int))
    drawn = []
    for clip, way in zip(rows, ways, strict=True):
        at = np.linspace(0, len(way) - 1, count)
        tiles = []
        for index in shown:
            tile = clip[index].copy()
            place = [np.interp(at[index], np.arange(len(way)), way[:, axis]) for axis in (0, 1)]
            cv2.circle(tile, (round(place[0]), round(place[1])), max(2, len(tile) // 80), (255, 255, 255), 2)
            width = round(height * tile.shape[1] / tile.shape[0])
            tiles.append(cv2.resize(tile, (width, height), interpolation=cv2.INTER_AREA))
        drawn.append(np.concatenate(tiles, 1))
    return np.concatenate(drawn)[..., ::-1]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, nargs="?")
    parser.add_argument("--drawn", type=int, metavar="FRAMES")
    parser.add_argument("--region", help="x,y,width,height")
    parser.add_argument("--track", help="x,y x,y ...")
    parser.add_argument("--end", type=int, help="frames that are edited, from the first; by default all")
    parser.add_argument("--patch", type=int, default=32, help="pixels of the patch that is looked for")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--option", action="append", default=[], help="any other of the command, --option=--steps=8")
    args = parser.parse_args()
    if (args.clip is None) == (args.drawn is None) or (args.clip is not None and not (args.region and args.track)):
        parser.error("give a clip with --region and --track, or --drawn FRAMES")
    args.out.mkdir(parents=True, exist_ok=True)
    clip, region, track = args.clip, args.region, args.track
    if clip is None:
        clip = args.out / "drawn.mp4"
        region, track = draw(clip, args.drawn)
    box: Any = tuple(int(part) for part in region.split(","))
    way = np.array([[float(v) for v in word.split(",")] for word in track.split()])
    mirror = 2 * way[0] - way
    if ((mirror < box[:2]) | (mirror >= np.add(box[:2], box[2:]))).any():
        parser.error(f"--track: its mirror image leads to {mirror[-1].tolist()}, out of the region; make that wider")
    source, samples = read(clip, args.end)
    inside = np.zeros(source.shape[1:3], bool)
    inside[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] = True
    more = [*args.option, *([] if args.end is None else ["--end", str(args.end)])]
    length = float(np.linalg.norm(np.diff(way, axis=0), axis=1).sum())
    heading = (way[-1] - way[0]) / np.linalg.norm(way[-1] - way[0])
    rows, ways = [source], [way]
    results: dict[str, Any] = {"region": region, "asked": track, "frames": len(source)}
    results["source"] = {"side": round(side(source[0], source[-1], way, args.patch), 1)}
    for name, asked in (("track", way), ("mirrored", mirror)):
        done = edit(clip, region, asked, args.out / f"{name}.mkv", more)
        made, own = read(args.out / f"{name}.mkv", args.end)
        places, score = matched(made, box, way[0], args.patch)
        at = np.linspace(0, len(asked) - 1, len(made))
        wanted = np.stack([np.interp(at, np.arange(len(asked)), asked[:, axis]) for axis in (0, 1)], 1)
        results[name] = {
            "along": round(float((places[-1] - places[0]) @ heading) / length, 3),
            "match": round(score, 3),
            "side": round(side(source[0], made[-1], way, args.patch), 1),
            "error": round(float(np.linalg.norm(places - places[0] - (wanted - wanted[0]), axis=1).mean()) / length, 3),
            "drift": None if done["color_drift"] is None else max(done["color_drift"], key=abs),
            "outside": beyond(own, samples, inside),
            "windows": done["windows"],
            "seconds": round(done["timings"]["total"], 1),
            "warnings": done["warnings"],
        }
        rows.append(made)
        ways.append(asked)
    cv2.imwrite(str(args.out / "sheet.png"), sheet(rows, ways))
    (args.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
