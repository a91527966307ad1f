"""Masks: what is outside stays the source's, bit for bit, in every format; what is inside is the edit."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from vedit.errors import InputError, UsageError
from vedit.video.clip import ClipInfo
from vedit.video.color import plane_array
from vedit.video.info import probe
from vedit.video.mask import (
    Mask,
    can_mix,
    check_mask,
    composite,
    exif_orientation,
    mix,
    parse_feather,
    read_picture,
    soft_weights,
)
from vedit.video.reader import Reader
from vedit.video.writer import EncoderOptions, Writer

from .synth import make_clip


def disc(width: int, height: int, share: float = 0.3) -> np.ndarray:
    """A white disc on black, off the middle, (height, width) uint8."""
    grey = np.zeros((height, width), np.uint8)
    cv2.circle(grey, (width * 2 // 5, height // 2), round(share * min(width, height)), 255, -1)
    return grey


def save(path: Path, grey: np.ndarray) -> Path:
    cv2.imwrite(str(path), grey)
    return path


def mask_clip(path: Path, frames: list[np.ndarray], **more: Any) -> Path:
    return make_clip(path, [np.repeat(grey[..., None], 3, 2) for grey in frames], **more)


def planes(path: Path) -> list[list[np.ndarray]]:
    """The samples of every frame as the decoder gives them."""
    with av.open(str(path)) as container:
        return [[plane_array(frame, k).copy() for k in range(len(frame.planes))] for frame in container.decode(video=0)]


def outside(inside: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Samples of a plane that cover a pixel outside; ``inside`` (H, W) bool in coded orientation."""
    across, down = -(-inside.shape[1] // shape[1]), -(-inside.shape[0] // shape[0])
    rows = np.minimum(np.arange(shape[0] * down), inside.shape[0] - 1)
    columns = np.minimum(np.arange(shape[1] * across), inside.shape[1] - 1)
    covered = inside[rows][:, columns].reshape(shape[0], down, shape[1], across)
    return np.logical_not(covered.all(axis=(1, 3)))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_turned_as_exif_says(tmp_path: Path, orientation: int, channels: int) -> None:
    """It was laid over the clip as the camera had held it."""
    grey = disc(40, 24)
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    told = np.frombuffer(struct.pack("<4sIH", b"II*\0", 8, 1) + entry + bytes(4), np.uint8)
    image = grey if channels == 1 else np.repeat(grey[..., None], channels, 2)
    for suffix in (".png",) if channels == 4 else (".png", ".jpg"):
        _, data = cv2.imencodeWithMetadata(suffix, image, [cv2.IMAGE_METADATA_EXIF], [told])
        path = tmp_path / f"mask{suffix}"
        path.write_bytes(data.tobytes())
        upright = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)  # which leaves transparency out and turns
        assert upright is not None
        found = read_picture(str(path))
        assert found.shape == upright.shape == ((40, 24) if orientation > 4 else (24, 40))
        assert np.abs(found.astype(int) - upright).max() <= 1


@pytest.mark.parametrize("told", [
    b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\x01", b"II*\0\x08\0\0\0\xff\xff", b"Exif",
    b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0",
])  # fmt: skip
def test_exif_that_says_nothing_is_none(told: bytes) -> None:
    assert exif_orientation(told).identity


def test_exif_of_either_byte_order() -> None:
    big = struct.pack(">4sIHHHIHH", b"MM\0*", 8, 1, 0x0112, 3, 1, 8, 0)
    assert exif_orientation(big).rotation == 90
    assert exif_orientation(struct.pack("<4sIHHHIHH", b"II*\0", 8, 1, 0x0112, 3, 1, 8, 0)).rotation == 90


@pytest.mark.parametrize("feather", ["0", "5"])
@pytest.mark.parametrize("size", [(64, 48), (51, 37)], ids=["even", "odd"])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p", "yuv444p10le"])
def test_outside_is_the_source_bit_for_bit(
    tmp_path: Path, pix_fmt: str, rotation: int, size: tuple[int, int], feather: str
) -> None:
    clip = make_clip(tmp_path / "in.mkv", 3, width=size[0], height=size[1], codec="ffv1", pix_fmt=pix_fmt,
                     rotation=rotation)  # fmt: skip
    info = probe(clip)
    grey = disc(info.display_width, info.display_height)
    checked = check_mask(str(save(tmp_path / "mask.png", grey)), info, feather)
    with (
        Reader(clip, info) as reader,
        Writer(tmp_path / "out.mkv", info, EncoderOptions(codec="ffv1")) as writer,
        Mask(checked, info) as mask,
    ):
        assert writer.plan.pix_fmt == pix_fmt
        for frame in reader:
            rgb = frame.rgb(8 if info.bits == 8 else 16)
            writer.write(np.iinfo(rgb.dtype).max - rgb, frame, mask.at(frame.time))
        writer.commit()
    inside = info.orientation.undo(grey) > 0
    for before, after in zip(planes(clip), planes(tmp_path / "out.mkv"), strict=True):
        assert len(before) == len(after) == 3
        for source, result in zip(before, after, strict=True):
            kept = outside(inside, source.shape)
            assert kept.any()
            assert not kept.all()
            assert np.array_equal(source[kept], result[kept])
        changed = before[0] != after[0]
        assert changed[inside].mean() > 0.7


def test_weights_rise_inwards() -> None:
    grey = np.zeros((40, 60), np.uint8)
    grey[:, 20:] = 255
    hard = soft_weights(grey, 0)
    assert np.array_equal(hard, grey)
    soft = soft_weights(grey, 4)
    assert (soft[:, :20] == 0).all()
    assert (np.diff(soft[5, 19:25].astype(int)) > 0).all()
    assert (soft[:, 24:] == 255).all()  # and no rim along the picture's own border
    assert (soft_weights(np.full((9, 9), 255, np.uint8), 4) == 255).all()
    lossy = np.array([[0, 3, 16, 128, 239, 252]], np.uint8)
    assert soft_weights(lossy, 0).tolist() == [[0, 0, 0, 128, 255, 255]]


def test_mixing() -> None:
    rng = np.random.default_rng(0)
    for dtype in (np.uint8, np.uint16):
        a, b = rng.integers(0, np.iinfo(dtype).max, (2, 30, 40, 3), dtype, endpoint=True)
        weights = disc(40, 30)
        assert np.array_equal(mix(a, b, weights), np.where(weights[..., None] > 0, b, a))
        assert np.array_equal(mix(a, b, np.zeros_like(weights)), a)
        half = mix(a, b, np.full_like(weights, 128)).astype(float)
        assert np.abs(half - (a * (127 / 255) + b * (128 / 255))).max() <= 1


@pytest.mark.parametrize(
    "name", ["yuv420p", "nv12", "yuvj422p", "gbrp", "gbrp10le", "bgr0", "rgb24", "rgb48le", "gray"]
)
def test_formats(name: str) -> None:
    assert can_mix(name)
    rgb = np.random.default_rng(0).integers(0, 255, (2, 38, 50, 3), np.uint8)
    a, b = (av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=name) for image in rgb)
    full, none = np.full((38, 50), 255, np.uint8), np.zeros((38, 50), np.uint8)
    for weights, expected in ((full, b), (none, a)):
        mixed = composite(a, b, weights)
        assert mixed.format.name == name
        assert np.array_equal(mixed.to_ndarray(format="rgb24"), expected.to_ndarray(format="rgb24"))
    half = none.copy()
    half[:, 26:] = 255
    mixed = composite(a, b, half).to_ndarray(format="rgb24")
    assert np.array_equal(mixed[:, :20], a.to_ndarray(format="rgb24")[:, :20])
    assert np.array_equal(mixed[:, 32:], b.to_ndarray(format="rgb24")[:, 32:])


def test_formats_that_cannot_be_mixed() -> None:
    for name in ("yuyv422", "pal8", "monow", "x2rgb10le"):
        assert not can_mix(name)


@pytest.fixture
def info(tmp_path: Path) -> ClipInfo:
    return probe(make_clip(tmp_path / "clip.mp4", 12, width=64, height=48))


def test_a_mask_video_is_matched_by_time(tmp_path: Path) -> None:
    """A clip with uneven times and a mask at another rate: each frame gets the mask that is shown at its time."""
    times = [0, 2, 5, 6, 11, 12, 17, 20]
    clip = make_clip(tmp_path / "in.mp4", 8, width=64, height=48, time_base=Fraction(1, 20), pts=times,
                     last_duration=4)  # fmt: skip
    bars = []
    for k in range(12):  # ten a second
        bars.append(np.zeros((48, 64), np.uint8))
        bars[-1][:, : 4 * (k + 1)] = 255
    path = mask_clip(tmp_path / "mask.mkv", bars, rate=10, codec="ffv1")
    info = probe(clip)
    with Mask(check_mask(str(path), info, "0"), info) as mask, Reader(clip, info) as reader:
        for frame in reader:
            shown = frame.time * 10
            assert (mask.at(frame.time)[0] > 0).sum() == 4 * (int(shown) + 1)
    assert mask.warnings == []


def test_rounded_times_are_the_same_moment(tmp_path: Path) -> None:
    """Matroska rounds to milliseconds: frame k of the mask still goes with frame k of the clip."""
    rate = Fraction(30000, 1001)
    clip = make_clip(tmp_path / "in.mp4", 40, width=64, height=48, rate=rate)
    bars = [np.zeros((48, 64), np.uint8) for _ in range(40)]
    for k, bar in enumerate(bars):
        bar[:, : k + 1] = 255
    path = mask_clip(tmp_path / "mask.mkv", bars, rate=rate, time_base=Fraction(1, 1000), codec="ffv1")
    info = probe(clip)
    with Mask(check_mask(str(path), info, "0"), info) as mask, Reader(clip, info) as reader:
        assert [int((mask.at(frame.time)[0] > 0).sum()) for frame in reader] == list(range(1, 41))


def test_a_lossy_mask_video_keeps_black_black(tmp_path: Path, info: ClipInfo) -> None:
    path = mask_clip(tmp_path / "mask.mp4", [disc(64, 48)] * 12, options={"crf": "23"})
    with Mask(check_mask(str(path), info, "0"), info) as mask:
        weights = mask.at(Fraction(0))
    far = cv2.dilate(disc(64, 48), np.ones((9, 9))) == 0
    assert (weights[far] == 0).all()
    assert weights[24, 26] == 255


def test_a_mask_that_is_too_short(tmp_path: Path, info: ClipInfo) -> None:
    path = mask_clip(tmp_path / "mask.mp4", [disc(64, 48)] * 6)
    with pytest.raises(InputError, match=r"mask\.mp4.*0\.24 s.*0\.48 s.*as long"):
        check_mask(str(path), info)
    # With headers that say nothing of it, it shows when it is used.
    with Mask(check_mask(str(mask_clip(tmp_path / "ok.mp4", [disc(64, 48)] * 12)), info), info) as mask:
        mask.at(Fraction(11, 25))
        with pytest.raises(InputError, match="as long"):
            mask.at(Fraction(12, 25))


def test_a_mask_as_long_as_the_picture_does_for_longer_sound(tmp_path: Path, info: ClipInfo) -> None:
    """Where a container only tells the length of all that is in it."""
    path = mask_clip(tmp_path / "mask.mp4", [disc(64, 48)] * 12)
    assert info.duration is not None
    longer = replace(info, duration=info.duration + 1, own_duration=False)
    assert check_mask(str(path), longer).warnings == ()


def test_a_longer_mask_is_told(tmp_path: Path, info: ClipInfo) -> None:
    path = mask_clip(tmp_path / "mask.mp4", [disc(64, 48)] * 24)
    assert "longer than the clip" in check_mask(str(path), info).warnings[0]


def test_a_black_video_is_told(tmp_path: Path, info: ClipInfo) -> None:
    path = mask_clip(tmp_path / "mask.mp4", [np.zeros((48, 64), np.uint8)] * 12)
    with Mask(check_mask(str(path), info), info) as mask:
        assert not mask.at(Fraction(0)).any()
    assert "black in every frame" in mask.warnings[0]


def test_masks_that_cannot_be_used(tmp_path: Path, info: ClipInfo) -> None:
    (tmp_path / "text.png").write_text("no picture")
    whole = save(tmp_path / "whole.png", disc(64, 48)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder").mkdir()
    for name, grey in (("small", disc(32, 24)), ("turned", disc(48, 64)), ("black", np.zeros((48, 64), np.uint8))):
        save(tmp_path / f"{name}.png", grey)
    for name, said in (
        ("none.png", "no such file"), ("folder", "."), ("text.png", "."), ("small.png", "32x24.*64x48"),
        ("turned.png", "48x64.*64x48"), ("black.png", "black all over"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said) as raised:
            check_mask(str(tmp_path / name), info)
        assert name in str(raised.value)
        assert "\n" not in str(raised.value)


def test_pictures_of_all_kinds(tmp_path: Path, info: ClipInfo) -> None:
    grey = disc(64, 48)
    colour = np.repeat(grey[..., None], 3, 2)
    clear = np.concatenate([np.full_like(colour, 255), grey[..., None]], axis=2)  # white, see-through outside
    for name, image in (("grey.png", grey), ("deep.png", grey.astype(np.uint16) * 257), ("colour.bmp", colour),
                        ("clear.png", clear), ("one.tif", grey)):  # fmt: skip
        with Mask(check_mask(str(save(tmp_path / name, image)), info, "0"), info) as mask:
            assert np.array_equal(mask.at(Fraction(0)), grey), name


def test_feathers(info: ClipInfo) -> None:
    assert parse_feather("12", info) == parse_feather(" 12px", info) == 12
    assert parse_feather("1.5%", info) == pytest.approx(0.72)
    for text in ("", "wide", "-3", "1 em", "60%", "25px", "nan", "%"):
        with pytest.raises(UsageError, match="--feather"):
            parse_feather(text, info)
