"""An adapter for an edit that names none: trained first, and kept in the cache for the next edit of the clip."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.cli import console

if TYPE_CHECKING:
    from vedit.render.plan import Plan

KIND = "adapters"  # of the entries in the cache
VERSION = 1  # of the training: another number, and what older versions kept is not used any more


@contextlib.contextmanager
def tuned(plan: Plan, style: str) -> Iterator[Plan]:
    """The plan with an adapter, where its method needs one and the job has none. ``style``: of the progress."""
    from vedit import engines

    job = plan.job
    if job.adapter is not None or not engines.takes_adapter(job.method):
        yield plan
        return
    import tempfile
    from dataclasses import asdict, replace
    from importlib import import_module

    from vedit.cache import Cache, digest
    from vedit.weights import adapter
    from vedit.weights.bundle import sha256

    module = import_module(f"vedit.training.recipes.{job.method.replace('-', '_')}")
    cache = Cache.default()
    key = digest(
        version=VERSION, method=job.method, clip=sha256(Path(job.input)), prompt=job.source_prompt,
        base=plan.bundle.parts_sha256, recipe=asdict(module.RECIPE.settings), size=job.size, seed=job.seed,
        advice=plan.bundle.preset.get("adapters", {}).get(job.method), start=job.start, end=job.end,
        device=plan.device.partition(":")[0],
    )  # fmt: skip
    kept = cache.path(KIND, key)
    if cache.get(KIND, key) is not None:
        yield replace(plan, adapter=str(kept))
        return
    with tempfile.TemporaryDirectory(prefix="vedit-adapter-") as folder:
        console.detail(f"no --adapter: training one for {job.method} first; it is kept in {kept.parent}")
        _train(module, plan, folder, style)
        about, tensors = adapter.load(folder, job.method, plan.bundle)
        listed = {"method": about.method, "model": about.base, "prompt": about.prompt}
        cache.put(KIND, key, tensors, adapter.metadata(about) | listed)
        for warning in cache.warnings:
            console.warn(warning)
        # Not kept if the cache is full or off; the trained one serves this edit all the same.
        yield replace(plan, adapter=str(kept) if kept.is_file() else folder)


def _train(module: Any, plan: Plan, folder: str, style: str) -> None:
    from vedit.cli.progress import reporter

    job = plan.job
    with reporter(style, unit="steps") as told:
        told.stage("train")
        module.train(
            clip=job.input, prompt=job.source_prompt, model=str(plan.bundle.path), output=folder, seed=job.seed,
            device=plan.device, threads=plan.threads, size=job.size, start=job.start, end=job.end,
            log=console.detail, progress=told.frames,
        )  # fmt: skip
