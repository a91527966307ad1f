"""TCVE: a temporal U-Net beside the frozen 2D U-Net keeps the motion while the prompt changes the picture.

Wang et al., "Edit Temporal-Consistent Videos with Image Diffusion Model" (2023), eq. 6: the source's latents go back to
noise through the joint network (:mod:`vedit.nets.tcve`), which was trained on the clip, and from there to the edit by
the target prompt.
"""

from __future__ import annotations

from typing import ClassVar

from vedit.engines.one_shot import OneShotEngine, OneShotSettings
from vedit.nets.tcve import TCVEConfig, TCVEUNet


class Settings(OneShotSettings):
    """Options of the method; those of its network were chosen when the adapter was trained."""


class TCVE(OneShotEngine):
    """The engine."""

    name: ClassVar[str] = "tcve"
    Settings = Settings
    Network = TCVEUNet
    Config = TCVEConfig
    at_once = 16

    def looks_at_first(self) -> bool:
        """See :meth:`OneShotEngine.looks_at_first`: where the 2D network is inflated as Tune-A-Video does it."""
        return self._tuned.inflated is not None


ENGINE = TCVE
