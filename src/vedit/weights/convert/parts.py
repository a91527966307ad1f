"""The parts of a converted model: a network's settings found from its shapes, its tensors checked against it, files.

Networks are built without memory (torch's meta device), to know which names and shapes they have; tensors go from the
checkpoint to the file as they are. What shapes do not tell is that of the published models: 8 attention heads in Stable
Diffusion 1.x, heads of 64 channels in Stable Video Diffusion and ModelScope's, 32 groups in every norm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import ModelError
from vedit.nets.strict import check
from vedit.weights.load import quietly

if TYPE_CHECKING:
    import torch

    from vedit.weights.adapter import About

Tensors = dict[str, "torch.Tensor"]
HEADS, HEAD_CHANNELS, GROUPS = 8, 64, 32
SD_LATENT = 0.18215  # the factor of its latents
VIDEO_FRAMES = 14  # that Stable Video Diffusion and ReVideo were trained with; 25 in the -xt, which has the same shapes


@dataclass
class Part:
    """One component: ``config.json``, and the tensors of ``STEM.safetensors``."""

    config: str
    tensors: Tensors
    stem: str = "diffusion_pytorch_model"


@dataclass
class Made:
    """What a checkpoint became. ``parts`` and ``adapters`` by folder, ``texts`` by file, ``copies``: folders to copy.

    ``notes``: what a person should know. ``aside``: keys that were left out, by the reason.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    copies: dict[str, Path] = field(default_factory=dict)
    adapters: dict[str, tuple[About, Tensors]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    aside: dict[str, list[str]] = field(default_factory=dict)


def as_json(content: Mapping[str, Any]) -> str:
    """Text of a JSON file."""
    return json.dumps(content, indent=2) + "\n"


def diffusers_part(kind: str, settings: Mapping[str, Any], tensors: Tensors, where: str) -> Part:
    """A network of diffusers with these settings. Raises ``ModelError`` when names or shapes differ from its own."""
    import diffusers

    network = empty(getattr(diffusers, kind), settings, where)
    try:
        check(network.state_dict(), tensors, where)
    except ModelError as error:
        told = ModelError(f"{error}; it is not whole, or --as names another kind")
        for note in getattr(error, "__notes__", ()):
            told.add_note(note)
        raise told from error
    return Part(network.to_json_string(), tensors)


def empty(kind: Any, settings: Mapping[str, Any], where: str) -> Any:
    """A network without memory. Raises ``ModelError`` for settings that do not make one."""
    import torch

    try:
        with torch.device("meta"), quietly("diffusers"):
            return kind(**settings)
    except (TypeError, ValueError, RuntimeError, IndexError, ZeroDivisionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{where}: its shapes are not those of a {kind.__name__} ({reason})") from error


def unet_settings(tensors: Tensors, where: str, heads: int = HEADS, groups: int = GROUPS) -> dict[str, Any]:
    """What a 2D U-Net with these tensors (diffusers' names) is built with."""
    video = any("spatial_res_block" in name for name in tensors)
    channels, layers, attends = _levels(tensors, "down_blocks", video, where)
    kind = "SpatioTemporal" if video else "2D"
    cross, plain = "CrossAttn{}Block" + kind, "{}Block" + kind
    settings: dict[str, Any] = {
        "in_channels": tensors["conv_in.weight"].shape[1],
        "out_channels": tensors["conv_out.weight"].shape[0],
        "block_out_channels": channels,
        "layers_per_block": layers,
        "down_block_types": tuple((cross if one else plain).format("Down") for one in attends),
        "up_block_types": tuple((cross if one else plain).format("Up") for one in reversed(attends)),
        "cross_attention_dim": _width(tensors, where),
    }
    if video:
        embedded = _needed(tensors, "add_embedding.linear_1.weight", where).shape[1]
        heads_each = tuple(max(1, one // HEAD_CHANNELS) for one in channels)
        more = {
            "num_attention_heads": heads_each,
            "projection_class_embeddings_input_dim": embedded,
            "num_frames": VIDEO_FRAMES,
        }
        return settings | more | {"addition_time_embed_dim": embedded // 3}  # frame rate, motion, noise
    linear = next(
        (one.ndim == 2 for name, one in tensors.items() if name.endswith("attentions.0.proj_in.weight")), False
    )
    more = {"attention_head_dim": heads, "norm_num_groups": groups, "use_linear_projection": linear, "sample_size": 64}
    return settings | more


def vae_settings(tensors: Tensors, where: str) -> dict[str, Any]:
    """What an autoencoder of Stable Diffusion with these tensors (diffusers' names) is built with."""
    channels, layers, _ = _levels(tensors, "encoder.down_blocks", False, where)
    settings: dict[str, Any] = {
        "block_out_channels": channels,
        "layers_per_block": layers,
        "down_block_types": ("DownEncoderBlock2D",) * len(channels),
        "latent_channels": _needed(tensors, "encoder.conv_out.weight", where).shape[0] // 2,
        "scaling_factor": SD_LATENT,
    }
    if any("time_conv_out" in name for name in tensors):
        return settings
    return settings | {"up_block_types": ("UpDecoderBlock2D",) * len(channels), "sample_size": 512}


def vae_part(tensors: Tensors, where: str) -> Part:
    """``AutoencoderKL``, or ``AutoencoderKLTemporalDecoder`` if the decoder mixes frames."""
    for name, tensor in tensors.items():
        if ".attentions." in name and tensor.ndim == 4:  # older checkpoints attend by 1×1 convolutions
            tensors[name] = tensor[:, :, 0, 0]
    temporal = any("time_conv_out" in name for name in tensors)
    kind = "AutoencoderKLTemporalDecoder" if temporal else "AutoencoderKL"
    return diffusers_part(kind, vae_settings(tensors, where), tensors, where)


def text_part(tensors: Tensors, where: str) -> Part:
    """A ``CLIPTextModel`` in the layout that Stable Diffusion folders have; names as in it, with or without prefix."""
    from transformers import CLIPTextConfig, CLIPTextModel

    plain = {name.removeprefix("text_model."): tensor for name, tensor in tensors.items()}
    plain.pop("embeddings.position_ids", None)  # counts from zero, in older files
    token = _needed(plain, "embeddings.token_embedding.weight", where)
    width = token.shape[1]
    config = CLIPTextConfig(
        vocab_size=token.shape[0],
        hidden_size=width,
        intermediate_size=_needed(plain, "encoder.layers.0.mlp.fc1.weight", where).shape[0],
        num_hidden_layers=_count(plain, r"encoder\.layers\.(\d+)\."),
        num_attention_heads=max(1, width // 64),
        max_position_embeddings=_needed(plain, "embeddings.position_embedding.weight", where).shape[0],
        hidden_act="quick_gelu",
        bos_token_id=token.shape[0] - 2,
        eos_token_id=token.shape[0] - 1,
        projection_dim=width,
    )
    config.architectures = ["CLIPTextModel"]
    own = {
        name.removeprefix("text_model."): one
        for name, one in empty(CLIPTextModel, {"config": config}, where).state_dict().items()
    }
    check(own, plain, where)
    return Part(config.to_json_string(), {f"text_model.{name}": one for name, one in plain.items()}, "model")


def vision_part(tensors: Tensors, where: str) -> Part:
    """A ``CLIPVisionModelWithProjection``."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    patches = _needed(tensors, "vision_model.embeddings.patch_embedding.weight", where)
    places = _needed(tensors, "vision_model.embeddings.position_embedding.weight", where).shape[0] - 1
    width, patch = patches.shape[0], patches.shape[2]
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=_needed(tensors, "vision_model.encoder.layers.0.mlp.fc1.weight", where).shape[0],
        num_hidden_layers=_count(tensors, r"vision_model\.encoder\.layers\.(\d+)\."),
        num_attention_heads=max(1, width // 80),  # ViT-H/14
        patch_size=patch,
        image_size=round(places**0.5) * patch,
        projection_dim=_needed(tensors, "visual_projection.weight", where).shape[0],
        hidden_act="gelu",
    )
    config.architectures = ["CLIPVisionModelWithProjection"]
    check(empty(CLIPVisionModelWithProjection, {"config": config}, where).state_dict(), tensors, where)
    return Part(config.to_json_string(), tensors, "model")


def _levels(tensors: Tensors, blocks: str, video: bool, where: str) -> tuple[tuple[int, ...], int, tuple[bool, ...]]:
    """Channels of the levels, ResNets of each, and which of them attend."""
    inner = "spatial_res_block." if video else ""
    channels, attends = [], []
    while (key := f"{blocks}.{len(channels)}.resnets.0.{inner}conv1.weight") in tensors:
        attends.append(f"{blocks}.{len(channels)}.attentions.0.norm.weight" in tensors)
        channels.append(int(tensors[key].shape[0]))
    if not channels:
        raise ModelError(f"{where}: has no {blocks}.0; --as names another kind?")
    for needed in ("conv_in.weight", "conv_out.weight") if blocks == "down_blocks" else ():
        _needed(tensors, needed, where)
    return tuple(channels), _count(tensors, rf"{re.escape(blocks)}\.0\.resnets\.(\d+)\."), tuple(attends)


def _width(tensors: Tensors, where: str) -> int:
    """Of the text or picture that cross-attention reads."""
    for name, tensor in tensors.items():
        if name.endswith(".transformer_blocks.0.attn2.to_k.weight") and ".motion_modules." not in name:
            return int(tensor.shape[1])
    raise ModelError(f"{where}: has no cross-attention; --as names another kind?")


def _count(tensors: Tensors, pattern: str) -> int:
    return 1 + max((int(match[1]) for name in tensors if (match := re.match(pattern, name))), default=-1)


def _needed(tensors: Tensors, name: str, where: str) -> torch.Tensor:
    if name not in tensors:
        raise ModelError(f"{where}: has no {name}; --as names another kind, or the file is not whole")
    return tensors[name]
