"""Models that are at hand: whether their files are still what they were, and making room."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vedit.errors import ModelError, UsageError
from vedit.weights import checkpoints
from vedit.weights.bundle import MANIFEST, absent_shards, from_hub, name_of, read_manifest, sha256
from vedit.weights.choose import Listed
from vedit.weights.hub import Pull, digest_of
from vedit.weights.search import HUB_ID, SINGLE, hub_cache, locate

Progress = Callable[[int, int], None]  # bytes read, bytes in all


@dataclass(frozen=True)
class Verified:
    """What was compared: ``files`` of ``size`` bytes in all."""

    path: Path
    files: int
    size: int


def verify(model: str, progress: Progress | None = None, *, drop: bool = False) -> Verified:
    """Hash every file of ``model`` and compare: with its manifest, or with what its name in the hub's cache promises.

    ``drop`` removes what is damaged from the hub's cache, so that ``vedit models pull`` fetches just that. Raises
    ``ModelError`` that names the files that are damaged or missing, or says that there is nothing to compare with.
    """
    path = locate(model).resolve()
    wanted = _promised(path)
    total = sum(file.stat().st_size for file in wanted)
    bad: list[Path] = []
    done = 0
    for file, digest in wanted.items():
        found = sha256(file) if len(digest) == 64 else digest_of(file, digest)
        if found != digest:
            bad.append(file)
        done += file.stat().st_size
        if progress is not None:
            progress(done, total)
    name = name_of(path)
    if bad:
        named = ", ".join(_name(file, path) for file in bad[:5])
        again = "get the model again"
        if from_hub(path):
            again = f"vedit models verify --drop-damaged {name}, then vedit models pull {name}"
        if drop and from_hub(path):
            for file in bad:
                file.resolve().unlink(missing_ok=True)  # another file may have had the same content, and gone before
                file.unlink()
            again = f"removed; vedit models pull {name} fetches them again"
        raise ModelError(f"{path}: {len(bad)} of {len(wanted)} files are damaged ({named}); {again}")
    lacking = _lacking(path)
    if lacking:
        raise ModelError(f"{path}: lacks {', '.join(lacking)}; vedit models pull {name} fetches what is missing")
    return Verified(path, len(wanted), total)


def whole(model: str) -> Pull | None:
    """A model of the hub that is all here, as fetching it would tell of it; None for any other. Hashes nothing."""
    try:
        path = locate(model).resolve()
        if not from_hub(path) or _lacking(path):
            return None
        promised = _promised(path)
    except ModelError:
        return None
    row = checkpoints.find(name_of(path))
    files = tuple(Listed(_name(file, path), file.stat().st_size, digest) for file, digest in promised.items())
    licence, terms = (row.licence, row.terms) if row is not None else ("not known", "read its card before you use it")
    return Pull(name_of(path), path.name, path.name, files, (), licence, terms)


def _lacking(path: Path) -> list[str]:
    """What a snapshot of the hub should have and does not."""
    name = name_of(path)
    row = checkpoints.find(name) if from_hub(path) else None
    lacking = [part for part in (row.parts if row else ()) if not any((path / part).glob("*"))]
    if from_hub(path):  # what describes a network comes before its weights
        described = sorted(file.parent for file in (*path.glob(SINGLE), *path.glob(f"*/{SINGLE}")))
        lacking += [f"the weights of {folder.name if folder != path else name}" for folder in described
                    if not any(folder.glob("*.safetensors"))]  # fmt: skip
        indices = sorted((*path.glob("*.safetensors.index*.json"), *path.glob("*/*.safetensors.index*.json")))
        lacking += [_name(index.parent / shard, path) for index in indices for shard in absent_shards(index)]
    return lacking


def remove(model: str) -> int:
    """Remove a model of the hub from the cache, all its revisions, and return the bytes that this frees.

    Raises ``UsageError`` for anything else, and ``ModelError`` for a model that is not there.
    """
    folder = stored(model)
    freed = used(folder)
    shutil.rmtree(folder)
    shutil.rmtree(hub_cache() / ".locks" / folder.name, ignore_errors=True)
    return freed


def stored(model: str) -> Path:
    """The folder of a model of the hub in the cache, whole or not. Raises as :func:`remove` does."""
    if not HUB_ID.fullmatch(model) or Path(model).is_dir():
        raise UsageError(
            f"{model}: only models of the hub are removed, by OWNER/NAME; remove a folder of yours yourself"
        )
    row = checkpoints.find(model)
    folder = hub_cache() / f"models--{(row.id if row else model).replace('/', '--')}"
    if not folder.is_dir():
        raise ModelError(f"{model}: is not in {hub_cache()}; there is nothing to remove")
    return folder


def used(folder: Path) -> int:
    """Bytes that a folder takes; links count once, by their own size."""
    return sum(os.lstat(file).st_size for file in folder.rglob("*") if not file.is_dir() or file.is_symlink())


def _promised(path: Path) -> dict[Path, str]:
    """The hash that every file should have."""
    manifest = read_manifest(path)
    if manifest is not None:
        absent = [name for name in manifest if not (path / name).is_file()]
        if absent:
            raise ModelError(f"{path}: {len(absent)} files are missing ({', '.join(absent[:5])}); get the model again")
        return {path / name: str(entry["sha256"]) for name, entry in manifest.items()}
    wanted = {}
    if from_hub(path):
        for file in sorted(path.rglob("*")):
            if file.is_symlink() and not file.exists():
                raise ModelError(
                    f"{path}: {_name(file, path)} is missing; vedit models pull {name_of(path)} fetches what is missing"
                )
            blob = file.resolve().name  # the cache names a file after its hash
            if file.is_symlink() and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", blob):
                wanted[file] = blob
    if not wanted:
        raise ModelError(f"{path}: has no {MANIFEST} and no hashes of the hub, so there is nothing to compare it with")
    return wanted


def _name(file: Path, path: Path) -> str:
    return file.relative_to(path).as_posix()
