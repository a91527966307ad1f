from typing import Any

import pytest
import torch

from vedit.nets.tcve import SpatialTemporalUnit, TCVEConfig, TCVEUNet, TemporalUNet
from vedit.nets.tune_a_video import TuneAVideoUNet

from .clips import disturb, inputs, per_frame, unet2d

torch.set_num_threads(1)

CHOICES: list[dict[str, Any]] = [
    {},
    {"places": "every-stage"},
    {"downsampling": "joint"},
    {"unit": "plain"},
    {"unit": "plain", "places": "every-stage", "downsampling": "joint"},
    {"temporal_unet": False},
    {"temporal_attention": False},
]


def build(**choices) -> Any:
    torch.manual_seed(3)
    return TCVEUNet(unet2d(), TCVEConfig(**choices)).eval()


@pytest.mark.parametrize("choices", CHOICES)
@pytest.mark.parametrize("frames", [1, 3, 4])
def test_untrained_it_is_the_2d_network_frame_by_frame(choices, frames):
    latents, timestep, text = inputs(frames=frames)
    expected = per_frame(unet2d(), latents, timestep, text)
    network = build(**choices)
    with torch.no_grad():
        torch.testing.assert_close(network(latents, timestep, text), expected, atol=1e-5, rtol=1e-5)
        trained = disturb(network)(latents, timestep, text)
    assert trained.shape == latents.shape and not torch.allclose(trained, expected, atol=1e-3)


def test_with_the_codes_spatial_path_it_starts_as_tune_a_video():
    case = inputs()
    network = build(spatial="tune-a-video")
    with torch.no_grad():
        torch.testing.assert_close(network(*case), TuneAVideoUNet(unet2d())(*case))
    tuned = {name for name in network.trained() if name.startswith("inflated.")}
    assert {name.removeprefix("inflated.") for name in tuned} == set(network.inflated.trained())
    assert all(parameter.requires_grad for parameter in network.trained().values())


def test_only_what_is_added_trains_and_all_of_it_learns_after_the_first_step():
    network = build()
    names = set(network.trained())
    assert {name for name, parameter in network.named_parameters() if parameter.requires_grad} == names
    assert all(name.startswith(("temporal.", "units.")) for name in names)
    network(*inputs()).square().mean().backward()
    quiet = {name for name, p in network.trained().items() if p.grad is None or not p.grad.abs().sum()}
    # The zero convolutions stop the gradient of everything before them, until they have moved.
    assert {name for name in names if ".convolution." in name and name.startswith("units.")}.isdisjoint(quiet)
    assert {name for name in names if name.startswith("temporal.")} <= quiet
    disturb(network).zero_grad()
    network(*inputs()).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.trained().values())


@pytest.mark.parametrize("joint", [False, True])
def test_the_temporal_network_keeps_time_and_place_apart(joint):
    """A change at one position and frame is seen at that position only, and there in other frames too."""
    torch.manual_seed(0)
    network = TemporalUNet(4, (8, 16, 16), (1, 1, 1), 4, joint)
    latents = torch.randn(1, 8, 4, 3, 5)
    other = latents.clone()
    other[0, 5, :, 1, 3] += 1.0
    with torch.no_grad():
        for place, feature in network(latents).items():
            moved = (network(other)[place] - feature).abs().amax(dim=(0, 1)) > 1e-6
            assert moved.amax(dim=0).nonzero().tolist() == [[1, 3]], place
            assert moved[:, 1, 3].sum() > (1 if feature.shape[2] > 2 else 0)
            assert feature.shape[-2:] == (3, 5)


def test_the_temporal_network_has_the_levels_of_the_code():
    """Frames by stage (section C): 16, 8, 4, 2, and back; channels are those of the 2D network at its places."""
    widths = (8, 16, 32, 32)
    for joint in (False, True):
        features = TemporalUNet(4, widths, (2, 2, 2, 2), 8, joint)(torch.randn(1, 16, 4, 2, 2))
        assert [features[f"down.{i}"].shape[1] for i in range(4)] == list(widths)
        assert [features[f"up.{i}"].shape[1] for i in range(4)] == list(reversed(widths))
        assert features["middle"].shape[1:3] == (32, 2)
        frames = [features[f"down.{i}"].shape[2] for i in range(4)], [features[f"up.{i}"].shape[2] for i in range(4)]
        assert frames == (([16, 8, 4, 2], [2, 4, 8, 16]) if joint else ([8, 4, 2, 2], [4, 8, 16, 16]))


def test_any_number_of_frames_is_the_clip_filled_up_with_its_last_frame():
    torch.manual_seed(0)
    network = disturb(build(), 0.1)
    latents = inputs(1, 5)[0]
    filled = torch.cat([latents, latents[:, -1:]], dim=1)
    with torch.no_grad():
        short, long = network.temporal(latents), network.temporal(filled)
    for place, feature in short.items():
        torch.testing.assert_close(feature, long[place])
    with torch.no_grad():
        for frames in (1, 2, 7):
            assert network(*inputs(1, frames)).shape[1] == frames


def test_features_are_resized_to_the_place_and_not_scrambled():
    """The feature of a position lands on that position, at every stage: the code's reshaping gets two of them wrong."""
    network = build()
    latents, timestep, text = inputs(1, 4)
    places = {}
    height, width = latents.shape[-2:]
    rows = torch.arange(height * width, dtype=torch.float32).reshape(1, 1, 1, height, width)

    class Marked(torch.nn.Module):
        multiple = 2

        def forward(self, z):
            return {place: rows.expand(1, 1, 4, height, width) for place in ("middle", "up.0", "up.1")}

    network.temporal = Marked()
    for place in ("middle", "up.0", "up.1"):
        unit = network.units[place.replace(".", "-")]
        unit.forward = lambda spatial, temporal, place=place: (places.update({place: temporal[0, 0, 0]}), spatial)[1]
    with torch.no_grad():
        network(latents, timestep, text)
    torch.testing.assert_close(places["up.1"], rows[0, 0, 0])
    torch.testing.assert_close(places["middle"], rows[0, 0, 0, ::2, ::2])
    torch.testing.assert_close(places["up.0"], rows[0, 0, 0])


def test_the_fusion_is_weighted_and_its_ablations_are_what_they_say():
    spatial, temporal = torch.randn(6, 8, 4, 4), torch.randn(2, 8, 3, 4, 4)
    clip = spatial.unflatten(0, (2, 3)).transpose(1, 2)

    def unit(**choices):
        return SpatialTemporalUnit(8, TCVEConfig(**choices))(spatial, temporal)

    def fold(x):
        return x.transpose(1, 2).flatten(0, 1)

    torch.testing.assert_close(unit(), spatial)
    torch.testing.assert_close(unit(unit="plain"), spatial)
    torch.testing.assert_close(unit(unit="sum"), fold(clip + temporal))
    torch.testing.assert_close(unit(convolution=False), fold(clip + 0.1 * temporal))
    torch.testing.assert_close(unit(unit="plain", temporal_attention=False), fold(clip + 0.1 * temporal))
    torch.testing.assert_close(unit(convolution=False, weight=0.5), fold(clip + 0.5 * temporal))
    assert not list(SpatialTemporalUnit(8, TCVEConfig(unit="sum")).parameters())


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"weight": float("nan")}, "weight=nan"),
        ({"unit": "sum", "weight": 0.5}, "leave weight out"),
        ({"unit": "sum", "convolution": False}, "leave convolution out"),
        ({"temporal_unet": False, "downsampling": "joint"}, "downsampling=joint: is of the temporal U-Net"),
    ],
)
def test_settings_that_would_do_nothing_are_refused(choices, said):
    from vedit.errors import UsageError
    from vedit.training import one_clip
    from vedit.training.recipes import tcve

    assert TCVEConfig().complaint() is None
    with pytest.raises(UsageError, match=said):
        one_clip.network_config(tcve.RECIPE, choices)


def test_the_ablations_have_fewer_parameters_and_differ_when_trained():
    case = inputs()
    outputs, sizes = {}, {}
    for name, choices in {
        "whole": {},
        "no temporal network": {"temporal_unet": False},
        "no unit": {"unit": "sum"},
        "no attention": {"temporal_attention": False},
        "no convolution": {"convolution": False},
    }.items():
        network = disturb(build(**choices))
        sizes[name] = sum(parameter.numel() for parameter in network.trained().values())
        with torch.no_grad():
            outputs[name] = network(*case)
    assert all(size < sizes["whole"] for name, size in sizes.items() if name != "whole")
    names = list(outputs)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            assert not torch.allclose(outputs[a], outputs[b], atol=1e-4), (a, b)


@pytest.mark.parametrize("choices", [{}, {"spatial": "tune-a-video", "places": "every-stage"}])
def test_at_stable_diffusions_size_a_forward_works(choices):
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)  # SD 1.5; the rest are defaults
        network = TCVEUNet(unet, TCVEConfig(**choices))
        output = network(torch.empty(1, 10, 4, 64, 64), 981, torch.empty(1, 77, 768))
    assert output.shape == (1, 10, 4, 64, 64)
    assert sum(p.numel() for p in unet.parameters()) > 850_000_000
