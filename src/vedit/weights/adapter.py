"""What ``vedit train-adapter`` leaves for the editing commands: one safetensors file that tells all about itself.

The tensors are the parameters that the method trained, by their names in its network. The file's metadata hold the
settings of that network, the model that it was trained on (by the hash of its parts), the clip's prompt and how it was
trained (``vedit``, JSON), and a card for people (``card``, Markdown).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import ModelError, of_writing
from vedit.weights.load import load_tensors
from vedit.weights.search import PICKLES, expanded, refused

if TYPE_CHECKING:
    import torch

    from vedit.weights.bundle import Bundle

FILE = "adapter.safetensors"
SCHEMA = 1


@dataclass(frozen=True)
class About:
    """What an adapter says of itself.

    ``network``: the settings of the method's network, as JSON has them. ``base``: name of the model that it was trained
    on, and ``base_sha256`` the hash of that model's parts (:attr:`~vedit.weights.bundle.Bundle.parts_sha256`).
    ``prompt`` describes the clip. ``training``: how it was trained, for people. ``card``: Markdown.
    """

    method: str
    base: str
    base_sha256: str
    network: dict[str, Any] = field(default_factory=dict)
    prompt: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    card: str = ""


def save(folder: str | Path, about: About, tensors: Mapping[str, torch.Tensor]) -> Path:
    """Write the adapter into ``folder`` and return its file; it appears whole or not at all.

    Raises ``VeditError`` where it cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    whole = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    partial = folder / f".{FILE}.partial"
    try:
        save_file(whole, partial, metadata=metadata(about))
    except SafetensorError as error:
        partial.unlink(missing_ok=True)
        raise of_writing(folder / FILE, error, "") from None
    partial.chmod(folder.stat().st_mode & 0o666)  # as any file there, where save_file keeps it to its owner
    return partial.replace(folder / FILE)


def metadata(about: About) -> dict[str, str]:
    """What ``about`` is in the header of the file."""
    described = asdict(about)
    card = described.pop("card")
    content = json.dumps({"schema": SCHEMA, **described}, sort_keys=True, ensure_ascii=False)
    return {"format": "pt", "vedit": content, "card": card}


def read_about(adapter: str | Path) -> About:
    """What an adapter (its folder or its file) says of itself; no weight is read. Raises ``ModelError``."""
    from safetensors import SafetensorError, safe_open

    file = find(adapter)
    try:
        with safe_open(file, "pt") as opened:
            header = opened.metadata() or {}
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{file}: cannot be read ({reason}); train it again with vedit train-adapter") from None
    if "vedit" not in header:
        raise ModelError(f"{file}: is not an adapter of vedit; make one with vedit train-adapter")
    try:
        content = json.loads(header["vedit"])
        schema = content.pop("schema", None)
        if schema != SCHEMA:
            raise ModelError(f"{file}: schema {schema!r}, this vedit reads {SCHEMA}; update vedit or train it again")
        return About(**content, card=header.get("card", ""))
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{file}: its description is damaged ({error}); train it again") from None


def load(adapter: str | Path, method: str, bundle: Bundle) -> tuple[About, dict[str, torch.Tensor]]:
    """Read an adapter for ``method`` on the model ``bundle``: what it says, and its tensors on the CPU.

    Raises ``ModelError`` if it is for another method or another model, damaged, or not finite.
    """
    about, file = check(adapter, method, bundle), find(adapter)
    tensors = load_tensors(file)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ModelError(f"{file}: {name} is not finite; train it again, with a lower --learning-rate")
    return about, tensors


def check(adapter: str | Path, method: str, bundle: Bundle) -> About:
    """What an adapter says of itself, if it is for ``method`` on the model ``bundle``. Raises ``ModelError``."""
    file = find(adapter)
    about = read_about(file)
    if about.method != method:
        raise ModelError(f"{file}: is an adapter for {about.method}, not for {method}; use --method {about.method}")
    if about.base_sha256 != bundle.parts_sha256:
        raise ModelError(
            f"{file}: was trained on {about.base} ({about.base_sha256[:12]}), and this model is {bundle.name} "
            f"({bundle.parts_sha256[:12]}); use --model with the one it was trained on, or train it again"
        )
    return about


def carried(bundle: Bundle, method: str) -> Path | None:
    """The adapter for ``method`` that a model brings along, if it does: ``carries`` in its preset names the file."""
    entry = bundle.preset.get("carries", {}).get(method)
    return None if entry is None else bundle.path / str(entry)


def find(adapter: str | Path) -> Path:
    """The file of an adapter that is named by its folder or its file. Raises ``ModelError`` if there is none."""
    path = expanded(adapter)
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise ModelError(f"{file}: no such adapter; make one with vedit train-adapter")
    if file.suffix in PICKLES:
        raise ModelError(refused(file))
    return file
