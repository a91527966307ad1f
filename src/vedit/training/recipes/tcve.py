"""TCVE: train the temporal U-Net and the units between it and the frozen 2D U-Net on one clip.

    vedit train-adapter tcve CLIP --prompt "a red ball rolls over green grass" -o DIR

Section V-A of the paper: 100 iterations at 3e-5 on one clip; the official code takes 16 frames and AdamW.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vedit.engines.tcve import TCVE
from vedit.nets.tcve import TCVEConfig, TCVEUNet
from vedit.training import one_clip

RECIPE = one_clip.Recipe(
    "tcve",
    TCVEUNet,
    TCVEConfig,
    one_clip.Settings(steps=100, rate=3e-5, frames=TCVE.at_once),
    'Method: Wang et al., "Edit Temporal-Consistent Videos with Image Diffusion Model" (2023).',
)


def train(**options: Any) -> Path:
    """Train an adapter; options and errors as :func:`vedit.training.one_clip.train`."""
    return one_clip.train(RECIPE, **options)
