"""Fetching from a hub on loopback, whole and in pieces, and what is said when it does not work."""

from __future__ import annotations

import errno
import hashlib
import json
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from vedit import weights
from vedit.errors import ModelError, ResourceError, UsageError
from vedit.weights import checkpoints, hub, stored

from .hub_server import COMMIT, Fault, git_sha1, serve

MODEL = "owner/tiny"
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
}


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


FILES = {
    "README.md": b"a card",
    "LICENSE": b"do as you like",
    "model_index.json": json.dumps(INDEX).encode(),
    "all-in-one.ckpt": noise(1, 50_000),
    "unet/config.json": b'{"_class_name": "UNet2DConditionModel"}',
    "unet/diffusion_pytorch_model.safetensors": noise(2, 300_000),
    "unet/diffusion_pytorch_model.fp16.safetensors": noise(3, 150_000),
    "unet/diffusion_pytorch_model.bin": noise(4, 300_000),
    "vae/config.json": b'{"a": 1}',
    "vae/diffusion_pytorch_model.safetensors": noise(5, 60_000),
    "safety_checker/model.safetensors": noise(6, 60_000),
}
HALF = "unet/diffusion_pytorch_model.fp16.safetensors"
FETCHED = {
    "LICENSE", "model_index.json", "unet/config.json", HALF, "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
}  # fmt: skip


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(cache, monkeypatch):
    from huggingface_hub import constants, file_download

    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda seconds: None))  # between its tries
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # what a broken connection loses at most
    with serve(MODEL, dict(FILES)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def here(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def partials(cache: Path) -> list[Path]:
    return list(cache.rglob("*.incomplete"))


def test_only_what_is_needed_comes_and_every_byte_is_right(server, cache):
    plan = hub.plan(MODEL)
    assert {file.name for file in plan.files} == FETCHED
    assert (plan.commit, plan.licence) == (COMMIT, "mit")
    assert plan.to_fetch == plan.size == sum(len(FILES[name]) for name in FETCHED)
    assert not cache.exists(), "a plan fetches nothing"
    said: list[tuple[int, int]] = []
    folder = hub.fetch(plan, lambda done, total: said.append((done, total)))
    assert here(folder) == FETCHED
    assert all((folder / name).read_bytes() == FILES[name] for name in FETCHED)
    assert said[0] == (0, plan.size)
    assert said[-1] == (plan.size, plan.size)
    assert not partials(cache)
    assert set(server.names("GET")) | {HALF, "vae/diffusion_pytorch_model.safetensors"} == FETCHED


def test_the_cache_is_the_one_of_the_library(server, cache):
    from huggingface_hub import hf_hub_download, scan_cache_dir

    folder = hub.fetch(hub.plan(MODEL))
    assert weights.locate(MODEL) == folder
    assert hf_hub_download(MODEL, HALF, local_files_only=True, cache_dir=cache) == str(folder / HALF)
    (repo,) = scan_cache_dir(cache).repos
    assert (repo.repo_id, repo.size_on_disk) == (MODEL, sum(len(FILES[name]) for name in FETCHED))
    assert (folder / HALF).resolve().name == hashlib.sha256(FILES[HALF]).hexdigest()


def test_what_is_here_is_not_fetched_again(server):
    hub.fetch(hub.plan(MODEL))
    served, again = server.served, hub.plan(MODEL)
    assert (again.missing, again.to_fetch) == ((), 0)
    hub.fetch(again)
    assert server.served == served


def test_variants(server):
    full = {file.name for file in hub.plan(MODEL, variant="full").files}
    assert full == FETCHED - {HALF} | {"unet/diffusion_pytorch_model.safetensors"}
    with pytest.raises(ModelError, match=r"^owner/tiny: vae: has no fp16 weights, only full; .*--variant$"):
        hub.plan(MODEL, variant="fp16")


def test_a_dropped_connection_goes_on_where_it_was(server):
    server.fault = Fault(drops=3)
    folder = hub.fetch(hub.plan(MODEL))
    assert (folder / HALF).read_bytes() == FILES[HALF]
    ranges = [headers["range"] for _, _, headers in server.asked if "range" in headers]
    assert len(ranges) == 3
    assert server.served == len(FILES[HALF]) + len(FILES["vae/diffusion_pytorch_model.safetensors"])


def test_a_half_downloaded_model_goes_on_in_another_call(server, cache):
    server.fault = Fault(drops=10**6, after=0)
    plan = hub.plan(MODEL)
    with pytest.raises(ModelError, match=r"^owner/tiny: vae/diff.* broke off .*goes on from there$"):
        hub.fetch(plan)
    with pytest.raises(ModelError, match="vedit models pull owner/tiny fetches what is missing"):
        weights.open_bundle(MODEL, "text2image")
    with pytest.raises(ModelError, match=r"unet/diffusion.*: missing; vedit models pull owner/tiny fetches what is"):
        weights.load_unet2d(weights.locate(MODEL) / "unet")
    server.fault = Fault(drops=1, after=40_000)
    kept = hashlib.sha256(FILES["vae/diffusion_pytorch_model.safetensors"]).hexdigest()
    part = cache / "models--owner--tiny" / "blobs" / f"{kept}.vedit.incomplete"
    part.write_bytes(FILES["vae/diffusion_pytorch_model.safetensors"][:15_000])
    again = hub.plan(MODEL)
    assert again.to_fetch == again.size - sum(len(FILES[one]) for one in FETCHED if len(FILES[one]) < 10_000) - 15_000
    folder = hub.fetch(again)
    assert here(folder) == FETCHED
    assert server.served == 45_000 + len(FILES[HALF])


def test_a_store_without_ranges_starts_over(server):
    server.fault = Fault(drops=1, ranges=False)
    said: list[int] = []
    folder = hub.fetch(hub.plan(MODEL), lambda done, total: said.append(done))
    assert (folder / HALF).read_bytes() == FILES[HALF]
    assert said[-1] == sum(len(FILES[name]) for name in FETCHED)


def test_redirects_of_the_hub_are_followed_and_a_store_gets_no_token(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    server.fault = Fault(redirects=2)
    hub.fetch(hub.plan(MODEL))
    tokens = {("resolve" in path or "api" in path, headers.get("authorization")) for _, path, headers in server.asked}
    assert tokens == {(True, "Bearer hf_secret"), (False, None)}


@pytest.mark.parametrize("name", [HALF, "unet/config.json"])
def test_a_wrong_hash_is_never_kept(server, cache, name):
    server.fault = Fault(wrong=name)
    with pytest.raises(ModelError, match=rf"^owner/tiny: {name} came damaged: its hash is not the one"):
        hub.fetch(hub.plan(MODEL))
    assert not list(cache.rglob(name))
    assert not partials(cache)
    server.fault = Fault()
    assert (hub.fetch(hub.plan(MODEL)) / name).read_bytes() == FILES[name]


@pytest.mark.parametrize("name", [HALF, "unet/config.json"])
def test_a_mirror_that_calls_a_file_by_another_hash_cannot_pass_another_file(server, cache, name):
    server.fault = Fault(other_etag=name)
    plan = hub.plan(MODEL)
    folder = hub.fetch(plan)  # the same content under another name does no harm
    assert (folder / name).read_bytes() == FILES[name]
    assert (folder / name).resolve().name == next(file.digest for file in plan.files if file.name == name)
    stored.verify(MODEL)
    shutil.rmtree(cache)
    bad = next(file for file in plan.files if file.name == name)
    blob = cache / "models--owner--tiny" / "blobs" / bad.digest
    blob.parent.mkdir(parents=True)
    blob.write_bytes(FILES[name])  # checked and in place, and the mirror sends something else for the name
    server.fault = Fault(other_etag=name, wrong=name)
    with pytest.raises(ModelError, match=rf"^owner/tiny: {name} came damaged: http.* names one hash"):
        hub.fetch(plan)
    assert not (cache / "models--owner--tiny" / "snapshots" / COMMIT / name).exists()


def test_a_full_disk_is_not_the_networks_fault(server, monkeypatch):
    tried = []

    def write(self, data):
        tried.append(data)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hub._Counted, "write", write)
    with pytest.raises(ResourceError, match=r"^owner/tiny: .*: the disk of .*cache is full; what came is kept"):
        hub.fetch(hub.plan(MODEL))
    assert len(tried) == 1, "trying again frees nothing"


def test_a_network_that_goes_before_a_file_has_its_name(server, monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def gone(*arguments, **named):
        raise LocalEntryNotFoundError("cannot reach the hub")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", gone)
    with pytest.raises(ModelError, match=r"cannot be reached or broke off .*the same command goes on"):
        hub.fetch(hub.plan(MODEL))


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (401, "GatedRepo", "wants an account that agreed"),
        (401, "", f"{HALF}: http.* answers 401; log in"),
        (404, "EntryNotFound", f"{HALF}: the hub lists it and does not have it"),
        (500, "", f"{HALF}: http.* answers 500; try again later"),
    ],
)
def test_refusals_of_one_file_are_one_line(server, status, code, said):
    plan = hub.plan(MODEL)
    server.fault = Fault(status=status, code=code, refused=HALF)
    with pytest.raises(ModelError, match=said) as caught:
        hub.fetch(plan)
    assert "\n" not in str(caught.value)


def test_a_slow_server_is_named(server, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    monkeypatch.setattr(hub, "ATTEMPTS", 1)
    server.fault = Fault(seconds=0.4)
    with pytest.raises(ModelError, match=rf"^owner/tiny: vae/.*: {server.url} cannot be reached or broke off"):
        hub.fetch(hub.plan(MODEL))


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (
            401,
            "GatedRepo",
            r"^owner/tiny: wants an account .*huggingface.co/owner/tiny, then .*`hf auth login`.*HF_TOKEN$",
        ),
        (403, "GatedRepo", r"wants an account that agreed to its terms"),
        (401, "RepoNotFound", r"^owner/tiny: no such model at http://127.0.0.1:\d+, or one that only its owners see"),
        (401, "", "answers 401; log in with `hf auth login`"),
        (403, "", "answers 403; log in"),
        (404, "RepoNotFound", "no such model"),
        (404, "RevisionNotFound", "has no revision main; leave --revision out"),
        (500, "", "answers 500; try again later"),
    ],
)
def test_refusals_are_one_line(server, status, code, said):
    server.fault = Fault(status=status, code=code)
    with pytest.raises(ModelError, match=said) as caught:
        hub.plan(MODEL)
    assert "\n" not in str(caught.value)


def test_no_network(cache, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match=r"^owner/tiny: http://127.0.0.1:9 cannot be reached"):
        hub.plan(MODEL)


def test_offline(server, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UsageError, match=r"^owner/tiny: \$HF_HUB_OFFLINE forbids the network"):
        hub.plan(MODEL)
    assert server.asked == []


def test_unknown_ids(server):
    with pytest.raises(ModelError, match=r"^owner/other: no such model at"):
        hub.plan("owner/other")
    with pytest.raises(UsageError, match=r"^tiny: is no id of the hub; give OWNER/NAME$"):
        hub.plan("tiny")
    with pytest.raises(UsageError, match="did you mean timbrooks/instruct-pix2pix"):
        hub.plan("instruct-pix2pix")
    with pytest.raises(ModelError, match=r"^insv2v: is not on the Hugging Face hub .*models convert FILE --as insv2v"):
        hub.plan("insv2v")
    with pytest.raises(ModelError, match="has no revision v9"):
        hub.plan(MODEL, revision="v9")


def test_no_room(server, monkeypatch):
    plan = hub.plan(MODEL)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda path: usage._replace(free=hub.SPARE + plan.size - 1))
    with pytest.raises(ResourceError, match=r"0.0 GB are to come and 0.1 GB are free; .*HF_HUB_CACHE"):
        hub.fetch(plan)
    assert "GET" not in {method for method, path, _ in server.asked if "resolve" in path}


def test_code_of_a_model_is_refused_before_its_weights(server):
    index = INDEX | {"unet": ["my_unet", "MyUNet"]}
    server.files["model_index.json"] = json.dumps(index).encode()
    server.files["unet/my_unet.py"] = b"raise SystemExit"
    with pytest.raises(
        ModelError, match=r"model_index.json: asks for code of its own \(unet: my_unet.MyUNet\); vedit never"
    ):
        hub.fetch(hub.plan(MODEL))
    assert server.served == 0


def test_only_pickles(server):
    del server.files["unet/diffusion_pytorch_model.safetensors"], server.files[HALF]
    with pytest.raises(ModelError, match=r"unet: has its weights only as a pickle \(diffusion_pytorch_model.bin\)"):
        hub.plan(MODEL)
    server.files = {"model.ckpt": b"x"}
    with pytest.raises(ModelError, match=r"neither model_index.json nor config.json.*model.ckpt may be one that"):
        hub.plan(MODEL)


def test_a_mirror_that_hides_the_hashes_is_refused(server):
    server.fault = Fault(no_hashes=True)
    with pytest.raises(ModelError, match="does not say size and hash"):
        hub.plan(MODEL)


def test_shards_come_with_their_index(server):
    part = "vae/diffusion_pytorch_model"
    shards = {f"{part}-0000{n}-of-00002.safetensors": noise(n, 20_000) for n in (1, 2)}
    del server.files[f"{part}.safetensors"]
    server.files |= shards | {f"{part}.safetensors.index.json": b"{}"}
    names = {file.name for file in hub.plan(MODEL).files}
    assert {*shards, f"{part}.safetensors.index.json"} <= names


def test_the_registry_pins_the_commit_and_the_parts(server, monkeypatch):
    row = checkpoints.Checkpoint(
        MODEL, "Some", "some terms", "text2image", revision=COMMIT, roles=("text2image",), parts=("unet",)
    )
    monkeypatch.setattr(checkpoints, "known", lambda: (row,))
    plan = hub.plan("Owner/Tiny")
    assert {file.name for file in plan.files} == {"LICENSE", "model_index.json", "unet/config.json", HALF}
    assert (plan.licence, plan.terms) == ("Some", "some terms")
    folder = hub.fetch(plan)
    assert not (folder.parents[1] / "refs").exists(), "a pinned commit says nothing about main"
    assert weights.locate(MODEL) == folder


def test_a_checkpoint_that_is_no_folder_is_fetched_too(server, monkeypatch):
    """As ReVideo is: one pickle, to be converted. It is found again, hashed and removed like any other."""
    row = checkpoints.Checkpoint(
        MODEL, "Some", "terms", "drag", files=("all-in-one.ckpt",), convert="revideo", why="no"
    )
    monkeypatch.setattr(checkpoints, "known", lambda: (row,))
    folder = hub.fetch(hub.plan(MODEL))
    assert here(folder) == {"LICENSE", "all-in-one.ckpt"}
    assert weights.locate(MODEL) == folder
    assert weights.describe(MODEL).name == MODEL
    assert stored.verify(MODEL).files == 2
    with pytest.raises(ModelError, match=r"^owner/tiny: no; no public checkpoint"):
        weights.open_bundle(MODEL, "instruct")
    server.files.pop("all-in-one.ckpt")
    with pytest.raises(ModelError, match=r"has no all-in-one.ckpt any more; the registry is out of date"):
        hub.plan(MODEL)


def test_verify_and_drop(server, cache):
    folder = hub.fetch(hub.plan(MODEL))
    found = stored.verify(MODEL)
    assert (found.path, found.files, found.size) == (folder, len(FETCHED), sum(len(FILES[name]) for name in FETCHED))
    blob = (folder / HALF).resolve()
    damaged = bytearray(FILES[HALF])
    damaged[7] ^= 1
    blob.write_bytes(damaged)
    with pytest.raises(ModelError, match=rf"1 of 6 files are damaged \({HALF}\); vedit models verify --drop-damaged"):
        stored.verify(MODEL)
    with pytest.raises(ModelError, match="removed; vedit models pull owner/tiny fetches them again"):
        stored.verify(MODEL, drop=True)
    again = hub.plan(MODEL)
    assert [file.name for file in again.missing] == [HALF]
    hub.fetch(again)
    stored.verify(MODEL)
    (folder / HALF).resolve().unlink()
    with pytest.raises(ModelError, match=rf"{HALF} is missing; vedit models pull owner/tiny"):
        stored.verify(MODEL)


def test_verify_finds_what_never_came(server, cache):
    """A pull that broke off after the small files: every file that is there is right."""
    pull = hub.plan(MODEL)
    server.fault = Fault(wrong=HALF)
    with pytest.raises(ModelError):
        hub.fetch(pull)
    with pytest.raises(ModelError, match=r"lacks the weights of unet; vedit models pull owner/tiny fetches"):
        stored.verify(MODEL)


def test_verify_finds_a_shard_that_never_came(server):
    part = "vae/diffusion_pytorch_model"
    shards = {f"{part}-0000{n}-of-00002.safetensors": noise(n, 20_000) for n in (1, 2)}
    del server.files[f"{part}.safetensors"]
    index = {"weight_map": {str(n): name.removeprefix("vae/") for n, name in enumerate(shards)}}
    server.files |= shards | {f"{part}.safetensors.index.json": json.dumps(index).encode()}
    folder = hub.fetch(hub.plan(MODEL))
    stored.verify(MODEL)
    lost = f"{part}-00002-of-00002.safetensors"
    (folder / lost).unlink()
    with pytest.raises(ModelError, match=rf"lacks {lost}; vedit models pull owner/tiny fetches"):
        stored.verify(MODEL)


def test_a_pattern_of_files_is_found_again(server, monkeypatch):
    """As MotionDirector's, whose files lie in folders of their own."""
    files = {f"train/{name}/checkpoint-300/temporal/lora/a.pt": noise(8, 20_000) for name in ("one", "two")}
    server.files |= files
    row = checkpoints.Checkpoint(MODEL, "Some", "terms", "lora", files=("*/lora/*.pt",), why="no")
    monkeypatch.setattr(checkpoints, "known", lambda: (row,))
    folder = hub.fetch(hub.plan(MODEL))
    assert here(folder) == {"LICENSE", *files}
    assert weights.locate(MODEL) == folder
    assert stored.verify(MODEL).files == 3


def test_drop_of_two_files_with_one_damaged_content(server, cache):
    folder = hub.fetch(hub.plan(MODEL))
    blob = (folder / HALF).resolve()
    (folder / "vae" / "same.safetensors").symlink_to(blob)
    blob.write_bytes(bytes(len(FILES[HALF])))
    with pytest.raises(ModelError, match=r"2 of 7 files are damaged .* removed; vedit models pull"):
        stored.verify(MODEL, drop=True)
    assert not (folder / HALF).is_symlink() and not (folder / "vae" / "same.safetensors").is_symlink()


def test_remove(server, cache):
    hub.fetch(hub.plan(MODEL))
    (cache / "models--owner--other").mkdir()
    size = stored.used(cache / "models--owner--tiny")
    assert size > sum(len(FILES[name]) for name in FETCHED)
    assert stored.remove(MODEL) == size
    assert [entry.name for entry in cache.glob("models--*")] == ["models--owner--other"]
    with pytest.raises(ModelError, match=r"is not in .*; there is nothing to remove"):
        stored.remove(MODEL)
    with pytest.raises(UsageError, match="only models of the hub are removed"):
        stored.remove("nano")


def test_verify_of_a_bundle(tiny):
    found = stored.verify("tiny")
    assert found.files > 5
    file = next((tiny / "vae").glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match=rf"1 of {found.files} files are damaged \(vae/.*get the model again"):
        stored.verify("tiny")


def test_verify_with_nothing_to_compare(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ModelError, match=r"has no manifest.json and no hashes of the hub"):
        stored.verify(str(tmp_path / "mine"))


def test_hashes_are_those_of_git_and_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"hello\n")
    assert hub.digest_of(tmp_path / "a", "0" * 40) == git_sha1(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert hub.digest_of(tmp_path / "a", "0" * 64) == hashlib.sha256(b"hello\n").hexdigest()
