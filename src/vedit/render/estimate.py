"""About how much memory and time a job takes. For ``--dry-run`` and for the warning before memory runs out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from vedit.video.info import ClipInfo
    from vedit.weights import Bundle

# Rough guesses, not yet calibrated on nano: seconds of a 100 MB U-Net for each megapixel of its window, two cores.
SECONDS_PER_MEGAPIXEL = 0.9
FASTER = {"cuda": 150.0, "mps": 8.0, "cpu": 1.0}
CODEC_SECONDS_PER_MEGAPIXEL = 0.35
FRAME_SECONDS_PER_MEGAPIXEL = 0.06  # decode, compose and encode at native size
LIBRARIES_MB = 650
ACTIVATIONS_MB_PER_MEGAPIXEL = 450
NATIVE_MB_PER_MEGAPIXEL = 1.5  # decoded 4:2:0 frames wait for their window
START_SECONDS = 8


@dataclass(frozen=True)
class Cost:
    """Peak resident memory in MB (10⁶ bytes) and wall time in seconds, both rough."""

    memory_mb: int
    seconds: int


def cost(
    bundle: Bundle,
    settings: BaseModel,
    info: ClipInfo,
    *,
    windows: int,
    window: int,
    width: int,
    height: int,
    device: str,
    threads: int,
) -> Cost:
    """Estimate a job of ``windows`` windows of ``window`` frames at ``width`` × ``height`` pixels."""
    weights_mb = sum(_size_mb(Path(part)) for part in bundle.components.values())
    unet_mb = _size_mb(Path(bundle.components["unet"])) if "unet" in bundle.components else weights_mb
    view = window * width * height / 1e6
    native = info.width * info.height / 1e6
    scale = FASTER[device.partition(":")[0]] * (max(1, min(threads, 16)) / 2 if device == "cpu" else 1)
    # What the instruction asks for is not known before the text encoder is loaded: the most it can be.
    steps = max(int(getattr(settings, "steps", 10)), int(getattr(settings, "random_steps", 0)))
    # An inversion that the cache holds costs nothing, but whether it does is known only after the frames were encoded.
    inversion = int(getattr(settings, "inversion_steps", 0) or (steps if hasattr(settings, "inversion_steps") else 0))
    inversion *= 1 + int(getattr(settings, "fixed_point", 0))
    evaluations = windows * (steps * _branches(settings) + inversion)
    seconds = (
        START_SECONDS
        + evaluations * view * SECONDS_PER_MEGAPIXEL * (unet_mb / 100) / scale
        + windows * view * CODEC_SECONDS_PER_MEGAPIXEL / scale
        + info.frames * native * FRAME_SECONDS_PER_MEGAPIXEL
    )
    memory = LIBRARIES_MB + 2 * weights_mb + view * ACTIVATIONS_MB_PER_MEGAPIXEL
    memory += native * (2 * window + 12) * NATIVE_MB_PER_MEGAPIXEL + native * 60
    return Cost(round(memory), max(1, round(seconds)))


def _branches(settings: Any) -> int:
    """Network evaluations a step: a guidance scale of one makes a branch superfluous."""
    return 1 + sum(getattr(settings, name, 1.0) != 1.0 for name in ("guidance", "video_guidance"))


def _size_mb(path: Path) -> float:
    if path.is_file():
        return path.stat().st_size / 1e6
    return sum(file.stat().st_size for file in path.rglob("*.safetensors")) / 1e6
