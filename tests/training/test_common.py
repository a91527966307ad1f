"""Training that is cut off and resumed arrives at the same weights as training that was not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vedit.engines import base
from vedit.errors import VeditError
from vedit.training.common import Average, Means, Run, autocast, prefetch, quick_dtype, step_rng, warm_cosine


def train(folder, steps, upto, resume=False):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 1))
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    average = Average(network, 0.9)
    run = Run(folder, {"steps": steps}, resume)
    run.restore(network, optimiser, average)
    for step in range(run.first_step, upto):
        x = torch.from_numpy(step_rng(1, step).standard_normal((16, 4)).astype("float32"))
        loss = (network(x) - x.sum(1, keepdim=True)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        average.update(network, step)
    run.save(upto, network, optimiser, average)
    return network, average


def test_resuming_gives_the_same_weights(tmp_path):
    whole, whole_average = train(tmp_path / "whole", 20, 20)
    train(tmp_path / "parts", 20, 9)
    parts, parts_average = train(tmp_path / "parts", 20, 20, resume=True)
    for a, b in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(a, b)
    assert all(torch.equal(whole_average.values[k], parts_average.values[k]) for k in whole_average.values)


@pytest.mark.parametrize("fused", [False, True])
def test_the_count_of_steps_is_where_the_optimiser_reads_it(tmp_path, fused):
    """A fused kernel reads it on the device, where torch puts it at the first step; here the meta device plays one."""
    train(tmp_path, 5, 5)
    with torch.device("meta"):
        network = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 1))
    optimiser = torch.optim.AdamW(network.parameters())
    optimiser.param_groups[0]["fused"] = fused
    Run(tmp_path, {"steps": 5}, resume=True).restore(network, optimiser, None)
    states = list(optimiser.state.values())
    assert len(states) == 4
    assert {state["step"].device.type for state in states} == {"meta" if fused else "cpu"}
    assert {state["exp_avg"].device.type for state in states} == {"meta"}


def test_a_folder_with_a_training_is_not_overwritten(tmp_path):
    train(tmp_path, 5, 5)
    with pytest.raises(VeditError, match="--resume"):
        Run(tmp_path, {"steps": 5}, resume=False)


def test_resuming_with_other_settings_is_refused_and_named(tmp_path):
    train(tmp_path, 5, 5)
    with pytest.raises(VeditError, match="steps"):
        Run(tmp_path, {"steps": 6}, resume=True)


def test_a_loss_that_is_not_finite_stops(tmp_path):
    run = Run(tmp_path, {}, False)
    with pytest.raises(VeditError, match="not finite"):
        run.log(3, loss=float("nan"))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_prefetch_keeps_the_order_and_passes_exceptions_on(device):
    assert [v for _, v in prefetch(lambda s: s * s, range(7), device)] == [s * s for s in range(7)]

    def broken(step):
        if step == 3:
            raise KeyError("three")
        return step

    with pytest.raises(KeyError, match="three"):
        list(prefetch(broken, range(6), device))


def test_means_are_of_what_was_added_since():
    means = Means()
    means.add(a=1.0, b=torch.tensor(2.0))
    means.add(a=3.0)
    assert means.take() == {"a": 2.0, "b": 2.0} and means.take() == {}


def test_the_learning_rate_warms_up_and_decays():
    factors = [warm_cosine(s, 1000, warm=100) for s in range(1000)]
    assert factors[0] == pytest.approx(0.01) and max(factors) == pytest.approx(1.0) and factors[-1] < 0.03
    assert factors.index(max(factors)) in (99, 100)


@pytest.mark.parametrize(("has", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_half_precision_is_used_where_the_processor_has_it(monkeypatch, has, dtype):
    monkeypatch.setattr(base, "_cpu_has_bf16", lambda: has)
    layer = torch.nn.Linear(4, 4)
    with autocast("cpu"):
        assert layer(torch.zeros(2, 4)).dtype is quick_dtype("cpu") is dtype


def test_a_damaged_state_is_one_line_and_nothing_to_resume_is_told(tmp_path):
    said: list[str] = []
    Run(tmp_path / "fresh", {"recipe": "x"}, True, say=said.append)
    assert said == [f"{tmp_path / 'fresh'}: no checkpoint to go on from; begins at step 0"]
    (tmp_path / "damaged").mkdir()
    for content in ("{", "[]", '{"identity": 3}'):
        (tmp_path / "damaged" / "state.json").write_text(content)
        with pytest.raises(VeditError, match=r"state\.json: cannot be read .*another folder"):
            Run(tmp_path / "damaged", {"recipe": "x"}, True)
