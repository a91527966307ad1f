"""An adapter for an edit that names none: trained first, and kept in the cache for the next edit of the clip."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.cli import console

if TYPE_CHECKING:
    from vedit.cache import Cache
    from vedit.render.plan import Plan

KIND = "adapters"  # of the entries in the cache
VERSION = 1  # of the training: another number, and what older versions kept is not used any more


def wanted(plan: Plan) -> bool:
    """Whether the plan's method needs an adapter and the job has none."""
    from vedit import engines

    return plan.job.adapter is None and engines.tunes_to_clip(plan.job.method)


def foreseen(plan: Plan) -> int:
    """About how many seconds :func:`tuned` will train; 0 where it need not."""
    if not wanted(plan):
        return 0
    from vedit.cache import Cache
    from vedit.render import estimate
    from vedit.training import one_clip

    module, key = _recipe(plan)
    _check_length(module, plan)
    cache = Cache.default()
    if cache.limit and cache.path(KIND, key).is_file():
        return 0
    settings = one_clip.fitted(one_clip.advised(module.RECIPE, plan.bundle), plan.edited_frames)
    return estimate.training_seconds(
        plan.bundle, plan.job.method, settings.steps, settings.frames, width=plan.working_width,
        height=plan.working_height, dtype=plan.dtype, device=plan.device, threads=plan.threads,
    )  # fmt: skip


def _check_length(module: Any, plan: Plan) -> None:
    """Raise ``InputError`` where the clip is known to be too short to train on, before a model is loaded for it."""
    from vedit.training import one_clip

    if plan.info.frames_declared and not plan.info.variable:  # else the number of edited frames is a guess
        one_clip.fitted(one_clip.advised(module.RECIPE, plan.bundle), plan.edited_frames, plan.job.input)


def _recipe(plan: Plan) -> tuple[Any, str]:
    """The module that trains for the plan's method, and the key in the cache of what comes out."""
    from dataclasses import asdict
    from importlib import import_module

    from vedit.cache import digest
    from vedit.render.sidecar import sha256_of, versions
    from vedit.training.common import quick_dtype
    from vedit.video.source import find

    job = plan.job
    module = import_module(f"vedit.training.recipes.{job.method.replace('-', '_')}")
    return module, digest(
        version=VERSION, method=job.method, clip=sha256_of(*find(job.input).files), prompt=job.source_prompt,
        stream=job.stream, fps=job.fps,
        base=plan.bundle.parts_sha256, recipe=asdict(module.RECIPE.settings), size=job.size, seed=job.seed,
        advice=plan.bundle.preset.get("adapters", {}).get(job.method), start=job.start, end=job.end,
        device=plan.device.partition(":")[0], threads=plan.threads, dtype=str(quick_dtype(plan.device)),
        torch=versions().get("torch"),
    )  # fmt: skip


@contextlib.contextmanager
def tuned(plan: Plan, style: str, cache: Cache) -> Iterator[Plan]:
    """The plan with an adapter, where its method needs one and the job has none. ``style``: of the progress; ``cache``:
    the run's, from which nothing that the run has used is removed."""
    if not wanted(plan):
        yield plan
        return
    import tempfile
    from dataclasses import replace

    from vedit.render import machine
    from vedit.weights import adapter

    job = plan.job
    module, key = _recipe(plan)
    _check_length(module, plan)
    kept = cache.path(KIND, key)
    found = cache.get(KIND, key) is not None
    with tempfile.TemporaryDirectory(prefix="vedit-adapter-") as folder:
        # The edit reads a file of its own, which no other process can remove; the same as the next one will.
        own = Path(folder, adapter.FILE)
        if found and _taken(kept, own):
            yield replace(plan, adapter=folder)
            return
        console.detail(f"no --adapter: training one for {job.method} first")
        _train(module, plan, folder, style)
        machine.free_memory(plan.device)  # hooks hold on to the network that was trained, and it to them
        about, tensors = adapter.load(folder, job.method, plan.bundle)
        listed = {"method": about.method, "model": about.base, "prompt": about.prompt}
        cache.put(KIND, key, tensors, adapter.metadata(about) | listed)
        if _taken(kept, own):
            console.detail(f"kept for the next edit of this clip: {kept}")
        yield replace(plan, adapter=folder)


def _taken(kept: Path, own: Path) -> bool:
    """Whether what the cache keeps is ``own`` now too: linked, or copied where that cannot be."""
    import os
    import shutil

    beside = own.with_suffix(".kept")
    try:
        try:
            os.link(kept, beside)
        except OSError:
            shutil.copyfile(kept, beside)
    except OSError:  # the cache is off, full or no folder, another process was faster, or there is no room for a copy
        beside.unlink(missing_ok=True)
        return False
    os.replace(beside, own)
    return True


def _train(module: Any, plan: Plan, folder: str, style: str) -> None:
    from vedit.cli.progress import reporter
    from vedit.errors import DiskFull, VeditError
    from vedit.render import machine
    from vedit.render.checks import sequence_rate
    from vedit.training.common import Diverged

    job = plan.job
    with reporter(style, unit="steps") as told:
        told.stage("train")
        try:
            with machine.pinned(plan.threads, plan.device), machine.training_memory_errors(plan.device, job.size):
                module.train(
                    clip=job.input, prompt=job.source_prompt, model=str(plan.bundle.path), output=folder,
                    seed=job.seed, device=plan.device, threads=plan.threads, size=job.size, start=job.start,
                    end=job.end, stream=job.stream, rate_of_pictures=sequence_rate(job.fps, job.input),
                    log=console.detail, progress=told.frames, save_every=0,
                )  # fmt: skip
        except DiskFull as error:
            raise DiskFull(
                f"--method {job.method}: no room for training an adapter in {Path(folder).parent}; make room there, or "
                "let TMPDIR name another folder"
            ) from error
        except Diverged as error:
            raise VeditError(
                f"--method {job.method}: training an adapter for {job.input} failed, {error.what}; train one with "
                f"vedit train-adapter {job.method} and a lower --learning-rate, and give it with --adapter"
            ) from error
