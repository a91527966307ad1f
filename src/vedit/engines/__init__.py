"""Methods of editing. Importing this imports neither torch nor any method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from vedit.errors import UsageError

if TYPE_CHECKING:
    from vedit.cache import Cache
    from vedit.engines.base import Engine, Execution, Share, Work
    from vedit.engines.model import ModelEngine
    from vedit.weights import Bundle

# The module of each method. It names its engine class ENGINE.
METHODS = {
    "instructvid2vid": "vedit.engines.instructvid2vid",
    "video-instruct-pix2pix": "vedit.engines.video_instruct_pix2pix",
    "sdedit": "vedit.engines.sdedit",
    "text2video-zero": "vedit.engines.text2video_zero",
    "fatezero": "vedit.engines.fatezero",
    "tokenflow": "vedit.engines.tokenflow",
    "tcve": "vedit.engines.tcve",
    "tune-a-video": "vedit.engines.tune_a_video",
    "revideo": "vedit.engines.revideo",
    "anyv2v": "vedit.engines.anyv2v",
}

# The methods of each command, and the kind of model that they need.
COMMANDS = {
    "instruct": ("instructvid2vid", "video-instruct-pix2pix"),
    "prompt-edit": ("sdedit", "text2video-zero", "fatezero", "tokenflow", "tcve", "tune-a-video"),
    "drag-motion": ("revideo",),
    "first-frame-edit": ("anyv2v", "revideo"),
}
ROLES = {
    "instruct": "instruct",
    "prompt-edit": "text2image",
    "drag-motion": "image2video",
    "first-frame-edit": "image2video",
}

__all__ = [
    "COMMANDS",
    "METHODS",
    "ROLES",
    "advice",
    "advised",
    "along",
    "branches",
    "check_execution",
    "least_window",
    "load",
    "methods_for",
    "settings_of",
    "shares_frames",
    "takes_adapter",
    "together",
    "tuned_network",
    "tunes_to_clip",
    "work",
]


def methods_for(role: str) -> list[str]:
    """The methods that a model of ``role`` can be used with."""
    found = [method for command, methods in COMMANDS.items() if ROLES[command] == role for method in methods]
    return list(dict.fromkeys(found))


def takes_adapter(method: str) -> bool:
    """Whether ``--adapter`` means something to a method."""
    return _engine(method).takes_adapter


def shares_frames(method: str) -> bool:
    """Whether windows that share frames are of use to a method. Others carry on what they need by themselves."""
    return bool(getattr(_engine(method), "shares_frames", True))


def tunes_to_clip(method: str) -> bool:
    """Whether the adapter of a method is trained on the clip that it edits, so that an edit can train it first."""
    return bool(getattr(_engine(method), "tunes_to_clip", False))


def least_window(method: str) -> int:
    """How many frames a window should have at least, where nobody says: what the method was made to see together."""
    return int(getattr(_engine(method), "at_once", 1))


def tuned_network(method: str, network: Mapping[str, Any] | None = None) -> Callable[[Any], Any] | None:
    """What makes the network of a method that is tuned to one clip of a 2D one, by the settings of an adapter's
    ``network`` or the method's own; None for other methods. Raises ``ModelError`` for settings that do not fit."""
    if not tunes_to_clip(method):
        return None
    engine: Any = _engine(method)
    config = engine.Config() if network is None else engine.config_of(network, f"the adapter for {method}")
    return lambda unet: engine.Network(unet, config)


def check_execution(method: str, execution: Execution) -> None:
    """Raise ``UsageError`` for a way to run networks that ``method`` cannot have."""
    for name, reason in _engine(method).hinders.items():
        if getattr(execution, name):
            raise UsageError(f"--{name.replace('_', '-')}: is not for {method}: {reason}; leave it out")


def along(method: str, settings: BaseModel) -> int:
    """How many frames of the window before the network of ``method`` sees beside a window's own."""
    if not tunes_to_clip(method):
        return 0
    engine: Any = _engine(method)
    return int(engine.along(settings))


def together(method: str, settings: BaseModel, frames: int) -> int:
    """How many frames the network of ``method`` sees in one call, at the most, where a window has ``frames``."""
    engine: Any = _engine(method)
    return int(engine.together(settings, frames)) if hasattr(engine, "together") else frames


def branches(method: str, settings: BaseModel) -> int:
    """How many branches the guidance of ``method`` has that count."""
    return len(_engine(method).branches(settings))


def settings_of(method: str) -> type[BaseModel]:
    """The typed options of a method. Raises ``UsageError`` for a method that is none."""
    return _engine(method).Settings


def advice(method: str, preset: Mapping[str, Any]) -> dict[str, Any]:
    """What the preset of a model says about the settings of ``method``: for all methods, and for this one alone."""
    fields = settings_of(method).model_fields
    own = preset.get("methods", {}).get(method, {})
    return {name: value for name, value in (dict(preset) | own).items() if name in fields}


def advised(method: str, bundle: Bundle, given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` on top of what the model advises for the settings of ``method``.

    Whoever gives the steps means them for the inversion too.
    """
    preset = advice(method, bundle.preset)
    if "steps" in given:
        preset.pop("inversion_steps", None)
    return preset | dict(given)


def work(method: str, bundle: Bundle, settings: BaseModel, windows: Iterable[Share]) -> Work:
    """What the windows of an edit will take of the network. Reads the model's schedule, loads no weights.

    Raises ``UsageError`` and ``ModelError``.
    """
    from vedit.engines.base import Work
    from vedit.weights import load_levels, load_schedule

    read = load_levels if method in methods_for("image2video") else load_schedule
    engine: Any = _engine(method)
    schedule = read(bundle.components["scheduler"])
    known: dict[Share, Work] = {}
    total = Work(0, 0)
    for share in windows:
        if share not in known:
            known[share] = engine.work(settings, schedule, share)
        total += known[share]
    return total


def load(
    method: str,
    bundle: Bundle,
    settings: BaseModel | Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    dtype: str = "auto",
    execution: Execution | None = None,
    cache: Cache | None = None,
    adapter: str | None = None,
) -> Engine:
    """Build the engine of ``method`` with the weights of ``bundle``.

    ``settings`` may be the method's own, or values that override the bundle's preset, which overrides the method's
    defaults. ``cache``: where the method may keep what a later edit of the same clip needs again. ``adapter``: folder
    or file, for the methods that take one. Raises ``UsageError``, ``ModelError`` or ``ResourceError``.
    """
    from vedit.engines.base import check_device, choose_dtype

    engine = _engine(method)
    if not isinstance(settings, BaseModel):
        settings = engine.Settings.model_validate(advised(method, bundle, settings or {}))
    check_device(device)
    more: dict[str, Any] = {"adapter": adapter} if takes_adapter(method) else {}
    return engine.from_bundle(
        bundle, settings, seed=seed, device=device, dtype=choose_dtype(dtype, device), execution=execution,
        cache=cache, **more,
    )  # fmt: skip


def _engine(method: str) -> type[ModelEngine]:
    if method not in METHODS:
        raise UsageError(f"--method {method}: no such method; there is {', '.join(sorted(METHODS))}")
    return import_module(METHODS[method]).ENGINE
