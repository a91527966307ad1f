"""In which words nano does each of its edits best, measured on scenes that no training draws from.

    python -m vedit.training.recipes.nano_words --model models/nano [--scenes 4]

People ask in many ways, and the network does the same edit better in some words than in others. The text encoder tells
more surely what is meant, so the engine asks in the best words where that is clear
(:meth:`vedit.engines.shared.Knowledge.plain`). Candidates are the phrasings of the training that somebody wrote; the
best is that whose edits are nearest to the exact operation on average (PSNR). Goes into the instruct model's preset as
``plain_words``, in the order of the known directions; empty for what falls (snow, rain), of which PSNR prefers little.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from vedit.world import operations, phrasings
from vedit.world.scene import draw_scene, render

SEED = 7  # of the scenes; trainings draw from others
SIZE = 256  # pixels: what nano works at

Edit = Callable[[np.ndarray, str], np.ndarray]  # a frame (1, H, W, 3) in [0, 1] and what is asked → the edited one


def best_words(edit: Edit, frames: Sequence[np.ndarray], candidates: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """For each operation the candidate by which ``edit`` comes nearest to it on ``frames``, each (1, H, W, 3)."""
    best = {}
    for name, texts in candidates.items():
        exact = [operations.apply(name, frame, seed=0) for frame in frames]

        def score(text: str, exact: list[np.ndarray] = exact) -> float:
            errors = [float(np.square(edit(f, text) - e).mean()) for f, e in zip(frames, exact, strict=True)]
            return float(np.mean(-10 * np.log10(np.maximum(errors, 1e-10))))

        scores = {text: score(text) for text in texts}
        best[name] = max(scores, key=scores.__getitem__)
        low, high = min(scores.values()), max(scores.values())
        print(f"{name}: {best[name]!r}, {high:.1f} dB, the worst {low:.1f} dB", flush=True)
    return best


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("models/nano"))
    parser.add_argument("--scenes", type=int, default=4)
    args = parser.parse_args()

    from vedit import engines, weights
    from vedit.engines.base import Window

    bundle = weights.open_bundle(str(args.model), "instruct")
    engine = engines.load("instructvid2vid", bundle, {"reword": False}, device="cpu", dtype="auto")

    def edit(frame: np.ndarray, text: str) -> np.ndarray:
        given = torch.from_numpy(frame).permute(0, 3, 1, 2) * 2 - 1
        made = engine.edit(Window(given, 0, 0, None), text).frames  # type: ignore[attr-defined]
        return ((made.float().clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1).numpy()

    frames = [render(draw_scene(SEED * 1_000_000 + k, SIZE, SIZE, frames=1)).frames for k in range(args.scenes)]
    found = best_words(edit, frames, {
        name: phrasings.TRAIN[name] for name in operations.OPERATIONS if name not in operations.FALLS
    })  # fmt: skip
    preset = args.model / "instruct" / "preset.json"
    words = [found.get(name, "") for name in (*operations.OPERATIONS, *phrasings.OBJECT_EDITS)]
    preset.write_text(json.dumps(json.loads(preset.read_text()) | {"plain_words": words}, indent=2) + "\n")
    weights.write_manifest(args.model)


if __name__ == "__main__":
    main()
