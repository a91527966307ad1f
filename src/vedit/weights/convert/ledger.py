"""A checkpoint that is being converted: every key is taken, or set aside with a reason, or the conversion stops."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import InputError, ModelError
from vedit.weights.load import load_tensors
from vedit.weights.search import PICKLES

if TYPE_CHECKING:
    import torch

SAFE = ".safetensors"
_LISTED = 8  # keys that a message names
_TRAINERS = {"pytorch_lightning", "lightning", "lightning_fabric", "omegaconf", "numpy"}
_HARMLESS = {"typing.Any", "collections.defaultdict", "builtins.dict", "builtins.list", "builtins.int", "builtins.str",
             "builtins.float", "builtins.bool"}  # that OmegaConf's settings name  # fmt: skip


class Ledger:
    """The tensors of one file by name, and what became of each. ``where`` names the file in messages."""

    def __init__(self, state: Mapping[str, torch.Tensor], where: str) -> None:
        self.where = where
        self.aside: dict[str, list[str]] = {}
        self._left = dict(state)
        self._count = len(self._left)

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def has(self, prefix: str) -> bool:
        """Whether a key that is left starts so."""
        return any(key.startswith(prefix) for key in self._left)

    def left(self) -> list[str]:
        """Those that are left."""
        return list(self._left)

    def unwrap(self, prefix: str) -> None:
        """Drop ``prefix`` from the names that have it: what a wrapper such as ``_forward_module.`` added.

        Raises ``ModelError`` where a name is there with it and without.
        """
        both = [key for key in self._left if key.startswith(prefix) and key.removeprefix(prefix) in self._left]
        if both:
            raise ModelError(
                f"{self.where}: has {both[0]} and {both[0].removeprefix(prefix)}, which are one; nothing was written"
            )
        self._left = {key.removeprefix(prefix): tensor for key, tensor in self._left.items()}

    def replace(self, by: Mapping[str, str], why: str) -> None:
        """Let the tensors named by the keys of ``by`` stand in for those named by its values, which go aside."""
        for name, key in by.items():
            self._left[key] = self._left.pop(name)
        self.aside.setdefault(why, []).extend(by.values())

    def take(self, prefix: str, rename: Callable[[str], str | None] | None = None) -> dict[str, torch.Tensor]:
        """The tensors whose names start with ``prefix``, without it, by the names that ``rename`` gives.

        Those that ``rename`` has no name for stay, and so stop the conversion in the end.
        """
        taken = {}
        for key in [key for key in self._left if key.startswith(prefix)]:
            short = key.removeprefix(prefix)
            name = short if rename is None else rename(short)
            if name is None:
                continue
            if name in taken:
                raise ModelError(f"{self.where}: {key} and another key both become {name}; nothing was written")
            taken[name] = self._left.pop(key)
        return taken

    def set_aside(self, pattern: str, why: str) -> None:
        """Leave out the keys that match ``pattern`` from their start; ``why`` goes into the report."""
        found = [key for key in self._left if re.match(pattern, key)]
        for key in found:
            del self._left[key]
        if found:
            self.aside.setdefault(why, []).extend(found)

    def finish(self) -> None:
        """Raise ``ModelError`` that lists the keys that nobody took."""
        if self._left:
            rest = sorted(self._left)
            more = f", and {len(rest) - _LISTED} more, which -v lists" if len(rest) > _LISTED else ""
            named = ", ".join(rest[:_LISTED]) + more
            error = ModelError(
                f"{self.where}: {len(rest)} of {self._count} keys have no place ({named}); it is "
                "not what --as says, or more than that; nothing was written"
            )
            error.add_note("\n".join(rest))  # all of them, for -v
            raise error


def read(file: Path) -> Ledger:
    """The tensors of a safetensors file or a pickle, which is read as plain tensors only (``weights_only``).

    Raises ``InputError`` for a file that is neither, and ``ModelError`` for a pickle that holds more than tensors.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such file; give the checkpoint to convert")
    if file.suffix == SAFE:
        return Ledger(load_tensors(file), str(file))
    if file.suffix not in PICKLES:
        raise InputError(f"{file}: is neither a {SAFE} file nor a checkpoint of torch ({', '.join(PICKLES)})")
    content = unpickle(file)
    if not isinstance(content, Mapping):
        raise ModelError(f"{file}: holds a {type(content).__name__}, not tensors by name; --as names another kind?")
    beside: list[str] = []
    for name in ("state_dict", "model", "module"):
        if isinstance(content.get(name), Mapping):
            beside = [str(key) for key in content if key != name]
            content = content[name]
            break
    tensors, other = {}, []
    for key, value in content.items():
        if beside and isinstance(value, Inert):
            raise ModelError(f"{file}: {key} among its tensors is an object of another kind; nothing was written")
        if hasattr(value, "shape"):
            tensors[str(key)] = value
        else:
            other.append(str(key))
    if not tensors:
        raise ModelError(f"{file}: holds no tensors by name; --as names another kind?")
    ledger = Ledger(tensors, str(file))
    if beside or other:
        ledger.aside["what training kept beside the weights"] = beside + other
    return ledger


def unpickle(file: Path) -> Any:
    """What a pickle of torch holds, with nothing run: only tensors and plain containers are built.

    What trainers keep beside the weights, such as the callbacks of PyTorch Lightning, becomes an :class:`Inert`.
    """
    import torch

    harmless: list[Any] = [(Inert, name) for name in _beside(file)]
    try:
        with torch.serialization.safe_globals(harmless):
            return torch.load(file, map_location="cpu", weights_only=True, mmap=_is_zip(file))
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|global) (\S+)", str(error))
        what = f" ({named[1]})" if named else ""
        raise ModelError(
            f"{file}: holds more than tensors{what}, and reading that could run code; get its safetensors, or save its "
            "tensors alone where you trust it"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{file}: cannot be read ({reason}); get it again") from error


class Inert:
    """Stands for an object that a checkpoint names and nobody needs. It has nothing of that object's class."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def _beside(file: Path) -> list[str]:
    """The classes of trainers that a checkpoint in torch's newer format names."""
    import torch

    if not _is_zip(file):
        return []
    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError):
        return []  # reading it says what is the matter
    return [name for name in named if name.partition(".")[0] in _TRAINERS or name in _HARMLESS]


def _is_zip(file: Path) -> bool:
    """Torch's newer format, which can be mapped into memory instead of read."""
    with file.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"
