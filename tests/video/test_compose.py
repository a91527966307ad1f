from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
import pytest

from vedit.video.compose import compose

from .synth import texture

SEPIA = np.array([[0.39, 0.35, 0.27], [0.77, 0.69, 0.53], [0.19, 0.17, 0.13]])
TONES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "grey": lambda x: np.repeat(x.mean(2, keepdims=True), 3, 2),
    "inverted": lambda x: 1 - x,
    "brighter": lambda x: x**0.6,
    "sepia": lambda x: np.clip(x @ SEPIA, 0, 1),
    "swapped": lambda x: x[..., (2, 0, 1)],
}


def small(image: np.ndarray, size: tuple[int, int], blur: float = 0.8) -> np.ndarray:
    """What a codec makes of it at working size: smaller and softer, (h, w, 3) float32 in [0, 1]."""
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.clip(cv2.GaussianBlur(resized, (0, 0), blur), 0, 255).astype(np.float32) / 255


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    top = 255.0 if a.dtype == np.uint8 else 65535.0
    return float(10 * np.log10(top**2 / max(1e-12, np.mean((a.astype(float) - b) ** 2))))


def sharpness(image: np.ndarray) -> float:
    return float(cv2.Laplacian(image.astype(np.float32).mean(2), cv2.CV_32F).var())


@pytest.fixture(scope="module")
def source() -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 5, (240, 320, 3))
    return np.clip(texture(3, 240, 320) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(320, 240), (160, 120), (213, 160), (640, 480)])
def test_no_edit_gives_the_source(source: np.ndarray, size: tuple[int, int]) -> None:
    codec = small(source, size)
    assert np.abs(compose(source, codec, codec).astype(int) - source).max() == 0
    deep = source.astype(np.uint16) * 257
    assert np.abs(compose(deep, codec, codec).astype(int) - deep).max() <= 1
    assert (
        np.abs(
            compose(source, (codec * 255).astype(np.uint8), (codec * 255).astype(np.uint8)).astype(int) - source
        ).max()
        == 0
    )


@pytest.mark.parametrize("size", [(320, 240), (160, 120)])
@pytest.mark.parametrize("name", TONES)
def test_tone_edits_are_as_sharp_as_the_source(source: np.ndarray, name: str, size: tuple[int, int]) -> None:
    codec = small(source, size)
    noise = np.random.default_rng(0).normal(0, 0.008, codec.shape).astype(np.float32)  # what a model leaves
    result = compose(source, codec, TONES[name](codec).astype(np.float32) + noise)
    exact = np.rint(TONES[name](source / 255) * 255)
    plain = cv2.resize(TONES[name](codec).astype(np.float32) + noise, (320, 240), interpolation=cv2.INTER_CUBIC)
    assert psnr(result, exact) > 36
    assert psnr(result, exact) > psnr((plain * 255).clip(0, 255).astype(np.uint8), exact) + 6
    assert 0.8 < sharpness(result) / sharpness(exact) < 1.2


def test_new_detail_comes_through_and_noise_does_not(source: np.ndarray) -> None:
    codec = small(source, (320, 240))
    edited = codec.copy()
    rng = np.random.default_rng(0)
    flakes = np.zeros(codec.shape[:2], np.float32)
    for _ in range(80):
        cv2.circle(flakes, (int(rng.integers(320)), int(rng.integers(240))), 2, 1.0, -1, cv2.LINE_AA)
    edited += flakes[..., None] * (1 - edited)
    result = compose(source, codec, edited).astype(float) / 255
    assert result[flakes > 0.9].mean() > 0.9
    without = compose(source, codec, edited, detail="tone").astype(float) / 255
    assert without[flakes > 0.9].mean() < result[flakes > 0.9].mean() - 0.15
    faint = codec + rng.normal(0, 0.006, codec.shape).astype(np.float32)
    assert np.abs(compose(source, codec, faint).astype(int) - source).mean() < 0.6


def test_flat_frames_and_tiny_ones_do_not_break() -> None:
    grey = np.full((40, 60, 3), 100, np.uint8)
    codec = np.full((20, 30, 3), 0.4, np.float32)
    assert np.abs(compose(grey, codec, codec * 0 + 0.8).astype(int) - 202).max() <= 2
    one = np.full((1, 1, 3), 9, np.uint8)
    assert compose(one, one, one).shape == (1, 1, 3)
    with pytest.raises(ValueError, match="sizes"):
        compose(grey, codec, codec[:10])


def test_same_input_same_output(source: np.ndarray) -> None:
    codec = small(source, (160, 120))
    assert np.array_equal(compose(source, codec, codec**2), compose(source, codec, codec**2))


def night(x: np.ndarray) -> np.ndarray:
    """A tone edit that bends: dark nearly everywhere, steep in the lights."""
    grey = x.mean(2, keepdims=True)
    return np.interp(grey, [0, 0.5, 0.8, 1], [0, 0.09, 0.2, 0.64]) * np.array([0.8, 1.0, 1.5]) / 1.5


@pytest.mark.parametrize("tone", [night, *(TONES[name] for name in ("grey", "sepia", "inverted"))])
def test_what_a_soft_model_blurs_comes_back(source: np.ndarray, tone: Callable[[np.ndarray], np.ndarray]) -> None:
    codec = small(source, (160, 120), 0.4)
    soft = cv2.GaussianBlur(tone(codec).astype(np.float32), (0, 0), 0.6)
    exact = np.rint(tone(source / 255) * 255)
    result = compose(source, codec, soft)
    assert 0.8 < sharpness(result) / sharpness(exact) < 1.2
    assert psnr(result, exact) > 33


def test_what_an_edit_blurs_stays_blurred(source: np.ndarray) -> None:
    codec = small(source, (160, 120), 0.4)
    fog = (0.5 + 0.4 * cv2.GaussianBlur(codec, (0, 0), 2.5)).astype(np.float32)
    plain = compose(source, codec, fog, "edit")
    assert sharpness(compose(source, codec, fog)) < 1.5 * sharpness(plain) + 1
    assert sharpness(compose(source, codec, fog, "source")) > 20 * sharpness(plain)


def test_edit_is_the_edit_alone(source: np.ndarray) -> None:
    codec = small(source, (160, 120))
    edited = 1 - codec
    plain = cv2.resize(edited, (320, 240), interpolation=cv2.INTER_CUBIC)
    assert np.array_equal(compose(source, codec, edited, "edit"), np.rint(np.clip(plain, 0, 1) * 255).astype(np.uint8))
    with pytest.raises(ValueError, match="detail"):
        compose(source, codec, edited, "much")  # type: ignore[arg-type]


def test_no_halo_along_an_edge() -> None:
    source = np.full((240, 320, 3), 60, np.uint8)
    source[:, 160:] = 200
    codec = small(source, (160, 120), 0.3)
    result = compose(source, codec, night(codec).astype(np.float32)).astype(float)
    exact = night(source / 255) * 255
    assert np.abs(result - exact)[:, np.r_[100:156, 164:220]].max() < 3


def test_no_flicker_is_added(source: np.ndarray) -> None:
    """What changes from frame to frame in the result changes no more than in the edits."""
    codec = small(source, (160, 120))
    rng = np.random.default_rng(3)
    edits = [
        (TONES["sepia"](codec) + cv2.GaussianBlur(rng.normal(0, 0.03, codec.shape), (0, 0), 1.5)).astype(np.float32)
        for _ in range(4)
    ]
    results = [compose(source, codec, edited).astype(np.float32) / 255 for edited in edits]
    plain = [compose(source, codec, edited, "edit").astype(np.float32) / 255 for edited in edits]

    def flicker(frames: list[np.ndarray]) -> float:
        return float(np.mean([np.mean((b - a) ** 2) for a, b in pairwise(frames)]))

    assert flicker(results) < flicker(plain)
