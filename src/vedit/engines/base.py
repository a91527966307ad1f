"""What an engine gets, what it returns, and what it promises. An engine is one method in one file, and does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel

from vedit.errors import ResourceError, UsageError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Window:
    """Consecutive frames of one shot.

    ``frames``: (T, 3, h, w) float32 in [-1, 1], sides multiples of the model's stride. ``first``: absolute index of
    the first one. ``reference``: how many at the start the previous window of the shot already edited. ``carry``: what
    that window returned, None at the start of a shot.
    """

    frames: torch.Tensor
    first: int
    reference: int = 0
    carry: object | None = None


@dataclass(frozen=True, eq=False)
class Edited:
    """The edit of a whole window, reference frames included.

    ``frames`` and ``reconstruction`` (the codec's own of the source): (T, 3, h, w) float32, about in [-1, 1].
    ``evaluations``: of the network; one branch on one window is one, and ``inversion_evaluations`` of them were for the
    way back to noise. ``timings``: seconds by stage.
    """

    frames: torch.Tensor
    reconstruction: torch.Tensor
    carry: object
    evaluations: int
    timings: dict[str, float]
    inversion_evaluations: int = 0


@dataclass(frozen=True)
class Work:
    """What a window takes of the network, as :class:`Edited` counts it; ``frames`` is the sum over all evaluations of
    how many frames each of them sees."""

    evaluations: int
    frames: int
    inversion_evaluations: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.evaluations + other.evaluations,
            self.frames + other.frames,
            self.inversion_evaluations + other.inversion_evaluations,
        )


@dataclass(frozen=True)
class Share:
    """A window before it is there: its ``new`` frames, those that it shares with the window before (``reference``),
    whether there is a window of the same shot ``before`` it, and how many ``regions`` apart from each other are edited
    in it."""

    new: int
    reference: int = 0
    before: bool = False
    regions: int = 1


@dataclass(frozen=True)
class Execution:
    """How networks run. It changes what that takes, and the result by rounding alone.

    ``channels_last``: weights of 2D convolutions lie with the channels innermost. ``compile``: the diffusion network
    by ``torch.compile``. ``batch_guidance``: all branches of the guidance in one evaluation. ``offload``: weights wait
    in main memory and come layer by layer.
    """

    channels_last: bool = False
    compile: bool = False
    batch_guidance: bool = False
    offload: bool = False


@dataclass(frozen=True, eq=False)
class Drag:
    """What shall move, where, and how, at the working size.

    ``mask``: (h, w) float32, 1 where the clip is edited and 0 elsewhere. ``places``: (F, N, 2) float64, x and y in
    pixels of N points at every edited frame from the absolute index ``first`` on. ``frame``: (3, h, w) float32 in
    [-1, 1], the edited first frame, if the content changes too.
    """

    mask: torch.Tensor
    places: torch.Tensor
    first: int = 0
    frame: torch.Tensor | None = None

    def at(self, first: int, count: int) -> torch.Tensor:
        """(count, N, 2): the places from the frame ``first`` on; after the last one nothing moves."""
        last = len(self.places) - 1
        return self.places[[min(max(index - self.first, 0), last) for index in range(first, first + count)]]


@dataclass(frozen=True, eq=False)
class Spread:
    """An edited first frame to be spread over a clip.

    ``frame``: (3, h, w) float32 in [-1, 1], of the working size. ``text``: what the result shows, for models that read
    it.
    """

    frame: torch.Tensor
    text: str = ""


class Engine(Protocol):
    """One method, ready to edit. ``Settings`` are its typed options, with units and bounds."""

    name: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]
    dtype: torch.dtype

    def edit(self, window: Window, prompt: Any) -> Edited:
        """Edit one window as ``prompt`` says: an instruction, a :class:`~vedit.jobs.PromptPair`, a :class:`Drag` or a
        :class:`Spread`."""
        ...

    def knows(self, prompt: Any) -> str | None:
        """A warning when ``prompt`` is not what the model was made for, else None."""
        ...


def choose_dtype(name: str, device: str) -> torch.dtype:
    """The dtype for ``"auto"``, ``"fp32"``, ``"fp16"`` or ``"bf16"``: with auto, half of fp32 where that is quick.

    Raises ``UsageError`` for a name that is none or cannot run on ``device``.
    """
    import torch

    kind = torch.device(device).type
    known = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    if name == "auto":
        if kind == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        return torch.bfloat16 if kind == "cpu" and _cpu_has_bf16() else torch.float32
    if name not in known:
        raise UsageError(f"--dtype {name}: no such dtype; use auto, {', '.join(known)}")
    if kind == "cpu" and name == "fp16":
        raise UsageError("--dtype fp16: too slow on a CPU to be of use; use bf16 or fp32")
    return known[name]


def check_device(device: str) -> None:
    """Raise ``ResourceError`` for a device that is not there."""
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ResourceError(f"--device {device}: not available ({reason}); use --device cpu") from None


def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 in hardware; elsewhere it is emulated, and slower than fp32."""
    import torch

    if torch.backends.cpu.get_cpu_capability() in ("AVX512", "AVX2"):
        asks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, ask, lambda: False)() for ask in asks)
    mkldnn = getattr(torch.ops, "mkldnn", None)
    return bool(getattr(mkldnn, "_is_mkldnn_bf16_supported", lambda: False)())
