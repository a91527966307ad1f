import copy

import pytest
import torch

from vedit.nets.tune_a_video import TuneAVideoConfig, TuneAVideoUNet, sparse_causal

from .clips import disturb, inputs, per_frame, unet2d

torch.set_num_threads(1)


def test_an_untrained_inflation_with_attention_of_its_own_frame_is_the_2d_network():
    latents, timestep, text = inputs()
    expected = per_frame(unet2d(), latents, timestep, text)
    network = TuneAVideoUNet(unet2d(), TuneAVideoConfig(attention="frame"))
    with torch.no_grad():
        torch.testing.assert_close(network(latents, timestep, text), expected, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(disturb(network)(latents, timestep, text), expected, atol=1e-3)


def test_frames_that_are_alike_stay_as_in_2d_with_sparse_causal_attention_and_others_do_not():
    latents, timestep, text = inputs()
    still = latents[:, :1].expand_as(latents)
    network = TuneAVideoUNet(unet2d())
    plain = unet2d()
    with torch.no_grad():
        expected = per_frame(plain, still, timestep, text)
        torch.testing.assert_close(network(still, timestep, text), expected, atol=1e-5, rtol=1e-5)
        expected = per_frame(plain, latents, timestep, text)
        output = network(latents, timestep, text)
    torch.testing.assert_close(output[:, 0], expected[:, 0], atol=1e-5, rtol=1e-5)
    assert (output[:, 1:] - expected[:, 1:]).abs().max() > 1e-3


def test_sparse_causal_keys_are_those_of_the_first_and_the_previous_frame():
    hidden = torch.arange(8.0).reshape(8, 1, 1).expand(8, 2, 1)  # two clips of four frames
    seen = sparse_causal(hidden, 4)[:, ::2, 0]  # one token of each of the two frames
    assert seen.tolist() == [[0, 0], [0, 0], [0, 1], [0, 2], [4, 4], [4, 4], [4, 5], [4, 6]]


@pytest.mark.parametrize(("changed", "reached"), [(0, [0, 1, 2, 3]), (2, [2, 3]), (3, [3])])
def test_a_frame_is_seen_by_those_that_the_sparse_causal_pattern_names(changed, reached):
    """One attention layer deep: the tiny network has two, so what frame 1 changes reaches all later frames."""
    latents, timestep, text = inputs(1, 4)
    other = latents.clone()
    other[:, changed] += 1.0
    network = TuneAVideoUNet(unet2d())
    with torch.no_grad():
        moved = (network(other, timestep, text) - network(latents, timestep, text)).abs().amax(dim=(0, 2, 3, 4))
    assert (moved > 1e-5).nonzero().flatten().tolist() == reached


def test_what_trains_is_what_the_method_says():
    network = TuneAVideoUNet(unet2d())
    names = set(network.trained())
    blocks = sum(name.endswith("attn1.to_q.weight") for name in names)
    assert blocks == sum(name.endswith("attn2.to_q.weight") for name in names) > 0
    temporal = {name.rsplit("attention.", 1)[1] for name in names if name.startswith("temporal.")}
    assert temporal == {"to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight", "to_out.0.bias"}
    assert len(names) == 2 * blocks + 5 * blocks
    assert {name for name, parameter in network.named_parameters() if parameter.requires_grad} == names


def test_every_trained_parameter_gets_a_gradient_once_the_projections_have_left_zero():
    network = disturb(TuneAVideoUNet(unet2d()))
    network(*inputs()).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.trained().values())


def test_a_copy_is_on_its_own():
    latents, timestep, text = inputs()
    network = TuneAVideoUNet(unet2d())
    duplicate = disturb(copy.deepcopy(network))
    with torch.no_grad():
        assert not torch.allclose(duplicate(latents, timestep, text), network(latents, timestep, text), atol=1e-3)
        fewer = inputs(2, 2)
        assert duplicate(*fewer).shape == fewer[0].shape
