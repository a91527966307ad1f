"""What the built-in model does: it edits clips that it never saw as it is asked, and knows what it does not know."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vedit import engines, weights
from vedit.diffusion.words import align
from vedit.engines.base import Window
from vedit.nets.text import TextEncoder
from vedit.world import operations, phrasings
from vedit.world.scene import draw_scene, render

# Decibels to the exact operation to be reached on unseen world clips; benchmarks/README.md has the measured ones.
FLOORS = {
    "nothing": 24.0,
    "black-and-white": 25.0,
    "night": 25.0,
    "inverted": 22.0,
    "tint-green": 24.0,
    "fog": 22.0,
    "pencil-sketch": 16.0,
    "oil-painting": 20.0,
}
REAL = Path(__file__).parents[3] / "shared" / "clips" / "surfer-on-wave.mp4"


@pytest.fixture(scope="module")
def bundle():
    return weights.open_bundle("nano", "instruct", verify=True)


@pytest.fixture(scope="module")
def engine(bundle):
    return engines.load("instructvid2vid", bundle, {}, seed=0, device="cpu", dtype="auto")


@pytest.fixture(scope="module")
def source():
    return render(draw_scene(987_654, 192, 192, frames=6, place="forest", things=1)).frames


def edit(engine, frames, prompt):
    window = Window(torch.from_numpy(frames).permute(0, 3, 1, 2) * 2 - 1, 0, 0, None)
    result = engine.edit(window, prompt).frames
    return ((result.float().clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1).numpy()


def psnr(a, b):
    return float(-10 * np.log10(np.mean((a - b) ** 2)))


@pytest.mark.parametrize("name", FLOORS)
def test_a_kept_phrasing_gives_the_asked_edit(engine, source, name):
    result = edit(engine, source, phrasings.TEST[name][0])
    exact = {other: operations.apply(other, source, height=256) for other in operations.OPERATIONS}
    assert psnr(result, exact[name]) >= FLOORS[name]
    assert min(exact, key=lambda other: float(np.mean((result - exact[other]) ** 2))) == name


def test_particles_differ_by_seed_and_the_rest_does_not(bundle, source):
    first, second = (
        engines.load("instructvid2vid", bundle, {}, seed=seed, device="cpu", dtype="auto") for seed in (0, 1)
    )
    assert psnr(edit(first, source, "make it night"), edit(second, source, "make it night")) > 27
    assert not np.array_equal(edit(first, source, "make it snowy"), edit(second, source, "make it snowy"))


@pytest.mark.skipif(not REAL.exists(), reason="the real clips are not beside the checkout")
def test_it_carries_over_to_real_footage(engine):
    from vedit.video.info import probe
    from vedit.video.reader import Reader

    frames = []
    for frame in Reader(REAL, probe(REAL)):
        frames.append(frame.rgb()[::2, ::2][:240, :240])
        if len(frames) == 4:
            break
    clip = np.stack(frames).astype(np.float32) / 255
    for name, floor in (("sepia", 25.0), ("darker", 25.0)):
        truth = operations.apply(name, clip, height=256)
        # The mean: some ways of asking give a weaker edit than others.
        assert np.mean([psnr(edit(engine, clip, asked), truth) for asked in phrasings.TEST[name]]) >= floor


def test_the_text_encoder_knows_what_is_asked_and_what_is_foreign(bundle):
    text = TextEncoder(
        weights.load_clip(bundle.components["clip"]), weights.load_tokenizer(bundle.components["tokenizer"])
    )
    known = load_file(bundle.path / bundle.preset["known_embeddings"])
    names = [*operations.OPERATIONS, *phrasings.OBJECT_EDITS]
    right = total = 0
    with torch.inference_mode():
        for name in names:
            asked = [phrasings.fill(t, thing="red ball", colour="blue", shape="star") for t in phrasings.TEST[name]]
            best = (text.embed(asked) @ known["directions"].T).argmax(-1)
            right += int((best == names.index(name)).sum())
            total += len(asked)
    assert right / total >= 0.95


def test_foreign_requests_are_warned_about_and_known_ones_are_not(engine):
    """On sentences of somebody who had not seen the project's, none of which chose the threshold."""
    asked = json.loads((Path(__file__).parents[2] / "benchmarks" / "phrasings.json").read_text())
    strange = asked.pop("foreign")
    foreign = [engine.knows(text) is not None for text in strange]
    known = [engine.knows(text) is not None for name, texts in asked.items() for text in texts[::4]]
    assert len(known) > 50 and len(foreign) >= 20
    assert np.mean(foreign) >= 0.7 and np.mean(known) <= 0.1
    message = next(filter(None, (engine.knows(text) for text in strange)))
    assert "snow" in message and "--model" in message


@pytest.fixture(scope="module")
def text():
    parts = weights.open_bundle("nano", "text2image").components
    return TextEncoder(weights.load_clip(parts["clip"]), weights.load_tokenizer(parts["tokenizer"]))


@pytest.mark.parametrize(
    ("source", "target", "changed"),
    [
        ("a man is skiing", "a man is skiing, watercolor", (set(), {",", "watercolor"})),
        ("a red ball, on grass", "a blue ball on grass", ({"red", ","}, {"blue"})),
        ("sketch: a ball.", "sketch: a cube.", ({"ball"}, {"cube"})),
    ],
)
def test_punctuation_is_no_part_of_a_word(text, source, target, changed):
    words = [text.words(prompt) for prompt in (source, target)]
    aligned = align(*words, text.length)
    for side, columns, expected in zip(words, (aligned.source, aligned.target), changed, strict=True):
        assert {word for word, own in side if set(own) & set(columns)} == expected
    for prompt, side in zip((source, target), words, strict=True):
        assert "".join(word for word, _ in side) == prompt.replace(" ", "")
        columns = [column for _, own in side for column in own]
        assert columns == list(range(1, 1 + len(columns)))


def test_words_that_are_lost_are_none(text):
    words = text.words(200 * "ball ")
    assert {word for word, _ in words} == {"ball"}
    assert max(column for _, columns in words for column in columns) == text.length - 2
