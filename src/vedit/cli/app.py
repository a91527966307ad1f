"""The command line: what commands there are. Each is one module beside this one.

Nothing heavy is imported here, and help is plain text, so that ``vedit --help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from vedit import __version__
from vedit.cli import (
    cache,
    console,
    doctor,
    drag_motion,
    evaluate,
    first_frame_edit,
    info,
    instruct,
    models,
    prompt_edit,
    train_adapter,
    world,
)

HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="vedit",
    help="Edit videos with diffusion models.",
    epilog="Exit codes: 0 ok, 1 failure, 2 usage, 3 unusable input, 4 model missing or damaged, 5 memory or device, "
    "6 metric gate, 7 part of a batch failed, 129/130/143 stopped by a signal.",
    context_settings=HELP_OPTIONS,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
)


def _version(wanted: bool) -> None:
    if wanted:
        console.result(f"vedit {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command("instruct")(instruct.instruct)
app.command("evaluate")(evaluate.evaluate)
app.command("prompt-edit")(prompt_edit.prompt_edit)
app.command("first-frame-edit")(first_frame_edit.first_frame_edit)
app.command("drag-motion")(drag_motion.drag_motion)
app.command("info")(info.info)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")
app.add_typer(cache.app, name="cache")
app.add_typer(world.app, name="world")
app.add_typer(train_adapter.app, name="train-adapter")


def run() -> int:
    """Run the command line on ``sys.argv`` and return the exit code."""
    return console.run(app)
