"""ReVideo at its real size against the names and shapes of the published checkpoint, on the meta device."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from vedit.nets.revideo import ReVideoConfig, ReVideoUNet, skip_widths
from vedit.weights.revideo import BASE, CONTROL, own_name

PUBLISHED = Path(__file__).with_name("revideo_keys.txt.gz")


def published() -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter of the published U-Net and control branch."""
    lines = gzip.decompress(PUBLISHED.read_bytes()).decode().splitlines()
    return {name: tuple(map(int, shape.split("x"))) for name, shape in (line.split() for line in lines)}


@pytest.fixture(scope="module")
def network() -> ReVideoUNet:
    from diffusers import UNetSpatioTemporalConditionModel

    with torch.device("meta"):
        base = UNetSpatioTemporalConditionModel(sample_size=96)  # the class's defaults are SVD's
        return ReVideoUNet(base, ReVideoConfig.of(base.config))


def test_svd_gives_the_published_configuration(network):
    assert network.control.config == ReVideoConfig((16, 32, 96, 256), 51, 10.0, "safm")
    assert skip_widths(network.base) == [320] * 4 + [640] * 3 + [1280] * 5


def test_every_published_parameter_has_its_place(network):
    names = published()
    assert sum(name.startswith(CONTROL) for name in names) == 705
    assert sum(name.startswith(BASE) for name in names) == 1428
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    converted = {own_name(name): shape for name, shape in names.items()}
    assert len(converted) == len(names)
    assert converted == own


def test_a_name_that_is_none():
    for name in ("model.ctrlnet_model.input_blocks.99.0.op.weight", "model.other.x", CONTROL + "lora.weight"):
        with pytest.raises(KeyError):
            own_name(name)
