"""Conversion: every key has a place or it stops, and what comes out computes what went in."""

from __future__ import annotations

import gzip
import importlib.util
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vedit import weights
from vedit.errors import InputError, ModelError, UsageError
from vedit.nets.tcve import TCVEConfig, TCVEUNet
from vedit.nets.tune_a_video import TuneAVideoUNet
from vedit.nets.video_unet import Temporal, VideoUNet, inflate
from vedit.weights import adapter
from vedit.weights.convert import KINDS, convert, drag, ledger, lora, motion, one_shot, parts, whole

from . import originals

torch.set_num_threads(1)

TABLES = Path(__file__).resolve().parents[3] / "shared" / "checkpoints"
LEVELS = {
    "block_out_channels": (32, 32, 64, 64),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
}
SCHEDULE = ("betas", "alphas_cumprod", "sqrt_alphas_cumprod", "posterior_variance", "logvar")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    """The same but for the order of sums, which depends on where tensors lie in memory."""
    return one.shape == other.shape and one.allclose(other, atol=2e-5, rtol=1e-4)


def shaken(network: Any, seed: int = 5) -> Any:
    """With nothing at zero or one, so that no part can be swapped unseen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def unet2d(in_channels: int = 4) -> Any:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)  # the same one every time
    return shaken(
        UNet2DConditionModel(in_channels=in_channels, block_out_channels=(32, 64, 64, 64), cross_attention_dim=64)
    )


def autoencoder() -> Any:
    from diffusers import AutoencoderKL

    return shaken(AutoencoderKL(**LEVELS, up_block_types=("UpDecoderBlock2D",) * 4))


def text_encoder(words: int) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(vocab_size=words, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                            num_attention_heads=1, max_position_embeddings=16, eos_token_id=words - 1,
                            bos_token_id=words - 2)  # fmt: skip
    return shaken(CLIPTextModel(config))


def prefixed(prefix: str, state: Any) -> dict[str, Any]:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


@pytest.fixture(scope="module")
def words(tmp_path_factory, tiny_models) -> Path:
    """A model at hand with a tokenizer."""
    folder = tmp_path_factory.mktemp("words")
    tiny_models.write_tokenizer(folder / "tokenizer")
    return folder


@pytest.fixture(scope="module")
def size(words) -> int:
    return len(json.loads((words / "tokenizer" / "vocab.json").read_text()))


def sd_checkpoint(unet: Any, vae: Any, text: Any) -> dict[str, Any]:
    state = prefixed("model.diffusion_model.", originals.unet(unet.state_dict()))
    state |= prefixed("first_stage_model.", originals.vae(vae.state_dict()))
    state |= prefixed("cond_stage_model.transformer.text_model.", text.state_dict())
    state["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(16)[None]
    state |= {name: torch.zeros(10) for name in SCHEDULE} | {"model_ema.decay": torch.tensor(0.9)}
    return state


# -- the full-size tables -----------------------------------------------------------------------------------------


def table(name: str, part: str) -> ledger.Ledger:
    file = TABLES / f"{name}.keys.json"
    if not file.is_file():
        pytest.skip(f"{file} is not here: the key tables of the published checkpoints do not come with the project")
    shapes = json.loads(file.read_text())[part]
    return ledger.Ledger({key: torch.empty(shape, device="meta") for key, shape in shapes.items()}, file.name)


def test_full_size_insv2v():
    opened = table("insv2v", "unet")
    part = motion.video_unet(opened, "unet.")
    opened.finish()
    assert sum(tensor.numel() for tensor in part.tensors.values()) == pytest.approx(1276.7e6, rel=1e-3)


def test_full_size_tune_a_video():
    opened = table("tune_a_video", "unet")
    part, _, trained = one_shot.split(opened, "tune-a-video")
    opened.finish()
    assert len(part.tensors) == 686
    assert list(opened.aside) == ["the norm of the attention over frames, which stays as it began"]
    assert len(trained) == 16 * (2 + 5)


def test_full_size_tcve():
    opened = table("tcve", "unet")
    _, network, trained = one_shot.split(opened, "tcve")
    opened.finish()
    assert network["spatial"] == "tune-a-video"
    assert len(opened.aside["the units of the encoder, which TCVE's code builds and never uses"]) == 4 * 11
    assert {name.split(".")[0] for name in trained} == {"temporal", "units", "inflated"}


def test_full_size_svd_in_revideo():
    opened = table("revideo", "unet")
    part = whole.unet_part(opened, whole.UNET, video=True)
    opened.finish()
    assert sum(tensor.numel() for tensor in part.tensors.values()) == 1_524_623_082
    settings = json.loads(part.config)
    assert settings["_class_name"] == "UNetSpatioTemporalConditionModel"
    assert (settings["num_attention_heads"], settings["addition_time_embed_dim"]) == ([5, 10, 20, 20], 256)
    assert settings["num_frames"] == 14
    written = originals.unet(part.tensors)  # the tests' own way back to the same names
    shapes = json.loads((TABLES / "revideo.keys.json").read_text())["unet"]
    assert set(prefixed(whole.UNET, written)) == set(shapes)


# -- one file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_stable_diffusion(tmp_path, words, size, suffix):
    from safetensors.torch import save_file

    unet, vae, text = unet2d(), autoencoder(), text_encoder(size)
    state = sd_checkpoint(unet, vae, text)
    file = tmp_path / f"sd{suffix}"
    if suffix == ".ckpt":
        torch.save({"state_dict": state, "global_step": 7, "epoch": 1}, file)
    else:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, file)
    done = convert(file, "sd", tmp_path / "out", str(words))
    assert done.path == tmp_path / "out"
    assert sorted(name for names in done.aside.values() for name in names) == sorted(
        [*SCHEDULE, "model_ema.decay", *(["global_step", "epoch"] if suffix == ".ckpt" else [])]
    )
    bundle = weights.open_bundle(done.path, "text2image", verify=True)
    latents, prompt = noise(1, 4, 8, 8), noise(1, 5, 64)
    with torch.no_grad():
        again = weights.load_unet2d(bundle.components["unet"])
        assert close(again(latents, 10, prompt).sample, unet(latents, 10, prompt).sample)
        codec = weights.load_vae(bundle.components["vae"]).vae
        picture = noise(1, 3, 32, 32)
        assert close(codec.encode(picture).latent_dist.mode(), vae.encode(picture).latent_dist.mode())
        assert close(codec.decode(latents).sample, vae.decode(latents).sample)
        tokens = torch.tensor([[size - 2, 3, 4, size - 1]])
        clip: Any = weights.load_clip(bundle.components["clip"])
        assert close(clip(tokens).last_hidden_state, text(tokens).last_hidden_state)
    schedule = weights.load_schedule(bundle.components["scheduler"])
    assert schedule.prediction == "epsilon"


def test_the_library_names_stable_diffusion_alike():
    """diffusers' own conversion, where it has one, agrees key by key."""
    from diffusers.loaders import single_file_utils as theirs

    unet, vae = unet2d(), autoencoder()
    original = prefixed("model.diffusion_model.", originals.unet(unet.state_dict()))
    original |= prefixed("first_stage_model.", originals.vae(vae.state_dict()))
    expected: Any = theirs.convert_ldm_unet_checkpoint(dict(original), dict(unet.config))
    opened = ledger.Ledger(original, "file")
    found = whole.unet_part(opened, whole.UNET, video=False).tensors
    assert found.keys() == expected.keys()
    assert all(found[name].equal(expected[name]) for name in found)
    expected = theirs.convert_ldm_vae_checkpoint(dict(original), dict(vae.config))
    found = whole.autoencoder(opened, whole.VAE).tensors
    assert found.keys() == expected.keys()
    assert all(found[name].equal(expected[name].reshape(found[name].shape)) for name in found)
    opened.finish()


def test_instruct_pix2pix_is_told_by_its_input(tmp_path, words, size):
    file = tmp_path / "ip2p.ckpt"
    torch.save(sd_checkpoint(unet2d(8), autoencoder(), text_encoder(size)), file)
    done = convert(file, "sd", tmp_path / "out", str(words))
    bundle = weights.open_bundle(done.path, "instruct", verify=True)
    assert bundle.preset["video_guidance"] == 1.5


def test_one_key_too_many_stops_and_writes_nothing(tmp_path, words, size):
    state = sd_checkpoint(unet2d(), autoencoder(), text_encoder(size))
    file = tmp_path / "sd.ckpt"
    torch.save(state | {"model.diffusion_model.input_blocks.1.0.surprise": torch.zeros(1)}, file)
    with pytest.raises(
        ModelError, match=r"1 of \d+ keys have no place \(model.diffusion_model.input_blocks.1.0.surprise\)"
    ):
        convert(file, "sd", tmp_path / "out", str(words))
    del state["model.diffusion_model.middle_block.1.proj_in.weight"]
    torch.save(state, file)
    with pytest.raises(ModelError, match=r"1 missing keys \(mid_block.attentions.0.proj_in.weight\)"):
        convert(file, "sd", tmp_path / "out", str(words))
    assert [entry.name for entry in tmp_path.iterdir()] == ["sd.ckpt"]


def svd_parts() -> tuple[Any, Any, Any]:
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    unet = UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64, 128, 128), num_attention_heads=(1, 1, 2, 2), cross_attention_dim=32,
        addition_time_embed_dim=32, projection_class_embeddings_input_dim=96,
    )  # fmt: skip
    config = CLIPVisionConfig(hidden_size=80, intermediate_size=96, num_hidden_layers=2, num_attention_heads=1,
                              patch_size=14, image_size=28, projection_dim=32, hidden_act="gelu")  # fmt: skip
    vae = AutoencoderKLTemporalDecoder(**LEVELS)
    return shaken(unet), shaken(vae), shaken(CLIPVisionModelWithProjection(config))


def svd_checkpoint(unet: Any, vae: Any, picture: Any) -> dict[str, Any]:
    first, open_clip = "conditioner.embedders.3.encoder.", "conditioner.embedders.0.open_clip.model."
    state = prefixed(whole.UNET, originals.unet(unet.state_dict()))
    codec = originals.vae(vae.state_dict())
    state |= prefixed(whole.VAE, {name: one for name, one in codec.items() if name.startswith("decoder")})
    state |= prefixed(first, {name: one for name, one in codec.items() if not name.startswith("decoder")})
    state |= prefixed(whole.VAE, {name: one + 1 for name, one in codec.items() if name.startswith("encoder")})
    state |= {f"{first}decoder.conv_in.weight": torch.zeros(2), f"{first}post_quant_conv.weight": torch.zeros(2)}
    state |= prefixed(f"{open_clip}visual.", originals.vision(picture.state_dict()))
    return state | {f"{open_clip}logit_scale": torch.zeros(()), f"{open_clip}ln_final.weight": torch.zeros(4)}


def test_stable_video_diffusion(tmp_path):
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
    from safetensors.torch import save_file
    from transformers import CLIPVisionModelWithProjection

    unet, vae, picture = svd_parts()
    file = tmp_path / "svd.safetensors"
    save_file({name: one.clone().contiguous() for name, one in svd_checkpoint(unet, vae, picture).items()}, file)
    done = convert(file, "svd", tmp_path / "out")
    assert len(done.aside) == 3
    kinds = {"unet": UNetSpatioTemporalConditionModel, "vae": AutoencoderKLTemporalDecoder}
    again: dict[str, Any] = {
        name: kind.from_pretrained(str(done.path / name), local_files_only=True).eval() for name, kind in kinds.items()
    }
    seen: Any = CLIPVisionModelWithProjection.from_pretrained(str(done.path / "image_encoder"), local_files_only=True)
    latents, ids, image = noise(1, 3, 8, 8, 8), torch.tensor([[6.0, 127.0, 0.02]]), noise(1, 1, 32)
    with torch.no_grad():
        assert close(again["unet"](latents, 0.3, image, ids).sample, unet(latents, 0.3, image, ids).sample)
        frames = noise(3, 3, 16, 16)
        assert close(again["vae"].encode(frames).latent_dist.mode(), vae.encode(frames).latent_dist.mode())
        small = noise(3, 4, 2, 2)
        assert close(again["vae"].decode(small, num_frames=3).sample, vae.decode(small, num_frames=3).sample)
        square = noise(1, 3, 28, 28)
        assert close(seen.eval()(square).image_embeds, picture(square).image_embeds)
    assert json.loads((done.path / "model_index.json").read_text())["_class_name"] == "StableVideoDiffusionPipeline"


def test_revideo(tmp_path):
    """A synthetic checkpoint with the published names gives the same output as the network that it was made from."""
    from vedit.nets.revideo import Conditions, ReVideoConfig, ReVideoUNet
    from vedit.weights.revideo import CONTROL, METHOD, network_of, stage_of

    unet, vae, picture = svd_parts()
    torch.manual_seed(1)
    network = shaken(ReVideoUNet(unet, ReVideoConfig(widths=(16, 16, 24, 32))))
    state = svd_checkpoint(unet, vae, picture)
    state |= prefixed(CONTROL, originals.revideo_control(network.control.state_dict()))
    published = gzip.decompress(Path(__file__).with_name("revideo_keys.txt.gz").read_bytes()).decode().splitlines()
    names = {line.split()[0] for line in published}
    assert {name for name in state if name.startswith(("model.diffusion_model.", CONTROL))} == names
    file = tmp_path / "model.ckpt"
    torch.save({"state_dict": state, "epoch": 2}, file)
    done = convert(file, "revideo", tmp_path / "out")
    bundle = weights.open_bundle(done.path, "image2video", verify=True)
    carried = adapter.carried(bundle, METHOD)
    assert carried is not None
    assert bundle.preset["methods"]["revideo"]["fps_offset"] == 0
    about, tensors = adapter.load(carried, METHOD, bundle)
    assert stage_of(about) == 3
    again = network_of(weights.load_image2video_unet(bundle.components["unet"]), about, tensors, "adapter")
    latents, ids, image = noise(1, 2, 8, 8, 8), torch.tensor([[6.0, 127.0, 0.02]]), noise(1, 1, 32)
    given = Conditions(noise(1, 2, 2, 64, 64), torch.ones(1, 1, 1, 64, 64), noise(1, 2, 3, 64, 64))
    with torch.no_grad():
        expected = network(latents, torch.tensor(0.3), image, ids, given)
        assert close(again(latents, torch.tensor(0.3), image, ids, given), expected)
        alone = network(latents, torch.tensor(0.3), image, ids, None)
        assert not expected.allclose(alone, atol=1e-2)
    torch.save({name: one for name, one in state.items() if "mask_embedding.conv_in" not in name}, file)
    with pytest.raises(ModelError, match=r"control branch: 2 missing keys \(control.content.layers.conv_in.bias, "):
        convert(file, "revideo", tmp_path / "other")


def test_full_size_revideo():
    lines = gzip.decompress(Path(__file__).with_name("revideo_keys.txt.gz").read_bytes()).decode().splitlines()
    shapes = {name: tuple(map(int, shape.split("x"))) for name, shape in (line.split() for line in lines)}
    opened = ledger.Ledger({key: torch.empty(shape, device="meta") for key, shape in shapes.items()}, "revideo")
    part = whole.unet_part(opened, whole.UNET, video=True)
    settings, tensors = drag.control(opened, part)
    opened.finish()
    assert (settings["widths"], settings["kernel"], settings["sigma"]) == ((16, 32, 96, 256), 51, 10.0)
    control = sum(one.numel() for name, one in tensors.items() if name.startswith("control."))
    assert control == pytest.approx(685.1e6, rel=1e-3)


# -- motion modules -----------------------------------------------------------------------------------------------


def test_insv2v(tmp_path, words, size):
    network = shaken(inflate(unet2d(8), Temporal(max_frames=16, motion_mid=False, convolution_layers=0)))
    vae, text = autoencoder(), text_encoder(size)
    state = prefixed("_forward_module.unet.", originals.insv2v(network.state_dict(), 16))
    state |= prefixed("_forward_module.vae.", originals.vae(vae.state_dict()))
    state |= prefixed("_forward_module.text_model.text_model.", text.state_dict())
    file = tmp_path / "insv2v.pth"
    torch.save(state, file)
    done = convert(file, "insv2v", tmp_path / "insv2v", str(words))  # a folder with the name of a row of the registry
    bundle = weights.open_bundle(done.path, "instruct", verify=True)
    assert bundle.preset["max_frames"] == 16
    again = weights.load_unet(bundle.components["unet"])
    assert isinstance(again, VideoUNet)
    latents, prompt = noise(1, 4, 8, 8, 8), noise(1, 5, 64)
    with torch.no_grad():
        assert close(again(latents, 10, prompt), network(latents, 10, prompt))
    weights.load_vae(bundle.components["vae"])
    weights.load_clip(bundle.components["clip"])


def test_insv2v_with_another_encoding_of_the_frame_is_refused(tmp_path):
    network = inflate(unet2d(8), Temporal(max_frames=16, motion_mid=False, convolution_layers=0))
    state = originals.insv2v(network.state_dict(), 16)
    name = next(key for key in state if key.endswith("pos_encoder.pe"))
    state[name] = state[name] + 0.1
    with pytest.raises(ModelError, match=r"pe is no sinusoidal encoding"):
        motion.video_unet(ledger.Ledger(prefixed("unet.", state), "file"), "unet.")


@pytest.mark.parametrize("middle", [True, False])
def test_animatediff(tmp_path, middle):
    from diffusers import MotionAdapter
    from diffusers.loaders import single_file_utils as theirs

    network = shaken(MotionAdapter(block_out_channels=(32, 64), motion_max_seq_length=24, use_motion_mid_block=middle))
    state = originals.animatediff(network.state_dict())
    file = tmp_path / "mm.ckpt"
    torch.save({"state_dict": prefixed("module.", state), "epoch": 3}, file)
    done = convert(file, "animatediff", tmp_path / "out")
    again = MotionAdapter.from_pretrained(str(done.path), local_files_only=True)
    settings = {key: value for key, value in dict(network.config).items() if not key.startswith("_")}
    assert json.dumps({key: again.config[key] for key in settings}) == json.dumps(settings)
    assert all(one.equal(network.state_dict()[name]) for name, one in again.state_dict().items())
    expected: Any = theirs.convert_animatediff_checkpoint_to_diffusers(dict(state))
    found = {
        name: one for name, one in again.state_dict().items() if not name.endswith(".pe")
    }  # which theirs makes anew
    assert expected.keys() == found.keys()
    assert all(found[name].equal(expected[name]) for name in found)


# -- pipelines saved by their code ----------------------------------------------------------------------------------


def saved_pipeline(folder: Path, words: Path, size: int, state: dict[str, Any]) -> Path:
    """As Tune-A-Video's training leaves it: a folder of pickles."""
    vae, text = autoencoder(), text_encoder(size)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    named = {}
    for name, tensor in vae.state_dict().items():
        for new, before in old.items():
            name = name.replace(f".attentions.0.{new}.", f".attentions.0.{before}.")
        named[name] = tensor
    for part, content in {"unet": state, "vae": named}.items():
        (folder / part).mkdir(parents=True)
        torch.save(content, folder / part / "diffusion_pytorch_model.bin")
        (folder / part / "config.json").write_text(json.dumps({"attention_head_dim": 8, "norm_num_groups": 32}))
    (folder / "text_encoder").mkdir()
    torch.save(prefixed("text_model.", text.state_dict()), folder / "text_encoder" / "pytorch_model.bin")
    (folder / "tokenizer").symlink_to(words / "tokenizer")
    return folder


@pytest.mark.parametrize("method", ["tune-a-video", "tcve"])
def test_pipelines(tmp_path, words, size, method):
    from vedit.nets.strict import fill_parameters

    flat = unet2d()
    network: Any = (
        TuneAVideoUNet(flat) if method == "tune-a-video" else TCVEUNet(flat, TCVEConfig(spatial="tune-a-video"))
    )
    with torch.no_grad():
        for index, parameter in enumerate(network.trained().values()):
            parameter.add_(0.2 * noise(*parameter.shape, seed=index))
    network.eval()
    plain = unet2d().state_dict() | {
        name.removeprefix("inflated.").removeprefix("unet."): one
        for name, one in network.trained().items() if "to_q" in name and "unet." in name
    }  # fmt: skip
    write = originals.tune_a_video if method == "tune-a-video" else originals.tcve
    folder = saved_pipeline(tmp_path / "saved", words, size, write(plain, dict(network.trained())))
    done = convert(folder, method, tmp_path / "out")
    bundle = weights.open_bundle(done.path, "text2image", verify=True)
    about, tensors = adapter.load(done.path / "adapter", method, bundle)
    again: Any = weights.load_unet2d(bundle.components["unet"])
    if method == "tune-a-video":
        again = TuneAVideoUNet(again)
    else:
        again = TCVEUNet(again, TCVEConfig(**about.network))
    fill_parameters(again.trained(), tensors, "adapter")
    latents, prompt = noise(1, 3, 4, 8, 8), noise(1, 5, 64)
    with torch.no_grad():
        expected = network(latents, 10, prompt)
        torch.testing.assert_close(again.eval()(latents, 10, prompt), expected, atol=1e-5, rtol=1e-5)
        untuned: Any = weights.load_unet2d(bundle.components["unet"])
        assert not untuned(latents[0], 10, prompt.expand(3, -1, -1)).sample.allclose(expected[0], atol=1e-2)
    weights.load_vae(bundle.components["vae"])
    assert bool(done.notes) == (method == "tcve")


def test_a_trained_norm_is_refused(tmp_path, words, size):
    network = TuneAVideoUNet(unet2d())
    state = originals.tune_a_video(unet2d().state_dict(), dict(network.trained()))
    name = next(key for key in state if key.endswith("norm_temp.weight"))
    state[name] = state[name] * 1.1
    with pytest.raises(ModelError, match=r"norm_temp.weight was trained"):
        convert(saved_pipeline(tmp_path / "saved", words, size, state), "tune-a-video", tmp_path / "out")


def test_tcve_and_tune_a_video_are_told_apart(tmp_path, words, size):
    network = TuneAVideoUNet(unet2d())
    folder = saved_pipeline(
        tmp_path / "saved", words, size, originals.tune_a_video(unet2d().state_dict(), dict(network.trained()))
    )
    with pytest.raises(ModelError, match=r"has no temporal U-Net \(TempUnet\).*--as tune-a-video\?"):
        convert(folder, "tcve", tmp_path / "out")


# -- LoRAs ----------------------------------------------------------------------------------------------------------


def modelscope() -> dict[str, Any]:
    return {"block_out_channels": (32, 64), "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"),
            "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D"), "cross_attention_dim": 24,
            "attention_head_dim": 16, "layers_per_block": 1}  # fmt: skip


@pytest.mark.parametrize(("kind", "order"), [("temporal", ("attn1", "ff", "attn2")), ("spatial", ("attn1", "ff"))])
def test_motiondirector(kind, order):
    """The list that their code saves, walked here by hand, gives the names of the layers that it came from."""
    from diffusers import UNet3DConditionModel

    network = UNet3DConditionModel(**modelscope())
    owner = {"temporal": "TransformerTemporalModel", "spatial": "Transformer2DModel"}[kind]
    matrices: list[torch.Tensor] = []
    expected = {}
    for place, module in network.named_modules():
        if type(module).__name__ == owner:
            layers = [name for name, one in module.named_modules() if isinstance(one, torch.nn.Linear)]
            for part in order:
                for name in [one for one in layers if f".{part}." in one]:
                    linear: Any = module.get_submodule(name)
                    up, down = noise(linear.out_features, 2, seed=len(matrices)), noise(2, linear.in_features)
                    matrices += [up, down]
                    expected[f"{place}.{name}"] = up
    found_kind, found_order, named = lora.named(matrices, "file", modelscope())
    assert (found_kind, found_order) == (kind, order)
    assert {name.removesuffix(".lora_B.weight") for name in named if "lora_B" in name} == set(expected)
    assert all(named[f"{name}.lora_B.weight"] is up for name, up in expected.items())
    with pytest.raises(ModelError, match="matrices whose shapes are not those of a MotionDirector LoRA"):
        lora.named(matrices[:-2], "file", modelscope())


# -- bad input ------------------------------------------------------------------------------------------------------


class Runs:
    def __reduce__(self):
        return (print, ("code ran",))


def test_a_pickle_that_would_run_code_is_refused(tmp_path, capsys):
    file = tmp_path / "evil.ckpt"
    file.write_bytes(pickle.dumps({"state_dict": Runs()}))
    with pytest.raises(ModelError, match=r"evil.ckpt: (holds more than tensors|cannot be read)"):
        convert(file, "svd", tmp_path / "out")
    torch.save({"state_dict": Runs()}, file)
    with pytest.raises(ModelError, match=r"evil.ckpt: holds more than tensors \(.*print\)"):
        convert(file, "svd", tmp_path / "out")
    assert "code ran" not in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_what_a_trainer_left_beside_the_weights_is_passed_over(tmp_path, words, size, monkeypatch):
    """As in the published files of Stable Diffusion: classes of PyTorch Lightning, and scalars of NumPy."""
    import sys
    import types

    class ModelCheckpoint:
        def __init__(self):
            raise AssertionError("was made")

    named = "pytorch_lightning.callbacks.model_checkpoint"
    module: Any = types.ModuleType(named)
    ModelCheckpoint.__module__, ModelCheckpoint.__qualname__ = named, "ModelCheckpoint"
    module.ModelCheckpoint = ModelCheckpoint
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks", named):
        monkeypatch.setitem(sys.modules, name, module)
    state = sd_checkpoint(unet2d(), autoencoder(), text_encoder(size))
    kept = {ModelCheckpoint: {"best": np.float64(0.5), "object": ModelCheckpoint.__new__(ModelCheckpoint)}}
    file = tmp_path / "sd.ckpt"
    torch.save({"state_dict": state, "callbacks": kept, "epoch": 1}, file)
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks", named):
        monkeypatch.delitem(sys.modules, name)
    done = convert(file, "sd", tmp_path / "out", str(words))
    assert {"callbacks", "epoch"} <= {key for keys in done.aside.values() for key in keys}
    weights.open_bundle(done.path, "text2image", verify=True)


def test_the_moving_average_is_taken_where_the_file_has_all_of_it(tmp_path, words, size):
    from safetensors.torch import load_file

    state = sd_checkpoint(unet2d(), autoencoder(), text_encoder(size))
    average = {
        "model_ema." + key.removeprefix("model.").replace(".", ""): tensor + 1
        for key, tensor in state.items()
        if key.startswith(whole.UNET)
    }
    assert len(average) > 10
    file = tmp_path / "sd.ckpt"
    torch.save(state | average, file)
    done = convert(file, "sd", tmp_path / "out", str(words))
    assert "average was taken" in done.notes[0]
    made = load_file(done.path / "unet" / "diffusion_pytorch_model.safetensors")
    torch.testing.assert_close(made["conv_in.weight"], state[whole.UNET + "input_blocks.0.0.weight"] + 1)
    average.popitem()
    torch.save(state | average, file)
    done = convert(file, "sd", tmp_path / "plain", str(words))
    assert done.notes == []
    made = load_file(done.path / "unet" / "diffusion_pytorch_model.safetensors")
    torch.testing.assert_close(made["conv_in.weight"], state[whole.UNET + "input_blocks.0.0.weight"])


def test_a_network_for_inpainting_is_refused(tmp_path, words, size):
    file = tmp_path / "inpainting.ckpt"
    torch.save(sd_checkpoint(unet2d(9), autoencoder(), text_encoder(size)), file)
    with pytest.raises(ModelError, match=r"takes 9 channels for 4 .* as for inpainting"):
        convert(file, "sd", tmp_path / "out", str(words))


def test_a_name_that_is_there_twice_is_refused():
    twice = ledger.Ledger({"a": torch.zeros(1), "module.a": torch.ones(1)}, "file")
    with pytest.raises(ModelError, match=r"file: has module.a and a, which are one"):
        twice.unwrap("module.")


def test_what_is_no_checkpoint(tmp_path):
    file = tmp_path / "a.ckpt"
    with pytest.raises(InputError, match="no such file"):
        convert(file, "sd", tmp_path / "out")
    file.write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match=r"a.ckpt: (cannot be read|holds more than tensors)"):
        convert(file, "svd", tmp_path / "out")
    torch.save([1, 2], file)
    with pytest.raises(ModelError, match="holds a list, not tensors by name"):
        convert(file, "svd", tmp_path / "out")
    torch.save({"epoch": 3}, file)
    with pytest.raises(ModelError, match="holds no tensors by name"):
        convert(file, "svd", tmp_path / "out")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match=r"neither a .safetensors file nor a checkpoint"):
        convert(tmp_path / "a.txt", "svd", tmp_path / "out")
    with pytest.raises(InputError, match=r"is a folder; --as svd takes Stable Video"):
        convert(tmp_path, "svd", tmp_path / "out")
    with pytest.raises(InputError, match=r"is a file; --as tcve takes a folder"):
        convert(file, "tcve", tmp_path / "out")
    with pytest.raises(InputError, match="has no folder unet"):
        convert(tmp_path, "tcve", tmp_path / "out")
    with pytest.raises(UsageError, match="exists already"):
        convert(file, "svd", tmp_path)
    with pytest.raises(UsageError, match="--as gan: no such kind; there is sd, svd"):
        convert(file, "gan", tmp_path / "out")


@pytest.mark.parametrize("kind", sorted({"sd", "svd", "insv2v", "animatediff", "motiondirector", "revideo"}))
def test_the_wrong_kind_is_told(tmp_path, words, size, kind, monkeypatch):
    """Motion modules as everything else, and a Stable Diffusion file as motion modules: one line, nothing written."""
    from diffusers import MotionAdapter

    state = originals.animatediff(MotionAdapter(block_out_channels=(32,), motion_layers_per_block=1).state_dict())
    if kind == "animatediff":
        state = sd_checkpoint(unet2d(), autoencoder(), text_encoder(size))
    file = tmp_path / "wrong.ckpt"
    torch.save(state, file)
    with pytest.raises(ModelError) as caught:
        convert(file, kind, tmp_path / "out", str(words))
    assert "--as" in str(caught.value) or "keys have no place" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["wrong.ckpt"]


@pytest.mark.parametrize(
    ("holds", "kind"),
    [("sd", kind) for kind in ("svd", "insv2v", "motiondirector", "revideo")]
    + [("svd", kind) for kind in ("sd", "insv2v", "animatediff", "motiondirector", "revideo")]
    + [("half an svd", "svd"), ("half an sd", "sd")],
)
def test_a_whole_model_of_another_kind_is_told(tmp_path, words, size, holds, kind):
    if holds.endswith("sd"):
        state = sd_checkpoint(unet2d(), autoencoder(), text_encoder(size))
        del state["first_stage_model.encoder.conv_out.weight"]
    if holds == "sd":
        state = sd_checkpoint(unet2d(), autoencoder(), text_encoder(size))
    if "svd" in holds:
        state = svd_checkpoint(*svd_parts())
    if holds == "half an svd":
        del state["conditioner.embedders.3.encoder.encoder.conv_out.weight"]
    file = tmp_path / "wrong.ckpt"
    torch.save(state, file)
    with pytest.raises((ModelError, InputError)) as caught:
        convert(file, kind, tmp_path / "out", str(words))
    assert "--as" in str(caught.value) or "keys have no place" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["wrong.ckpt"]


def test_all_keys_without_a_place_go_along_with_the_error(tmp_path, words, size):
    state = sd_checkpoint(unet2d(), autoencoder(), text_encoder(size))
    more = {f"surprise.{number}": torch.zeros(1) for number in range(30)}
    file = tmp_path / "sd.ckpt"
    torch.save(state | more, file)
    with pytest.raises(ModelError, match="and 22 more, which -v lists") as caught:
        convert(file, "sd", tmp_path / "out", str(words))
    assert set(caught.value.__notes__[0].split("\n")) == set(more)


def test_a_missing_tokenizer_says_where_to_get_it(tmp_path, size, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "sd.ckpt"
    torch.save(sd_checkpoint(unet2d(), autoencoder(), text_encoder(size)), file)
    with pytest.raises(ModelError, match=r"holds no tokenizer.*vedit models pull openai/clip-vit-large-patch14"):
        convert(file, "sd", tmp_path / "out")


def test_every_kind_of_the_registry_is_one():
    from vedit.weights import checkpoints

    assert {row.convert for row in checkpoints.known() if row.convert} <= set(KINDS)
    assert importlib.util.find_spec("vedit.weights.convert.parts") is not None
    assert parts.HEADS == 8
