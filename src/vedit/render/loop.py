"""The loop: decode → shots → windows → the engine → native size → encode, with one window in memory.

Decoding, composing and encoding each run in a thread of their own with a bounded queue in front; the engine runs in the
calling thread, which is the one that signals interrupt. Nothing here depends on which thread is faster.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vedit.cache import Cache
from vedit.errors import UsageError, VeditError
from vedit.render import first_frame, machine, memory
from vedit.render.drift import ColorDrift
from vedit.render.outputs import Outputs
from vedit.render.plan import SCHEMA, Plan
from vedit.render.progress import Progress, Silent

if TYPE_CHECKING:
    import numpy as np
    import torch

    from vedit.engines.base import Engine
    from vedit.video.compose import Detail
    from vedit.video.mask import Mask, RegionMask
    from vedit.video.reader import Reader, SourceFrame
    from vedit.video.windows import Window

DECODED_AHEAD = 8  # frames
WHOLE = (128, 72)  # pixels of the picture by which cuts are found, where the model sees a part of it
DRIFT_LIMIT = 4.0  # grey levels over the clip above which a person is warned
TIMINGS = ("decode", "encode", "invert", "denoise", "decode_latents", "compose", "mux", "total")


@dataclass(frozen=True)
class Result:
    """What was made, and what it took."""

    plan: Plan
    output: str
    frames: int
    duration: float  # seconds
    edited_frames: int
    windows: int
    evaluations: int  # of the network; one branch on one window is one
    inversion_evaluations: int  # those of them that were for the way back to noise
    timings: dict[str, float]  # seconds; decode, compose and mux run beside the rest: the parts exceed the total
    peak_rss_mb: float
    warnings: list[str]
    color_drift: list[float] | None = None  # red, green, blue over the clip, grey levels of 255
    vae_dtype: str = ""  # what the autoencoder came to compute in

    def report(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "schema": SCHEMA,
            "output": self.output,
            "frames": self.frames,
            "duration": self.duration,
            **self.plan.decided(),
            "vae_dtype": self.vae_dtype or self.plan.vae_dtype,
            "edited_frames": self.edited_frames,
            "windows": self.windows,
            "evaluations": self.evaluations,
            "inversion_evaluations": self.inversion_evaluations,
            "timings": {name: round(self.timings.get(name, 0.0), 3) for name in TIMINGS},
            "peak_rss_mb": self.peak_rss_mb,
            "color_drift": None if self.color_drift is None else [round(level, 2) for level in self.color_drift],
            "warnings": list(self.warnings),
        }


@dataclass(eq=False)
class _Decoded:
    """A source frame and what the engine will see of it."""

    source: SourceFrame
    small: np.ndarray | None  # (h, w, 3) uint8 at working size; None: this frame is not edited
    whole: np.ndarray | None = None  # the whole picture, small, where the model sees a part of it


@dataclass(eq=False)
class _Edited:
    """A source frame and its edit at working size, on the way to native size. Both (h, w, 3) float32 in [0, 1]."""

    source: SourceFrame
    reconstruction: np.ndarray | None = None  # None: the frame passes through unedited
    edited: np.ndarray | None = None
    small: np.ndarray | None = None  # (h, w, 3) uint8: what the engine saw


@dataclass
class _Tally:
    """What is counted on the way. Each field is written by one thread only."""

    timings: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TIMINGS, 0.0))
    windows: int = 0
    evaluations: int = 0
    inversion_evaluations: int = 0
    edited: int = 0
    cut: int | None = None  # the frame at which the edit ended, since another scene begins there
    drift: ColorDrift = field(default_factory=ColorDrift)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the seconds that the block takes to the timing ``name``."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.timings[name] += time.perf_counter() - began


def run(plan: Plan, progress: Progress | None = None, cache: Cache | None = None) -> Result:
    """Do what ``plan`` says. Either every output is complete and in its place or none is there. ``cache``: by default
    the user's.

    Raises :class:`VeditError`; whatever stops it, nothing half-written stays behind.
    """
    progress = progress or Silent()
    tally = _Tally()
    began = time.perf_counter()
    job = plan.job
    limits = machine.edit_memory_errors(plan.device, plan.window, plan.working_width, plan.working_height)
    with machine.pinned(plan.threads, plan.device), limits, machine.compile_errors():
        progress.stage("load")
        cache = cache or Cache.default()
        warnings = list(plan.warnings)
        plan, more = first_frame.made(plan)
        warnings += more
        engine = _load(plan, cache)
        strange = engine.knows(plan.request)
        if strange:
            warnings.append(strange)
        progress.stage("edit")
        with contextlib.ExitStack() as stack:
            reader = stack.enter_context(_reader(plan))
            outputs = stack.enter_context(Outputs(plan))
            mask = _mask(plan)
            if mask is not None:
                stack.enter_context(mask)
            _stream(plan, engine, reader, outputs, mask, tally, progress)
            if memory.overflowed(engine):
                outputs.vae_dtype = "fp32"
                warnings.append("the autoencoder overflowed in fp16 and went on in fp32; --dtype bf16 avoids that")
            if tally.edited == 0:
                raise UsageError(
                    f"--start {job.start}: no frame of {job.input} lies in the range; it has {outputs.frames} frames, "
                    f"the last at {outputs.last_time:g} s"
                )
            progress.stage("finish")
            if mask is not None:
                mask.close()
                warnings += mask.warnings
            warnings += [text for text in reader.warnings if text not in warnings]
            if tally.cut is not None:
                warnings.append(
                    f"{job.input} cuts to another scene at frame {tally.cut}, of which the edit of the first one says "
                    f"nothing: from there on it is left as it is; edit that by itself with --start {tally.cut}"
                )
                for name in plan.motion.go_on_after(tally.cut) if plan.motion is not None else ():
                    warnings.append(
                        f"{name}: goes on after that cut, so what it moves stops on its way; with --end {tally.cut} a "
                        "track without times arrives before it, and one with times needs earlier ones"
                    )
            drift = tally.drift.grey_levels()
            if drift is not None and max(map(abs, drift)) > DRIFT_LIMIT:
                warnings.append(f"colours drift by up to {max(map(abs, drift)):.1f} grey levels over the clip")
            outputs.said = warnings
            with tally.timed("mux"):
                outputs.commit()
            # What the cache has to say is of this run, and no part of the result.
            warnings += [text for text in [*outputs.warnings, *cache.warnings] if text not in warnings]
            tally.timings["total"] = time.perf_counter() - began
            return Result(
                plan, job.output, outputs.frames, float(outputs.duration), tally.edited, tally.windows,
                tally.evaluations, tally.inversion_evaluations, tally.timings, machine.peak_rss_mb(), warnings, drift,
                outputs.vae_dtype,
            )  # fmt: skip


def _load(plan: Plan, cache: Cache) -> Engine:
    from vedit import engines

    engine = engines.load(
        plan.job.method, plan.bundle, plan.settings, seed=plan.job.seed, device=plan.device, dtype=plan.dtype,
        execution=plan.execution, cache=cache, adapter=plan.job.adapter or plan.adapter,
    )  # fmt: skip
    memory.apply(plan.memory, engine)
    return engine


def _reader(plan: Plan) -> Reader:
    from vedit.video.reader import Reader

    return Reader(plan.job.input, plan.info, threads=plan.job.threads, accelerator=plan.accelerator)


def _mask(plan: Plan) -> Mask | RegionMask | None:
    from vedit.video.mask import DEFAULT_FEATHER, Mask, RegionMask, parse_feather

    mask = None if plan.mask is None else Mask(plan.mask, plan.info, threads=plan.job.threads)
    if plan.grey is None:
        return mask
    return RegionMask(plan.grey, parse_feather(plan.job.feather or DEFAULT_FEATHER, plan.info), mask)


def _stream(
    plan: Plan,
    engine: Engine,
    reader: Reader,
    outputs: Outputs,
    mask: Mask | RegionMask | None,
    tally: _Tally,
    progress: Progress,
) -> None:
    """Run all frames through; afterwards every frame has been handed to the encoder."""
    from vedit.video.queues import Prefetch, Sink
    from vedit.video.shots import ShotDetector
    from vedit.video.windows import WindowPlanner

    total = plan.info.frames if plan.info.frames_declared else None

    def encode(item: tuple[SourceFrame, np.ndarray | None, np.ndarray | None]) -> None:
        with tally.timed("mux"):
            outputs.write(*item)
        progress.frames(outputs.frames, total)

    def compose(item: _Edited) -> None:
        with tally.timed("compose"):
            crop = None if plan.motion is None else plan.motion.crop
            native = _to_native(item, plan.job.detail, crop)
            weights = None if mask is None or native is None else mask.at(item.source.time)
            _measure(item, native, tally, crop, weights)
        encoder.put((item.source, native, weights))

    with (
        Sink(encode, size=4, name="encode") as encoder,
        Sink(compose, size=plan.window + 1, name="compose") as composer,
        Prefetch(_decode(plan, reader, tally), size=DECODED_AHEAD) as decoded,
    ):
        shot = _Shot(engine, plan, tally)
        planner = WindowPlanner(plan.window, plan.overlap)
        detector = ShotDetector()
        inside = ended = False

        def feed(window: Window | None) -> None:
            if window is not None:
                for edited in shot.edit(window):
                    composer.put(edited)
                shot.forget(planner.oldest)

        for frame in decoded:
            cut = False
            if not ended and frame.small is not None:
                cut = detector.push(frame.small if frame.whole is None else frame.whole)
            if cut and plan.job.command in ("first-frame-edit", "drag-motion"):
                ended, tally.cut = True, frame.source.index
            if frame.small is None or ended:
                if inside:
                    feed(planner.end_shot())
                inside = False
                planner.skip()
                composer.put(_Edited(frame.source))
                continue
            if cut or not inside:
                feed(planner.end_shot())
                shot.restart()
            inside = True
            shot.push(frame)
            feed(planner.push())
        feed(planner.end_shot())
        composer.finish()
        encoder.finish()


def _decode(plan: Plan, reader: Reader, tally: _Tally) -> Iterator[_Decoded]:
    """Decoded frames, those to edit also at working size. Runs in the decoding thread."""
    frames = iter(reader)
    while True:
        with tally.timed("decode"):
            source = next(frames, None)
            if source is None:
                return
            inside = plan.range.contains(source.index, source.time)
            item = _Decoded(source, *_seen(source, plan)) if inside else _Decoded(source, None)
        yield item


def _seen(source: SourceFrame, plan: Plan) -> tuple[np.ndarray, np.ndarray | None]:
    """What the model sees of a frame; and where that is a part, the whole of it, by which cuts are found."""
    rgb, width, height = source.rgb(), plan.working_width, plan.working_height
    if plan.motion is None or plan.motion.crop is None:
        return first_frame.resized(rgb, width, height), None
    return first_frame.resized(rgb[_part(plan.motion.crop)], width, height), first_frame.resized(rgb, *WHOLE)


def _part(crop: tuple[int, int, int, int] | None) -> Any:
    if crop is None:
        return slice(None)
    x, y, width, height = crop
    return slice(y, y + height), slice(x, x + width)


class _Shot:
    """The frames of the running shot that a window may still need, and what its last window carried over."""

    def __init__(self, engine: Engine, plan: Plan, tally: _Tally) -> None:
        self._engine = engine
        self._plan = plan
        self._tally = tally
        self._request = plan.request
        self._frames: deque[_Decoded] = deque()
        self._carry: object | None = None

    def restart(self) -> None:
        """A new shot begins: nothing is carried over a cut."""
        self._frames.clear()
        self._carry = None

    def push(self, frame: _Decoded) -> None:
        """The next frame of the shot."""
        self._frames.append(frame)

    def forget(self, oldest: int) -> None:
        """Frames before the absolute index ``oldest`` are not needed any more."""
        while self._frames and self._frames[0].source.index < oldest:
            self._frames.popleft()

    def edit(self, window: Window) -> Iterator[_Edited]:
        """The results of one window, without its reference frames."""
        import numpy as np
        import torch

        from vedit.engines.base import Window as EngineWindow

        first = self._frames[0].source.index
        frames = [self._frames[i] for i in range(window.first - first, window.end - first)]
        stacked = np.stack([frame.small for frame in frames if frame.small is not None])
        pixels = torch.from_numpy(stacked).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
        with torch.inference_mode():
            done = self._engine.edit(EngineWindow(pixels, window.first, window.reference, self._carry), self._request)
        self._carry = done.carry
        if done.frames.shape != pixels.shape or done.reconstruction.shape != pixels.shape:
            raise ValueError(f"{self._engine.name} returned {tuple(done.frames.shape)} for {tuple(pixels.shape)}")
        if not bool(done.frames.isfinite().all()):
            raise VeditError(
                f"{self._plan.bundle.name} gave values that are no numbers at frame {window.first}; try --dtype fp32"
            )
        tally = self._tally
        tally.windows += 1
        tally.evaluations += done.evaluations
        tally.inversion_evaluations += done.inversion_evaluations
        tally.edited += len(window.produces)
        for name in ("encode", "invert", "denoise", "decode_latents"):
            tally.timings[name] += done.timings.get(name, 0.0)
        edited, reconstruction = _to_pixels(done.frames), _to_pixels(done.reconstruction)
        for index in range(window.reference, window.count):
            yield _Edited(frames[index].source, reconstruction[index], edited[index], frames[index].small)


def _to_pixels(frames: torch.Tensor) -> np.ndarray:
    """(T, 3, h, w) in [-1, 1] to (T, h, w, 3) float32 in [0, 1]."""
    frames = frames.detach().float().cpu().clamp(-1.0, 1.0)
    return frames.add(1.0).mul(0.5).permute(0, 2, 3, 1).contiguous().numpy()


def _measure(
    item: _Edited, native: np.ndarray | None, tally: _Tally, crop: tuple[int, int, int, int] | None,
    weights: np.ndarray | None,
) -> None:  # fmt: skip
    """Note the mean colour before and after, from every few pixels, where the edit is seen."""
    if native is None or item.small is None:
        return
    native = native[_part(crop)]
    step = max(1, min(native.shape[:2]) // 64)
    top = 255.0 if native.dtype == "uint8" else 65535.0
    seen = None
    if weights is not None:
        part = weights[_part(crop)]
        seen = first_frame.resized(part, item.small.shape[1], item.small.shape[0]), part[::step, ::step]
    tally.drift.add(item.small / 255.0, native[::step, ::step] / top, float(item.source.time), seen)


def _to_native(item: _Edited, detail: Detail, crop: tuple[int, int, int, int] | None) -> np.ndarray | None:
    """The edit at the source's own size, (H, W, 3) uint8 or uint16; None for a frame that passes through. Outside of
    ``crop`` it is the source."""
    if item.edited is None or item.reconstruction is None:
        return None
    import numpy as np

    from vedit.video.compose import compose

    native = item.source.rgb(8 if item.source.info.bits == 8 else 16)
    if crop is None:
        return compose(native, item.reconstruction, item.edited, detail)
    inside = compose(np.ascontiguousarray(native[_part(crop)]), item.reconstruction, item.edited, detail)
    native = native.copy()
    native[_part(crop)] = inside
    return native
