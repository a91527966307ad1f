"""What every editing command does with its job: plan, run, and tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vedit.cli import console
from vedit.cli.options import Shell
from vedit.errors import UsageError


def run(shell: Shell, describe: Callable[[], dict[str, Any]]) -> None:
    """Make a job of ``shell`` and of the command's own fields (``describe()``), run it and print the result."""
    console.configure(quiet=shell.quiet, verbose=shell.verbose, when_stopped=console.NOTHING_LEFT)
    from vedit import render
    from vedit.cache import Cache
    from vedit.cli.progress import reporter
    from vedit.cli.tuning import foreseen, tuned
    from vedit.jobs import EditJob

    job = EditJob.build(**shell.job_fields(), **describe())
    piped = job.output == render.STDOUT
    if piped and shell.json and not shell.dry_run:
        raise UsageError("--json: standard output carries the video (-o -); give a file to -o, or leave --json out")
    plan = render.plan(job)
    for warning in plan.warnings:
        console.warn(warning)
    for note in plan.notes:
        console.detail(note)
    if shell.dry_run:
        report: dict[str, Any] = plan.report() | {"estimated_training_seconds": foreseen(plan)}
        for warning in report["warnings"][len(plan.warnings) :]:
            console.warn(warning)
        if shell.json:
            console.result_json(report)
        else:
            console.result(_plan_text(report))
        return
    style = "none" if shell.quiet else shell.progress.value
    cache = Cache.default()
    with console.results_only(), tuned(plan, style, cache) as ready, reporter(style) as progress:
        done = render.run(ready, progress, cache)
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
    training = report["estimated_training_seconds"]
    rows = {
        "output": report["output"],
        "clip": f"{report['frames']} frames, {report['width']}×{report['height']}, {report['fps']:g} frames/s, "
        f"{report['duration']:.2f} s",
        "edited": f"{report['edited_frames']} frames in {_counted(report['windows'], 'window')} of {report['window']}, "
        f"overlap {report['overlap']}: {_counted(report['evaluations'], 'evaluation')} of the network",
        "works at": f"{report['working_width']}×{report['working_height']}",
        "model": f"{report['model']} ({report['method']}), {report['model_sha256'][:12]}",
        "settings": settings,
        "seed": report["seed"],
        "device": f"{report['device']}, {report['dtype']}, {report['threads']} threads",
        "decoder": report["hwaccel"] if report["hwaccel"] != "none" else "",
        "encoder": ", ".join(f"{name} {value}" for name, value in report["encoder"].items() if value is not None),
        "memory": f"about {report['estimated_memory_mb']:,} MB (an estimate)",
        "time": f"about {_span(report['estimated_seconds'])} (an estimate)",
        "before": f"an adapter is trained, about {_span(training)} (an estimate)" if training else "",
    }
    return "\n".join(f"{name:<9} {value}" for name, value in rows.items() if value != "")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _span(seconds: int) -> str:
    return f"{seconds:,} s" if seconds < 600 else f"{seconds / 60:,.0f} min"


def _told(report: dict[str, Any]) -> str:
    timings = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report["timings"].items())
    done = f"{_counted(report['frames'], 'frame')} in {_counted(report['windows'], 'window')}"
    return f"{done}: {timings}; peak {report['peak_rss_mb']} MB"
