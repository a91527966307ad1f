"""Tune-A-Video: an image model, inflated and tuned to one clip, follows another prompt with the clip's motion.

Wu et al., "Tune-A-Video: One-Shot Tuning of Image Diffusion Models for Text-to-Video Generation" (2023), section 4: the
source's latents go back to noise through the tuned network (:mod:`vedit.nets.tune_a_video`), and from there to the edit
by the target prompt.

The paper edits a clip in one piece. Here a later window sees, before its own frames, the first frame of the shot, which
every frame attends to beside the one before it, and the last ones of the window before (``context``). Attention over
the frames knows no places in time, so what lies between does not have to be there.
"""

from __future__ import annotations

from typing import ClassVar

from vedit.engines.one_shot import OneShotEngine, OneShotSettings
from vedit.nets.tune_a_video import TuneAVideoConfig, TuneAVideoUNet


class Settings(OneShotSettings):
    """Options of the method; those of its network were chosen when the adapter was trained."""


class TuneAVideo(OneShotEngine):
    """The engine."""

    name: ClassVar[str] = "tune-a-video"
    Settings = Settings
    Network = TuneAVideoUNet
    Config = TuneAVideoConfig
    at_once = 24
    anchored = True


ENGINE = TuneAVideo
