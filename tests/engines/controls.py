"""A control branch for a tiny image-to-video model, as an adapter. For the tests of ReVideo."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from vedit import weights
from vedit.nets.revideo import ReVideoConfig, ReVideoUNet
from vedit.weights import adapter
from vedit.weights.revideo import METHOD, STAGE


def write_control(model: Path, output: Path, by: float = 1.0, stage: int = 3) -> Path:
    """Write the adapter into ``output`` and return that. ``by`` 0 leaves it untrained: without effect."""
    bundle = weights.open_bundle(model, "image2video")
    base = weights.load_image2video_unet(bundle.components["unet"])
    torch.manual_seed(11)
    network = ReVideoUNet(base, ReVideoConfig.of(base.config))
    with torch.no_grad():
        for name, parameter in network.control.named_parameters():
            if not parameter.any():
                parameter.add_(by * torch.randn(parameter.shape))
            elif ".layers." in name and parameter.ndim > 1:  # fresh encoders hardly see what they are shown
                parameter.mul_(3.0)
    config = network.control.config
    settings = asdict(config) | {"widths": list(config.widths), STAGE: stage}
    about = adapter.About(METHOD, bundle.name, bundle.parts_sha256, settings)
    adapter.save(output, about, network.added())
    return output
