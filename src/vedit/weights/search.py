"""From what a person calls a model to the folder that holds it. Never touches the network."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path

import vedit
from vedit.errors import ModelError

BUNDLE, DIFFUSERS = "bundle.json", "model_index.json"
SINGLE = "config.json"  # one network on its own, such as a CLIP model

PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def expanded(path: str | Path) -> Path:
    """With a ``~`` for a home folder; one that stands for nobody's is part of the name."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def model_folders() -> list[Path]:
    """Where named models are looked for: ``$VEDIT_MODELS``, what the package carries, the checkout's ``models/``."""
    package = Path(vedit.__file__).resolve().parent
    folders = [package / "_models"]
    if package.parent.name == "src":
        folders.append(package.parents[1] / "models")
    if os.environ.get("VEDIT_MODELS"):
        folders.insert(0, expanded(os.environ["VEDIT_MODELS"]))
    return [folder for folder in folders if folder.is_dir()]


def hub_cache() -> Path:
    """The cache of the Hugging Face hub, where other tools have it too: ``$HF_HUB_CACHE``, or below ``$HF_HOME``."""
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return expanded(named)
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return expanded(os.environ.get("HF_HOME") or caches / "huggingface") / "hub"


def is_model(folder: Path) -> bool:
    """Whether a folder is a bundle of ours or a diffusers pipeline."""
    return (folder / BUNDLE).is_file() or (folder / DIFFUSERS).is_file()


def is_model_folder(folder: Path) -> bool:
    """Whether a folder holds a model, a single network, or what was fetched from the hub."""
    return is_model(folder) or (folder / SINGLE).is_file() or from_hub(folder)


def from_hub(folder: Path) -> bool:
    """Whether a folder is a snapshot in the Hugging Face cache."""
    return folder.parent.name == "snapshots" and folder.parents[1].name.startswith("models--")


def installed() -> list[Path]:
    """The folders of all named models, by name; of two with one name, the one that :func:`locate` finds."""
    found: dict[str, Path] = {}
    for folder in model_folders():
        for entry in folder.iterdir():
            if is_model(entry):
                found.setdefault(entry.name, entry)
    return [found[name] for name in sorted(found)]


def is_named(model: str) -> bool:
    """Whether a folder of named models has ``model``."""
    return "/" not in model and os.sep not in model and _named(model) is not None


def _named(model: str) -> Path | None:
    return next((folder / model for folder in model_folders() if is_model(folder / model)), None)


def locate(model: str) -> Path:
    """The folder of ``model``: itself if it is one, else a named model, else a hub id in the local Hugging Face cache.

    Raises ``ModelError`` that says what is known and how to get the rest.
    """
    path = expanded(model)
    if path.is_dir():
        return path
    if path.is_file():
        if path.suffix in PICKLES:
            raise ModelError(refused(path))
        raise ModelError(f"{model}: is a file; a model is a folder in the diffusers layout")
    if "/" not in model and os.sep not in model:
        named = _named(model)
        if named is not None:
            return named
    elif HUB_ID.fullmatch(model):
        cached = _cached_snapshot(model)
        if cached is not None:
            return cached
    names = ", ".join(found.name for found in installed()) or "none"
    asked = os.environ.get("VEDIT_MODELS")
    note = f" ($VEDIT_MODELS is {asked})" if asked else ""
    if HUB_ID.fullmatch(model):
        raise ModelError(
            f"{model}: no such folder, and not in the local Hugging Face cache; vedit downloads nothing by itself: "
            f"fetch it with `vedit models pull {model}`, or use a model that is here: {names}{note}"
        )
    raise ModelError(f"{model}: no such folder and no such model; models that are here: {names}{note}")


def refused(file: Path) -> str:
    """What to say of a pickle."""
    return (
        f"{file}: is a pickle and is refused, since reading one can run any code; get the model's safetensors, or make "
        "a folder of it with vedit models convert"
    )


def _cached_snapshot(hub_id: str) -> Path | None:
    """Its folder at the commit that the registry pins, else at the one that ``main`` was when it was fetched."""
    from vedit.weights import checkpoints

    row = checkpoints.find(hub_id)
    storage = hub_cache() / f"models--{(row.id if row else hub_id).replace('/', '--')}"
    names = (BUNDLE, DIFFUSERS, SINGLE, *(row.files if row else ()))
    for revision in dict.fromkeys((row.revision if row else None, "main")):
        if revision is None:
            continue
        kept = storage / "refs" / revision
        commit = kept.read_text(encoding="utf-8").strip() if kept.is_file() else revision
        folder = storage / "snapshots" / commit
        here = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        if any(fnmatch.fnmatch(file, name) for file in here for name in names):  # as they were chosen
            return folder
    return None
