"""AnimateDiff's motion modules, and InsV2V, which is InstructPix2Pix's U-Net with such modules."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import ModelError
from vedit.nets.strict import check
from vedit.weights.convert import names
from vedit.weights.convert.ledger import Ledger
from vedit.weights.convert.parts import (
    GROUPS,
    HEADS,
    Made,
    Part,
    Tensors,
    as_json,
    diffusers_part,
    empty,
    text_part,
    unet_settings,
    vae_part,
)
from vedit.weights.convert.whole import SD_SCHEDULER, autoencoder

if TYPE_CHECKING:
    import torch

_MODULE = r"((?:down|up|mid)_block(?:s\.\d+)?\.motion_modules\.\d+)\.(.+)"
_PLACE = r".*\.pos_encoder\.pe$"
# What InsV2V's own inference takes: 20 steps, windows of 16 frames that share 4, a short side of 256 to 384 pixels.
_PRESET = {"steps": 20, "guidance": 7.5, "video_guidance": 1.5, "frames": 16, "overlap": 4, "size": 384, "multiple": 8}


def animatediff(ledger: Ledger) -> Made:
    """Motion modules alone, as diffusers' ``MotionAdapter``."""
    ledger.unwrap("module.")
    where = ledger.where
    tables = _tables(ledger)

    def rename(name: str) -> str | None:
        match = re.fullmatch(_MODULE, name)
        rest = None if match is None else names.motion_module(match[2])
        return None if match is None or rest is None else f"{match[1]}.{rest}"

    tensors = ledger.take("", rename)
    if not tensors:
        raise ModelError(f"{where}: has no motion_modules; --as names another kind?")
    channels, layers = _levels(tensors, where)
    settings = {
        "block_out_channels": channels,
        "motion_layers_per_block": layers,
        "motion_num_attention_heads": HEADS,
        "motion_norm_num_groups": GROUPS,
        "motion_max_seq_length": next(iter(tables.values())).shape[1] if tables else 32,
        "use_motion_mid_block": any(name.startswith("mid_block") for name in tensors),
    }
    for name, table in tables.items():
        tensors[name] = table
    ledger.finish()
    part = diffusers_part("MotionAdapter", settings, tensors, where)
    made = Made(aside=ledger.aside)
    made.texts["config.json"] = part.config
    made.parts[""] = part
    return made


def insv2v(ledger: Ledger, tokenizer: Path | None, base: dict[str, Path]) -> Made:
    """A bundle of ours for editing by instruction. ``base``: folders of what the checkpoint lacks."""
    ledger.unwrap("_forward_module.")
    made = Made(copies={} if tokenizer is None else {"tokenizer": tokenizer})
    made.parts["unet"] = video_unet(ledger, "unet.")
    if ledger.has("vae."):
        made.parts["vae"] = _vae(ledger)
    elif "vae" in base:
        made.copies["vae"] = base["vae"]
    if ledger.has("text_model."):
        inner = next(
            (one for one in ("text_model.transformer.", "text_model.model.") if ledger.has(one)), "text_model."
        )
        made.parts["text_encoder"] = text_part(ledger.take(inner), f"{ledger.where}: text encoder")
    elif "text_encoder" in base:
        made.copies["text_encoder"] = base["text_encoder"]
    lacking = [one for one in ("vae", "text_encoder") if one not in made.parts and one not in made.copies]
    ledger.finish()
    if lacking:
        raise ModelError(
            f"{ledger.where}: has no {' and no '.join(lacking)}; name the model that it was made from with --base"
        )
    roles = {"vae": "vae", "clip": "text_encoder", "tokenizer": "tokenizer", "unet": "unet", "scheduler": "scheduler"}
    made.texts = {
        "bundle.json": as_json(
            {"schema": 1, "name": "insv2v", "roles": {"instruct": roles | {"preset": "preset.json"}}}
        ),
        "preset.json": as_json(_PRESET),
        "scheduler/scheduler_config.json": as_json(SD_SCHEDULER),
    }
    made.aside = ledger.aside
    return made


def video_unet(ledger: Ledger, prefix: str) -> Part:
    """The U-Net with motion modules below ``prefix`` as our ``VideoUNet``."""
    from diffusers.models.unets.unet_motion_model import UNetMotionModel

    from vedit.nets.video_unet import Temporal, VideoUNet

    where = f"{ledger.where}: U-Net"
    tables = _tables(ledger, prefix)

    def rename(name: str) -> str | None:
        match = re.fullmatch(_MODULE, name)
        if match is None:
            return f"unet.{name}"
        rest = names.motion_module(match[2])
        return None if rest is None else f"unet.{match[1]}.attention.{rest}"

    tensors = ledger.take(prefix, rename)
    flat = {name.removeprefix("unet."): tensor for name, tensor in tensors.items() if ".motion_modules." not in name}
    motion = {name.removeprefix("unet.").replace(".attention.", ".", 1): tensor for name, tensor in tensors.items()
              if ".motion_modules." in name}  # fmt: skip
    if not flat or not motion:
        raise ModelError(f"{where}: has no {'motion_modules' if flat else prefix + '…'}; --as names another kind?")
    settings: dict[str, Any] = unet_settings(flat, where)
    frames = next(iter(tables.values())).shape[1] if tables else 32
    per_block, double = _layers(motion), any(".attn2." in name for name in motion)
    temporal = Temporal(
        max_frames=int(frames), motion_layers=per_block, motion_heads=HEADS,
        motion_mid=any(name.startswith("mid_block") for name in motion), double_attention=double, convolution_layers=0,
    )  # fmt: skip
    channels = settings["block_out_channels"]
    heads = settings.pop("attention_head_dim")
    for only_2d in ("use_linear_projection", "sample_size"):
        settings.pop(only_2d)
    settings |= {
        "down_block_types": tuple(one.replace("2D", "Motion") for one in settings["down_block_types"]),
        "up_block_types": tuple(one.replace("2D", "Motion") for one in settings["up_block_types"]),
        "num_attention_heads": heads,
        "motion_num_attention_heads": (HEADS,) * len(channels),
        "motion_max_seq_length": int(frames),
        "use_motion_mid_block": temporal.motion_mid,
        "temporal_transformer_layers_per_block": per_block,
    }
    network = VideoUNet(empty(UNetMotionModel, settings, where), temporal)
    check(network.state_dict(), tensors, where)
    config = {key: value for key, value in network.unet.config.items() if not key.startswith("_")}
    return Part(
        json.dumps({"_class_name": "VideoUNet", "unet": config, "temporal": asdict(temporal)}, indent=2) + "\n", tensors
    )


def _tables(ledger: Ledger, prefix: str = "") -> Tensors:
    """The sinusoidal encodings of the frame, taken out by the name that ``MotionAdapter`` has for them.

    They are the same for every attention of a layer. Raises ``ModelError`` for one that is not that of diffusers.
    """
    from diffusers.models.embeddings import SinusoidalPositionalEmbedding

    found: Tensors = {}
    known: dict[tuple[int, int], torch.Tensor] = {}
    for key, table in ledger.take(prefix, lambda name: name if re.match(_PLACE, name) else None).items():
        match = re.fullmatch(_MODULE, key)
        inner = None if match is None else re.fullmatch(
            r"(?:temporal_transformer\.)?transformer_blocks\.(\d+)\.attention_blocks\.\d\.pos_encoder\.pe", match[2]
        )  # fmt: skip
        if match is None or inner is None:
            raise ModelError(f"{ledger.where}: {prefix}{key} has no place; nothing was written")
        frames, channels = int(table.shape[1]), int(table.shape[2])
        if (frames, channels) not in known:
            made: Any = SinusoidalPositionalEmbedding(channels, max_seq_length=frames).pe
            known[frames, channels] = made
        if not table.is_meta and not table.float().allclose(known[frames, channels], atol=2e-3):
            raise ModelError(
                f"{ledger.where}: {prefix}{key} is no sinusoidal encoding, so its frames would be mistaken"
            )
        found[f"{match[1]}.transformer_blocks.{inner[1]}.pos_embed.pe"] = table
    return found


def _levels(motion: Tensors, where: str) -> tuple[tuple[int, ...], int]:
    """Channels of the levels and motion modules of a down block."""
    channels = []
    while (key := f"down_blocks.{len(channels)}.motion_modules.0.proj_in.weight") in motion:
        channels.append(int(motion[key].shape[0]))
    if not channels:
        raise ModelError(f"{where}: has no down_blocks.0.motion_modules.0; --as names another kind?")
    found = (re.match(r"down_blocks\.0\.motion_modules\.(\d+)\.", name) for name in motion)
    return tuple(channels), 1 + max(int(match[1]) for match in found if match is not None)


def _layers(motion: Tensors) -> int:
    """Transformer layers of a motion module."""
    return 1 + max(int(match[1]) for name in motion if (match := re.search(r"\.transformer_blocks\.(\d+)\.", name)))


def _vae(ledger: Ledger) -> Part:
    """In diffusers' names or in the original ones."""
    if ledger.has("vae.encoder.down_blocks."):
        return vae_part(ledger.take("vae.", names.old_vae_attention), f"{ledger.where}: autoencoder")
    return autoencoder(ledger, "vae.")
