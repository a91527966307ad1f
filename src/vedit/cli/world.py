"""``vedit world``: draw clips of the procedural world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vedit.cli import console
from vedit.cli.options import ProgressStyle

app = typer.Typer(help="The procedural world that nano is trained on.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def main() -> None:
    pass


@app.command("draw")
def draw(
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="DIR", help="The folder to write.", show_default=False)
    ],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same files.")] = 0,
    count: Annotated[int, typer.Option("--count", min=1, metavar="N", help="Scenes.")] = 8,
    edits: Annotated[int, typer.Option("--edits", min=1, metavar="N", help="Edits of each scene.")] = 2,
    frames: Annotated[int, typer.Option("--frames", min=1, metavar="N", help="Frames of a clip.")] = 16,
    size: Annotated[int, typer.Option("--size", min=32, metavar="PIXELS", help="Height and width, even.")] = 256,
    progress: Annotated[ProgressStyle, typer.Option("--progress", help="Progress on standard error.")] = (
        ProgressStyle.auto
    ),
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show tracebacks.")] = False,
) -> None:
    """Draw scenes, each with edits and an instruction for each, and print the path of the manifest.

    vedit train-adapter instructvid2vid --data DIR reads the folder.
    """
    console.configure(quiet=quiet, verbose=verbose, when_stopped=f"what was drawn so far stays in {output}")
    from vedit.cli.progress import reporter
    from vedit.world import triplets

    with reporter("none" if quiet else progress.value, unit="scenes") as told:
        told.stage("draw")
        manifest = triplets.draw(
            Path(output), seed, count, frames=frames, height=size, width=size, edits=edits, progress=told.frames
        )
    console.result(str(manifest))
