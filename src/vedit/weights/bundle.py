"""A model on disk: which folder holds which component, what it recommends, and whether its files are what they were.

A bundle of ours has ``bundle.json`` (roles and their components) and ``manifest.json`` (size and sha256 of every file).
A diffusers folder has ``model_index.json`` and no manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from vedit.errors import ModelError
from vedit.weights import checkpoints
from vedit.weights.index import check_index
from vedit.weights.search import BUNDLE, DIFFUSERS, PICKLES, expanded, from_hub, is_named, locate, refused

MANIFEST = "manifest.json"
TRAINING = "training"  # a folder in a model's: what its training goes on from, no part of the model
SCHEMA = 1

# What each role needs. A diffusers folder names the same components differently.
_ALL = ("vae", "clip", "tokenizer", "unet", "scheduler")
COMPONENTS = {
    "instruct": _ALL,
    "text2image": _ALL,
    "image2video": ("vae", "image_encoder", "feature_extractor", "unet", "scheduler"),
}
_IN_DIFFUSERS = {"clip": "text_encoder"}
# What the weights of a component are called.
NETWORK, ENCODER = "diffusion_pytorch_model", "model"
_STEMS = {"vae": NETWORK, "unet": NETWORK, "clip": ENCODER, "image_encoder": ENCODER}

# What a diffusers pipeline recommends, where its model card says so and its files do not.
_PRESETS: dict[str, dict[str, Any]] = {
    "StableDiffusionInstructPix2PixPipeline": {
        "steps": 20,
        "guidance": 7.5,
        "video_guidance": 1.5,
        "frames": 16,
        "overlap": 4,
        "size": 512,
        "multiple": 8,
        "methods": {"video-instruct-pix2pix": {"steps": 50}},
    },
    "StableDiffusionPipeline": {"frames": 8, "overlap": 0, "size": 512, "multiple": 8},
    # fps_offset: what is added to the frame rate before the network reads it.
    "StableVideoDiffusionPipeline": {
        "steps": 25,
        "fps": 7,
        "fps_offset": -1,
        "motion_bucket": 127,
        "noise_augmentation": 0.02,
        # The published code lets the first frame go free; AnyV2V's goes back to noise in 500 steps, fixed points take
        # fewer for as much.
        "methods": {"revideo": {"fps": 10, "fps_offset": 0, "hold": False}, "anyv2v": {"fixed_point": 2}},
        "overlap": 1,
        "size": 576,
        "multiple": 64,
    },
}
# Whose recommendation holds for any pipeline with the parts of a role.
_USUAL = {"text2image": "StableDiffusionPipeline", "image2video": "StableVideoDiffusionPipeline"}
_DEFAULT_MAX_FRAMES = 32  # of vedit.nets.video_unet.Temporal


class NotForRole(ModelError):
    """A model that is in order and has other uses."""


@dataclass(frozen=True)
class Bundle:
    """One role of a model. ``components``: absolute folders by name. ``preset``: its advice and what it knows."""

    name: str
    path: Path
    components: dict[str, Path]
    preset: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def sha256(self) -> str:
        """Of the whole model: over the manifest's names and hashes, or over the files of this role if it has none."""
        files = read_manifest(self.path)
        if files is None:
            return self.parts_sha256
        return _hash_of({name: entry["sha256"] for name, entry in files.items()})

    @cached_property
    def parts_sha256(self) -> str:
        """Of the components of this role alone: stays the same when a model gets a new card or another role."""
        known = read_manifest(self.path) or {}
        hashes = {}
        for folder in sorted(set(self.components.values())):
            for file in _files(folder):
                name = file.relative_to(self.path).as_posix()
                hashes[name] = known[name]["sha256"] if name in known else sha256(file)
        return _hash_of(hashes)


def open_bundle(
    model: str | Path, role: str = "instruct", *, verify: bool = False, recipe: str | None = None
) -> Bundle:
    """Find ``model`` (see :func:`~vedit.weights.search.locate`) and check that it has all that ``role`` needs.

    Files are checked against the manifest by name and size, with ``verify`` by content too. ``recipe``: the training
    that it is opened for, if it is. Raises ``ModelError`` that
    names the first file or key that is off.
    """
    # A folder of one's own may be called anything, and so may a model in a folder of named ones.
    if not expanded(model).is_dir() and not is_named(str(model)):
        checkpoints.check_role(str(model), role, recipe)
    path = locate(str(model)).resolve()
    if from_hub(path):
        checkpoints.check_role(name_of(path), role, recipe)
    if (path / BUNDLE).is_file():
        check_manifest(path, content=verify)
        description = read_json(path / BUNDLE)
        if description.get("schema") != SCHEMA:
            raise ModelError(
                f"{path / BUNDLE}: schema {description.get('schema')!r}, this vedit reads {SCHEMA}; update vedit"
            )
        roles = description.get("roles", {})
        if role not in roles:
            raise NotForRole(f"{path.name}: has no {role} model; it has {', '.join(sorted(roles)) or 'none'}")
        entries = {name: _inside(path, entry) for name, entry in roles[role].items()}
        preset = read_json(entries.pop("preset")) if "preset" in entries else {}
        name = str(description.get("name", path.name))
    elif (path / DIFFUSERS).is_file():
        index = read_json(path / DIFFUSERS)
        check_index(index, (file.relative_to(path).as_posix() for file in path.glob("*/*.py")), str(path / DIFFUSERS))
        wanted = {name: _IN_DIFFUSERS.get(name, name) for name in _components(role)}
        missing = sorted(folder for folder in wanted.values() if folder not in index)
        if missing:
            raise NotForRole(
                f"{path / DIFFUSERS}: {index.get('_class_name')} has no {', '.join(missing)}; "
                f"it cannot be used for {role}; {checkpoints.instead(role)}"
            )
        entries = {name: _inside(path, folder) for name, folder in wanted.items()}
        usual = _PRESETS.get(_USUAL.get(role, ""), {})  # of another pipeline with the parts that the role needs
        preset = dict(_PRESETS.get(str(index.get("_class_name")), usual))
        name = name_of(path)
    else:
        raise ModelError(f"{path}: has neither {BUNDLE} nor {DIFFUSERS}; it is not a model folder")
    lacking = [component for component in _components(role) if component not in entries]
    if lacking:
        raise ModelError(f"{path / BUNDLE}: role {role} lacks {', '.join(lacking)}; get the model again")
    for component, folder in entries.items():
        if not folder.exists():
            raise ModelError(f"{folder}: the {component} of {name} is missing; {again(path)}")
        if not (path / BUNDLE).is_file() and component in _STEMS:
            variant_of(folder, _STEMS[component])
    if role == "text2image":
        sample = _check_text2image(entries["unet"], name)
        if sample is not None and not (path / BUNDLE).is_file():
            preset["size"] = sample * _stride(entries["vae"])
    if role == "image2video":
        preset.setdefault("frames", _check_image2video(entries["unet"], name))
    if role != "text2image":  # whose network sees frame by frame: any window fits
        preset.setdefault("max_frames", _max_frames(entries.get("unet")))
    return Bundle(name, path, entries, preset)


def variant_of(folder: Path, stem: str) -> str | None:
    """The variant whose weights are in a component's folder: None for the plain ones, else fp16.

    Raises ``ModelError`` where there are none, or not all parts of them.
    """
    lacking = ""
    for variant in (None, "fp16"):
        name = stem if variant is None else f"{stem}.{variant}"
        if (folder / f"{name}.safetensors").is_file():
            return variant
        index = folder / ".".join([stem, "safetensors", "index", *([variant] if variant else []), "json"])
        if index.is_file():
            absent = absent_shards(index)
            if not absent:
                return variant
            lacking = lacking or absent[0]
    if lacking:
        raise ModelError(f"{folder / lacking}: missing; {again(folder)}")
    pickles = sorted(file for file in folder.iterdir() if file.suffix in PICKLES) if folder.is_dir() else []
    if pickles:
        raise ModelError(refused(pickles[0]))
    raise ModelError(f"{folder / (stem + '.safetensors')}: missing; {again(folder)}")


def absent_shards(index: Path) -> list[str]:
    """The files of weights that an index names and that are not beside it."""
    named = read_json(index).get("weight_map")
    if not isinstance(named, dict):
        raise ModelError(f"{index}: has no weight_map of files; {again(index.parent)}")
    return sorted({str(name) for name in named.values() if not (index.parent / str(name)).is_file()})


def preset_of(pipeline: str) -> dict[str, Any]:
    """What vedit recommends for a pipeline of diffusers."""
    return dict(_PRESETS.get(pipeline, {}))


def write_manifest(folder: str | Path) -> Path:
    """Write ``manifest.json`` for all files of ``folder`` but those of its training, and return its path."""
    folder = Path(folder)
    files = {
        file.relative_to(folder).as_posix(): {"size": file.stat().st_size, "sha256": sha256(file)}
        for file in _listed(folder)
    }
    (folder / MANIFEST).write_text(json.dumps({"files": files}, indent=1) + "\n", encoding="utf-8")
    return folder / MANIFEST


def read_manifest(folder: Path) -> dict[str, dict[str, Any]] | None:
    """Size and sha256 by file name, or None if the folder has no manifest."""
    if not (folder / MANIFEST).is_file():
        return None
    files = read_json(folder / MANIFEST).get("files")
    if not isinstance(files, dict) or not all(
        isinstance(entry, dict) and isinstance(entry.get("size"), int) and isinstance(entry.get("sha256"), str)
        for entry in files.values()
    ):
        raise ModelError(f"{folder / MANIFEST}: not a list of files with size and sha256; get the model again")
    return files


def check_manifest(folder: Path, *, content: bool) -> None:
    """Raise ``ModelError`` for a missing, extra or changed file; ``content`` hashes them all."""
    files = read_manifest(folder)
    if files is None:
        raise ModelError(f"{folder / MANIFEST}: missing, so the model cannot be checked; get the model again")
    for name, entry in files.items():
        file = folder / name
        if not file.is_file():
            raise ModelError(f"{file}: missing, the manifest names it; get the model again")
        size = file.stat().st_size
        if size != entry["size"]:
            raise ModelError(f"{file}: changed, has {size} bytes instead of {entry['size']}; get the model again")
        if content and sha256(file) != entry["sha256"]:
            raise ModelError(f"{file}: changed, its sha256 is not the manifest's; get the model again")
    for file in _listed(folder):
        if file.relative_to(folder).as_posix() not in files:
            raise ModelError(f"{file}: not named by the manifest; remove it, or get the model again")


def _hash_of(hashes: dict[str, str]) -> str:
    """One hash of many files' names and hashes."""
    return hashlib.sha256("".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes)).encode()).hexdigest()


def sha256(file: Path) -> str:
    """Of a file's content, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object. Raises ``ModelError`` that names the file."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{file}: missing; get the model again") from None
    except (ValueError, OSError) as error:
        raise ModelError(f"{file}: cannot be read as JSON ({error}); get the model again") from None
    if not isinstance(content, dict):
        raise ModelError(f"{file}: is not a JSON object; get the model again")
    return content


def _components(role: str) -> tuple[str, ...]:
    if role not in COMPONENTS:
        raise ModelError(f"no such kind of model: {role}; vedit knows {', '.join(sorted(COMPONENTS))}")
    return COMPONENTS[role]


def _files(folder: Path) -> Iterator[Path]:
    """All files below, hidden ones aside."""
    for file in folder.rglob("*"):
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts):
            yield file


def _listed(folder: Path) -> list[Path]:
    """The files that a manifest names."""
    own = (folder / MANIFEST, folder / TRAINING)
    return sorted(file for file in _files(folder) if not any(file.is_relative_to(path) for path in own))


def _inside(folder: Path, entry: Any) -> Path:
    relative = PurePosixPath(str(entry))
    if relative.is_absolute() or ".." in relative.parts:
        raise ModelError(f"{folder / BUNDLE}: {entry} lies outside of the model; get the model again")
    return folder / relative


def _max_frames(unet: Path | None) -> int:
    """The longest window of a video U-Net, from its configuration."""
    if unet is None or not (unet / "config.json").is_file():
        return _DEFAULT_MAX_FRAMES
    return int(read_json(unet / "config.json").get("temporal", {}).get("max_frames", _DEFAULT_MAX_FRAMES))


def _stride(vae: Path) -> int:
    """Pixels of an autoencoder's latent, along each side."""
    return 2 ** (len(read_json(vae / "config.json").get("block_out_channels", [0] * 4)) - 1)


def _check_text2image(unet: Path, name: str) -> int | None:
    """The side of the latents that it was made for, if it says so. Raises ``ModelError`` for a U-Net that wants to see
    more than the noisy latents."""
    config = read_json(unet / "config.json")
    kind, channels, latent = config.get("_class_name"), config.get("in_channels"), config.get("out_channels")
    if kind != "UNet2DConditionModel":
        raise NotForRole(f"{unet / 'config.json'}: describes a {kind}; editing by prompt needs a UNet2DConditionModel")
    if channels != latent:
        raise NotForRole(
            f"{name}: its U-Net takes {channels} channels for {latent} of the latents, so it is not text-to-image; "
            "editing by prompt needs one, such as Stable Diffusion 1.x or 2.x"
        )
    sample = config.get("sample_size")
    return sample if isinstance(sample, int) and sample > 0 else None


def _check_image2video(unet: Path, name: str) -> int:
    """How many frames the network was made for. Raises ``ModelError`` for another kind of network."""
    config = read_json(unet / "config.json")
    kind, channels, latent = config.get("_class_name"), config.get("in_channels"), config.get("out_channels")
    if kind != "UNetSpatioTemporalConditionModel":
        raise NotForRole(
            f"{unet / 'config.json'}: describes a {kind}; image-to-video needs a UNetSpatioTemporalConditionModel"
        )
    if not isinstance(latent, int) or channels != 2 * latent:
        raise NotForRole(
            f"{name}: its U-Net takes {channels} channels for {latent} of the latents; image-to-video needs twice as "
            "many, the second half for the first frame"
        )
    return int(config.get("num_frames", 14))


def name_of(path: Path) -> str:
    """``owner/name`` for a snapshot in the Hugging Face cache, else the folder's name."""
    if from_hub(path):
        return path.parents[1].name.removeprefix("models--").replace("--", "/")
    return path.name


def again(path: Path) -> str:
    """What to do about a file that is missing in a model's folder, or in one of its components."""
    for folder in (path, *path.parents):
        if from_hub(folder):
            return f"vedit models pull {name_of(folder)} fetches what is missing"
    return "get the model again"
