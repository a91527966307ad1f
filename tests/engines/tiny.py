"""A whole bundle of tiny random models, in the layout of the real ones. For the tests of everything that edits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from vedit.nets.video_unet import Temporal, VideoUNet, inflate
from vedit.weights import write_manifest

CHANNELS, LENGTH, WIDTH = 4, 12, 16
START, END = "<|startoftext|>", "<|endoftext|>"
PRESET = {
    "steps": 4,
    "guidance": 2.0,
    "video_guidance": 1.5,
    "solver": "dpmpp_2m",
    "noise_share": 0.5,
    "frames": 6,
    "overlap": 2,
    "size": 32,
    "multiple": 8,
    "knows": ["snow", "sepia"],
    "known_embeddings": "instruct/known.safetensors",
    "known_threshold": -1.0,
}
SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}

IMAGE2VIDEO = {
    "steps": 3,
    "fps": 12,
    "fps_offset": 0,
    "noise_augmentation": 0.0,
    "frames": 6,
    "overlap": 1,
    "size": 32,
    "multiple": 8,
}

SD = {"rescale_betas_zero_snr": False, "timestep_spacing": "leading", "steps_offset": 1, "set_alpha_to_one": False}


def write_bundle(folder: Path, name: str = "tiny", temporal_noise: float = 0.1, **preset: Any) -> Path:
    """Write the bundle and return its folder. ``temporal_noise`` 0 leaves the temporal layers the identity."""
    folder.mkdir(parents=True, exist_ok=True)
    write_vae(folder / "vae")
    write_tokenizer(folder / "tokenizer")
    write_clip(folder / "clip", folder / "tokenizer")
    tiny_unet(temporal_noise).save(folder / "instruct" / "unet")
    _write_json(folder / "instruct" / "scheduler" / "scheduler_config.json", SCHEDULER)
    directions = torch.nn.functional.normalize(torch.randn(2, WIDTH, generator=_generator(5)), dim=-1)
    save_file({"directions": directions, "others": directions[:0].clone()}, folder / "instruct" / "known.safetensors")
    _write_json(folder / "instruct" / "preset.json", PRESET | preset)
    parts = {"vae": "vae", "clip": "clip", "tokenizer": "tokenizer", "unet": "instruct/unet"}
    parts |= {"scheduler": "instruct/scheduler", "preset": "instruct/preset.json"}
    image2video_unet().save_pretrained(folder / "image2video" / "unet")
    _write_json(folder / "image2video" / "scheduler" / "scheduler_config.json", LEVELS | {"sigma_max": 80.0})
    _write_json(folder / "image2video" / "preset.json", IMAGE2VIDEO)
    colours = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    _write_json(folder / "clip" / "preprocessor_config.json", colours)
    video = {"vae": "vae", "image_encoder": "clip", "feature_extractor": "clip", "unet": "image2video/unet"}
    video |= {"scheduler": "image2video/scheduler", "preset": "image2video/preset.json"}
    _write_json(folder / "bundle.json", {"schema": 1, "name": name, "roles": {"instruct": parts, "image2video": video}})
    write_manifest(folder)
    return folder


def tiny_unet2d(in_channels: int = 2 * CHANNELS) -> Any:
    """A 2D U-Net of two levels."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    return UNet2DConditionModel(
        in_channels=in_channels,
        out_channels=CHANNELS,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=2,  # type: ignore[arg-type]
        norm_num_groups=4,
    ).eval()


def sd_unet2d(in_channels: int = CHANNELS) -> Any:
    """A text-to-image U-Net with the blocks of Stable Diffusion 1.x: four levels, attention at the upper three."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(6)
    unet = UNet2DConditionModel(
        in_channels=in_channels,
        out_channels=CHANNELS,
        block_out_channels=(8, 16, 16, 16),
        layers_per_block=2,
        cross_attention_dim=WIDTH,
        attention_head_dim=2,  # type: ignore[arg-type]
        norm_num_groups=4,
    ).eval()
    with torch.no_grad():  # a fresh one hardly attends
        for name, parameter in unet.named_parameters():
            if "attn" in name and name.endswith("weight"):
                parameter.mul_(4.0)
    return unet


def tiny_unet(temporal_noise: float = 0.1, max_frames: int = 8) -> VideoUNet:
    """The 2D U-Net inflated; its temporal layers disturbed, so that frames matter to each other."""
    network = inflate(tiny_unet2d(), Temporal(max_frames=max_frames, motion_heads=2))
    generator = _generator(1)
    with torch.no_grad():
        for parameter in network.temporal_parameters():
            parameter.add_(temporal_noise * torch.randn(parameter.shape, generator=generator))
    return network


def write_vae(folder: Path) -> None:
    """An AutoencoderTiny of stride 8."""
    from diffusers import AutoencoderTiny

    torch.manual_seed(2)
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
        latent_channels=CHANNELS,
    )
    vae.save_pretrained(folder)


def write_diffusers(folder: Path, pipeline: str = "StableDiffusionInstructPix2PixPipeline", **scheduler: Any) -> Path:
    """A folder as InstructPix2Pix has it: AutoencoderKL, CLIPTextModel, a 2D U-Net, SD's schedule.

    ``pipeline`` "StableDiffusionPipeline" makes it a text-to-image model with the blocks of SD 1.x.
    """
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(4)
    levels: Any = ("DownEncoderBlock2D",) * 4, ("UpDecoderBlock2D",) * 4, (4, 4, 8, 8)
    AutoencoderKL(
        down_block_types=levels[0],
        up_block_types=levels[1],
        block_out_channels=levels[2],
        norm_num_groups=2,
        latent_channels=CHANNELS,
        scaling_factor=0.5,
    ).save_pretrained(folder / "vae")
    write_tokenizer(folder / "tokenizer")
    size = len(json.loads((folder / "tokenizer" / "vocab.json").read_text()))
    text: dict[str, Any] = {
        "hidden_size": WIDTH,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text |= {"vocab_size": size, "max_position_embeddings": LENGTH, "eos_token_id": size - 1}
    CLIPTextModel(CLIPTextConfig(**text)).save_pretrained(folder / "text_encoder")
    unet = sd_unet2d() if pipeline == "StableDiffusionPipeline" else tiny_unet2d()
    unet.save_pretrained(folder / "unet")
    config = SCHEDULER | {"prediction_type": "epsilon"} | SD | scheduler
    _write_json(folder / "scheduler" / "scheduler_config.json", config)
    index = {"vae": "AutoencoderKL", "text_encoder": "CLIPTextModel", "tokenizer": "CLIPTokenizer"}
    index |= {"unet": "UNet2DConditionModel", "scheduler": "DDIMScheduler"}
    _write_json(folder / "model_index.json", {"_class_name": pipeline} | index)
    return folder


def image2video_unet(cross_attention_dim: int = WIDTH) -> Any:
    """An image-to-video U-Net with the blocks of Stable Video Diffusion; the class wants widths of 32 and multiples.

    Its group norms have 32 groups, so that narrower or on smaller latents it would turn rounding into noise.
    """
    from diffusers import UNetSpatioTemporalConditionModel

    torch.manual_seed(8)
    return UNetSpatioTemporalConditionModel(
        in_channels=2 * CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=(32, 64, 64, 64),
        addition_time_embed_dim=16,
        projection_class_embeddings_input_dim=48,
        layers_per_block=2,
        cross_attention_dim=cross_attention_dim,
        num_attention_heads=2,
        num_frames=6,
    ).eval()


LEVELS = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "timestep_type": "continuous",
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 700.0,
}


def write_image2video(folder: Path, **scheduler: Any) -> Path:
    """A folder as Stable Video Diffusion has it: temporal decoder, CLIP's vision half, a spatio-temporal U-Net."""
    from diffusers import AutoencoderKLTemporalDecoder
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(7)
    AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4,
        block_out_channels=(32, 32, 32, 32),
        layers_per_block=1,
        latent_channels=CHANNELS,
        scaling_factor=0.5,
    ).save_pretrained(folder / "vae")
    vision = {"hidden_size": WIDTH, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 224, "patch_size": 56, "projection_dim": WIDTH}
    CLIPVisionModelWithProjection(CLIPVisionConfig(**vision)).save_pretrained(folder / "image_encoder")
    image2video_unet().save_pretrained(folder / "unet")
    _write_json(folder / "scheduler" / "scheduler_config.json", LEVELS | scheduler)
    colours = {
        "image_mean": [0.48, 0.46, 0.41],
        "image_std": [0.27, 0.26, 0.28],
        "image_processor_type": "CLIPImageProcessor",
    }
    _write_json(folder / "feature_extractor" / "preprocessor_config.json", colours)
    clip, ours = "transformers", "diffusers"
    index: dict[str, Any] = {"vae": (ours, "AutoencoderKLTemporalDecoder")}
    index |= {
        "image_encoder": (clip, "CLIPVisionModelWithProjection"),
        "feature_extractor": (clip, "CLIPImageProcessor"),
    }
    index |= {"unet": (ours, "UNetSpatioTemporalConditionModel"), "scheduler": (ours, "EulerDiscreteScheduler")}
    _write_json(folder / "model_index.json", {"_class_name": "StableVideoDiffusionPipeline"} | index)
    return folder


def write_tokenizer(folder: Path) -> None:
    """A CLIPTokenizer that knows single letters, digits and ``no``, ``ow``, ``sn``."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?"
    merges = [("s", "n"), ("o", "w</w>"), ("n", "o</w>")]
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
    _write_json(folder / "vocab.json", {word: index for index, word in enumerate(words)})
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    tokens = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    _write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH} | tokens,
    )


def write_clip(folder: Path, tokenizer: Path) -> None:
    """A CLIPModel of one layer for that tokenizer."""
    from transformers import CLIPConfig, CLIPModel

    size = len(json.loads((tokenizer / "vocab.json").read_text()))
    torch.manual_seed(3)
    shared = {"hidden_size": WIDTH, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = shared | {"vocab_size": size, "max_position_embeddings": LENGTH, "projection_dim": WIDTH}
    text |= {"bos_token_id": size - 2, "eos_token_id": size - 1, "pad_token_id": size - 1}
    vision = shared | {"image_size": 32, "patch_size": 16, "projection_dim": WIDTH}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH))
    with torch.no_grad():  # a fresh CLIP hardly tells texts apart
        for parameter in model.text_model.parameters():
            parameter.mul_(3.0)
    model.save_pretrained(folder)


def clip_frames(count: int = 6, height: int = 32, width: int = 40) -> torch.Tensor:
    """A moving ramp, (T, 3, H, W) in [-1, 1]."""
    x, y = torch.linspace(0, 6, width), torch.linspace(0, 4, height)[:, None]
    frames = [
        torch.stack([torch.sin(x + t / 3) + 0 * y, torch.cos(y - t / 4) + 0 * x, torch.sin(x + y)])
        for t in range(count)
    ]
    return 0.8 * torch.stack(frames)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _write_json(file: Path, content: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
