from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vedit.errors import VeditError
from vedit.video.compare import compare_info, side_by_side
from vedit.video.info import probe
from vedit.video.reader import Reader
from vedit.video.sheet import SheetSampler, contact_sheet, encode_png, save_png
from vedit.video.writer import Writer

from .synth import make_clip, moving_frames


def test_sheet_shows_every_frame_and_label(tmp_path: Path) -> None:
    red = np.zeros((50, 100, 3), np.uint8)
    red[..., 0] = 255
    sheet = contact_sheet([[red, red], [255 - red]], ["source", "edit"], width=120)
    assert sheet.shape[1] == 2 * 128 + 8
    assert tuple(sheet[28 + 30, 60]) == (255, 0, 0)
    assert tuple(sheet[28 + 68 + 28 + 30, 60]) == (0, 255, 255)
    assert (sheet[:28] < 128).any(), "a label is drawn"
    save_png(tmp_path / "a.png", sheet)
    read = cv2.imread(str(tmp_path / "a.png"))
    assert read is not None
    assert np.array_equal(read[..., ::-1], sheet)
    assert encode_png(sheet) == (tmp_path / "a.png").read_bytes()
    with pytest.raises(VeditError, match="cannot be written"):
        save_png(tmp_path / "none" / "a.png", sheet)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("length", [1, 5, 6, 31, 200])
def test_sampler_spreads_its_frames_over_a_clip_of_unknown_length(length: int) -> None:
    sampler = SheetSampler(columns=6, width=8)
    for k in range(length):
        if sampler.wants(k):
            sampler.add(k, np.full((4, 8, 3), k, np.uint8), np.full((4, 8, 3), 255 - k, np.uint8))
        assert len(sampler._kept) < 12
    source, edited = sampler.rows()
    shown = [int(f[0, 0, 0]) for f in source]
    assert len(shown) == min(6, length)
    assert shown[0] == 0
    assert shown == sorted(set(shown))
    assert shown[-1] >= length * 0.75 - 1
    assert [255 - int(f[0, 0, 0]) for f in edited] == shown


def test_compare_video_has_the_source_left_and_everything_else_kept(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", moving_frames(4, 96, 64), rotation=90, audio=1)
    info = probe(source)
    wide = compare_info(info)
    with Reader(source, info) as reader, Writer(tmp_path / "both.mp4", wide) as writer:
        for frame in reader:
            rgb = frame.rgb()
            writer.write(side_by_side(rgb, 255 - rgb), frame)
        writer.commit()
    after = probe(tmp_path / "both.mp4")
    assert (after.display_width, after.display_height, after.rotation) == (128, 96, 0)
    assert len(after.audio) == 1
    with Reader(tmp_path / "both.mp4", after) as reader:
        shown = next(iter(reader)).rgb().astype(int)
    assert np.abs(shown[:, :64] - (255 - shown[:, 64:])).mean() < 12
    with pytest.raises(ValueError, match="differ"):
        side_by_side(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3, 3), np.uint8))
