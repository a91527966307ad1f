"""Running measures over files: memory, order, what is decoded once."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import pytest

from vedit.metrics import evaluate as module
from vedit.metrics import pairs
from vedit.metrics.evaluate import Question, count_frames, evaluate, to_dict
from vedit.metrics.pairs import Clips
from vedit.metrics.pictures import Picture
from vedit.metrics.registry import choose

LOSSLESS = {"codec": "ffv1", "pix_fmt": "bgr0", "options": {}}


def clips_of(synth, folder, count: int) -> Clips:
    frames = synth.moving_frames(count, 64, 48)
    paths = [
        str(synth.make_clip(folder / f"{name}-{count}.mkv", [frame // by for frame in frames], **LOSSLESS))
        for name, by in (("source", 1), ("edit", 2))
    ]
    return Clips.open(paths[0], paths[1:])


@pytest.fixture
def question() -> Question:
    return Question(choose("psnr,ssim,warp_error,temporal,colour_drift,sharpness_ratio", frozenset()))


def test_no_more_than_a_few_pictures_live_at_a_time(synth, tmp_path, question, monkeypatch):
    alive: list[weakref.ref[Picture]] = []
    most = 0

    class Counted(Picture):
        def __init__(self, rgb):
            nonlocal most
            super().__init__(rgb)
            alive.append(weakref.ref(self))
            most = max(most, sum(one() is not None for one in alive))

    monkeypatch.setattr(pairs, "Picture", Counted)
    gc.disable()  # they have to go by themselves
    try:
        evaluate(clips_of(synth, tmp_path, 24), question)
    finally:
        gc.enable()
    assert len(alive) == 48
    assert most <= 6


def test_memory_does_not_grow_with_length(synth, tmp_path, question):
    peaks = []
    for count in (6, 6, 36):  # the first also loads what is loaded once
        clips = clips_of(synth, tmp_path, count)
        tracemalloc.start()
        evaluate(clips, question)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.15 * peaks[1]


def test_several_edits_have_the_figures_that_each_has_alone(synth, tmp_path, question):
    clips = clips_of(synth, tmp_path, 6)
    source, edit = clips.source, clips.edited[0]
    both = evaluate(Clips(source, (edit, source)), question)
    for number, info in enumerate((edit, source)):
        alone = evaluate(Clips(source, (info,)), question)
        assert to_dict(alone)["edited"][0]["metrics"] == to_dict(both)["edited"][number]["metrics"]


def test_the_source_is_beside_itself(synth, tmp_path, question):
    clips = clips_of(synth, tmp_path, 6)
    for figure in evaluate(Clips(clips.source, (clips.source,)), question).figures[0].values():
        if figure.measure.beside:
            assert figure.source == figure.value


def test_frames_are_counted_where_no_header_says(synth, tmp_path):
    from dataclasses import replace

    info = clips_of(synth, tmp_path, 7).source
    assert count_frames(replace(info, frames_declared=False, frames=1)) == 7


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["x/a.mp4", "x/b.mp4"], ["a.mp4", "b.mp4"]),
        (["x/a.mp4", "y/a.mp4", "b.mp4"], ["x/a.mp4", "y/a.mp4", "b.mp4"]),
        (["a.mp4", "a.mp4", "a.mp4"], ["a.mp4", "a.mp4 (2)", "a.mp4 (3)"]),
        (["x/a\n.mp4", ".", "\udce9"], ["a\ufffd.mp4", ".", "\ufffd"]),
    ],
)
def test_labels_tell_files_apart(paths, expected):
    assert module.labels(paths) == expected


def test_shown():
    assert [module.shown(value) for value in (None, float("inf"), 0.000123456, 31.4159265)] == [
        "–",
        "∞",
        "0.00012346",
        "31.416",
    ]
