"""A 2D diffusion U-Net inflated to video: InstructVid2Vid's conditional 3D U-Net, with InsV2V's temporal attention.

Spatial layers see one frame at a time. Between them stand temporal layers (a 3×1×1 convolution, and attention over the
frames at every position, with a sinusoidal encoding of the frame) that start as the identity, so that an inflated
network is the 2D network, frame by frame, until it is trained.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D, MotionAdapter, UNetMotionModel
from safetensors.torch import load_file, save_file
from torch import nn

from vedit.errors import ModelError
from vedit.nets.strict import account, fill
from vedit.nets.temporal import TemporalConvolution, TemporalLayer

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"

# What UNetMotionModel assumes in silence, so what a 2D network must say to be inflated.
_ASSUMED: dict[str, tuple[Any, ...]] = {
    "flip_sin_to_cos": (True,),
    "freq_shift": (0,),
    "center_input_sample": (False,),
    "only_cross_attention": (False,),
    "mid_block_only_cross_attention": (None, False),
    "mid_block_type": ("UNetMidBlock2DCrossAttn",),
    "dual_cross_attention": (False,),
    "upcast_attention": (False,),
    "resnet_time_scale_shift": ("default",),
    "resnet_skip_time_act": (False,),
    "resnet_out_scale_factor": (1.0, None),
    "time_embedding_type": ("positional",),
    "time_embedding_dim": (None,),
    "time_embedding_act_fn": (None,),
    "timestep_post_act": (None,),
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
    "addition_embed_type": (None,),
    "encoder_hid_dim": (None,),
    "encoder_hid_dim_type": (None,),
    "attention_type": ("default",),
    "conv_in_kernel": (3,),
    "conv_out_kernel": (3,),
    "cross_attention_norm": (None,),
    "dropout": (0.0,),
}


@dataclass(frozen=True)
class Temporal:
    """The temporal part of a :class:`VideoUNet`. Tuples have one entry per level, from the finest.

    ``max_frames``: the longest window, the size of the frame encoding. ``motion_layers``: transformer layers of each
    motion module (0: no temporal attention at that level). ``motion_heads``: their heads. ``motion_mid``: temporal
    layers in the middle block too. ``double_attention``: two self-attentions a layer, as AnimateDiff's checkpoints
    have, or one. ``convolution_layers``: length of each temporal convolution branch (0: none).
    """

    max_frames: int = 32
    motion_layers: int | tuple[int, ...] = 1
    motion_heads: int | tuple[int, ...] = 8
    motion_mid: bool = True
    double_attention: bool = True
    convolution_layers: int = 1

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Temporal:
        """From JSON, where tuples are lists. Raises ``TypeError`` for unknown keys."""
        frozen: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**frozen)


class VideoUNet(nn.Module):
    """``UNetMotionModel`` whose motion modules are :class:`~vedit.nets.temporal.TemporalLayer`.

    Build one with :func:`inflate` or :meth:`load`.
    """

    def __init__(self, unet: UNetMotionModel, temporal: Temporal) -> None:
        super().__init__()
        self.unet = unet
        self.temporal = temporal
        levels = len(unet.config["block_out_channels"])
        layers = _per_level(temporal.motion_layers, levels)
        for level, block in enumerate(unet.down_blocks):
            self._place(block, layers[level])
        for level, block in enumerate(unet.up_blocks):
            self._place(block, layers[levels - 1 - level])
        if temporal.motion_mid:
            self._place(unet.mid_block, layers[-1])

    def _place(self, block: Any, motion_layers: int) -> None:
        """Wrap a block's motion modules, as the identity, and add the temporal convolutions."""
        wrapped = []
        for motion in block.motion_modules:
            assert isinstance(motion, AnimateDiffTransformer3D)
            assert motion.in_channels is not None
            nn.init.zeros_(motion.proj_out.weight)
            nn.init.zeros_(motion.proj_out.bias)
            layers: Any = motion.transformer_blocks
            if not self.temporal.double_attention:
                for layer in layers:
                    layer.attn2 = None
            for module in motion.modules():  # the encoding of the frame is regenerated, never a weight
                if isinstance(module, SinusoidalPositionalEmbedding):
                    table = module.pe
                    assert isinstance(table, torch.Tensor)
                    module.register_buffer("pe", table, persistent=False)
            convolution = None
            if self.temporal.convolution_layers:
                groups = self.unet.config["norm_num_groups"]
                convolution = TemporalConvolution(motion.in_channels, groups, self.temporal.convolution_layers)
            wrapped.append(TemporalLayer(convolution, motion if motion_layers else None))
        block.motion_modules = nn.ModuleList(wrapped)

    # -- facts ---------------------------------------------------------------------------------------------------

    @property
    def in_channels(self) -> int:
        """Channels of the input: noisy latents and, concatenated after them, the source's."""
        return int(self.unet.config["in_channels"])

    @property
    def out_channels(self) -> int:
        """Channels of the prediction, which are those of the latents."""
        return int(self.unet.config["out_channels"])

    @property
    def max_frames(self) -> int:
        """The longest window, in frames."""
        return self.temporal.max_frames

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.unet.conv_in.weight.dtype

    def temporal_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the temporal layers: all that mixes frames."""
        return (parameter for name, parameter in self.named_parameters() if "motion_modules" in name)

    def spatial_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that came from the 2D network."""
        return (parameter for name, parameter in self.named_parameters() if "motion_modules" not in name)

    # -- use -----------------------------------------------------------------------------------------------------

    def forward(self, latents: torch.Tensor, timestep: torch.Tensor | int, text: torch.Tensor) -> torch.Tensor:
        """latents (B, T, C_in, h, w), timestep () or (B,), text (B or 1, L, D); returns (B, T, C_out, h, w).

        Raises ``ValueError`` for more than ``max_frames`` frames.
        """
        batch, frames = latents.shape[:2]
        if frames > self.max_frames:
            raise ValueError(f"{frames} frames in one window; this network takes at most {self.max_frames}")
        text = text.expand(batch, -1, -1).repeat_interleave(frames, dim=0)  # diffusers: one text per frame
        timestep = torch.as_tensor(timestep, device=latents.device)
        output = self.unet(latents.transpose(1, 2).to(self.dtype), timestep, text.to(self.dtype), return_dict=False)[0]
        return output.transpose(1, 2).to(latents.dtype)

    # -- on disk -------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write ``config.json`` and ``diffusion_pytorch_model.safetensors``, the weights cast to ``dtype``."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {key: value for key, value in self.unet.config.items() if not key.startswith("_")}
        content = {"_class_name": "VideoUNet", "unet": config, "temporal": asdict(self.temporal)}
        (folder / CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        state = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in self.state_dict().items()}
        save_file(state, folder / WEIGHTS, metadata={"format": "pt"})

    @classmethod
    def load(cls, folder: str | Path, dtype: torch.dtype = torch.float32) -> VideoUNet:
        """Read what :meth:`save` wrote, in evaluation mode. Raises ``ModelError`` when a key or shape is off."""
        folder = Path(folder)
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if config.get("_class_name") != "VideoUNet":
            raise ModelError(f"{folder / CONFIG}: describes a {config.get('_class_name')}, not a VideoUNet")
        try:
            temporal = Temporal.from_dict(config["temporal"])
            unet = UNetMotionModel(**config["unet"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{folder / CONFIG}: cannot build the network: {error}") from None
        network = cls(unet, temporal)
        fill(network, load_file(folder / WEIGHTS), str(folder / WEIGHTS))
        return network.to(dtype).eval()


def inflate(unet2d: UNet2DConditionModel, temporal: Temporal | None = None) -> VideoUNet:
    """A :class:`VideoUNet` that is ``unet2d`` on every frame until its temporal layers are trained.

    The weights are copied; without temporal attention they are shared, since memory may not hold a large network twice.
    Raises ``ModelError`` for a 2D network with features that ``UNetMotionModel`` lacks.
    """
    temporal = temporal or Temporal()
    for key, known in _ASSUMED.items():
        found = unet2d.config.get(key, known[0])
        if found not in known:
            raise ModelError(f"2D U-Net: {key} is {found!r}, but only {known[0]!r} can be inflated to video")
    levels = len(unet2d.config["block_out_channels"])
    shape: dict[str, Any] = {
        "block_out_channels": tuple(unet2d.config["block_out_channels"]),
        "motion_layers_per_block": unet2d.config["layers_per_block"],
        "motion_transformer_layers_per_block": _per_level(temporal.motion_layers, levels),
        "motion_num_attention_heads": _per_level(temporal.motion_heads, levels),
        "motion_norm_num_groups": unet2d.config["norm_num_groups"],
        "motion_max_seq_length": temporal.max_frames,
        "use_motion_mid_block": temporal.motion_mid,
    }
    # Without attention over time all parameters are the 2D network's: then no others are ever made.
    bare, adapter = not any(shape["motion_transformer_layers_per_block"]), MotionAdapter(**shape)
    with torch.device("meta") if bare else contextlib.nullcontext():
        motion: Any = UNetMotionModel.from_unet2d(unet2d, adapter, load_weights=False)
    outcome = motion.load_state_dict(unet2d.state_dict(), strict=False, assign=bare)
    missing = [key for key in outcome.missing_keys if "motion_modules" not in key]
    if missing or outcome.unexpected_keys:
        raise ModelError(f"2D U-Net: cannot be inflated: {account(missing, outcome.unexpected_keys)}")
    network = VideoUNet(motion, temporal)
    network.train(unet2d.training)
    return network.to(unet2d.dtype)


def extend_input(unet2d: UNet2DConditionModel, in_channels: int) -> UNet2DConditionModel:
    """Widen ``conv_in`` in place to ``in_channels``: the old channels as they were, the new ones zero.

    InstructPix2Pix section 3.2: the network ignores the added channels (the source's latents) until it is trained.
    """
    old = unet2d.conv_in
    new = nn.Conv2d(in_channels, old.out_channels, old.kernel_size, old.stride, old.padding)  # type: ignore[arg-type]
    new.to(old.weight.device, old.weight.dtype)
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, : old.in_channels] = old.weight
        if new.bias is not None and old.bias is not None:
            new.bias.copy_(old.bias)
    unet2d.conv_in = new
    unet2d.register_to_config(in_channels=in_channels)
    return unet2d


def _per_level(value: int | tuple[int, ...], levels: int) -> tuple[int, ...]:
    values = (value,) * levels if isinstance(value, int) else tuple(value)
    if len(values) != levels:
        raise ModelError(f"temporal configuration {values}: the network has {levels} levels")
    return values
