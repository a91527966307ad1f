"""Results worth keeping from run to run, by the content that they were made from.

An entry is one safetensors file, named after a hash of everything that it depends on. It appears whole or not at all
(written beside its place, synced, renamed), so two processes may use one cache at once, and a kill leaves at most a
temporary file, which a later run removes. The entries that were used longest ago go when the cache is full, but none
that the run itself has used: of a clip that needs more than all of it, the beginning is found again. Files that are not
named as entries are somebody else's and are left alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import UsageError
from vedit.signals import leaves

if TYPE_CHECKING:
    import torch

FOLDER, SIZE = "VEDIT_CACHE", "VEDIT_CACHE_SIZE"  # environment variables
DEFAULT_LIMIT = 10 * 10**9  # bytes
ABANDONED = 3600.0  # seconds after which a temporary file belongs to nobody any more
STILL = 30.0  # the same where no process of this machine has the number in its name; another machine's may be writing
_SUFFIX = ".safetensors"
_ENTRY = re.compile(r"[0-9a-f]{64}\.safetensors")
_TEMPORARY = re.compile(r"\.[0-9a-f]{64}\.(\d+)\..*tmp")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def default_folder() -> Path:
    """``$VEDIT_CACHE``, or ``vedit`` in the folder that the system has for caches."""
    if os.environ.get(FOLDER):
        return Path(os.environ[FOLDER]).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vedit"


def default_limit() -> int:
    """``$VEDIT_CACHE_SIZE`` in bytes, as in ``500M`` or ``20G``; 0 keeps nothing. Raises ``UsageError``."""
    text = os.environ.get(SIZE, "").strip()
    if not text:
        return DEFAULT_LIMIT
    size = parse_size(text)
    if size is None:
        raise UsageError(f"${SIZE} is {text!r}; give a size such as 500M or 20G, or 0 for no cache")
    return size


def parse_size(text: str) -> int | None:
    """Bytes of ``500M`` or ``20G``; None for what is no size."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip().upper())
    return None if match is None else int(float(match[1]) * _UNITS[match[2]])


def digest(**parts: Any) -> str:
    """The key of what ``parts``, JSON values, determine: 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def digest_of(tensor: torch.Tensor) -> str:
    """Of a tensor's shape, dtype and every value."""
    import torch

    plain = tensor.detach().cpu().contiguous()
    content = hashlib.sha256(f"{tuple(plain.shape)} {plain.dtype} ".encode())
    content.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()


@dataclass(frozen=True)
class Entry:
    """One file of the cache. ``kind``: what sort of thing; ``size`` in bytes; ``used``: seconds since 1970."""

    kind: str
    key: str
    path: Path
    size: int
    used: float

    def about(self) -> dict[str, str]:
        """What was said about it when it was put there; empty for a file that cannot be read."""
        try:
            with self.path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(length)) if 0 < length <= self.size else {}
        except (OSError, ValueError):
            return {}
        return dict(header.get("__metadata__", {}))


@dataclass
class Cache:
    """Tensors by kind and key, below ``folder``, at most ``limit`` bytes. ``warnings``: what went wrong with it."""

    folder: Path
    limit: int = DEFAULT_LIMIT
    warnings: list[str] = field(default_factory=list)
    _used: set[Path] = field(default_factory=set, init=False, repr=False)  # by this run: they stay

    @classmethod
    def default(cls) -> Cache:
        """The cache of this user. Raises ``UsageError`` for a size that is none."""
        return cls(default_folder(), default_limit())

    def get(self, kind: str, key: str) -> dict[str, torch.Tensor] | None:
        """What was put under ``key``, a :func:`digest`, on the CPU, or None, as always where the limit is 0.

        It counts as used now. A damaged entry is removed.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        if not self.limit:
            return None
        path = self.path(kind, key)
        try:
            content = path.read_bytes()
            tensors = load(content)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except SafetensorError:
            with contextlib.suppress(OSError):  # in a folder that cannot be written to it stays
                path.unlink(missing_ok=True)
            self._warn(f"{path}: damaged, so it is not used and is made again")
            return None
        except OSError as error:
            self._warn(f"{path}: cannot be read ({error.strerror}); made again")
            return None
        with contextlib.suppress(OSError):  # removed meanwhile, or in a folder that can only be read
            os.utime(path)
        self._used.add(path)
        return tensors

    def put(
        self, kind: str, key: str, tensors: Mapping[str, torch.Tensor], about: Mapping[str, str] | None = None
    ) -> None:
        """Keep ``tensors`` under ``key``, a :func:`digest`, where there is room beside what this run has used.

        ``about`` is for ``vedit cache list``.

        A cache that cannot be written to is a warning, since the work goes on without it.
        """
        from safetensors.torch import save

        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        if size > self.limit:
            if self.limit:
                self._warn(
                    f"{self.folder}: {size / 1e6:.0f} MB do not fit the cache of {self.limit / 1e6:.0f} MB and are "
                    f"made again each time; ${SIZE} makes it larger"
                )
            return
        path = self.path(kind, key)
        temporary = path.with_name(f".{key}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self._make_room(size):
                self._warn(
                    f"{self.folder}: this run makes more than the cache of {self.limit / 1e6:.0f} MB holds; what does "
                    f"not fit is made again each time; ${SIZE} makes it larger"
                )
                return
            with leaves(str(temporary)):
                try:
                    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
                    # Not by save_file: a kill would leave a file of its own behind, which nobody knows of.
                    with temporary.open("xb") as file:
                        file.write(save(whole, metadata=dict(about or {})))
                        file.flush()
                        os.fsync(file.fileno())
                    os.replace(temporary, path)
                    self._used.add(path)
                    self._make_room(0)  # another process may have filled what this one had made
                finally:
                    temporary.unlink(missing_ok=True)
        except OSError as error:
            self._warn(
                f"{path.parent}: cannot keep results ({error.strerror or error}); ${FOLDER} names another folder"
            )

    def entries(self) -> list[Entry]:
        """All entries, those used longest ago first."""
        found = []
        for path in self.folder.glob(f"*/*{_SUFFIX}"):
            if not _ENTRY.fullmatch(path.name):
                continue
            try:
                state = path.stat()
            except FileNotFoundError:  # another process was faster
                continue
            found.append(Entry(path.parent.name, path.name.removesuffix(_SUFFIX), path, state.st_size, state.st_mtime))
        return sorted(found, key=lambda entry: (entry.used, entry.key))

    def clear(self) -> tuple[int, int]:
        """Remove all entries; returns how many there were and their bytes."""
        entries = self.entries()
        for entry in entries:
            entry.path.unlink(missing_ok=True)
        self._remove_abandoned()
        return len(entries), sum(entry.size for entry in entries)

    def _make_room(self, size: int) -> bool:
        """Remove the entries used longest ago until ``size`` more bytes fit, if they can without what this run has
        used; whether they do. Two processes at it remove the same."""
        self._remove_abandoned()
        entries = self.entries()
        total = sum(entry.size for entry in entries)
        if size + sum(entry.size for entry in entries if entry.path in self._used) > self.limit:
            return False
        for entry in entries:
            if total + size <= self.limit:
                break
            if entry.path not in self._used:
                entry.path.unlink(missing_ok=True)
                total -= entry.size
        return True

    def _remove_abandoned(self) -> None:
        for path in self.folder.glob("*/.*.tmp"):
            if not (named := _TEMPORARY.fullmatch(path.name)):
                continue
            try:
                if time.time() - path.stat().st_mtime > (ABANDONED if _runs(int(named[1])) else STILL):
                    path.unlink()
            except FileNotFoundError:
                continue

    def path(self, kind: str, key: str) -> Path:
        """Where an entry is, or would be."""
        return self.folder / kind / f"{key}{_SUFFIX}"

    def _warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)


def _runs(number: int) -> bool:
    """Whether a process of this number runs on this machine."""
    if sys.platform == "win32":  # where asking would end it
        return True
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another person's
        pass
    return True
