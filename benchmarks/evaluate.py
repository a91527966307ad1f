"""Measure eight edits of a model on real clips with `vedit evaluate`'s own measures, against the exact operations.

    python benchmarks/evaluate.py CLIP... --out OUT [--model nano] [--frames 6]

Every clip is cut to its first frames, brought to a short side of 256 and kept without loss. For every operation the
clip is edited as `vedit instruct` does it, with a phrasing that was kept out of training, and the exact operation is
written beside it. Both are measured as edits of the source, and against the exact one as reference. OUT gets
results.json, table.md, and for every clip a report with all of nano's edits.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vedit.metrics.clip import Encoder
from vedit.metrics.evaluate import Figure, Question, evaluate
from vedit.metrics.pairs import Clips
from vedit.metrics.registry import choose
from vedit.metrics.report import Report
from vedit.world import operations, phrasings

EIGHT = ("black-and-white", "sepia", "night", "snow", "fog", "underwater", "pencil-sketch", "oil-painting")
COLUMNS = (
    "psnr_reference", "ssim_reference", "psnr", "warp_error", "frame_difference", "colour_drift", "sharpness_ratio",
    "frame_consistency_all", "frame_consistency_adjacent", "textual_alignment", "directional_similarity",
)  # fmt: skip
SHORT = 256


def read_clip(path: Path, count: int) -> tuple[np.ndarray, Fraction]:
    """The first ``count`` frames (T, H, W, 3) uint8 at a short side of 256, even sizes, and the rate in frames/s."""
    from vedit.video.info import probe
    from vedit.video.reader import Reader

    frames, info = [], probe(path)
    with Reader(path, info) as reader:
        for source in reader:
            picture = source.rgb()
            scale = SHORT / min(picture.shape[:2])
            size = (round(picture.shape[1] * scale / 2) * 2, round(picture.shape[0] * scale / 2) * 2)
            frames.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
            if len(frames) == count:
                break
    return np.stack(frames), info.rate


def write_clip(path: Path, frames: np.ndarray, rate: Fraction) -> Path:
    """Without loss: FFV1 of RGB."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "bgr0"
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = index, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def instruct(source: Path, output: Path, prompt: str, model: str) -> None:
    """As `vedit instruct` does it, written without loss."""
    from vedit import render
    from vedit.jobs import EditJob

    job = EditJob.build(
        command="instruct", input=str(source), output=str(output), prompt=prompt, model=model, codec="ffv1",
        device="cpu", overwrite=True,
    )  # fmt: skip
    render.run(render.plan(job))


def value(figure: Figure) -> float | str | None:
    """For JSON."""
    return "inf" if figure.value is not None and math.isinf(figure.value) else figure.value


def measure(work: Path, clip: Path, name: str, frames: int, model: str, encoder: Encoder) -> dict[str, Any]:
    """One edit: figures of the model's and of the exact one."""
    source = work / f"{clip.stem}.mkv"
    edited, exact = work / f"{clip.stem}-{name}.mkv", work / f"{clip.stem}-{name}-exact.mkv"
    pictures, rate = read_clip(clip, frames)
    if not source.exists():
        write_clip(source, pictures, rate)
    truth = operations.apply(name, pictures.astype(np.float32) / 255, seed=0)
    write_clip(exact, np.round(truth * 255).astype(np.uint8), rate)
    prompt = phrasings.TEST[name][0]
    instruct(source, edited, prompt, model)
    shown = phrasings.describe(name, np.random.default_rng(0), None)
    clips = Clips.open(str(source), [str(edited), str(exact)], reference=str(exact))
    given = frozenset({"reference", "clip", "prompt", "source_prompt"})
    question = Question(
        choose(",".join(COLUMNS), given), prompt=shown, source_prompt="a video", clip=encoder
    )  # fmt: skip
    answer = evaluate(clips, question)
    of_model, of_exact = answer.figures
    return {
        "clip": clip.stem,
        "operation": name,
        "instruction": prompt,
        "prompt": shown,
        "edit": {name: value(figure) for name, figure in of_model.items()},
        "exact": {name: value(figure) for name, figure in of_exact.items()},
        "source": {name: figure.source for name, figure in of_model.items() if figure.measure.beside},
    }


def report(work: Path, out: Path, clip: Path, encoder: Encoder) -> None:
    """The page with the source and all eight edits."""
    edits = [str(work / f"{clip.stem}-{name}.mkv") for name in EIGHT]
    clips = Clips.open(str(work / f"{clip.stem}.mkv"), edits)
    question = Question(choose(None, frozenset({"clip"})), clip=encoder)
    with Report(str(out / f"report-{clip.stem}"), clips, question, overwrite=True) as page:
        page.commit(evaluate(clips, question, watcher=page))


def shown(figure: float | str | None) -> str:
    """For the table; an infinite or undefined figure is a word."""
    return "–" if figure is None else figure if isinstance(figure, str) else f"{figure:.4g}"


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: the edit's figure, then the exact one's in brackets where it says something."""
    columns = ("psnr_reference", "ssim_reference", "warp_error", "frame_difference", "colour_drift", "sharpness_ratio",
             "frame_consistency_adjacent", "textual_alignment", "directional_similarity")  # fmt: skip
    lines = [f"| clip | operation | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for row in rows:
        cells = []
        for name in columns:
            own, exact = (shown(row[of][name]) for of in ("edit", "exact"))
            cells.append(own if name.endswith("_reference") else f"{own} ({exact})")
        lines.append(f"| {row['clip']} | {row['operation']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def save(out: Path, frames: int, model: str, clip_model: str, rows: list[dict[str, Any]]) -> None:
    """After every edit, so that a run that is stopped has something to show."""
    summary = {"frames": frames, "model": model, "clip_model": clip_model, "rows": rows}
    (out / "results.json").write_text(json.dumps(summary, indent=1) + "\n")
    (out / "table.md").write_text(table(rows))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--frames", type=int, default=6)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    encoder = Encoder.load("clip", "nano")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for clip in args.clips:
            for name in EIGHT:
                rows.append(measure(Path(folder), clip, name, args.frames, args.model, encoder))
                print(json.dumps(rows[-1]), flush=True)
                save(args.out, args.frames, args.model, encoder.name, rows)
            report(Path(folder), args.out, clip, encoder)


if __name__ == "__main__":
    main()
