from typing import Any

import pytest
import torch

from vedit import engines, weights
from vedit.engines.base import Window
from vedit.errors import ModelError

from .tiny import clip_frames, write_bundle, write_diffusers

torch.set_num_threads(1)
METHOD, PROMPT = "video-instruct-pix2pix", "snow"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """InstructPix2Pix: a 2D U-Net."""
    return weights.open_bundle(write_diffusers(tmp_path_factory.mktemp("models") / "pix2pix"))


def build(bundle, method=METHOD, seed=0, **settings) -> Any:
    settings = {"steps": 3, "guidance": 2.0, "video_guidance": 1.5} | settings
    return engines.load(method, bundle, settings, seed=seed, dtype="fp32")


def edit(engine, frames, prompt=PROMPT, first=0):
    return engine.edit(Window(frames, first), prompt)


def test_it_edits(bundle):
    engine, frames = build(bundle), clip_frames(5)
    before = [id(module.processor) for module in engine.network.modules() if hasattr(module, "processor")]
    made = edit(engine, frames)
    assert made.frames.shape == made.reconstruction.shape == frames.shape
    assert made.frames.isfinite().all()
    assert made.evaluations == 3 * 3
    assert torch.equal(made.frames, edit(build(bundle), frames).frames)
    assert not torch.equal(made.frames, edit(build(bundle, seed=1), frames).frames)
    assert not torch.equal(made.frames, edit(engine, frames, "sepia").frames)
    assert before == [id(module.processor) for module in engine.network.modules() if hasattr(module, "processor")]


@pytest.mark.parametrize("solver", ["ddim", "dpmpp_2m"])
def test_the_first_frame_is_edited_as_an_image(bundle, solver):
    """By InstructPix2Pix alone, which is what the other method makes of a 2D network."""
    frames = clip_frames(3)
    ours = edit(build(bundle, solver=solver, noise_share=1.0), frames).frames
    theirs = edit(build(bundle, "instructvid2vid", solver=solver, noise_share=1.0), frames).frames
    torch.testing.assert_close(ours[0], theirs[0], rtol=0, atol=1e-3)
    assert not torch.allclose(ours[1:], theirs[1:], atol=1e-3)


def test_frames_depend_on_the_first_and_on_themselves(bundle):
    frames, engine = clip_frames(4), build(bundle)
    for changed, reached in [(0, [0, 1, 2, 3]), (2, [2])]:
        other = frames.clone()
        other[changed] = -other[changed]
        difference = (edit(engine, frames).frames - edit(engine, other).frames).abs().amax(dim=(1, 2, 3))
        assert [index for index in range(4) if difference[index] > 1e-3] == reached


@pytest.mark.parametrize("solver", ["ancestral", "ddim"])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_chunks_and_windows_make_no_difference(bundle, solver, share):
    frames, options = clip_frames(7), {"solver": solver, "noise_share": share}
    whole = edit(build(bundle, **options), frames, first=20)
    chunked = edit(build(bundle, chunk=3, **options), frames, first=20)
    torch.testing.assert_close(chunked.frames, whole.frames, rtol=0, atol=1e-3)
    assert (whole.evaluations, chunked.evaluations) == (9, 9 * 3)
    engine = build(bundle, **options)
    one = engine.edit(Window(frames[:3], 20), PROMPT)
    two = engine.edit(Window(frames[1:], 21, 2, one.carry), PROMPT)
    torch.testing.assert_close(torch.cat([one.frames[:1], two.frames]), whole.frames, rtol=0, atol=1e-3)
    assert torch.equal(two.frames[:2], one.frames[1:])


def test_a_video_network_works_too(tmp_path):
    """A bundle of ours, whose temporal layers do nothing."""
    bundle = weights.open_bundle(write_bundle(tmp_path / "tiny", temporal_noise=0.0))
    frames = clip_frames(4)
    ours = edit(build(bundle, solver="ddim"), frames).frames
    assert ours.isfinite().all()
    assert not torch.equal(ours, edit(build(bundle, "instructvid2vid", solver="ddim"), frames).frames)


def test_a_text_to_image_model_is_refused(tmp_path):
    bundle = weights.open_bundle(write_diffusers(tmp_path / "sd", "StableDiffusionPipeline"))
    with pytest.raises(ModelError, match="needs 8 and 4"):
        build(bundle)


def test_it_says_what_it_does_not_know(bundle):
    assert build(bundle).knows(PROMPT) is None
    assert "instruction is too long" in build(bundle).knows("snow " * 30)
