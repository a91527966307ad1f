import math
from typing import Any

import pytest
import torch

from vedit.diffusion.sampling import SOLVERS, ancestral, ddim, dpmpp_2m
from vedit.diffusion.schedule import Schedule

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}
CONFIGS = {
    "sd": SD | {"steps_offset": 1, "set_alpha_to_one": False},
    "nano": SD | {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
}
MEAN, DEVIATION = 0.7, 0.4


def gaussian(z, step):
    """E[x₀ | z] where x₀ is normal with MEAN and DEVIATION."""
    gain = step.alpha * DEVIATION**2 / (step.alpha**2 * DEVIATION**2 + step.sigma**2)
    return MEAN + gain * (z - step.alpha * MEAN)


def noise():
    return torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("name", CONFIGS)
def test_ddim_is_that_of_diffusers_step_by_step(name):
    from diffusers import DDIMScheduler

    ours, theirs = Schedule.from_config(CONFIGS[name]), DDIMScheduler(**CONFIGS[name])
    theirs.set_timesteps(10)
    state: dict[str, Any] = {"z": noise()}

    def network(z):  # any function of z will do: both must read its output in the same parameterisation
        return 0.3 * z + torch.sin(2.0 * z)

    def denoise(z, step):
        torch.testing.assert_close(z, state["z"], rtol=1e-3, atol=1e-3)
        output = network(z)
        state["z"] = theirs.step(network(state["z"]), step.timestep, state["z"], return_dict=False)[0]
        return ours.to_clean(output, z, step.timestep)

    torch.testing.assert_close(ddim(denoise, noise(), ours, 10), state["z"], rtol=1e-3, atol=1e-3)


def flow(start, step, alpha, sigma):
    """Where the probability flow of :func:`gaussian`, begun at ``start`` on the level of ``step``, passes (α, σ).

    (z − α·MEAN)/√(α²·DEVIATION² + σ²) never changes along it.
    """
    unit = (start - step.alpha * MEAN) / math.hypot(step.alpha * DEVIATION, step.sigma)
    return alpha * MEAN + math.hypot(alpha * DEVIATION, sigma) * unit


@pytest.mark.parametrize("name", CONFIGS)
def test_orders_of_the_solvers(name):
    """Down to t = 99 DDIM's error halves with twice the steps and DPM-Solver++(2M)'s falls to about a quarter."""
    schedule = Schedule.from_config(CONFIGS[name] | {"timestep_spacing": "trailing"})
    errors = {}
    for solver in SOLVERS:
        for steps in (10, 20, 40):
            passed = {}

            def denoise(z, step, passed=passed):
                passed[step.timestep] = (z, step)
                return gaussian(z, step)

            SOLVERS[solver](denoise, noise(), schedule, steps)
            z, step = passed[99]
            truth = flow(noise(), passed[999][1], step.alpha, step.sigma)
            errors[solver, steps] = float((z - truth).abs().max())
    for steps in (20, 40):
        assert 0.4 < errors["ddim", steps] / errors["ddim", steps // 2] < 0.6
        assert 0.1 < errors["dpmpp_2m", steps] / errors["dpmpp_2m", steps // 2] < 0.3
    assert errors["dpmpp_2m", 10] < errors["ddim", 40]


@pytest.mark.parametrize("name", CONFIGS)
def test_few_multistep_steps_end_where_many_ddim_steps_do(name):
    schedule = Schedule.from_config(CONFIGS[name] | {"timestep_spacing": "trailing", "set_alpha_to_one": True})
    truth = ddim(gaussian, noise(), schedule, 1000)
    error = {
        (solver, steps): float((SOLVERS[solver](gaussian, noise(), schedule, steps) - truth).abs().max())
        for solver, steps in (("ddim", 20), ("ddim", 80), ("dpmpp_2m", 20), ("dpmpp_2m", 80))
    }
    assert error["dpmpp_2m", 80] < 0.6 * error["ddim", 80]
    assert error["dpmpp_2m", 20] < 0.8 * error["ddim", 20]


@pytest.mark.parametrize("solver", SOLVERS)
def test_zero_terminal_snr_stays_finite_even_in_one_step(solver):
    schedule = Schedule.from_config(CONFIGS["nano"])
    for steps in (1, 2, 3):
        assert SOLVERS[solver](gaussian, noise(), schedule, steps).isfinite().all()
    torch.testing.assert_close(
        SOLVERS[solver](gaussian, noise(), schedule, 1), torch.full_like(noise(), MEAN), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_as_many_steps_as_there_are_levels(name):
    """Stable Diffusion's grid then has its highest level twice, so that one step changes nothing."""
    schedule = Schedule.from_config(CONFIGS[name])
    few, many = (dpmpp_2m(gaussian, noise(), schedule, steps) for steps in (100, 1000))
    assert float((few - many).abs().max()) < 0.05


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_constant_estimate_is_reached_exactly(solver, name):
    schedule = Schedule.from_config(CONFIGS[name] | {"set_alpha_to_one": True})
    clean = torch.linspace(-1, 1, noise().numel(), dtype=torch.float64).reshape(noise().shape)
    torch.testing.assert_close(SOLVERS[solver](lambda z, step: clean, noise(), schedule, 5), clean)


@pytest.mark.parametrize("solver", SOLVERS)
def test_inversion_then_sampling_is_exact_for_constant_noise(solver):
    """Methods invariant: with a constant ε̂ both directions are the same straight line, also read through v."""
    for name in CONFIGS:
        schedule = Schedule.from_config(
            CONFIGS[name] | {"timestep_spacing": "leading", "rescale_betas_zero_snr": False}
        )
        epsilon, source = noise(), noise().flip(0)
        steps = schedule.steps(8)
        z = steps[-1].next_alpha * source + steps[-1].next_sigma * epsilon
        for step in reversed(steps):
            z = step.alpha * (z - step.next_sigma * epsilon) / step.next_alpha + step.sigma * epsilon

        def denoise(z, step, schedule=schedule, epsilon=epsilon):
            clean = (z - step.sigma * epsilon) / step.alpha
            if schedule.prediction == "v":
                output = schedule.clean_to_velocity(clean, z, step.timestep)
            else:
                output = epsilon
            return schedule.to_clean(output, z, step.timestep)

        final = SOLVERS[solver](denoise, z, schedule, 8)
        clean = (final - steps[-1].next_sigma * epsilon) / steps[-1].next_alpha
        torch.testing.assert_close(clean, source, rtol=1e-6, atol=1e-6)


def test_correction_is_what_the_solver_remembers():
    schedule = Schedule.from_config(CONFIGS["nano"])
    for solver in (ddim, dpmpp_2m):
        target, seen = torch.full_like(noise(), 0.25), []
        result = solver(gaussian, noise(), schedule, 6, correct=lambda clean, z, step: target)  # noqa: B023
        torch.testing.assert_close(result, target)
        solver(gaussian, noise(), schedule, 6, progress=lambda done, count: seen.append((done, count)))  # noqa: B023
        assert seen == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_later_start_goes_on_where_the_whole_run_was(name, solver):
    """For DDIM exactly; the other one lacks its history at first, and comes close."""
    schedule, seen = Schedule.from_config(CONFIGS[name]), []

    def denoise(z, step):
        seen.append(z)
        return gaussian(z, step)

    whole = SOLVERS[solver](denoise, noise(), schedule, 20)
    rest = SOLVERS[solver](denoise, seen[8], schedule, 20, start=8)
    assert len(seen) == 20 + 12
    torch.testing.assert_close(rest, whole, rtol=0, atol=1e-12 if solver == "ddim" else 0.05)


@pytest.mark.parametrize("name", CONFIGS)
def test_ancestral_is_that_of_diffusers(name):
    """DDIM with η = 1, which ends on the clean latent here."""
    from diffusers import DDIMScheduler

    ours, theirs = Schedule.from_config(CONFIGS[name]), DDIMScheduler(**CONFIGS[name] | {"set_alpha_to_one": True})
    theirs.set_timesteps(10)
    # Where ᾱ is 0, theirs takes the root of a difference that is 0, and on some processors a little less.
    theirs.alphas_cumprod = theirs.alphas_cumprod.double().clamp_min(1e-10)
    state, drawn = (
        {"z": noise()},
        {i: torch.randn(noise().shape, generator=torch.Generator().manual_seed(i)) for i in range(10)},
    )

    def denoise(z, step):
        torch.testing.assert_close(z, state["z"], rtol=1e-3, atol=1e-3)
        output = torch.sin(2.0 * state["z"])
        fresh = drawn[step.index].double()
        state["z"] = theirs.step(output, step.timestep, state["z"], eta=1.0, variance_noise=fresh, return_dict=False)[0]
        return ours.to_clean(torch.sin(2.0 * z), z, step.timestep)

    made = ancestral(denoise, noise(), ours, 10, fresh=lambda step: drawn[step.index].double())
    torch.testing.assert_close(made, state["z"], rtol=1e-3, atol=1e-3)


def test_ancestral_is_diffusers_own_sampler_from_the_first_step_to_the_last():
    """InstructPix2Pix's scheduler, in 38 steps, which fall on whole timesteps: from the last level to none at all."""
    from diffusers import EulerAncestralDiscreteScheduler

    config = {**CONFIGS["sd"], "_class_name": "EulerAncestralDiscreteScheduler"}
    ours = Schedule.from_config(config)
    theirs: Any = EulerAncestralDiscreteScheduler.from_config(config)
    theirs.set_timesteps(38)
    assert ours.timesteps(38) == [int(t) for t in theirs.timesteps] and ours.timesteps(38)[0] == 999
    first, last = ours.steps(38)[0], ours.steps(38)[-1]
    assert last.next_sigma > 0  # as DDIM reads the same file
    x = noise().float() / first.alpha

    def epsilon(z):
        return torch.sin(2.0 * z)

    drawn = [torch.randn(noise().shape, generator=torch.Generator().manual_seed(i)) for i in range(38)]
    import diffusers.schedulers.scheduling_euler_ancestral_discrete as module

    for index, timestep in enumerate(theirs.timesteps):
        output = epsilon(theirs.scale_model_input(x, timestep))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "randn_tensor", lambda *_, index=index, **__: drawn[index])
            x = theirs.step(output, timestep, x, return_dict=False)[0]
    made = ancestral(
        lambda z, step: ours.to_clean(epsilon(z), z, step.timestep), noise(), ours, 38,
        fresh=lambda step: drawn[step.index].double(),
    )  # fmt: skip
    torch.testing.assert_close(made, x.double(), rtol=1e-3, atol=1e-3)


def test_euler_ancestral_in_its_own_coordinates():
    """k-diffusion's step, x = z/α and σ = σ_z/α, against one step of ours."""
    schedule, fresh = Schedule.from_config(CONFIGS["sd"]), noise().flip(0)
    step = schedule.steps(10)[4]
    x, here, there = noise() / step.alpha, step.sigma / step.alpha, step.next_sigma / step.next_alpha
    clean = gaussian(noise(), step)
    up = math.sqrt(there**2 * (here**2 - there**2) / here**2)
    down = math.sqrt(there**2 - up**2)
    x = x + (x - clean) / here * (down - here) + up * fresh
    made = []

    def denoise(z, step):
        made.append(z)
        return gaussian(z, step)

    ancestral(denoise, noise(), schedule, 10, fresh=lambda step: fresh, start=4)
    torch.testing.assert_close(made[1], x * step.next_alpha)
