"""A headless Chromium, and a report to look at with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser import webdriver
from tests.video import synth

#: A name and texts that would break a page which does not escape them.
NAME = 'it\'s <b>"bold"<script>alert(1) & co.mkv'
PROMPT = '</script><img src=x onerror="document.title=`broken`"> snow'


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Any]:
    reason = webdriver.missing()
    if reason is not None:
        pytest.skip(reason)
    opened = webdriver.Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Path:
    """The page about a clip of 30 frames with uneven times and two edits of it, one of them with nasty names."""
    from vedit.metrics.evaluate import Question, evaluate
    from vedit.metrics.pairs import Clips
    from vedit.metrics.registry import choose
    from vedit.metrics.report import Report

    folder = tmp_path_factory.mktemp("report")
    frames = synth.moving_frames(30, 160, 96)
    times = {"pts": [40 * k + (20 if k > 20 else 0) for k in range(30)], "time_base": synth.Fraction(1, 1000)}
    how = {"codec": "ffv1", "pix_fmt": "bgr0", "options": {}, **times}
    source = synth.make_clip(folder / "source.mkv", frames, **how)
    dark = synth.make_clip(folder / "dark.mkv", [frame // 2 for frame in frames], **how)
    noise = np.random.default_rng(0)
    noisy = [
        np.clip(f.astype(int) + noise.integers(-k, k + 1, f.shape), 0, 255).astype(np.uint8)
        for k, f in enumerate(frames)
    ]
    # FFmpeg's own path rules do not matter here: the file is renamed after it was written.
    nasty = synth.make_clip(folder / "nasty.mkv", noisy, **how).rename(folder / NAME)
    Path(f"{nasty}.vedit.json").write_text(json.dumps({"schema": 1, "job": {"prompt": PROMPT}}))
    clips = Clips.open(str(source), [str(dark), str(nasty)])
    question = Question(choose("psnr,ssim,warp_error,temporal,agreement", frozenset()), prompt=PROMPT)
    with Report(str(folder / "report"), clips, question) as page:
        page.commit(evaluate(clips, question, watcher=page))
    return folder / "report" / "index.html"
