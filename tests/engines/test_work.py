"""What a method says beforehand that a window takes is what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from vedit import engines, weights
from vedit.cache import Cache
from vedit.engines.base import Drag, Share, Spread, Window, Work
from vedit.engines.tcve import TCVE
from vedit.engines.tune_a_video import TuneAVideo
from vedit.jobs import PromptPair
from vedit.weights import adapter as adapters
from vedit.weights import read_layers
from vedit.weights.adapter import About

from .controls import write_control
from .tiny import SCHEDULER, clip_frames, write_bundle, write_diffusers, write_image2video

torch.set_num_threads(1)


def tuned(kind: Any) -> Any:
    """Writes the adapter of a method that is tuned to a clip, untrained."""

    def write(bundle: Any, folder: Path) -> Path:
        network = kind.Network(weights.load_unet2d(bundle.components["unet"]), kind.Config())
        about = About(kind.name, bundle.name, bundle.parts_sha256, {}, PAIR.source)
        return adapters.save(folder, about, network.trained())

    return write


PAIR = PromptPair("a red ball", "a no ow")
ADAPTED: dict[str, Any] = {
    "tcve": tuned(TCVE),
    "tune-a-video": tuned(TuneAVideo),
    "revideo": lambda bundle, folder: write_control(bundle.path, folder),
}
PLAN = ((0, 5, 0), (3, 5, 2))  # first, count, reference
BRANCHES = {"both": 3.0, "one": 1.0}
MORE: dict[str, dict[str, dict[str, Any]]] = {
    "instructvid2vid": {"three branches": {"video_guidance": 1.5}},
    "video-instruct-pix2pix": {"small chunks": {"chunk": 2, "video_guidance": 1.0}},
    "sdedit": {"half of the way": {"strength": 0.5}},
    "text2video-zero": {"fixed points": {"fixed_point": 1, "inversion_steps": 6}},
    "fatezero": {
        "less": {"cross_replace": 0.5, "self_replace": 0.25},
        "stored": {"maps": "store"},
        "blended": {"cross_replace": 0.0, "self_replace": 0.0, "mask_threshold": 0.3, "blend": True},
    },
    "tokenflow": {"sdedit": {"variant": "sdedit", "strength": 0.5}, "small batches": {"batch": 2}},
    "anyv2v": {
        "exact": {"fixed_point": 1, "inversion_steps": 7},
        "from all noise": {"highest": 1000.0},
        "most of it": {"convolution": 0.9, "spatial": 0.0},
    },
    "tcve": {"no context": {"context": 0}},
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By what they are for. Where the levels end at noise alone, an inversion leaves steps out."""
    folder, plain = tmp_path_factory.mktemp("models"), "StableDiffusionPipeline"
    return {
        "instruct": weights.open_bundle(write_bundle(folder / "tiny"), "instruct"),
        "image2video": weights.open_bundle(write_image2video(folder / "i"), "image2video"),
        "prompt-edit": weights.open_bundle(write_diffusers(folder / "v", plain, **SCHEDULER), "text2image"),
    }


def asked(method: str) -> tuple[str, Any]:
    """The role of the model that a method needs, and what it is asked for."""
    if method == "revideo":
        return "image2video", Drag(torch.ones(32, 32), torch.full((8, 1, 2), 16.0, dtype=torch.float64))
    if method == "anyv2v":
        return "image2video", Spread(torch.zeros(3, 32, 32))
    return ("instruct", "make it snowy") if method in engines.COMMANDS["instruct"] else ("prompt-edit", PAIR)


def guided(method: str, scale: float) -> dict[str, float]:
    """The settings that guide by ``scale``; of one, no method needs a second branch."""
    if asked(method)[0] == "image2video":
        return {"min_guidance": 1.0, "max_guidance": scale}
    return {"guidance": scale}


def cases() -> list[Any]:
    return [
        pytest.param(method, guided(method, scale) | extra, id=f"{method}-{name}-{said}")
        for method in engines.METHODS
        for said, extra in ({"": {}} | MORE.get(method, {})).items()
        for name, scale in list(BRANCHES.items())[: None if not extra else 1]
    ]


@pytest.mark.parametrize(("method", "settings"), cases())
def test_evaluations_are_as_foreseen(bundles, tmp_path, method: str, settings: dict[str, Any]) -> None:
    role, prompt = asked(method)
    bundle, frames = bundles[role], clip_frames(8, 32, 32)
    adapter = ADAPTED[method](bundle, tmp_path / "adapter") if engines.takes_adapter(method) else None
    engine: Any = engines.load(
        method,
        bundle,
        {"steps": 4} | settings,
        dtype="fp32",
        cache=Cache(tmp_path / "cache"),
        adapter=adapter and str(adapter),
    )
    seen = 0

    def count(module: Any, inputs: tuple[Any, ...], *more: Any) -> None:
        nonlocal seen
        seen += inputs[0].shape[0] if inputs[0].ndim == 4 else inputs[0].shape[0] * inputs[0].shape[1]

    network = getattr(engine, "_tuned", None) or getattr(engine, "network", None) or engine.base.network
    network.register_forward_hook(count)
    carry = None
    for index, (first, length, reference) in enumerate(PLAN):
        seen = 0
        with torch.inference_mode():
            done = engine.edit(Window(frames[first : first + length], first, reference, carry), prompt)
        carry = done.carry
        foreseen = engines.work(method, bundle, engine.settings, [Share(length - reference, reference, index > 0)])
        assert (foreseen.evaluations, foreseen.inversion_evaluations) == (done.evaluations, done.inversion_evaluations)
        assert foreseen.frames == pytest.approx(seen, rel=0.2)  # TokenFlow's first keyframe may be its last one


def test_a_whole_edit_is_the_sum_of_its_windows(bundles) -> None:
    bundle = bundles["instruct"]
    settings = engines.settings_of("instructvid2vid")(steps=3, guidance=2.0, video_guidance=1.5)
    one = engines.work("instructvid2vid", bundle, settings, [Share(6)])
    both = engines.work("instructvid2vid", bundle, settings, [Share(6), Share(4, 2, True)])
    assert (one.evaluations, one.frames) == (9, 54)
    assert (both.evaluations, both.frames) == (18, 108)


@pytest.mark.parametrize("command", ["instruct", "prompt-edit", "image2video"])
def test_layers_are_read_off_the_header(bundles, command: str) -> None:
    """Against what a network of the same configuration counts when it runs."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    parts = bundles[command].components
    layers = read_layers(parts["unet"])
    if command == "instruct":
        network: Any = weights.load_unet(parts["unet"])
        inputs: tuple[Any, ...] = (torch.zeros(1, 1, network.in_channels, 32, 32), 3, torch.zeros(1, 12, 16))
    elif command == "image2video":
        network = weights.load_image2video_unet(parts["unet"])
        inputs = (torch.zeros(1, 1, network.config["in_channels"], 32, 32), 3, torch.zeros(1, 1, 16), torch.zeros(1, 3))
    else:
        network = weights.load_unet2d(parts["unet"])
        inputs = (torch.zeros(1, network.config["in_channels"], 32, 32), 3, torch.zeros(1, 12, 16))
    assert layers.parameters == sum(parameter.numel() for parameter in network.parameters())
    # Fused attention is not counted.
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        network(*inputs)
    assert 2 * layers.multiply_adds(32, 32) == pytest.approx(counter.get_total_flops(), rel=0.15)


def test_latents_are_counted_at_the_autoencoder_s_own_stride(tmp_path) -> None:
    """nano's image-to-video model has one of stride 4: four times the places of stride 8."""
    from vedit.nets.patch_autoencoder import PatchAutoencoder

    made: Any = PatchAutoencoder(latent_channels=5, patch_size=4, encoder_width=8, encoder_layers=0, decoder_width=8)
    made.save_pretrained(tmp_path)
    assert read_layers(tmp_path, "decoder").stride == weights.load_vae(tmp_path).stride == 4


def test_the_codec_too(bundles) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    folder = bundles["prompt-edit"].components["vae"]
    codec = weights.load_vae(folder)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        codec.decode(codec.encode(torch.zeros(1, 3, 64, 64)))
    assert read_layers(folder, "decoder").stride == codec.stride == 8
    both = sum(read_layers(folder, part).multiply_adds(64, 64) for part in ("encoder", "decoder"))
    assert 2 * both == pytest.approx(counter.get_total_flops(), rel=0.2)


@pytest.mark.parametrize("role", ["prompt-edit", "image2video"])
def test_all_networks_of_a_model_are_weighed(bundles, role: str) -> None:
    """With what reads words, or what reads pictures."""
    from vedit.render import estimate

    bundle = bundles[role]
    parts = bundle.components
    if role == "image2video":
        reader: Any = weights.load_image_encoder(parts["image_encoder"], parts["feature_extractor"])
        network: Any = weights.load_image2video_unet(parts["unet"])
    else:
        reader, network = weights.load_clip(parts["clip"]), weights.load_unet2d(parts["unet"])
    count = sum(p.numel() for part in (reader, network, weights.load_vae(parts["vae"]).vae) for p in part.parameters())
    made = estimate.amounts(bundle, Work(1, 4), None, frames=4, window=4, width=32, height=32, dtype="bf16")
    assert made.weights == pytest.approx(4e-6 * count, rel=0.01)


@pytest.mark.parametrize("method", ["tcve", "tune-a-video"])
def test_what_a_tuned_method_adds_is_counted(bundles, method) -> None:
    from vedit.render import estimate

    bundle = bundles["prompt-edit"]
    grown = estimate.growth(bundle, method, frames=4, width=64, height=64)
    made: Any = engines.tuned_network(method)
    base = weights.load_unet2d(bundle.components["unet"])
    before = sum(p.numel() for p in base.parameters())
    assert grown.parameters == sum(p.numel() for p in made(base).parameters()) - before > 0
    assert grown.times > 1.01
    assert estimate.growth(bundle, "tokenflow", frames=4, width=64, height=64) == estimate.Growth()
    sizes: Any = {"frames": 4, "window": 4, "width": 64, "height": 64, "dtype": "bf16"}
    shares = (estimate.Growth(), grown)
    alone, both = (estimate.amounts(bundle, Work(3, 12), None, grown=one, **sizes) for one in shares)
    assert both.multiply_adds > alone.multiply_adds
    assert both.weights - alone.weights == pytest.approx(4e-6 * grown.parameters)


def test_a_control_is_counted_beside_its_base(bundles, tmp_path) -> None:
    from safetensors.torch import save_file
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from vedit.nets.revideo import Conditions, ReVideoConfig, ReVideoUNet
    from vedit.render import estimate

    bundle = bundles["image2video"]
    base = weights.load_image2video_unet(bundle.components["unet"])
    network = ReVideoUNet(base, ReVideoConfig.of(base.config))
    file = tmp_path / "adapter.safetensors"
    save_file({name: tensor.detach().clone() for name, tensor in network.added().items()}, file)
    inputs = (torch.zeros(1, 1, base.config["in_channels"], 32, 32), torch.tensor(3.0))
    inputs += (torch.zeros(1, 1, 16), torch.zeros(1, 3))
    given = Conditions(*(torch.zeros(1, 1, channels, 256, 256) for channels in (2, 1, 3)))
    flops = []
    for conditions in (given, None):
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            network(*inputs, conditions)
        flops.append(counter.get_total_flops())
    sizes: Any = {"frames": 4, "window": 4, "width": 256, "height": 256, "dtype": "bf16"}
    alone, both = (estimate.amounts(bundle, Work(3, 12), None, adapter=one, **sizes) for one in (None, str(file)))
    assert 2 / 12 * (both.multiply_adds - alone.multiply_adds) == pytest.approx(flops[0] - flops[1], rel=0.15)
    assert both.layers > alone.layers and both.weights > alone.weights
