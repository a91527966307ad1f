"""What models there are, for ``vedit models``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vedit.errors import ModelError
from vedit.weights.bundle import COMPONENTS, Bundle, name_of, open_bundle, read_json
from vedit.weights.search import BUNDLE, installed, locate


@dataclass(frozen=True)
class ModelInfo:
    """One model: ``size`` in bytes of all its files, ``presets`` by role, ``knows`` the edits it was trained for."""

    name: str
    path: Path
    roles: tuple[str, ...]
    size: int
    sha256: str
    knows: tuple[str, ...]
    presets: dict[str, dict[str, Any]]


def list_models() -> list[ModelInfo]:
    """All named models at hand, by name."""
    return [_inform(path) for path in installed()]


def describe(model: str) -> ModelInfo:
    """One model. Raises ``ModelError`` if it is not here or damaged."""
    return _inform(locate(model))


def _inform(path: Path) -> ModelInfo:
    bundles = _bundles(path)
    knows = dict.fromkeys(word for bundle in bundles.values() for word in bundle.preset.get("knows", ()))
    return ModelInfo(
        name=next((bundle.name for bundle in bundles.values()), name_of(path)),
        path=path,
        roles=tuple(sorted(bundles)),
        size=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        sha256=next((bundle.sha256 for bundle in bundles.values()), ""),
        knows=tuple(knows),
        presets={role: bundle.preset for role, bundle in bundles.items()},
    )


def _bundles(path: Path) -> dict[str, Bundle]:
    if (path / BUNDLE).is_file():
        roles = [role for role in read_json(path / BUNDLE).get("roles", {}) if role in COMPONENTS]
        return {role: open_bundle(path, role) for role in roles}
    found = {}
    for role in COMPONENTS:
        try:
            found[role] = open_bundle(path, role)
        except ModelError:
            continue  # a diffusers pipeline that lacks what this role needs
    return found
