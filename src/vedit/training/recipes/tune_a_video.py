"""Tune-A-Video: tune the queries of an inflated 2D U-Net, and its temporal attention, to one clip.

    vedit train-adapter tune-a-video CLIP --prompt "a man is skiing" -o DIR

Section 5 of the paper: 500 steps at 3e-5 on 24 frames of one clip; the official code uses AdamW.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vedit.engines.tune_a_video import TuneAVideo
from vedit.nets.tune_a_video import TuneAVideoConfig, TuneAVideoUNet
from vedit.training import one_clip

RECIPE = one_clip.Recipe(
    "tune-a-video",
    TuneAVideoUNet,
    TuneAVideoConfig,
    one_clip.Settings(steps=500, rate=3e-5, frames=TuneAVideo.at_once, save_every=50),
    'Method: Wu et al., "Tune-A-Video: One-Shot Tuning of Image Diffusion Models for Text-to-Video Generation" (2023).',
)


def train(**options: Any) -> Path:
    """Train an adapter; options and errors as :func:`vedit.training.one_clip.train`."""
    return one_clip.train(RECIPE, **options)
