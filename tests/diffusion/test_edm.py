import math

import pytest
import torch

from vedit.diffusion import edm
from vedit.diffusion.edm import EDM
from vedit.errors import ModelError, UsageError

SVD = EDM()
NANO = EDM(0.002, 80.0)
CONFIG = {
    "prediction_type": "v_prediction",
    "timestep_type": "continuous",
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "timestep_spacing": "leading",
}


def clip(seed=0):
    return torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(seed))


def constant(noise):
    """A network that always finds the noise ``noise``: v = (ε − β·z)/α, from ε = α·v + β·z."""

    def predict(z, sigma):
        alpha, beta = edm.alpha_beta(sigma)
        return (noise - beta * z) / alpha

    return predict


def gaussian(deviation=0.5):
    """The exact network for data that is normal with that standard deviation."""

    def predict(z, sigma):
        x = edm.from_network(z, sigma)
        clean = deviation**2 * x / (deviation**2 + sigma**2)
        return edm.target(clean, (x - clean) / sigma, sigma)

    return predict


def sample(predict, levels, x, steps, start=0):
    def denoise(x, step):
        return edm.to_clean(predict(edm.to_network(x, step.sigma), step.sigma), x, step.sigma)

    return edm.euler(denoise, x, levels, steps, start=start)


def back_and_there(predict, levels, clean, steps, **options):
    trajectory = edm.invert(predict, clean, levels, steps, **options)
    sigma = levels.steps(steps)[trajectory.start].sigma
    return sample(predict, levels, edm.from_network(trajectory.noise, sigma), steps, trajectory.start)


def test_preconditioning_is_the_papers():
    sigma, clean, noise = 3.0, clip(), clip(1)
    x = clean + sigma * noise
    z = edm.to_network(x, sigma)
    torch.testing.assert_close(z, x / math.sqrt(sigma**2 + 1))
    output = edm.target(clean, noise, sigma)
    torch.testing.assert_close(output, (noise - sigma * clean) / math.sqrt(1 + sigma**2))
    torch.testing.assert_close(edm.to_clean(output, x, sigma), clean)
    torch.testing.assert_close(edm.to_noise(output, z, sigma), noise)
    skip, out = 1 / (sigma**2 + 1), -sigma / math.sqrt(sigma**2 + 1)
    torch.testing.assert_close(edm.to_clean(output, x, sigma), skip * x + out * output)
    assert edm.c_noise(sigma) == pytest.approx(0.25 * math.log(sigma))
    many = torch.tensor([0.5, 3.0]).view(2, 1, 1, 1)
    torch.testing.assert_close(edm.to_network(torch.stack([x[0], x[0]]), many)[1], z[0])


@pytest.mark.parametrize("steps", [1, 2, 25])
def test_levels_are_those_of_diffusers(steps):
    from diffusers import EulerDiscreteScheduler

    theirs = EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1, **CONFIG)
    theirs.set_timesteps(steps)
    levels = EDM.from_config(CONFIG)
    torch.testing.assert_close(torch.tensor(levels.sigmas(steps)), theirs.sigmas, rtol=1e-5, atol=0)
    ours = torch.tensor([edm.c_noise(step.sigma) for step in levels.steps(steps)])
    torch.testing.assert_close(ours, theirs.timesteps, rtol=1e-5, atol=1e-6)
    if steps > 1:
        assert float(levels.start(torch.ones(()))) == pytest.approx(float(theirs.init_noise_sigma))


@pytest.mark.parametrize("change", [{"prediction_type": "epsilon"}, {"timestep_type": "discrete"},
                                    {"use_karras_sigmas": False}, {"sigma_max": 0.001}, {"sigma_min": None},
                                    {"final_sigmas_type": "sigma_min"}], ids=str)  # fmt: skip
def test_other_schedules_are_refused(tmp_path, change):
    with pytest.raises(ModelError, match=next(iter(change))):
        EDM.from_config(CONFIG | change)
    with pytest.raises(ModelError, match="no such file"):
        EDM.from_config(tmp_path)


@pytest.mark.parametrize("levels", [SVD, NANO], ids=["700", "80"])
@pytest.mark.parametrize(("steps", "inversion_steps"), [(10, None), (25, None), (8, 30)])
def test_inversion_is_exact_for_constant_noise(levels, steps, inversion_steps):
    """Methods invariant 3, for v."""
    clean = clip()
    found = back_and_there(constant(clip(1)), levels, clean, steps, inversion_steps=inversion_steps)
    torch.testing.assert_close(found, clean, rtol=0, atol=1e-3)


def test_more_steps_and_fixed_points_come_closer():
    def error(steps=20, **options):
        return float((back_and_there(gaussian(), NANO, clip(), steps, **options) - clip()).abs().max())

    plain = error()
    assert error(inversion_steps=200) < 0.8 * plain
    assert error(steps=200) < 0.25 * plain
    assert error(fixed_point=1) < 0.7 * plain
    assert error(fixed_point=30) < 1e-2 * plain


def test_inversion_stops_where_the_source_is_lost():
    trajectory = edm.invert(gaussian(), clip(), SVD, 25)
    step = SVD.steps(25)[trajectory.start]
    assert step.sigma <= edm.HIGHEST < SVD.steps(25)[trajectory.start - 1].sigma
    assert len(trajectory.latents) == 25 - trajectory.start + 1
    assert torch.equal(trajectory.latents[-1], clip())
    assert torch.equal(trajectory.at(step), trajectory.noise)
    assert edm.invert(gaussian(), clip(), NANO, 25).start == 0
    with pytest.raises(UsageError, match="--steps 2: too few"):
        edm.invert(gaussian(), clip(), SVD, 2)
    with pytest.raises(UsageError, match="--inversion-steps 5: fewer"):
        edm.invert(gaussian(), clip(), SVD, 25, inversion_steps=5)


def test_eulers_step_in_x_is_ddims_in_z():
    """On z = x/√(1 + σ²), where v-prediction lives: ᾱ = 1/(1 + σ²)."""
    x, seen = NANO.start(clip(9)), []

    def network(z, sigma):
        return torch.tanh(z.flip(0)) * (1 + 0.1 * math.log(sigma))

    def denoise(x, step):
        seen.append(edm.to_network(x, step.sigma))
        return edm.to_clean(network(seen[-1], step.sigma), x, step.sigma)

    found = edm.euler(denoise, x, NANO, 12)
    z = edm.to_network(x, NANO.sigma_max)
    for step, other in zip(NANO.steps(12), seen, strict=True):
        torch.testing.assert_close(z, other)
        alpha, beta = edm.alpha_beta(step.sigma)
        v = network(z, step.sigma)
        clean, noise = alpha * z - beta * v, alpha * v + beta * z
        next_alpha, next_beta = edm.alpha_beta(step.next_sigma)
        z = next_alpha * clean + next_beta * noise
    torch.testing.assert_close(z, found, rtol=1e-4, atol=1e-5)


def test_the_loss_is_that_of_the_clean_estimate_at_unit_variance():
    """Karras et al., eq. 8: λ·‖D − x₀‖² with λ = (1 + σ²)/σ², which is 1/c_out²."""
    clean, noise = (torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(s)) for s in (1, 2))
    sigma, weight = torch.tensor([0.5, 4.0]), torch.tensor([1.0, 0.0, 2.0, 1.0])

    def network(z, level):
        assert torch.equal(level, 0.25 * sigma.log())
        return torch.tanh(z)

    each = sigma.view(-1, 1, 1, 1, 1)
    x = clean + each * noise
    found = edm.to_clean(torch.tanh(edm.to_network(x, each)), x, each)
    squared = (1 + each**2) / each**2 * (found - clean).square()
    torch.testing.assert_close(edm.loss(network, clean, noise, sigma), squared.mean())
    torch.testing.assert_close(
        edm.loss(network, clean, noise, sigma, weight.view(-1, 1, 1)), (squared * weight.view(-1, 1, 1)).mean()
    )  # fmt: skip


def test_sampling_reaches_the_data():
    """From pure noise, the exact network gives data of the right standard deviation."""
    noise = torch.randn(4000, 1, 1, 1, generator=torch.Generator().manual_seed(4))
    found = sample(gaussian(0.5), NANO, NANO.start(noise), 60)
    assert float(found.std()) == pytest.approx(0.5, rel=0.05)


def test_guiding_the_output_and_the_clean_estimate_agree():
    """Methods invariant 11."""
    sigma, x, scales = 2.0, clip(5), edm.rising(1.0, 3.0, 3)
    outputs = {"uncond": clip(6), "full": clip(7)}
    of_output = edm.to_clean(edm.guided(outputs.__getitem__, scales), x, sigma)
    of_clean = edm.guided(
        {name: edm.to_clean(output, x, sigma) for name, output in outputs.items()}.__getitem__, scales
    )
    torch.testing.assert_close(of_output, of_clean)
    torch.testing.assert_close(edm.guided(outputs.__getitem__, scales)[0], outputs["full"][0])
    asked = []
    edm.guided(lambda name: asked.append(name) or outputs[name], edm.rising(1.0, 1.0, 3))
    assert asked == ["full"]
    assert scales.flatten().tolist() == [1.0, 2.0, 3.0]
