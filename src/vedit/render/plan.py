"""Everything that can be checked before weights are loaded, and what the run will then do."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from vedit.errors import UsageError
from vedit.jobs import EditJob, one_line
from vedit.render import estimate, machine
from vedit.render.sidecar import sidecar_path

if TYPE_CHECKING:
    from vedit.video.encoding import EncoderOptions
    from vedit.video.info import ClipInfo
    from vedit.video.mask import MaskInfo
    from vedit.video.timecode import TimeRange
    from vedit.weights import Bundle

SCHEMA = 1
DEFAULT_WINDOW = 16
DEFAULT_OVERLAP = 4
DEFAULT_MULTIPLE = 8
STDOUT = "-"


@dataclass(frozen=True)
class Plan:
    """A checked job and what was decided for it: all that :func:`vedit.render.run` needs."""

    job: EditJob
    info: ClipInfo
    range: TimeRange
    bundle: Bundle
    settings: BaseModel  # the engine's Settings: the model's defaults with the job's on top
    working_width: int  # pixels, displayed orientation
    working_height: int
    window: int  # frames
    overlap: int
    device: str
    dtype: str  # fp32, fp16 or bf16
    threads: int
    encoder: EncoderOptions
    edited_frames: int  # expected
    windows: int  # expected, cuts not counted
    estimated_memory_mb: int
    estimated_seconds: int
    warnings: list[str] = field(default_factory=list)
    mask: MaskInfo | None = None
    adapter: str | None = None  # one that was trained for this run; the job's own goes before it

    def decided(self) -> dict[str, Any]:
        """What a plan and its result have in common, as JSON values."""
        return {
            "width": self.info.display_width,
            "height": self.info.display_height,
            "fps": float(self.info.rate),
            "seed": self.job.seed,
            "model": self.bundle.name,
            "model_sha256": self.bundle.sha256,
            "method": self.job.method,
            "settings": self.settings.model_dump(mode="json"),
            "window": self.window,
            "overlap": self.overlap,
            "working_width": self.working_width,
            "working_height": self.working_height,
            "device": self.device,
            "dtype": self.dtype,
            "threads": self.threads,
            "detail": self.job.detail,
            "mask": None if self.mask is None else {"path": self.mask.path, "feather": self.mask.feather},
        }

    def report(self) -> dict[str, Any]:
        """The plan as JSON values; the keys that a result has too mean the same there, as far as one can know."""
        duration = self.info.duration if self.info.duration is not None else self.info.frames / self.info.rate
        return {
            "schema": SCHEMA,
            "dry_run": True,
            "output": self.job.output,
            "frames": self.info.frames,
            "duration": float(duration),
            **self.decided(),
            "edited_frames": self.edited_frames,
            "windows": self.windows,
            "encoder": {name: getattr(self.job, name) for name in ("codec", "crf", "preset", "pix_fmt")},
            "estimated_memory_mb": self.estimated_memory_mb,
            "estimated_seconds": self.estimated_seconds,
            "warnings": list(self.warnings),
        }


def plan(job: EditJob) -> Plan:
    """Check ``job`` against the clip, the model and the machine. Loads no weights.

    Raises :class:`UsageError`, :class:`InputError`, :class:`ModelError` or :class:`ResourceError`.
    """
    from vedit import engines
    from vedit.video.info import probe, working_size
    from vedit.video.timecode import parse_range
    from vedit.weights import adapter as adapters

    if job.method not in engines.COMMANDS[job.command]:
        raise UsageError(
            f"--method {job.method}: no such method; for {job.command} there is "
            f"{', '.join(sorted(engines.COMMANDS[job.command]))}"
        )
    if job.adapter is not None and not engines.takes_adapter(job.method):
        raise UsageError(
            f"--adapter {job.adapter}: {job.method} takes no adapter; leave it out or choose another --method"
        )
    machine.check_device_name(job.device)
    time_range = parse_range(job.start, job.end)
    info = probe(job.input, job.stream, _sequence_rate(job))
    info.require_complete()
    time_range.check(info.rate, info.frames if info.frames_declared else None, info.duration)
    _check_outputs(job)
    encoder, encoder_warnings = _encoder(job, info)
    mask = _mask(job, info, encoder)
    bundle = _open_bundle(job)
    if job.adapter is not None:
        adapters.check(job.adapter, job.method, bundle)
    settings = _settings(job, bundle)
    window, overlap = _window(job, bundle.preset)
    width, height = working_size(info, job.size, int(bundle.preset.get("multiple", DEFAULT_MULTIPLE)))
    device = machine.choose_device(job.device)
    dtype = machine.choose_dtype(job.dtype, device)
    threads = job.threads or machine.cores()
    edited = _count(time_range, info)
    windows = -(-max(edited - overlap, 1) // (window - overlap))
    cost = estimate.cost(
        bundle, settings, info, windows=windows, window=min(window, edited), width=width, height=height,
        device=device, threads=threads,
    )  # fmt: skip
    warnings = [*encoder_warnings, *(mask.warnings if mask is not None else ())]
    free = machine.available_mb()
    if device == "cpu" and free is not None and cost.memory_mb > free:
        warnings.append(
            f"about {cost.memory_mb:,} MB are needed and {free:,.0f} MB are free; lower --window or --size if it fails"
        )
    return Plan(
        job, info, time_range, bundle, settings, width, height, window, overlap, device, dtype, threads, encoder,
        edited, windows, cost.memory_mb, cost.seconds, warnings, mask,
    )  # fmt: skip


def _sequence_rate(job: EditJob) -> Fraction | None:
    """``--fps`` as a number, for images only: a video has its own frame rate, which stays."""
    from vedit.video.source import is_sequence

    if job.fps is None:
        return None
    try:
        rate = Fraction(job.fps)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"--fps {job.fps}: is not a frame rate; give 24, 23.976 or 30000/1001") from None
    if not 0 < rate <= 1000:
        raise UsageError(f"--fps {job.fps}: is not a frame rate; give more than 0 and at most 1000")
    if not is_sequence(job.input):
        raise UsageError(f"--fps {job.fps}: {job.input} has its own frame rate, which is kept; leave --fps out")
    return rate.limit_denominator(1001)


def _check_outputs(job: EditJob) -> None:
    """Nothing is overwritten that should not be, and all folders are there and can be written to."""
    from vedit.video.source import find

    wanted = {"--output": job.output, "the sidecar": sidecar_path(job.output)}
    if job.output == STDOUT:
        wanted.clear()
    if job.compare is not None:
        wanted["--compare"] = job.compare
    if job.sheet is not None:
        wanted["--sheet"] = job.sheet
        if Path(job.sheet).suffix.lower() != ".png":
            raise UsageError(f"--sheet {job.sheet}: a contact sheet is a PNG; give a name that ends in .png")
    parts = find(job.input).files
    seen: dict[str, str] = {}
    for option, name in wanted.items():
        path = Path(name)
        if name == STDOUT:
            raise UsageError(f"{option} -: only the result can go to standard output; give a file name")
        if path.exists() and any(os.path.samefile(path, part) for part in parts):
            raise UsageError(f"{option} {name}: is the input itself; choose another name")
        if job.mask is not None and path.exists() and Path(job.mask).exists() and os.path.samefile(path, job.mask):
            raise UsageError(f"{option} {name}: is the mask itself; choose another name")
        if path.is_dir():
            raise UsageError(f"{option} {name}: is a folder; give a file name")
        if path.exists() and not path.is_file() and str(path) != os.devnull:
            raise UsageError(f"{option} {name}: is not an ordinary file; give a file name")
        real = os.path.realpath(name)
        if real in seen:
            raise UsageError(f"{option} {name}: is also {seen[real]}; choose another name")
        seen[real] = option
        folder = Path(real).parent  # through a symlink to where its target lies
        if not folder.is_dir():
            raise UsageError(f"{option} {name}: there is no folder {folder}; create it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"{option} {name}: no permission to write into {folder}; choose another folder")
        if path.exists() and not job.overwrite:
            raise UsageError(f"{option} {name}: exists already; -y replaces it, -o chooses another name")


def _encoder(job: EditJob, info: ClipInfo) -> tuple[EncoderOptions, list[str]]:
    """How the result is encoded, and what of the source it cannot keep."""
    from vedit.video.compare import compare_info
    from vedit.video.encoding import EncoderOptions, plan_output

    encoder = EncoderOptions(job.codec, job.crf, job.preset, job.pix_fmt, job.threads)
    warnings = list(plan_output(job.output, info, encoder).warnings)
    if job.compare is not None:
        plan_output(job.compare, compare_info(info), encoder)
    return encoder, warnings


def _mask(job: EditJob, info: ClipInfo, encoder: EncoderOptions) -> MaskInfo | None:
    """The mask, looked at, if there is one."""
    if job.mask is None:
        if job.feather is not None:
            raise UsageError(f"--feather {job.feather}: there is no mask to soften; give one with --mask")
        return None
    from vedit.video.mask import can_mix, check_mask
    from vedit.video.writer import plan_output

    pix_fmt = plan_output(job.output, info, encoder).pix_fmt
    if not can_mix(pix_fmt):
        raise UsageError(f"--pix-fmt {pix_fmt}: cannot be used with --mask; choose a planar format such as yuv420p")
    return check_mask(job.mask, info, job.feather)


def _open_bundle(job: EditJob) -> Bundle:
    from vedit import engines, weights

    return weights.open_bundle(job.model, engines.ROLES[job.command], verify=True)


def _settings(job: EditJob, bundle: Bundle) -> BaseModel:
    """The engine's settings: its defaults, the model's preset, then what the job says."""
    from vedit import engines

    kind = engines.settings_of(job.method)
    known = kind.model_fields
    for name in job.settings:
        if name not in known:
            raise UsageError(f"{_option(name)}: {job.method} has no such setting; it has {', '.join(sorted(known))}")
    try:
        return kind(**engines.advised(job.method, bundle, job.settings))
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0]) if error.errors()[0]["loc"] else ""
        raise UsageError(one_line(error, "--" if name in _OPTIONS else "-s ")) from error


_OPTIONS = {"steps", "guidance", "video_guidance", "inversion_steps"}


def _option(name: str) -> str:
    return "--" + name.replace("_", "-") if name in _OPTIONS else f"-s {name}"


def _window(job: EditJob, preset: dict[str, Any]) -> tuple[int, int]:
    """Frames of a window and how many of them overlap."""
    window = job.window or int(preset.get("frames", DEFAULT_WINDOW))
    longest = preset.get("max_frames")
    if longest is not None and window > int(longest):
        raise UsageError(f"--window {window}: {job.model} sees at most {longest} frames at once; lower --window")
    overlap = job.overlap
    if overlap is None:
        overlap = min(int(preset.get("overlap", DEFAULT_OVERLAP)), window - 1)
    if overlap >= window:
        raise UsageError(f"--overlap {overlap}: does not fit a window of {window} frames; lower --overlap")
    return window, overlap


def _count(time_range: TimeRange, info: ClipInfo) -> int:
    """How many frames will be edited, at the clip's mean rate."""
    first = 0
    end = info.frames
    if time_range.start is not None:
        first = _index(time_range.start, info)
    if time_range.end is not None:
        end = min(end, _index(time_range.end, info))
    return max(1, end - first)


def _index(point: Any, info: ClipInfo) -> int:
    return point.frame if point.frame is not None else -int(-point.seconds * info.rate // 1)
