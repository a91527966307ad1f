"""The public checkpoints that vedit knows of: where they come from, under which terms, and what they are good for.

Facts are in ``registry.toml``. Nothing here touches the network, and nothing says whether a checkpoint is at hand.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from vedit.errors import ModelError
from vedit.weights.search import is_named

REGISTRY = "registry.toml"
# What people call the kinds.
_KINDS = {
    "instruct": "a model that edits by instruction",
    "text2image": "a text-to-image model",
    "image2video": "an image-to-video model",
    "drag": "a model for motion control",
    "motion": "a set of motion modules",
    "lora": "a LoRA",
    "clip": "a CLIP model",
    "transformer": "a video transformer",
}
HALF = 2  # bytes of a parameter in half precision


@dataclass(frozen=True)
class Checkpoint:
    """One row of the registry, whose head says what the fields mean. ``parameters`` in millions, 0 if not known."""

    id: str
    licence: str
    terms: str
    kind: str
    revision: str | None = None
    home: str = ""
    gated: bool = False
    roles: tuple[str, ...] = ()
    trains: tuple[str, ...] = ()
    pipeline: str | None = None
    parts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    parameters: float = 0.0
    convert: str | None = None
    why: str = ""

    @property
    def on_hub(self) -> bool:
        """Whether ``vedit models pull`` can fetch it."""
        return "/" in self.id

    @property
    def runs(self) -> bool:
        """Whether a command runs it as it is."""
        return bool(self.roles) or self.kind == "clip"

    @property
    def half_bytes(self) -> int | None:
        """Bytes of its networks in half precision: on a GPU before the first frame, and on disk as fp16."""
        return round(self.parameters * 1e6) * HALF if self.parameters else None


@cache
def known() -> tuple[Checkpoint, ...]:
    """All rows, in the order of the file."""
    content = tomllib.loads((package_files("vedit.weights") / REGISTRY).read_text(encoding="utf-8"))
    rows = []
    for row in content["checkpoint"]:
        fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
        rows.append(Checkpoint(**fields))
    return tuple(rows)


def find(name: str) -> Checkpoint | None:
    """The row of an id, in any case of letters, or None."""
    return next((row for row in known() if row.id.casefold() == name.casefold()), None)


def resembling(name: str) -> list[str]:
    """Ids that look like a mistyped ``name``, the nearest first."""
    ids = {row.id.casefold(): row.id for row in known()}
    ids |= {row.id.rpartition("/")[2].casefold(): row.id for row in known()}
    close = difflib.get_close_matches(name.casefold(), ids, n=6, cutoff=0.6)
    return list(dict.fromkeys(ids[one] for one in close))


def with_role(role: str) -> list[str]:
    """Ids of the checkpoints that can be a model of ``role``."""
    return [row.id for row in known() if role in row.roles]


def check_role(name: str, role: str, recipe: str | None = None) -> None:
    """Raise ``ModelError`` for a known checkpoint that cannot be a model of ``role``: why not, and what would.

    ``recipe``: of a training, which may start from a model of another role too. Says nothing about what it does not
    know.
    """
    row = find(name)
    if row is None or role in row.roles or recipe in row.trains:
        return
    raise ModelError(f"{row.id}: {reason(row, role)}; {instead(role)}")


def check_kind(name: str, kind: str, called: str) -> None:
    """Raise ``ModelError`` for a known checkpoint that is not of ``kind``, which people call ``called``."""
    row = find(name)
    if row is None or row.kind == kind or Path(name).is_dir() or is_named(name):
        return
    others = " or ".join(other.id for other in known() if other.kind == kind)
    raise ModelError(
        f"{row.id}: is {_KINDS[row.kind]}, not {called}; " + (f"take {others}" if others else "give the folder of one")
    )


def reason(row: Checkpoint, role: str) -> str:
    """Why a checkpoint is no model of ``role``, in a few words."""
    if row.why:
        return row.why
    return f"is a model for {' and '.join(row.roles)}, not for {role}"


def instead(role: str) -> str:
    """Which checkpoints would do for ``role``."""
    others = with_role(role)
    return f"take {' or '.join(others)}" if others else f"no public checkpoint of the registry is one for {role} yet"
