"""From the parameter names of original checkpoints to those of diffusers and transformers. Strings only.

Each function takes a name without the prefix of its part and returns the other library's name, or None for a name that
it does not know.
"""

from __future__ import annotations

import re

_UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_CLIP_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_CLIP_ENDS = {
    "class_embedding": "embeddings.class_embedding",
    "positional_embedding": "embeddings.position_embedding.weight",
    "conv1.weight": "embeddings.patch_embedding.weight",
    "ln_pre.weight": "pre_layrnorm.weight",
    "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight",
    "ln_post.bias": "post_layernorm.bias",
}
_VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}


def unet(name: str, layers: int, video: bool, levels: int | None = None) -> str | None:
    """A U-Net of Stable Diffusion ("ldm") or Stable Video Diffusion ("sgm", ``video``), ``layers`` ResNets a block.

    ``levels``: how many blocks there are, if it is to be checked.
    """
    head, _, last = name.rpartition(".")
    if head in _UNET_ENDS:
        return f"{_UNET_ENDS[head]}.{last}"
    match = re.fullmatch(r"(input|output)_blocks\.(\d+)\.(\d)\.(.+)", name)
    if match is not None:
        down, index, place, rest = match[1] == "input", int(match[2]), int(match[3]), match[4]
        block, layer = divmod(index - 1 if down else index, layers + 1)
        if levels is not None and block >= levels:
            return None
        where = f"{'down' if down else 'up'}_blocks.{block}"
        if down and place == 0 and rest.startswith("op."):
            return f"{where}.downsamplers.0.conv.{rest.removeprefix('op.')}"
        if not down and place > 0 and rest.startswith("conv."):
            return f"{where}.upsamplers.0.{rest}"
        if place == 0:
            return _named(f"{where}.resnets.{layer}", _resnet(rest, video))
        return _named(f"{where}.attentions.{layer}", _transformer(rest)) if place == 1 else None
    match = re.fullmatch(r"middle_block\.([012])\.(.+)", name)
    if match is None:
        return None
    if match[1] == "1":
        return _named("mid_block.attentions.0", _transformer(match[2]))
    return _named(f"mid_block.resnets.{int(match[1]) // 2}", _resnet(match[2], video))


def _resnet(rest: str, video: bool) -> str | None:
    if video and rest == "time_mixer.mix_factor":
        return rest
    temporal = rest.startswith("time_stack.")
    if temporal and not video:
        return None
    layer, _, last = rest.removeprefix("time_stack.").rpartition(".")
    if layer not in _RESNET:
        return None
    block = "temporal_res_block." if temporal else "spatial_res_block." if video else ""
    return f"{block}{_RESNET[layer]}.{last}"


def _transformer(rest: str) -> str:
    rest = re.sub(r"^time_stack\.", "temporal_transformer_blocks.", rest)
    return re.sub(r"^time_pos_embed\.([02])\.", lambda match: f"time_pos_embed.linear_{int(match[1]) // 2 + 1}.", rest)


def vae(name: str, levels: int, video: bool = False) -> str | None:
    """An autoencoder of Stable Diffusion; with ``video`` its decoder is that of Stable Video Diffusion."""
    if re.match(r"(post_)?quant_conv\.", name):
        return name
    match = re.fullmatch(r"(encoder|decoder)\.(.+)", name)
    if match is None:
        return None
    half, rest = match[1], match[2]
    temporal = video and half == "decoder"
    match = re.fullmatch(r"(down|up)\.(\d+)\.(block\.(\d+)|downsample|upsample)\.(.+)", rest)
    if match is not None:
        block = int(match[2]) if match[1] == "down" else levels - 1 - int(match[2])
        where = f"{half}.{match[1]}_blocks.{block}"
        if match[4] is None:
            return f"{where}.{match[3]}rs.0.{match[5]}"
        return _named(f"{where}.resnets.{match[4]}", _vae_resnet(match[5], temporal))
    match = re.fullmatch(r"mid\.(block_([12])|attn_1)\.(.+)", rest)
    if match is not None:
        if match[2] is not None:
            return _named(f"{half}.mid_block.resnets.{int(match[2]) - 1}", _vae_resnet(match[3], temporal))
        layer, _, last = match[3].rpartition(".")
        return f"{half}.mid_block.attentions.0.{_VAE_ATTENTION[layer]}.{last}" if layer in _VAE_ATTENTION else None
    if temporal and rest.startswith("conv_out.time_mix_conv."):
        return f"{half}.time_conv_out.{rest.rpartition('.')[2]}"
    if re.fullmatch(r"(conv_in|conv_out)\.(weight|bias)", rest):
        return f"{half}.{rest}"
    return f"{half}.conv_norm_out.{rest.rpartition('.')[2]}" if re.fullmatch(r"norm_out\.\w+", rest) else None


def _vae_resnet(rest: str, temporal: bool) -> str | None:
    if temporal and rest == "mix_factor":
        return "time_mixer.mix_factor"
    if temporal and rest.startswith("time_stack."):
        return _resnet(rest, True)
    rest = rest.replace("nin_shortcut.", "conv_shortcut.")
    if not re.fullmatch(r"(norm1|conv1|norm2|conv2|conv_shortcut)\.(weight|bias)", rest):
        return None
    return f"spatial_res_block.{rest}" if temporal else rest


def old_vae_attention(name: str) -> str:
    """Of an autoencoder in diffusers' layout, whose attention older versions named otherwise."""
    for old, new in {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}.items():
        name = re.sub(rf"(\.attentions\.\d+)\.{old}\.", rf"\1.{new}.", name)
    return name


def open_clip_vision(name: str) -> str | None:
    """The pictures' half of an OpenCLIP model, but for what has to be split or turned (``in_proj``, ``proj``)."""
    if name in _CLIP_ENDS:
        return f"vision_model.{_CLIP_ENDS[name]}"
    match = re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+)\.(weight|bias)", name)
    if match is None or match[2] not in _CLIP_BLOCK:
        return None
    return f"vision_model.encoder.layers.{match[1]}.{_CLIP_BLOCK[match[2]]}.{match[3]}"


def motion_module(rest: str) -> str | None:
    """A motion module of AnimateDiff (and so of InsV2V), but for its encoding of the frame."""
    rest = rest.removeprefix("temporal_transformer.")
    if re.fullmatch(r"(norm|proj_in|proj_out)\.(weight|bias)", rest):
        return rest
    match = re.fullmatch(r"transformer_blocks\.(\d+)\.(.+)", rest)
    if match is None:
        return None
    inner = match[2]
    found = re.fullmatch(r"attention_blocks\.([01])\.(to_\w+(?:\.0)?\.\w+)", inner)
    if found is not None:
        inner = f"attn{int(found[1]) + 1}.{found[2]}"
    elif found := re.fullmatch(r"norms\.([01])\.(\w+)", inner):
        inner = f"norm{int(found[1]) + 1}.{found[2]}"
    elif found := re.fullmatch(r"ff_norm\.(\w+)", inner):
        inner = f"norm3.{found[1]}"
    elif not inner.startswith("ff."):
        return None
    return f"transformer_blocks.{match[1]}.{inner}"


def _named(where: str, rest: str | None) -> str | None:
    return None if rest is None else f"{where}.{rest}"
