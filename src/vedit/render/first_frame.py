"""What ``first-frame-edit`` asks for: the edited first frame, read and fitted or made by an instruction; regions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import InputError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from pydantic import BaseModel

    from vedit.engines.base import Spread
    from vedit.jobs import EditJob
    from vedit.render.memory import MemoryPlan
    from vedit.render.plan import Plan
    from vedit.video.clip import ClipInfo
    from vedit.video.timecode import TimeRange
    from vedit.weights import Bundle

INSTRUCT = "instructvid2vid"  # the method that makes the frame of an instruction


@dataclass(frozen=True, eq=False)
class FirstFrame:
    """In displayed pixels of the source. ``picture``: (H, W, 3) uint8; None: an instruction makes it at the run.

    ``regions``: as they were given; ``grey``: (H, W) uint8, white where the clip is edited; None: everywhere.
    """

    picture: np.ndarray | None
    regions: tuple[str, ...] = ()
    grey: np.ndarray | None = None
    text: str = ""

    def request(self, width: int, height: int) -> Spread:
        """What the engine is asked for, at a working size of ``width``×``height`` pixels."""
        import torch

        from vedit.engines.base import Spread

        if self.picture is None:
            raise ValueError("the first frame was not made yet")
        small = resized(self.picture, width, height)
        return Spread(torch.from_numpy(small).permute(2, 0, 1).float() / 127.5 - 1, self.text)


@dataclass(frozen=True)
class Drawing:
    """The model that makes the first frame of an instruction. It is let go of before the other one is loaded, so what
    the job needs is the larger of the two. ``width``, ``height``: what it works at; ``memory``: with ``--vram``."""

    bundle: Bundle
    settings: BaseModel
    width: int
    height: int
    memory: MemoryPlan | None
    estimated_memory_mb: int
    estimated_seconds: int


def drawing_of(
    job: EditJob, info: ClipInfo, size: int | None, *, device: str, dtype: str, threads: int
) -> Drawing | None:  # fmt: skip
    """How the frame of an instruction is made, if the job has one, as ``vedit instruct`` makes it: at a short side of
    ``size``, without one at that model's own. Reads no weights.

    Raises ``ModelError``, and ``ResourceError`` for what does not fit under ``--vram``.
    """
    if job.instruction is None:
        return None
    from vedit import engines, weights
    from vedit.render import estimate, memory
    from vedit.render.plan import DEFAULT_MULTIPLE, DEFAULT_SIZE
    from vedit.video.clip import working_size

    bundle = weights.open_bundle(job.instruct_model, engines.ROLES["instruct"], verify=True)
    settings = engines.settings_of(INSTRUCT)(**engines.advised(INSTRUCT, bundle, {}))
    size = size or int(bundle.preset.get("size", DEFAULT_SIZE))
    width, height = working_size(info, size, int(bundle.preset.get("multiple", DEFAULT_MULTIPLE)))
    margin = int(getattr(settings, "margin", 0))
    seen = {"width": width + margin, "height": height + margin, "dtype": dtype}
    work = engines.work(INSTRUCT, bundle, settings, estimate.shares(1, 1, 0))
    amounts = estimate.amounts(bundle, work, None, frames=1, window=1, **seen)
    limit = memory.limit_of(job.vram)
    limited = None if limit is None else memory.fit(bundle, limit, window=1, overlap=0, device=device, **seen)
    return Drawing(
        bundle, settings, width, height, limited, round(amounts.megabytes()),
        round(amounts.seconds(device, threads) - estimate.SECONDS["start"]),
    )  # fmt: skip


def resolve(job: EditJob, info: ClipInfo) -> FirstFrame:
    """Read and check the edited frame and the regions of a job. Raises ``UsageError`` and ``InputError``."""
    from vedit.video.regions import parse_region, union
    from vedit.video.tracks import Extent

    extent = Extent(info.display_width, info.display_height, info.frames)
    regions = [parse_region(text, extent) for text in job.region]
    picture = None if job.first_frame is None else read_frame(job, info)
    grey = union(regions) if regions else None
    return FirstFrame(picture, tuple(region.name for region in regions), grey, job.prompt)


def read_frame(job: EditJob, info: ClipInfo) -> np.ndarray:
    """(H, W, 3) uint8 RGB of the edited first frame, of the clip's displayed size. Raises ``InputError``."""
    import cv2
    import numpy as np

    path = job.first_frame
    assert path is not None
    where = path if job.command == "first-frame-edit" else f"--first-frame {path}"
    if not Path(path).is_file():
        raise InputError(f"{where}: no such file; check the path")
    try:
        picture = cv2.imread(path, cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None:
        raise InputError(f"{where}: cannot be read as a picture; give a PNG or JPEG of the first frame")
    whole = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if whole is not None and whole.ndim == 3 and whole.shape[2] in (2, 4):  # grey or colours, and how opaque
        alpha = whole[..., -1]
        if alpha.min() < (255 if alpha.dtype == np.uint8 else 65535):
            raise InputError(
                f"{where}: is transparent in parts, so what is meant there cannot be known; lay it over the clip's "
                "first frame and save it without transparency"
            )
    picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    height, width = picture.shape[:2]
    wanted = (info.display_width, info.display_height)
    if (width, height) == wanted:
        return picture
    if job.fit is None:
        same = abs(width * wanted[1] / (height * wanted[0]) - 1.0) < 0.01
        other = "another size" if same else "another aspect"
        how = "--fit stretch scales it" if same else "--fit crop cuts it, pad fills it up, stretch distorts it"
        raise InputError(
            f"{where}: is {width}×{height}, but the clip is shown at {wanted[0]}×{wanted[1]}, {other}; {how}"
        )
    source = None
    if job.fit == "pad":
        source = source_frame(job, info)
    return fitted(picture, wanted[0], wanted[1], job.fit, source)


def fitted(picture: np.ndarray, width: int, height: int, how: str, source: np.ndarray | None = None) -> np.ndarray:
    """A picture (H, W, 3) brought to ``width``×``height``.

    ``how``: stretch (whatever the aspect), crop (fills it, its middle is kept) or pad (lies whole in the middle of
    ``source``, (height, width, 3)).
    """
    import numpy as np

    if how == "stretch":
        return resized(picture, width, height)
    factors = width / picture.shape[1], height / picture.shape[0]
    factor = max(factors) if how == "crop" else min(factors)
    size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    if how == "crop":
        scaled = resized(picture, max(size[0], width), max(size[1], height))
        x, y = (scaled.shape[1] - width) // 2, (scaled.shape[0] - height) // 2
        return np.ascontiguousarray(scaled[y : y + height, x : x + width])
    if source is None:
        raise ValueError("a padded picture lies in a source")
    scaled = resized(picture, min(size[0], width), min(size[1], height))
    x, y = (width - scaled.shape[1]) // 2, (height - scaled.shape[0]) // 2
    made = source.copy()
    made[y : y + scaled.shape[0], x : x + scaled.shape[1]] = scaled
    return made


def source_frames(job: EditJob, info: ClipInfo, wanted: TimeRange) -> Iterator[np.ndarray]:
    """The edited frames of the source, (H, W, 3) uint8, one by one."""
    from vedit.video.reader import Reader

    with Reader(job.input, info, threads=job.threads) as reader:
        for source in reader:
            if wanted.finished(source.index, source.time):
                return
            if wanted.contains(source.index, source.time):
                yield source.rgb()


def source_frame(job: EditJob, info: ClipInfo) -> np.ndarray:
    """The first edited frame of the source, (H, W, 3) uint8. Raises ``UsageError`` where there is none."""
    from vedit.video.timecode import parse_range

    frame = next(source_frames(job, info, parse_range(job.start, job.end)), None)
    if frame is None:
        raise UsageError(f"--start {job.start}: no frame of {job.input} lies in the range")
    return frame


def made(plan: Plan) -> tuple[Plan, list[str]]:
    """The plan with its first frame, which an instruction makes now if there is one; and warnings."""
    job = plan.job
    if job.instruction is None:
        return plan, []
    picture, warnings = instructed(plan, job.instruction)
    if plan.motion is not None:
        return replace(plan, motion=replace(plan.motion, frame=picture)), warnings
    assert plan.first_frame is not None
    return replace(plan, first_frame=replace(plan.first_frame, picture=picture)), warnings


def instructed(plan: Plan, instruction: str) -> tuple[np.ndarray, list[str]]:
    """The first edited frame of the source as ``vedit instruct`` edits it, (H, W, 3) uint8; and warnings."""
    import numpy as np
    import torch

    from vedit import engines
    from vedit.engines.base import Execution, Window
    from vedit.render import memory
    from vedit.video.compose import compose

    job, drawing = plan.job, plan.drawing
    assert drawing is not None
    held = drawing.memory
    engine = engines.load(
        INSTRUCT, drawing.bundle, drawing.settings, seed=job.seed, device=plan.device, dtype=plan.dtype, cache=None,
        execution=Execution(offload=held is not None and held.offload),
    )  # fmt: skip
    memory.apply(held, engine)
    warnings = [strange] if (strange := engine.knows(instruction)) else []
    warnings += [f"--vram {job.vram}: for the first frame, {step}" for step in (held.steps if held is not None else ())]
    native = source_frame(job, plan.info)
    small = resized(native, drawing.width, drawing.height)
    pixels = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        done = engine.edit(Window(pixels, 0), instruction)
    before, after = (
        ((frames[0].float().cpu().clamp(-1, 1) + 1) / 2).permute(1, 2, 0).numpy()
        for frames in (done.reconstruction, done.frames)
    )
    edited = compose(native, np.ascontiguousarray(before), np.ascontiguousarray(after), job.detail)
    return edited, warnings


def resized(picture: np.ndarray, width: int, height: int) -> Any:
    """(height, width, 3) of any picture, without aliasing; sharp where it grows."""
    import cv2

    if picture.shape[:2] == (height, width):
        return picture
    smaller = picture.shape[0] >= height and picture.shape[1] >= width
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
