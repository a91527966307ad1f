import json

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from vedit.errors import ModelError
from vedit.nets.video_unet import CONFIG, WEIGHTS, Temporal, VideoUNet, extend_input, inflate

torch.set_num_threads(1)
TEMPORAL = Temporal(max_frames=8, motion_heads=(1, 2), motion_layers=1)


def tiny2d(**changes):
    torch.manual_seed(0)
    config = {
        "in_channels": 8, "out_channels": 4, "block_out_channels": (8, 16), "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 12, "attention_head_dim": 2, "norm_num_groups": 4,
    }  # fmt: skip
    return UNet2DConditionModel(**(config | changes)).eval()


def inputs(frames=5, channels=8, batch=2):
    torch.manual_seed(1)
    return torch.randn(batch, frames, channels, 8, 8), torch.tensor([3, 700])[:batch], torch.randn(batch, 6, 12)


def disturb(network):
    """Random values in the layers that start at zero."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in network.temporal_parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


VARIANTS = {
    "full": TEMPORAL,
    "lean": Temporal(8, (1, 0), (1, 2), motion_mid=False, double_attention=False, convolution_layers=2),
    "convolution only": Temporal(8, 0, 1),
    "attention only": Temporal(8, 1, (1, 2), convolution_layers=0),
}


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_inflated_network_is_the_2d_network_frame_by_frame(variant):
    unet, (latents, timestep, text) = tiny2d(), inputs()
    network = inflate(unet, VARIANTS[variant])
    expected = torch.stack(
        [unet(latents[:, frame], timestep, text, return_dict=False)[0] for frame in range(latents.shape[1])], dim=1
    )
    torch.testing.assert_close(network(latents, timestep, text), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_trained_temporal_layers_see_other_frames_and_their_order(variant):
    network, (latents, timestep, text) = disturb(inflate(tiny2d(), VARIANTS[variant])), inputs()
    output = network(latents, timestep, text)
    changed = latents.clone()
    changed[:, 0] += 1
    assert not torch.allclose(network(changed, timestep, text)[:, 1], output[:, 1], atol=1e-5)
    assert not torch.allclose(network(latents.flip(1), timestep, text).flip(1), output, atol=1e-5)


@torch.no_grad()
def test_clips_of_a_batch_do_not_mix():
    network, (latents, timestep, text) = disturb(inflate(tiny2d(), TEMPORAL)), inputs()
    both = network(latents, timestep, text)
    for clip in range(2):
        one = slice(clip, clip + 1)
        torch.testing.assert_close(network(latents[one], timestep[one], text[one]), both[one], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network(latents[:1], timestep[0], text[:1]), both[:1], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_extended_input_ignores_the_source():
    unet, (latents, timestep, text) = tiny2d(in_channels=4), inputs()
    expected = inflate(unet, TEMPORAL)(latents[:, :, :4], timestep, text)
    network = inflate(extend_input(unet, 8), TEMPORAL)
    assert (network.in_channels, network.out_channels) == (8, 4)
    torch.testing.assert_close(network(latents, timestep, text), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_folder_round_trip(tmp_path):
    network, (latents, timestep, text) = disturb(inflate(tiny2d(), VARIANTS["lean"])), inputs()
    network.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {CONFIG, WEIGHTS}
    loaded = VideoUNet.load(tmp_path)
    assert loaded.temporal == network.temporal
    assert not loaded.training
    assert torch.equal(loaded(latents, timestep, text), network(latents, timestep, text))
    assert not any(key.endswith(".pe") for key in load_file(tmp_path / WEIGHTS))
    network.save(tmp_path, torch.bfloat16)
    assert VideoUNet.load(tmp_path, torch.bfloat16).dtype == torch.bfloat16


def test_loading_is_strict(tmp_path):
    inflate(tiny2d(), TEMPORAL).save(tmp_path)
    state = load_file(tmp_path / WEIGHTS)
    name = next(iter(state))
    save_file({key: tensor for key, tensor in state.items() if key != name}, tmp_path / WEIGHTS)
    with pytest.raises(ModelError, match=f"1 missing keys \\({name}\\)"):
        VideoUNet.load(tmp_path)
    save_file(state | {"stranger": torch.zeros(1)}, tmp_path / WEIGHTS)
    with pytest.raises(ModelError, match="1 unexpected keys \\(stranger\\)"):
        VideoUNet.load(tmp_path)
    save_file(state | {name: torch.zeros(1)}, tmp_path / WEIGHTS)
    with pytest.raises(ModelError, match="has shape"):
        VideoUNet.load(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(config | {"_class_name": "Other"}))
    with pytest.raises(ModelError, match="not a VideoUNet"):
        VideoUNet.load(tmp_path)


def test_parameters_are_declared_once():
    network = inflate(tiny2d(), TEMPORAL)
    temporal, spatial = set(network.temporal_parameters()), set(network.spatial_parameters())
    assert not temporal & spatial
    assert temporal | spatial == set(network.parameters())
    assert len(spatial) == len(list(tiny2d().parameters()))


def test_gradients_reach_every_layer_that_starts_at_zero():
    network, (latents, timestep, text) = inflate(tiny2d(), TEMPORAL).train(), inputs(frames=3)
    network(latents, timestep, text).pow(2).mean().backward()
    ends = [
        (name, p)
        for name, p in network.named_parameters()
        if ".attention.proj_out." in name or ".convolutions." in name
    ]
    assert ends
    assert not any(parameter.any() for _, parameter in ends)
    assert all(parameter.grad is not None and parameter.grad.any() for _, parameter in ends)


def test_window_is_bounded():
    network, (latents, timestep, text) = inflate(tiny2d(), TEMPORAL), inputs(frames=9)
    with pytest.raises(ValueError, match="at most 8"):
        network(latents, timestep, text)


def test_what_cannot_be_inflated_is_refused():
    with pytest.raises(ModelError, match="flip_sin_to_cos"):
        inflate(tiny2d(flip_sin_to_cos=False), TEMPORAL)
    with pytest.raises(ModelError, match="levels"):
        inflate(tiny2d(), Temporal(motion_heads=(1, 2, 4)))


def test_a_network_without_attention_over_time_is_never_there_twice():
    unet = tiny2d()
    network = inflate(unet, Temporal(8, 0, 1, convolution_layers=0))
    held = {parameter.data_ptr() for parameter in unet.parameters()}
    assert {parameter.data_ptr() for parameter in network.parameters()} == held
    assert not any(tensor.is_meta for tensor in network.state_dict().values())
