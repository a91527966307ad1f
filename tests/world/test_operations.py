"""The exact operations: what they promise about seeds, ranges, crops, sizes and motion."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from vedit.world import operations
from vedit.world.operations import OPERATIONS, particles, style

DETERMINISTIC = [name for name, operation in OPERATIONS.items() if not operation.stochastic]
STOCHASTIC = [name for name, operation in OPERATIONS.items() if operation.stochastic]


@cache
def picture(size: int = 256, frames: int = 1, seed: int = 0) -> np.ndarray:
    """A natural-ish clip: overlapping soft coloured discs that drift, with a little texture. Resolution-independent."""
    rng = np.random.default_rng(seed)
    big = 512
    texture = cv2.GaussianBlur(rng.normal(0, 1, (big, big, 3)).astype(np.float32), (0, 0), 6)
    texture /= texture.std()
    discs = [(rng.uniform(-0.1, 1.1, 2), rng.uniform(0.05, 0.3), rng.uniform(0, 1, 3)) for _ in range(60)]
    drift = rng.uniform(-0.004, 0.004, (len(discs), 2))
    clip = []
    for t in range(frames):
        canvas = np.full((big, big, 3), 0.5, np.float32)
        for (centre, radius, colour), step in zip(discs, drift, strict=True):
            x, y = (centre + t * step) * big
            cv2.circle(canvas, (round(x), round(y)), round(radius * big), colour.tolist(), -1, cv2.LINE_AA)
        canvas = np.clip(cv2.GaussianBlur(canvas, (0, 0), 1.5) + 0.03 * texture, 0, 1)
        clip.append(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA))
    result = np.stack(clip).astype(np.float32)
    result.flags.writeable = False
    return result


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(max(1e-12, np.mean((a - b) ** 2))))


def matrix_fit(source: np.ndarray, edited: np.ndarray) -> float:
    """PSNR of the best 3×4 colour matrix from source to edited."""
    known = np.concatenate([source.reshape(-1, 3), np.ones((source.size // 3, 1), np.float32)], 1)
    wanted = edited.reshape(-1, 3)
    matrix = np.linalg.lstsq(known, wanted, rcond=None)[0]
    return psnr(np.clip(known @ matrix, 0, 1), wanted)


def test_all_operations_of_the_contract_are_there() -> None:
    asked = {
        "none": "nothing",
        "tone": "black-and-white sepia warmer cooler faded vivid inverted brighter darker night sunset dawn autumn "
        "tint-red tint-orange tint-yellow tint-green tint-blue tint-purple tint-pink",
        "weather": "snow rain fog underwater",
        "style": "pencil-sketch cartoon oil-painting watercolour pixel-art film-noir old-film comic",
    }
    for family, names in asked.items():
        assert {name for name, operation in OPERATIONS.items() if operation.family == family} == set(names.split())
    assert all(name == operation.name for name, operation in OPERATIONS.items())


@pytest.mark.parametrize("name", OPERATIONS)
def test_shape_type_and_range(name: str) -> None:
    clip = picture(64, 2)[:, :, :48]
    before = clip.copy()
    edited = operations.apply(name, clip)
    assert edited.shape == clip.shape
    assert edited.dtype == np.float32
    assert np.isfinite(edited).all()
    assert edited.min() >= 0.0
    assert edited.max() <= 1.0
    np.testing.assert_array_equal(clip, before)
    if name == "nothing":
        np.testing.assert_array_equal(edited, clip)
    else:
        assert psnr(edited, clip) < 30


@pytest.mark.parametrize("name", OPERATIONS)
def test_extremes_stay_finite(name: str) -> None:
    for value in (0.0, 1.0):
        edited = operations.apply(name, np.full((1, 40, 40, 3), value, np.float32))
        assert np.isfinite(edited).all()


@pytest.mark.parametrize("name", OPERATIONS)
def test_any_part_of_a_clip_gets_the_same_pixels(name: str) -> None:
    clip = picture(64, 6)
    whole = operations.apply(name, clip, seed=5, start=10)
    np.testing.assert_array_equal(whole, operations.apply(name, clip, seed=5, start=10))
    np.testing.assert_array_equal(whole[2:5], operations.apply(name, clip[2:5], seed=5, start=12))


@pytest.mark.parametrize("name", STOCHASTIC)
def test_seeds_differ_by_the_particles_only(name: str) -> None:
    clip = picture(256)
    spread = psnr(operations.apply(name, clip, seed=1), operations.apply(name, clip, seed=2))
    assert spread < 60
    assert spread > (25.5 if name in ("snow", "rain") else 29.5)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_seed_and_start_do_not_matter_elsewhere(name: str) -> None:
    clip = picture(64)
    expected = operations.apply(name, clip)
    np.testing.assert_array_equal(expected, operations.apply(name, clip, seed=9, start=30))


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_crop_is_edited_as_in_the_full_frame(name: str) -> None:
    clip = picture(256)
    full = operations.apply(name, clip)
    crop = operations.apply(name, clip[:, 64:192, 32:160], height=256)
    inside = slice(28, 100)
    np.testing.assert_allclose(full[:, 64:192, 32:160][:, inside, inside], crop[:, inside, inside], atol=2e-3)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_sizes_are_a_share_of_the_height(name: str) -> None:
    large = picture(512)
    small = np.stack([cv2.resize(frame, (256, 256), interpolation=cv2.INTER_AREA) for frame in large])
    edited = operations.apply(name, small)
    shrunk = np.stack([cv2.resize(f, (256, 256), interpolation=cv2.INTER_AREA) for f in operations.apply(name, large)])
    assert psnr(edited, shrunk) > 26


@pytest.mark.parametrize("name", ["snow", "rain"])
def test_particles_are_the_same_at_any_size(name: str) -> None:
    fall = {"snow": particles.snowfall, "rain": particles.rainfall}[name]
    one, two = fall(3, 256, 256, 256.0), fall(3, 512, 512, 512.0)
    np.testing.assert_allclose(one.positions(7), two.positions(7))
    small = one.cover(7, 256, 256, 256.0)
    large = cv2.resize(two.cover(7, 512, 512, 512.0), (256, 256), interpolation=cv2.INTER_AREA)
    assert psnr(small, large) > 38
    assert 0.003 < small.mean() < 0.03


@pytest.mark.parametrize("name", ["snow", "rain"])
def test_particles_move_smoothly_down_and_wrap_outside_of_the_picture(name: str) -> None:
    fall = {"snow": particles.snowfall, "rain": particles.rainfall}[name](0, 256, 256, 256.0)
    path = np.stack([fall.positions(t) for t in range(200)])
    step = np.diff(path, axis=0)
    wrapped = np.any(np.abs(step) > 0.5, axis=-1)
    assert wrapped.any()
    fastest = 0.05 if name == "snow" else 0.25
    assert (step[..., 1][~wrapped] > 0).all()
    assert np.abs(step[~wrapped]).max() < fastest
    # Second differences: no jumps of direction or speed.
    calm = np.logical_not(np.logical_or(wrapped[1:], wrapped[:-1]))
    assert np.abs(np.diff(step, axis=0))[calm].max() < 0.002
    before, after = path[:-1][wrapped], path[1:][wrapped]
    reach = fall.margin - 0.75 * fall.length.max() - fastest
    for place in (before, after):
        assert ((place < -reach) | (place > 1 + reach)).any(-1).all()


def test_grain_is_fresh_in_every_frame() -> None:
    one, two = (particles.grain(4, index, 128, 128, 256.0) for index in (0, 1))
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.1
    assert one.std() == pytest.approx(1.0, abs=0.1)
    np.testing.assert_array_equal(one, particles.grain(4, 0, 128, 128, 256.0))


@pytest.mark.parametrize("name", ["pixel-art", "snow", "comic", "oil-painting", "fog"])
def test_a_clip_that_stands_has_the_sizes_of_one_that_lies(name: str) -> None:
    """A model works at a short side of 256: sizes are a share of that, whichever side it is."""
    frames = np.random.default_rng(3).random((2, 96, 64, 3), np.float32)
    assert np.array_equal(operations.apply(name, frames), operations.apply(name, frames, height=64))
    assert not np.array_equal(operations.apply(name, frames), operations.apply(name, frames, height=96))


def test_pixel_art_blocks_are_eight_pixels_at_height_256() -> None:
    edited = operations.apply("pixel-art", picture(256))[0]
    blocks = edited.reshape(32, 8, 32, 8, 3)
    assert np.abs(blocks - blocks[:, :1, :, :1]).max() < 1e-6


@pytest.mark.parametrize(("height", "width"), [(250, 333), (64, 40), (33, 47)])
def test_pixel_art_covers_any_size(height: int, width: int) -> None:
    frame = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
    assert style.pixel_art(frame, height / 256).shape == frame.shape


@pytest.mark.parametrize("name", [n for n, o in OPERATIONS.items() if o.family in ("weather", "style")])
def test_no_colour_matrix_can_do_weather_and_style(name: str) -> None:
    fits = []
    for seed in range(3):
        clip = picture(256, seed=seed)
        fits.append(matrix_fit(clip, operations.apply(name, clip)))
    assert np.mean(fits) < (26 if OPERATIONS[name].family == "weather" else 25)


def test_no_two_operations_look_alike() -> None:
    clip = np.concatenate([picture(128, seed=seed) for seed in range(3)])
    edited = {name: operations.apply(name, clip, height=256) for name in OPERATIONS}
    names = list(edited)
    for k, one in enumerate(names):
        for other in names[k + 1 :]:
            mean = np.mean([psnr(a, b) for a, b in zip(edited[one], edited[other], strict=True)])
            assert mean < 27, (one, other, mean)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_camera_noise_does_not_make_them_flicker(name: str) -> None:
    clean = picture(128)
    noise = np.random.default_rng(0).normal(0, 0.01, clean.shape).astype(np.float32)
    noisy = np.clip(clean + noise, 0, 1)
    change = operations.apply(name, noisy, height=256) - operations.apply(name, clean, height=256)
    assert change.std() < 3 * (noisy - clean).std()


def test_unusable_calls_are_refused() -> None:
    with pytest.raises(KeyError, match="no operation 'glitter'"):
        operations.apply("glitter", picture(32))
    with pytest.raises(ValueError, match="must be"):
        operations.apply("sepia", picture(32)[0])
