"""Stable Diffusion 1.x, InstructPix2Pix and Stable Video Diffusion as they were published first: all in one file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import ModelError
from vedit.weights.convert import names
from vedit.weights.convert.ledger import Ledger
from vedit.weights.convert.parts import (
    VIDEO_FRAMES,
    Made,
    Part,
    as_json,
    diffusers_part,
    text_part,
    unet_settings,
    vae_part,
    vision_part,
)

if TYPE_CHECKING:
    import torch

UNET, VAE, EMA = "model.diffusion_model.", "first_stage_model.", "model_ema."
_TEXT = "cond_stage_model.transformer."
_PICTURE = "conditioner.embedders.0.open_clip.model."
_FRAME = "conditioner.embedders.3.encoder."  # the autoencoder that the first frame goes through
_SCHEDULE = r"(betas|alphas_cumprod(_prev)?|sqrt_\w+|log_one_minus_alphas_cumprod|posterior_\w+|logvar|scale_factor)$"

# The noise schedule of Stable Diffusion 1.x, with what its scheduler's configuration adds to the class's defaults.
SD_SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "prediction_type": "epsilon",
}
# EDM's levels as Stable Video Diffusion has them: Karras' spacing from 700 to 0.002.
SVD_SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "interpolation_type": "linear",
    "prediction_type": "v_prediction",
    "sigma_max": 700.0,
    "sigma_min": 0.002,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "use_karras_sigmas": True,
}
_CLIP_PICTURES = {
    "image_processor_type": "CLIPImageProcessor",
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "rescale_factor": 1 / 255,
    "size": {"shortest_edge": 224},
}


def stable_diffusion(ledger: Ledger, tokenizer: Path | None) -> Made:
    """A text-to-image or InstructPix2Pix model (by its input channels). ``tokenizer``: a folder to copy."""
    where = ledger.where
    if ledger.has("cond_stage_model.model."):
        raise ModelError(f"{where}: is Stable Diffusion 2.x, which has another text encoder; take its diffusers folder")
    ledger.set_aside(_SCHEDULE, "the noise schedule, which is that of every Stable Diffusion 1.x")
    made = Made(copies={} if tokenizer is None else {"tokenizer": tokenizer})
    if _take_average(ledger):
        made.notes.append(
            "the file has weights and their moving average; the average was taken, which smaller files hold alone"
        )
    ledger.set_aside(r"model_ema\.", "the moving average of the weights, or what is left of it")
    made.parts["unet"] = unet_part(ledger, UNET, video=False)
    made.parts["vae"] = autoencoder(ledger, VAE)
    made.parts["text_encoder"] = text_part(ledger.take(_TEXT), f"{where}: text encoder")
    ledger.finish()
    channels = made.parts["unet"].tensors["conv_in.weight"].shape[1]
    latent = made.parts["unet"].tensors["conv_out.weight"].shape[0]
    if channels not in (latent, 2 * latent):
        raise ModelError(
            f"{where}: its U-Net takes {channels} channels for {latent} of the latents, as for inpainting; vedit runs "
            f"those with {latent} (text to image) or {2 * latent} (InstructPix2Pix); nothing was written"
        )
    edits = channels != latent
    made.texts = sd_files("StableDiffusionInstructPix2PixPipeline" if edits else "StableDiffusionPipeline")
    made.aside = ledger.aside
    return made


def _take_average(ledger: Ledger) -> bool:
    """Put the moving average of the U-Net's weights in their place, if the file has all of it.

    Its names are those of the weights without their dots. InstructPix2Pix's code samples with it, and of Stable
    Diffusion 1.x it is what the files called -emaonly hold.
    """
    of = {f"{EMA}{key.removeprefix('model.').replace('.', '')}": key for key in ledger.left() if key.startswith(UNET)}
    if not of or not all(name in ledger for name in of):
        return False
    ledger.replace(of, "the weights of which the moving average was taken")
    return True


def sd_files(pipeline: str) -> dict[str, str]:
    """The small files of a Stable Diffusion folder."""
    index = {
        "_class_name": pipeline,
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    return {"model_index.json": as_json(index), "scheduler/scheduler_config.json": as_json(SD_SCHEDULER)}


def stable_video_diffusion(ledger: Ledger) -> Made:
    """A Stable Video Diffusion folder."""
    made = video_parts(ledger)
    ledger.finish()
    made.aside = ledger.aside
    made.notes.append(
        f"the file does not say for how many frames it was made; taken for {VIDEO_FRAMES}, so give an -xt --window 25"
    )
    return made


def video_parts(ledger: Ledger) -> Made:
    """The same, with what is left of the checkpoint still in ``ledger``."""
    where = ledger.where
    made = Made()
    made.parts["unet"] = unet_part(ledger, UNET, video=True)
    if not ledger.has(VAE + "quant_conv."):
        # The engine's own autoencoder ends without it: what encodes is the one of the first frame.
        ledger.set_aside(re.escape(VAE) + r"encoder\.", "a second copy of the encoder, which only training needs")
        source = _FRAME
    else:
        source = VAE
    made.parts["vae"] = autoencoder(ledger, VAE, encoder=source, video=True)
    ledger.set_aside(re.escape(_FRAME), "the autoencoder of the first frame, which is the other one's encoder")
    made.parts["image_encoder"] = vision_part(_vision(ledger), f"{where}: image encoder")
    ledger.set_aside(re.escape(_PICTURE), "the text half of the image encoder, which nothing reads")
    ledger.set_aside(r"conditioner\.embedders\.0\.(mean|std)$", "colours of the image encoder, which are CLIP's")
    index = {
        "_class_name": "StableVideoDiffusionPipeline",
        "vae": ["diffusers", "AutoencoderKLTemporalDecoder"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "unet": ["diffusers", "UNetSpatioTemporalConditionModel"],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    }
    made.texts = {
        "model_index.json": as_json(index),
        "scheduler/scheduler_config.json": as_json(SVD_SCHEDULER),
        "feature_extractor/preprocessor_config.json": as_json(_CLIP_PICTURES),
    }
    return made


def unet_part(ledger: Ledger, prefix: str, *, video: bool) -> Part:
    """The U-Net below ``prefix``."""
    where = f"{ledger.where}: U-Net"
    layers = resnets_of_a_block(ledger, prefix)
    tensors = ledger.take(prefix, lambda name: names.unet(name, layers, video))
    settings: dict[str, Any] = unet_settings(tensors, where) if tensors else {}
    if not tensors:
        raise ModelError(f"{ledger.where}: has no {prefix}…; --as names another kind?")
    kind = "UNetSpatioTemporalConditionModel" if video else "UNet2DConditionModel"
    return diffusers_part(kind, settings, tensors, where)


def resnets_of_a_block(ledger: Ledger, prefix: str) -> int:
    """How many ResNets a block of the encoder has, from where it is made coarser."""
    coarser = [re.match(rf"{re.escape(prefix)}input_blocks\.(\d+)\.0\.op\.", key) for key in ledger.left()]
    numbers = [int(match[1]) for match in coarser if match is not None]
    if numbers:
        return min(numbers) - 1
    blocks = [re.match(rf"{re.escape(prefix)}input_blocks\.(\d+)\.", key) for key in ledger.left()]
    return max((int(match[1]) for match in blocks if match is not None), default=1)


def autoencoder(ledger: Ledger, prefix: str, *, encoder: str | None = None, video: bool = False) -> Part:
    """The autoencoder below ``prefix``; ``encoder``: where its encoder is, if elsewhere."""
    ups = [re.match(rf"{re.escape(prefix)}decoder\.up\.(\d+)\.", key) for key in ledger.left()]
    levels = 1 + max((int(match[1]) for match in ups if match is not None), default=-1)
    if not levels:
        raise ModelError(f"{ledger.where}: has no {prefix}decoder; it is not whole, or --as names another kind")

    def half(one: str, source: str) -> dict[str, torch.Tensor]:
        return ledger.take(source, lambda name: names.vae(name, levels, video) if name.startswith(one) else None)

    tensors = half("decoder.", prefix) | half("encoder.", encoder or prefix) | half("quant_conv.", encoder or prefix)
    tensors |= half("post_quant_conv.", prefix)
    return vae_part(tensors, f"{ledger.where}: autoencoder")


def _vision(ledger: Ledger) -> dict[str, torch.Tensor]:
    """OpenCLIP's pictures' half: one matrix for query, key and value becomes three, the projection is turned."""
    tensors = ledger.take(_PICTURE + "visual.", names.open_clip_vision)
    for key, tensor in ledger.take(_PICTURE + "visual.").items():
        if key == "proj":
            tensors["visual_projection.weight"] = tensor.T
            continue
        match = re.fullmatch(r"transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)", key)
        if match is None:
            raise ModelError(f"{ledger.where}: {_PICTURE}visual.{key} has no place; nothing was written")
        for one, part in zip("qkv", tensor.chunk(3), strict=True):
            tensors[f"vision_model.encoder.layers.{match[1]}.self_attn.{one}_proj.{match[2]}"] = part
    return tensors
