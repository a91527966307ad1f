"""What models there are, for ``vedit models``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vedit.errors import ModelError
from vedit.weights.bundle import COMPONENTS, Bundle, NotForRole, name_of, open_bundle, read_json
from vedit.weights.search import BUNDLE, DIFFUSERS, SINGLE, from_hub, installed, is_model, locate


@dataclass(frozen=True)
class ModelInfo:
    """One model: ``size`` in bytes of all its files, ``presets`` by role, ``knows`` the edits it was trained for.
    ``damaged``: why it cannot be used, of one that is listed all the same."""

    name: str
    path: Path
    roles: tuple[str, ...]
    size: int
    sha256: str
    knows: tuple[str, ...]
    presets: dict[str, dict[str, Any]]
    damaged: str = ""


def list_models() -> list[ModelInfo]:
    """All named models at hand, by name, damaged ones too."""
    found = []
    for path in installed():
        try:
            found.append(_inform(path))
        except ModelError as error:
            found.append(ModelInfo(path.name, path, (), _size(path), "", (), {}, str(error)))
    return found


def describe(model: str) -> ModelInfo:
    """One model. Raises ``ModelError`` if it is not here, damaged, or no model."""
    return _inform(locate(model))


def _inform(path: Path) -> ModelInfo:
    bundles = _bundles(path)
    knows = dict.fromkeys(word for bundle in bundles.values() for word in bundle.preset.get("knows", ()))
    return ModelInfo(
        name=next((bundle.name for bundle in bundles.values()), name_of(path)),
        path=path,
        roles=tuple(sorted(bundles)),
        size=_size(path),
        sha256=next((bundle.sha256 for bundle in bundles.values()), ""),
        knows=tuple(knows),
        presets={role: bundle.preset for role, bundle in bundles.items()},
    )


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _bundles(path: Path) -> dict[str, Bundle]:
    """The roles that a model can have. Raises ``ModelError`` for one that has none because of what is off with it."""
    if (path / BUNDLE).is_file():
        roles = [role for role in read_json(path / BUNDLE).get("roles", {}) if role in COMPONENTS]
        return {role: open_bundle(path, role) for role in roles}
    if not is_model(path):
        if from_hub(path) or (path / SINGLE).is_file():  # of use as a part, or to other commands
            return {}
        raise ModelError(f"{path}: has neither {BUNDLE} nor {DIFFUSERS}; it is not a model folder")
    found, failed = {}, None
    for role in COMPONENTS:
        try:
            found[role] = open_bundle(path, role)
        except NotForRole:
            continue
        except ModelError as error:
            failed = failed or error
    if failed is not None and not found:
        raise failed
    return found
