"""``vedit instruct``: edit a video by telling what to change."""

from __future__ import annotations

from typing import Annotated

import typer

from vedit.cli import edit
from vedit.cli.options import Guidance, Input, Method, Shell, Steps, default_output, grouped, parse_settings


@grouped
def instruct(
    input: Input,
    instruction: Annotated[
        str, typer.Argument(metavar="INSTRUCTION", help='What to change, as in "make it snowy".', show_default=False)
    ],
    *,
    method: Method = "instructvid2vid",
    steps: Steps = None,
    guidance: Guidance = None,
    video_guidance: Annotated[
        float | None, typer.Option("--video-guidance", min=0, help="Pull towards the source. [the model's own]")
    ] = None,
    shell: Shell,
) -> None:
    """Edit INPUT as INSTRUCTION says and print the path of the result.

    Length, frame times, size, rotation, colour tags and sound stay as they are. What was done goes into
    RESULT.vedit.json beside the result.
    """
    edit.run(
        shell,
        lambda: {
            "command": "instruct",
            "input": input,
            "output": default_output(input, shell.output),
            "prompt": instruction,
            "method": method,
            "settings": parse_settings(
                shell.settings, {"steps": steps, "guidance": guidance, "video_guidance": video_guidance}
            ),
        },
    )
