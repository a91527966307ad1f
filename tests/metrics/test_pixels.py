"""PSNR and SSIM against scikit-image and torchmetrics, what a mask hides, drift and sharpness."""

from __future__ import annotations

import math
from fractions import Fraction

import cv2
import numpy as np
import pytest

from vedit.errors import InputError
from vedit.metrics import pixels
from vedit.metrics.accumulate import Moment
from vedit.metrics.pictures import Picture


def noise(seed: int, count: int = 3, height: int = 40, width: int = 52) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8))


def similar(frames: list[np.ndarray], seed: int, strength: int = 20) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        np.clip(cv2.GaussianBlur(f, (3, 3), 1).astype(int) + rng.integers(-strength, strength, f.shape), 0, 255).astype(
            np.uint8
        )
        for f in frames
    ]


def fidelity(suffix: str = "", masked: bool = False) -> pixels.Fidelity:
    against = (lambda m: m.reference) if suffix == "_reference" else (lambda m: m.source)
    return pixels.Fidelity(suffix, against, masked, True)


def test_psnr_and_ssim_are_those_of_scikit_image(run):
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    one = noise(0)
    other = similar(one, 1)
    found = run(fidelity(), one, other)
    assert found["psnr"] == pytest.approx(metrics.peak_signal_noise_ratio(np.stack(one), np.stack(other)), abs=1e-4)
    how = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255, "channel_axis": 2}
    expected = np.mean([metrics.structural_similarity(a, b, **how) for a, b in zip(one, other, strict=True)])
    assert found["ssim"] == pytest.approx(expected, abs=1e-5)


def test_psnr_and_ssim_are_those_of_torchmetrics(run):
    image = pytest.importorskip("torchmetrics.functional.image", reason="torchmetrics is not installed")
    import torch

    one = noise(2)
    other = similar(one, 3)
    found = run(fidelity(), one, other)
    a, b = (torch.from_numpy(np.stack(v)).permute(0, 3, 1, 2).double() for v in (one, other))
    assert found["psnr"] == pytest.approx(float(image.peak_signal_noise_ratio(b, a, data_range=255.0)), abs=1e-4)
    # Its mean takes padded windows in; ours are whole ones only.
    how = {"data_range": 255.0, "sigma": 1.5, "kernel_size": 11, "return_full_image": True}
    _, every = image.structural_similarity_index_measure(b, a, **how)
    assert found["ssim"] == pytest.approx(float(every[..., 5:-5, 5:-5].mean()), abs=1e-5)


def test_ssim_by_its_formula_in_double_precision():
    one, other = (frame[:11, :11] for frame in noise(4, 2))
    window = np.outer(*2 * [cv2.getGaussianKernel(11, 1.5)[:, 0]])[..., None]
    x, y = one.astype(np.float64), other.astype(np.float64)
    mx, my = (window * x).sum((0, 1)), (window * y).sum((0, 1))
    vx, vy = (window * (x - mx) ** 2).sum((0, 1)), (window * (y - my) ** 2).sum((0, 1))
    cov = (window * (x - mx) * (y - my)).sum((0, 1))
    c1, c2 = 2.55**2, 7.65**2
    expected = ((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean()
    found = pixels.ssim_map(one.astype(np.float32), other.astype(np.float32))
    assert found.shape == (1, 1)
    assert float(found[0, 0]) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ValueError, match="11×11"):
        pixels.ssim_map(x[:10].astype(np.float32), y[:10].astype(np.float32))


def test_equal_videos(run):
    found = run(fidelity(), noise(5), noise(5))
    assert math.isinf(found["psnr"])
    assert found["ssim"] == 1


def test_psnr_is_over_all_frames_together(run):
    still = [np.full((20, 20, 3), 100, np.uint8)] * 2
    other = [still[0], np.full((20, 20, 3), 110, np.uint8)]
    assert run(fidelity(), still, other)["psnr"] == pytest.approx(10 * math.log10(255**2 / 50))


def test_sixteen_bits_are_measured_finely():
    deep = np.full((20, 20, 3), 257 * 100, np.uint16)
    one, other = Picture(deep), Picture(deep + 26)  # a tenth of a level
    of = fidelity()
    of.update(Moment(0, Fraction(0), one, other))
    assert of.result()["psnr"] == pytest.approx(10 * math.log10(255**2 / (26 / 257) ** 2), abs=0.05)


def mask_of(height: int = 40, width: int = 52) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[5:20, 8:30] = True
    return mask


def test_unedited_figures_do_not_see_what_is_inside_the_mask(run):
    source, mask = noise(6), mask_of()
    edited = similar(source, 7)
    wild = [np.where(mask[..., None], 255 - frame, frame) for frame in edited]
    one, other = (run(fidelity("_unedited", True), source, edit, mask=mask) for edit in (edited, wild))
    assert one == other
    assert run(fidelity(), source, edited) != run(fidelity(), source, wild)


def test_unedited_figures_see_every_pixel_outside_of_the_mask(run):
    source, mask = noise(8), mask_of()
    changed = [frame.copy() for frame in source]
    changed[1][39, 51] ^= 255
    found = run(fidelity("_unedited", True), source, changed, mask=mask)
    expected = np.square(changed[1][39, 51].astype(float) - source[1][39, 51]).sum() / (3 * 3 * (~mask).sum())
    assert found["psnr_unedited"] == pytest.approx(10 * math.log10(255**2 / expected), abs=1e-4)
    assert found["ssim_unedited"] < 1
    assert math.isinf(run(fidelity("_unedited", True), source, source, mask=mask)["psnr_unedited"])


def test_a_mask_that_covers_all_is_an_error(run):
    with pytest.raises(InputError, match="--mask"):
        run(fidelity("_unedited", True), noise(0), noise(1), mask=np.ones((40, 52), bool))


def test_reference_figures_ignore_the_source(run):
    edited, reference = noise(1), similar(noise(1), 2)
    first = run(fidelity("_reference"), noise(3), edited, reference=reference)
    assert first == run(fidelity("_reference"), noise(4), edited, reference=reference)


def flat(levels: list[float]) -> list[np.ndarray]:
    return [np.full((12, 12, 3), level, np.uint8) for level in levels]


def test_colour_drift_is_the_trend_and_not_a_change_of_tone(run):
    source = flat([100] * 11)
    assert run(pixels.ColourDrift(), source, flat([140] * 11))["colour_drift"] == pytest.approx(0, abs=1e-3)
    drifting = flat([100 + 4 * t for t in range(11)])
    lab = [Picture(frame).lab[0] for frame in drifting]
    slope = np.polyfit(np.arange(11), lab, 1)[0]
    assert run(pixels.ColourDrift(), source, drifting)["colour_drift"] == pytest.approx(10 * slope, rel=1e-6)
    assert 14 < 10 * slope < 18


def test_colour_drift_follows_the_source(run):
    fading = flat([60 + 9 * t for t in range(11)])
    assert run(pixels.ColourDrift(), fading, fading)["colour_drift"] == pytest.approx(0, abs=1e-9)


def test_mean_colours_in_lab_are_those_of_scikit_image():
    color = pytest.importorskip("skimage.color", reason="scikit-image is not installed")
    for level in np.random.default_rng(0).integers(0, 256, (20, 3)):
        picture = Picture(np.broadcast_to(level.astype(np.uint8), (4, 4, 3)).copy())
        np.testing.assert_allclose(picture.lab, color.rgb2lab(level[None, None] / 255)[0, 0], atol=0.05)


def test_sharpness(run):
    source = noise(9)
    blurred = [cv2.GaussianBlur(frame, (5, 5), 1) for frame in source]
    assert run(pixels.Sharpness(), source, source)["sharpness_ratio"] == 1
    luma = [cv2.cvtColor(f.astype(np.float32), cv2.COLOR_RGB2GRAY).astype(float) for f in (*source, *blurred)]
    laplacian = [
        f[:-2, 1:-1] + f[2:, 1:-1] + f[1:-1, :-2] + f[1:-1, 2:] - 4 * f[1:-1, 1:-1]
        for f in (np.pad(f, 1, mode="reflect") for f in luma)
    ]
    variance = [float(f.var()) for f in laplacian]
    expected = sum(variance[3:]) / sum(variance[:3])
    assert run(pixels.Sharpness(), source, blurred)["sharpness_ratio"] == pytest.approx(expected, rel=1e-4)
    assert math.isnan(run(pixels.Sharpness(), flat([9, 9]), flat([1, 2]))["sharpness_ratio"])
