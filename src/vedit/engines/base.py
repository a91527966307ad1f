"""What an engine gets, what it returns, and what it promises. An engine is one method in one file, and does no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import BaseModel

from vedit.errors import ResourceError, UsageError

if TYPE_CHECKING:
    import torch

    from vedit.cache import Cache
    from vedit.weights import Bundle


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


class Engine(Protocol):
    """One method, ready to edit. ``Settings`` are its typed options, with units and bounds."""

    name: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]
    dtype: torch.dtype

    @classmethod
    def from_bundle(
        cls,
        bundle: Bundle,
        settings: BaseModel,
        *,
        seed: int,
        device: str,
        dtype: torch.dtype,
        cache: Cache | None = None,
    ) -> Engine:
        """Load what the method needs of ``bundle``. Raises ``ModelError``."""
        ...

    def edit(self, window: Window, prompt: Any) -> Edited:
        """Edit one window as ``prompt`` says: an instruction, or a :class:`~vedit.jobs.PromptPair`."""
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
