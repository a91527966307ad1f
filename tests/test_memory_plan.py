"""The memory plan: what it counts is what lives, the ladder lowers it, and the result stays what it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from vedit import weights
from vedit.errors import ResourceError
from vedit.render import memory
from vedit.weights import load

torch.set_num_threads(1)
MB = 10**6


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_models):
    return tiny_models.write_diffusers(tmp_path_factory.mktemp("sd") / "sd", "StableDiffusionPipeline")


@pytest.fixture
def bundle(model):
    return weights.open_bundle(model, "text2image")


def sizes(**more):
    return {"window": 8, "width": 128, "height": 64, "device": "cpu", "dtype": "fp32"} | more


def test_what_lives_at_once_is_counted_to_the_byte():
    """Two products of a megabyte each, of which one dies before the third comes: two live, the input not counted."""
    x = torch.empty(250_000, device="meta")

    def run():
        a = x + 1
        b = a * 2
        del a
        return b.add_(1).view(500, 500).sum()

    assert memory._peak(run) == 2 * MB
    assert memory._peak(lambda: x[:10]) == 0
    assert memory._peak(lambda: [x + 1 for _ in range(3)]) == 3 * MB


def test_attention_holds_no_matrix_of_all_pairs():
    q = torch.empty(1, 1, 1000, 10, device="meta")
    assert memory._peak(lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q)) == 40_000


def test_weights_are_those_of_the_networks(bundle):
    plan = memory.plan(bundle, **sizes())
    unet = load.load_unet2d(bundle.components["unet"])
    assert plan.weights["unet"] == 4 * sum(one.numel() for one in unet.parameters())
    half = memory.plan(bundle, **sizes(dtype="bf16"))
    assert half.weights["unet"] * 2 == plan.weights["unet"]
    assert half.weights["clip"] == plan.weights["clip"], "text encoders stay in single precision"
    assert half.denoise < plan.denoise


def test_it_grows_with_what_it_should(bundle):
    small, long, large = (memory.plan(bundle, **sizes(**more)) for more in ({}, {"window": 16}, {"width": 256}))
    assert long.denoise == pytest.approx(2 * small.denoise, rel=0.05)
    assert large.decode > 1.5 * small.decode
    assert small.peak > sum(small.weights.values()) + small.denoise


def test_the_count_is_what_torch_allocates(bundle):
    """Against torch's own account of a real run of the autoencoder on the CPU."""
    from torch.profiler import ProfilerActivity, profile

    codec = load.load_vae(bundle.components["vae"])
    latents = torch.zeros(8, codec.channels, 8, 16)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as account, torch.no_grad():
        codec.decode(latents)
    now = most = 0
    profiler: Any = account.profiler
    for event in profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    planned = memory.plan(bundle, **sizes()).decode
    assert planned == pytest.approx(most, rel=0.25)


def test_the_ladder(bundle):
    free = memory.plan(bundle, **sizes(window=4, width=512, height=512))
    assert max(free.encode, free.decode) > free.denoise, "the autoencoder is the worst at this size"
    options = sizes(window=4, width=512, height=512) | {"overlap": 0}
    whole = memory.fit(bundle, 10**12, **options)
    assert (whole.steps, whole.window) == ((), 4)
    sliced = memory.fit(bundle, free.peak - 1, **options)
    assert sliced.steps == ("the autoencoder sees one frame at once, not 2",)
    assert sliced.peak < free.peak
    tiled = memory.fit(bundle, sliced.peak - 1, **options)
    assert tiled.tiled
    assert tiled.steps[1:2] == ("the autoencoder sees tiles of 256 pixels",)
    shorter = memory.fit(bundle, tiled.peak - 1, **options)
    assert shorter.window < 4
    assert shorter.steps[-1] == f"windows of {shorter.window} frames, not 4"
    with pytest.raises(
        ResourceError, match=r"^--vram 0.1G: 0.7 GB are needed even with the autoencoder .*does not move"
    ):
        memory.fit(bundle, 100 * MB, **options)


def test_frame_by_frame_is_the_same_and_tiles_nearly(bundle):
    codec, again = (load.load_vae(bundle.components["vae"]) for _ in range(2))
    latents = torch.randn(3, codec.channels, 48, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = codec.decode(latents)
        again.limit(1, None)
        assert again.decode(latents).allclose(whole, atol=1e-3)
        again.limit(1, 256)
        tiled = again.decode(latents)
    assert tiled.shape == whole.shape
    assert not tiled.allclose(whole, atol=1e-6)
    assert (tiled - whole).abs().mean() < 0.2 * whole.std()


def test_the_option(model, tmp_path, capfd, monkeypatch):
    import sys

    from vedit.cli import app
    from vedit.world.clipfile import write_clip

    clip = tmp_path / "in.mp4"
    write_clip(clip, torch.rand(9, 64, 96, 3, generator=torch.Generator().manual_seed(0)).numpy(), 8)

    def run(*more: str) -> tuple[int, str, str]:
        words = [
            "prompt-edit",
            str(clip),
            "--source",
            "a dog",
            "--target",
            "a cat",
            "-m",
            str(model),
            "--method",
            "sdedit",
        ]
        monkeypatch.setattr(sys, "argv", ["vedit", *words, "--size", "64", "--steps", "2", "--dtype", "fp32", *more])
        capfd.readouterr()
        code = app.run()
        said = capfd.readouterr()
        return code, str(said.out), str(said.err)

    code, out, _ = run("--dry-run", "--json", "--vram", "8G")
    plan = json.loads(out)["memory_plan"]
    assert code == 0
    assert (plan["limit"], plan["steps"]) == (8 * 10**9, [])
    assert plan["peak"] > plan["denoise"] > 0
    assert json.loads(run("--dry-run", "--json")[1])["memory_plan"] is None
    limit = f"{(plan['peak'] - 1) / 1e6}M"
    code, out, err = run("--json", "--vram", limit, "-o", str(tmp_path / "out.mp4"))
    assert code == 0, err
    done = json.loads(out)
    assert done["memory_plan"]["steps"]
    assert any(warning.startswith(f"--vram {limit}: ") for warning in done["warnings"])
    sidecar = json.loads((tmp_path / "out.mp4.vedit.json").read_text())
    assert limit in json.dumps(sidecar)
    code, _, err = run("--dry-run", "--vram", "1M")
    assert (code, err.count("\n")) == (5, 1)
    assert run("--dry-run", "--vram", "much")[0] == 2
