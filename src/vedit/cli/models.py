"""``vedit models``: what models there are, what each knows and recommends, and where it lies."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vedit.cli import console

if TYPE_CHECKING:
    from vedit.weights import ModelInfo

app = typer.Typer(help="List and inspect models.", no_args_is_help=True, rich_markup_mode=None)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, a name or a cached hub id.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("list")
def list_models(json: Json = False) -> None:
    """List the models that are at hand: name, size, and what each is for."""
    from vedit import weights

    found = weights.list_models()
    if json:
        console.result_json({"schema": 1, "models": [_fields(model) for model in found]})
        return
    if not found:
        console.warn("no models are at hand; set VEDIT_MODELS to a folder that holds some")
    for model in found:
        console.result(f"{model.name:<16}{model.size / 1e6:>8.1f} MB  {', '.join(model.roles)}")


@app.command("show")
def show(model: Model, json: Json = False) -> None:
    """Show what MODEL is for, what it knows, and the settings that it comes with."""
    from vedit import weights

    found = weights.describe(model)
    if json:
        console.result_json({"schema": 1, **_fields(found)})
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
        for method, settings in _settings(role, preset).items():
            command = "prompt-edit" if role == "text2image" else role
            console.result(f"\nvedit {command} --method {method}, settings for -s:")
            for name, (value, description) in settings.items():
                console.result(f"  {name:<18}{json_module.dumps(value):<14}{description}")


@app.command("path")
def path(model: Model) -> None:
    """Print the folder of MODEL."""
    from vedit import weights

    console.result(str(weights.locate(model)))


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
    }
