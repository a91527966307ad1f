"""What of a job can be checked against its clip and its files: input, range, outputs, masks, regions and tracks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import ResourceError, UsageError
from vedit.jobs import EditJob
from vedit.render.plan import STDOUT
from vedit.render.sidecar import sidecar_path

if TYPE_CHECKING:
    from vedit.render.first_frame import FirstFrame
    from vedit.render.motion import Motion
    from vedit.video.clip import ClipInfo
    from vedit.video.encoding import EncoderOptions
    from vedit.video.hwaccel import Accelerator
    from vedit.video.mask import MaskInfo
    from vedit.video.timecode import TimeRange


def opened(job: EditJob) -> tuple[ClipInfo, TimeRange]:
    """The clip of a job, looked at, and the part of it that is edited. Raises ``UsageError`` and ``InputError``."""
    from vedit.video.info import probe
    from vedit.video.timecode import parse_range

    wanted = parse_range(job.start, job.end)
    info = probe(job.input, job.stream, sequence_rate(job.fps, job.input))
    info.require_complete()
    wanted.check(info.rate, info.frames if info.frames_declared else None, info.duration)
    return info, wanted


def sequence_rate(fps: str | None, path: str) -> Fraction | None:
    """``--fps`` as a number, for images only: a video has its own frame rate, which stays."""
    from vedit.video.source import is_sequence

    if fps is None:
        return None
    try:
        rate = Fraction(fps)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"--fps {fps}: is not a frame rate; give 24, 23.976 or 30000/1001") from None
    if not 0 < rate <= 1000:
        raise UsageError(f"--fps {fps}: is not a frame rate; give more than 0 and at most 1000")
    if not is_sequence(path):
        raise UsageError(f"--fps {fps}: {path} has its own frame rate, which is kept; leave --fps out")
    return rate.limit_denominator(1001)


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


def check_outputs(job: EditJob) -> None:
    """Nothing is overwritten that should not be, and all folders are there and can be written to."""
    if job.sheet is not None and Path(job.sheet).suffix.lower() != ".png":
        raise UsageError(f"--sheet {job.sheet}: a contact sheet is a PNG; give a name that ends in .png")
    seen: dict[str, str] = {}
    for option, name in outputs_of(job).items():
        if name == STDOUT:
            raise UsageError(f"{option} -: only the result can go to standard output; give a file name")
        real = os.path.realpath(name)
        if real in seen:
            raise UsageError(f"{option} {name}: is also {seen[real]}; choose another name")
        seen[real] = option
        writable(option, name, job)


def outputs_of(job: EditJob) -> dict[str, str]:
    """The files that a job writes, by what says so."""
    wanted = {} if job.output == STDOUT else {"--output": job.output, "the sidecar": sidecar_path(job.output)}
    if job.compare is not None:
        wanted["--compare"] = job.compare
    if job.sheet is not None:
        wanted["--sheet"] = job.sheet
    return wanted


def spare(pictures: Iterable[str], outputs: Mapping[str, str]) -> None:
    """Raise ``UsageError`` where one of ``outputs`` would replace a picture that says where the clip is edited."""
    for picture in filter(os.path.isfile, pictures):
        for option, name in outputs.items():
            if os.path.exists(name) and os.path.samefile(name, picture):
                raise UsageError(f"{option} {name}: is the picture of a region itself; choose another name")


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


def encoder_of(job: EditJob, info: ClipInfo) -> tuple[EncoderOptions, list[str]]:
    """How the result is encoded, and what of the source it cannot keep."""
    from vedit.video.compare import compare_info
    from vedit.video.encoding import EncoderOptions, plan_output

    encoder = EncoderOptions(job.codec, job.crf, job.preset, job.pix_fmt, job.threads)
    warnings = list(plan_output(job.output, info, encoder).warnings)
    if job.compare is not None:
        plan_output(job.compare, compare_info(info), encoder)
    return encoder, warnings


def mask_of(job: EditJob, info: ClipInfo, encoder: EncoderOptions) -> MaskInfo | None:
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


def motion_of(job: EditJob, info: ClipInfo, wanted: TimeRange) -> Motion | None:
    """Regions and tracks, looked at, if the command has any."""
    if job.command != "drag-motion" and job.method != "revideo":
        return None
    from vedit.render.motion import resolve
    from vedit.video.mask import DEFAULT_FEATHER, parse_feather

    parse_feather(job.feather or DEFAULT_FEATHER, info)
    spare(job.region, outputs_of(job))
    motion = resolve(job, info, wanted)
    spare((region.name for region in motion.regions), outputs_of(job))
    return motion


def first_frame_of(job: EditJob, info: ClipInfo) -> FirstFrame | None:
    """The edited first frame, looked at, where it is all that is given."""
    if job.command != "first-frame-edit" or job.method == "revideo":
        return None
    from vedit.render.first_frame import resolve
    from vedit.video.mask import DEFAULT_FEATHER, parse_feather

    parse_feather(job.feather or DEFAULT_FEATHER, info)
    spare(job.region, outputs_of(job))
    return resolve(job, info)


def accelerator_of(job: EditJob, info: ClipInfo, device: str) -> tuple[Accelerator | None, list[str]]:
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
