"""``--mask``, ``--feather`` and ``--detail``: what comes out, what is recorded, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest


def half(path: Path, width: int = 96, height: int = 64) -> Path:
    """White right half."""
    grey = np.zeros((height, width), np.uint8)
    grey[:, width // 2 :] = 255
    cv2.imwrite(str(path), grey)
    return path


def luma(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)]).astype(int)


@pytest.mark.parametrize("rotation", [0, 90])
def test_only_the_mask_is_edited(vedit, make_clip, tmp_path, rotation):
    clip = make_clip(tmp_path / "in.mkv", 10, codec="ffv1", rotation=rotation)
    size = (96, 64) if rotation == 0 else (64, 96)
    done = vedit("instruct", clip, "invert", "--codec", "ffv1", "--mask", half(tmp_path / "m.png", *size), "--json")
    assert done.code == 0, done.err
    before, after = luma(clip), luma(tmp_path / "in.edited.mkv")
    # Shown turned by 90 degrees counter-clockwise, the right half lies in the bottom half of what is coded.
    edited = np.s_[:, :, 52:] if rotation == 0 else np.s_[:, 36:]
    kept = np.s_[:, :, :48] if rotation == 0 else np.s_[:, :32]
    assert np.array_equal(before[kept], after[kept])
    assert np.abs(255 - before - after)[edited][:, 8:].mean() < 6
    report = json.loads(done.out)
    assert report["mask"] == {"path": str(tmp_path / "m.png"), "feather": pytest.approx(0.64)}
    assert report["detail"] == "auto"
    record = json.loads((tmp_path / "in.edited.mkv.vedit.json").read_text())
    assert (record["job"]["mask"], record["job"]["feather"]) == (str(tmp_path / "m.png"), None)
    assert record["mask"]["feather"] == pytest.approx(0.64)
    assert len(record["mask"]["sha256"]) == 64


def test_a_mask_video_and_what_is_shown_of_it(vedit, make_clip, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", 10, codec="ffv1")
    bars = []
    for k in range(10):
        bars.append(np.zeros((64, 96, 3), np.uint8))
        bars[-1][:, : 8 * k] = 255
    mask = make_clip(tmp_path / "mask.mp4", bars, options={"crf": "0"})
    done = vedit("instruct", clip, "invert", "--codec", "ffv1", "--mask", mask, "--feather", "0", "--start", "2",
                 "--compare", tmp_path / "pair.mkv", "--sheet", tmp_path / "sheet.png")  # fmt: skip
    assert done.code == 0, done.err
    before, after, pair = luma(clip), luma(tmp_path / "in.edited.mkv"), luma(tmp_path / "pair.mkv")
    for k in range(10):
        edge = 8 * k if k >= 2 else 0
        assert np.array_equal(before[k][:, edge:], after[k][:, edge:])
        assert edge == 0 or (before[k] != after[k])[:, :edge].mean() > 0.8
        assert np.abs(pair[k][:, 96:] - after[k]).mean() < 3


def test_without_a_mask_there_is_none(vedit, clip):
    report = json.loads(vedit("instruct", clip, "invert", "--json", "--detail", "tone").out)
    assert (report["mask"], report["detail"]) == (None, "tone")
    record = json.loads(Path(report["output"] + ".vedit.json").read_text())
    assert (record["mask"], record["job"]["detail"]) == (None, "tone")


def test_detail_makes_a_difference(vedit, clip, tmp_path):
    made = {}
    for detail in ("auto", "source", "edit", "tone"):
        done = vedit("instruct", clip, "invert", "--detail", detail, "-o", tmp_path / f"{detail}.mp4")
        assert done.code == 0, done.err
        made[detail] = luma(tmp_path / f"{detail}.mp4")
    assert np.abs(made["edit"] - made["auto"]).mean() > 0.2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--mask", "none.png"), 3, ("none.png", "no such file")),
        (("--mask", "text.png"), 3, ("text.png",)),
        (("--mask", "small.png"), 3, ("small.png", "48x32", "96x64")),
        (("--mask", "black.png"), 3, ("black.png", "black all over")),
        (("--mask", "short.mp4"), 3, ("short.mp4", "as long")),
        (("--mask", "m.png", "--feather", "wide"), 2, ("--feather", "wide")),
        (("--feather", "3"), 2, ("--feather", "--mask")),
        (("--mask", "m.png", "--sheet", "m.png", "-y"), 2, ("m.png", "mask itself")),
        (("--detail", "much"), 2, ()),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_what_is_refused(vedit, make_clip, clip, tmp_path, monkeypatch, arguments, code, said):
    half(tmp_path / "m.png")
    half(tmp_path / "small.png", 48, 32)
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((64, 96), np.uint8))
    (tmp_path / "text.png").write_text("no picture")
    make_clip(tmp_path / "short.mp4", 5)
    there = {path.name for path in tmp_path.iterdir()}
    monkeypatch.chdir(tmp_path)
    done = vedit("instruct", clip, "invert", *arguments)
    assert done.code == code, done.err
    assert done.out == ""
    for word in said:
        assert word in done.err
    if said:
        assert len(done.err.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == there


def test_a_mask_that_ends_unannounced_leaves_nothing(vedit, make_clip, tmp_path, monkeypatch):
    """The headers promise enough, the frames do not come: found on the way, and nothing is kept."""
    from vedit.video import mask as masks

    clip = make_clip(tmp_path / "in.mp4", 24)
    make_clip(tmp_path / "short.mp4", 12)
    real = masks.probe
    from dataclasses import replace

    monkeypatch.setattr(masks, "probe", lambda path: replace(real(path), duration=None))
    there = {path.name for path in tmp_path.iterdir()}
    done = vedit("instruct", clip, "invert", "--mask", tmp_path / "short.mp4")
    assert done.code == 3, done.err
    assert "as long" in done.err
    assert {path.name for path in tmp_path.iterdir()} == there
