"""Pictures, moments and clips for the tests of the measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from vedit.metrics.accumulate import Accumulator, Moment
from vedit.metrics.pictures import Picture, Step


@pytest.fixture(scope="session")
def synth() -> ModuleType:
    """The module that writes clips; it belongs to the tests of the video part."""
    from tests.video import synth

    return synth


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory) -> Path:
    """A folder with a tiny random CLIP model in transformers' layout."""
    from tests.engines import tiny
    from vedit.training.recipes.nano_bundle import preprocessing

    folder = tmp_path_factory.mktemp("clip") / "tiny-clip"
    tiny.write_tokenizer(folder)
    tiny.write_clip(folder, folder)
    side = tiny.json.loads((folder / "config.json").read_text())["vision_config"]["image_size"]
    small = preprocessing() | {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}
    (folder / "preprocessor_config.json").write_text(tiny.json.dumps(small))
    return folder


Frames = Sequence[np.ndarray]


@pytest.fixture
def run() -> Callable[..., dict[str, float]]:
    """Pass two videos, as RGB arrays, by an accumulator: ``run(accumulator, source, edited, mask=…, reference=…)``."""

    def through(
        accumulator: Accumulator,
        source: Frames,
        edited: Frames | None = None,
        *,
        mask: np.ndarray | None = None,
        reference: Frames | None = None,
        fps: int = 10,
    ) -> dict[str, float]:
        sources = [Picture(frame) for frame in source]
        edits = sources if edited is None else [Picture(frame) for frame in edited]
        for index, (one, other) in enumerate(zip(sources, edits, strict=True)):
            steps = (Step(sources[index - 1], one), Step(edits[index - 1], other)) if index else (None, None)
            wanted = None if reference is None else Picture(reference[index])
            accumulator.update(Moment(index, Fraction(index, fps), one, other, *steps, mask, wanted))
        return accumulator.result()

    return through
