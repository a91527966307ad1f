"""Runs measures over source and edits in one pass: each frame is decoded once, memory does not grow with length."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vedit import __version__
from vedit.errors import InputError
from vedit.metrics.accumulate import Accumulator, Moment
from vedit.metrics.gates import Gate
from vedit.metrics.pairs import Agreement, Clips, Matched, agreement, matched, sound_agreement
from vedit.metrics.pictures import Picture, Step
from vedit.metrics.registry import MEASURES, Measure

if TYPE_CHECKING:
    from vedit.metrics.clip import Encoder
    from vedit.metrics.tracks import Track

SCHEMA = 1
SOURCE = -1  # the number of the source where edits are numbered from 0


@dataclass(frozen=True)
class Question:
    """What is to be measured, all of it checked: see :func:`vedit.metrics.registry.choose`.

    ``wanted``: names that were asked for by name or gate; for these a figure that is not defined is an error.
    """

    measures: tuple[Measure, ...]
    wanted: frozenset[str] = frozenset()
    gates: tuple[Gate, ...] = ()
    prompt: str | None = None
    source_prompt: str | None = None
    tracks: tuple[Track, ...] = ()
    clip: Encoder | None = None
    pickscore: Encoder | None = None

    @property
    def names(self) -> frozenset[str]:
        """Of the measures."""
        return frozenset(measure.name for measure in self.measures)


@dataclass(frozen=True)
class Figure:
    """One measure of one edit. ``value``: may be infinite; None where it is not defined. ``source``: the source's own.
    ``model``: the CLIP model that says so."""

    measure: Measure
    value: float | None
    source: float | None = None
    model: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values: an infinite value is null with ``"infinite": true``."""
        entry: dict[str, Any] = {"value": _finite(self.value), "unit": self.measure.unit, "better": self.measure.better}
        if self.value is not None and math.isinf(self.value):
            entry["infinite"] = True
        if self.value is None:
            entry["undefined"] = True
        if self.measure.beside:
            entry["source"] = _finite(self.source)
        if self.model is not None:
            entry["model"] = self.model
        return entry


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class Failure:
    """A gate that an edit did not pass. ``model``: the one that says so."""

    gate: Gate
    edited: str
    value: float | None
    model: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, which have no infinite number either."""
        entry: dict[str, Any] = {"metric": self.gate.metric, "edited": self.edited, "value": _finite(self.value)}
        if self.value is not None and math.isinf(self.value):
            entry["infinite"] = True
        entry["over" if self.gate.over else "under"] = _finite(self.gate.bound)
        if math.isinf(self.gate.bound):
            entry["infinite_bound"] = True
        if self.model is not None:
            entry["model"] = self.model
        return entry


@dataclass(frozen=True)
class Answer:
    """All figures of all edits, in the order of the registry."""

    question: Question
    clips: Clips
    frames: int
    figures: tuple[dict[str, Figure], ...]
    agreements: tuple[Agreement, ...]
    warnings: list[str] = field(default_factory=list)

    @property
    def source(self) -> str:
        """Path of the source."""
        return self.clips.source.path

    @property
    def edited(self) -> tuple[str, ...]:
        """Paths of the edits."""
        return tuple(info.path for info in self.clips.edited)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What was measured."""
        return self.question.measures

    @property
    def gates(self) -> tuple[Gate, ...]:
        """What was to be kept."""
        return self.question.gates


class Told(Protocol):
    """What can be shown as a table and held against gates: an :class:`Answer`, or one about folders of clips."""

    @property
    def source(self) -> str: ...

    @property
    def edited(self) -> tuple[str, ...]: ...

    @property
    def measures(self) -> tuple[Measure, ...]: ...

    @property
    def gates(self) -> tuple[Gate, ...]: ...

    @property
    def figures(self) -> tuple[dict[str, Figure], ...]: ...


def failures_of(answer: Told) -> list[Failure]:
    """The gates that were not passed, edit by edit."""
    found = []
    for path, figures in zip(answer.edited, answer.figures, strict=True):
        for gate in answer.gates:
            figure = figures[gate.metric]
            if not gate.passed(math.nan if figure.value is None else figure.value):
                found.append(Failure(gate, path, figure.value, figure.model))
    return found


class Watcher(Protocol):
    """Someone who sees the frames and their values pass by: the report."""

    def frame(self, matched: Matched, values: dict[int, dict[str, float]]) -> None:
        """``values``: of each edit, and of the source under :data:`SOURCE`, by measure."""
        ...


def evaluate(
    clips: Clips,
    question: Question,
    *,
    watcher: Watcher | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Answer:
    """Measure all edits. Raises ``InputError`` for clips that cannot be compared, and what the parts raise."""
    asked = [measure for measure in question.measures if measure.frames]
    figures: list[dict[str, float]] = [{} for _ in clips.edited]
    own: dict[str, float] = {}
    count = 0
    lateness: list[Fraction] | None = None
    if asked or watcher is not None:
        clips.require_same_size()
        sides = clips.source.display_width, clips.source.display_height
        if min(sides) < 11 and any(measure.name.startswith("ssim") for measure in asked):
            raise InputError(
                f"{clips.source.path}: is {sides[0]}×{sides[1]}, SSIM needs 11×11 at least; leave it out of --metrics"
            )
        count, figures, own, lateness = _stream(clips, question, watcher, progress)
    agreements = []
    if any(not measure.frames for measure in question.measures):
        for number, info in enumerate(clips.edited):
            if lateness is None:
                agreements.append(agreement(clips.source, info))
            else:  # what could be matched agrees, and there is no need to decode it again
                late = float(lateness[number])
                sound = sound_agreement(clips.source, info)
                agreements.append(Agreement(True, (count, count), True, late, sound))
        for found, told in zip(figures, agreements, strict=True):
            found.update(told.figures())
        count = count or agreements[0].frames[0]
    warnings: list[str] = []
    rows = tuple(
        _figures(question, found, own, info.path, warnings) for found, info in zip(figures, clips.edited, strict=True)
    )
    return Answer(question, clips, count, rows, tuple(agreements), warnings)


def _stream(
    clips: Clips, question: Question, watcher: Watcher | None, progress: Callable[[int, int | None], None] | None
) -> tuple[int, list[dict[str, float]], dict[str, float], list[Fraction]]:
    """Number of frames, figures of the edits, the source's own, and by how much each edit's times are off at most."""
    edits = [_accumulators(question, question.names) for _ in clips.edited]
    beside = frozenset(measure.name for measure in question.measures if measure.beside)
    source = _accumulators(question, beside)
    encoders = [encoder for encoder in (question.clip, question.pickscore) if encoder is not None]
    total = clips.source.frames if clips.source.frames_declared else None
    before: Matched | None = None
    count = 0
    lateness = [Fraction(0) for _ in clips.edited]
    for now in matched(clips):
        lateness = [max(late, abs(more)) for late, more in zip(lateness, now.lateness, strict=True)]
        for encoder in encoders:
            encoder.see([now.source, *now.edited])
        source_step = None if before is None else Step(before.source, now.source)
        values: dict[int, dict[str, float]] = {SOURCE: {}}
        moment = Moment(now.index, now.time, now.source, now.source, source_step, source_step)
        for accumulator in source:
            values[SOURCE].update(accumulator.update(moment))
        for number, (picture, accumulators) in enumerate(zip(now.edited, edits, strict=True)):
            step = None if before is None else Step(before.edited[number], picture)
            moment = Moment(now.index, now.time, now.source, picture, source_step, step, now.mask, now.reference)
            values[number] = _merge(accumulator.update(moment) for accumulator in accumulators)
        if watcher is not None:
            watcher.frame(now, values)
        before = now
        count += 1
        if progress is not None:
            progress(count, total)
    short = [measure.name for measure in question.measures if measure.frames > count]
    if short:
        fitting = ",".join(measure.name for measure in question.measures if measure.frames <= count)
        hint = f"measure only --metrics {fitting}" if fitting else "give a longer clip"
        raise InputError(f"{clips.source.path}: has one frame, and {short[0]} needs two or more; {hint}")
    figures = [_merge(accumulator.result() for accumulator in accumulators) for accumulators in edits]
    return count, figures, _merge(accumulator.result() for accumulator in source), lateness


def _merge(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    return dict(chain.from_iterable(part.items() for part in parts))


def _accumulators(question: Question, names: frozenset[str]) -> list[Accumulator]:
    """What it takes to measure ``names``. The parts of one accumulator that are not asked for are dropped at the end,
    where they cost nothing to speak of."""
    from vedit.metrics import motion, pixels

    def source(moment: Moment) -> Picture:
        return moment.source

    def reference(moment: Moment) -> Picture | None:
        return moment.reference

    made: list[Accumulator] = []
    for suffix, against, masked in (("", source, False), ("_unedited", source, True), ("_reference", reference, False)):
        ssim = f"ssim{suffix}" in names
        if ssim or f"psnr{suffix}" in names:
            made.append(pixels.Fidelity(suffix, against, masked, ssim))
    if "warp_error" in names:
        made.append(motion.WarpError())
    if names & {"frame_difference", "optical_flow", "block_matching"}:
        made.append(motion.Temporal(names))
    if "colour_drift" in names:
        made.append(pixels.ColourDrift())
    if "sharpness_ratio" in names:
        made.append(pixels.Sharpness())
    if names & {"motion_fidelity", "motion_endpoint"}:
        from vedit.metrics.tracks import MotionFidelity

        made.append(MotionFidelity(list(question.tracks)))
    if question.clip is not None:
        made += _clip_accumulators(question, question.clip, names)
    if question.pickscore is not None and question.prompt is not None and "pickscore" in names:
        from vedit.metrics.clip import Alignment

        scale = question.pickscore.logit_scale
        made.append(Alignment("pickscore", question.pickscore, question.prompt, scale))
    return made


def _clip_accumulators(question: Question, encoder: Encoder, names: frozenset[str]) -> list[Accumulator]:
    from vedit.metrics import clip

    made: list[Accumulator] = []
    if names & {"frame_consistency_all", "frame_consistency_adjacent"}:
        made.append(clip.Consistency(encoder))
    if question.prompt is not None and "textual_alignment" in names:
        made.append(clip.Alignment("textual_alignment", encoder, question.prompt, 100.0))
    wanted = names & {"frame_accuracy", "directional_similarity"}
    if wanted and question.prompt is not None and question.source_prompt is not None:
        made.append(clip.Direction(encoder, question.prompt, question.source_prompt))
    return made


def _figures(
    question: Question, found: dict[str, float], own: dict[str, float], path: str, warnings: list[str]
) -> dict[str, Figure]:
    models = {"clip": question.clip, "pickscore": question.pickscore}
    figures = {}
    for measure in question.measures:
        value: float | None = found[measure.name]
        if math.isnan(found[measure.name]):
            text = f"{path}: {measure.name} is not a number for this clip"
            if measure.name in question.wanted:
                raise InputError(f"{text}; leave it out of --metrics and the gates")
            warnings.append(text)
            value = None
        encoder = next((models[need] for need in measure.needs if need in models), None)
        beside = own.get(measure.name) if measure.beside else None
        figures[measure.name] = Figure(measure, value, beside, None if encoder is None else encoder.name)
    return figures


def to_dict(answer: Answer) -> dict[str, Any]:
    """The answer as JSON values, after ``schema``: what was compared, every figure, and the gates that failed."""
    question, source = answer.question, answer.clips.source
    encoders = [encoder for encoder in (question.clip, question.pickscore) if encoder is not None]
    return {
        "schema": SCHEMA,
        "version": __version__,
        "source": source.path,
        "mask": None if answer.clips.mask is None else answer.clips.mask.path,
        "reference": None if answer.clips.reference is None else answer.clips.reference.path,
        "frames": answer.frames,
        "width": source.display_width,
        "height": source.display_height,
        "prompt": question.prompt,
        "source_prompt": question.source_prompt,
        "models": [{"name": encoder.name, "sha256": encoder.sha256, "for": encoder.key} for encoder in encoders],
        "edited": [
            {"path": info.path, "metrics": {name: figure.to_dict() for name, figure in figures.items()}}
            | ({"agreement": _told(answer.agreements[number])} if answer.agreements else {})
            for number, (info, figures) in enumerate(zip(answer.clips.edited, answer.figures, strict=True))
        ],
        **judged(answer),
        "warnings": answer.warnings,
    }


def judged(answer: Told) -> dict[str, Any]:
    """The gates as JSON values: what was asked, whether all passed, and those that did not."""
    failures = failures_of(answer)
    return {
        "gates": [gate.option for gate in answer.gates],
        "passed": not failures,
        "failed": [failure.to_dict() for failure in failures],
    }


def _told(found: Agreement) -> dict[str, Any]:
    return {
        "size": found.size,
        "source_frames": found.frames[0],
        "frames": found.frames[1],
        "times": found.times,
        "largest_time_difference": found.lateness,
        "sound": found.sound,
    }


def table(answer: Told) -> list[dict[str, Any]]:
    """One row for every measure of every edit: what ``--csv`` writes."""
    rows = []
    for path, figures in zip(answer.edited, answer.figures, strict=True):
        for name, figure in figures.items():
            measure = MEASURES[name]
            value = "" if figure.value is None else "inf" if math.isinf(figure.value) else repr(figure.value)
            beside = "" if figure.source is None else repr(figure.source)
            rows.append(
                {"source": answer.source, "edited": path, "metric": name, "value": value,
                 "unit": measure.unit, "better": measure.better, "source_value": beside, "model": figure.model or ""}
            )  # fmt: skip
    return rows


def lines(answer: Told) -> str:
    """The table for people: a row for every measure, a column for every edit."""
    names = labels(answer.edited)
    beside = any(figure.measure.beside for row in answer.figures for figure in row.values())
    header = ["", *names, *(["source"] if beside else []), "", ""]
    body = [
        [
            measure.name,
            *(shown(row[measure.name].value) for row in answer.figures),
            *([shown(answer.figures[0][measure.name].source) if measure.beside else ""] if beside else []),
            measure.unit,
            {"higher": "↑", "lower": "↓", "": ""}[measure.better]
            + (f" {answer.figures[0][measure.name].model}" if answer.figures[0][measure.name].model else ""),
        ]
        for measure in answer.measures
    ]
    return _columns([header, *body])


def labels(paths: Sequence[str]) -> list[str]:
    """What tells files apart for people: their names; as typed where names are equal; numbered where that is too."""
    names = [_plain(Path(path).name or path) for path in paths]
    names = [_plain(path) if names.count(name) > 1 else name for path, name in zip(paths, names, strict=True)]
    return [f"{name} ({names[:n].count(name) + 1})" if name in names[:n] else name for n, name in enumerate(names)]


def _plain(text: str) -> str:
    """``text`` on one line, with marks for what has no sign: control characters, bytes that are no UTF-8."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 or column >= len(widths) - 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def shown(value: float | None) -> str:
    """A figure for people: five significant digits."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.5g}"


def count_frames(info: Any) -> int:
    """How many frames a clip has: as its headers say, else by its packets."""
    if info.frames_declared:
        return info.frames
    from vedit.video.info import open_input

    container = open_input(info.path)
    try:
        return max(1, sum(1 for packet in container.demux(container.streams[info.stream]) if packet.size))
    finally:
        container.close()
