"""ReVideo's control branch: the base at the start, what each condition reaches, what each stage trains."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from vedit.nets.revideo import (
    Conditions,
    ReVideoConfig,
    ReVideoUNet,
    kept_content,
    residuals,
    skip_widths,
    trajectory_map,
)

CHANNELS, WIDTH, FRAMES, SIDE = 4, 16, 3, 32


def tiny_base(levels: int = 2):
    from diffusers import UNetSpatioTemporalConditionModel

    torch.manual_seed(0)
    kinds = ("CrossAttnDownBlockSpatioTemporal",) * (levels - 1) + ("DownBlockSpatioTemporal",)
    ups = ("UpBlockSpatioTemporal",) + ("CrossAttnUpBlockSpatioTemporal",) * (levels - 1)
    return UNetSpatioTemporalConditionModel(
        sample_size=SIDE // 8,
        in_channels=2 * CHANNELS,
        out_channels=CHANNELS,
        down_block_types=kinds,
        up_block_types=ups,
        block_out_channels=(32, 64, 64, 64)[:levels],
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        num_attention_heads=2,
    ).eval()


def network(fusion="safm", levels: int = 2) -> ReVideoUNet:
    base = tiny_base(levels)
    torch.manual_seed(1)
    return ReVideoUNet(base, ReVideoConfig.of(base.config, 8, fusion)).eval()


def inputs(batch: int = 1) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(2)

    def random(*shape):
        return torch.randn(batch, *shape, generator=generator)

    side = SIDE // 8
    mask = torch.zeros(batch, 1, 1, SIDE, SIDE)
    mask[..., 8:24, 8:24] = 1
    given = Conditions(random(FRAMES, 2, SIDE, SIDE), mask, random(FRAMES, 3, SIDE, SIDE))
    arguments = (
        random(FRAMES, 2 * CHANNELS, side, side),
        torch.full((batch,), 0.3),
        random(1, WIDTH),
        torch.tensor([[6.0, 127.0, 0.02]]).repeat(batch, 1),
    )
    return arguments, given


def disturb(net: ReVideoUNet, *parts: str, by: float = 0.2) -> None:
    """Give the layers that start at zero something to say."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in net.control.named_parameters():
            if name.startswith(parts) and not parameter.any():
                parameter.add_(by * torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("levels", [2, 4])
@pytest.mark.parametrize("fusion", ["safm", "no-time", "sum"])
@pytest.mark.parametrize("batch", [1, 2])
def test_untrained_it_is_the_base(fusion, levels, batch):
    net = network(fusion, levels)
    arguments, given = inputs(batch)
    with torch.no_grad():
        expected = net.base(*arguments).sample
        assert torch.equal(net(*arguments, given), expected)
        assert torch.equal(net(*arguments, None), expected)


def test_untrained_the_encoders_say_nothing_and_share_evenly():
    net = network()
    (_, timestep, *_), given = inputs()
    with torch.no_grad():
        assert not net.control.motion(given.motion.flatten(0, 1)).any()
        weight = net.control.weight(given.mask.flatten(0, 1), timestep)
        assert weight.shape == (1, 32, SIDE // 8, SIDE // 8)
        assert torch.equal(weight, torch.full_like(weight, 0.5))
        assert torch.equal(net.control.fuse(given, timestep), net.control.fuse(given, timestep, 0.5))


def test_the_control_reaches_the_output_and_leaves_nothing_behind():
    net = network()
    arguments, given = inputs()
    with torch.no_grad():
        before = net.base(*arguments).sample
        disturb(net, "skips", "middle", "motion", "content", "gate")
        changed = net(*arguments, given)
        assert not torch.allclose(changed, before)
        hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules()]
        assert not any(hooks)
        assert torch.equal(net.base(*arguments).sample, before)


def test_each_condition_matters_and_the_same_for_a_clip_alone_or_in_a_batch():
    net = network()
    disturb(net, "skips", "middle", "motion", "content", "gate", by=2.0)
    (sample, timestep, image, ids), given = inputs(2)
    with torch.no_grad():
        both = net(sample, timestep, image, ids, given)
        one = Conditions(given.motion[1:], given.mask[1:], given.content[1:])
        alone = net(sample[1:], timestep[1:], image[1:], ids[1:], one)
        assert torch.allclose(both[1:], alone, atol=1e-5)
        for other in (
            Conditions(-one.motion, one.mask, one.content),
            Conditions(one.motion, 1 - one.mask, one.content),
            Conditions(one.motion, one.mask, -given.content[1:]),
        ):
            assert not torch.allclose(
                net(sample[1:], timestep[1:], image[1:], ids[1:], other), alone, atol=5e-4, rtol=0
            )
        shown = Conditions(one.motion, one.mask.repeat(1, FRAMES, 1, 1, 1), one.content)
        assert torch.allclose(net(sample[1:], timestep[1:], image[1:], ids[1:], shown), alone, atol=1e-5)


def test_gamma_weighs_the_motion():
    """Γ = 1 is motion alone, Γ = 0 content alone: the roles of the published weights."""
    net = network()
    disturb(net, "motion", "content")
    (_, timestep, *_), given = inputs()
    other_motion = Conditions(-given.motion, given.mask, given.content)
    other_content = Conditions(given.motion, given.mask, -given.content)
    with torch.no_grad():
        fuse = net.control.fuse
        assert torch.equal(fuse(given, timestep, 1.0), fuse(other_content, timestep, 1.0))
        assert torch.equal(fuse(given, timestep, 0.0), fuse(other_motion, timestep, 0.0))
        assert not torch.equal(fuse(given, timestep, 1.0), fuse(other_motion, timestep, 1.0))


def test_safm_sees_the_noise_level_unless_told_not_to():
    (_, timestep, *_), given = inputs()
    mask = given.mask.flatten(0, 1)
    for fusion, differs in (("safm", True), ("no-time", False)):
        net = network(fusion)
        disturb(net, "gate")
        with torch.no_grad():
            early, late = net.control.weight(mask, timestep), net.control.weight(mask, -timestep)
            assert torch.equal(early, late) != differs
            assert early.min() > 0
            assert early.max() < 1


def test_residuals_must_fit_the_decoder():
    net = network()
    fits = [torch.zeros(1)] * len(skip_widths(net.base))
    with residuals(net.base, tuple(fits), torch.zeros(1)):
        pass
    with pytest.raises(ValueError, match="residuals"), residuals(net.base, tuple(fits + fits[:1]), torch.zeros(1)):
        pass


def test_what_each_stage_trains():
    net = network()
    first, second, third = (set(net.trained(stage)) for stage in (1, 2, 3))
    assert first < second
    assert {name.split(".")[1] for name in second - first} == {"content"}
    assert not any(name.startswith("base.") or ".gate." in name for name in second)
    safm = {name for name in net.state_dict() if name.startswith(("control.gate.", "control.fused."))}
    temporal = third - safm
    assert temporal
    assert all("temporal_transformer_blocks" in n and n.split(".")[-2] in ("to_k", "to_v") for n in temporal)
    assert not any(".attn2." in name for name in temporal)
    assert {name.split(".")[0] for name in temporal} == {"base", "control"}
    assert safm <= third
    everything = set(net.trained(3, "everything"))
    assert everything == second | third
    assert everything == set(net.added())
    assert not any(".gate." in name for name in network("sum").trained(3))


def test_gradients_reach_all_that_a_stage_trains():
    net = network()
    disturb(net, "skips", "middle", "motion", "content", "gate")
    arguments, given = inputs()
    for stage, gate in ((1, 0.5), (2, 0.5), (3, None)):
        net.requires_grad_(False)
        parameters = net.trained(stage)
        for parameter in parameters.values():
            parameter.requires_grad_(True)
            parameter.grad = None
        content = None if stage == 1 else given.content
        net(*arguments, Conditions(given.motion, given.mask, content), gate).square().mean().backward()
        silent = [name for name, p in parameters.items() if p.grad is None or not p.grad.any()]
        # A key of attention over one token of cross-attention has no say; those of attn1 all have.
        assert not [n for n in silent if ".attn2.to_" not in n and ".norm2." not in n], (stage, silent)


# -- the trajectory map ------------------------------------------------------------------------------------------


def moving(point, steps) -> torch.Tensor:
    """(T, 1, 2): a point that begins at ``point`` and takes ``steps``."""
    return torch.tensor([point, *steps]).cumsum(0)[:, None].float()


def test_the_displacement_stands_at_the_point_with_y_first():
    field = trajectory_map(moving((80, 60), [(5, -3), (2, 7)]), 160, 200, 51, 10.0)
    assert field.shape == (3, 2, 160, 200)
    assert not field[0].any()
    assert field[1, :, 57, 85].tolist() == pytest.approx([-3, 5])
    assert field[2, :, 64, 87].tolist() == pytest.approx([7, 2])


def test_the_map_sums_to_615_displacements():
    """51 pixels and σ = 10 without normalisation (methods, section M 8); DragNUWA's 199 and 20 give 2513."""
    for kernel, sigma, total in ((51, 10.0, 615), (199, 20.0, 2513)):
        field = trajectory_map(moving((300, 300), [(2, -1)]), 600, 600, kernel, sigma)
        assert float(field[1, 1].sum()) / 2 == pytest.approx(total, rel=2e-3)
        assert float(field[1, 0].sum()) / -1 == pytest.approx(total, rel=2e-3)


def test_the_gaussian_is_that_of_its_definition():
    field = trajectory_map(moving((50, 50), [(1, 1)]), 100, 100, 21, 4.0)
    assert float(field[1, 0, 51, 51 + 6]) == pytest.approx(math.exp(-36 / 32), rel=1e-5)
    assert float(field[1, 0, 51, 51 + 11]) == 0  # beyond the kernel


def test_close_tracks_add_and_places_outside_are_clipped():
    places = torch.cat([moving((50, 50), [(2, 0)]), moving((54, 50), [(2, 0)])], 1)
    near = trajectory_map(places, 100, 100, 21, 4.0)
    assert float(near[1, 1, 50, 54]) == pytest.approx(2 * 2 * math.exp(-4 / 32), rel=1e-5)
    outside = trajectory_map(moving((98, 5), [(9, 0)]), 100, 100, 21, 4.0)
    assert float(outside[1, 1, 5, 99]) == pytest.approx(9)


def test_the_region_of_the_content_is_black():
    frames, mask = torch.rand(2, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    mask[..., 2:5, 2:6] = 1
    content = kept_content(frames, mask)
    assert (content[..., 2:5, 2:6] == -1).all()
    assert torch.equal(content[..., 5:, :], frames[..., 5:, :])


@pytest.mark.parametrize(
    ("base", "stride", "expected"),
    [
        ({"block_out_channels": (320,), "sample_size": 96}, 8, ReVideoConfig()),
        ({"block_out_channels": (64,), "sample_size": 32}, 8, ReVideoConfig((16, 16, 24, 56), 31, 6.0)),
        ({"block_out_channels": (320,), "sample_size": [72, 128]}, 4, ReVideoConfig((32, 96, 256), 19, 3.75)),
    ],
)
def test_sizes_come_from_the_base(base, stride, expected):
    assert ReVideoConfig.of(base, stride) == expected


def test_a_stride_that_does_not_fit():
    with pytest.raises(ValueError, match="stride 6"):
        ReVideoConfig.of({"block_out_channels": (320,)}, 6)
