"""Reading one component: strictly (every key accounted for), from safetensors only, never from the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import ModelError
from vedit.weights.bundle import read_json

if TYPE_CHECKING:
    import torch
    from diffusers import UNet2DConditionModel
    from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

    from vedit.diffusion.schedule import Schedule
    from vedit.nets.codec import Codec
    from vedit.nets.video_unet import VideoUNet

PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")


def load_vae(folder: str | Path, dtype: torch.dtype | None = None) -> Codec:
    """A ``PatchAutoencoder``, ``AutoencoderTiny`` or ``AutoencoderKL`` as a :class:`~vedit.nets.codec.Codec`, in
    evaluation mode."""
    import diffusers

    from vedit.nets.codec import Codec
    from vedit.nets.patch_autoencoder import PatchAutoencoder

    folder = Path(folder)
    kind = _kind(folder, ("PatchAutoencoder", "AutoencoderTiny", "AutoencoderKL"))
    variant = _variant(folder, "diffusion_pytorch_model")
    network = PatchAutoencoder if kind == "PatchAutoencoder" else getattr(diffusers, kind)
    with quietly("diffusers"):
        vae = _from_pretrained(network, folder, torch_dtype=_dtype(dtype), variant=variant)
    return Codec(vae).eval()


def load_clip(folder: str | Path, dtype: torch.dtype | None = None) -> CLIPModel | CLIPTextModel:
    """A ``CLIPModel``, or the ``CLIPTextModel`` of a Stable Diffusion folder, in evaluation mode."""
    import transformers

    folder = Path(folder)
    kind = {"clip": "CLIPModel", "clip_text_model": "CLIPTextModel"}.get(str(_config(folder).get("model_type")))
    if kind is None:
        raise ModelError(f"{folder / 'config.json'}: describes a {_config(folder).get('model_type')}, not a CLIP model")
    variant = _variant(folder, "model")
    with quietly("transformers"):
        return _from_pretrained(getattr(transformers, kind), folder, dtype=_dtype(dtype), variant=variant).eval()


def load_tokenizer(folder: str | Path) -> CLIPTokenizer:
    """A ``CLIPTokenizer`` from ``vocab.json`` and ``merges.txt``."""
    from transformers import CLIPTokenizer

    folder = Path(folder)
    for name in ("vocab.json", "merges.txt"):
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name}: missing; get the model again")
    with quietly("transformers"), as_model_error(folder):
        return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)


def load_unet(folder: str | Path, dtype: torch.dtype | None = None, in_channels: int | None = None) -> VideoUNet:
    """A :class:`~vedit.nets.video_unet.VideoUNet`, or a 2D ``UNet2DConditionModel`` inflated to one.

    ``in_channels``: widen the input of a narrower 2D network to it first; the new channels start without effect.
    """
    import diffusers

    from vedit.nets.video_unet import VideoUNet, extend_input, inflate

    folder = Path(folder)
    stem = "diffusion_pytorch_model"
    kind = _kind(folder, ("VideoUNet", "UNet2DConditionModel"))
    variant = _variant(folder, stem)
    if kind == "VideoUNet":
        with as_model_error(folder), quietly("diffusers"):
            return VideoUNet.load(folder, _dtype(dtype))
    with quietly("diffusers"):
        unet = _from_pretrained(diffusers.UNet2DConditionModel, folder, torch_dtype=_dtype(dtype), variant=variant)
        if in_channels is not None and unet.config["in_channels"] < in_channels:
            unet = extend_input(unet, in_channels)
        return inflate(unet).eval()


def load_unet2d(folder: str | Path, dtype: torch.dtype | None = None) -> UNet2DConditionModel:
    """A text-to-image ``UNet2DConditionModel``, in evaluation mode."""
    import diffusers

    folder = Path(folder)
    _kind(folder, ("UNet2DConditionModel",))
    variant = _variant(folder, "diffusion_pytorch_model")
    with quietly("diffusers"):
        return _from_pretrained(
            diffusers.UNet2DConditionModel, folder, torch_dtype=_dtype(dtype), variant=variant
        ).eval()


def load_schedule(folder: str | Path) -> Schedule:
    """The :class:`~vedit.diffusion.schedule.Schedule` of a ``scheduler_config.json`` or the folder that holds it."""
    from vedit.diffusion.schedule import Schedule

    return Schedule.from_config(folder)


def load_tensors(file: str | Path) -> dict[str, torch.Tensor]:
    """All tensors of one safetensors file, on the CPU. Raises ``ModelError`` if it is missing, damaged or a pickle."""
    from safetensors.torch import load_file

    file = Path(file)
    if file.suffix in PICKLES:
        raise ModelError(_pickle(file))
    if not file.is_file():
        raise ModelError(f"{file}: missing; get the model again")
    with as_model_error(file):
        return load_file(file)


def _config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ModelError(f"{folder}: missing; get the model again")
    return read_json(folder / "config.json")


def _kind(folder: Path, kinds: tuple[str, ...]) -> str:
    found = _config(folder).get("_class_name")
    if found not in kinds:
        raise ModelError(f"{folder / 'config.json'}: describes a {found}, not {' or '.join(kinds)}")
    return str(found)


def _dtype(dtype: torch.dtype | None) -> torch.dtype:
    import torch

    return torch.float32 if dtype is None else dtype


def _variant(folder: Path, stem: str) -> str | None:
    """The variant whose weights are there: None for the plain file, else fp16. Raises ``ModelError`` without any."""
    for variant in (None, "fp16"):
        name = stem if variant is None else f"{stem}.{variant}"
        if (folder / f"{name}.safetensors").is_file():
            return variant
        index = f"{stem}.safetensors.index.json" if variant is None else f"{stem}.safetensors.index.{variant}.json"
        if (folder / index).is_file():
            return variant
    pickles = sorted(file for file in folder.iterdir() if file.suffix in PICKLES)
    if pickles:
        raise ModelError(_pickle(pickles[0]))
    raise ModelError(f"{folder / (stem + '.safetensors')}: missing; get the model again")


def _pickle(file: Path) -> str:
    return (
        f"{file}: is a pickle and is refused, since reading one can run any code; get the model's safetensors, or "
        "convert it where you trust it: load it with torch and save it with safetensors.torch.save_file"
    )


def _from_pretrained(kind: Any, folder: Path, **options: Any) -> Any:
    """The library's own reader, with the network off and its account of keys turned into an error."""
    with as_model_error(folder):
        model, account = kind.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, output_loading_info=True, **options
        )
    for name in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        keys = sorted(str(key) for key in account.get(name) or ())
        if keys:
            few = ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
            raise ModelError(f"{folder}: {len(keys)} {name.replace('_', ' ')} ({few}); get the model again")
    return model


@contextmanager
def as_model_error(where: Path) -> Iterator[None]:
    """A library's complaint about a file becomes one line of ours."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{where}: cannot be read ({reason}); get the model again") from error


@contextmanager
def quietly(library: str) -> Iterator[None]:
    """Keep a library's advice and progress bars off the screen; what matters is raised as an error."""
    from importlib import import_module

    messages = import_module(f"{library}.utils.logging")
    level, bars = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        yield
    finally:
        messages.set_verbosity(level)
        if bars:
            messages.enable_progress_bar()
