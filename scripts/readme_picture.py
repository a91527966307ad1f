"""Make docs/sheet.png, the picture of the README: one frame of the sample clip and what nano makes of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from vedit import engines, weights
from vedit.engines.base import Window
from vedit.video.compose import compose
from vedit.video.info import probe
from vedit.video.reader import Reader
from vedit.video.sheet import contact_sheet, save_png

ASKED = (
    "make it snowy",
    "turn it into night",
    "a foggy morning",
    "put it under water",
    "make it a pencil sketch",
    "like an oil painting",
    "old film look",
)
FRAMES = (10, 38)


def main() -> None:
    """Write the picture."""
    root = Path(__file__).parents[1]
    clip = root / "examples" / "meadow.mp4"
    source = [frame.rgb() for frame in Reader(clip, probe(clip)) if frame.index in FRAMES]
    engine = engines.load("instructvid2vid", weights.open_bundle("nano"), {}, seed=0, device="cpu", dtype="auto")
    small = np.stack([cv2.resize(s, (384, 256), interpolation=cv2.INTER_AREA) for s in source]).astype(np.float32)
    window = Window(torch.from_numpy(small / 127.5 - 1).permute(0, 3, 1, 2).contiguous(), 0, 0, None)
    rows, labels = [source], ["the clip"]
    for asked in ASKED:
        result = engine.edit(window, asked)
        unit = [
            ((t.float().clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1).numpy()
            for t in (result.reconstruction, result.frames)
        ]
        rows.append([compose(s, r, e) for s, r, e in zip(source, *unit, strict=True)])
        labels.append(asked)
    # Two columns of what was asked, each with two frames.
    pairs = [(rows[i] + rows[i + 1], f"{labels[i]}  |  {labels[i + 1]}") for i in range(0, len(rows), 2)]
    sheet = contact_sheet([row for row, _ in pairs], [label for _, label in pairs], width=240)
    save_png(root / "docs" / "sheet.png", sheet)


if __name__ == "__main__":
    main()
