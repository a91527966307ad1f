"""Layers, rules and the store. Every rule leaves the network as it was."""

import gc

import pytest
import torch

from vedit.diffusion import attention
from vedit.diffusion.attention import (
    Store,
    attend,
    cross_frame,
    of_all,
    of_frame,
    places,
    plain,
    probabilities,
)

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def unet(tiny_models):
    return tiny_models.sd_unet2d()


def inputs(frames=3, size=8):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(frames, 4, size, size, generator=generator), torch.randn(1, 12, 16, generator=generator)


def run(unet, latents, text):
    with torch.no_grad():
        return unet(latents, 500, text.expand(len(latents), -1, -1), return_dict=False)[0]


def state(unet):
    """All that a context manager could leave behind."""
    hooks = sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in unet.modules())
    processors = [id(module.processor) for module in unet.modules() if hasattr(module, "processor")]
    return len(list(unet.modules())), list(unet.state_dict()), processors, hooks


def test_places_have_the_addresses_of_stable_diffusion(unet):
    """Methods, section A: 2 layers in three down blocks, 1 in the middle, 3 in three up blocks."""
    for text in (False, True):
        found = places(unet, text=text)
        assert [(p.part, p.block, p.layer, p.factor) for p in found if p.part != "up"] == [
            *(("down", block, layer, 2**block) for block in range(3) for layer in range(2)),
            ("mid", 0, 0, 8),
        ]
        ups = [(p.block, p.layer, p.factor) for p in found if p.part == "up"]
        assert ups == [(block, layer, 2 ** (3 - block)) for block in (1, 2, 3) for layer in range(3)]
        assert all(p.name.endswith("attn2" if text else "attn1") and p.text is text for p in found)
        assert all(p.module is dict(unet.named_modules())[p.name] for p in found)


def test_factors_are_what_the_layers_see(unet):
    sizes = {}

    def rule(call):
        sizes[call.place.name] = (call.place.factor, call.hidden.shape[1])
        return plain(call)

    with attention.attention(places(unet, text=False), rule):
        run(unet, *inputs(size=16))
    assert len(sizes) == 16
    assert all(tokens == (16 // factor) ** 2 for factor, tokens in sizes.values())


def test_temporal_layers_are_no_places(tiny_models):
    network = tiny_models.tiny_unet()
    assert all("motion" not in place.name for place in places(network.unet, text=False))
    assert (
        len(places(network.unet, text=False)) == 4
    )  # two levels of one layer, attention at the upper one, and the middle


def test_the_plain_rule_changes_nothing(unet):
    latents, text = inputs()
    before = run(unet, latents, text)
    where = [*places(unet, text=False), *places(unet, text=True)]
    with attention.attention(where, plain), attention.residuals(unet, [(1, 1)], lambda which, residual: residual):
        assert torch.equal(run(unet, latents, text), before)


@pytest.mark.parametrize("fail", [False, True])
def test_nothing_is_left_behind(unet, fail):
    latents, text = inputs()
    before, output = state(unet), run(unet, latents, text)

    def rule(call):
        if fail:
            raise RuntimeError("out of memory")
        return torch.zeros_like(call.hidden)

    def block():
        with attention.attention(places(unet, text=False), rule):
            with attention.attention(places(unet, text=False)[:3], plain):
                with attention.residuals(unet, [(1, 1), (2, 0)], lambda which, residual: residual * 0):
                    assert len(list(unet.modules())) == before[0]
                    return run(unet, latents, text)

    if fail:
        with pytest.raises(RuntimeError, match="out of memory"):
            block()
    else:
        assert not torch.allclose(block(), output)
    assert state(unet) == before
    assert torch.equal(run(unet, latents, text), output)


def test_probabilities_are_those_of_the_attention():
    query, key, value = (torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(i)) for i in range(3))
    torch.testing.assert_close(probabilities(query, key) @ value, attend(query, key, value))
    assert probabilities(query.bfloat16(), key.bfloat16()).dtype == torch.bfloat16


def test_frames_are_told_apart(unet):
    """Each frame sees what its rule says: change one frame and see which others change."""
    latents, text = inputs(4)
    where = places(unet, text=False)
    reached = {
        None: [[0], [1], [2], [3]],
        of_frame(0): [[0, 1, 2, 3], [1], [2], [3]],
        of_all: [[0, 1, 2, 3]] * 4,
    }
    for pick, expected in reached.items():
        for frame in range(4):
            changed = latents.clone()
            changed[frame] += 1.0
            with attention.attention(where if pick else [], cross_frame(pick) if pick else plain):
                difference = (run(unet, latents, text) - run(unet, changed, text)).abs().amax(dim=(1, 2, 3))
            assert [i for i in range(4) if difference[i] > 1e-5] == expected[frame]


@pytest.mark.parametrize("pick", [of_frame(0), of_frame(-1), of_all])
def test_one_frame_or_equal_frames_are_as_without_rule(unet, pick):
    latents, text = inputs(1)
    for clip in (latents, latents.expand(3, -1, -1, -1)):
        with attention.attention(places(unet, text=False), cross_frame(pick)):
            made = run(unet, clip, text)
        torch.testing.assert_close(made, run(unet, clip, text), rtol=0, atol=2e-3)


def test_residuals_are_what_is_added_to_the_shortcut(unet):
    seen = {}
    latents, text = inputs()
    resnet = unet.up_blocks[1].resnets[1]
    whole = {}
    handle = resnet.register_forward_hook(lambda module, inputs, output: whole.update(input=inputs[0], output=output))
    with attention.residuals(unet, [(1, 1)], lambda which, residual: seen.setdefault(which, residual)):
        run(unet, latents, text)
    handle.remove()
    torch.testing.assert_close(resnet.conv_shortcut(whole["input"]) + seen[1, 1], whole["output"])


@pytest.mark.parametrize("memory", [10**6, 100, 0])
def test_the_store_gives_back_what_it_got(tmp_path, memory):
    store = Store(memory, tmp_path)
    made = {(step, name): torch.randn(2, 3, step + 1) for step in range(6) for name in "ab"}
    for key, tensor in made.items():
        store.put(key, tensor)
    assert store.in_memory <= memory
    assert store.in_memory + store.on_disk == sum(2 * tensor.numel() for tensor in made.values())
    assert (store.on_disk > 0) == (memory < 10**6)
    for key, tensor in reversed(made.items()):
        assert torch.equal(store.get(key, tensor), tensor.half().float())
    assert (0, "a") in store
    assert (9, "a") not in store
    with pytest.raises(KeyError):
        store.get((9, "a"), torch.zeros(1))
    with pytest.raises(ValueError, match="already"):
        store.put((0, "a"), torch.zeros(1))
    store.clear()
    assert (0, "a") not in store
    assert (store.in_memory, store.on_disk) == (0, 0)


def test_the_store_keeps_copies_and_leaves_no_file(tmp_path):
    tensor = torch.ones(4, dtype=torch.float16)
    store = Store(100, tmp_path)
    store.put("held", tensor)
    for index in range(20):
        store.put(index, torch.full((8,), float(index)))
    tensor.zero_()
    assert torch.equal(store.get("held", tensor), torch.ones(4, dtype=torch.float16))
    assert store.get(19, torch.zeros(1)).tolist() == [19.0] * 8
    assert list(tmp_path.iterdir()) == []  # without a name from the start: a kill leaves nothing either
    del store
    gc.collect()
    assert list(tmp_path.iterdir()) == []
