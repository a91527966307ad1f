"""TCVE and Tune-A-Video: what they give with an adapter, across windows, and how the adapter is checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from vedit import engines, weights
from vedit.cache import Cache
from vedit.diffusion.inversion import invert
from vedit.diffusion.sampling import ddim
from vedit.diffusion.schedule import Schedule
from vedit.engines.base import Window
from vedit.engines.shared import Tally
from vedit.engines.tcve import TCVE
from vedit.engines.tune_a_video import TuneAVideo
from vedit.errors import ModelError, UsageError
from vedit.jobs import PromptPair
from vedit.weights import adapter
from vedit.weights.adapter import About

from .tiny import CHANNELS, clip_frames, tiny_unet2d, write_diffusers

torch.set_num_threads(1)
PAIR = PromptPair("a ball", "snow")
METHODS: list[Any] = [TCVE, TuneAVideo]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = write_diffusers(tmp_path_factory.mktemp("models") / "sd", "StableDiffusionPipeline")
    return weights.open_bundle(folder, "text2image")


@pytest.fixture(scope="module")
def trained(bundle, tmp_path_factory):
    """Adapters by method and noise in their parameters."""
    made = {}

    def write(method, noise=0.3, **network):
        key = (method, noise, *network.items())
        if key not in made:
            built = method.Network(weights.load_unet2d(bundle.components["unet"]), method.Config(**network))
            generator = torch.Generator().manual_seed(4)
            tensors = {
                name: parameter.detach() + noise * torch.randn(parameter.shape, generator=generator)
                for name, parameter in built.trained().items()
            }
            about = About(method.name, bundle.name, bundle.parts_sha256, network, PAIR.source)
            made[key] = adapter.save(tmp_path_factory.mktemp("adapter"), about, tensors)
        return made[key]

    return write


def build(method, bundle, file, cache=None, **settings):
    settings = {"steps": 3} | settings
    return method.from_bundle(
        bundle, method.Settings(**settings), seed=0, device="cpu", dtype=torch.float32, cache=cache, adapter=file
    )


@pytest.mark.parametrize("method", METHODS)
def test_it_edits_a_window_of_any_length_and_says_what_it_took(method, bundle, trained):
    engine = build(method, bundle, trained(method))
    seen = []
    for count in (1, 3):
        frames = clip_frames(count)
        seen.clear()
        edited = engine.edit(Window(frames, 7), PAIR, lambda done, total: seen.append((done, total)))
        assert edited.frames.shape == edited.reconstruction.shape == frames.shape
        assert edited.frames.isfinite().all()
        assert (edited.evaluations, edited.inversion_evaluations) == (3 + 3 * 2, 3)
        assert seen == [(1, 3), (2, 3), (3, 3)]
        assert (edited.frames - edited.reconstruction).abs().max() > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_the_same_gives_the_same_and_the_adapter_matters(method, bundle, trained):
    window = Window(clip_frames(3), 0)
    first = build(method, bundle, trained(method)).edit(window, PAIR).frames
    assert torch.equal(first, build(method, bundle, trained(method)).edit(window, PAIR).frames)
    other = build(method, bundle, trained(method, noise=0.1)).edit(window, PAIR).frames
    assert not torch.allclose(first, other, atol=1e-4)


def test_the_methods_and_ablations_differ(bundle, trained):
    window = Window(clip_frames(3), 0)
    cases: list[tuple[Any, dict[str, Any]]] = [
        (TCVE, {}), (TuneAVideo, {}), (TCVE, {"unit": "sum"}), (TCVE, {"temporal_unet": False}),
        (TCVE, {"temporal_attention": False}), (TCVE, {"convolution": False}),
    ]  # fmt: skip
    edits = [build(method, bundle, trained(method, **network)).edit(window, PAIR).frames for method, network in cases]
    for name in ("sdedit", "text2video-zero", "fatezero", "tokenflow"):
        edits.append(engines.load(name, bundle, {"steps": 3}, dtype="fp32").edit(window, PAIR).frames)
    for i, a in enumerate(edits):
        assert all(not torch.allclose(a, b, atol=1e-4) for b in edits[i + 1 :])


def test_an_untrained_tcve_is_inversion_and_sampling_with_the_2d_network(tmp_path):
    """With a 2D network that does not magnify rounding errors, as the other one does."""
    folder = write_diffusers(tmp_path / "sd", "StableDiffusionPipeline")
    tiny_unet2d(CHANNELS).save_pretrained(folder / "unet")
    bundle = weights.open_bundle(folder, "text2image")
    unet = weights.load_unet2d(bundle.components["unet"])
    start = {name: p.detach() for name, p in TCVE.Network(tiny_unet2d(CHANNELS)).trained().items()}
    file = adapter.save(tmp_path, About("tcve", bundle.name, bundle.parts_sha256), start)
    engine = build(TCVE, bundle, file, guidance=3.0, inversion_prompt="source")
    with torch.inference_mode():
        source = engine.codec.encode(clip_frames(2))

        def predict(z, timestep, text):
            return unet(z, timestep, engine.text([text]).expand(len(z), -1, -1)).sample

        trajectory = invert(lambda z, t: predict(z, t, PAIR.source), source, engine.schedule, 3)

        def denoise(z, step):
            empty, full = (predict(z, step.timestep, text) for text in ("", PAIR.target))
            return engine.schedule.to_clean(empty + 3.0 * (full - empty), z, step.timestep)

        expected = engine.codec.decode(ddim(denoise, trajectory.noise, engine.schedule, 3, start=trajectory.start))
    edited = engine.edit(Window(clip_frames(2), 0), PAIR).frames
    torch.testing.assert_close(edited, expected, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_window_sees_the_last_frames_of_the_one_before(method, bundle, trained):
    frames = clip_frames(5)
    engine = build(method, bundle, trained(method), context=2)
    first = engine.edit(Window(frames[:3], 0), PAIR)
    second = engine.edit(Window(frames[3:], 3, 0, first.carry), PAIR)
    assert second.frames.shape[0] == 2
    blind = build(method, bundle, trained(method), context=0)
    carry = blind.edit(Window(frames[:3], 0), PAIR).carry
    alone = [blind.edit(Window(frames[3:], 3, 0, before), PAIR).frames for before in (carry, None)]
    fresh = engine.edit(Window(frames[3:], 3), PAIR)
    assert not torch.allclose(second.frames, fresh.frames, atol=1e-4)
    assert torch.equal(*alone), "without context there is nothing to see"
    kept = second.carry.kept
    going = 2 + method.anchored
    assert kept.source.shape[0] == going and all(len(edit) == going for edit in kept.edits.values())
    # At most as many go along as there were.
    wide = build(method, bundle, trained(method), context=3)
    carried = wide.edit(Window(frames[:3], 0), PAIR).carry
    assert carried.kept.source.shape[0] == 3
    with torch.inference_mode():
        torch.testing.assert_close(carried.kept.source, wide.codec.encode(frames[:3]))


@pytest.mark.parametrize("method", METHODS)
def test_tune_a_video_looks_at_the_first_frame_in_every_window(method, bundle, trained):
    frames, carry = clip_frames(6), None
    engine = build(method, bundle, trained(method), context=1)
    with torch.inference_mode():
        latents = engine.codec.encode(frames)
    for start in (0, 2, 4):
        carry = engine.edit(Window(frames[start : start + 2], start, 0, carry), PAIR).carry
        expected = [0, start + 1] if method.anchored else [start + 1]
        torch.testing.assert_close(carry.kept.source, latents[expected])
    assert method.anchored == (method is TuneAVideo)


def test_tcve_inflated_as_tune_a_video_looks_at_the_first_frame_too(bundle, trained):
    frames = clip_frames(4)
    carry: Any = None
    engine = build(TCVE, bundle, trained(TCVE, spatial="tune-a-video"), context=1)
    with torch.inference_mode():
        latents = engine.codec.encode(frames)
    for start in (0, 2):
        carry = engine.edit(Window(frames[start : start + 2], start, 0, carry), PAIR).carry
    torch.testing.assert_close(carry.kept.source, latents[[0, 3]])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["epsilon", "v"])
def test_the_source_prompt_leads_back_to_the_source_with_any_adapter(method, name, tmp_path):
    """Both ways by one prompt: fixed points bring it ten times nearer. v-prediction ends at zero signal."""
    folder = write_diffusers(tmp_path / "sd", "StableDiffusionPipeline")
    torch.manual_seed(0)
    tiny_unet2d(CHANNELS).save_pretrained(folder / "unet")
    if name == "v":
        file = folder / "scheduler" / "scheduler_config.json"
        more = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
        file.write_text(json.dumps(json.loads(file.read_text()) | more))
    bundle = weights.open_bundle(folder, "text2image")
    built = method.Network(weights.load_unet2d(bundle.components["unet"]), method.Config())
    generator = torch.Generator().manual_seed(4)
    tensors = {
        name: parameter.detach() + 0.004 * torch.randn(parameter.shape, generator=generator)
        for name, parameter in built.trained().items()
    }
    about = About(method.name, bundle.name, bundle.parts_sha256, {}, PAIR.source)
    file = adapter.save(tmp_path / "adapter", about, tensors)
    same = PromptPair(PAIR.source, PAIR.source)
    missed = []
    for iterations in (0, 12):
        chosen = {"steps": 10, "guidance": 1.0, "inversion_prompt": "source", "fixed_point": iterations}
        edited = build(method, bundle, file, **chosen).edit(Window(clip_frames(3), 0), same)
        missed.append(float((edited.frames - edited.reconstruction).square().mean()))
    assert missed[1] < 0.1 * missed[0]  # random layers amplify what is left; exact it is where there are none


def test_a_second_edit_takes_the_way_back_from_the_cache_but_not_from_another_adapters(bundle, trained, tmp_path):
    cache = Cache(tmp_path)
    window, other = Window(clip_frames(2), 0), PromptPair("a ball", "no snow")
    first = build(TCVE, bundle, trained(TCVE), cache).edit(window, PAIR)
    second = build(TCVE, bundle, trained(TCVE), cache).edit(window, other)
    assert (first.inversion_evaluations, second.inversion_evaluations) == (3, 0)
    assert not torch.allclose(first.frames, second.frames, atol=1e-5)
    changed = build(TCVE, bundle, trained(TCVE, noise=0.1), cache).edit(window, PAIR)
    assert changed.inversion_evaluations == 3


def test_an_adapter_that_does_not_fit_is_refused(bundle, trained, tmp_path):
    with pytest.raises(UsageError, match=r"--method tcve: needs --adapter DIR; .* vedit train-adapter tcve"):
        build(TCVE, bundle, None)
    with pytest.raises(ModelError, match="for tcve, not for tune-a-video"):
        build(TuneAVideo, bundle, trained(TCVE))
    about, tensors = adapter.load(trained(TCVE), "tcve", bundle)

    def saved(name, network, state):
        made = About("tcve", about.base, about.base_sha256, network, about.prompt)
        return adapter.save(tmp_path / name, made, state)

    fewer = dict(list(tensors.items())[1:])
    with pytest.raises(ModelError, match="1 missing keys"):
        build(TCVE, bundle, saved("a", {}, fewer))
    with pytest.raises(ModelError, match="1 unexpected keys"):
        build(TCVE, bundle, saved("b", {}, tensors | {"more": torch.zeros(1)}))
    name = next(iter(tensors))
    with pytest.raises(ModelError, match="has shape"):
        build(TCVE, bundle, saved("c", {}, tensors | {name: torch.zeros(3)}))
    with pytest.raises(ModelError, match="setting places"):
        build(TCVE, bundle, saved("d", {"places": "nowhere"}, tensors))


@pytest.mark.parametrize("method", METHODS)
def test_a_step_at_stable_diffusions_real_size(method):
    """On the meta device: shapes without numbers, for a window and the one after it."""
    from diffusers import UNet2DConditionModel

    def network():
        return UNet2DConditionModel(cross_attention_dim=768)  # the defaults are SD 1.x's, the text width aside

    codec: Any = torch.nn.Module()
    codec.channels, codec.beside = 4, lambda dtype: dtype
    text: Any = torch.nn.Module()
    text.width, text.can_embed = 768, False
    schedule = Schedule.scaled_linear(offset=1, final_alpha_cumprod=None)
    with torch.device("meta"), torch.inference_mode():
        tensors = method.Network(network(), method.Config()).trained()
        engine = method(codec, text, network(), schedule, method.Settings(steps=1), device="meta")
        engine.tune({}, tensors)
        engine._state = lambda text: torch.empty(1, 77, 768)
        source = torch.empty(8, 4, 64, 64)
        latents, kept = engine.denoise(source, range(8), PAIR, None, Tally(), None)
        assert latents.shape == source.shape
        more, _ = engine.denoise(source[:3], range(8, 11), PAIR, kept, Tally(), None)
    assert more.shape == (3, 4, 64, 64)


def test_another_source_prompt_than_the_adapters_draws_a_warning(bundle, trained):
    engine = build(TuneAVideo, bundle, trained(TuneAVideo))
    assert engine.knows(PromptPair(" A  ball", "snow")) is None
    warning = engine.knows(PromptPair("a cat", "snow"))
    assert warning is not None and "'a ball'" in warning
