"""``vedit drag-motion``: make a region of a video move along tracks."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from vedit.cli import console, edit
from vedit.cli.first_frame_edit import Fit
from vedit.cli.options import Guidance, Input, Method, Shell, Steps, default_output, grouped, parse_settings
from vedit.errors import UsageError


@grouped
def drag_motion(
    input: Input,
    *,
    region: Annotated[
        list[str] | None,
        typer.Option("--region", metavar="BOX|PNG", show_default=False,
                     help="Where INPUT is edited: x,y,width,height, or a picture, white inside. Repeatable."),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option("--track", metavar="POINTS", show_default=False,
                     help='How a point moves: "x,y x,y ...", with times x,y@48 (frame) or x,y@1.5s. Repeatable.'),
    ] = None,
    tracks: Annotated[
        str | None,
        typer.Option("--tracks", metavar="FILE", help="Tracks, and regions: JSON, CSV or SVG.", show_default=False),
    ] = None,
    follow: Annotated[
        list[str] | None,
        typer.Option("--follow", metavar="X,Y", show_default=False,
                     help="A point whose way through INPUT is kept. Repeatable."),
    ] = None,
    first_frame: Annotated[
        str | None,
        typer.Option("--first-frame", metavar="PNG", help="The first edited frame, edited.", show_default=False),
    ] = None,
    fit: Annotated[
        Fit | None,
        typer.Option("--fit", show_default=False,
                     help="For a --first-frame of another size: stretch, crop (its middle) or pad."),
    ] = None,
    show_tracks: Annotated[
        str | None,
        typer.Option("--show-tracks", metavar="PNG", show_default=False,
                     help="Draw regions, tracks and times over the first edited frame; edit nothing."),
    ] = None,
    method: Method = "revideo",
    adapter: Annotated[
        str | None,
        typer.Option("--adapter", metavar="DIR", show_default=False,
                     help="What vedit train-adapter revideo made. [what the model carries]"),
    ] = None,
    steps: Steps = None,
    guidance: Guidance = None,
    shell: Shell,
) -> None:  # fmt: skip
    """Make what is inside the region of INPUT move along the tracks; print the path of the result.

    Places are pixels of the displayed video, from its upper left corner. A track belongs to the region that holds its
    first point, and spans the edited range unless it has times. Outside of the regions INPUT stays as it is, sample for
    sample, as far as the encoder allows (--codec ffv1: exactly). With --first-frame the content changes too, and
    without tracks the region goes on moving as it does in INPUT.
    """

    def job() -> dict[str, object]:
        return {
            "command": "drag-motion",
            "input": input,
            "output": default_output(input, shell.output) if show_tracks is None else shell.output or os.devnull,
            "region": tuple(region or ()),
            "track": tuple(track or ()),
            "tracks": tracks,
            "follow": tuple(follow or ()),
            "first_frame": first_frame,
            "fit": None if fit is None else fit.value,
            "method": method,
            "adapter": adapter,
            "settings": parse_settings(shell.settings, {"steps": steps, "max_guidance": guidance}),
        }

    if show_tracks is None:
        edit.run(shell, job)
        return
    if shell.dry_run:
        raise UsageError("--show-tracks: draws a picture, and --dry-run writes nothing; give one of them")
    console.configure(quiet=shell.quiet, verbose=shell.verbose, when_stopped=console.NOTHING_LEFT)
    from vedit.jobs import EditJob
    from vedit.render import motion
    from vedit.render.plan import SCHEMA

    made = motion.show(EditJob.build(**(shell.job_fields() | job())), show_tracks)
    for warning in made.warnings:
        console.warn(warning)
    if shell.json:
        console.result_json({"schema": SCHEMA, "show_tracks": show_tracks} | made.report())
    else:
        console.result(show_tracks)
