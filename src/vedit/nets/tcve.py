"""TCVE: a temporal U-Net beside a 2D diffusion U-Net, and the units that bring the two together.

Wang et al., "Edit Temporal-Consistent Videos with Image Diffusion Model" (2023), section IV-B. The temporal U-Net sees
the same noisy latents as the 2D network, as one sequence of frames for every position, and has no head of its own:
spatial-temporal units add what it finds to the features of the 2D network, whose last convolution predicts the noise.
The 2D network is diffusers', used and not copied; the units hang on its blocks as hooks.

Where the paper and its public code differ, :class:`TCVEConfig` has both. One thing of the code is not here: before the
units of the decoder it unfolds the rows of the temporal U-Net with the height of the *spatial* feature, which scrambles
the positions in the two coarsest of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from diffusers.models.attention_processor import Attention
from torch import nn
from torch.nn import functional

from vedit.errors import ModelError
from vedit.nets.framewise import by_frame
from vedit.nets.tune_a_video import TuneAVideoUNet, zeroed

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

Unit = Literal["residual", "plain", "sum"]


@dataclass(frozen=True)
class TCVEConfig:
    """What the network is made of.

    ``spatial``: the 2D network as it is ("frozen", the paper), or inflated and tuned as Tune-A-Video does (the code).
    ``places``: units after the middle and each block of the decoder (the code), or after those of the encoder too (the
    paper's figure). ``downsampling``: frames are halved in a step of its own (the code), or in the one that widens the
    channels ("joint": the paper's 2C × F/2).
    ``unit``: "residual" is the code's, X_spa + SiLU(conv(norm(X_fuse))) with a residual temporal attention; "plain" the
    paper's words, conv(X_fuse), with neither residual; "sum" is the paper's ablation without it, X_spa + X_tem.
    ``weight``: λ of X_fuse = X_spa + λ·X_tem. The other ablations: ``temporal_unet`` (without it the units get the
    spatial feature in its place), ``temporal_attention`` and ``convolution`` of the units.
    """

    spatial: Literal["frozen", "tune-a-video"] = "frozen"
    places: Literal["decoder", "every-stage"] = "decoder"
    downsampling: Literal["separate", "joint"] = "separate"
    unit: Unit = "residual"
    weight: float = 0.1
    temporal_unet: bool = True
    temporal_attention: bool = True
    convolution: bool = True

    def complaint(self) -> str | None:
        """What of these would be done in another way without a word; None for what is done."""
        if not math.isfinite(self.weight):
            return f"-s weight={self.weight}: is no finite number"
        parts = self.weight != 0.1, not self.temporal_attention, not self.convolution
        for given, name in zip(parts, ("weight", "temporal_attention", "convolution"), strict=True):
            if self.unit == "sum" and given:
                return f"-s unit=sum: adds the two features as they are; leave {name} out"
        if not self.temporal_unet and self.downsampling != "separate":
            return f"-s downsampling={self.downsampling}: is of the temporal U-Net, and there is none"
        return None


class TemporalBlock(nn.Module):
    """x + convolution(SiLU(norm(x))) over the frames, kernel 3; the residual is projected where channels change."""

    def __init__(self, channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(math.gcd(groups, channels), channels)
        self.convolution = nn.Conv1d(channels, out_channels, 3, padding=1)
        self.shortcut = nn.Conv1d(channels, out_channels, 1) if channels != out_channels else nn.Identity()

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(N, C, T) to (N, C', T)."""
        return self.shortcut(rows) + self.convolution(functional.silu(self.norm(rows)))


class TemporalUNet(nn.Module):
    """A U-Net over time alone, with the levels of a 2D U-Net and full height and width at all of them.

    ``channels`` of the levels from the finest, ``layers`` of blocks of each. It knows neither text nor noise level.
    """

    def __init__(
        self, in_channels: int, channels: tuple[int, ...], layers: tuple[int, ...], groups: int, joint: bool = False
    ) -> None:
        super().__init__()
        self.joint = joint
        self.stem = nn.Conv1d(in_channels, channels[0], 7, padding=3)
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        self.up, self.stretch = nn.ModuleList(), nn.ModuleList()
        last, width, skips = len(channels) - 1, channels[0], [channels[0]]
        for level, count in enumerate(layers):
            blocks = nn.ModuleList()
            for _ in range(count):
                blocks.append(TemporalBlock(width, channels[level], groups))
                width = channels[level]
                skips.append(width)
            self.down.append(blocks)
            if level < last:
                narrow, width = width, channels[level + 1] if joint else width
                self.shrink.append(nn.Conv1d(narrow, width, 3, stride=2, padding=1))
                skips.append(width)
        self.middle = nn.Sequential(TemporalBlock(width, width, groups), TemporalBlock(width, width, groups))
        for level in reversed(range(len(channels))):
            blocks = nn.ModuleList()
            for _ in range(layers[level] + 1):
                blocks.append(TemporalBlock(width + skips.pop(), channels[level], groups))
                width = channels[level]
            self.up.append(blocks)
            if level > 0:
                wide, width = width, channels[level - 1] if joint else width
                self.stretch.append(nn.Conv1d(wide, width, 3, padding=1))

    @property
    def multiple(self) -> int:
        """The number of frames is padded to a multiple of this."""
        return 2 ** len(self.shrink)

    def forward(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """(B, T, C, h, w) to the features by place: ``down.0``, ..., ``middle``, ``up.0``, ..., (B, C', F, h, w) each.

        F is T, rounded up to :attr:`multiple`, over a power of two: the last frame is repeated to fill up.
        """
        batch, frames, _, height, width = latents.shape
        rows = latents.permute(0, 3, 4, 2, 1).flatten(0, 2)  # (B·h·w, C, T)
        rows = functional.pad(rows, (0, -frames % self.multiple), mode="replicate")
        features: dict[str, torch.Tensor] = {}

        def keep(place: str, found: torch.Tensor) -> None:
            features[place] = found.unflatten(0, (batch, height, width)).permute(0, 3, 4, 1, 2)

        hidden = self.stem(rows)
        skips = [hidden]
        for level, blocks in enumerate(self.down):
            for block in _blocks(blocks):
                hidden = block(hidden)
                skips.append(hidden)
            finished = hidden
            if level < len(self.shrink):
                hidden = self.shrink[level](hidden)
                skips.append(hidden)
            keep(f"down.{level}", finished if self.joint else hidden)
        hidden = self.middle(hidden)
        keep("middle", hidden)
        for level, blocks in enumerate(self.up):
            for block in _blocks(blocks):
                hidden = block(torch.cat([hidden, skips.pop()], dim=1))
            finished = hidden
            if level < len(self.stretch):
                hidden = self.stretch[level](hidden.repeat_interleave(2, dim=-1))
            # A joint step changes the channels, which must be those of the 2D block of this level.
            keep(f"up.{level}", finished if self.joint else hidden)
        return features


class SpatialTemporalUnit(nn.Module):
    """Adds a temporal feature to a spatial one (section IV-B). "residual" and "plain" start as the identity.

    "plain" without temporal attention starts as X_fuse, and so does either without the convolution.
    """

    def __init__(self, channels: int, config: TCVEConfig) -> None:
        super().__init__()
        self.form = config.unit
        self.weight = config.weight
        self.norm = self.attention = self.convolution = self.convolution_norm = None
        if self.form == "sum":
            return
        heads = math.gcd(8, channels)
        if config.temporal_attention:
            self.norm = nn.LayerNorm(channels)
            self.attention = zeroed(Attention(channels, heads=heads, dim_head=channels // heads, bias=False))
        if config.convolution:
            self.convolution = nn.Conv3d(channels, channels, 3, padding=1)
            assert self.convolution.bias is not None
            nn.init.zeros_(self.convolution.bias)
            if self.form == "residual":
                self.convolution_norm = nn.GroupNorm(heads, channels)
                nn.init.zeros_(self.convolution.weight)
            else:
                nn.init.dirac_(self.convolution.weight)

    def forward(self, spatial: torch.Tensor, temporal: torch.Tensor) -> torch.Tensor:
        """spatial (B·T, C, h, w), temporal (B, C, T, h, w); returns (B·T, C, h, w)."""
        clip = spatial.unflatten(0, (temporal.shape[0], temporal.shape[2])).transpose(1, 2)  # (B, C, T, h, w)
        if self.form == "sum":
            return _fold(clip + temporal)
        fused = clip + self.weight * self._attend(temporal)
        if self.convolution is None:
            return _fold(fused)
        if self.convolution_norm is None:
            return _fold(self.convolution(fused))
        return _fold(clip + functional.silu(self.convolution(self.convolution_norm(fused))))

    def _attend(self, temporal: torch.Tensor) -> torch.Tensor:
        """Attention over the frames at every position (eq. 7): (B, C, T, h, w) to the same."""
        if self.attention is None or self.norm is None:
            return temporal
        rows = temporal.permute(0, 3, 4, 2, 1)  # (B, h, w, T, C)
        mixed = self.attention(self.norm(rows.flatten(0, 2))).unflatten(0, rows.shape[:3]).permute(0, 4, 3, 1, 2)
        return temporal + mixed if self.form == "residual" else mixed


class TCVEUNet(nn.Module):
    """The joint network: 2D U-Net, temporal U-Net and the units between them.

    Takes the 2D network over: freezes it, and from then on it is only to be called through this. With
    ``spatial="frozen"`` and the units as they start, it is that network, frame by frame.
    """

    def __init__(self, unet: UNet2DConditionModel, config: TCVEConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or TCVEConfig()
        if unet.mid_block is None:
            raise ModelError("2D U-Net: has no middle block; TCVE needs one")
        self.unet = unet.requires_grad_(False)
        self.inflated = TuneAVideoUNet(unet) if config.spatial == "tune-a-video" else None
        channels = tuple(unet.config["block_out_channels"])
        layers = unet.config["layers_per_block"]
        layers = (layers,) * len(channels) if isinstance(layers, int) else tuple(layers)
        self.temporal = None
        if config.temporal_unet:
            groups, joint = unet.config["norm_num_groups"], config.downsampling == "joint"
            self.temporal = TemporalUNet(int(unet.config["in_channels"]), channels, layers, groups, joint)
        places = {"middle": (unet.mid_block, channels[-1])}
        places |= {
            f"up.{index}": (block, width)
            for index, (block, width) in enumerate(zip(unet.up_blocks, reversed(channels), strict=True))
        }
        if config.places == "every-stage":
            places |= {
                f"down.{index}": (block, width)
                for index, (block, width) in enumerate(zip(unet.down_blocks, channels, strict=True))
            }
        self.units = nn.ModuleDict()
        self._frames = 1
        self._features: dict[str, torch.Tensor] = {}
        for place, (block, width) in places.items():
            unit = SpatialTemporalUnit(width, config)
            self.units[place.replace(".", "-")] = unit
            block.register_forward_hook(_Fuse(self, unit, place))
        for added in (self.temporal, self.units):
            if added is not None:
                added.to(unet.device, unet.dtype)

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that the method trains, by name: temporal U-Net and units, and Tune-A-Video's where tuned."""
        found = {
            name: parameter for name, parameter in self.named_parameters() if name.startswith(("temporal.", "units."))
        }
        if self.inflated is not None:
            found |= {f"inflated.{name}": parameter for name, parameter in self.inflated.trained().items()}
        return found

    def forward(self, latents: torch.Tensor, timestep: torch.Tensor | int, text: torch.Tensor) -> torch.Tensor:
        """latents (B, T, C, h, w), timestep () or (B,), text (B or 1, L, D); returns (B, T, C', h, w)."""
        self._frames = latents.shape[1]
        self._features = self.temporal(latents.to(self.unet.dtype)) if self.temporal is not None else {}
        output = (self.inflated or self._frame_by_frame)(latents, timestep, text)
        self._features = {}
        return output

    def _frame_by_frame(self, latents: torch.Tensor, timestep: torch.Tensor | int, text: torch.Tensor) -> torch.Tensor:
        return by_frame(self.unet, latents, timestep, text)

    def _feature(self, place: str, spatial: torch.Tensor) -> torch.Tensor:
        """The temporal feature of a place in the size of its spatial one: (B·T, C, h, w) to (B, C, T, h, w)."""
        if self.temporal is None:
            return spatial.unflatten(0, (-1, self._frames)).transpose(1, 2)
        filled = self._frames + -self._frames % self.temporal.multiple
        resized = functional.interpolate(self._features[place], size=(filled, *spatial.shape[-2:]))
        return resized[:, :, : self._frames]


class _Fuse:
    """The hook after a block of the 2D network. An object, so that a copy of the network hooks to the copy."""

    def __init__(self, network: TCVEUNet, unit: SpatialTemporalUnit, place: str) -> None:
        self.network = network
        self.unit = unit
        self.place = place

    def __call__(self, module: nn.Module, arguments: tuple[Any, ...], output: Any) -> Any:
        if not isinstance(output, tuple):
            return self._fuse(output)
        # A block of the encoder also returns what it hands to the decoder; the last of that is its output.
        hidden, handed = output
        fused = self._fuse(hidden)
        return fused, (*handed[:-1], fused)

    def _fuse(self, spatial: torch.Tensor) -> torch.Tensor:
        return self.unit(spatial, self.network._feature(self.place, spatial))


def _blocks(blocks: nn.Module) -> Any:
    assert isinstance(blocks, nn.ModuleList)
    return blocks


def _fold(clip: torch.Tensor) -> torch.Tensor:
    """(B, C, T, h, w) to (B·T, C, h, w)."""
    return clip.transpose(1, 2).flatten(0, 1)
