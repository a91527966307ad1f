from __future__ import annotations

import numpy as np
import pytest
import torch

from vedit.training.particles import couple, density, particle_marks, slanting
from vedit.world import operations


def cells(noise: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.pixel_shuffle(noise, 2).sum(dim=2) / 2


def test_marks_lie_where_the_particles_are():
    marks = particle_marks("snow", 2, 256, 256.0, seed=4, start=10)
    black = np.zeros((2, 256, 256, 3), np.float32)
    snowy, other = (operations.apply("snow", black, seed=seed, start=10) for seed in (4, 5))
    for t in range(2):
        bright = snowy[t, 2::4, 2::4, 0][marks[t] > 0]
        assert bright.mean() > 2 * snowy[t, ..., 0].mean()
        assert bright.mean() > 2 * other[t, 2::4, 2::4, 0][marks[t] > 0].mean()


@pytest.mark.parametrize("name", list(operations.FALLS))
def test_density_is_the_share_of_marked_cells(name):
    marks = particle_marks(name, 16, 256, 256.0, seed=1, start=0)
    assert (marks > 0).mean() == pytest.approx(density(name), rel=0.25)


def test_coupled_noise_is_high_where_the_particles_are_and_white_over_all():
    share = torch.tensor([0.01, 0.05])
    generator = torch.Generator().manual_seed(0)
    marks = torch.zeros(2, 4, 32, 32)
    for b in range(2):
        chosen = torch.rand(marks[b].shape, generator=generator) < share[b]
        marks[b][chosen] = torch.rand(int(chosen.sum()), generator=generator).clamp(min=0.01)
    noise = couple(torch.randn(2, 4, 16, 16, 16, generator=generator), marks, share)
    for b in range(2):
        threshold = torch.special.ndtri(1 - share[b])
        assert torch.equal(cells(noise)[b] > threshold, marks[b] > 0)
        assert float(noise[b].mean()) == pytest.approx(0, abs=0.05)
        assert float(noise[b].std()) == pytest.approx(1, abs=0.05)
    high, low = (marks[1] > 0.8), (marks[1] > 0) & (marks[1] < 0.2)
    assert float(cells(noise)[1][high].min()) > float(cells(noise)[1][low].max())


def test_marks_of_another_size_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        couple(torch.randn(1, 2, 16, 8, 8), torch.zeros(1, 2, 32, 32), torch.tensor([0.1]))


def test_rain_leans_one_way():
    rng = np.random.default_rng(0)
    for _ in range(4):
        velocity = operations.FALLS["rain"](slanting(rng, "rain"), 256, 256, 256.0).velocity
        assert velocity[0, 0] > 0
