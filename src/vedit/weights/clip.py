"""CLIP models for measuring: a whole ``CLIPModel`` with its tokenizer and its picture preprocessing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vedit.errors import ModelError
from vedit.weights import checkpoints
from vedit.weights.bundle import check_manifest, name_of, read_json, sha256
from vedit.weights.load import as_model_error, quietly
from vedit.weights.search import BUNDLE, locate

PREPROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True)
class ClipFiles:
    """Where a CLIP model's files lie; ``sha256`` is over the names and hashes of its own."""

    name: str
    clip: Path
    tokenizer: Path
    sha256: str


def open_clip(model: str) -> ClipFiles:
    """Find a CLIP model: a bundle of ours that has one, or a folder or cached hub id in transformers' layout.

    Raises ``ModelError`` that names the file that is missing.
    """
    checkpoints.check_kind(model, "clip", "a CLIP model")
    path = locate(model).resolve()
    if (path / BUNDLE).is_file():
        check_manifest(path, content=True)
        description = read_json(path / BUNDLE)
        parts = next((role for role in description.get("roles", {}).values() if {"clip", "tokenizer"} <= set(role)), {})
        if not parts:
            raise ModelError(f"{path / BUNDLE}: has no clip and tokenizer; give another model")
        name, clip, tokenizer = str(description.get("name", path.name)), path / parts["clip"], path / parts["tokenizer"]
    else:
        name, clip, tokenizer = name_of(path), path, path
        kind = read_json(path / "config.json").get("model_type")
        if kind != "clip":
            raise ModelError(f"{path / 'config.json'}: describes a {kind}, not a CLIP model with text and pictures")
    for file in (clip / PREPROCESSOR, tokenizer / "vocab.json", tokenizer / "merges.txt"):
        if not file.is_file():
            raise ModelError(f"{file}: missing; get the model again")
    return ClipFiles(name, clip, tokenizer, _fingerprint(clip, tokenizer))


def load_image_processor(folder: Path) -> Any:
    """The preprocessing of ``preprocessor_config.json``, transformers' own."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    with quietly("transformers"), as_model_error(folder / PREPROCESSOR):
        return CLIPImageProcessorPil.from_pretrained(str(folder), local_files_only=True)


def _fingerprint(*folders: Path) -> str:
    read = {
        file.name: sha256(file)
        for folder in folders
        for file in sorted(folder.iterdir())
        if file.suffix in (".safetensors", ".json", ".txt")
    }
    return hashlib.sha256("".join(f"{read[name]}  {name}\n" for name in sorted(read)).encode()).hexdigest()
