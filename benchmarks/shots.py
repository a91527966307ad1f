"""The shot detector against PySceneDetect's, where every cut is known.

    python benchmarks/shots.py CLIP... --out benchmarks/results/shots.json

Shots of the clips and of drawn scenes, 16 to 40 frames each, are put one after the other (``cuts``: only those count);
and single shots get what is no cut: a flash, a fade to a quarter and back, exposure that climbs, a whip pan. A cut is
found if it is told at its very frame. Recall is over the cuts, ``false`` counts what else was told, by what was shown.
PySceneDetect runs with its own settings, and with shots allowed to be as short as one frame (``any length``), which
vedit needs: no window may cross a cut. Needs ``pip install scenedetect``.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vedit.video.info import probe
from vedit.video.reader import Reader
from vedit.video.shots import ShotDetector
from vedit.world.scene import draw_scene, render

Frames = np.ndarray  # (T, H, W, 3) uint8 RGB
HEIGHT, WIDTH = 144, 192
LONGEST = 48  # frames of a clip or scene that are used


def of_clip(path: Path) -> Frames:
    """The first frames of a clip, scaled and cropped to the middle."""
    made = []
    for source in Reader(path, probe(path)):
        picture = source.rgb()
        scale = max(HEIGHT / picture.shape[0], WIDTH / picture.shape[1])
        size = max(WIDTH, round(picture.shape[1] * scale)), max(HEIGHT, round(picture.shape[0] * scale))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        y, x = (picture.shape[0] - HEIGHT) // 2, (picture.shape[1] - WIDTH) // 2
        made.append(picture[y : y + HEIGHT, x : x + WIDTH])
        if len(made) == LONGEST:
            break
    return np.stack(made)


def drawn(seed: int) -> Frames:
    """A scene of the world."""
    return np.round(render(draw_scene(seed, HEIGHT, WIDTH, frames=LONGEST)).frames * 255).astype(np.uint8)


def gentle(shot: Frames) -> dict[str, Frames]:
    """What happens inside of a shot."""
    count = min(len(shot), 32)
    whole = shot[:count].astype(np.float32)
    flash, ramp = np.zeros(count), np.arange(count) / count
    flash[[count // 2, count // 2 + 1]] = 0.9
    level = 1 - 0.75 * np.maximum(0, 1 - np.abs(np.arange(count) - count // 2) / (count // 3))
    wide = cv2.resize(shot[0], (2 * WIDTH, HEIGHT * 2), interpolation=cv2.INTER_CUBIC)
    places = np.linspace(0, WIDTH, 8).astype(int)
    pan = np.stack([wide[:HEIGHT, x : x + WIDTH] for x in [*[0] * 6, *places, *[WIDTH] * 6]])

    def times(factor: np.ndarray) -> Frames:
        return np.clip(whole * factor[:, None, None, None], 0, 255).astype(np.uint8)

    lit = whole + (255 - whole) * flash[:, None, None, None]
    return {
        "as it is": shot,
        "flash": lit.astype(np.uint8),
        "fade": times(level),
        "exposure": times(1 + ramp),
        "whip pan": pan,
    }


def sequences(shots: list[Frames], count: int) -> Iterable[tuple[Frames, set[int]]]:
    """Frames with the indices of their cuts."""
    rng = np.random.default_rng(1)
    for _ in range(count):
        order = rng.permutation(len(shots))[:6]
        parts = [shots[i][: int(rng.integers(16, 41))] for i in order]
        yield np.concatenate(parts), {int(v) for v in np.cumsum([len(part) for part in parts])[:-1]}


def ours(frames: Frames) -> set[int]:
    """Where vedit sees cuts."""
    detector = ShotDetector()
    return {index for index, frame in enumerate(frames) if detector.push(frame)}


def theirs(kind: str, **settings: Any) -> Callable[[Frames], set[int]]:
    """Where a detector of PySceneDetect sees them."""
    from scenedetect import FrameTimecode, detectors

    def run(frames: Frames) -> set[int]:
        detector = getattr(detectors, kind)(**settings)
        found = []
        for index, frame in enumerate(frames):
            found += detector.process_frame(FrameTimecode(index, 25.0), np.ascontiguousarray(frame[..., ::-1]))
        found += detector.post_process(FrameTimecode(len(frames) - 1, 25.0))
        return {int(cut.frame_num) for cut in found}

    return run


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=7)
    parser.add_argument("--sequences", type=int, default=20)
    args = parser.parse_args()
    found: dict[str, Callable[[Frames], set[int]]] = {"vedit": ours}
    for kind in ("ContentDetector", "AdaptiveDetector", "HashDetector"):
        found[kind] = theirs(kind)
        found[f"{kind}, any length"] = theirs(kind, min_scene_len=1)
    shots = [of_clip(path) for path in args.clips] + [drawn(500 + index) for index in range(args.scenes)]
    hits, false, cuts = Counter[str](), {name: Counter[str]() for name in found}, 0
    for frames, known in sequences(shots, args.sequences):
        cuts += len(known)
        for name, run in found.items():
            told = run(frames)
            hits[name] += len(told & known)
            false[name]["cuts"] += len(told - known)
    for shot in shots:
        for what, frames in gentle(shot).items():
            for name, run in found.items():
                false[name][what] += len(run(frames))
    rows = {name: {"recall": round(hits[name] / cuts, 4), "false": dict(false[name])} for name in found}
    figures = {"cuts": cuts, "shots": len(shots), "detectors": rows}
    args.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
