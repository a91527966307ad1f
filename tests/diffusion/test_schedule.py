import itertools
import json
import math
from typing import Any

import pytest
import torch

from vedit.diffusion.schedule import Schedule
from vedit.errors import ModelError

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}
CONFIGS = {
    "sd": SD | {"steps_offset": 1, "set_alpha_to_one": False},
    "nano": SD | {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
    "linspace": SD | {"timestep_spacing": "linspace"},
    "linear": {"clip_sample": False, "num_train_timesteps": 500},
}


def reference(config) -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(**config)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("steps", [1, 5, 20, 50])
def test_grid_and_levels_agree_with_diffusers(name, steps):
    ours, theirs = Schedule.from_config(CONFIGS[name]), reference(CONFIGS[name])
    theirs.set_timesteps(steps)
    assert ours.timesteps(steps) == theirs.timesteps.tolist()
    torch.testing.assert_close(ours.alphas_cumprod.float(), theirs.alphas_cumprod, rtol=2e-4, atol=1e-6)
    assert math.isclose(ours.final_alpha_cumprod, float(theirs.final_alpha_cumprod), rel_tol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_add_noise_and_velocity_agree_with_diffusers(name):
    ours, theirs = Schedule.from_config(CONFIGS[name]), reference(CONFIGS[name])
    clean, noise = torch.randn(2, 3, 4, 2, 2), torch.randn(2, 3, 4, 2, 2)
    timestep = torch.tensor([7, len(ours) - 1])
    torch.testing.assert_close(
        ours.add_noise(clean, noise, timestep), theirs.add_noise(clean, noise, timestep), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(
        ours.velocity(clean, noise, timestep), theirs.get_velocity(clean, noise, timestep), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_conversions_invert_each_other(prediction):
    schedule = Schedule.scaled_linear(prediction=prediction)
    clean, noise, timestep = torch.randn(2, 5), torch.randn(2, 5), torch.tensor([0, 900])
    noisy, target = schedule.add_noise(clean, noise, timestep), schedule.target(clean, noise, timestep)
    torch.testing.assert_close(schedule.to_clean(target, noisy, timestep), clean, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(schedule.to_noise(target, noisy, timestep), noise, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(schedule.clean_to_noise(clean, noisy, timestep), noise, rtol=1e-3, atol=1e-4)
    velocity = schedule.velocity(clean, noise, timestep)
    torch.testing.assert_close(schedule.clean_to_velocity(clean, noisy, timestep), velocity, rtol=1e-3, atol=1e-4)


def test_zero_terminal_snr_is_exact():
    schedule = Schedule.scaled_linear(zero_terminal=True, prediction="v", spacing="trailing")
    clean, noise, last = torch.randn(1, 5), torch.randn(1, 5), len(schedule) - 1
    assert float(schedule.alphas_cumprod[-1]) == 0.0
    assert float(schedule.snr(last)) == 0.0
    assert torch.equal(schedule.add_noise(clean, noise, last), noise)
    assert torch.equal(schedule.to_clean(-clean, noise, last), clean)
    assert torch.equal(schedule.to_noise(-clean, noise, last), noise)
    assert torch.equal(schedule.clean_to_noise(clean, noise, last), noise)
    assert torch.equal(schedule.clean_to_velocity(clean, noise, last), -clean)
    assert schedule.timesteps(4)[0] == last


def test_epsilon_with_zero_terminal_snr_is_refused():
    with pytest.raises(ModelError, match="v_prediction"):
        Schedule.scaled_linear(zero_terminal=True, prediction="epsilon")


def test_config_file_and_folder(tmp_path):
    (tmp_path / "scheduler_config.json").write_text(json.dumps(CONFIGS["nano"]))
    for path in (tmp_path, tmp_path / "scheduler_config.json"):
        assert Schedule.from_config(path).prediction == "v"
    with pytest.raises(ModelError, match="no such file"):
        Schedule.from_config(tmp_path / "elsewhere.json")


@pytest.mark.parametrize(
    "change", [{"prediction_type": "flow"}, {"timestep_spacing": "other"}, {"beta_schedule": "cosine"}]
)
def test_unknown_settings_are_refused(change):
    with pytest.raises(ModelError, match=next(iter(change))):
        Schedule.from_config(SD | change)


def test_steps_chain_and_bounds():
    steps = Schedule.scaled_linear(spacing="trailing").steps(7)
    assert all(a.next_alpha == b.alpha for a, b in itertools.pairwise(steps))
    assert (steps[-1].next_alpha, steps[-1].next_sigma) == (1.0, 0.0)
    with pytest.raises(ValueError, match="steps"):
        Schedule.scaled_linear().timesteps(0)
