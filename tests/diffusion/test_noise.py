import pytest
import torch

from vedit.diffusion.noise import clip_noise, frame_noise

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
