"""Memory does not grow with the length of the clip: the whole command in a process of its own, the method a fake."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def peak(start, make_clip, tmp_path):
    """Peak resident memory in MB of an edit of so many frames."""

    def run(frames: int) -> float:
        clip = make_clip(tmp_path / f"{frames}.mp4", frames, width=320, height=240, audio=1, options={"crf": "30"})
        process = start("instruct", clip, "invert", "--json", "--size", "64", "--threads", "1", "-q")
        out, err = process.communicate(timeout=1800)
        assert process.returncode == 0, err
        report = json.loads(out)
        assert report["frames"] == frames
        return report["peak_rss_mb"]

    return run


@pytest.mark.slow
def test_ten_times_the_frames_take_the_same_memory(peak):
    assert peak(600) <= 1.1 * peak(60)
