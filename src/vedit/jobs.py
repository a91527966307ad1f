"""What a person asks for, as one frozen value that survives JSON.

Everything the shell can say about an edit is in an :class:`EditJob`; the renderer reads nothing else, so a job from a
sidecar gives the same result as the command that wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vedit.errors import UsageError

Setting = bool | int | float | str


@dataclass(frozen=True)
class PromptPair:
    """What a clip shows, and what it shall show instead."""

    source: str
    target: str


class EditJob(BaseModel):
    """One edit of one clip. Frozen; unknown fields are refused; ``to_json`` and ``from_json`` are inverses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: Literal["instruct", "prompt-edit", "drag-motion", "first-frame-edit"] = "instruct"
    input: str = Field(min_length=1)
    output: str = Field(min_length=1)
    prompt: str = ""  # the instruction, or what the clip shall show
    source_prompt: str | None = None  # what the clip shows; for prompt-edit
    model: str = Field("nano", min_length=1)
    method: str = Field("instructvid2vid", min_length=1)
    adapter: str | None = Field(None, min_length=1)  # folder of what train-adapter made
    settings: dict[str, Setting] = Field(default_factory=dict)  # typed by the method's own Settings

    # For drag-motion, in pixels of the displayed clip; see vedit.video.tracks and vedit.video.regions.
    region: tuple[str, ...] = ()  # "x,y,width,height" or a picture, white where the clip is edited
    track: tuple[str, ...] = ()  # "x,y x,y ...", each with @TIME if wanted
    tracks: str | None = Field(None, min_length=1)  # a file of tracks: JSON, CSV, SVG
    follow: tuple[str, ...] = ()  # "x,y": points of the source whose way is kept
    first_frame: str | None = Field(None, min_length=1)  # a picture: the first frame, edited

    # For first-frame-edit, beside first_frame, region and prompt.
    instruction: str | None = None  # what makes the first frame, by vedit instruct
    instruct_model: str = Field("nano", min_length=1)
    fit: Literal["stretch", "crop", "pad"] | None = None  # of a first frame of another size than the clip's

    seed: int = Field(0, ge=0, lt=2**63)
    size: int | None = Field(None, ge=8, le=8192)  # pixels: short side at which the model works; None: its own
    window: int | None = Field(None, ge=1)  # frames; None: the model's own
    overlap: int | None = Field(None, ge=0)  # frames; None: the model's own
    detail: Literal["auto", "source", "edit", "tone"] = "auto"  # what of the source's detail returns; see compose
    mask: str | None = None  # a picture or a video: white is edited
    feather: str | None = None  # width of the mask's soft rim: "12" pixels, "1%" of the short side; None: 1 %
    start: str | None = None  # first edited frame: "48", "2.5s", "00:00:02.500"; see vedit.video.timecode
    end: str | None = None  # first frame that is not edited
    stream: int | None = Field(None, ge=0)  # the video stream to edit; None: the first real one
    audio: bool = True  # whether sound is kept
    fps: str | None = None  # frames a second of a sequence of images: "24", "23.976", "30000/1001"

    device: str = "auto"
    dtype: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    hwaccel: Literal["none", "auto", "cuda"] = "auto"  # what decodes; auto: a CUDA device that runs the networks
    vram: str | None = None  # memory that the networks may hold: "8G"; None: no limit, and no plan
    channels_last: bool = False  # how the diffusion network runs; see vedit.engines.base.Execution
    compile: bool = False
    batch_guidance: bool = False
    threads: int | None = Field(None, ge=1, le=1024)  # None: the cores this process may use

    codec: str | None = None  # encoder; None: the writer's choice for the container
    crf: int | None = Field(None, ge=0)
    preset: str | None = None
    pix_fmt: str | None = None

    compare: str | None = None  # a second video: before and after, side by side
    sheet: str | None = None  # a PNG: frames before and after
    overwrite: bool = False

    @model_validator(mode="after")
    def _in_letters(self) -> EditJob:
        for text, option in (
            (self.source_prompt, "--source"),
            (self.instruction, "--instruction"),
            (self.prompt, {"instruct": "the instruction", "prompt-edit": "--target"}.get(self.command, "--prompt")),
        ):
            check_letters(text or "", option)
        for name, value in self.settings.items():
            if isinstance(value, str):
                check_letters(value, f"-s {name}")
        return self

    @model_validator(mode="after")
    def _said_something(self) -> EditJob:
        if self.command == "drag-motion":
            if self.fit is not None and self.first_frame is None:
                raise ValueError(f"--fit {self.fit}: there is no --first-frame to fit; leave it out")
            return self
        if self.command == "first-frame-edit":
            if self.first_frame is None and self.instruction is None:
                raise ValueError("EDITED is missing; give the edited first frame, or make it with --instruction")
            if self.first_frame is not None and self.instruction is not None:
                raise ValueError("--instruction makes the edited first frame, and EDITED is one; give one of them")
            if self.instruction is None and self.instruct_model != "nano":
                raise ValueError(f"--instruct-model {self.instruct_model}: is for --instruction, and there is none")
            if self.instruction is not None and not self.instruction.strip():
                raise ValueError("--instruction is empty; say what to change")
            if self.fit is not None and self.first_frame is None:
                raise ValueError(f"--fit {self.fit}: what --instruction makes fits by itself; leave --fit out")
            return self
        if self.command == "instruct":
            if not self.prompt.strip():
                raise ValueError("the instruction is empty; say what to change")
            if self.source_prompt is not None:
                raise ValueError("--source does not go with an instruction; vedit prompt-edit takes two prompts")
            return self
        if not (self.source_prompt or "").strip():
            raise ValueError("--source is empty; say what the clip shows")
        if not self.prompt.strip():
            raise ValueError("--target is empty; say what the clip shall show instead")
        if _plain(self.prompt) == _plain(self.source_prompt or ""):
            raise ValueError("--target says the same as --source; change what shall be different")
        return self

    @model_validator(mode="after")
    def _overlap_fits(self) -> EditJob:
        if self.window is not None and self.overlap is not None and self.overlap >= self.window:
            raise ValueError(f"--overlap: {self.overlap} frames do not fit a window of {self.window}; lower --overlap")
        return self

    @property
    def request(self) -> str | PromptPair:
        """What an engine is asked for: an instruction, or a pair of prompts."""
        return self.prompt if self.source_prompt is None else PromptPair(self.source_prompt, self.prompt)

    def to_json(self) -> str:
        """The job as one line of JSON."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> EditJob:
        """The job that :meth:`to_json` wrote. Raises :class:`UsageError`."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise UsageError(one_line(error)) from error

    @classmethod
    def build(cls, **fields: Any) -> EditJob:
        """A job from its fields. Raises :class:`UsageError` naming the option that cannot be used."""
        try:
            return cls(**fields)
        except ValidationError as error:
            raise UsageError(one_line(error)) from error


def check_letters(text: str, option: str) -> None:
    """Raise ``UsageError`` for text that came as bytes which are no letters; Python holds them as half a letter."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{option}: holds bytes that are no UTF-8 text; type it anew") from None


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


_AS_TYPED = {"prompt": "the instruction", "input": "INPUT", "max_guidance": "--guidance"}


def one_line(error: ValidationError, prefix: str = "") -> str:
    """The first complaint of a pydantic error as one line that names the option and what was found.

    ``prefix`` goes before the field's name for options given as ``-s key=value``.
    """
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return message
    field = str(first["loc"][0])
    option = _AS_TYPED.get(field, prefix + field if prefix else "--" + field.replace("_", "-"))
    if first["type"] == "value_error":
        return f"{option} {message}"
    if first["type"] == "missing":
        return f"{option} is missing"
    if first["type"] == "string_unicode":
        return f"{option}: is not text in UTF-8; rename the file, or write it anew"
    if first["type"] == "extra_forbidden":
        return f"{option} does not exist"
    return f"{option}: {message[0].lower() + message[1:]}, found {first['input']!r}"
