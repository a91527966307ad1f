import math

import pytest
import torch

from vedit.diffusion.inversion import LEAST_SIGNAL, first_step, grid, invert
from vedit.diffusion.sampling import ddim
from vedit.diffusion.schedule import Schedule
from vedit.errors import UsageError

SD = Schedule.scaled_linear(offset=1, final_alpha_cumprod=None)
V = Schedule.scaled_linear(prediction="v", offset=1, final_alpha_cumprod=None)
ZERO = Schedule.scaled_linear(prediction="v", zero_terminal=True, spacing="trailing")


def clip(seed=0):
    return torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def constant(schedule, noise):
    """A network that always finds the noise ``noise``, in the parameterisation of its schedule."""

    def predict(z, timestep):
        if schedule.prediction == "epsilon":
            return noise
        alpha, sigma = schedule.alpha_sigma(timestep, z)
        return (noise - sigma * z) / alpha  # v = (ε − σ·z)/α, from ε = α·v + σ·z

    return predict


def gaussian(schedule, deviation=0.5):
    """The exact network for data that is normal with that standard deviation: smooth, and not constant."""

    def predict(z, timestep):
        alpha, sigma = schedule.alpha_sigma(timestep, z)
        clean = alpha * deviation**2 * z / (alpha**2 * deviation**2 + sigma**2)
        noise = (z - alpha * clean) / sigma
        return noise if schedule.prediction == "epsilon" else alpha * noise - sigma * clean

    return predict


def sample(predict, schedule, trajectory, steps):
    def denoise(z, step):
        return schedule.to_clean(predict(z, step.timestep), z, step.timestep)

    return ddim(denoise, trajectory.noise, schedule, steps, start=trajectory.start)


@pytest.mark.parametrize("schedule", [SD, V, ZERO], ids=["epsilon", "v", "zero terminal"])
@pytest.mark.parametrize(("steps", "inversion_steps"), [(10, None), (50, None), (8, 30)])
def test_exact_for_constant_noise(schedule, steps, inversion_steps):
    """Methods invariant 3."""
    clean, predict = clip(), constant(schedule, clip(1))
    trajectory = invert(predict, clean, schedule, steps, inversion_steps=inversion_steps)
    torch.testing.assert_close(sample(predict, schedule, trajectory, steps), clean)
    assert not torch.allclose(trajectory.noise, clean, atol=0.5)


def test_a_velocity_taken_for_noise_is_not_exact():
    clean, predict = clip(), constant(V, clip(1))
    as_epsilon = invert(predict, clean, SD, 10)
    assert not torch.allclose(sample(predict, V, as_epsilon, 10), clean, atol=0.1)


@pytest.mark.parametrize("schedule", [SD, V, ZERO], ids=["epsilon", "v", "zero terminal"])
def test_more_steps_and_fixed_points_come_closer(schedule):
    clean, predict = clip(), gaussian(schedule)

    def error(steps=20, **options):
        trajectory = invert(predict, clean, schedule, steps, **options)
        return float((sample(predict, schedule, trajectory, steps) - clean).abs().max())

    plain = error()
    assert error(steps=200) < 0.25 * plain
    assert error(fixed_point=1) < 0.7 * plain
    assert error(fixed_point=25) < 1e-3 * plain


def test_both_predictions_invert_alike():
    """The same data by ε and by v: one trajectory."""
    one, other = (invert(gaussian(schedule), clip(), schedule, 50).latents for schedule in (SD, V))
    torch.testing.assert_close(one, other)


def test_zero_terminal_snr_stops_where_the_signal_is_still_there():
    asked = []

    def predict(z, timestep):
        asked.append(timestep)
        return torch.zeros_like(z)

    trajectory = invert(predict, clip(), ZERO, 50)
    levels = [float(ZERO.alphas_cumprod[timestep]) for timestep in asked]
    assert min(levels) >= LEAST_SIGNAL
    assert min(levels) < 0.02
    assert trajectory.start == 50 - len(asked) > 0
    first = ZERO.steps(50)[trajectory.start]
    assert first.timestep == asked[-1]
    assert ZERO.steps(50)[trajectory.start - 1].alpha ** 2 < LEAST_SIGNAL
    assert first_step(SD, 50) == first_step(SD, 1000) == 0  # Stable Diffusion's is inverted whole
    with pytest.raises(UsageError, match="--steps 1"):
        invert(predict, clip(), ZERO, 1)


def test_the_trajectory_lies_on_the_grid_of_the_sampler():
    clean, noise = clip(), clip(1)
    trajectory = invert(constant(SD, noise), clean, SD, 10, inversion_steps=40)
    assert trajectory.latents.shape == (11, *clean.shape)
    assert torch.equal(trajectory.latents[-1], clean)
    level = math.sqrt(SD.final_alpha_cumprod)
    start = (clean - math.sqrt(1 - SD.final_alpha_cumprod) * noise) / level
    for step in SD.steps(10):
        torch.testing.assert_close(trajectory.at(step), step.alpha * start + step.sigma * noise)
        assert torch.equal(trajectory.after(step), trajectory.latents[step.index + 1])


@pytest.mark.parametrize("schedule", [SD, ZERO], ids=["leading", "trailing"])
@pytest.mark.parametrize(("steps", "count"), [(50, 50), (50, 250), (50, 500), (7, 50), (30, 50), (1, 3)])
def test_the_finer_grid_holds_that_of_the_sampler(schedule, steps, count):
    timesteps = grid(schedule, steps, count)
    assert len(timesteps) == len(set(timesteps)) == count
    assert set(schedule.timesteps(steps)) <= set(timesteps)
    assert timesteps == sorted(timesteps)


def test_fewer_inversion_steps_are_refused():
    with pytest.raises(UsageError, match="--inversion-steps 20: fewer than the 50"):
        grid(SD, 50, 20)


def test_progress_and_evaluations():
    """Of the finer levels 751, 501, 251 and 1 the first is noisier than where the sampler begins: it is left out."""
    seen, asked = [], []

    def predict(z, timestep):
        asked.append(timestep)
        return torch.zeros_like(z)

    trajectory = invert(
        predict, clip(), SD, 2, inversion_steps=4, fixed_point=2, progress=lambda *done: seen.append(done)
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert asked == [1] * 3 + [251] * 3 + [501] * 3
    assert len(trajectory.latents) == 3
