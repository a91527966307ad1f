"""From a job to its plan: everything that can be checked before weights are loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from vedit.engines.base import Execution
from vedit.errors import UsageError
from vedit.jobs import EditJob, one_line
from vedit.render import estimate, machine
from vedit.render import memory as memory_plans
from vedit.render.checks import (
    accelerator_of,
    check_outputs,
    encoder_of,
    first_and_count,
    first_frame_of,
    mask_of,
    motion_of,
    opened,
)
from vedit.render.first_frame import drawing_of
from vedit.render.plan import DEFAULT_MULTIPLE, DEFAULT_OVERLAP, DEFAULT_SIZE, DEFAULT_WINDOW, Plan

if TYPE_CHECKING:
    from vedit.weights import Bundle


def plan(job: EditJob) -> Plan:
    """Check ``job`` against the clip, the model and the machine. Loads no weights.

    Raises :class:`UsageError`, :class:`InputError`, :class:`ModelError` or :class:`ResourceError`.
    """
    from vedit import engines
    from vedit.render.motion import cropped
    from vedit.video.clip import working_size
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
    info, time_range = opened(job)
    check_outputs(job)
    encoder, encoder_warnings = encoder_of(job, info)
    mask = mask_of(job, info, encoder)
    _, edited = first_and_count(time_range, info)
    _open_bundle(job, verify=False)  # a misspelt name is said before points are followed through the clip
    motion, first_frame = motion_of(job, info, time_range), first_frame_of(job, info)
    bundle = _open_bundle(job)
    size = job.size or int(bundle.preset.get("size", DEFAULT_SIZE))
    asked, job = job.size, job.model_copy(update={"size": size})
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
        motion = cropped(motion, info, size, bundle.preset.get("crop"))
        crop = motion.crop
    width, height = working_size(info, size, multiple, None if crop is None else crop[2:])
    regions = 1
    if motion is not None:
        from vedit.engines.regions import apart

        regions = len(apart(motion.request(width, height)))  # raises for a region that cannot be seen at this size
    device = machine.choose_device(job.device)
    dtype = machine.choose_dtype(job.dtype, device)
    if job.compile:
        machine.check_compiler(device)
    accelerator, notes = accelerator_of(job, info, device)
    threads = job.threads or machine.cores()
    if not info.frames_declared and info.duration is None:
        edited = max(edited, window)
    margin = int(getattr(settings, "margin", 0))  # what the model sees beyond the picture
    limit = memory_plans.limit_of(job.vram)
    along = engines.along(job.method, settings) if edited > window else 0
    drawing = drawing_of(job, info, asked, device=device, dtype=dtype, threads=threads)
    limited, adapter, tight = None, _adapter_file(job.adapter or carried), []
    seen: dict[str, Any] = {
        "window": min(window, max(edited, overlap + 1)), "width": width + margin, "height": height + margin,
        "device": device, "dtype": dtype, "adapter": adapter, "along": along, "method": job.method,
        "settings": settings,
        "branches": engines.branches(job.method, settings) if job.batch_guidance else 1,
    }  # fmt: skip
    on_gpu = machine.gpu_free_bytes(device)
    if limit is None and on_gpu is not None:
        needed = memory_plans.plan(bundle, **seen).peak
        if needed > on_gpu:
            tight.append(
                f"about {needed / 1e9:.1f} GB are needed on {device} and {on_gpu / 1e9:.1f} GB are free; "
                f"--vram {on_gpu // 10**6}M finds what fits"
            )
    if limit is not None:
        limited = memory_plans.fit(bundle, limit, overlap=overlap, compiled=job.compile, **seen)
        window = min(window, limited.window) if limited.steps else window
        execution = replace(execution, batch_guidance=limited.branches > 1, offload=limited.offload)
    shares = estimate.shares(edited, window, overlap, regions)
    work = engines.work(job.method, bundle, settings, shares)
    cost = estimate.cost(
        bundle, work, info, frames=edited, window=min(window, edited) + along,
        width=width + margin, height=height + margin,
        dtype=dtype, device=device, threads=threads, adapter=adapter, method=job.method,
        together=engines.together(job.method, settings, min(window, edited) + along),
    )  # fmt: skip
    if drawing is not None:
        cost = estimate.Cost(
            max(cost.memory_mb, drawing.estimated_memory_mb), cost.seconds + drawing.estimated_seconds
        )  # fmt: skip
    warnings = [*encoder_warnings, *(mask.warnings if mask is not None else ())]
    warnings += motion.warnings if motion is not None else ()
    if motion is not None and job.prompt.strip():
        warnings.append(f"{bundle.name} reads pictures only; the text {job.prompt!r} has no effect")
    free = machine.available_mb()
    if device == "cpu" and free is not None and cost.memory_mb > free:
        tight.append(
            f"about {cost.memory_mb:,} MB are needed and {free:,.0f} MB are free; lower --window or --size if it fails"
        )
    warnings += tight
    if limited is not None:
        warnings += [f"--vram {job.vram}: {step}" for step in limited.steps]
        if adapter is None and engines.tunes_to_clip(job.method):
            warnings.append(
                f"--vram {job.vram}: counts the edit; training an adapter for the clip first may take more than that"
            )
    return Plan(
        job, info, time_range, bundle, settings, width, height, window, overlap, device, dtype, threads, encoder,
        edited, len(shares), work.evaluations, cost.memory_mb, cost.seconds, warnings, tuple(tight), mask,
        adapter=carried, accelerator=accelerator, notes=notes, motion=motion, first_frame=first_frame, memory=limited,
        drawing=drawing,
        execution=execution, vae_dtype=memory_plans.vae_dtype(bundle, dtype), asked_size=asked,
    )  # fmt: skip


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


def _open_bundle(job: EditJob, verify: bool = True) -> Bundle:
    from vedit import engines, weights

    return weights.open_bundle(job.model, engines.ROLES[job.command], verify=verify)


def _settings(job: EditJob, bundle: Bundle) -> BaseModel:
    """The engine's settings: its defaults, the model's preset, then what the job says."""
    from vedit import engines

    kind = engines.settings_of(job.method)
    known = kind.model_fields
    for name in job.settings:
        if name not in known:
            said = f"{_option(name)}: {job.method} has no such setting; it has {', '.join(sorted(known))}"
            if engines.tunes_to_clip(job.method):
                said += f"; what its network is made of is chosen in vedit train-adapter {job.method}"
            raise UsageError(said)
    try:
        return kind(**engines.advised(job.method, bundle, job.settings))
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0]) if error.errors()[0]["loc"] else ""
        raise UsageError(one_line(error, "" if name in _OPTIONS else "-s ")) from error


def _adapter_file(adapter: str | None) -> str | None:
    from vedit.weights import adapter as adapters

    return None if adapter is None else str(adapters.find(adapter))


_OPTIONS = {"steps", "guidance", "video_guidance", "inversion_steps"}


def _option(name: str) -> str:
    return "--" + name.replace("_", "-") if name in _OPTIONS else f"-s {name}"


def _window(job: EditJob, preset: dict[str, Any]) -> tuple[int, int]:
    """Frames of a window and how many of them overlap."""
    from vedit import engines

    longest = preset.get("max_frames")
    usual = max(int(preset.get("frames", DEFAULT_WINDOW)), engines.least_window(job.method))
    window = job.window or (usual if longest is None else min(usual, int(longest)))
    if longest is not None and window > int(longest):
        raise UsageError(f"--window {window}: {job.model} sees at most {longest} frames at once; lower --window")
    overlap = job.overlap
    if not engines.shares_frames(job.method):
        if overlap:
            raise UsageError(
                f"--overlap {overlap}: is not for {job.method}, which hands on what the next window needs without it; "
                "leave it out"
            )
        overlap = 0
    if overlap is None:
        overlap = min(int(preset.get("overlap", DEFAULT_OVERLAP)), window - 1)
    if job.command in ("first-frame-edit", "drag-motion") and overlap < 1:
        what = f"--overlap {overlap}" if job.overlap is not None else f"--window {window}"
        raise UsageError(f"{what}: windows hand their last frame on to the next; give at least one shared frame of two")
    if overlap >= window:
        raise UsageError(f"--overlap {overlap}: does not fit a window of {window} frames; lower --overlap")
    return window, overlap
