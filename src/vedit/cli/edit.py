"""What every editing command does with its job: plan, run, and tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vedit.cli import console
from vedit.cli.options import Shell
from vedit.errors import UsageError


def run(shell: Shell, describe: Callable[[], dict[str, Any]]) -> None:
    """Make a job of ``shell`` and of the command's own fields (``describe()``), run it and print the result."""
    console.configure(quiet=shell.quiet, verbose=shell.verbose)
    from vedit import render
    from vedit.cli.progress import reporter
    from vedit.cli.tuning import tuned
    from vedit.jobs import EditJob

    job = EditJob.build(**shell.job_fields(), **describe())
    piped = job.output == render.STDOUT
    if piped and shell.json and not shell.dry_run:
        raise UsageError("--json: standard output carries the video (-o -); give a file to -o, or leave --json out")
    plan = render.plan(job)
    for warning in plan.warnings:
        console.warn(warning)
    if shell.dry_run:
        if shell.json:
            console.result_json(plan.report())
        else:
            console.result(_plan_text(plan.report()))
        return
    style = "none" if shell.quiet else shell.progress.value
    with console.results_only(), tuned(plan, style) as ready, reporter(style) as progress:
        done = render.run(ready, progress)
    for warning in done.warnings[len(plan.warnings) :]:
        console.warn(warning)
    console.detail(_told(done.report()))
    if shell.json:
        console.result_json(done.report())
    elif not piped:
        console.result(done.output)


def _plan_text(report: dict[str, Any]) -> str:
    """The plan of ``--dry-run`` for people."""
    settings = ", ".join(f"{name} {value}" for name, value in report["settings"].items())
    rows = {
        "output": report["output"],
        "clip": f"{report['frames']} frames, {report['width']}×{report['height']}, {report['fps']:g} frames/s, "
        f"{report['duration']:.2f} s",
        "edited": f"{report['edited_frames']} frames in {report['windows']} windows of {report['window']}, "
        f"overlap {report['overlap']}",
        "works at": f"{report['working_width']}×{report['working_height']}",
        "model": f"{report['model']} ({report['method']}), {report['model_sha256'][:12]}",
        "settings": settings,
        "seed": report["seed"],
        "device": f"{report['device']}, {report['dtype']}, {report['threads']} threads",
        "encoder": ", ".join(f"{name} {value}" for name, value in report["encoder"].items() if value is not None),
        "memory": f"about {report['estimated_memory_mb']:,} MB",
        "time": f"about {report['estimated_seconds']:,} s",
    }
    return "\n".join(f"{name:<9} {value}" for name, value in rows.items() if value != "")


def _told(report: dict[str, Any]) -> str:
    timings = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report["timings"].items())
    return f"{report['frames']} frames in {report['windows']} windows: {timings}; peak {report['peak_rss_mb']} MB"
