"""Networks whose features FID, FVD and KVD compare: Inception-like stacks of convolutions, described by their layers.

A description is a list of layers, each a JSON object:

    {"conv": NAME, "channels": N, "kernel": K, "stride": 1, "padding": 0, "norm": true, "relu": true}
    {"pool": "max" or "average", "kernel": K, "stride": K, "padding": 0}
    {"branches": [[layer, …], …]}        each gets the same input; their outputs are joined along the channels

K, strides and paddings are numbers, or one for each axis (time first). ``"padding": "same"`` is TensorFlow's. A
convolution has batch norm (ε 1e-3) and no bias, or with ``"norm": false`` a bias; averages leave the padding out. At
the end the mean over space and time is taken. State dictionaries have ``NAME.conv.weight``, ``NAME.bn.weight`` and so
on: those of torchvision's Inception-v3, and of the usual PyTorch port of I3D but for its ``conv3d``, here ``conv``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from vedit.errors import ModelError

Layers = Sequence[dict[str, Any]]
_EPSILON = 1e-3


class FeatureNetwork(nn.Module):
    """Pictures (B, 3, H, W), or with ``axes`` 3 clips (B, 3, T, H, W), to features (B, D)."""

    def __init__(self, layers: Layers, axes: int) -> None:
        super().__init__()
        self.axes = axes
        self.layers = _checked(layers)
        channels = 3
        for layer in self.layers:
            channels = self._build(layer, channels)
        self.width = channels

    def _build(self, layer: dict[str, Any], channels: int) -> int:
        if "conv" in layer:
            unit = _Unit(channels, layer, self.axes)
            self._add(layer["conv"], unit)
            return int(layer["channels"])
        if "branches" in layer:
            return sum(self._branch(branch, channels) for branch in layer["branches"])
        return channels

    def _add(self, name: str, unit: nn.Module) -> None:
        """``a.b`` becomes the module ``b`` of a module ``a``, so that keys have the same names."""
        *outer, last = name.split(".")
        place: nn.Module = self
        for part in outer:
            if not hasattr(place, part):
                place.add_module(part, nn.Module())
            place = getattr(place, part)
        if hasattr(place, last):
            raise ModelError(f"layers: {name} is there twice")
        place.add_module(last, unit)

    def _branch(self, layers: Layers, channels: int) -> int:
        for layer in layers:
            channels = self._build(layer, channels)
        return channels

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, D): the mean over space and time of the last layer."""
        return self._run(self.layers, pictures).flatten(2).mean(-1)

    def _run(self, layers: Layers, x: torch.Tensor) -> torch.Tensor:
        for layer in layers:
            if "conv" in layer:
                x = self.get_submodule(layer["conv"])(x)
            elif "branches" in layer:
                x = torch.cat([self._run(branch, x) for branch in layer["branches"]], 1)
            else:
                x = _pool(x, layer, self.axes)
        return x


class _Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, channels: int, layer: dict[str, Any], axes: int) -> None:
        super().__init__()
        self._kernel, self._stride = _each(layer["kernel"], axes), _each(layer.get("stride", 1), axes)
        self._padding, self._relu = layer.get("padding", 0), layer.get("relu", True)
        norm = layer.get("norm", True)
        kind, norm_kind = (nn.Conv2d, nn.BatchNorm2d) if axes == 2 else (nn.Conv3d, nn.BatchNorm3d)
        made = kind(channels, layer["channels"], self._kernel, self._stride, bias=not norm)  # type: ignore[arg-type]
        self.conv = made
        self.bn = norm_kind(layer["channels"], eps=_EPSILON) if norm else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(F.pad(x, _padding(x, self._kernel, self._stride, self._padding)))
        x = x if self.bn is None else self.bn(x)
        return x.relu() if self._relu else x


def _pool(x: torch.Tensor, layer: dict[str, Any], axes: int) -> torch.Tensor:
    kernel = _each(layer["kernel"], axes)
    stride = _each(layer.get("stride", layer["kernel"]), axes)
    padding = _padding(x, kernel, stride, layer.get("padding", 0))
    if layer["pool"] == "max":
        pool: Any = F.max_pool2d if axes == 2 else F.max_pool3d
        # Zeros, not minus infinity: these follow a ReLU, and so do the ports.
        return pool(F.pad(x, padding), kernel, stride)
    pool = F.avg_pool2d if axes == 2 else F.avg_pool3d
    inside = F.pad(torch.ones_like(x[:1, :1]), padding)
    return pool(F.pad(x, padding), kernel, stride) / pool(inside, kernel, stride)


def _each(value: Any, axes: int) -> tuple[int, ...]:
    return (int(value),) * axes if isinstance(value, int) else tuple(int(v) for v in value)


def _padding(x: torch.Tensor, kernel: Sequence[int], stride: Sequence[int], asked: Any) -> list[int]:
    """For ``F.pad``: last axis first, before and after."""
    sides: list[int] = []
    for axis in reversed(range(len(kernel))):
        if asked == "same":
            size = x.shape[2 + axis]
            rest = size % stride[axis] or stride[axis]
            total = max(kernel[axis] - rest, 0)
            sides += [total // 2, total - total // 2]
        else:
            sides += [_each(asked, len(kernel))[axis]] * 2
    return sides


def _checked(layers: Any) -> Layers:
    """Raises ``ModelError`` that names the first layer that is none."""
    if not isinstance(layers, list) or not layers:
        raise ModelError("layers: is no list of layers")
    for layer in layers:
        good = isinstance(layer, dict) and (
            (isinstance(layer.get("conv"), str) and "channels" in layer and "kernel" in layer)
            or (layer.get("pool") in ("max", "average") and "kernel" in layer)
            or isinstance(layer.get("branches"), list)
        )
        if not good:
            raise ModelError(f"layers: {str(layer)[:80]} is no convolution, pool or list of branches")
        for branch in layer.get("branches", ()):
            _checked(branch)
    return layers


def i3d(classes: int = 400) -> list[dict[str, Any]]:
    """The layers of I3D (Carreira and Zisserman 2017) up to its ``classes`` logits, as FVD uses them."""

    def conv(name: str, channels: int, kernel: Any, stride: Any = 1) -> dict[str, Any]:
        return {"conv": name, "channels": channels, "kernel": kernel, "stride": stride, "padding": "same"}

    def pool(kernel: Any, stride: Any) -> dict[str, Any]:
        return {"pool": "max", "kernel": kernel, "stride": stride, "padding": "same"}

    def mixed(name: str, a: int, b: tuple[int, int], c: tuple[int, int], d: int) -> dict[str, Any]:
        return {
            "branches": [
                [conv(f"{name}.b0", a, 1)],
                [conv(f"{name}.b1a", b[0], 1), conv(f"{name}.b1b", b[1], 3)],
                [conv(f"{name}.b2a", c[0], 1), conv(f"{name}.b2b", c[1], 3)],
                [pool(3, 1), conv(f"{name}.b3b", d, 1)],
            ]
        }

    return [
        conv("Conv3d_1a_7x7", 64, 7, 2),
        pool([1, 3, 3], [1, 2, 2]),
        conv("Conv3d_2b_1x1", 64, 1),
        conv("Conv3d_2c_3x3", 192, 3),
        pool([1, 3, 3], [1, 2, 2]),
        mixed("Mixed_3b", 64, (96, 128), (16, 32), 32),
        mixed("Mixed_3c", 128, (128, 192), (32, 96), 64),
        pool(3, 2),
        mixed("Mixed_4b", 192, (96, 208), (16, 48), 64),
        mixed("Mixed_4c", 160, (112, 224), (24, 64), 64),
        mixed("Mixed_4d", 128, (128, 256), (24, 64), 64),
        mixed("Mixed_4e", 112, (144, 288), (32, 64), 64),
        mixed("Mixed_4f", 256, (160, 320), (32, 128), 128),
        pool(2, 2),
        mixed("Mixed_5b", 256, (160, 320), (32, 128), 128),
        mixed("Mixed_5c", 384, (192, 384), (48, 128), 128),
        {"pool": "average", "kernel": [2, 7, 7], "stride": 1},
        {"conv": "logits", "channels": classes, "kernel": 1, "norm": False, "relu": False},
    ]


def inception_v3() -> list[dict[str, Any]]:
    """The layers of Inception-v3 (Szegedy et al. 2016) up to its last pool, 2048 wide, in the variant that FID uses."""

    def conv(name: str, channels: int, kernel: Any, stride: int = 1, padding: Any = 0) -> dict[str, Any]:
        return {"conv": name, "channels": channels, "kernel": kernel, "stride": stride, "padding": padding}

    def pool(kind: str, stride: int, padding: int = 0) -> dict[str, Any]:
        return {"pool": kind, "kernel": 3, "stride": stride, "padding": padding}

    def a(name: str, pooled: int) -> dict[str, Any]:
        return {
            "branches": [
                [conv(f"{name}.branch1x1", 64, 1)],
                [conv(f"{name}.branch5x5_1", 48, 1), conv(f"{name}.branch5x5_2", 64, 5, 1, 2)],
                [
                    conv(f"{name}.branch3x3dbl_1", 64, 1),
                    conv(f"{name}.branch3x3dbl_2", 96, 3, 1, 1),
                    conv(f"{name}.branch3x3dbl_3", 96, 3, 1, 1),
                ],
                [pool("average", 1, 1), conv(f"{name}.branch_pool", pooled, 1)],
            ]
        }

    def c(name: str, width: int) -> dict[str, Any]:
        def row(part: str, channels: int) -> dict[str, Any]:
            return conv(f"{name}.{part}", channels, [1, 7], 1, [0, 3])

        def column(part: str, channels: int) -> dict[str, Any]:
            return conv(f"{name}.{part}", channels, [7, 1], 1, [3, 0])

        return {
            "branches": [
                [conv(f"{name}.branch1x1", 192, 1)],
                [conv(f"{name}.branch7x7_1", width, 1), row("branch7x7_2", width), column("branch7x7_3", 192)],
                [
                    conv(f"{name}.branch7x7dbl_1", width, 1),
                    column("branch7x7dbl_2", width),
                    row("branch7x7dbl_3", width),
                    column("branch7x7dbl_4", width),
                    row("branch7x7dbl_5", 192),
                ],
                [pool("average", 1, 1), conv(f"{name}.branch_pool", 192, 1)],
            ]
        }

    def e(name: str, kind: str) -> dict[str, Any]:
        def split(part: str) -> dict[str, Any]:
            return {
                "branches": [
                    [conv(f"{name}.{part}a", 384, [1, 3], 1, [0, 1])],
                    [conv(f"{name}.{part}b", 384, [3, 1], 1, [1, 0])],
                ]
            }

        return {
            "branches": [
                [conv(f"{name}.branch1x1", 320, 1)],
                [conv(f"{name}.branch3x3_1", 384, 1), split("branch3x3_2")],
                [
                    conv(f"{name}.branch3x3dbl_1", 448, 1),
                    conv(f"{name}.branch3x3dbl_2", 384, 3, 1, 1),
                    split("branch3x3dbl_3"),
                ],
                [pool(kind, 1, 1), conv(f"{name}.branch_pool", 192, 1)],
            ]
        }

    return [
        conv("Conv2d_1a_3x3", 32, 3, 2),
        conv("Conv2d_2a_3x3", 32, 3),
        conv("Conv2d_2b_3x3", 64, 3, 1, 1),
        pool("max", 2),
        conv("Conv2d_3b_1x1", 80, 1),
        conv("Conv2d_4a_3x3", 192, 3),
        pool("max", 2),
        a("Mixed_5b", 32),
        a("Mixed_5c", 64),
        a("Mixed_5d", 64),
        {
            "branches": [
                [conv("Mixed_6a.branch3x3", 384, 3, 2)],
                [
                    conv("Mixed_6a.branch3x3dbl_1", 64, 1),
                    conv("Mixed_6a.branch3x3dbl_2", 96, 3, 1, 1),
                    conv("Mixed_6a.branch3x3dbl_3", 96, 3, 2),
                ],
                [pool("max", 2)],
            ]
        },
        c("Mixed_6b", 128),
        c("Mixed_6c", 160),
        c("Mixed_6d", 160),
        c("Mixed_6e", 192),
        {
            "branches": [
                [conv("Mixed_7a.branch3x3_1", 192, 1), conv("Mixed_7a.branch3x3_2", 320, 3, 2)],
                [
                    conv("Mixed_7a.branch7x7x3_1", 192, 1),
                    conv("Mixed_7a.branch7x7x3_2", 192, [1, 7], 1, [0, 3]),
                    conv("Mixed_7a.branch7x7x3_3", 192, [7, 1], 1, [3, 0]),
                    conv("Mixed_7a.branch7x7x3_4", 192, 3, 2),
                ],
                [pool("max", 2)],
            ]
        },
        e("Mixed_7b", "average"),
        e("Mixed_7c", "max"),
    ]
