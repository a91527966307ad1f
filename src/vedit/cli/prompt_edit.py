"""``vedit prompt-edit``: edit a video by changing the prompt that describes it."""

from __future__ import annotations

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


@grouped
def prompt_edit(
    input: Input,
    *,
    source: Annotated[
        str, typer.Option("--source", metavar="PROMPT", help="What INPUT shows.", show_default=False)
    ],
    target: Annotated[
        str, typer.Option("--target", metavar="PROMPT", help="What the result shall show.", show_default=False)
    ],
    method: Method = "tokenflow",
    adapter: Annotated[
        str | None,
        typer.Option("--adapter", metavar="DIR", show_default=False,
                     help="What vedit train-adapter made of INPUT, for tcve and tune-a-video. [trained first]"),
    ] = None,
    steps: Steps = None,
    inversion_steps: InversionSteps = None,
    guidance: Guidance = None,
    shell: Shell,
) -> None:  # fmt: skip
    """Edit INPUT, which --source describes, into what --target describes; print the path of the result.

    The motion stays, and so do length, frame times, size, rotation, colour tags and sound. What was done goes into
    RESULT.vedit.json beside the result. The way back to noise is kept (vedit cache), so that a second edit of the same
    clip is quicker.
    """
    edit.run(
        shell,
        lambda: {
            "command": "prompt-edit",
            "input": input,
            "output": default_output(input, shell.output),
            "source_prompt": source,
            "prompt": target,
            "method": method,
            "adapter": adapter,
            "settings": parse_settings(
                shell.settings, {"steps": steps, "inversion_steps": inversion_steps, "guidance": guidance}
            ),
        },
    )
