"""Checkpoint files: the only place that finds, checks and reads them.

Finding and checking need no torch; the ``load_*`` functions import what they need when they are called.
"""

from vedit.weights.bundle import TRAINING, Bundle, open_bundle, write_manifest
from vedit.weights.layers import Layers, read_layers
from vedit.weights.load import (
    load_clip,
    load_image2video_unet,
    load_image_encoder,
    load_levels,
    load_schedule,
    load_tokenizer,
    load_unet,
    load_unet2d,
    load_vae,
)
from vedit.weights.registry import ModelInfo, describe, list_models
from vedit.weights.search import installed, is_model_folder, locate, model_folders

__all__ = [
    "TRAINING",
    "Bundle",
    "Layers",
    "ModelInfo",
    "describe",
    "installed",
    "is_model_folder",
    "list_models",
    "load_clip",
    "load_image2video_unet",
    "load_image_encoder",
    "load_levels",
    "load_schedule",
    "load_tokenizer",
    "load_unet",
    "load_unet2d",
    "load_vae",
    "locate",
    "model_folders",
    "open_bundle",
    "read_layers",
    "write_manifest",
]
