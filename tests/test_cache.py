"""The cache: entries whole or absent, the longest unused out, two processes and a kill."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from vedit.cache import ABANDONED, STILL, Cache, default_folder, default_limit, digest, digest_of
from vedit.errors import UsageError

KIND = "trajectories"


def tensors(value=0.0, count=250):
    return {"latents": torch.full((count,), value), "start": torch.tensor(3)}


def name(short):
    """As long as a digest."""
    return short.rjust(64, "0")


def files(cache):
    return sorted(path.name for path in cache.folder.rglob("*") if path.is_file())


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", 10**6)


def test_what_is_put_comes_back(cache):
    assert cache.get(KIND, name("a")) is None
    assert not cache.folder.exists()
    cache.put(KIND, name("a"), tensors(0.1), {"prompt": "a ball"})
    found = cache.get(KIND, name("a"))
    assert torch.equal(found["latents"], tensors(0.1)["latents"])
    assert int(found["start"]) == 3
    assert cache.get("adapters", name("a")) is None
    [entry] = cache.entries()
    assert (entry.kind, entry.key, entry.about()["prompt"]) == (KIND, name("a"), "a ball")
    assert entry.size == entry.path.stat().st_size
    assert cache.warnings == []


def test_keys_depend_on_everything():
    parts = {"prompt": "a", "steps": 5, "dtype": "fp32"}
    assert digest(**parts) == digest(**dict(reversed(parts.items())))
    keys = {digest(**parts | {name: value}) for name, value in [("prompt", "b"), ("steps", 6), ("steps", "5")]}
    assert len(keys | {digest(**parts)}) == 4
    one = torch.arange(6.0)
    others = [one + 1, one.reshape(2, 3), one.double(), one.bfloat16(), -one]
    assert len({digest_of(tensor) for tensor in [one, *others]}) == 6
    assert digest_of(one.reshape(2, 3).T) == digest_of(one.reshape(2, 3).T.contiguous())
    assert digest_of(torch.tensor(0.0)) != digest_of(torch.tensor(-0.0))


def test_the_longest_unused_goes_first(tmp_path):
    cache = Cache(tmp_path, 3 * 1200)
    for age, key in enumerate(map(name, "abc")):
        cache.put(KIND, key, tensors())
        os.utime(tmp_path / KIND / f"{key}.safetensors", (age, age))
    cache = Cache(tmp_path, 3 * 1200)  # another run, which has used none of them
    assert cache.get(KIND, name("a")) is not None  # used just now
    cache.put(KIND, name("d"), tensors())
    assert {entry.key for entry in cache.entries()} == set(map(name, "acd"))
    assert sum(entry.size for entry in cache.entries()) <= cache.limit
    cache.put(KIND, name("huge"), tensors(count=10_000))  # more than all of it: nothing has to go for it
    assert {entry.key for entry in cache.entries()} == set(map(name, "acd"))


def test_without_room_nothing_is_kept(tmp_path):
    cache = Cache(tmp_path / "cache", 0)
    cache.put(KIND, name("a"), tensors())
    assert not cache.folder.exists()


@pytest.mark.parametrize("damage", ["cut", "text", "empty"])
def test_a_damaged_entry_is_told_and_made_again(cache, damage):
    cache.put(KIND, name("a"), tensors())
    path = cache.path(KIND, name("a"))
    path.write_bytes({"cut": path.read_bytes()[:-9], "text": b"hello world, hello", "empty": b""}[damage])
    assert cache.entries()[0].about() in ({}, {"format": "pt"})
    assert cache.get(KIND, name("a")) is None
    assert "damaged" in cache.warnings[0]
    assert files(cache) == []
    cache.put(KIND, name("a"), tensors(2.0))
    assert cache.get(KIND, name("a"))["latents"][0] == 2.0


def test_what_does_not_fit_is_told(tmp_path):
    cache = Cache(tmp_path, limit=100)
    cache.put("maps", name("a" * 8), {"x": torch.zeros(1000)})
    assert (
        not cache.entries() and "do not fit the cache" in cache.warnings[0] and "VEDIT_CACHE_SIZE" in cache.warnings[0]
    )


def test_an_entry_that_cannot_be_touched_is_used(cache, monkeypatch):
    cache.put("maps", name("b" * 8), {"x": torch.ones(3)})

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("vedit.cache.os.utime", refuse)
    found = cache.get("maps", name("b" * 8))
    assert found is not None and torch.equal(found["x"], torch.ones(3)) and not cache.warnings


def test_a_cache_of_no_size_is_none(tmp_path):
    Cache(tmp_path, 10**6).put(KIND, name("a"), tensors())
    assert Cache(tmp_path, 0).get(KIND, name("a")) is None
    assert Cache(tmp_path, 10**6).get(KIND, name("a")) is not None


def test_entries_can_be_read_as_other_files(tmp_path):
    before = os.umask(0o022)
    try:
        Cache(tmp_path, 10**6).put(KIND, name("a"), tensors())
    finally:
        os.umask(before)
    assert Cache(tmp_path, 10**6).path(KIND, name("a")).stat().st_mode & 0o777 == 0o644


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file", 10**6)
    cache.put(KIND, name("a"), tensors())
    assert cache.get(KIND, name("a")) is None
    assert "VEDIT_CACHE names another folder" in cache.warnings[0]


def test_clear_and_abandoned_files(cache):
    cache.put(KIND, name("a"), tensors())
    cache.put("adapters", name("b"), tensors())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    ages = {
        "a": (os.getpid(), 0.0),
        "b": (os.getpid(), ABANDONED + 1),
        "c": (ended.pid, 0.0),
        "d": (ended.pid, STILL + 1),
    }
    written = {one: cache.folder / KIND / f".{name(one)}.{number}.x.tmp" for one, (number, _) in ages.items()}
    for one, (_, age) in ages.items():
        written[one].touch()
        os.utime(written[one], (time.time() - age,) * 2)
    assert cache.clear()[0] == 2
    assert files(cache) == sorted(written[one].name for one in "ac")


def test_files_of_others_are_left_alone(tmp_path):
    """Somebody may have named a folder with models in it."""
    own = [tmp_path / "adapter" / "adapter.safetensors", tmp_path / "unet" / "model.safetensors",
           tmp_path / "unet" / ".model.tmp"]  # fmt: skip
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(5000))
        os.utime(path, (1, 1))
    cache = Cache(tmp_path, 3000)
    for key in "abc":
        Cache(tmp_path, 3000).put(KIND, name(key), tensors())
    assert {entry.key for entry in cache.entries()} == set(map(name, "bc"))
    assert cache.clear()[0] == 2
    assert all(path.stat().st_size == 5000 for path in own)


def test_a_run_that_makes_more_than_fits_finds_its_beginning_again(tmp_path):
    """If each of its entries made the one before go, the next run would find none."""
    Cache(tmp_path, 3 * 1200).put(KIND, name("e"), tensors())
    for found in ([], ["a", "b", "c"]):
        run = Cache(tmp_path, 3 * 1200)
        hits = []
        for key in "abcd":
            if run.get(KIND, name(key)) is None:
                run.put(KIND, name(key), tensors())
            else:
                hits.append(key)
        assert hits == found
        assert len(run.warnings) == 1 and "more than the cache" in run.warnings[0]


def test_where_and_how_large(monkeypatch, tmp_path):
    assert default_folder().name != "vedit"  # the tests' own
    monkeypatch.delenv("VEDIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "vedit"
    assert default_limit() == 10**10
    for text, size in [("500M", 5 * 10**8), ("1.5 GB", 15 * 10**8), ("0", 0), ("7k", 7000)]:
        monkeypatch.setenv("VEDIT_CACHE_SIZE", text)
        assert default_limit() == size
    monkeypatch.setenv("VEDIT_CACHE_SIZE", "lots")
    with pytest.raises(UsageError, match="VEDIT_CACHE_SIZE is 'lots'"):
        default_limit()


WRITER = """
import sys, torch
from pathlib import Path
from vedit.cache import Cache
print("ready", flush=True)
for index in range(int(sys.argv[2])):
    cache = Cache(Path(sys.argv[1]), 20_000)
    key = str(index % 9).zfill(64)
    found = cache.get("trajectories", key)
    assert found is None or (found["latents"] == float(key)).all(), found
    cache.put("trajectories", key, {"latents": torch.full((1000,), float(key))})
    assert not cache.warnings, cache.warnings
"""


def test_two_processes_at_once(tmp_path, environment):
    """Room for four entries, nine keys: both write and remove the same ones all the time."""
    command = [sys.executable, "-c", WRITER, str(tmp_path), "60"]
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    cache = Cache(tmp_path)
    assert not list(tmp_path.glob("*/.*"))
    assert 0 < len(cache.entries()) <= 4
    for entry in cache.entries():
        assert cache.get(entry.kind, entry.key) is not None


def test_a_kill_leaves_whole_entries(tmp_path, environment):
    command = [sys.executable, "-c", WRITER, str(tmp_path), "1000000"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    while not list(tmp_path.glob("*/*.safetensors")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    cache = Cache(tmp_path)
    assert cache.entries()
    for entry in cache.entries():
        found = cache.get(entry.kind, entry.key)
        assert found is not None
        assert (found["latents"] == float(entry.key)).all()
    assert cache.warnings == []
