"""Methods of editing. Importing this imports neither torch nor any method."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from vedit.errors import UsageError

if TYPE_CHECKING:
    from vedit.engines.base import Engine
    from vedit.weights import Bundle

# The module of each method. It names its engine class ENGINE.
METHODS = {"instructvid2vid": "vedit.engines.instructvid2vid"}

__all__ = ["METHODS", "advised", "load", "settings_of"]


def settings_of(method: str) -> type[BaseModel]:
    """The typed options of a method. Raises ``UsageError`` for a method that is none."""
    return _engine(method).Settings


def advised(method: str, bundle: Bundle, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` on top of what the model advises for the settings of ``method``.

    Whoever gives the steps means them for every instruction, random edits too.
    """
    fields = settings_of(method).model_fields
    preset = {name: value for name, value in bundle.preset.items() if name in fields}
    if "steps" in given:
        preset.pop("random_steps", None)
    return preset | dict(given)


def load(
    method: str,
    bundle: Bundle,
    settings: BaseModel | Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    dtype: str = "auto",
) -> Engine:
    """Build the engine of ``method`` with the weights of ``bundle``.

    ``settings`` may be the method's own, or values that override the bundle's preset, which overrides the method's
    defaults. Raises ``UsageError``, ``ModelError`` or ``ResourceError``.
    """
    from vedit.engines.base import check_device, choose_dtype

    engine = _engine(method)
    if not isinstance(settings, BaseModel):
        settings = engine.Settings.model_validate(advised(method, bundle, settings or {}))
    check_device(device)
    return engine.from_bundle(bundle, settings, seed=seed, device=device, dtype=choose_dtype(dtype, device))


def _engine(method: str) -> type[Engine]:
    if method not in METHODS:
        raise UsageError(f"--method {method}: no such method; there is {', '.join(sorted(METHODS))}")
    return import_module(METHODS[method]).ENGINE
