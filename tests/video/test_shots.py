from __future__ import annotations

import cv2
import numpy as np
import pytest

from vedit.video.shots import ShotDetector

from .synth import moving_frames, texture


def cuts(frames: list[np.ndarray]) -> list[int]:
    detector = ShotDetector()
    return [k for k, f in enumerate(frames) if detector.push(f)]


def scene(seed: int, count: int, step: int = 1) -> list[np.ndarray]:
    return moving_frames(count, 192, 108, seed, step)


@pytest.mark.parametrize("seed", range(12))
def test_a_cut_is_found_where_it_is(seed: int) -> None:
    assert cuts(scene(seed, 12) + scene(seed + 100, 12)) == [12]


def test_several_cuts_even_close_together() -> None:
    frames = scene(1, 10) + scene(2, 3) + scene(3, 1) + scene(4, 10)
    assert cuts(frames) == [10, 13, 14]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("step", [1, 8, 25])
def test_a_fast_pan_is_no_cut(seed: int, step: int) -> None:
    assert cuts(scene(seed, 20, step)) == []


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("strength", [0.5, 0.9, 1.0])
def test_a_flash_is_no_cut(strength: float, length: int) -> None:
    frames = scene(5, 20)
    for k in range(8, 8 + length):
        frames[k] = (frames[k] * (1 - strength) + 255 * strength).astype(np.uint8)
    assert cuts(frames) == []


def test_fades_are_no_cuts_but_what_comes_after_black_is_one() -> None:
    frames = scene(6, 40)
    faded = [(f * max(0.0, 1 - abs(k - 20) / 15)).astype(np.uint8) for k, f in enumerate(frames)]
    # Fading out to dim and in again shows the same scene.
    dim = [(f * max(0.25, 1 - abs(k - 20) / 15)).astype(np.uint8) for k, f in enumerate(frames)]
    assert cuts(dim) == []
    assert cuts(faded) == []
    out = [(f * (1 - k / 10)).astype(np.uint8) for k, f in enumerate(scene(7, 10))]
    black = [np.zeros_like(out[0])] * 5
    assert cuts(out + black + scene(8, 10)) == [15]


def test_zoom_noise_and_exposure_are_no_cuts() -> None:
    rng = np.random.default_rng(0)
    base = texture(9, 216, 384)
    zoomed = []
    for k in range(20):
        m = 2 * k
        zoomed.append(
            cv2.resize(base[m : 216 - m, m * 16 // 9 : 384 - m * 16 // 9], (192, 108), interpolation=cv2.INTER_AREA)
        )
    assert cuts(zoomed) == []
    noisy = [np.clip(f + rng.normal(0, 20, f.shape), 0, 255).astype(np.uint8) for f in scene(10, 20)]
    assert cuts(noisy) == []
    assert cuts([np.clip(f * (1 + 0.04 * k), 0, 255).astype(np.uint8) for k, f in enumerate(scene(11, 20))]) == []


def test_same_frames_same_scores() -> None:
    a, b = ShotDetector(), ShotDetector()
    for frame in scene(1, 5) + scene(2, 5):
        assert a.push(frame) == b.push(frame)
        assert a.score == b.score
