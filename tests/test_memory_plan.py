"""The memory plan: what it counts is what lives, the ladder lowers it, and the result stays what it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
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
    with_more = memory.plan(bundle, **sizes(), along=8)
    assert with_more.denoise == pytest.approx(long.denoise, rel=0.01), "the network sees them too"
    assert (with_more.encode, with_more.decode) == (small.encode, small.decode), "the autoencoder does not"
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
        ResourceError, match=r"^--vram 0.1G: 0.7 GB are needed even with the autoencoder .*that is the main memory"
    ):
        memory.fit(bundle, 100 * MB, **options)


@pytest.mark.parametrize("method", ["tcve", "tune-a-video"])
def test_what_a_method_sets_beside_the_network_counts(bundle, method):
    """Without an adapter yet, as the method begins."""
    plain, tuned = (memory.plan(bundle, **sizes(), method=name) for name in ("sdedit", method))
    assert tuned.denoise > plain.denoise
    assert (tuned.encode, tuned.decode) == (plain.encode, plain.decode)
    longer = memory.plan(bundle, **sizes(window=16), method=method)
    assert longer.denoise == pytest.approx(2 * tuned.denoise, rel=0.1)


def test_branches_at_once_come_apart_first(bundle, monkeypatch):
    one, both = (memory.plan(bundle, **sizes(), branches=count) for count in (1, 2))
    assert both.denoise == pytest.approx(2 * one.denoise, rel=0.1)
    assert (one.decode, one.weights) == (both.decode, both.weights)

    def large(made: memory.MemoryPlan, *_: Any) -> memory.MemoryPlan:
        """As it is with a large network: its own features are the most."""
        return replace(made, encode=MB, decode=MB, denoise=10 * MB * made.branches * made.window)

    monkeypatch.setattr(memory, "_measured", large)
    whole = memory.plan(bundle, **sizes(), branches=2)
    apart = memory.fit(bundle, whole.peak - 1, **sizes(), overlap=0, branches=2)
    assert apart.branches == 1
    assert apart.steps == ("the branches of the guidance one after the other",)


def test_weights_wait_elsewhere_as_the_last_step(bundle, monkeypatch):
    """And the steps before it are taken back as far as they are not needed any more."""

    def large(made: memory.MemoryPlan, *_: Any) -> memory.MemoryPlan:
        coded = 10 * MB * (made.pixels_at_once or made.window) // (1 + made.tiled)
        return replace(made, encode=coded, decode=coded, denoise=MB * made.window)

    monkeypatch.setattr(memory, "_measured", large)
    monkeypatch.setattr(memory, "_layer_bytes", lambda part, size: {"a": size * MB, "b": size * 30 * MB})
    options = sizes(window=4, device="cuda") | {"overlap": 0}
    whole = memory.plan(bundle, **sizes(window=4, device="cuda"))
    assert whole.largest == 2 * 30 * 4 * MB, "the layer that goes, and the next one"
    limit = whole.peak - sum(whole.weights.values()) + whole.largest
    moved = memory.fit(bundle, limit, **options)
    assert moved.offload
    assert moved.peak == limit
    assert moved.steps == ("the weights wait in main memory and come layer by layer",)
    assert (moved.window, moved.tiled, moved.pixels_at_once) == (4, False, None)
    tighter = memory.fit(bundle, limit - 1, **options)
    assert tighter.offload
    assert tighter.steps[0] == moved.steps[0]
    assert len(tighter.steps) > 1
    with pytest.raises(ResourceError, match="which stay where they are with --compile"):
        memory.fit(bundle, limit, **options, compiled=True)
    with pytest.raises(ResourceError, match="come layer by layer"):
        memory.fit(bundle, 100 * MB, **options)


def test_fp16_leaves_room_for_an_autoencoder_that_overflows(bundle):
    """It may come to compute in fp32; the networks do not."""
    half, single, narrow = (memory.plan(bundle, **sizes(dtype=dtype)) for dtype in ("fp16", "fp32", "bf16"))
    assert (half.decode, half.weights["vae"]) == (single.decode, single.weights["vae"])
    assert (half.denoise, half.weights["unet"]) == (narrow.denoise, narrow.weights["unet"])
    assert memory.vae_dtype(bundle, "fp16") == "fp16"


def test_layers_are_those_of_the_file(bundle):
    unet = load.load_unet2d(bundle.components["unet"])
    layers = memory._layer_bytes(bundle.components["unet"], 4)
    for name, module in unet.named_modules():
        size = 4 * sum(p.numel() for p in module.parameters(recurse=False))
        assert layers.get(name, 0) == size


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
    assert sidecar["memory_plan"]["steps"] == done["memory_plan"]["steps"]
    assert done["execution"] == sidecar["execution"]
    assert not any(done["execution"].values())
    code, out, err = run("--json", "--channels-last", "--batch-guidance", "-y", "-o", str(tmp_path / "out.mp4"))
    assert code == 0, err
    sidecar = json.loads((tmp_path / "out.mp4.vedit.json").read_text())
    for told in (json.loads(out)["execution"], sidecar["execution"]):
        assert told == {"channels_last": True, "compile": False, "batch_guidance": True, "offload": False}
    assert sidecar["job"]["batch_guidance"]
    code, _, err = run("--dry-run", "--batch-guidance", "--method", "fatezero")
    assert (code, err.count("\n")) == (2, 1)
    assert "--batch-guidance: is not for fatezero" in err
    code, _, err = run("--dry-run", "--vram", "1M")
    assert (code, err.count("\n")) == (5, 1)
    assert run("--dry-run", "--vram", "much")[0] == 2


def test_an_autoencoder_that_overflows_is_told(tmp_path, tiny_models, monkeypatch):
    """Half precision on the CPU is refused for being slow; here it is let through."""
    from safetensors.torch import load_file, save_file

    from vedit import render
    from vedit.engines import base
    from vedit.jobs import EditJob
    from vedit.world.clipfile import write_clip

    folder = tiny_models.write_diffusers(tmp_path / "sd", "StableDiffusionPipeline")
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    tensors["post_quant_conv.weight"] *= 100.0
    tensors["decoder.conv_in.weight"] *= 1e5
    save_file(tensors, file, metadata={"format": "pt"})
    clip = tmp_path / "in.mp4"
    write_clip(clip, torch.rand(3, 64, 64, 3, generator=torch.Generator().manual_seed(0)).numpy(), 8)
    monkeypatch.setattr(base, "choose_dtype", lambda name, device: torch.float16)
    job = EditJob.build(
        command="prompt-edit", method="sdedit", source_prompt="a dog", prompt="a cat", input=str(clip), size=64,
        output=str(tmp_path / "out.mp4"), model=str(folder), device="cpu", settings={"steps": 2},
    )  # fmt: skip
    plan = render.plan(job)
    assert (plan.report()["dtype"], plan.report()["vae_dtype"]) == ("fp16", "fp16")
    done = render.run(plan)
    assert done.report()["vae_dtype"] == "fp32"
    assert any("overflowed in fp16" in warning for warning in done.warnings)
    sidecar = json.loads((tmp_path / "out.mp4.vedit.json").read_text())
    assert (sidecar["dtype"], sidecar["vae_dtype"]) == ("fp16", "fp32")


def test_a_video_model_is_planned_too(tmp_path, tiny_models):
    """Where diffusers makes a few tensors on the CPU, whatever it is told."""
    bundle = weights.open_bundle(tiny_models.write_image2video(tmp_path / "svd"), "image2video")
    one, both = (memory.plan(bundle, **sizes(width=64), branches=count) for count in (1, 2))
    assert both.denoise > 1.5 * one.denoise
    assert memory.vae_dtype(bundle, "fp16") == "fp32"
    assert memory.vae_dtype(bundle, "bf16") == "bf16"


def test_a_control_branch_is_part_of_the_plan(tmp_path, tiny_models):
    """As much as what lives when the network with the branch runs."""
    from dataclasses import asdict

    from vedit.nets.revideo import Conditions, ReVideoConfig, ReVideoUNet
    from vedit.weights import adapter

    bundle = weights.open_bundle(tiny_models.write_bundle(tmp_path / "tiny"), "image2video")
    base = load.load_image2video_unet(bundle.components["unet"])
    config = ReVideoConfig.of(base.config)
    network = ReVideoUNet(base, config)
    about = adapter.About("revideo", bundle.name, bundle.parts_sha256, asdict(config) | {"stage": 3})
    file = str(adapter.save(tmp_path / "control", about, network.added()))
    alone, both = (memory.plan(bundle, **sizes(window=4), adapter=one) for one in (None, file))
    given = Conditions(*(torch.empty(1, n, c, 64, 128, device="meta") for n, c in ((4, 2), (1, 1), (4, 3))))
    network.to("meta")
    clip = torch.empty(1, 4, base.config["in_channels"], 8, 16, device="meta")
    inputs = (clip, torch.zeros((), device="meta"), torch.empty(1, 1, 16, device="meta"))
    with torch.no_grad():
        alive = memory._peak(lambda: network(*inputs, torch.empty(1, 3, device="meta"), given))
    assert both.denoise == pytest.approx(alive, rel=0.02) and both.denoise > 1.2 * alone.denoise
    assert "adapter" not in both.report()


def test_the_model_that_makes_the_first_frame_has_a_plan_too(tmp_path, tiny_models):
    from vedit.jobs import EditJob
    from vedit.render.planning import plan
    from vedit.world.clipfile import write_clip

    model = tiny_models.write_bundle(tmp_path / "tiny")
    clip = tmp_path / "in.mp4"
    write_clip(clip, torch.rand(6, 64, 96, 3, generator=torch.Generator().manual_seed(0)).numpy(), 8)

    def planned(**more):
        job = EditJob.build(
            command="first-frame-edit", input=str(clip), output=str(tmp_path / "out.mp4"), method="anyv2v",
            model=str(model), size=64, device="cpu", dtype="fp32", **more,
        )  # fmt: skip
        return plan(job)

    picture = tmp_path / "edited.png"
    cv2.imwrite(str(picture), np.zeros((64, 96, 3), np.uint8))
    given = planned(first_frame=str(picture), vram="8G")
    assert given.drawing is None and "memory_plan" not in given.report()["first_frame"]
    drawn = planned(instruction="invert", instruct_model=str(model), vram="8G")
    own = drawn.report()["first_frame"]["memory_plan"]
    assert own["window"] == 1 and own["limit"] == 8 * 10**9 and own["peak"] != drawn.report()["memory_plan"]["peak"]
    assert drawn.estimated_memory_mb >= given.estimated_memory_mb
    free = planned(instruction="invert", instruct_model=str(model)).drawing
    assert free is not None and free.memory is None
    with pytest.raises(ResourceError, match=r"^--vram 0.0G"):
        planned(instruction="invert", instruct_model=str(model), vram="1M")


def test_the_first_frame_is_made_at_the_size_of_the_model_that_makes_it(tmp_path, tiny_models):
    """As ``vedit instruct`` would, whatever the other model works at."""
    from vedit import weights
    from vedit.jobs import EditJob
    from vedit.render.planning import plan
    from vedit.world.clipfile import write_clip

    model = tiny_models.write_bundle(tmp_path / "tiny")
    for role, size in (("instruct", 128), ("image2video", 64)):
        file = model / role / "preset.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"size": size}))
    weights.write_manifest(model)
    clip = tmp_path / "in.mp4"
    write_clip(clip, torch.rand(6, 64, 96, 3, generator=torch.Generator().manual_seed(0)).numpy(), 8)

    def planned(**more):
        job = EditJob.build(
            command="first-frame-edit", input=str(clip), output=str(tmp_path / "out.mp4"), method="anyv2v",
            model=str(model), device="cpu", dtype="fp32", instruction="invert", instruct_model=str(model), **more,
        )  # fmt: skip
        return plan(job)

    own, asked = planned(), planned(size=32)
    assert own.drawing is not None and asked.drawing is not None
    assert (own.working_height, own.drawing.height) == (64, 128)
    assert (asked.working_height, asked.drawing.height) == (32, 32)


def test_a_gpu_with_too_little_room_is_told_before_weights_are_loaded(model, tmp_path, tiny_models, monkeypatch):
    from vedit.jobs import EditJob
    from vedit.render import machine, planning
    from vedit.world.clipfile import write_clip

    clip = tmp_path / "clip.mp4"
    frames = tiny_models.clip_frames(4, 32, 48).permute(0, 2, 3, 1).numpy() * 0.5 + 0.5
    write_clip(clip, frames.astype(np.float32), 12)
    monkeypatch.setattr(machine, "choose_device", lambda device: "cuda:0")
    free = [10**8]
    monkeypatch.setattr(machine, "gpu_free_bytes", lambda device: free[0])
    job = EditJob.build(
        command="prompt-edit", method="sdedit", model=str(model), input=str(clip), output=str(tmp_path / "out.mp4"),
        source_prompt="a ball", prompt="snow", size=32, dtype="fp32",
    )  # fmt: skip
    said = [warning for warning in planning.plan(job).warnings if "on cuda:0" in warning]
    assert len(said) == 1
    assert said[0].endswith("0.1 GB are free; --vram 100M finds what fits")
    free[0] = 10**12
    assert not any("on cuda:0" in warning for warning in planning.plan(job).warnings)
