import pytest
import torch

from vedit.diffusion.noise import clip_noise, falling_noise, frame_noise

SHAPE = (16, 32, 32)


def test_noise_belongs_to_the_absolute_frame():
    window, later = frame_noise(3, range(8), SHAPE, 0.3), frame_noise(3, range(5, 12), SHAPE, 0.3)
    assert torch.equal(window[5:8], later[:3])


def test_seed_changes_everything():
    one, other = frame_noise(0, [4], SHAPE, 0.5), frame_noise(1, [4], SHAPE, 0.5)
    assert abs(float((one * other).mean())) < 0.05


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_unit_variance_and_correlation(share):
    noise = frame_noise(0, range(6), SHAPE, share)
    assert noise.dtype == torch.float32
    assert noise.shape == (6, *SHAPE)
    assert abs(float(noise.var()) - 1.0) < 0.03
    assert abs(float((noise[0] * noise[3]).mean()) - share) < 0.03
    drawn = clip_noise((3, 4, *SHAPE), share, torch.Generator().manual_seed(0))
    assert abs(float(drawn.var()) - 1.0) < 0.03
    assert abs(float((drawn[:, 0] * drawn[:, 2]).mean()) - share) < 0.03
    assert abs(float((drawn[0] * drawn[1]).mean())) < 0.03


def test_share_is_bounded():
    with pytest.raises(ValueError, match="share"):
        frame_noise(0, [0], SHAPE, 1.5)


def test_falling_noise_moves_down_by_whole_cells_and_stays_white():
    noise = falling_noise(5, range(200), (16, 8, 8), 1.0)  # 2 × 2 cells a position, so 2 cells a frame
    fine = torch.nn.functional.pixel_shuffle(noise, 2)[:, 0]
    assert torch.equal(fine[1][2:], fine[0][:-2])
    assert torch.equal(fine[199][2:], fine[198][:-2])
    assert torch.equal(falling_noise(5, [150], (16, 8, 8), 1.0)[0], noise[150])
    fresh = fine[:, :2]  # rows that came in
    assert float(fresh.std()) == pytest.approx(1.0, abs=0.02)
    assert float(fresh.mean()) == pytest.approx(0.0, abs=0.02)
    assert not torch.equal(falling_noise(6, [0], (16, 8, 8), 1.0)[0], noise[0])


def test_falling_noise_of_channels_that_cells_cannot_share():
    noise = falling_noise(5, range(3), (3, 8, 8), 1.0)
    assert torch.equal(noise[1][:, 1:], noise[0][:, :-1])
