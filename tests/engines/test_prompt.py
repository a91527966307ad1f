"""The methods that edit by a pair of prompts, on a tiny random model with the blocks of Stable Diffusion 1.x.

What they have in common is tested over all of them; then each method's own invariants.
"""

from typing import Any

import numpy as np
import pytest
import torch

from vedit import engines, weights
from vedit.cache import Cache
from vedit.diffusion.attention import places
from vedit.diffusion.noise import frame_noise
from vedit.diffusion.sampling import ddim
from vedit.engines import fatezero, tokenflow
from vedit.engines.base import Window
from vedit.engines.shared import Tally
from vedit.errors import ModelError, UsageError, VeditError
from vedit.jobs import PromptPair

from .tiny import SCHEDULER, clip_frames, tiny_unet2d, write_diffusers

torch.set_num_threads(1)
# Those that are tuned to a clip first have tests of their own.
METHODS = [method for method in engines.COMMANDS["prompt-edit"] if not engines.takes_adapter(method)]
INVERTING = [method for method in METHODS if method != "sdedit"]
PAIR = PromptPair("a red ball", "a no ow")
STEPS = 2


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Stable Diffusion 1.x: ε."""
    return weights.open_bundle(write_diffusers(tmp_path_factory.mktemp("sd"), "StableDiffusionPipeline"), "text2image")


@pytest.fixture(scope="module")
def v_bundle(tmp_path_factory):
    """v-prediction at zero terminal SNR."""
    folder = write_diffusers(tmp_path_factory.mktemp("v"), "StableDiffusionPipeline", **SCHEDULER)
    return weights.open_bundle(folder, "text2image")


def build(bundle, method, seed=0, cache=None, **settings) -> Any:
    settings = {"steps": STEPS, "guidance": 3.0} | settings
    return engines.load(method, bundle, settings, seed=seed, dtype="fp32", cache=cache)


def frames_of(count=3):
    return clip_frames(count, 32, 32)


def edit(engine, frames, pair=PAIR, first=0):
    return engine.edit(Window(frames, first), pair)


def state(network):
    hooks = sum(len(module._forward_hooks) for module in network.modules())
    processors = [id(module.processor) for module in network.modules() if hasattr(module, "processor")]
    return len(list(network.modules())), processors, hooks


def decibels(one, other):
    return float(-10 * torch.log10((one - other).square().mean() / 4))


# -- all of them ---------------------------------------------------------------------------------------------------


def test_every_method_edits_in_its_own_way(bundle):
    frames, results = frames_of(), {}
    for method in METHODS:
        engine = build(bundle, method)
        before = state(engine.network)
        made = edit(engine, frames)
        assert made.frames.shape == made.reconstruction.shape == frames.shape
        assert made.frames.dtype == torch.float32
        assert made.frames.isfinite().all()
        assert state(engine.network) == before
        assert set(made.timings) == {"encode", "invert", "denoise", "decode_latents"}
        assert min(made.timings.values()) >= 0
        assert torch.equal(made.frames, edit(build(bundle, method), frames).frames)
        assert not torch.equal(made.frames, edit(engine, frames, PromptPair(PAIR.source, "sepia 9")).frames)
        assert not torch.equal(made.frames, edit(engine, frames.flip(3)).frames)
        torch.testing.assert_close(made.reconstruction, engine.codec.decode(engine.codec.encode(frames)))
        results[method] = made.frames
    for index, one in enumerate(METHODS):
        for other in METHODS[index + 1 :]:
            assert not torch.allclose(results[one], results[other], atol=1e-3), (one, other)


@pytest.mark.parametrize(
    ("method", "settings", "inversion", "rest"),
    [
        ("sdedit", {"strength": 0.5}, 0, 2),
        ("sdedit", {"strength": 1.0, "guidance": 1.0}, 0, 2),
        ("text2video-zero", {}, 2, 2 * 2),
        ("text2video-zero", {"inversion_steps": 5, "fixed_point": 1}, 4 * 2, 2 * 2),
        ("fatezero", {"cross_replace": 0.5, "self_replace": 0.2}, 2, 2 * 2 + 1),
        ("fatezero", {"maps": "store"}, 2, 2 * 2),
        ("fatezero", {"cross_replace": 0.0, "self_replace": 0.0, "guidance": 1.0}, 2, 2),
        ("tokenflow", {"batch": 2}, 2 * 2, 2 * (3 + 2 * 3)),
        ("tokenflow", {"variant": "sdedit", "strength": 0.5, "guidance": 1.0}, 2, 2 + 2),
    ],
    ids=str,
)
def test_evaluations_are_counted(bundle, method, settings, inversion, rest):
    made = edit(build(bundle, method, **settings), frames_of())
    assert (made.inversion_evaluations, made.evaluations) == (inversion, inversion + rest)


@pytest.mark.parametrize("method", INVERTING)
def test_a_second_edit_of_the_clip_needs_no_inversion(bundle, tmp_path, method):
    cache, frames = Cache(tmp_path), frames_of()
    options = {"cache": cache}
    first = edit(build(bundle, method, **options), frames)
    again = edit(build(bundle, method, **options), frames)
    assert torch.equal(first.frames, again.frames)
    assert (first.inversion_evaluations, again.inversion_evaluations) == (STEPS, 0)
    assert first.evaluations - again.evaluations == STEPS
    other = edit(build(bundle, method, **options), frames, PromptPair(PAIR.source, "sepia"))
    assert other.inversion_evaluations == 0
    assert not torch.equal(other.frames, first.frames)
    assert len(cache.entries()) == 1
    assert torch.equal(first.frames, edit(build(bundle, method), frames).frames)


def test_stored_maps_are_as_rounded_when_they_are_made_again(bundle, tmp_path):
    """A second edit finds the inversion and no maps: it makes them anew, and the same clip."""
    cache, frames = Cache(tmp_path), frames_of()
    first, again = (edit(build(bundle, "fatezero", cache=cache, maps="store"), frames) for _ in range(2))
    assert (first.inversion_evaluations, again.inversion_evaluations) == (STEPS, 0)
    torch.testing.assert_close(first.frames, again.frames, rtol=0, atol=1e-5)


def test_what_the_inversion_depends_on_makes_another_entry(bundle, v_bundle, tmp_path):
    cache, frames = Cache(tmp_path), frames_of(1)
    variations: list[Any] = [
        (bundle, {}, frames, PAIR),
        (v_bundle, {}, frames, PAIR),
        (bundle, {"steps": 5}, frames, PAIR),
        (bundle, {"inversion_steps": 6}, frames, PAIR),
        (bundle, {"fixed_point": 1}, frames, PAIR),
        (bundle, {}, frames * 0.999, PAIR),
        (bundle, {}, frames[..., :24], PAIR),
        (bundle, {}, frames, PromptPair("a blue ball", PAIR.target)),
    ]
    for count, (model, settings, clip, pair) in enumerate(variations):
        made = edit(build(model, "text2video-zero", cache=cache, **settings), clip, pair)
        assert made.inversion_evaluations > 0
        assert len(cache.entries()) == count + 1
    assert edit(build(bundle, "text2video-zero", cache=cache, seed=9), frames).inversion_evaluations == 0
    assert edit(build(bundle, "tokenflow", cache=cache), frames).inversion_evaluations > 0  # attends otherwise


@pytest.mark.parametrize("method", ["text2video-zero", "fatezero"])
def test_the_source_prompt_without_guidance_gives_the_source_back(bundle, method):
    """Methods invariant 3 through the whole engine: exact with fixed points, nearly so without.

    Fixed points are reached where a step is a contraction, which the noise that a trained network finds makes it. A
    random one has to be calmed for that.
    """
    frames, pair = frames_of(), PromptPair("a red ball", "a red ball")

    def difference(iterations):
        engine = build(bundle, method, steps=5, guidance=1.0, fixed_point=iterations)
        with torch.no_grad():
            engine.network.conv_out.weight.mul_(0.1)
            for place in [*engine.self_attention, *engine.text_attention]:
                for weight in place.module.parameters():
                    weight.mul_(0.25)
        made = edit(engine, frames, pair)
        return decibels(made.frames, made.reconstruction)

    near, exact = difference(0), difference(12)
    assert exact > 60
    assert near < exact - 10


@pytest.mark.parametrize("method", METHODS)
def test_windows_go_on_where_the_one_before_ended(bundle, method):
    """Reference frames come back as they were, and how many there are makes no difference to the new ones."""
    engine, frames = build(bundle, method), frames_of(6)
    first = engine.edit(Window(frames[:4], 10), PAIR)
    overlapping = engine.edit(Window(frames[2:], 12, 2, first.carry), PAIR)
    adjacent = engine.edit(Window(frames[4:], 14, 0, first.carry), PAIR)
    assert torch.equal(overlapping.frames[:2], first.frames[2:])
    assert torch.equal(overlapping.reconstruction[:2], first.reconstruction[2:])
    assert torch.equal(overlapping.frames[2:], adjacent.frames)
    with pytest.raises(ValueError, match="nothing was carried"):
        engine.edit(Window(frames, 4, 2), PAIR)
    with pytest.raises(ValueError, match="the window before has frames 10 to 13"):
        engine.edit(Window(frames, 13, 2, first.carry), PAIR)


@pytest.mark.parametrize("method", ["sdedit", "text2video-zero"])
def test_windows_make_no_difference(bundle, method):
    engine, frames = build(bundle, method), frames_of(4)
    whole = edit(engine, frames).frames
    one = engine.edit(Window(frames[:2], 0), PAIR)
    two = engine.edit(Window(frames[2:], 2, 0, one.carry), PAIR)
    assert decibels(torch.cat([one.frames, two.frames]), whole) > 40  # sums of other batches, guided and added up


@pytest.mark.parametrize("method", METHODS)
def test_v_prediction_at_zero_terminal_snr(v_bundle, method):
    made = edit(build(v_bundle, method, steps=6), frames_of(2))
    assert made.frames.isfinite().all()
    if method != "sdedit":
        assert 0 < made.inversion_evaluations < 6  # stops where the signal is still there
        with pytest.raises(UsageError, match="--steps 1"):
            edit(build(v_bundle, method, steps=1, inversion_steps=1), frames_of(1))


def test_negative_prompt_counts_only_with_guidance(bundle):
    frames = frames_of(2)
    with_it, without = (
        [
            edit(build(bundle, "text2video-zero", guidance=scale, negative_prompt=text), frames).frames
            for text in ("", "no")
        ]
        for scale in (3.0, 1.0)
    )
    assert not torch.equal(*with_it)
    assert torch.equal(*without)


def test_it_says_when_a_prompt_is_too_long(bundle):
    engine = build(bundle, "sdedit")
    assert engine.knows(PAIR) is None
    assert "target prompt is too long" in engine.knows(PromptPair("a", "b " * 30))
    assert "source prompt is too long" in engine.knows(PromptPair("b " * 30, "a"))


def test_models_of_another_kind_are_refused(tmp_path):
    instruct = write_diffusers(tmp_path / "instruct")
    with pytest.raises(ModelError, match="takes 8 channels for 4 of the latents"):
        weights.open_bundle(instruct, "text2image")


def test_settings_have_bounds_and_descriptions():
    for method in METHODS:
        kind = engines.settings_of(method)
        assert all(field.description for field in kind.model_fields.values())
        for wrong in ({"steps": 0}, {"guidance": -1}, {"nonsense": 1}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                kind.model_validate(wrong)
        assert not engines.takes_adapter(method)


def test_a_preset_may_speak_to_one_method(bundle):
    preset = {"steps": 8, "guidance": 5.0, "methods": {"tokenflow": {"steps": 20, "batch": 3}}}
    assert engines.advice("tokenflow", preset) == {"steps": 20, "guidance": 5.0, "batch": 3}
    assert engines.advice("sdedit", preset) == {"steps": 8, "guidance": 5.0}


# -- SDEdit --------------------------------------------------------------------------------------------------------


def test_sdedit_is_sampling_from_the_noised_source(bundle):
    engine, frames = build(bundle, "sdedit", strength=0.5, guidance=1.0), frames_of(2)
    source = engine.codec.encode(frames)
    step = engine.schedule.steps(STEPS)[1]
    z = step.alpha * source + step.sigma * frame_noise(0, range(2), source.shape[1:], 1.0)

    def denoise(z, step):
        text = engine.text([PAIR.target]).expand(2, -1, -1)
        return engine.schedule.to_clean(engine.network(z, step.timestep, text, return_dict=False)[0], z, step.timestep)

    with torch.no_grad():
        expected = engine.codec.decode(ddim(denoise, z, engine.schedule, STEPS, start=1))
    torch.testing.assert_close(edit(engine, frames).frames, expected, rtol=0, atol=1e-4)


def test_sdedit_without_strength_is_the_source(bundle):
    made = edit(build(bundle, "sdedit", strength=0.0), frames_of(2))
    assert torch.equal(made.frames, made.reconstruction)
    assert made.evaluations == 0


def test_sdedit_depends_on_the_seed(bundle):
    one, other = (edit(build(bundle, "sdedit", seed=seed), frames_of(2)).frames for seed in (0, 1))
    assert not torch.equal(one, other)


# -- Text2Video-Zero -----------------------------------------------------------------------------------------------


def test_frames_depend_on_the_first_and_on_themselves(bundle):
    frames, engine = frames_of(3), build(bundle, "text2video-zero")
    for changed, reached in [(0, [0, 1, 2]), (2, [2])]:
        other = frames.clone()
        other[changed] = -other[changed]
        difference = (edit(engine, frames).frames - edit(engine, other).frames).abs().amax(dim=(1, 2, 3))
        assert [index for index in range(3) if difference[index] > 1e-3] == reached


# -- FateZero ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"mask_threshold": 0.3, "blend": True}, {"words": "replace"}], ids=str)
def test_stored_maps_and_maps_made_again_are_the_same(bundle, settings):
    """Up to half precision, with room for all of them and with none."""
    pair, frames = PromptPair("a red ball", "a no ball"), frames_of()
    again = edit(build(bundle, "fatezero", **settings), frames, pair).frames
    stored = [
        edit(build(bundle, "fatezero", maps="store", store_memory=memory, **settings), frames, pair).frames
        for memory in (1.0, 0.0)
    ]
    assert torch.equal(*stored)
    assert decibels(stored[0], again) > 40
    assert not torch.equal(again, edit(build(bundle, "text2video-zero"), frames, pair).frames)


def test_a_mask_of_changed_words_takes_words_that_change(bundle):
    with pytest.raises(UsageError, match="-s mask_threshold: shows where words"):
        edit(build(bundle, "fatezero", mask_threshold=0.3), frames_of(), PromptPair("a ball", "a red ball"))
    with pytest.raises(UsageError, match="-s emphasis: is of words that are new"):
        edit(build(bundle, "fatezero", emphasis=3.0), frames_of(), PromptPair("a red ball", "a ball"))


@pytest.mark.parametrize("finer", [{"steps": 3, "inversion_steps": 12}, {"steps": 3, "fixed_point": 1}], ids=str)
def test_a_kept_inversion_changes_nothing_where_it_is_finer_than_the_steps(bundle, tmp_path, finer):
    """What such an inversion shows the network is not what the trajectory holds at a step, so it is not stored."""
    cache, frames = Cache(tmp_path), frames_of()
    first, second = (edit(build(bundle, "fatezero", cache=cache, maps="store", **finer), frames) for _ in range(2))
    assert (first.inversion_evaluations > 0, second.inversion_evaluations) == (True, 0)
    assert torch.equal(first.frames, second.frames)


@pytest.mark.parametrize("own", [0.0, 1.0])
def test_latents_outside_of_the_mask_are_the_sources_on_the_way(bundle, monkeypatch, own):
    """FateZero's latent blending: where a step leads, from a fifth to four fifths of the way."""
    wide, steps = torch.full((3, 1, 2, 2), own), 10
    wide[..., 0] = 1.0 - own  # the left half the other way
    monkeypatch.setattr(fatezero._Edit, "_mask", lambda self, maps: wide)
    seen: dict[int, torch.Tensor] = {}
    sources: dict[int, torch.Tensor] = {}
    real = fatezero.ddim

    def watched(denoise, z, schedule, count, *, land, **more):
        def watch(z, step):
            landed = land(z, step)
            seen[step.index] = torch.stack([z, landed])
            return landed

        return real(denoise, z, schedule, count, land=watch, **more)

    def after(self, step):
        sources[step.index] = self.latents[step.index - self.start + 1]
        return sources[step.index]

    monkeypatch.setattr(fatezero, "ddim", watched)
    monkeypatch.setattr(fatezero.Trajectory, "after", after)
    settings = {"steps": steps, "cross_replace": 0.0, "self_replace": 0.0, "mask_threshold": 0.3, "blend": True}
    edit(build(bundle, "fatezero", **settings), frames_of(), PromptPair("a red ball", "a no ball"))
    half = seen[0].shape[-1] // 2
    kept = np.s_[..., half:] if own == 0.0 else np.s_[..., :half]
    free = np.s_[..., :half] if own == 0.0 else np.s_[..., half:]
    for index, (before, landed) in seen.items():
        if 2 <= index < 8:
            assert torch.equal(landed[kept], sources[index][kept]) and torch.equal(landed[free], before[free])
            assert not torch.equal(before[kept], landed[kept])
        else:
            assert torch.equal(landed, before)


def test_a_way_back_that_is_not_finite_is_said_and_not_kept(bundle, monkeypatch, tmp_path):
    cache = Cache(tmp_path)
    engine = build(bundle, "text2video-zero", cache=cache, fixed_point=1)
    monkeypatch.setattr(type(engine), "predict", lambda self, z, *_: z * float("nan"))
    with pytest.raises(VeditError, match=r"not finite; try --dtype fp32, or leave -s fixed_point=1 out"):
        edit(engine, frames_of(2))
    assert not cache.entries()


def test_every_step_finds_its_stored_maps(bundle, monkeypatch):
    from vedit.engines import fatezero

    stored = set()
    real = fatezero.Store.put
    monkeypatch.setattr(fatezero.Store, "put", lambda self, key, maps: stored.add(key[0]) or real(self, key, maps))
    engine = build(bundle, "fatezero", maps="store", steps=5)
    edit(engine, frames_of())
    assert stored == {step.timestep for step in engine.schedule.steps(5)}


def test_stored_maps_need_memory_only_up_to_the_limit(bundle, monkeypatch):
    made = []

    class Watched(fatezero.Store):
        def __init__(self, memory, folder):
            super().__init__(memory, folder)
            made.append(self)

    monkeypatch.setattr(fatezero, "Store", Watched)
    edit(build(bundle, "fatezero", maps="store", store_memory=1e-6), frames_of())
    assert made[0].in_memory <= 1000 < made[0].on_disk


def test_all_of_the_mask_is_no_injection_and_none_of_it_is_all(bundle):
    frames, pair = frames_of(3), PromptPair("a red ball", "a no ball")
    plain = edit(build(bundle, "fatezero", cross_replace=0.0, self_replace=0.0), frames, pair).frames
    held = edit(build(bundle, "fatezero", cross_replace=0.0, self_replace=1.0), frames, pair).frames
    everywhere = edit(
        build(bundle, "fatezero", cross_replace=0.0, self_replace=1.0, mask_threshold=0.0), frames, pair
    ).frames
    torch.testing.assert_close(everywhere, plain, rtol=0, atol=1e-2)
    assert decibels(held, plain) < decibels(everywhere, plain) - 10


def test_emphasis_and_words_change_the_edit(bundle):
    frames, pair = frames_of(2), PromptPair("a red ball", "a no ball")
    made = [
        edit(build(bundle, "fatezero", **settings), frames, pair).frames
        for settings in ({}, {"emphasis": 10.0}, {"words": "replace"})
    ]
    assert not torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    with pytest.raises(UsageError, match="as many words in --target"):
        edit(build(bundle, "fatezero", words="replace"), frames, PromptPair("a ball", "a big no"))
    with pytest.raises(ValueError, match="mask_threshold"):
        build(bundle, "fatezero", blend=True)


def test_fatezero_needs_coarse_attention(bundle):
    engine = build(bundle, "sdedit")
    flat = tiny_unet2d(4)
    flat.mid_block.attentions = torch.nn.ModuleList()
    with pytest.raises(ModelError, match="finest level only"):
        fatezero.FateZero(engine.codec, engine.text, flat, engine.schedule, fatezero.Settings())


# -- TokenFlow -----------------------------------------------------------------------------------------------------


def test_a_long_window_has_several_keyframes_and_is_seen_in_batches(bundle, monkeypatch):
    """Keyframes see one another; frames beyond a batch are inverted and spread batch by batch."""
    engine, seen = build(bundle, "tokenflow", batch=2), set()
    inner = engine.network.forward
    monkeypatch.setattr(engine.network, "forward", lambda z, *a, **k: (seen.add(len(z)), inner(z, *a, **k))[1])
    frames = frames_of(5)
    made = edit(engine, frames)
    assert seen == {1, 2, 3} and max(seen) <= engine.together(engine.settings, 5)
    assert made.inversion_evaluations == 3 * STEPS
    one = edit(build(bundle, "tokenflow", batch=8), frames)
    assert not torch.allclose(made.frames, one.frames, atol=1e-4)


@pytest.mark.parametrize(
    "settings", [{"attention_share": 0.0, "feature_share": 0.0}, {"variant": "sdedit", "strength": 1.0}]
)
def test_one_frame_is_plain_sampling(bundle, settings):
    """Methods invariant 7 through the engine: the only frame is its own keyframe, and nothing is injected."""
    engine, frames = build(bundle, "tokenflow", **settings), frames_of(1)
    source = engine.codec.encode(frames)
    with torch.inference_mode():
        trajectory = engine.inverted(source, PAIR, Tally())
        latents = engine.sample(trajectory.noise, trajectory.start, PAIR, Tally())
    torch.testing.assert_close(edit(engine, frames).frames, engine.codec.decode(latents), rtol=0, atol=2e-3)


def test_a_batch_of_one_frame_each_is_extended_attention_blended(bundle):
    """With every frame a keyframe and one batch of equal frames, gathering changes nothing: all frames stay equal."""
    frames = frames_of(1).expand(4, -1, -1, -1)
    made = edit(build(bundle, "tokenflow", batch=4), frames).frames
    alone = edit(build(bundle, "tokenflow"), frames[:1]).frames
    assert decibels(made, made[:1].expand_as(made)) > 45
    assert decibels(made[:1], alone) > 45


def test_injecting_the_source_into_itself_changes_nothing(bundle):
    """The source prompt, and the first step alone, where the edit still has the source's latents."""
    pair, frames = PromptPair("a red ball", "a red ball"), frames_of(1)
    made = [
        edit(build(bundle, "tokenflow", guidance=1.0, attention_share=share, feature_share=share), frames, pair).frames
        for share in (0.0, 0.5)
    ]
    assert decibels(*made) > 60


def test_injection_keeps_to_the_source(bundle):
    frames = frames_of(4)
    engine = build(bundle, "tokenflow")
    with torch.inference_mode():
        source = engine.codec.decode(engine.codec.encode(frames))
    free, held = (
        decibels(edit(build(bundle, "tokenflow", attention_share=share, feature_share=share), frames).frames, source)
        for share in (0.0, 1.0)
    )
    assert held > free


def test_batches_of_one_frame_blend_equal_keyframes(bundle):
    """Every frame is a keyframe of its own batch: extended attention over equal frames and blending change nothing."""
    frames = frames_of(1).expand(3, -1, -1, -1)
    made = edit(build(bundle, "tokenflow", batch=1), frames).frames
    alone = edit(build(bundle, "tokenflow"), frames[:1]).frames
    assert decibels(made, alone.expand_as(made)) > 45


@pytest.mark.parametrize("own", [1.0, 0.0, None])
def test_attention_outputs_of_unequal_keyframes_are_blended(bundle, monkeypatch, own):
    """Batches of one frame: with all the weight on its own keyframe, a frame's pass is that of the keyframe."""
    if own is not None:
        monkeypatch.setattr(tokenflow, "shares", lambda frames, *_: torch.full((len(frames),), own))
    engine, outputs = build(bundle, "tokenflow", batch=1, guidance=1.0), []
    predict = engine.predict
    monkeypatch.setattr(engine, "predict", lambda *given: outputs.append(predict(*given)) or outputs[-1])
    edit(engine, frames_of(2))
    *_, extended, _, first, _, second = outputs  # of the last step; a pass over the source before each
    assert (len(extended), len(first), len(second)) == (2, 1, 1)
    torch.testing.assert_close(first[0], extended[0], rtol=0, atol=1e-4)  # no keyframe before it
    gap = float((second[0] - extended[1]).abs().max())
    assert gap < 1e-4 if own == 1.0 else gap > 1e-3


def test_contrast_is_rescaled_over_all_batches(bundle, monkeypatch):
    seen, text = [], tokenflow.guidance.text

    def guided(evaluate, scale, rescale=0.0):
        seen.append((len(evaluate("full")), rescale))
        return text(evaluate, scale, rescale)

    monkeypatch.setattr(tokenflow.guidance, "text", guided)
    edit(build(bundle, "tokenflow", batch=2, guidance_rescale=0.7), frames_of(5))
    assert seen == [(5, 0.7)] * STEPS


def test_what_is_kept_does_not_grow(bundle):
    engine, frames, carry, sizes = build(bundle, "tokenflow", batch=2), frames_of(3), None, []
    for first in range(0, 12, 3):
        made = engine.edit(Window(frames[:3], first, 0, carry), PAIR)
        carry = made.carry
        kept = carry.kept
        sizes.append((len(kept.head), len(kept.tail)))
        for keyframe in [*kept.head.values(), *kept.tail.values()]:
            assert keyframe.source.untyped_storage().nbytes() == 4 * keyframe.source.numel()
            assert keyframe.edit.untyped_storage().nbytes() == 4 * keyframe.edit.numel()
    assert sizes == [(STEPS, STEPS)] * 4


def test_later_windows_see_earlier_keyframes(bundle):
    engine, frames = build(bundle, "tokenflow"), frames_of(4)
    made = []
    for sign in (1, -1):
        first = engine.edit(Window(sign * frames[:2], 0), PAIR)
        made.append(engine.edit(Window(frames[2:], 2, 0, first.carry), PAIR).frames)
    assert not torch.allclose(*made, atol=1e-3)


def test_tokenflow_needs_the_decoder_of_plug_and_play(bundle):
    engine = build(bundle, "sdedit")
    unet = tiny_unet2d(4)
    unet.up_blocks = unet.up_blocks[:1]
    with pytest.raises(ModelError, match="no up block 1"):
        tokenflow.TokenFlow(engine.codec, engine.text, unet, engine.schedule, tokenflow.Settings())


def test_injected_layers_are_those_of_plug_and_play(bundle):
    engine = build(bundle, "tokenflow")
    found = [(place.block, place.layer) for place in engine.self_attention if place.name in engine._injected]
    assert found == [(1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0), (3, 1), (3, 2)]
    assert all(place.part == "up" for place in places(engine.network, text=False) if place.name in engine._injected)
