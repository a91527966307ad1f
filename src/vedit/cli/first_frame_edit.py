"""``vedit first-frame-edit``: spread an edited first frame over a video."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from vedit.cli import edit
from vedit.cli.options import (
    Guidance,
    Input,
    InversionSteps,
    Method,
    Shell,
    Steps,
    default_output,
    grouped,
    parse_settings,
)


class Fit(StrEnum):
    """How an edited frame of another size becomes one of the clip's."""

    stretch = "stretch"
    crop = "crop"
    pad = "pad"


@grouped
def first_frame_edit(
    input: Input,
    edited: Annotated[
        str | None,
        typer.Argument(metavar="EDITED", show_default=False,
                       help="The first frame (of --start, if given), edited with whatever edits pictures."),
    ] = None,
    *,
    instruction: Annotated[
        str | None,
        typer.Option("--instruction", metavar="TEXT", show_default=False,
                     help='Make EDITED with vedit instruct, as in "make it snowy".'),
    ] = None,
    instruct_model: Annotated[
        str, typer.Option("--instruct-model", metavar="MODEL", help="The model that makes it.")
    ] = "nano",
    fit: Annotated[
        Fit | None,
        typer.Option("--fit", show_default=False,
                     help="For EDITED of another size: stretch, crop (its middle) or pad (into the first frame)."),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option("--region", metavar="BOX|PNG", show_default=False,
                     help="Where INPUT is edited: x,y,width,height, or a picture, white inside. Repeatable. [all]"),
    ] = None,
    prompt: Annotated[
        str, typer.Option("--prompt", metavar="TEXT", help="What the result shows, for models that read it.",
                          show_default=False)
    ] = "",
    method: Method = "anyv2v",
    adapter: Annotated[
        str | None,
        typer.Option("--adapter", metavar="DIR", show_default=False,
                     help="For revideo: what vedit train-adapter made. [what the model carries]"),
    ] = None,
    steps: Steps = None,
    inversion_steps: InversionSteps = None,
    guidance: Guidance = None,
    shell: Shell,
) -> None:  # fmt: skip
    """Spread the edit of the first frame over INPUT, which keeps its motion; print the path of the result.

    EDITED is the first frame as you want it, of INPUT's displayed size; or --instruction makes it. How closely the
    source is followed: -s convolution=, -s spatial=, -s temporal=, shares of the steps. Where INPUT cuts to another
    scene, the edit ends. What was done goes into RESULT.vedit.json beside the result.
    """
    edit.run(
        shell,
        lambda: {
            "command": "first-frame-edit",
            "input": input,
            "output": default_output(input, shell.output),
            "first_frame": edited,
            "instruction": instruction,
            "instruct_model": instruct_model,
            "fit": None if fit is None else fit.value,
            "region": tuple(region or ()),
            "prompt": prompt,
            "method": method,
            "adapter": adapter,
            "settings": parse_settings(
                shell.settings, {"steps": steps, "inversion_steps": inversion_steps, "max_guidance": guidance}
            ),
        },
    )
