"""How networks run changes what that takes and not what comes out: batched guidance, memory layout, compiling, weights
that wait elsewhere."""

from __future__ import annotations

import math
import weakref
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from vedit import engines, weights
from vedit.engines.base import Drag, Execution, Spread, Window
from vedit.engines.tcve import TCVE
from vedit.engines.tune_a_video import TuneAVideo
from vedit.errors import UsageError
from vedit.jobs import PromptPair
from vedit.nets import placing
from vedit.render import memory
from vedit.weights import adapter as adapters
from vedit.weights.adapter import About

from .controls import write_control
from .tiny import clip_frames, write_bundle, write_diffusers, write_image2video

torch.set_num_threads(1)
STEPS = 2
PAIR = PromptPair("a red ball", "a no ow")
BATCHED = [method for method in engines.METHODS if "batch_guidance" not in engines._engine(method).hinders]
COMPILED = [method for method in engines.METHODS if "compile" not in engines._engine(method).hinders]
# Random networks there and back make much of rounding, of which another copy of the weights has another.
INVERTING = [method for method in engines.METHODS if "inversion_steps" in engines.settings_of(method).model_fields]
ROLE = {method: engines.ROLES[command] for command, methods in engines.COMMANDS.items() for method in methods}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "instruct": weights.open_bundle(write_bundle(folder / "tiny"), "instruct"),
        "image2video": weights.open_bundle(write_image2video(folder / "i"), "image2video"),
        "text2image": weights.open_bundle(write_diffusers(folder / "t", "StableDiffusionPipeline"), "text2image"),
    }


def adapter(method: str, bundle: Any, folder: Path) -> str | None:
    """One for the methods that need one; what it adds is disturbed, so that frames and branches matter."""
    if not engines.takes_adapter(method):
        return None
    if method == "revideo":
        return str(write_control(bundle.path, folder))
    kind: Any = {"tcve": TCVE, "tune-a-video": TuneAVideo}[method]
    torch.manual_seed(3)
    network = kind.Network(weights.load_unet2d(bundle.components["unet"]), kind.Config())
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.trained().values():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    about = About(kind.name, bundle.name, bundle.parts_sha256, {}, PAIR.source)
    return str(adapters.save(folder, about, network.trained()))


def build(method: str, bundles: dict[str, Any], folder: Path, **how: bool) -> Any:
    bundle = bundles[ROLE[method]]
    settings: dict[str, Any] = {"steps": 4} if method == "anyv2v" else {"steps": STEPS}
    if ROLE[method] == "text2image":
        settings["guidance"] = 2.0  # more would make noise of rounding, in random networks
    return engines.load(
        method, bundle, settings, dtype="fp32", execution=Execution(**how),
        adapter=adapter(method, bundle, folder / "adapter"),
    )  # fmt: skip


def edited(engine: Any) -> tuple[torch.Tensor, int]:
    """What comes out, and after how many evaluations."""
    prompt: Any = {"instruct": "make it snowy", "text2image": PAIR}.get(ROLE[engine.name])
    if engine.name == "revideo":
        prompt = Drag(torch.ones(64, 64), torch.full((8, 1, 2), 16.0, dtype=torch.float64))
    elif prompt is None:
        prompt = Spread(torch.zeros(3, 64, 64))
    with torch.inference_mode():
        done = engine.edit(Window(clip_frames(4, 64, 64), 0), prompt)
    return done.frames, done.evaluations


def network(engine: Any) -> torch.nn.Module:
    for found in (getattr(engine, "_tuned", None), getattr(engine, "network", None)):
        if found is not None:
            return found
    return engine.base.network


@pytest.fixture(scope="module")
def plain(bundles, tmp_path_factory) -> Any:
    """Every method as it runs without options."""
    return cache(lambda method: edited(build(method, bundles, tmp_path_factory.mktemp("plain"))))


def parts(engine: Any) -> tuple[torch.nn.Module, ...]:
    base = getattr(engine, "base", engine)
    return base.codec, base.encoder, network(engine)


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-2 * float(wanted.std()), rtol=0)


@pytest.mark.parametrize("method", BATCHED)
def test_batched_guidance_is_the_same_with_fewer_calls(bundles, plain, tmp_path, method):
    engine = build(method, bundles, tmp_path, batch_guidance=True)
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    network(engine).register_forward_hook(count)
    frames, evaluations = edited(engine)
    close(frames, plain(method)[0])
    assert evaluations == plain(method)[1], "a branch on a window is one, however it is asked for"
    branches = engines.branches(method, engine.settings)
    assert branches > 1
    assert evaluations - calls in ((branches - 1) * STEPS, (branches - 1) * (STEPS - 1))  # SDEdit may leave one out


@pytest.mark.parametrize("method", sorted(set(engines.METHODS) - set(BATCHED)))
def test_what_tells_branches_apart_refuses(method):
    with pytest.raises(UsageError, match=f"^--batch-guidance: is not for {method}: .*; leave it out$"):
        engines.check_execution(method, Execution(batch_guidance=True))
    engines.check_execution(method, Execution(channels_last=True))


@pytest.mark.parametrize("method", sorted(set(engines.METHODS) - set(COMPILED)))
def test_what_changes_layers_is_not_compiled(method):
    with pytest.raises(UsageError, match=f"^--compile: is not for {method}: .*; leave it out$"):
        engines.check_execution(method, Execution(compile=True))


@pytest.mark.parametrize("method", COMPILED)
def test_compiled_is_the_same_and_one_graph(bundles, plain, tmp_path, method, monkeypatch):
    """By a compiler that only counts; a second graph is one for other sizes, and an edit has one size."""
    graphs = []

    def count(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(placing, "BACKEND", count)
    torch._dynamo.reset()
    wanted = plain(method)[0]
    engine = build(method, bundles, tmp_path, compile=True)
    assert not graphs
    close(edited(engine)[0], wanted)
    assert len(graphs) == 1
    close(edited(engine)[0], wanted)
    assert len(graphs) == 1


@pytest.mark.parametrize("method", ["instructvid2vid", "sdedit", "anyv2v"])
def test_channels_last_is_the_same(bundles, plain, tmp_path, method):
    engine = build(method, bundles, tmp_path, channels_last=True)
    wide = [p for p in network(engine).parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[-1] > 1]
    assert wide
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in wide)
    if method not in INVERTING:
        close(edited(engine)[0], plain(method)[0])


@pytest.mark.parametrize("method", list(engines.METHODS))
def test_weights_that_wait_elsewhere(bundles, plain, tmp_path, method, monkeypatch):
    """What waits is spoilt: a layer that takes it as it is gives no numbers. And few weights are here at any time."""
    true: dict[int, torch.Tensor] = {}
    here, most = 0, 0

    def bring(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        nonlocal here, most
        copy = true[id(tensor)].clone()
        size = copy.numel() * copy.element_size()
        here += size
        most = max(most, here)

        def gone(size: int = size) -> None:
            nonlocal here
            here -= size

        copy = torch.nn.Parameter(copy, requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else copy
        weakref.finalize(copy, gone)
        return copy

    engine = build(method, bundles, tmp_path, offload=True)
    monkeypatch.setattr(placing, "bring", bring)
    for part in parts(engine):
        for tensor in (*part.parameters(), *part.buffers()):
            if id(tensor) not in true:
                true[id(tensor)] = tensor.detach().clone()
                if tensor.is_floating_point():
                    tensor.data.fill_(math.nan)
    found = edited(engine)[0]
    assert found.isfinite().all()
    if method not in INVERTING:
        close(found, plain(method)[0])
    planned = memory.plan(bundles[ROLE[method]], window=4, width=64, height=64, device="cuda", dtype="fp32")
    assert 0 < most <= 1.01 * planned.largest  # buffers are in no file
    assert most < sum(planned.weights.values())
    assert here == 0
