"""Options that commands share, the name of their output and their settings.

A command writes down its own arguments only and takes groups of others as dataclasses, whose fields
:func:`grouped` puts into its signature::

    @grouped
    def instruct(input: Input, instruction: …, *, shell: Shell) -> None: …
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from vedit.errors import UsageError

if TYPE_CHECKING:
    from vedit.jobs import Setting


class DType(StrEnum):
    """Arithmetic of the networks; ``auto`` takes the fastest that the device does well."""

    auto = "auto"
    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"


class HWAccel(StrEnum):
    """What decodes the video; ``auto`` takes the GPU where the networks run on one and it can."""

    none = "none"
    auto = "auto"
    cuda = "cuda"


class Detail(StrEnum):
    """How the source's fine detail returns to the edit at native size."""

    auto = "auto"
    source = "source"
    edit = "edit"
    tone = "tone"


class ProgressStyle(StrEnum):
    """How progress is told on standard error."""

    auto = "auto"
    plain = "plain"
    json = "json"
    none = "none"


Input = Annotated[
    str, typer.Argument(metavar="INPUT", help="The video to edit; - is standard input.", show_default=False)
]


Method = Annotated[str, typer.Option("--method", metavar="NAME", help="How it is edited.")]
Steps = Annotated[
    int | None,
    typer.Option("--steps", min=1, max=1000, help="Denoising steps. [the model's own]", show_default=False),
]
InversionSteps = Annotated[
    int | None,
    typer.Option(
        "--inversion-steps", min=1, max=1000, help="Steps from INPUT back to noise. [the model's own]",
        show_default=False,
    ),
]  # fmt: skip
Guidance = Annotated[
    float | None,
    typer.Option("--guidance", min=0, help="Pull towards what is asked for. [the model's own]", show_default=False),
]


def _option(*names: str, **more: Any) -> Any:
    return typer.Option(*names, show_default=more.pop("show_default", False), **more)


@dataclass(frozen=True, kw_only=True)
class Shell:
    """The options that all editing commands share. The annotations are the command line."""

    output: Annotated[
        str | None,
        _option(
            "-o", "--output", metavar="PATH", help="Result: a file, a folder, or -. [INPUT.edited.EXT beside INPUT]"
        ),
    ] = None
    model: Annotated[
        str, _option("--model", "-m", metavar="MODEL", help="A folder, a name (vedit models list) or a cached hub id.",
                     show_default=True),
    ] = "nano"  # fmt: skip
    settings: Annotated[
        list[str] | None,
        _option("-s", "--set", metavar="KEY=VALUE", help="A setting of the method (vedit models show). Repeatable."),
    ] = None
    seed: Annotated[int, _option("--seed", min=0, help="Same seed, same bytes.", show_default=True)] = 0
    size: Annotated[
        int | None,
        _option("--size", min=8, metavar="PIXELS", help="Short side at which the model works. [the model's own]"),
    ] = None
    window: Annotated[
        int | None, _option("--window", min=1, metavar="FRAMES", help="Frames edited at once. [the model's own]")
    ] = None
    overlap: Annotated[
        int | None, _option("--overlap", min=0, metavar="FRAMES", help="Frames that windows share. [the model's own]")
    ] = None
    detail: Annotated[
        Detail,
        _option("--detail", help="Detail at native size: auto (the source's, where the edit keeps it), source (the "
                "source's everywhere), edit (the edit enlarged), tone (only the colours change).", show_default=True),
    ] = Detail.auto  # fmt: skip
    mask: Annotated[
        str | None,
        _option("--mask", metavar="FILE", help="Picture or video, white where the clip is edited; the rest is kept."),
    ] = None
    feather: Annotated[
        str | None,
        _option("--feather", metavar="WIDTH", help="Soft rim inside the mask: 12 (pixels) or 1% (of the short side). "
                "[1%]"),
    ] = None  # fmt: skip
    start: Annotated[
        str | None,
        _option("--start", "--ss", metavar="TIME", help="First edited frame: 48 (frame), 2.5s, 00:00:02.500. [0]"),
    ] = None
    end: Annotated[
        str | None, _option("--end", "--to", metavar="TIME", help="First frame that is not edited any more. [the end]")
    ] = None
    stream: Annotated[
        int | None,
        _option("--stream", min=0, metavar="N", help="Video stream to edit, by its number in vedit info."),
    ] = None
    no_audio: Annotated[bool, _option("--no-audio", help="Leave the sound out.")] = False
    fps: Annotated[
        str | None, _option("--fps", metavar="RATE", help="Frames a second of a sequence of images. [25]")
    ] = None
    compare: Annotated[
        str | None, _option("--compare", metavar="VIDEO", help="Also write before and after, side by side.")
    ] = None
    sheet: Annotated[
        str | None, _option("--sheet", metavar="PNG", help="Also write a contact sheet, before and after.")
    ] = None
    threads: Annotated[
        int | None, _option("--threads", min=1, max=1024, help="Threads; bytes depend on them. [all cores]")
    ] = None
    device: Annotated[str, _option("--device", help="auto, cpu, cuda, cuda:N or mps.", show_default=True)] = "auto"
    dtype: Annotated[DType, _option("--dtype", help="Arithmetic of the networks.", show_default=True)] = DType.auto
    hwaccel: Annotated[
        HWAccel, _option("--hwaccel", help="What decodes: auto is cuda with --device cuda, where it can.",
                         show_default=True),
    ] = HWAccel.auto  # fmt: skip
    vram: Annotated[
        str | None, _option("--vram", metavar="SIZE", help="Memory the networks may hold, as in 8G. [no limit]")
    ] = None
    channels_last: Annotated[
        bool, _option("--channels-last", help="Networks' weights with the channels innermost; some GPUs are faster so.")
    ] = False
    compile: Annotated[
        bool, _option("--compile", help="Compile the network first (torch.compile); for long clips.")
    ] = False
    batch_guidance: Annotated[
        bool, _option("--batch-guidance", help="All branches of the guidance at once: faster on a GPU, more memory.")
    ] = False
    codec: Annotated[
        str | None, _option("--codec", metavar="NAME", help="Video encoder, by FFmpeg's name. [fits the container]")
    ] = None
    crf: Annotated[int | None, _option("--crf", min=0, help="Quality of the encoder; lower is better.")] = None
    preset: Annotated[str | None, _option("--preset", metavar="NAME", help="Speed preset of the encoder.")] = None
    pix_fmt: Annotated[
        str | None, _option("--pix-fmt", metavar="NAME", help="Pixel format of the result. [as the source]")
    ] = None
    dry_run: Annotated[bool, _option("--dry-run", help="Check everything, print the plan, load no weights.")] = False
    json: Annotated[bool, _option("--json", help="Print one JSON object instead of the path.")] = False
    progress: Annotated[ProgressStyle, _option("--progress", help="Progress on standard error.", show_default=True)] = (
        ProgressStyle.auto
    )
    overwrite: Annotated[bool, _option("-y", "--overwrite", help="Replace existing files.")] = False
    quiet: Annotated[bool, _option("-q", "--quiet", help="Say nothing but errors.")] = False
    verbose: Annotated[bool, _option("-v", "--verbose", help="Say more; show tracebacks.")] = False

    def job_fields(self) -> dict[str, Any]:
        """The fields that go into the job as they are."""
        as_is = ("model", "seed", "size", "window", "overlap", "start", "end", "device", "threads", "vram", "codec",
                 "crf", "preset", "pix_fmt", "compare", "sheet", "overwrite", "stream", "fps", "mask",
                 "feather", "channels_last", "compile", "batch_guidance")  # fmt: skip
        return {name: getattr(self, name) for name in as_is} | {
            "dtype": self.dtype.value,
            "hwaccel": self.hwaccel.value,
            "audio": not self.no_audio,
            "detail": self.detail.value,
        }


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Make a command line of ``command``, in which the fields of each dataclass that it takes are options of their own.

    They come after its other parameters; a field without a default is required.
    """
    hints = get_type_hints(command, include_extras=True)
    own = [
        one.replace(annotation=hints[name])
        for name, one in inspect.signature(command).parameters.items()
        if not is_dataclass(hints[name])
    ]
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    shared = [parameter for group in groups.values() for parameter in _parameters(group)]

    @functools.wraps(command)
    def wrapped(*args: Any, **given: Any) -> None:
        made = {name: group(**{f.name: given.pop(f.name) for f in fields(group)}) for name, group in groups.items()}
        command(*args, **given, **made)

    signature = inspect.Signature([*own, *shared])
    wrapped.__signature__ = signature  # type: ignore[attr-defined]
    wrapped.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    del wrapped.__wrapped__  # or the tools that look through wrappers would find the short signature
    return wrapped


def _parameters(group: type) -> Iterator[inspect.Parameter]:
    """The fields of a dataclass, as keyword parameters."""
    hints = get_type_hints(group, include_extras=True)
    for one in fields(group):
        default = inspect.Parameter.empty if one.default is MISSING else one.default
        yield inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[one.name])


def default_output(source: str, output: str | None, word: str = "edited") -> str:
    """Where the result goes: ``NAME.edited.EXT`` beside the source; into ``output`` if it is a folder; or ``output``.

    A folder is one that exists or a path with a trailing slash; the result keeps the source's name there. A container
    that vedit reads and cannot write (GIF) becomes another.
    """
    from vedit.video.source import STDIN, stem

    if source == "":
        raise UsageError("INPUT is empty; give a video file")
    if output == "":
        raise UsageError("--output is empty; give a file or a folder")
    if output is not None and not output.endswith("/") and not Path(output).is_dir():
        return output
    if source == STDIN:
        raise UsageError("--output is missing: a video from standard input has no name; give a file, or -o -")
    path = stem(source)
    name = path.name + _suffix(source)
    if output is not None:
        return str(Path(output) / name)
    return str(path.with_name(f"{path.name}.{word}{_suffix(source)}"))


def _suffix(source: str) -> str:
    from vedit.video.encoding import CONTAINERS, default_suffix
    from vedit.video.info import probe

    suffix = Path(source).suffix
    return suffix if suffix.lower() in CONTAINERS and Path(source).is_file() else default_suffix(probe(source))


def parse_settings(pairs: list[str] | None, own: dict[str, Setting | None]) -> dict[str, Setting]:
    """The method's settings: the command's own options that were given, then ``-s key=value``.

    Values are read as bool, int or float where they look like one; the method's own type decides in the end.
    """
    settings: dict[str, Setting] = {name: value for name, value in own.items() if value is not None}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise UsageError(f"-s {pair}: expected KEY=VALUE, as in -s steps=8")
        if own.get(key) is not None:
            raise UsageError(f"-s {pair}: --{key.replace('_', '-')} says the same; give one of them")
        settings[key] = _literal(value.strip())
    return settings


def _literal(text: str) -> Setting:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
