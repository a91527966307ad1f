"""The losses and the loop of InstructVid2Vid: what they must equal, and that they learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vedit.diffusion.schedule import Schedule
from vedit.training.instructvid2vid import Settings, consistency_loss, fit, losses
from vedit.training.latents import Triplet, encode_triplets

SCHEDULE = Schedule.scaled_linear(zero_terminal=True, prediction="v", spacing="trailing")


def batch(frames=3):
    generator = torch.Generator().manual_seed(0)
    source, edited = (torch.randn(4, frames, 2, 4, 4, generator=generator) for _ in range(2))
    return source, edited, torch.randn(4, 5, 6, generator=generator), torch.zeros(5, 6)


def oracle(edited):
    """Answers with the true velocity: z and t tell the noise."""

    def network(x, timestep, text):
        z = x[:, :, :2]
        alpha, sigma = SCHEDULE.alpha_sigma(timestep, z)
        noise = (z - alpha * edited) / sigma
        return alpha * noise - sigma * edited

    return network


def test_a_network_that_knows_the_answer_has_no_loss():
    source, edited, text, empty = batch()

    def losses_of(kind):
        settings, generator = Settings(consistency=kind), torch.Generator().manual_seed(1)
        return losses(oracle(edited), SCHEDULE, source, edited, text, empty, settings, generator)

    for kind in ("none", "matched"):
        denoising, consistency = losses_of(kind)
        assert denoising < 1e-4 and consistency < 1e-4
    _, literal = losses_of("literal")
    assert literal > 0.01  # the literal form punishes even the true motion


def test_consistency_of_one_frame_and_of_a_frozen_clip_is_zero():
    weight = torch.ones(2)
    assert consistency_loss("matched", torch.randn(2, 1, 3, 4, 4), torch.randn(2, 1, 3, 4, 4), weight) == 0
    frozen = torch.randn(2, 1, 3, 4, 4).expand(2, 5, 3, 4, 4)
    assert consistency_loss("literal", frozen, torch.randn(2, 5, 3, 4, 4), weight) == 0


def test_the_matched_form_punishes_errors_that_change_from_frame_to_frame_at_every_noise_level():
    truth, error = torch.randn(2, 6, 3, 4, 4), torch.randn(2, 1, 3, 4, 4)
    flicker = error * torch.tensor([1.0, -1.0] * 3).view(1, 6, 1, 1, 1)
    silent = torch.zeros(2)  # terminal noise: ᾱ is zero
    assert consistency_loss("matched", truth + error, truth, silent) < 1e-10
    torch.testing.assert_close(consistency_loss("matched", truth + flicker, truth, silent), 4 * error.square().mean())
    assert consistency_loss("literal", truth, truth, silent) == 0


@pytest.mark.parametrize("kind", ["literal", "matched"])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_the_loss_between_frames_stays_bounded_at_every_noise_level(kind, prediction):
    """The clean estimate of a network that predicts noise has its error 14 times at the last level of SD 1.5."""
    schedule = Schedule.scaled_linear(prediction=prediction)
    truth = torch.zeros(1, 6, 3, 4, 4)
    noise, error = torch.randn(1, 6, 3, 4, 4), 0.1 * torch.randn(1, 6, 3, 4, 4)
    for timestep in (0, 200, 500, 800, 999):
        noisy = schedule.add_noise(truth, noise, timestep)
        wrong = schedule.target(truth, noise, timestep) + error
        estimate = schedule.to_clean(wrong, noisy, timestep)
        level = schedule.alphas_cumprod[torch.tensor([timestep])]
        loss = consistency_loss(kind, estimate, truth, level, prediction)
        assert loss <= 1.01 * error.diff(dim=1).square().mean()
    assert loss > 0 or kind == "literal"


@pytest.mark.parametrize(
    ("drop", "texts", "sources"), [("drop_text", 0, 4), ("drop_source", 4, 0), ("drop_both", 0, 0)]
)
def test_dropout_removes_what_it_says(drop, texts, sources):
    source, edited, text, empty = batch()
    seen = {}

    def network(x, timestep, text):
        seen["text"] = int(text.abs().sum((1, 2)).gt(0).sum())
        seen["source"] = int(x[:, :, 2:].abs().sum((1, 2, 3, 4)).gt(0).sum())
        return x[:, :, :2]

    settings = Settings(**{"drop_text": 0.0, "drop_source": 0.0, "drop_both": 0.0, drop: 1.0})
    losses(network, SCHEDULE, source, edited, text, empty, settings, torch.Generator().manual_seed(2))
    assert seen == {"text": texts, "source": sources}


def test_the_loop_learns_and_resumes(tmp_path):
    """A one-layer network learns 'negative' on 4×4 latents; a resumed run ends at the same weights."""

    def triplets():
        rng = np.random.default_rng(0)
        for _ in range(24):
            clip = rng.random((2, 4, 4, 3)).astype(np.float32)
            yield Triplet(clip, ((1 - clip, ("invert it",), "inverted"),))

    latents = encode_triplets(
        tmp_path / "cache",
        triplets(),
        lambda x: x[:, :2],
        lambda texts: np.ones((len(texts), 3, 6), np.float32),
        24,
        24,
    )
    assert latents.source.shape == (24, 2, 2, 4, 4) and len(latents.pairs) == 24

    class Tiny(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(5, 2)

        def forward(self, x, timestep, text):
            t = timestep.float().div(1000)[:, None, None, None, None].expand(*x.shape[:2], 1, *x.shape[3:])
            return self.layer(torch.cat([x, t], 2).movedim(2, -1)).movedim(-1, 2)

    def run(folder, steps, upto=None, resume=False):
        torch.manual_seed(0)
        network = Tiny()
        settings = Settings(steps=steps, batch=8, rate=3e-2, save_every=30, consistency="none")
        if upto is None:
            fit(folder, network, SCHEDULE, latents, settings, resume=resume)
            return network

        def stop(_, step):
            if step == upto:
                raise KeyboardInterrupt
            return {}

        with pytest.raises(KeyboardInterrupt):
            fit(folder, network, SCHEDULE, latents, settings, check=stop)
        return network

    whole = run(tmp_path / "whole", 90)
    run(tmp_path / "parts", 90, upto=30)
    resumed = run(tmp_path / "parts", 90, resume=True)
    assert torch.equal(whole.layer.weight, resumed.layer.weight)
    lines = (tmp_path / "whole" / "log.jsonl").read_text().splitlines()
    import json

    assert json.loads(lines[-1])["denoising"] < 0.8 * 1.0 and len(lines) >= 2
