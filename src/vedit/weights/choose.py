"""Which files of a repository a model is made of: one set of safetensors, its configuration, and nothing twice."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from vedit.errors import ModelError
from vedit.weights.checkpoints import Checkpoint
from vedit.weights.search import BUNDLE, DIFFUSERS, PICKLES, SINGLE

Variant = Literal["auto", "full", "fp16"]

_STEMS = ("diffusion_pytorch_model", "model")
_DESCRIBING = (".json", ".txt", ".model", ".jinja")  # configurations and vocabularies
_UNUSED_PARTS = {"safety_checker"}

# model.safetensors, model.fp16.safetensors, model-00001-of-00002.safetensors, model.fp16-00001-of-00002.safetensors,
# model.safetensors.index.json, model.safetensors.index.fp16.json, model.fp16.safetensors.index.json
_WEIGHTS = re.compile(
    rf"(?P<stem>{'|'.join(_STEMS)})(?:\.(?P<variant>\w+))?(?:-\d{{5}}-of-\d{{5}})?(?:\.(?P<late>\w+))?\.safetensors"
    r"(?:\.index(?:\.(?P<index>\w+))?\.json)?"
)


@dataclass(frozen=True)
class Listed:
    """A file of a repository. ``digest``: its sha256, or for small files git's own sha1, in hexadecimal digits."""

    name: str
    size: int
    digest: str


def choose(files: Iterable[Listed], row: Checkpoint | None, variant: Variant, where: str) -> list[Listed]:
    """The files to fetch, those that describe first. ``row``: what the registry says of it, None for another one.

    ``auto`` takes half precision where it is published, part by part, and full precision elsewhere. Raises
    ``ModelError`` for a repository that is no model, and for a part that has only pickles.
    """
    by_name = {file.name: file for file in files}
    chosen = [file for file in by_name.values() if re.fullmatch(r"LICEN[CS]E[^/]*", file.name, re.IGNORECASE)]
    if row is not None and row.files:
        found = [file for file in by_name.values() if any(fnmatch.fnmatch(file.name, one) for one in row.files)]
        absent = [one for one in row.files if not fnmatch.filter(by_name, one)]
        if absent:
            raise ModelError(f"{where}: has no {', '.join(absent)} any more; the registry is out of date")
        return _sorted(chosen + found)
    if BUNDLE in by_name:
        return _sorted(file for file in by_name.values() if not file.name.startswith("."))
    if DIFFUSERS in by_name:
        parts = list(row.parts) if row is not None and row.parts else _parts(by_name)
        chosen.append(by_name[DIFFUSERS])
        for part in parts:
            inside = {
                name.removeprefix(f"{part}/"): file for name, file in by_name.items() if name.startswith(part + "/")
            }
            if not inside:
                raise ModelError(f"{where}: has no folder {part}; it is not the model that the registry describes")
            chosen += _of_folder(inside, variant, f"{where}: {part}")
        return _sorted(chosen)
    if SINGLE in by_name:
        return _sorted(chosen + _of_folder({n: f for n, f in by_name.items() if "/" not in n}, variant, where))
    pickles = [name for name in by_name if name.endswith(PICKLES)]
    more = f"; {pickles[0]} may be one that vedit models convert reads, fetch it by hand" if pickles else ""
    raise ModelError(f"{where}: has neither {DIFFUSERS} nor {SINGLE}, so it is not a model folder{more}")


def _parts(by_name: Mapping[str, Listed]) -> list[str]:
    """The folders of a pipeline that vedit does not know."""
    described = {name.rpartition("/")[0] for name in by_name if name.endswith(".json") and name.count("/") == 1}
    return sorted(described - _UNUSED_PARTS)


def _of_folder(inside: Mapping[str, Listed], variant: Variant, where: str) -> list[Listed]:
    """What describes a part, and one set of its weights, if it has any."""
    sets: dict[tuple[str, str], list[Listed]] = {}
    described = []
    for name, file in inside.items():
        if "/" in name:
            continue
        match = _WEIGHTS.fullmatch(name)
        if match is not None:
            kind = match["variant"] or match["late"] or match["index"] or "full"
            sets.setdefault((match["stem"], kind), []).append(file)
        elif name.endswith(_DESCRIBING) and ".index" not in name:
            described.append(file)
    if not sets:
        pickles = [name for name in inside if name.endswith(PICKLES)]
        if pickles:
            raise ModelError(
                f"{where}: has its weights only as a pickle ({pickles[0]}), which vedit does not load; look for a "
                "revision with safetensors, or fetch it by hand and use vedit models convert"
            )
        return described
    stem = next(one for one in _STEMS if any(key[0] == one for key in sets))
    wanted = {"auto": ("fp16", "full"), "full": ("full",), "fp16": ("fp16",)}[variant]
    for kind in wanted:
        if (stem, kind) in sets:
            return described + sets[stem, kind]
    published = ", ".join(sorted(kind for one, kind in sets if one == stem))
    raise ModelError(f"{where}: has no {variant} weights, only {published}; choose another --variant")


def _sorted(files: Iterable[Listed]) -> list[Listed]:
    """Without doubles, what describes the model first, then from the smallest."""
    unique = {file.name: file for file in files}
    return sorted(unique.values(), key=lambda file: (not file.name.endswith(_DESCRIBING), file.size, file.name))
