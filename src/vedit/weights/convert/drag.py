"""ReVideo's published checkpoint: Stable Video Diffusion, and the control branch as an adapter of ours for it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

from vedit.errors import ModelError
from vedit.nets.strict import check
from vedit.weights.adapter import FILE, About
from vedit.weights.bundle import preset_of
from vedit.weights.convert.ledger import Ledger
from vedit.weights.convert.parts import Made, Part, Tensors, as_json, empty
from vedit.weights.convert.whole import resnets_of_a_block, video_parts
from vedit.weights.revideo import CONTROL, METHOD, STAGE, control_name

SVD, ADAPTER = "StableVideoDiffusionPipeline", "adapter"
_CARD = """# ReVideo

Converted by vedit models convert from the published checkpoint: the control branch, and the keys and values of temporal
attention that its training changed. It belongs to the Stable Video Diffusion folder that was made with it, and has its
licence.
"""


def revideo(ledger: Ledger) -> Made:
    """A Stable Video Diffusion folder, and ``adapter`` in it for ``vedit drag-motion``."""
    if not ledger.has(CONTROL):
        raise ModelError(f"{ledger.where}: has no {CONTROL}…; --as svd takes Stable Video Diffusion alone")
    made = video_parts(ledger)
    network, tensors = control(ledger, made.parts["unet"])
    ledger.finish()
    roles = {name: name for name in ("vae", "image_encoder", "feature_extractor", "unet", "scheduler")}
    description = {"schema": 1, "name": "revideo", "roles": {"image2video": roles | {"preset": "preset.json"}}}
    made.texts["bundle.json"] = as_json(description)
    made.texts["preset.json"] = as_json(preset_of(SVD) | {"carries": {METHOD: f"{ADAPTER}/{FILE}"}})
    about = About(method=METHOD, base="", base_sha256="", network=network | {STAGE: 3}, card=_CARD)
    made.adapters[ADAPTER] = about, tensors
    made.aside = ledger.aside
    return made


def control(ledger: Ledger, unet: Part) -> tuple[dict[str, Any], Tensors]:
    """The settings of the control branch of ``unet``, and what an adapter holds of the two."""
    from diffusers import UNetSpatioTemporalConditionModel

    from vedit.nets.revideo import ReVideoConfig, ReVideoUNet

    where = f"{ledger.where}: control branch"
    layers = resnets_of_a_block(ledger, CONTROL)
    taken = ledger.take(CONTROL, lambda name: control_name(name, layers))
    config = ReVideoConfig(widths=_widths(taken, where))
    settings = {key: value for key, value in json.loads(unet.config).items() if not key.startswith("_")}

    def build() -> ReVideoUNet:
        return ReVideoUNet(UNetSpatioTemporalConditionModel(**settings), config)

    own = empty(build, {}, where).added()
    tensors = {f"control.{name}": tensor for name, tensor in taken.items()}
    tensors |= {name: unet.tensors[name.removeprefix("base.")] for name in own if name.startswith("base.")}
    check(own, tensors, where)
    return asdict(config), tensors


def _widths(control: Tensors, where: str) -> tuple[int, ...]:
    """Channels of the encoders, from full size on."""
    first = "motion.layers.conv_in.weight"
    if first not in control:
        raise ModelError(f"{where}: has no controlnet_cond_embedding; it is not whole, or --as names another kind")
    found = [int(control[first].shape[0])]
    blocks = sorted(
        (int(match[1]), int(tensor.shape[0]))
        for name, tensor in control.items()
        if (match := re.fullmatch(r"motion\.layers\.blocks\.(\d+)\.weight", name)) is not None
    )
    return tuple(found + [width for index, width in blocks if index % 2])
