"""``vedit models convert``: checkpoints in their original layouts into folders that vedit and diffusers read."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from vedit.cli import console


class Kind(StrEnum):
    """What FILE is. The same names as vedit.weights.convert.KINDS, which a test keeps equal."""

    sd = "sd"
    svd = "svd"
    insv2v = "insv2v"
    tune_a_video = "tune-a-video"
    tcve = "tcve"
    animatediff = "animatediff"
    motiondirector = "motiondirector"
    revideo = "revideo"


def convert(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A checkpoint, or the folder of a training.", show_default=False)
    ],
    kind: Annotated[
        Kind, typer.Option("--as", help="sd also takes InstructPix2Pix in one file.", show_default=False)
    ],
    output: Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="Folder to make.", show_default=False)],
    base: Annotated[
        str | None,
        typer.Option("--base", metavar="MODEL", show_default=False,
                     help="A model at hand that has what FILE lacks, such as a tokenizer. [one in the hub's cache]"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the folder.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Name all keys left out; show tracebacks.")] = False,
) -> None:  # fmt: skip
    """Convert FILE into the folder DIR, which --model then takes, and print its path.

    Every key must have a place, or nothing is written. A pickle is read as plain tensors only, by this command only: it
    cannot run code. No network is used.
    """
    console.configure(quiet=quiet, verbose=verbose)
    from vedit.weights import convert as converting

    with console.results_only():
        done = converting.convert(file, kind.value, output, base)
    for why, names in done.aside.items():
        console.note(f"{len(names)} keys were left out: {why}")
        for name in names:
            console.detail(name)
    for note in done.notes:
        console.note(note)
    if json:
        fields = {"schema": 1, "path": str(done.path), "kind": kind.value, "keys": done.keys, "aside": done.aside}
        console.result_json(fields | {"notes": done.notes})
    else:
        console.result(str(done.path))
