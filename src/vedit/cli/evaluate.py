"""``vedit evaluate``: measure edits of a video, and show them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vedit.cli import console
from vedit.cli.options import ProgressStyle
from vedit.errors import GateError, UsageError

if TYPE_CHECKING:
    from vedit.metrics.evaluate import Answer, Told
    from vedit.metrics.gates import Gate
    from vedit.metrics.pairs import Clips
    from vedit.render.progress import Progress


def _option(*names: str, **more: Any) -> Any:
    return typer.Option(*names, show_default=more.pop("show_default", False), **more)


def evaluate(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="The clip as it was; a file or folder.", show_default=False)
    ],
    edited: Annotated[
        list[str], typer.Argument(metavar="EDITED...", help="One or more edits of it.", show_default=False)
    ],
    prompt: Annotated[str | None, _option("--prompt", metavar="TEXT", help="What the edit should show.")] = None,
    source_prompt: Annotated[
        str | None, _option("--source-prompt", metavar="TEXT", help="What the source shows.")
    ] = None,
    mask: Annotated[
        str | None, _option("--mask", metavar="FILE", help="PNG or video: white where the edit was wanted.")
    ] = None,
    reference: Annotated[
        str | None, _option("--reference", metavar="VIDEO", help="What a perfect edit would look like.")
    ] = None,
    tracks: Annotated[
        str | None, _option("--tracks", metavar="FILE", help="JSON or CSV: where points should move.")
    ] = None,
    clip: Annotated[
        str,
        _option("--clip", metavar="MODEL", help="CLIP model: a folder, a name or a cached hub id.", show_default=True),
    ] = "nano",
    pickscore: Annotated[str | None, _option("--pickscore", metavar="MODEL", help="Model of PickScore.")] = None,
    features: Annotated[
        list[str] | None,
        _option("--features", metavar="MODEL", help="Feature network, to compare folders of clips. Repeatable."),
    ] = None,
    metrics: Annotated[
        str | None, _option("--metrics", metavar="LIST", help="Names or groups, with commas. [all that apply]")
    ] = None,
    report: Annotated[
        str | None, _option("--report", metavar="DIR", help="Also write a page that plays and plots everything.")
    ] = None,
    json: Annotated[bool, _option("--json", help="Print one JSON object instead of the table.")] = False,
    csv: Annotated[str | None, _option("--csv", metavar="FILE", help="Also write the table as CSV.")] = None,
    fail_under: Annotated[
        list[str] | None, _option("--fail-under", metavar="METRIC=VALUE", help="Exit 6 below VALUE. Repeatable.")
    ] = None,
    fail_over: Annotated[
        list[str] | None, _option("--fail-over", metavar="METRIC=VALUE", help="Exit 6 above VALUE. Repeatable.")
    ] = None,
    device: Annotated[
        str, _option("--device", help="Of the models: auto, cpu, cuda, cuda:N or mps.", show_default=True)
    ] = "auto",
    progress: Annotated[ProgressStyle, _option("--progress", help="Progress on standard error.", show_default=True)] = (
        ProgressStyle.auto
    ),
    overwrite: Annotated[bool, _option("-y", "--overwrite", help="Replace an existing CSV file or report.")] = False,
    quiet: Annotated[bool, _option("-q", "--quiet", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, _option("-v", "--verbose", help="Say more; show tracebacks.")] = False,
) -> None:
    """Measure every EDITED clip against SOURCE and print a table.

    Frames are matched by their times; clips of different size, length or times are an error. README.md says what each
    metric means.
    """  # fmt: skip
    console.configure(quiet=quiet, verbose=verbose, when_stopped=console.NOTHING_LEFT)
    from vedit.jobs import check_letters
    from vedit.metrics import gates, registry

    bounds = gates.parse_gates(fail_under or (), fail_over or ())
    given = {"clip": clip, "pickscore": pickscore, "mask": mask, "reference": reference, "tracks": tracks,
             "prompt": prompt, "source_prompt": source_prompt}  # fmt: skip
    if features or any(_holds_clips(name) for name in [source, *edited]):
        for name, value in given.items():
            if value is not None and name != "clip":
                raise UsageError(f"{registry.OPTION[name]} is for single clips, not for folders; leave it out")
        _compare_folders(source, edited, features or [], metrics, bounds, device, json, csv, report, overwrite)
        return
    for name, value in given.items():
        if value is not None and not value.strip():
            raise UsageError(f"{registry.OPTION[name]} is empty; give one, or leave the option out")
    check_letters(prompt or "", registry.OPTION["prompt"])
    check_letters(source_prompt or "", registry.OPTION["source_prompt"])
    asked = registry.choose(
        metrics, frozenset(name for name, value in given.items() if value is not None), [gate.metric for gate in bounds]
    )
    read = [source, *edited, *(path for path in (mask, reference, tracks) if path is not None)]
    if csv is not None:
        _check_csv(csv, read, overwrite)
    if report is not None:
        from vedit.metrics.report import check_folder, lies_in

        check_folder(report, overwrite, read)
        if csv is not None and lies_in(csv, report):
            raise UsageError(f"--csv {csv}: lies in the folder of --report, which is made anew; choose another place")
    from vedit.metrics.pairs import Clips

    named = {measure.name for measure in asked} if metrics is not None else {gate.metric for gate in bounds}
    wants = {need for measure in asked for need in measure.needs}
    clips = Clips.open(source, edited, mask, reference)
    from vedit.cli.progress import reporter

    with console.results_only(), reporter("none" if quiet else progress.value) as told:
        answer = _measure(clips, asked, frozenset(named), bounds, given, wants, device, report, overwrite, told)
    from vedit.metrics.evaluate import to_dict

    _tell(answer, to_dict(answer), answer.warnings, json, csv, report)


def _compare_folders(
    source: str,
    edited: list[str],
    features: list[str],
    metrics: str | None,
    bounds: tuple[Gate, ...],
    device: str,
    json: bool,
    csv: str | None,
    report: str | None,
    overwrite: bool,
) -> None:
    """FID, FVD and KVD of folders of clips."""
    if not features:
        raise UsageError("folders of clips are compared by a feature network: give --features, or give single clips")
    if report is not None:
        raise UsageError("--report shows single clips, not folders; leave it out")
    if csv is not None:
        inside = [folder for folder in (source, *edited) if Path(folder).is_dir()]
        _check_csv(csv, [str(file) for folder in inside for file in Path(folder).iterdir()], overwrite)
    from vedit.metrics import distribution
    from vedit.render import machine

    chosen = machine.choose_device(device)
    with console.results_only():
        answer = distribution.compare(source, edited, features, metrics, bounds, chosen)
    _tell(answer, answer.to_dict(), [], json, csv, None)


def _measure(
    clips: Clips,
    asked: Any,
    named: frozenset[str],
    bounds: tuple[Gate, ...],
    given: dict[str, str | None],
    wants: set[str],
    device: str,
    report: str | None,
    overwrite: bool,
    told: Progress,
) -> Answer:
    """Load what the measures need and run them, under the eyes of the report if there is one."""
    from vedit.metrics.evaluate import Question, evaluate

    if any(measure.frames for measure in asked):
        clips.require_same_size()
    clips = clips.needed(wants)
    question = Question(
        asked, named, bounds, given["prompt"], given["source_prompt"], **_loaded(clips, given, wants, device, told)
    )
    told.stage("measure")
    if report is None:
        return evaluate(clips, question, progress=told.frames)
    from vedit.metrics.report import Report

    with Report(report, clips, question, overwrite=overwrite) as page:
        answer = evaluate(clips, question, watcher=page, progress=told.frames)
        told.stage("finish")
        page.commit(answer)
    return answer


def _loaded(clips: Clips, given: dict[str, str | None], wants: set[str], device: str, told: Progress) -> dict[str, Any]:
    """The tracks and models that are wanted."""
    made: dict[str, Any] = {}
    if given["tracks"] is not None:  # what cannot be used is an error even where nothing asks for it
        from vedit.metrics.evaluate import count_frames
        from vedit.metrics.tracks import read_tracks

        info = clips.source
        made["tracks"] = tuple(
            read_tracks(given["tracks"], info.display_width, info.display_height, count_frames(info))
        )
    models = {name: given[name] for name in ("clip", "pickscore") if name in wants}
    if models:
        from vedit.metrics.clip import Encoder
        from vedit.render import machine

        told.stage("load")
        chosen = machine.choose_device(device)
        for name, model in models.items():
            made[name] = Encoder.load(name, str(model), chosen)
            for option in ("prompt", "source_prompt"):
                text = given[option]
                lost = made[name].text.lost(text) if text is not None else 0
                if lost:
                    console.warn(f"--{option.replace('_', '-')}: its last {lost} tokens do not fit {made[name].name}")
    return made


def _holds_clips(name: str) -> bool:
    """Whether ``name`` is a folder with videos in it; one with images is a clip."""
    if not Path(name).is_dir():
        return False
    from vedit.metrics.distribution import SUFFIXES

    return any(file.suffix.lower() in SUFFIXES for file in Path(name).iterdir())


def _check_csv(path: str, inputs: list[str], overwrite: bool) -> None:
    target = Path(path)
    if target.is_dir():
        raise UsageError(f"--csv {path}: is a folder; give a file name")
    parent = Path(os.path.realpath(path)).parent
    if not parent.is_dir():
        raise UsageError(f"--csv {path}: there is no such folder; create it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"--csv {path}: no permission to write into {parent}; choose another folder")
    if target.exists():
        if any(os.path.exists(name) and os.path.samefile(path, name) for name in inputs):
            raise UsageError(f"--csv {path}: is one of the files to be read; choose another name")
        if not overwrite:
            raise UsageError(f"--csv {path}: exists already; -y replaces it")


def _tell(
    answer: Told, as_json: dict[str, Any], warnings: list[str], json: bool, csv: str | None, report: str | None
) -> None:
    """Warnings, the CSV file, the result, and the exit code of the gates."""
    from vedit.metrics import evaluate as measured

    for warning in warnings:
        console.warn(warning)
    if csv is not None:
        from vedit.render.sidecar import write_bytes

        write_bytes(csv, _as_csv(measured.table(answer)))
    page = None if report is None else str(Path(report) / "index.html")
    if json:
        console.result_json(as_json | {"report": page})
    else:
        console.result(measured.lines(answer))
        if page is not None:
            console.result(page)
    failures = measured.failures_of(answer)
    if failures:
        shown = "; ".join(
            f"{failure.edited}: {failure.gate.metric} is {measured.shown(failure.value)}, {failure.gate.option}"
            for failure in failures
        )
        raise GateError(shown)


def _as_csv(rows: list[dict[str, Any]]) -> bytes:
    import csv
    import io

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")
