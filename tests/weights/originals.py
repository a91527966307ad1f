"""Checkpoints as their own code saves them, made from our modules: the names and layouts of the originals."""

from __future__ import annotations

import re
from typing import Any

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def unet(state: dict[str, Any], layers: int = 2) -> dict[str, Any]:
    """Stable Diffusion's U-Net, and Stable Video Diffusion's, from diffusers' names."""
    written = {}
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] in ("down_blocks", "up_blocks"):
            down, block, kind, index = parts[0] == "down_blocks", int(parts[1]), parts[2], int(parts[3])
            rest = ".".join(parts[4:])
            number = block * (layers + 1) + index + (1 if down else 0)
            if kind == "downsamplers":
                new = f"input_blocks.{(block + 1) * (layers + 1)}.0.op.{parts[-1]}"
            elif kind == "upsamplers":
                place = 2 if any(one.startswith(f"up_blocks.{block}.attentions") for one in state) else 1
                new = f"output_blocks.{block * (layers + 1) + layers}.{place}.conv.{parts[-1]}"
            else:
                place, inner = (0, resnet(rest)) if kind == "resnets" else (1, transformer(rest))
                new = f"{'input' if down else 'output'}_blocks.{number}.{place}.{inner}"
        elif parts[0] == "mid_block":
            rest = ".".join(parts[3:])
            place = 1 if parts[1] == "attentions" else 2 * int(parts[2])
            new = f"middle_block.{place}.{transformer(rest) if place == 1 else resnet(rest)}"
        else:
            head, _, last = name.rpartition(".")
            new = f"{ENDS[head]}.{last}"
        written[new] = tensor
    return written


def resnet(rest: str) -> str:
    stack = "time_stack." if rest.startswith("temporal_res_block.") else ""
    rest = rest.removeprefix("temporal_res_block.").removeprefix("spatial_res_block.")
    if rest.startswith("time_mixer"):
        return rest
    head, _, last = rest.rpartition(".")
    return f"{stack}{RESNET[head]}.{last}"


def transformer(rest: str) -> str:
    rest = rest.replace("temporal_transformer_blocks.", "time_stack.")
    return rest.replace("time_pos_embed.linear_1", "time_pos_embed.0").replace(
        "time_pos_embed.linear_2", "time_pos_embed.2"
    )


def vae(state: dict[str, Any], levels: int = 4) -> dict[str, Any]:
    """Stable Diffusion's autoencoder, or Stable Video Diffusion's with its temporal decoder."""
    written = {}
    for name, tensor in state.items():
        half, _, rest = name.partition(".")
        if half not in ("encoder", "decoder"):
            written[name] = tensor
            continue
        temporal = "res_block" in rest
        rest = rest.replace("conv_norm_out", "norm_out").replace("time_conv_out", "conv_out.time_mix_conv")
        if match := re.match(r"(down|up)_blocks\.(\d+)\.(.*)", rest):
            block = int(match[2]) if match[1] == "down" else levels - 1 - int(match[2])
            inner = match[3].replace("samplers.0.", "sample.").replace("resnets.", "block.")
            rest = f"{match[1]}.{block}.{inner}"
        elif match := re.match(r"mid_block\.resnets\.(\d)\.(.*)", rest):
            rest = f"mid.block_{int(match[1]) + 1}.{match[2]}"
        elif match := re.match(r"mid_block\.attentions\.0\.(\w+)(\.0)?\.(\w+)", rest):
            old = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out": "proj_out"}[match[1]]
            rest = f"mid.attn_1.{old}.{match[3]}"
            tensor = tensor[:, :, None, None] if tensor.ndim == 2 else tensor
        if match := re.match(r"(.*)temporal_res_block\.(\w+)\.(\w+)$", rest):
            rest = f"{match[1]}time_stack.{RESNET[match[2]]}.{match[3]}" if match[2] in RESNET else rest
        rest = rest.replace("spatial_res_block.", "").replace("time_mixer.mix_factor", "mix_factor")
        written[f"{half}.{rest.replace('conv_shortcut', 'nin_shortcut')}"] = tensor
        assert temporal or "time" not in rest or half == "decoder"
    return written


def vision(state: dict[str, Any]) -> dict[str, Any]:
    """OpenCLIP's pictures' half."""
    import torch

    ends = {
        "embeddings.class_embedding": "class_embedding",
        "embeddings.position_embedding.weight": "positional_embedding",
        "embeddings.patch_embedding.weight": "conv1.weight",
    }
    block = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    written = {"proj": state["visual_projection.weight"].T.contiguous()}
    for name, tensor in state.items():
        rest = name.removeprefix("vision_model.")
        if rest in ends:
            written[ends[rest]] = tensor
        elif match := re.match(r"encoder\.layers\.(\d+)\.(.*)\.(weight|bias)", rest):
            where = f"transformer.resblocks.{match[1]}"
            if match[2] == "self_attn.q_proj":
                three = [state[name.replace("q_proj", f"{one}_proj")] for one in "qkv"]
                written[f"{where}.attn.in_proj_{match[3]}"] = torch.cat(three)
            elif match[2] == "self_attn.out_proj":
                written[f"{where}.attn.out_proj.{match[3]}"] = tensor
            elif match[2] in block:
                written[f"{where}.{block[match[2]]}.{match[3]}"] = tensor
        elif match := re.match(r"(pre_layrnorm|post_layernorm)\.(\w+)", rest):
            written[f"ln_{'pre' if match[1].startswith('pre') else 'post'}.{match[2]}"] = tensor
    return written


def motion_module(rest: str) -> list[str]:
    """AnimateDiff's names of one of our motion module's; its encoding of the frame has one for every attention."""
    match = re.fullmatch(r"transformer_blocks\.(\d+)\.(.*)", rest)
    if match is None:
        return [f"temporal_transformer.{rest}"]
    inner = match[2]
    if inner == "pos_embed.pe":
        new = [f"attention_blocks.{one}.pos_encoder.pe" for one in (0, 1)]
    elif found := re.fullmatch(r"attn([12])\.(.*)", inner):
        new = [f"attention_blocks.{int(found[1]) - 1}.{found[2]}"]
    elif found := re.fullmatch(r"norm([123])\.(.*)", inner):
        new = [f"ff_norm.{found[2]}" if found[1] == "3" else f"norms.{int(found[1]) - 1}.{found[2]}"]
    else:
        new = [inner]
    return [f"temporal_transformer.transformer_blocks.{match[1]}.{one}" for one in new]


def insv2v(state: dict[str, Any], frames: int) -> dict[str, Any]:
    """InsV2V's U-Net from our ``VideoUNet``, with the tables that it saves and ours does not."""
    from diffusers.models.embeddings import SinusoidalPositionalEmbedding

    written: dict[str, Any] = {}
    for name, tensor in state.items():
        short = name.removeprefix("unet.")
        match = re.fullmatch(r"(.*motion_modules\.\d+)\.attention\.(.*)", short)
        if match is None:
            written[short] = tensor
            continue
        for new in motion_module(match[2]):
            written[f"{match[1]}.{new}"] = tensor
        if match[2] == "proj_in.weight":
            table: Any = SinusoidalPositionalEmbedding(tensor.shape[0], max_seq_length=frames).pe
            for new in motion_module("transformer_blocks.0.pos_embed.pe"):
                written[f"{match[1]}.{new}"] = table
    return written


def animatediff(state: dict[str, Any]) -> dict[str, Any]:
    """Motion modules from a ``MotionAdapter``."""
    written = {}
    for name, tensor in state.items():
        match = re.fullmatch(r"(.*motion_modules\.\d+)\.(.*)", name)
        assert match is not None
        for new in motion_module(match[2]):
            written[f"{match[1]}.{new}"] = tensor
    return written


def tune_a_video(flat: dict[str, Any], trained: dict[str, Any], inside: str = "") -> dict[str, Any]:
    """Tune-A-Video's U-Net: the 2D one, and the attention over frames with its untrained norm."""
    import torch

    written = dict(flat)
    for name, tensor in trained.items():
        short = name.removeprefix(inside)
        match = re.fullmatch(r"temporal\.(.*?)\.attention\.(.*)", short)
        if match is None or not name.startswith(inside) or "transformer_blocks" not in name:
            continue
        place = match[1].replace("-", ".")
        written[f"{place}.attn_temp.{match[2]}"] = tensor
        width = tensor.shape[0]
        written[f"{place}.norm_temp.weight"] = torch.ones(width, device=tensor.device)
        written[f"{place}.norm_temp.bias"] = torch.zeros(width, device=tensor.device)
    return written


def tcve(flat: dict[str, Any], trained: dict[str, Any]) -> dict[str, Any]:
    """TCVE's joint U-Net, with the units of the encoder that its code builds and never uses."""
    import torch

    written = tune_a_video(flat, trained, "inflated.")
    layer = {"norm": "norm1", "convolution": "conv1", "shortcut": "conv_shortcut"}
    unit = {"attention": "attn_temp", "norm": "norm_temp", "convolution_norm": "norm", "convolution": "conv_3d"}
    for name, tensor in trained.items():
        parts = name.split(".")
        new = None
        if parts[:2] == ["temporal", "stem"]:
            new = f"conv_in_TempUnet.{parts[2]}"
        elif parts[0] == "temporal" and parts[1] in ("down", "up"):
            new = f"{parts[1]}_blocks.{parts[2]}.resnets.{parts[3]}.{layer[parts[4]]}_TempUnet.{parts[5]}"
        elif parts[:2] == ["temporal", "middle"]:
            new = f"mid_block.resnets.{parts[2]}.{layer[parts[3]]}_TempUnet.{parts[4]}"
        elif parts[:2] == ["temporal", "shrink"]:
            new = f"down_blocks.{parts[2]}.downsamplers.0.conv_TempUnet.{parts[3]}"
        elif parts[:2] == ["temporal", "stretch"]:
            new = f"up_blocks.{parts[2]}.upsamplers.0.upsample_TempUnet.1.{parts[3]}"
        elif parts[0] == "units":
            where = "mid_stb_TempUnet" if parts[1] == "middle" else f"up_stb_TempUnet.{parts[1].removeprefix('up-')}"
            new = f"{where}.{unit[parts[2]]}.{'.'.join(parts[3:])}"
            if parts[1] != "middle":  # the encoder's have the channels of the decoder's, from the other end
                mirrored = 3 - int(parts[1].removeprefix("up-"))
                unused = f"down_stb_TempUnet.{mirrored}.{unit[parts[2]]}.{'.'.join(parts[3:])}"
                written[unused] = torch.zeros_like(tensor)
        if new is not None:
            written[new] = tensor
    return written


def revideo_control(state: dict[str, Any]) -> dict[str, Any]:
    """ReVideo's control branch from ours."""
    parts = {
        "motion.layers.": "controlnet_cond_embedding.",
        "content.layers.": "mask_embedding.",
        "gate.layers.": "weight_embedding.",
        "fused.": "weight_embedding.conv_final.",
        "middle.": "controlnet_mid_block.0.",
    }
    written, copied = {}, {}
    for name, tensor in state.items():
        head = next((one for one in parts if name.startswith(one)), None)
        if head is not None:
            written[parts[head] + name.removeprefix(head)] = tensor
        elif match := re.fullmatch(r"skips\.(\d+)\.(\w+)", name):
            written[f"controlnet_down_blocks.{match[1]}.0.{match[2]}"] = tensor
        else:
            copied[name] = tensor
    return written | unet(copied)
