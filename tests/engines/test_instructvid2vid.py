import itertools
from typing import Any

import pytest
import torch

from vedit import engines, weights
from vedit.diffusion.guidance import text_video
from vedit.diffusion.noise import frame_noise
from vedit.diffusion.sampling import SOLVERS, ddim
from vedit.engines.base import Window, choose_dtype
from vedit.engines.instructvid2vid import InstructVid2Vid, Settings, hold
from vedit.engines.shared import Knowledge, Tally
from vedit.errors import ModelError, ResourceError, UsageError

from .tiny import CHANNELS, clip_frames, tiny_unet, tiny_unet2d, write_bundle

torch.set_num_threads(1)
PROMPT = "snow"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return weights.open_bundle(write_bundle(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def still_bundle(tmp_path_factory):
    """Temporal layers as they are after inflation."""
    return weights.open_bundle(write_bundle(tmp_path_factory.mktemp("models") / "still", temporal_noise=0.0))


def build(bundle, seed=0, dtype="fp32", **settings) -> Any:
    return engines.load("instructvid2vid", bundle, settings, seed=seed, dtype=dtype)


def windows(engine, frames, plan):
    """Edit ``plan`` of (first, count, reference), each carrying over to the next."""
    carry, results = None, []
    for first, count, reference in plan:
        results.append(engine.edit(Window(frames[first : first + count], first, reference, carry), PROMPT))
        carry = results[-1].carry
    return results


# -- what comes out ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_shapes_and_account_for_windows_of_any_length(bundle, count):
    engine, frames, seen = build(bundle), clip_frames(count), []
    edited = engine.edit(Window(frames, 3), PROMPT, lambda done, total: seen.append((done, total)))
    assert edited.frames.shape == edited.reconstruction.shape == frames.shape
    assert edited.frames.dtype == torch.float32
    assert edited.frames.isfinite().all()
    assert edited.evaluations == 4 * 3
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert set(edited.timings) == {"encode", "denoise", "decode_latents"}
    torch.testing.assert_close(edited.reconstruction, engine.codec.decode(engine.codec.encode(frames)))


def test_same_bytes_again_and_others_for_another_seed_prompt_or_source(bundle):
    frames = clip_frames()
    first = build(bundle).edit(Window(frames, 0), PROMPT).frames
    assert torch.equal(first, build(bundle).edit(Window(frames, 0), PROMPT).frames)
    engine = build(bundle)
    engine.edit(Window(frames.flip(0), 9), "no")
    assert torch.equal(first, engine.edit(Window(frames, 0), PROMPT).frames)
    assert not torch.equal(first, build(bundle, seed=1).edit(Window(frames, 0), PROMPT).frames)
    assert not torch.equal(first, engine.edit(Window(frames, 0), "sepia").frames)
    assert not torch.equal(first, engine.edit(Window(frames.flip(3), 0), PROMPT).frames)
    assert not torch.equal(first, engine.edit(Window(frames, 1), PROMPT).frames)


def test_identical_temporal_layers_give_what_the_2d_network_gives_frame_by_frame(still_bundle):
    """The whole engine against DDIM on the 2D U-Net, one frame at a time with the same noise."""
    engine, frames, unet = build(still_bundle, solver="ddim"), clip_frames(3), tiny_unet2d()
    source = engine.codec.encode(frames)
    noise = frame_noise(0, range(3), source.shape[1:], 0.5)
    states = {"full": engine.text([PROMPT]), "video": engine.text([""]), "uncond": engine.text([""])}
    result = engine.edit(Window(frames, 0), PROMPT)
    for frame, single in enumerate(noise.split(1)):

        def denoise(z, step, seen=source[frame : frame + 1]):
            def evaluate(branch):
                latents = torch.cat([z, torch.zeros_like(seen) if branch == "uncond" else seen], dim=1)
                return unet(latents, step.timestep, states[branch], return_dict=False)[0]

            return engine.schedule.to_clean(text_video(evaluate, 2.0, 1.5)[0], z, step.timestep)

        with torch.no_grad():
            latents = ddim(denoise, single, engine.schedule, 4)
        torch.testing.assert_close(result.carry.kept.latents[frame], latents[0], rtol=1e-4, atol=1e-4)


def test_frames_matter_to_each_other_once_temporal_layers_are_trained(bundle, still_bundle):
    frames = clip_frames(4)
    changed = frames.clone()
    changed[0] = -changed[0]
    for made, expected in ((bundle, False), (still_bundle, True)):
        results = [build(made).edit(Window(each, 0), PROMPT).frames[2] for each in (frames, changed)]
        assert torch.allclose(*results, rtol=0, atol=1e-5) is expected


@pytest.mark.parametrize(
    ("guidance", "video_guidance", "branches"),
    [(1.0, 1.0, 1), (0.0, 1.0, 1), (3.0, 1.0, 2), (2.0, 2.0, 2), (3.0, 1.2, 3)],
)
def test_superfluous_branches_are_not_evaluated(bundle, guidance, video_guidance, branches):
    engine = build(bundle, guidance=guidance, video_guidance=video_guidance, steps=2)
    assert engine.edit(Window(clip_frames(2), 0), PROMPT).evaluations == 2 * branches


def test_without_guidance_by_text_the_prompt_does_not_count(bundle):
    engine = build(bundle, guidance=0.0, video_guidance=1.0)
    one, other = (engine.edit(Window(clip_frames(2), 0), prompt).frames for prompt in (PROMPT, "sepia"))
    assert torch.equal(one, other)


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_step_from_zero_terminal_snr(bundle, solver):
    assert build(bundle, solver=solver, steps=1).edit(Window(clip_frames(2), 0), PROMPT).frames.isfinite().all()


def test_bf16_is_close_to_fp32(bundle):
    frames = clip_frames(3)
    whole, half = (build(bundle, dtype=dtype).edit(Window(frames, 0), PROMPT).frames for dtype in ("fp32", "bf16"))
    assert half.dtype == torch.float32
    assert float((whole - half).abs().mean()) < 0.05


def test_the_margin_is_seen_and_cut_off(bundle):
    """As if the picture were longer on the right and below, by its mirror image, from window to window too."""
    frames, spans = clip_frames(8), [(0, 5, 0), (3, 5, 2)]
    longer = torch.cat([frames, frames[..., -9:-1].flip(-1)], dim=-1)
    longer = torch.cat([longer, longer[..., -9:-1, :].flip(-2)], dim=-2)
    seen = windows(build(bundle, margin=8), frames, spans)
    whole = windows(build(bundle), longer, spans)
    for mine, full in zip(seen, whole, strict=True):
        assert mine.frames.shape[-2:] == mine.reconstruction.shape[-2:] == frames.shape[-2:]
        assert torch.equal(mine.frames, full.frames[..., : frames.shape[-2], : frames.shape[-1]])
        assert torch.equal(mine.reconstruction, full.reconstruction[..., : frames.shape[-2], : frames.shape[-1]])


def test_a_picture_too_small_for_the_margin_goes_without(bundle):
    frames = clip_frames(2, 16, 40)
    assert build(bundle, margin=16).edit(Window(frames, 0), PROMPT).frames.shape == frames.shape
    with pytest.raises(ValueError, match="multiple of 8"):
        Settings.model_validate({"margin": 12})


# -- from window to window -----------------------------------------------------------------------------------------


def test_correction_makes_the_references_exact_and_moves_the_rest_by_the_mean():
    clean, references = torch.randn(6, CHANNELS, 2, 2), torch.randn(2, CHANNELS, 2, 2)
    held = hold(clean, references)
    assert torch.equal(held[:2], references)
    torch.testing.assert_close(held[2:] - clean[2:], (references - clean[:2]).mean(0).expand(4, -1, -1, -1))


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("correction", "corrected"), [(0.5, 2), (1.0, 4), (0.0, 0)])
def test_references_are_exact_in_the_corrected_steps(bundle, solver, correction, corrected, monkeypatch):
    """Methods invariant, seen at the hook, where the solver takes what it uses and remembers."""
    engine, frames = build(bundle, solver=solver, correction=correction), clip_frames(10)
    before = engine.edit(Window(frames[:6], 0), PROMPT)
    exact = []

    def spy(denoise, noise, schedule, steps, *, correct, progress):
        def watched(clean, z, step):
            held = correct(clean, z, step)
            exact.append(torch.equal(held[:2], before.carry.kept.latents[4:6]))
            return held

        return solvers[solver](denoise, noise, schedule, steps, correct=watched, progress=progress)

    solvers = dict(SOLVERS)
    monkeypatch.setitem(SOLVERS, solver, spy)
    engine.edit(Window(frames[4:10], 4, 2, before.carry), PROMPT)
    assert exact == [index < corrected for index in range(4)]


def test_all_steps_corrected_end_on_the_reference(bundle):
    engine, frames = build(bundle, correction=1.0), clip_frames(10)
    first = engine.edit(Window(frames[:6], 0), PROMPT)
    source = engine.codec.encode(frames[4:10])
    noise = frame_noise(0, range(4, 10), source.shape[1:], 0.5)
    latents = engine.sample(noise, source, PROMPT, Tally(), first.carry.kept.latents[4:6])
    torch.testing.assert_close(latents[:2], first.carry.kept.latents[4:6])


def test_reference_frames_come_back_as_the_window_before_gave_them(bundle):
    engine, frames = build(bundle), clip_frames(12)
    results = windows(engine, frames, [(0, 6, 0), (4, 6, 2), (7, 5, 3)])
    for (one, (first, *_)), (other, (start, _, reference)) in itertools.pairwise(
        zip(results, [(0, 6, 0), (4, 6, 2), (7, 5, 3)], strict=True)
    ):
        for name in ("frames", "reconstruction"):
            part = getattr(one, name)[start - first :][:reference]
            assert torch.equal(getattr(other, name)[:reference], part)
    assert all(len(result.frames) == count for result, count in zip(results, (6, 6, 5), strict=True))


def test_correction_changes_what_follows(bundle):
    frames = clip_frames(10)
    with_it, without = (
        windows(build(bundle, correction=share), frames, [(0, 6, 0), (4, 6, 2)])[1].frames[2:] for share in (0.5, 0.0)
    )
    assert not torch.allclose(with_it, without, atol=1e-4)


def test_one_window_over_everything_is_plain_sampling(bundle):
    """No references: the correction has no part in it."""
    engine, frames = build(bundle), clip_frames(6)
    source = engine.codec.encode(frames)
    tally = Tally()
    latents = engine.sample(frame_noise(0, range(6), source.shape[1:], 0.5), source, PROMPT, tally)
    edited = engine.edit(Window(frames, 0), PROMPT)
    assert tally.evaluations == edited.evaluations
    torch.testing.assert_close(edited.carry.kept.latents, latents)
    torch.testing.assert_close(edited.frames, engine.codec.decode(latents))


def test_windows_without_temporal_layers_or_correction_make_no_difference(still_bundle):
    """Noise belongs to the absolute frame, so frame by frame editing does not see where windows begin."""
    frames = clip_frames(8)
    whole = build(still_bundle, correction=0.0).edit(Window(frames, 0), PROMPT).frames
    parts = windows(build(still_bundle, correction=0.0), frames, [(0, 5, 0), (3, 5, 2)])
    torch.testing.assert_close(parts[1].frames[2:], whole[5:], rtol=1e-4, atol=1e-4)


def test_references_must_have_been_carried(bundle):
    engine, frames = build(bundle), clip_frames(6)
    with pytest.raises(ValueError, match="nothing was carried"):
        engine.edit(Window(frames, 4, 2), PROMPT)
    carry = engine.edit(Window(frames[:4], 0), PROMPT).carry
    with pytest.raises(ValueError, match="the window before has frames 0 to 3"):
        engine.edit(Window(frames, 3, 2, carry), PROMPT)


# -- what it refuses, what it says ---------------------------------------------------------------------------------


def test_window_is_bounded_by_the_network(bundle):
    with pytest.raises(UsageError, match="at most 8 frames"):
        build(bundle).edit(Window(clip_frames(9), 0), PROMPT)
    assert bundle.preset["max_frames"] == 8


def test_a_network_without_source_channels_is_refused(bundle):
    from vedit.nets.video_unet import inflate

    engine = build(bundle)
    with pytest.raises(ModelError, match="needs 8 and 4"):
        InstructVid2Vid(engine.codec, engine.text, inflate(tiny_unet2d(CHANNELS)), engine.schedule, Settings())


def test_settings_are_typed_and_default_to_the_preset(bundle):
    assert engines.settings_of("instructvid2vid") is Settings
    assert build(bundle).settings == Settings(steps=4, guidance=2.0, video_guidance=1.5)
    assert build(bundle, steps=7).settings.steps == 7
    for wrong in ({"steps": 0}, {"guidance": -1}, {"solver": "euler"}, {"noise_share": 2}, {"stepz": 3}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Settings.model_validate(wrong)
    assert all(field.description for field in Settings.model_fields.values())


def test_unknown_method_dtype_and_device(bundle):
    with pytest.raises(UsageError, match=r"there is .*instructvid2vid"):
        engines.load("other", bundle)
    with pytest.raises(UsageError, match="--dtype int8"):
        build(bundle, dtype="int8")
    with pytest.raises(UsageError, match="fp16"):
        choose_dtype("fp16", "cpu")
    assert choose_dtype("auto", "cpu") in (torch.float32, torch.bfloat16)
    if not torch.cuda.is_available():
        with pytest.raises(ResourceError, match="--device cuda"):
            engines.load("instructvid2vid", bundle, device="cuda")


def test_it_says_when_an_instruction_is_far_from_what_it_knows(bundle):
    engine = build(bundle)
    known = engine.text.embed(["snow"])
    assert engine.knows("snow") is None
    assert "too long" in engine.knows("snow " * 20)

    def told(prompt, **known_else):
        facts = {"directions": {"directions": known}, "threshold": 0.999, "known": ("snow", "sepia"), "model": "tiny"}
        knowledge = Knowledge(**(facts | known_else))
        made = InstructVid2Vid(
            engine.codec, engine.text, tiny_unet(), engine.schedule, Settings(), knowledge=knowledge
        )  # fmt: skip
        return made.knows(prompt)

    assert told("snow") is None
    warning = told("9,9?9")
    assert warning is not None
    assert "knows snow, sepia" in warning
    assert "--model" in warning
    assert "\n" not in warning
    others = {"directions": known, "others": engine.text.embed(["9,9?9"])}
    assert told("9,9?9", directions=others, threshold=0.0) is not None
    assert told("snow", directions=others, threshold=0.0) is None
    assert told("9,9?9", directions=others, threshold=None) is None


def test_it_asks_in_the_words_that_it_does_best(bundle):
    engine = build(bundle)
    snow = engine.text.embed(["snow"])
    known = torch.cat([snow, -snow])  # as unlike as can be, of which this encoder knows nothing
    frames = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1

    def made(prompt, reword=True, words=("white flakes", "water"), **facts):
        facts = {"directions": {"directions": known}, "threshold": 0.5, "words": words} | facts
        asked = InstructVid2Vid(
            engine.codec, engine.text, tiny_unet(), engine.schedule, Settings(steps=2, reword=reword),
            knowledge=Knowledge(**facts),
        )  # fmt: skip
        return asked.edit(Window(frames, 0, 0, None), prompt).frames

    plain, other = made("snow", reword=False), made("white flakes", reword=False)
    assert not torch.equal(plain, other)
    assert torch.equal(made("snow"), other)
    assert torch.equal(made("snow", words=()), plain)
    assert torch.equal(made("snow", words=("", "water")), plain)  # no better words are known
    between = {"directions": torch.cat([snow, snow])}  # two edits are as near: not clear which is meant
    assert torch.equal(made("snow", directions=between, words=("white flakes", "white flakes")), plain)
    assert torch.equal(made("snow", threshold=1.5), plain)  # far from all that is known
    assert torch.equal(made("snow " * 20), made("snow " * 20, reword=False))  # too long to be read to its end


def test_noise_falls_for_what_falls(bundle):
    engine = build(bundle)
    directions = {
        "directions": engine.text.embed(["snow", "sepia"]),
        "fall": torch.tensor([4.0, 0.0]),
    }  # at 256 pixels, of which there are 64

    def noise(prompt, first, known=directions, **settings):
        made = InstructVid2Vid(
            engine.codec,
            engine.text,
            tiny_unet(),
            engine.schedule,
            Settings(**settings),
            seed=3,
            knowledge=Knowledge(known),
        )
        return made.noise(range(first, first + 3), (4, 8, 8), prompt)

    still = frame_noise(3, range(3), (4, 8, 8), 0.5)
    falling = noise("snow", 0)
    assert torch.equal(falling[1][:, 1:], falling[0][:, :-1])
    assert torch.equal(falling[1:], noise("snow", 1)[:2])
    assert torch.equal(noise("sepia", 0), still)
    assert torch.equal(noise("snow", 0, fall=False), still)
    assert torch.equal(noise("snow", 0, {"directions": directions["directions"]}), still)


def test_methods_are_named_without_importing_torch(python):
    done = python("import sys; from vedit import engines; print(sorted(engines.METHODS), 'torch' in sys.modules)")
    names = ["anyv2v", "fatezero", "instructvid2vid", "revideo", "sdedit", "tcve", "text2video-zero", "tokenflow"]
    names += ["tune-a-video", "video-instruct-pix2pix"]
    assert done.stdout.split("\n")[0] == f"{names} False"
