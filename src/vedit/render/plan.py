"""Everything that can be checked before weights are loaded, and what the run will then do."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from vedit.engines.base import Execution
from vedit.errors import ResourceError, UsageError
from vedit.jobs import EditJob, one_line
from vedit.render import estimate, machine
from vedit.render import memory as memory_plans
from vedit.render.sidecar import sidecar_path

if TYPE_CHECKING:
    import numpy as np

    from vedit.render.first_frame import FirstFrame
    from vedit.render.motion import Motion
    from vedit.video.encoding import EncoderOptions
    from vedit.video.hwaccel import Accelerator
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
    evaluations: int  # of the network, expected
    estimated_memory_mb: int
    estimated_seconds: int
    warnings: list[str] = field(default_factory=list)
    mask: MaskInfo | None = None
    adapter: str | None = None  # one that was trained for this run, or that the model carries; the job's own goes first
    accelerator: Accelerator | None = None  # what decodes; None: the CPU
    notes: list[str] = field(default_factory=list)  # what was decided and may surprise; for -v
    motion: Motion | None = None
    first_frame: FirstFrame | None = None
    memory: memory_plans.MemoryPlan | None = None  # with --vram alone
    execution: Execution = field(default_factory=Execution)
    vae_dtype: str = ""  # of the autoencoder, which may need more than the networks

    @property
    def hwaccel(self) -> str:
        """What decodes: ``none`` is the CPU."""
        return "none" if self.accelerator is None else self.accelerator.kind

    @property
    def request(self) -> Any:
        """What the engine is asked for."""
        if self.motion is not None:
            return self.motion.request(self.working_width, self.working_height)
        if self.first_frame is not None:
            return self.first_frame.request(self.working_width, self.working_height)
        return self.job.request

    @property
    def grey(self) -> np.ndarray | None:
        """(H, W) uint8 in displayed orientation, white where regions say that the clip is edited; None: no regions."""
        if self.motion is not None:
            return self.motion.grey
        return None if self.first_frame is None else self.first_frame.grey

    def decided(self) -> dict[str, Any]:
        """What a plan and its result have in common, as JSON values."""
        return (
            {
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
                "vae_dtype": self.vae_dtype,
                "execution": asdict(self.execution),
                "memory_plan": None if self.memory is None else self.memory.report(),
                "threads": self.threads,
                "hwaccel": self.hwaccel,
                "detail": self.job.detail,
                "mask": None if self.mask is None else {"path": self.mask.path, "feather": self.mask.feather},
            }
            | ({} if self.motion is None else {"motion": self.motion.report()})
            | self._shown()
        )

    def _shown(self) -> dict[str, Any]:
        """Where the first frame comes from, for the command that spreads it."""
        if self.job.command != "first-frame-edit":
            return {}
        told = {"path": self.job.first_frame, "fit": self.job.fit, "instruction": self.job.instruction}
        told["instruct_model"] = None if self.job.instruction is None else self.job.instruct_model
        return {"first_frame": told, "regions": list(self.job.region)}

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
            "evaluations": self.evaluations,
            "encoder": {name: getattr(self.job, name) for name in ("codec", "crf", "preset", "pix_fmt")},
            "estimated_memory_mb": self.estimated_memory_mb,
            "estimated_seconds": self.estimated_seconds,
            "warnings": [*self.warnings, *self._unknown()],
        }

    def _unknown(self) -> list[str]:
        """What a plan cannot tell."""
        if self.info.frames_declared or self.info.duration is not None:
            return []
        return [f"{self.job.input} does not say how long it is: the plan is that of its first window"]


def plan(job: EditJob) -> Plan:
    """Check ``job`` against the clip, the model and the machine. Loads no weights.

    Raises :class:`UsageError`, :class:`InputError`, :class:`ModelError` or :class:`ResourceError`.
    """
    from vedit import engines
    from vedit.render.motion import cropped
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
    first, edited = first_and_count(time_range, info)
    motion, first_frame = _motion(job, info, first, edited), _first_frame(job, info, first, edited)
    bundle = _open_bundle(job)
    carried = None
    if job.adapter is not None:
        adapters.check(job.adapter, job.method, bundle)
    elif engines.takes_adapter(job.method) and not engines.tunes_to_clip(job.method):
        carried = _carried(job, bundle)
    settings = _settings(job, bundle)
    execution = Execution(job.channels_last, job.compile, job.batch_guidance)
    if execution != Execution():
        engines.check_execution(job.method, execution)
    window, overlap = _window(job, bundle.preset)
    multiple, crop = int(bundle.preset.get("multiple", DEFAULT_MULTIPLE)), None
    if motion is not None:
        motion = cropped(motion, info, job.size, bundle.preset.get("crop"))
        crop = motion.crop
    width, height = working_size(info, job.size, multiple, None if crop is None else crop[2:])
    device = machine.choose_device(job.device)
    dtype = machine.choose_dtype(job.dtype, device)
    if job.compile:
        machine.check_compiler(device)
    accelerator, notes = _accelerator(job, info, device)
    threads = job.threads or machine.cores()
    if not info.frames_declared and info.duration is None:
        edited = max(edited, window)
    limited = None
    if job.vram is not None:
        limited = memory_plans.fit(
            bundle, _vram(job.vram), window=min(window, max(edited, overlap + 1)), overlap=overlap, width=width,
            height=height, device=device, dtype=dtype, adapter=_adapter_file(job.adapter or carried),
            branches=engines.branches(job.method, settings) if job.batch_guidance else 1, compiled=job.compile,
        )  # fmt: skip
        window = min(window, limited.window) if limited.steps else window
        execution = replace(execution, batch_guidance=limited.branches > 1, offload=limited.offload)
    shares = estimate.shares(edited, window, overlap)
    work = engines.work(job.method, bundle, settings, shares)
    cost = estimate.cost(
        bundle, work, info, frames=edited, window=min(window, edited), width=width, height=height,
        dtype=dtype, device=device, threads=threads,
    )  # fmt: skip
    warnings = [*encoder_warnings, *(mask.warnings if mask is not None else ())]
    free = machine.available_mb()
    if device == "cpu" and free is not None and cost.memory_mb > free:
        warnings.append(
            f"about {cost.memory_mb:,} MB are needed and {free:,.0f} MB are free; lower --window or --size if it fails"
        )
    if limited is not None:
        warnings += [f"--vram {job.vram}: {step}" for step in limited.steps]
    return Plan(
        job, info, time_range, bundle, settings, width, height, window, overlap, device, dtype, threads, encoder,
        edited, len(shares), work.evaluations, cost.memory_mb, cost.seconds, warnings, mask,
        adapter=carried, accelerator=accelerator, notes=notes, motion=motion, first_frame=first_frame, memory=limited,
        execution=execution, vae_dtype=memory_plans.vae_dtype(bundle, dtype),
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
    wanted = {"--output": job.output, "the sidecar": sidecar_path(job.output)}
    if job.output == STDOUT:
        wanted.clear()
    if job.compare is not None:
        wanted["--compare"] = job.compare
    if job.sheet is not None:
        wanted["--sheet"] = job.sheet
        if Path(job.sheet).suffix.lower() != ".png":
            raise UsageError(f"--sheet {job.sheet}: a contact sheet is a PNG; give a name that ends in .png")
    seen: dict[str, str] = {}
    for option, name in wanted.items():
        if name == STDOUT:
            raise UsageError(f"{option} -: only the result can go to standard output; give a file name")
        real = os.path.realpath(name)
        if real in seen:
            raise UsageError(f"{option} {name}: is also {seen[real]}; choose another name")
        seen[real] = option
        writable(option, name, job)


def writable(option: str, name: str, job: EditJob) -> None:
    """Raise ``UsageError`` unless a file of that name can be written and is nothing that ``job`` reads."""
    from vedit.video.source import find

    path = Path(name)
    try:
        os.stat(path)
    except FileNotFoundError:
        pass
    except OSError as error:  # a name that is too long, for one
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{option} {name}: cannot be written there ({reason}); choose another name") from None
    if path.exists() and any(os.path.samefile(path, part) for part in find(job.input).files):
        raise UsageError(f"{option} {name}: is the input itself; choose another name")
    for what, other in (("mask", job.mask), ("tracks", job.tracks), ("edited frame", job.first_frame)):
        if other is not None and path.exists() and Path(other).exists() and os.path.samefile(path, other):
            raise UsageError(f"{option} {name}: is the {what} itself; choose another name")
    if path.is_dir():
        raise UsageError(f"{option} {name}: is a folder; give a file name")
    if path.exists() and not path.is_file() and str(path) != os.devnull:
        raise UsageError(f"{option} {name}: is not an ordinary file; give a file name")
    folder = Path(os.path.realpath(name)).parent  # through a symlink to where its target lies
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
    """The mask, looked at, if there is one; and whether regions can be mixed in, if there are any."""
    moves = job.command == "drag-motion" or bool(job.region)
    if job.mask is None and not moves:
        if job.feather is not None:
            raise UsageError(f"--feather {job.feather}: there is no mask to soften; give one with --mask")
        return None
    from vedit.video.mask import can_mix, check_mask
    from vedit.video.writer import plan_output

    pix_fmt = plan_output(job.output, info, encoder).pix_fmt
    if not can_mix(pix_fmt):
        what = "--region" if moves else "--mask"
        raise UsageError(f"--pix-fmt {pix_fmt}: cannot be used with {what}; choose a planar format such as yuv420p")
    return None if job.mask is None else check_mask(job.mask, info, job.feather)


def _motion(job: EditJob, info: ClipInfo, first: int, frames: int) -> Motion | None:
    """Regions and tracks, looked at, if the command has any."""
    if job.command != "drag-motion" and job.method != "revideo":
        return None
    from vedit.render.motion import resolve
    from vedit.video.mask import DEFAULT_FEATHER, parse_feather

    parse_feather(job.feather or DEFAULT_FEATHER, info)
    return resolve(job, info, first, frames)


def _first_frame(job: EditJob, info: ClipInfo, first: int, frames: int) -> FirstFrame | None:
    """The edited first frame, looked at, where it is all that is given; and whether it can be made, if it is to be."""
    if job.command != "first-frame-edit":
        return None
    if job.instruction is not None:
        from vedit import engines, weights

        weights.open_bundle(job.instruct_model, engines.ROLES["instruct"], verify=True)
    if job.method == "revideo":
        return None
    from vedit.render.first_frame import resolve
    from vedit.video.mask import DEFAULT_FEATHER, parse_feather

    parse_feather(job.feather or DEFAULT_FEATHER, info)
    return resolve(job, info, first, frames)


def _carried(job: EditJob, bundle: Bundle) -> str:
    """The adapter that the model brings along for a method that needs one."""
    from vedit.weights import adapter as adapters

    found = adapters.carried(bundle, job.method)
    if found is None:
        raise UsageError(
            f"--method {job.method}: {bundle.name} carries no control for it; train one with vedit train-adapter "
            f"{job.method} and give it with --adapter"
        )
    adapters.check(found, job.method, bundle)
    return str(found)


def _accelerator(job: EditJob, info: ClipInfo, device: str) -> tuple[Accelerator | None, list[str]]:
    """What decodes, None for the CPU, and a note where ``auto`` would have had it otherwise."""
    from vedit.video.hwaccel import Accelerator

    kind, _, number = device.partition(":")
    if job.hwaccel == "none" or (job.hwaccel == "auto" and kind != "cuda"):
        return None, []
    accelerator = Accelerator("cuda", number if kind == "cuda" and number else None)
    obstacle = accelerator.obstacle(info)
    if obstacle is None:
        return accelerator, []
    if job.hwaccel == "cuda":
        raise ResourceError(f"--hwaccel cuda: {obstacle}; use --hwaccel none")
    return None, [f"the CPU decodes: {obstacle}"]


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


def _vram(text: str) -> int:
    from vedit.cache import parse_size

    size = parse_size(text)
    if not size:
        raise UsageError(f"--vram {text}: is no size; give one such as 8G or 500M")
    return size


def _adapter_file(adapter: str | None) -> str | None:
    from vedit.weights import adapter as adapters

    return None if adapter is None else str(adapters.find(adapter))


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
    if job.command in ("first-frame-edit", "drag-motion") and overlap < 1:
        what = f"--overlap {overlap}" if job.overlap is not None else f"--window {window}"
        raise UsageError(f"{what}: windows hand their last frame on to the next; give at least one shared frame of two")
    if overlap >= window:
        raise UsageError(f"--overlap {overlap}: does not fit a window of {window} frames; lower --overlap")
    return window, overlap


def first_and_count(time_range: TimeRange, info: ClipInfo) -> tuple[int, int]:
    """The index of the first edited frame and how many will be edited, at the clip's mean rate."""
    first = 0
    end = info.frames
    if time_range.start is not None:
        first = _index(time_range.start, info)
    if time_range.end is not None:
        end = min(end, _index(time_range.end, info))
    return first, max(1, end - first)


def _index(point: Any, info: ClipInfo) -> int:
    return point.frame if point.frame is not None else -int(-point.seconds * info.rate // 1)
