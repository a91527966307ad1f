"""``vedit models``: the registry without the network; pull, verify and rm with a hub on loopback."""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


def _of_weights(module: str):
    """A module that belongs to the tests of the weights."""
    name = f"vedit_tests_{module}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE.parent / "weights" / f"{module}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


hub_server, originals = _of_weights("hub_server"), _of_weights("originals")
INDEX = {"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}
FILES = {
    "model_index.json": json.dumps(INDEX).encode(),
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors": bytes(2_000_000),
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def server(cache, monkeypatch):
    with hub_server.serve("owner/tiny", dict(FILES)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_list_has_our_models_first_and_needs_no_network(real, cache, no_network):
    lines = real("models", "list").out.splitlines()
    assert lines[0].startswith("nano ")
    assert any(
        "CompVis/stable-diffusion-v1-4" in line and "prompt-edit" in line and "OpenRAIL-M" in line for line in lines
    )
    report = json.loads(real("models", "list", "--json").out)
    assert report["models"][0]["name"] == "nano"
    row = next(one for one in report["checkpoints"] if one["id"] == "timbrooks/instruct-pix2pix")
    assert row["commands"]["instruct"] == ["instructvid2vid", "video-instruct-pix2pix"]
    assert (row["licence"], row["here"], row["half_precision_bytes"]) == ("MIT", False, 2_132_400_000)


def test_show_of_what_is_not_here(real, cache, no_network):
    done = real("models", "show", "stabilityai/stable-video-diffusion-img2vid")
    assert done.code == 0
    assert "not for commercial use" in done.out
    assert "an account that agreed to its terms" in done.out
    fields = json.loads(real("models", "show", "Adapter/ReVideo", "--json").out)["checkpoint"]
    assert (fields["convert"], fields["kind"]) == ("revideo", "drag")
    done = real("models", "show", "owner/other")
    assert (done.code, done.err.count("\n")) == (4, 1)


def test_a_checkpoint_that_no_command_runs_says_so_before_a_download(real, cache, clip, no_network):
    done = real("instruct", clip, "make it snowy", "-m", "Wan-AI/Wan2.1-VACE-1.3B-diffusers")
    assert done.code == 4
    assert done.err.startswith("vedit: error: Wan-AI/Wan2.1-VACE-1.3B-diffusers: vedit has no method for")
    assert "take timbrooks/instruct-pix2pix" in done.err
    done = real("prompt-edit", clip, "--source", "a", "--target", "b", "-m", "timbrooks/instruct-pix2pix")
    assert "is a model for instruct, not for text2image; take CompVis/stable-diffusion-v1-4" in done.err
    done = real(
        "instruct", clip, "make it snowy", "-m", "timbrooks/instruct-pix2pix", "--method", "video-instruct-pix2pix"
    )
    assert done.code == 4
    assert "vedit models pull timbrooks/instruct-pix2pix" in done.err


def test_pull_shows_the_licence_and_wants_it_accepted(real, server, cache):
    done = real("models", "pull", "owner/tiny")
    assert (done.code, done.out) == (2, "")
    assert "Licence: mit" in done.err
    assert "--accept-license agrees to it" in done.err
    assert not list(cache.glob("models--*"))
    done = real("models", "pull", "owner/tiny", "--accept-license", "--progress", "plain")
    assert done.code == 0
    folder = Path(done.out.strip())
    assert (folder / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size == 2_000_000
    assert "Licence: mit" in done.err
    assert "Fetching: 2/2 MB" in done.err
    assert "not in vedit's registry" in done.err
    again = real("models", "pull", "owner/tiny")
    assert (again.code, again.out) == (0, done.out), "what is here needs no answer"
    assert real("models", "path", "owner/tiny").out == done.out


def test_pull_dry_run_and_json(real, server, cache):
    done = real("models", "pull", "owner/tiny", "--dry-run", "-q")
    assert (done.code, done.err.count("vedit: error")) == (0, 0)
    assert [line.split()[-1] for line in done.out.splitlines()] == sorted(FILES, key=lambda name: len(FILES[name]))
    assert not cache.exists()
    report = json.loads(real("models", "pull", "owner/tiny", "--accept-license", "--json", "-q").out)
    assert (report["licence"], report["size"]) == ("mit", sum(map(len, FILES.values())))
    assert Path(report["path"]).is_dir()


def test_verify_and_rm(real, server, cache):
    folder = Path(real("models", "pull", "owner/tiny", "--accept-license", "-q").out.strip())
    done = real("models", "verify", "owner/tiny")
    assert (done.code, done.out.endswith("3 files, 2.0 MB, all as they should be\n")) == (0, True)
    (folder / "unet" / "config.json").resolve().write_text("[]")
    done = real("models", "verify", "owner/tiny")
    assert done.code == 4
    assert "1 of 3 files are damaged (unet/config.json)" in done.err
    refused = real("models", "rm", "owner/tiny")
    assert refused.code == 2
    assert "-y removes it without asking" in refused.err
    done = real("models", "rm", "owner/tiny", "-y")
    assert (done.code, done.out) == (0, "2.0 MB\n")
    assert not list(cache.glob("models--*"))
    assert real("models", "rm", "nano", "-y").code == 2


def test_pull_says_beforehand_that_no_command_runs_it(real, server, monkeypatch):
    from vedit.weights import checkpoints

    row = checkpoints.Checkpoint(
        "owner/tiny", "Some", "terms", "drag", files=("unet/config.json",), why="it is a pickle"
    )
    monkeypatch.setattr(checkpoints, "known", lambda: (row,))
    done = real("models", "pull", "owner/tiny", "--dry-run")
    assert "as it is, no command runs it: it is a pickle" in done.err
    done = real("models", "pull", "owner/tiny", "--accept-license", "--json")
    assert "no command runs it" in done.err and json.loads(done.out)["runs"] is False


def test_pull_offline_of_what_is_here(real, server, cache, monkeypatch):
    folder = real("models", "pull", "owner/tiny", "--accept-license", "-q").out
    asked = len(server.asked)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = real("models", "pull", "owner/tiny")
    assert (done.code, done.out) == (0, folder)
    assert "all of it is here" in done.err
    report = json.loads(real("models", "pull", "owner/tiny", "--json", "-q").out)
    assert {file["name"] for file in report["files"]} == set(FILES)
    next(Path(folder.strip()).glob("unet/*.safetensors")).unlink()
    done = real("models", "pull", "owner/tiny")
    assert (done.code, "HF_HUB_OFFLINE forbids the network" in done.err) == (2, True)
    assert len(server.asked) == asked


def test_pull_says_what_is_wrong(real, server):
    assert real("models", "pull", "tiny").code == 2
    done = real("models", "pull", "owner/other", "--accept-license")
    assert (done.code, done.err.count("\n")) == (4, 1)
    server.fault = hub_server.Fault(status=401, code="GatedRepo")
    done = real("models", "pull", "owner/tiny", "--accept-license")
    assert done.code == 4
    assert "`hf auth login` or set HF_TOKEN" in done.err


def test_convert(real, tmp_path):
    import torch

    from vedit.cli.models_convert import Kind
    from vedit.weights.convert import KINDS

    assert [kind.value for kind in Kind] == list(KINDS)
    from diffusers import MotionAdapter

    state = originals.animatediff(MotionAdapter(block_out_channels=(32,), motion_layers_per_block=1).state_dict())
    file = tmp_path / "mm.ckpt"
    torch.save({"state_dict": state, "epoch": 1}, file)
    done = real("models", "convert", file, "--as", "animatediff", "-o", tmp_path / "mm", "-v")
    assert (done.code, done.out) == (0, f"{tmp_path / 'mm'}\n")
    assert "1 keys were left out: what training kept beside the weights\nvedit: epoch\n" in done.err
    report = json.loads(real("models", "convert", file, "--as", "animatediff", "-o", tmp_path / "m2", "--json").out)
    assert (report["path"], report["kind"]) == (str(tmp_path / "m2"), "animatediff")
    torch.save(state | {"surprise": torch.zeros(1)}, file)
    done = real("models", "convert", file, "--as", "animatediff", "-o", tmp_path / "out")
    assert (done.code, "1 of" in done.err, "(surprise)" in done.err) == (4, True, True)
    assert not (tmp_path / "out").exists()
    done = real("models", "convert", file, "--as", "svd", "-o", tmp_path / "out")
    assert (done.code, done.err.count("\n")) == (4, 1)
    done = real("models", "convert", file, "--as", "nonsense", "-o", tmp_path / "out")
    assert (done.code, done.err.count("\n")) == (2, 1)
    done = real("models", "convert", tmp_path / "none.ckpt", "--as", "sd", "-o", tmp_path / "out")
    assert (done.code, "no such file" in done.err) == (3, True)


def test_a_damaged_model_does_not_hide_the_others(real, tmp_path, monkeypatch, tiny_models, no_network):
    monkeypatch.setenv("VEDIT_MODELS", str(tmp_path))
    for name in ("fine", "spoilt"):
        tiny_models.write_bundle(tmp_path / name)
    (tmp_path / "spoilt" / "notes.txt").write_text("mine")
    done = real("models", "list")
    assert done.code == 0
    rows = {line.split()[0]: line for line in done.out.splitlines()}
    assert "instruct" in rows["tiny"] and "damaged" in rows["spoilt"] and "nano" in rows
    assert done.err.count("\n") == 1 and "notes.txt" in done.err
    listed = {row["name"]: row["damaged"] for row in json.loads(real("models", "list", "--json").out)["models"]}
    assert listed["tiny"] is None and "notes.txt" in listed["spoilt"]


def test_what_is_no_model_or_a_damaged_one_is_not_shown(real, tmp_path, tiny_models, no_network):
    (tmp_path / "empty").mkdir()
    folder = tiny_models.write_diffusers(tmp_path / "sd")
    assert real("models", "show", folder).code == 0
    for file in (folder / "unet").glob("*.safetensors"):
        file.unlink()
    for words, said in (
        (["show", tmp_path / "empty"], "it is not a model folder"),
        (["path", tmp_path / "empty"], "not one of a model"),
        (["show", folder], "missing"),
        (["show", "~nobody-at-all/model"], "no such folder"),
    ):
        done = real("models", *words)
        assert (done.code, done.out, done.err.count("\n")) == (4, "", 1), done.err
        assert said in done.err
    assert real("models", "path", folder).out.strip() == str(folder)


def test_a_pickle_is_refused_by_every_other_command(real, clip, tmp_path):
    import torch

    file = tmp_path / "model.ckpt"
    torch.save({"a": torch.zeros(1)}, file)
    for words in (
        ["instruct", clip, "make it snowy", "-m", file],
        ["models", "show", file],
        ["models", "verify", file],
    ):
        done = real(*words)
        assert (done.code, done.err.count("\n")) == (4, 1)
        assert "is a pickle and is refused" in done.err and "vedit models convert" in done.err
    prompts = ["--source", "a", "--target", "b", "--method", "tcve", "-m", "nano"]
    for words in (
        ["prompt-edit", clip, *prompts, "--adapter", file],
        ["evaluate", clip, clip, "--prompt", "a", "--clip", file],
        ["train-adapter", "tcve", clip, "--prompt", "a", "-m", file, "-o", tmp_path / "out"],
    ):
        done = real(*words)
        assert (done.code, done.err.count("\n")) == (4, 1), done.err
        assert "is a pickle and is refused" in done.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"_class_name": ["my_pipeline", "MyPipeline"]}, "asks for code of its own (my_pipeline.MyPipeline)"),
        ({"unet": ["my_unet", "MyUNet"]}, "asks for code of its own (unet: my_unet.MyUNet)"),
        ({"extra": ["extra_code", "Extra"]}, "asks for code of its own (extra: extra_code.Extra)"),
    ],
    ids=["pipeline", "unet", "beside"],
)
def test_code_that_comes_with_a_model_is_refused(real, clip, tmp_path, tiny_models, change, said):
    folder = tiny_models.write_diffusers(tmp_path / "sd")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | change))
    (folder / "extra").mkdir()
    (folder / "extra" / "extra_code.py").write_text("raise SystemExit('code ran')")
    done = real("instruct", clip, "make it snowy", "-m", folder)
    assert (done.code, done.err.count("\n")) == (4, 1)
    assert said in done.err
    assert "vedit never runs what comes with a model" in done.err
