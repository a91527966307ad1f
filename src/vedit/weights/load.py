"""Reading one component: strictly (every key accounted for), from safetensors only, never from the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import ModelError
from vedit.weights.bundle import ENCODER, NETWORK, read_json, variant_of
from vedit.weights.search import PICKLES, refused

if TYPE_CHECKING:
    import torch
    from diffusers import UNet2DConditionModel, UNetSpatioTemporalConditionModel
    from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

    from vedit.diffusion.edm import EDM
    from vedit.diffusion.schedule import Schedule
    from vedit.nets.codec import Codec
    from vedit.nets.image_encoder import ImageEncoder
    from vedit.nets.revideo import ReVideoConfig
    from vedit.nets.video_unet import VideoUNet

VAES = ("PatchAutoencoder", "AutoencoderTiny", "AutoencoderKL", "AutoencoderKLTemporalDecoder")


def load_vae(folder: str | Path, dtype: torch.dtype | None = None) -> Codec:
    """A ``PatchAutoencoder`` or one of diffusers' ``AutoencoderTiny``, ``AutoencoderKL`` and
    ``AutoencoderKLTemporalDecoder`` as a :class:`~vedit.nets.codec.Codec`, in evaluation mode."""
    import diffusers

    from vedit.nets.codec import Codec
    from vedit.nets.patch_autoencoder import PatchAutoencoder

    folder = Path(folder)
    kind = _kind(folder, VAES)
    variant = variant_of(folder, NETWORK)
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
    variant = variant_of(folder, ENCODER)
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


def load_unet(
    folder: str | Path, dtype: torch.dtype | None = None, in_channels: int | None = None, *, to_train: bool = False
) -> VideoUNet:
    """A :class:`~vedit.nets.video_unet.VideoUNet`, or a 2D ``UNet2DConditionModel`` inflated to one.

    ``in_channels``: widen the input of a narrower 2D network to it first; the new channels start without effect.
    ``to_train``: give a 2D network temporal layers, which do nothing until they are trained; else it has none.
    """
    import diffusers

    from vedit.nets.video_unet import Temporal, VideoUNet, extend_input, inflate

    folder = Path(folder)
    kind = _kind(folder, ("VideoUNet", "UNet2DConditionModel"))
    variant = variant_of(folder, NETWORK)
    if kind == "VideoUNet":
        with as_model_error(folder), quietly("diffusers"):
            return VideoUNet.load(folder, _dtype(dtype))
    with quietly("diffusers"):
        unet = _from_pretrained(diffusers.UNet2DConditionModel, folder, torch_dtype=_dtype(dtype), variant=variant)
        if in_channels is not None and unet.config["in_channels"] < in_channels:
            unet = extend_input(unet, in_channels)
        temporal = Temporal() if to_train else Temporal(motion_layers=0, convolution_layers=0)
        return inflate(unet, temporal).eval()


def load_unet2d(folder: str | Path, dtype: torch.dtype | None = None) -> UNet2DConditionModel:
    """A text-to-image ``UNet2DConditionModel``, in evaluation mode."""
    import diffusers

    folder = Path(folder)
    _kind(folder, ("UNet2DConditionModel",))
    variant = variant_of(folder, NETWORK)
    with quietly("diffusers"):
        return _from_pretrained(
            diffusers.UNet2DConditionModel, folder, torch_dtype=_dtype(dtype), variant=variant
        ).eval()


def load_image2video_unet(folder: str | Path, dtype: torch.dtype | None = None) -> UNetSpatioTemporalConditionModel:
    """A ``UNetSpatioTemporalConditionModel``, in evaluation mode."""
    import diffusers

    folder = Path(folder)
    _kind(folder, ("UNetSpatioTemporalConditionModel",))
    variant = variant_of(folder, NETWORK)
    with quietly("diffusers"):
        return _from_pretrained(
            diffusers.UNetSpatioTemporalConditionModel, folder, torch_dtype=_dtype(dtype), variant=variant
        ).eval()


def load_image_encoder(folder: str | Path, preprocessing: str | Path, dtype: torch.dtype | None = None) -> ImageEncoder:
    """A ``CLIPVisionModelWithProjection``, or the pictures' half of a ``CLIPModel``, in evaluation mode.

    ``preprocessing``: the folder of the ``preprocessor_config.json`` with the mean and deviation of its colours.
    """
    import transformers

    from vedit.nets.image_encoder import ImageEncoder

    folder, preprocessing = Path(folder), Path(preprocessing)
    kinds = {"clip": "CLIPModel", "clip_vision_model": "CLIPVisionModelWithProjection"}
    kind = kinds.get(str(_config(folder).get("model_type")))
    if kind is None:
        raise ModelError(f"{folder / 'config.json'}: describes a {_config(folder).get('model_type')}, not a CLIP model")
    colours = read_json(preprocessing / "preprocessor_config.json")
    mean, deviation = colours.get("image_mean"), colours.get("image_std")
    if not all(isinstance(values, list) and len(values) == 3 for values in (mean, deviation)):
        raise ModelError(f"{preprocessing / 'preprocessor_config.json'}: has no image_mean and image_std of 3 colours")
    variant = variant_of(folder, ENCODER)
    with quietly("transformers"):
        network = _from_pretrained(getattr(transformers, kind), folder, dtype=_dtype(dtype), variant=variant)
    return ImageEncoder(network, mean, deviation).eval()  # type: ignore[arg-type]


def load_levels(folder: str | Path) -> EDM:
    """The :class:`~vedit.diffusion.edm.EDM` of a ``scheduler_config.json`` or the folder that holds it."""
    from vedit.diffusion.edm import EDM

    return EDM.from_config(folder)


def load_schedule(folder: str | Path) -> Schedule:
    """The :class:`~vedit.diffusion.schedule.Schedule` of a ``scheduler_config.json`` or the folder that holds it."""
    from vedit.diffusion.schedule import Schedule

    return Schedule.from_config(folder)


def load_tensors(file: str | Path) -> dict[str, torch.Tensor]:
    """All tensors of one safetensors file, on the CPU. Raises ``ModelError`` if it is missing, damaged or a pickle."""
    from safetensors.torch import load_file

    file = Path(file)
    if file.suffix in PICKLES:
        raise ModelError(refused(file))
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


def empty_vae(folder: str | Path, dtype: torch.dtype) -> Codec:
    """The autoencoder of a folder without its weights, on torch's meta device."""
    import diffusers

    from vedit.nets.codec import Codec
    from vedit.nets.patch_autoencoder import PatchAutoencoder

    kind = _kind(Path(folder), VAES)
    network = PatchAutoencoder if kind == "PatchAutoencoder" else getattr(diffusers, kind)
    return Codec(_empty(network, Path(folder), dtype)).eval()


def added_by(folder: str | Path, tuned: Callable[[Any], Any]) -> tuple[int, int]:
    """How many parameters, and layers with weights, ``tuned`` adds to the 2D network of a folder, of which it makes one
    for clips."""
    import torch
    from diffusers import UNet2DConditionModel

    def counted(network: Any) -> tuple[int, int]:
        held = list(network.parameters())
        return sum(p.numel() for p in held), sum(p.dim() > 1 for p in held)

    network = _empty(UNet2DConditionModel, Path(folder), torch.float32)
    parameters, layers = counted(network)
    with torch.device("meta"):
        whole, deep = counted(tuned(network))
    return whole - parameters, deep - layers


def empty_unet_call(
    folder: str | Path,
    dtype: torch.dtype,
    latents: torch.Tensor,
    branches: int = 1,
    control: ReVideoConfig | None = None,
    tuned: Callable[[Any], Any] | None = None,
) -> Callable[[], Any]:
    """One evaluation of the U-Net of a folder without its weights, for ``latents`` (T, C, h, w) on the meta device.

    ``branches``: of the guidance, at once. ``control``: of the branch beside it, if there is one. ``tuned``: what makes
    a network for clips (B, T, C, h, w) of a 2D one.
    """
    import diffusers
    import torch
    from diffusers.models.unets.unet_motion_model import UNetMotionModel

    from vedit.nets.video_unet import Temporal, VideoUNet

    folder = Path(folder)
    config = _config(folder)
    frames, _, height, width = latents.shape
    kinds = ("VideoUNet", "UNet2DConditionModel", "UNetSpatioTemporalConditionModel")
    kind = _kind(folder, kinds)
    time = torch.zeros((), device="meta")
    if kind == "VideoUNet":
        with torch.device("meta"), as_model_error(folder), quietly("diffusers"):
            unet: Any = UNetMotionModel(**config["unet"])
            video = VideoUNet(unet, Temporal.from_dict(config["temporal"])).to(dtype).eval()
        clip = torch.empty(branches, frames, video.in_channels, height, width, device="meta")
        text = torch.empty(1, 77, unet.config["cross_attention_dim"], device="meta")
        return lambda: video(clip, time, text)
    network = _empty(getattr(diffusers, kind), folder, dtype).eval()
    channels, reads = int(network.config["in_channels"]), network.config["cross_attention_dim"]
    if kind == "UNet2DConditionModel" and tuned is not None:
        with torch.device("meta"):
            whole = tuned(network).eval()
        clip = torch.empty(branches, frames, channels, height, width, device="meta")
        text = torch.empty(branches, 77, reads, device="meta")
        return lambda: whole(clip, time, text)
    if kind == "UNet2DConditionModel":
        flat = torch.empty(branches * frames, channels, height, width, device="meta", dtype=dtype)
        text = torch.empty(branches * frames, 77, reads, device="meta", dtype=dtype)
        return lambda: network(flat, time, text, return_dict=False)
    clip = torch.empty(branches, frames, channels, height, width, device="meta", dtype=dtype)
    image = torch.empty(branches, 1, reads, device="meta", dtype=dtype)
    ids = torch.empty(branches, 3, device="meta", dtype=dtype)
    if control is None:
        return lambda: network(clip, time, image, ids, return_dict=False)
    from vedit.nets.revideo import Conditions, ReVideoUNet

    whole = ReVideoUNet(network, control).eval()
    stride = 1 << (len(control.widths) - 1)
    shapes = ((frames, 2), (1, 1), (frames, 3))  # motion, region, content
    given = [
        torch.empty(1, count, channels, height * stride, width * stride, device="meta", dtype=dtype)
        for count, channels in shapes
    ]
    return lambda: whole(clip, time, image, ids, Conditions(*given).expand(branches))


def _empty(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    import torch

    config = {key: value for key, value in _config(folder).items() if key != "_class_name"}
    with torch.device("meta"), as_model_error(folder), quietly("diffusers"):
        network = kind.from_config(config)
    # What blends space and time in diffusers' video networks is made on the CPU all the same.
    return torch.nn.Module.to(network, device="meta", dtype=dtype)
