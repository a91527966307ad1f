"""Pipelines that Tune-A-Video's and TCVE's own code saved: a model folder, and the adapter that belongs to it."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import InputError, ModelError
from vedit.nets.strict import check
from vedit.weights.adapter import About
from vedit.weights.bundle import read_json
from vedit.weights.convert import names
from vedit.weights.convert.ledger import SAFE, Ledger, read
from vedit.weights.convert.parts import (
    GROUPS,
    HEADS,
    Made,
    Part,
    Tensors,
    diffusers_part,
    empty,
    text_part,
    unet_settings,
    vae_part,
)
from vedit.weights.convert.whole import sd_files

if TYPE_CHECKING:
    pass

_STEMS = ("diffusion_pytorch_model", "pytorch_model", "model")
_UNUSED = "the units of the encoder, which TCVE's code builds and never uses"


def pipeline(folder: Path, method: str) -> Made:
    """A folder with ``unet``, ``vae``, ``text_encoder`` and ``tokenizer``; ``method``: tune-a-video or tcve."""
    for needed in ("unet", "vae", "text_encoder", "tokenizer"):
        if not (folder / needed).is_dir():
            raise InputError(f"{folder}: has no folder {needed}; give the whole folder that the training saved")
    made = Made(texts=sd_files("StableDiffusionPipeline"), copies={"tokenizer": folder / "tokenizer"})
    config = read_json(folder / "unet" / "config.json")
    heads = config.get("attention_head_dim", HEADS)
    unet = _component(folder / "unet")
    made.parts["unet"], network, trained = split(
        unet, method, heads=int(heads[0] if isinstance(heads, list) else heads),
        groups=int(config.get("norm_num_groups", GROUPS)),
    )  # fmt: skip
    vae, text = _component(folder / "vae"), _component(folder / "text_encoder")
    made.parts["vae"] = vae_part(vae.take("", names.old_vae_attention), vae.where)
    made.parts["text_encoder"] = text_part(text.take(""), text.where)
    for ledger in (unet, vae, text):
        ledger.finish()
        made.aside |= ledger.aside
    scheduler = folder / "scheduler" / "scheduler_config.json"
    if scheduler.is_file():
        made.texts["scheduler/scheduler_config.json"] = scheduler.read_text(encoding="utf-8")
    card = f"# An adapter of {method}\n\nConverted by vedit models convert from what the method's own code saved.\n"
    made.adapters["adapter"] = About(method=method, base="", base_sha256="", network=network, card=card), trained
    if method == "tcve":
        made.notes.append(
            "TCVE's own code reads the features of its two coarsest units at mixed-up places, and vedit does not: "
            "edits differ a little from those of that code"
        )
    return made


def split(
    ledger: Ledger, method: str, heads: int = HEADS, groups: int = GROUPS
) -> tuple[Part, dict[str, Any], Tensors]:
    """The 2D U-Net, the settings of the method's network, and its trained parameters by our names."""
    from diffusers import UNet2DConditionModel

    from vedit.nets.tcve import TCVEConfig, TCVEUNet
    from vedit.nets.tune_a_video import TuneAVideoConfig, TuneAVideoUNet

    where = ledger.where
    if method == "tcve" and not ledger.has("conv_in_TempUnet."):
        raise ModelError(f"{where}: has no temporal U-Net (TempUnet), so it is not TCVE's; --as tune-a-video?")
    extra = _tcve(ledger) if method == "tcve" else {}
    temporal = _temporal(ledger)
    flat = ledger.take("", lambda name: None if "TempUnet" in name else name)
    if not temporal:
        raise ModelError(f"{where}: has no attn_temp, so it is not of Tune-A-Video's kind; --as names another kind?")
    settings = unet_settings(flat, where, heads, groups)
    part = diffusers_part("UNet2DConditionModel", settings, flat, where)
    network: Any
    if method == "tcve":
        # The settings that its code has, which differ from the paper's.
        config: Any = TCVEConfig(spatial="tune-a-video")
        network = empty(lambda: TCVEUNet(UNet2DConditionModel(**settings), config), {}, where)
    else:
        config = TuneAVideoConfig()
        network = empty(lambda: TuneAVideoUNet(UNet2DConditionModel(**settings), config), {}, where)
    queries = {f"unet.{name}": tensor for name, tensor in flat.items() if re.search(r"\.attn[12]\.to_q\.weight$", name)}
    inside = "inflated." if method == "tcve" else ""
    trained = {f"{inside}{name}": tensor for name, tensor in (queries | temporal).items()} | extra
    check(network.trained(), trained, where)
    return part, asdict(config), trained


def _temporal(ledger: Ledger) -> Tensors:
    """Attention over the frames, by our names. Its norm is not trained and has no weights here."""
    norms = ledger.take("", lambda name: name if re.search(r"transformer_blocks\.\d+\.norm_temp\.", name) else None)
    for name, tensor in norms.items():
        expected = 1.0 if name.endswith("weight") else 0.0
        if not tensor.is_meta and not bool((tensor == expected).all()):
            raise ModelError(f"{ledger.where}: {name} was trained, which neither paper does; it cannot be kept")

    def rename(name: str) -> str | None:
        match = re.fullmatch(r"(.+\.transformer_blocks\.\d+)\.attn_temp\.(.+)", name)
        return None if match is None else f"temporal.{match[1].replace('.', '-')}.attention.{match[2]}"

    if norms:
        ledger.aside["the norm of the attention over frames, which stays as it began"] = sorted(norms)
    return ledger.take("", rename)


def _tcve(ledger: Ledger) -> Tensors:
    """The temporal U-Net and its units, by our names."""
    ledger.set_aside(r"down_stb_TempUnet\.", _UNUSED)
    layer = {"norm1": "norm", "conv1": "convolution", "conv_shortcut": "shortcut"}
    unit = {"attn_temp": "attention", "norm_temp": "norm", "norm": "convolution_norm", "conv_3d": "convolution"}

    def rename(name: str) -> str | None:
        if match := re.fullmatch(r"conv_in_TempUnet\.(\w+)", name):
            return f"temporal.stem.{match[1]}"
        if match := re.fullmatch(r"(down|up)_blocks\.(\d+)\.resnets\.(\d+)\.(\w+)_TempUnet\.(\w+)", name):
            return (
                f"temporal.{match[1]}.{match[2]}.{match[3]}.{layer[match[4]]}.{match[5]}" if match[4] in layer else None
            )
        if match := re.fullmatch(r"mid_block\.resnets\.(\d+)\.(\w+)_TempUnet\.(\w+)", name):
            return f"temporal.middle.{match[1]}.{layer[match[2]]}.{match[3]}" if match[2] in layer else None
        if match := re.fullmatch(r"down_blocks\.(\d+)\.downsamplers\.0\.conv_TempUnet\.(\w+)", name):
            return f"temporal.shrink.{match[1]}.{match[2]}"
        if match := re.fullmatch(r"up_blocks\.(\d+)\.upsamplers\.0\.upsample_TempUnet\.1\.(\w+)", name):
            return f"temporal.stretch.{match[1]}.{match[2]}"
        match = re.fullmatch(r"(mid|up)_stb_TempUnet\.(?:(\d+)\.)?(attn_temp|norm_temp|norm|conv_3d)\.(.+)", name)
        if match is None:
            return None
        place = "middle" if match[1] == "mid" else f"up-{match[2]}"
        return f"units.{place}.{unit[match[3]]}.{match[4]}"

    return ledger.take("", rename)


def _component(folder: Path) -> Ledger:
    """The weights of one component: safetensors, or the pickle that was saved instead."""
    for suffix in (SAFE, ".bin"):
        for stem in _STEMS:
            if (folder / f"{stem}{suffix}").is_file():
                return read(folder / f"{stem}{suffix}")
    raise InputError(f"{folder}: has neither {_STEMS[0]}{SAFE} nor {_STEMS[0]}.bin; give the folder that was saved")
