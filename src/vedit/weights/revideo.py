"""ReVideo from a file: an adapter of ours, and the names of the published checkpoint (Stability's for the U-Net)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vedit.errors import ModelError
from vedit.weights.convert import names

if TYPE_CHECKING:
    import torch
    from diffusers import UNetSpatioTemporalConditionModel

    from vedit.nets.revideo import ReVideoConfig, ReVideoUNet
    from vedit.weights.adapter import About

METHOD = "revideo"
LEVELS = 4  # of the published U-Net
STAGE = "stage"  # among an adapter's settings of the network

BASE, CONTROL = "model.diffusion_model.", "model.ctrlnet_model."

_ENCODERS = {
    "controlnet_cond_embedding": "motion.layers", "mask_embedding": "content.layers",
    "weight_embedding.conv_final": "fused", "weight_embedding": "gate.layers", "controlnet_mid_block.0": "middle",
}  # fmt: skip


def own_name(published: str, layers: int = 2) -> str:
    """A published parameter's name in :class:`~vedit.nets.revideo.ReVideoUNet`.

    ``layers``: ResNets of a block of the encoder. Raises ``KeyError`` for a name that is none.
    """
    if published.startswith(CONTROL):
        found, part = control_name(published.removeprefix(CONTROL), layers), "control"
    elif published.startswith(BASE):
        found, part = names.unet(published.removeprefix(BASE), layers, True, LEVELS), "base"
    else:
        raise KeyError(published)
    if found is None:
        raise KeyError(published)
    return f"{part}.{found}"


def control_name(name: str, layers: int) -> str | None:
    """The same inside of the control branch, without prefixes; None for a name that is none."""
    for theirs, ours in _ENCODERS.items():
        if name.startswith(theirs + "."):
            return ours + name[len(theirs) :]
    if found := re.fullmatch(r"controlnet_down_blocks\.(\d+)\.0\.(.+)", name):
        return f"skips.{found[1]}.{found[2]}"
    return names.unet(name, layers, True, LEVELS)


def config_of(about: About, where: str) -> ReVideoConfig:
    """What the control branch of the adapter ``where`` is made of. Raises ``ModelError``."""
    from pydantic import TypeAdapter, ValidationError

    from vedit.jobs import one_line
    from vedit.nets.revideo import ReVideoConfig

    known = {name: value for name, value in about.network.items() if name != STAGE}
    try:
        return TypeAdapter(ReVideoConfig).validate_python(known)
    except ValidationError as error:
        raise ModelError(f"{where}: {one_line(error, 'setting ')}; train it again") from None


def network_of(
    base: UNetSpatioTemporalConditionModel, about: About, tensors: Mapping[str, torch.Tensor], where: str
) -> ReVideoUNet:
    """``base`` with the control branch of an adapter; the base's own trained keys and values are replaced, and the
    branch is a copy of nothing. Raises ``ModelError`` for an adapter whose settings or tensors are off."""
    from vedit.nets.revideo import ReVideoUNet
    from vedit.nets.strict import fill_parameters

    network = ReVideoUNet(base, config_of(about, where))
    fill_parameters(network.added(), tensors, where)
    return network.eval()


def stage_of(about: About) -> int:
    """Of the training that an adapter ends: Γ is 0.5 before the third. The published weights are of the third."""
    return int(about.network.get(STAGE, 3))
