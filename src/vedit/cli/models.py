"""``vedit models``: what models there are, what each knows and recommends, where it lies; fetching and converting."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vedit.cli import console, models_convert, models_store
from vedit.cli.options import ProgressStyle

if TYPE_CHECKING:
    from vedit.weights import ModelInfo
    from vedit.weights.checkpoints import Checkpoint

app = typer.Typer(help="List, fetch, check and convert models.", no_args_is_help=True, rich_markup_mode=None)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, a name or a cached hub id.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("list")
def list_models(json: Json = False) -> None:
    """List the models that are at hand, then the public checkpoints that vedit knows and what each is for."""
    from vedit import weights
    from vedit.weights import checkpoints, hub

    found = weights.list_models()
    if json:
        rows = [_registered(row) | {"here": hub.here(row.id)} for row in checkpoints.known()]
        console.result_json({"schema": 1, "models": [_fields(model) for model in found], "checkpoints": rows})
        return
    if not found:
        console.warn("no models are at hand; set VEDIT_MODELS to a folder that holds some")
    for model in found:
        state = "damaged" if model.damaged else ", ".join(model.roles)
        console.result(f"{model.name:<16}{model.size / 1e6:>8.1f} MB  {state}")
        if model.damaged:
            console.warn(model.damaged)
    for row in checkpoints.known():
        size = f"{row.half_bytes / 1e9:.1f} GB" if row.half_bytes else "?"
        uses = ", ".join(_commands(row)) or ("convert" if row.convert else "nothing yet")
        console.result(f"{row.id:<46}{size:>8}  {'here' if hub.here(row.id) else '':<6}{uses:<48}{row.licence}")


@app.command("show")
def show(model: Model, json: Json = False) -> None:
    """Show what MODEL is for, what it knows, its licence, and the settings that it comes with."""
    from vedit import weights
    from vedit.errors import ModelError
    from vedit.weights import checkpoints

    row = checkpoints.find(model)
    found: ModelInfo | None
    try:
        found = weights.describe(model)
    except ModelError:
        if row is None:
            raise
        found = None  # known, and not at hand
    if json:
        fields = {} if found is None else _fields(found)
        console.result_json({"schema": 1, **fields, **({"checkpoint": _registered(row)} if row else {})})
        return
    if row is not None:
        console.result(_described_row(row))
    if found is None:
        return
    rows = [
        ("name", found.name),
        ("path", str(found.path)),
        ("size", f"{found.size / 1e6:.1f} MB"),
        ("sha256", found.sha256),
        ("knows", ", ".join(found.knows)),
    ]
    console.result("\n".join(f"{name:<8}{value}" for name, value in rows if value))
    for role, preset in found.presets.items():
        settings = _settings(role, preset)
        for command, method in _methods(role):
            console.result(f"\nvedit {command} --method {method}, settings for -s:")
            for name, (value, description) in settings[method].items():
                console.result(f"  {name:<19}{json_module.dumps(value):<14}{description}")


@app.command("path")
def path(model: Model) -> None:
    """Print the folder of MODEL."""
    from vedit import weights
    from vedit.errors import ModelError

    found = weights.locate(model)
    if not weights.is_model_folder(found):
        raise ModelError(f"{found}: is a folder, and not one of a model; vedit models list names those that are here")
    console.result(str(found))


@app.command("verify")
def verify(
    model: Model,
    drop_damaged: Annotated[
        bool, typer.Option("--drop-damaged", help="Remove what is damaged, so that pull fetches just that again.")
    ] = False,
    progress: Annotated[ProgressStyle, typer.Option("--progress", help="Progress on standard error.")] = (
        ProgressStyle.auto
    ),
    json: Json = False,
) -> None:
    """Hash all files of MODEL and compare them with its manifest, or with what the hub said of them."""
    from vedit.cli.progress import reporter
    from vedit.weights import stored

    with reporter(progress.value, unit="MB") as told:
        told.stage("verify")
        found = stored.verify(model, lambda done, total: told.frames(done // 10**6, total // 10**6), drop=drop_damaged)
    if json:
        console.result_json({"schema": 1, "path": str(found.path), "files": found.files, "size": found.size})
    else:
        console.result(f"{found.path}: {found.files} files, {found.size / 1e6:,.1f} MB, all as they should be")


app.command("pull")(models_store.pull)
app.command("rm")(models_store.remove)
app.command("convert")(models_convert.convert)


def _commands(row: Checkpoint) -> dict[str, list[str]]:
    """What can be done with a checkpoint: the methods of each command, and the recipes that start from it."""
    from vedit import engines

    found = {command: list(engines.COMMANDS[command]) for command, role in engines.ROLES.items() if role in row.roles}
    if row.kind == "clip":
        found["evaluate"] = ["--clip"]
    return found | ({"train-adapter": list(row.trains)} if row.trains else {})


def _methods(role: str) -> list[tuple[str, str]]:
    """Commands and methods that take a model of ``role``."""
    from vedit import engines

    commands = (command for command, one in engines.ROLES.items() if one == role)
    return [(command, method) for command in commands for method in engines.COMMANDS[command]]


def _registered(row: Checkpoint) -> dict[str, Any]:
    return {
        "id": row.id, "kind": row.kind, "revision": row.revision, "licence": row.licence, "terms": row.terms,
        "gated": row.gated, "parameters": round(row.parameters * 1e6) or None, "half_precision_bytes": row.half_bytes,
        "commands": _commands(row), "convert": row.convert, "why_not": row.why or None,
    }  # fmt: skip


def _described_row(row: Checkpoint) -> str:
    half, billions = row.half_bytes, row.parameters / 1000
    fetched = f"vedit models pull {row.id}" if row.on_hub else row.home
    rows = [
        ("id", row.id),
        ("licence", f"{row.licence}: {row.terms}"),
        ("fetch", fetched + (", with an account that agreed to its terms" if row.gated else "")),
        ("commit", row.revision or ""),
        (
            "size",
            f"{billions:.2f} billion parameters, {half / 1e9:.1f} GB in half precision" if half else "",
        ),
        ("memory", f"{half / 1e9:.1f} GB for its networks, and what --dry-run says for a window" if half else ""),
        *(("for", f"vedit {command}: {', '.join(methods)}") for command, methods in _commands(row).items()),
        ("but", row.why),
    ]
    return "\n".join(f"{name:<8}{value}" for name, value in rows if value)


def _settings(role: str, preset: dict[str, Any]) -> dict[str, dict[str, tuple[Any, str]]]:
    """By method: each setting, its value with this model, and what it means with its bounds."""
    from vedit import engines

    found: dict[str, dict[str, tuple[Any, str]]] = {}
    for method in engines.methods_for(role):
        schema = engines.settings_of(method).model_json_schema()["properties"]
        advice = engines.advice(method, preset)
        found[method] = {
            name: (advice.get(name, entry.get("default")), _described(entry)) for name, entry in schema.items()
        }
    return found


def _described(entry: dict[str, Any]) -> str:
    """What a setting means, and what it may be."""
    text = str(entry.get("description", ""))
    if "enum" in entry:
        return f"{text} ({', '.join(map(str, entry['enum']))})"
    if "minimum" in entry and "maximum" in entry:
        return f"{text} ({entry['minimum']:g} to {entry['maximum']:g})"
    return text


def _fields(model: ModelInfo) -> dict[str, Any]:
    return {
        "name": model.name,
        "path": str(model.path),
        "roles": list(model.roles),
        "size": model.size,
        "sha256": model.sha256,
        "knows": list(model.knows),
        "presets": model.presets,
        "damaged": model.damaged or None,
    }
