"""ReVideo: motion along tracks and kept content, put into an image-to-video U-Net by one control branch.

Mou et al., "ReVideo: Remake a Video with Motion and Content Control" (2024). The content condition is the source with
the edited region set to -1, the motion condition a map of displacements. Each goes through an encoder; the
spatiotemporal adaptive fusion module (SAFM) weighs them by region and noise level (eq. 4); a copy of the U-Net's
encoder turns the sum into residuals for the base's skips and middle block, behind convolutions that start at zero.
Where paper and published weights differ, this is what the weights need: motion channels are (Δy, Δx), Γ weighs the
*motion* (the paper's eq. 4 has the roles turned around), has one map for each channel, and a 3×3 convolution follows.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

if TYPE_CHECKING:
    from diffusers.models.unets.unet_spatio_temporal_condition import UNetSpatioTemporalConditionModel

HALF = 0.5  # Γ before SAFM is trained: in the training's stages 1 and 2

Fusion = Literal["safm", "no-time", "sum"]
Stage = Literal[0, 1, 2, 3]
Tuned = Literal["temporal", "everything"]

# Of the encoders' widths to the base's first, from full size to the latent's: 16-32-96-256 at 320.
_SHARES = (0.05, 0.1, 0.3, 0.8)
_NARROWEST, _PUBLISHED_SIDE, _PUBLISHED_SIGMA = 16, 768, 10.0


@dataclass(frozen=True)
class ReVideoConfig:
    """What the control branch is made of. The defaults are the published ones.

    ``widths``: channels of the encoders, from full size to the latent's. ``kernel`` and ``sigma``: pixels of the
    Gaussian that spreads a track. ``fusion``: ``safm``; ``no-time``, Γ from the region alone; ``sum``, Γ = 0.5.
    """

    widths: tuple[int, ...] = (16, 32, 96, 256)
    kernel: int = 51
    sigma: float = 10.0
    fusion: Fusion = "safm"

    @classmethod
    def of(cls, base: Any, stride: int = 8, fusion: Fusion = "safm") -> ReVideoConfig:
        """What fits a base U-Net's configuration and its autoencoder's stride; SVD's gives the published values.

        Widths go with the base's first, the Gaussian with the size that the base was made for, but it never becomes
        narrower than three quarters of a latent. Raises ``ValueError`` for a stride that is not 2, 4 or 8.
        """
        levels = stride.bit_length() - 1
        if not 1 <= levels < len(_SHARES) or stride != 1 << levels:
            raise ValueError(f"an autoencoder of stride {stride}: ReVideo's encoders shrink by 2, 4 or 8")
        first = int(base["block_out_channels"][0])
        widths = tuple(max(_NARROWEST, -(-int(share * first) // 8) * 8) for share in _SHARES[-levels - 1 :])
        side = base.get("sample_size") or _PUBLISHED_SIDE // 8
        side = min(side) if isinstance(side, (list, tuple)) else side
        sigma = max(0.75 * stride, _PUBLISHED_SIGMA * int(side) * stride / _PUBLISHED_SIDE)
        return cls(widths, 2 * int(2.5 * sigma) + 1, sigma, fusion)


@dataclass(frozen=True, eq=False)
class Conditions:
    """What the control branch is told of a clip. Sides are those of the latents times the autoencoder's stride.

    ``motion``: (B, T, 2, H, W), see :func:`trajectory_map`. ``mask``: (B, 1 or T, 1, H, W), 1 where the clip is edited.
    ``content``: (B, T, 3, H, W), the source with -1 where it is edited; None leaves its path out (training, stage 1).
    """

    motion: torch.Tensor
    mask: torch.Tensor
    content: torch.Tensor | None

    def expand(self, batch: int) -> Conditions:
        """Those of one clip for a whole batch."""
        parts = (self.motion, self.mask, self.content)
        return Conditions(*(None if part is None else part.expand(batch, -1, -1, -1, -1) for part in parts))  # type: ignore[arg-type]


def trajectory_map(
    places: torch.Tensor, height: int, width: int, kernel: int, sigma: float, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """(T, 2, H, W): at a point's place its displacement since the frame before, (Δy, Δx), spread by a Gaussian.

    ``places``: (T, N, 2), x and y in pixels. The Gaussian has a peak of 1, so the displacement survives in the middle
    and tracks close to each other add; of two points on one pixel the later counts. The first frame has none. ReVideo,
    section 3.2, "trajectory sampling", with the published code's order of channels.
    """
    frames, count = places.shape[:2]
    sparse = torch.zeros(frames, 2, height, width, dtype=dtype, device=places.device)
    moved = torch.diff(places, dim=0)
    for frame in range(1, frames):
        for point in range(count):
            x, y = places[frame, point].round().long().tolist()
            x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
            sparse[frame, :, y, x] = moved[frame - 1, point].flip(0).to(dtype)
    line = torch.arange(kernel, dtype=dtype, device=places.device) - (kernel - 1) / 2
    bell = torch.exp(-(line**2) / (2 * sigma**2))
    flat = sparse.reshape(frames * 2, 1, height, width)
    flat = nn.functional.conv2d(flat, bell.reshape(1, 1, -1, 1), padding=(kernel // 2, 0))
    flat = nn.functional.conv2d(flat, bell.reshape(1, 1, 1, -1), padding=(0, kernel // 2))
    return flat.reshape(frames, 2, height, width)


def kept_content(frames: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """``frames`` (..., 3, H, W) in [-1, 1] with -1, which is black, where ``mask`` (..., 1, H, W) is 1."""
    return frames * (1 - mask) - mask


class Encoder(nn.Module):
    """Pixels (N, C, H, W) to features (N, out, H/2ⁿ, W/2ⁿ); zero until it is trained.

    ControlNet's embedding of a condition, which the published weights name and shape the same. Its inner convolutions
    begin wide enough that what is put in does not fade on the way: torch's own would shrink it a hundredfold, and then
    a short training never hears of it.
    """

    def __init__(self, channels: int, out: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding

        self.layers = ControlNetConditioningEmbedding(out, channels, widths)
        for layer in (self.layers.conv_in, *self.layers.blocks):
            _begin(layer, "relu")

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.layers(pixels)


class ReVideoControl(nn.Module):
    """The control branch for ``base``, whose encoder it begins as a copy of."""

    def __init__(self, base: UNetSpatioTemporalConditionModel, config: ReVideoConfig) -> None:
        super().__init__()
        self.config = config
        out = int(base.config["block_out_channels"][0])
        self.time_proj, self.add_time_proj = copy.deepcopy(base.time_proj), copy.deepcopy(base.add_time_proj)
        self.time_embedding = copy.deepcopy(base.time_embedding)
        self.add_embedding = copy.deepcopy(base.add_embedding)
        self.conv_in = copy.deepcopy(base.conv_in)
        self.down_blocks = copy.deepcopy(base.down_blocks)
        self.mid_block = copy.deepcopy(base.mid_block)
        self.motion = Encoder(2, out, config.widths)
        self.content = Encoder(3, out, config.widths)
        self.gate = None if config.fusion == "sum" else Encoder(2, out, config.widths)
        self.fused = nn.Conv2d(out, out, 3, padding=1)
        self.skips = nn.ModuleList(_zero_convolution(width) for width in skip_widths(base))
        self.middle = _zero_convolution(int(base.config["block_out_channels"][-1]))
        self.to(base.device, base.dtype)

    def weight(self, mask: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Γ, the share of the motion: ``mask`` (N, 1, H, W) and the network's time (N,) to (N, C, h, w) in (0, 1)."""
        assert self.gate is not None
        time = timestep if self.config.fusion == "safm" else torch.zeros_like(timestep)
        plane = time.to(mask.dtype).reshape(-1, 1, 1, 1).expand_as(mask)
        return torch.sigmoid(self.gate(torch.cat([mask, plane], 1)))

    def fuse(self, given: Conditions, timestep: torch.Tensor, gate: float | None = None) -> torch.Tensor:
        """(B·T, C, h, w): content and motion, weighed by Γ (eq. 4), or by ``gate`` instead where that is given."""
        batch, frames = given.motion.shape[:2]
        motion = self.motion(given.motion.flatten(0, 1))
        if gate is None and self.gate is not None:
            shown = given.mask.shape[1]
            times = timestep.expand(batch).repeat_interleave(shown)
            weight: Any = self.weight(given.mask.flatten(0, 1), times)
            weight = weight if shown == frames else weight.repeat_interleave(frames, 0)
        else:
            weight = HALF if gate is None else gate
        total = motion * weight
        if given.content is not None:
            total = total + self.content(given.content.flatten(0, 1)) * (1 - weight)
        return self.fused(total)

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        image: torch.Tensor,
        ids: torch.Tensor,
        given: Conditions,
        gate: float | None = None,
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """The residuals for the base's skips, each (B·T, C, h, w), and for its middle block.

        Arguments as the base takes them: sample (B, T, C_in, h, w), timestep (B,) or (), image (B, 1, D), ids (B, 3).
        """
        batch, frames = sample.shape[:2]
        timestep = torch.as_tensor(timestep, device=sample.device).expand(batch)
        embedding = self.time_embedding(self.time_proj(timestep).to(sample.dtype))
        numbers = self.add_time_proj(ids.flatten()).reshape(batch, -1).to(sample.dtype)
        embedding = (embedding + self.add_embedding(numbers)).repeat_interleave(frames, 0)
        image = image.repeat_interleave(frames, 0)
        hidden = self.conv_in(sample.flatten(0, 1))
        hidden = hidden + self.fuse(given, timestep, gate)
        shared = {"temb": embedding, "image_only_indicator": sample.new_zeros(batch, frames)}
        found = [hidden]
        for block in self.down_blocks:
            attends = {"encoder_hidden_states": image} if getattr(block, "has_cross_attention", False) else {}
            hidden, skips = block(hidden_states=hidden, **shared, **attends)
            found.extend(skips)
        hidden = self.mid_block(hidden_states=hidden, encoder_hidden_states=image, **shared)
        return tuple(zero(skip) for zero, skip in zip(self.skips, found, strict=True)), self.middle(hidden)


class ReVideoUNet(nn.Module):
    """``base`` with its control branch. Untrained it is the base, to the last bit."""

    def __init__(self, base: UNetSpatioTemporalConditionModel, config: ReVideoConfig) -> None:
        super().__init__()
        self.base = base
        self.control = ReVideoControl(base, config)

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        image: torch.Tensor,
        ids: torch.Tensor,
        given: Conditions | None,
        gate: float | None = None,
    ) -> torch.Tensor:
        """(B, T, C, h, w): as the base, under ``given``; None is the base alone."""
        if given is None:
            return self.base(sample, timestep, image, ids, return_dict=False)[0]
        skips, middle = self.control(sample, timestep, image, ids, given, gate)
        with residuals(self.base, skips, middle):
            return self.base(sample, timestep, image, ids, return_dict=False)[0]

    def trained(self, stage: Stage, tuned: Tuned = "temporal") -> dict[str, nn.Parameter]:
        """The parameters of a stage of the training, by name (section 3.3).

        1: the control branch, the paths of content and of SAFM aside. 2: the path of content too. 3: keys and values of
        temporal self-attention in base and control, and SAFM with the convolution behind it, which is a part of it in
        the published weights; with ``tuned`` "everything" the whole control branch too.
        0, which is not the paper's: what 1 trains and the base, for a base that is trained from nothing.
        """
        named = dict(self.named_parameters())
        if stage == 0:
            return {name: p for name, p in named.items() if name.startswith("base.")} | self.trained(1)
        if stage == 3 and tuned == "temporal":
            safm = ("control.gate.", "control.fused.")
            return {name: p for name, p in named.items() if _is_temporal_key(name) or name.startswith(safm)}
        left_out = {1: ("control.gate.", "control.content."), 2: ("control.gate.",), 3: ()}[stage]
        chosen = {n: p for n, p in named.items() if n.startswith("control.") and not n.startswith(left_out)}
        if stage == 3:
            chosen |= {name: p for name, p in named.items() if _is_temporal_key(name)}
        return chosen

    def added(self) -> dict[str, nn.Parameter]:
        """All that a trained ReVideo has beyond its base: what an adapter holds."""
        named = self.named_parameters()
        return {name: p for name, p in named if name.startswith("control.") or _is_temporal_key(name)}


@contextlib.contextmanager
def residuals(
    base: UNetSpatioTemporalConditionModel, skips: tuple[torch.Tensor, ...], middle: torch.Tensor
) -> Iterator[None]:
    """While the block lasts, ``skips`` are added to what the base's decoder gets from its encoder, and ``middle`` to
    what its middle block returns. Nothing is left behind."""
    blocks: Any = base.up_blocks
    mid: Any = base.mid_block
    left = list(skips)
    shares = []
    for block in blocks:
        count = len(block.resnets)
        shares.append(left[len(left) - count :])
        del left[len(left) - count :]
    if left:
        raise ValueError(f"{len(skips)} residuals for a decoder that takes {len(skips) - len(left)}")

    def add_to(share: list[torch.Tensor]) -> Any:
        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            got = kwargs["res_hidden_states_tuple"]
            added = tuple(skip + more.to(skip.dtype) for skip, more in zip(got, share, strict=True))
            return args, kwargs | {"res_hidden_states_tuple": added}

        return before

    with contextlib.ExitStack() as stack:
        for block, share in zip(blocks, shares, strict=True):
            stack.callback(block.register_forward_pre_hook(add_to(share), with_kwargs=True).remove)
        stack.callback(mid.register_forward_hook(lambda _, __, out: out + middle.to(out.dtype)).remove)
        yield


def skip_widths(base: UNetSpatioTemporalConditionModel) -> list[int]:
    """Channels of what the encoder hands to the decoder, in the encoder's order: SVD's 320×4, 640×3, 1280×5."""
    blocks: Any = base.down_blocks
    widths = [int(base.config["block_out_channels"][0])]
    for block, width in zip(blocks, base.config["block_out_channels"], strict=True):
        widths += [int(width)] * (len(block.resnets) + len(block.downsamplers or ()))
    return widths


def begin_with_motion(control: ReVideoControl) -> None:
    """Let the motion through from the first step on, for a base that knows nothing yet that it could disturb."""
    _begin(control.motion.layers.conv_out, "linear")
    _begin(control.fused, "linear")


def _begin(layer: nn.Module, after: Literal["relu", "linear"]) -> None:
    """Weights that keep the variance of what comes in (He et al. 2015), without a bias; ``after``: what follows."""
    assert isinstance(layer, nn.Conv2d) and layer.bias is not None
    nn.init.kaiming_normal_(layer.weight, nonlinearity=after)
    nn.init.zeros_(layer.bias)


def _zero_convolution(width: int) -> nn.Conv2d:
    layer = nn.Conv2d(width, width, 1)
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _is_temporal_key(name: str) -> bool:
    return "temporal_transformer_blocks" in name and (".attn1.to_k." in name or ".attn1.to_v." in name)
