"""A method that needs no model: it inverts the picture, or does what a test asks for. For the tests of the shell.

``python tests/cli/fake.py instruct …`` is ``vedit instruct …`` with it; ``VEDIT_FAKE`` chooses what it does,
``VEDIT_FAKE_SIGN`` names a file that appears when it begins.
"""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field

from vedit.engines.base import Work
from vedit.errors import ModelError
from vedit.weights import Layers

SEEN: deque[Any] = deque(maxlen=16)  # the last windows that were edited; all of them would grow with the clip
ASKED: deque[Any] = deque(maxlen=1)  # what the last of them was asked for


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: int = Field(4, ge=1, le=1000)
    guidance: float = Field(3.0, ge=0)
    video_guidance: float = Field(1.0, ge=0)
    solver: str = "ddim"


class Inverter:
    """Inverts; the seed shows in the first pixel, so that another seed gives other bytes."""

    name: ClassVar[str] = "instructvid2vid"
    Settings: ClassVar[type[BaseModel]] = Settings

    def __init__(self, settings: Any, seed: int) -> None:
        self.settings = settings
        self.dtype = torch.float32
        self._seed = seed
        self._act = os.environ.get("VEDIT_FAKE", "")

    def knows(self, prompt: str) -> str | None:
        return f"{prompt!r} is far from what the model knows" if "gibberish" in str(prompt) else None

    def edit(self, window: Any, prompt: str) -> Any:
        SEEN.append(window)
        ASKED.append(prompt)
        if "VEDIT_FAKE_SIGN" in os.environ:
            Path(os.environ["VEDIT_FAKE_SIGN"]).touch()
        if self._act == "slow":
            time.sleep(0.3)
        elif self._act == "stubborn":  # a library that holds on to a stop for a while
            try:
                time.sleep(60)
            finally:
                time.sleep(60)
        elif self._act == "memory":
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")
        elif self._act == "bug":
            raise KeyError("sigma")
        elif self._act == "nan":
            window.frames[:] = float("nan")
        edited = -window.frames
        if self._act == "drift":
            edited[:, 0] += 8 / 127.5 * (window.first // 6)
        edited[:, :, :8, :8] = -1.0 + 0.25 * (self._seed % 8)
        return SimpleNamespace(
            frames=edited,
            reconstruction=window.frames,
            carry=(window.first, len(window.frames)),
            evaluations=3 * self.settings.steps,
            inversion_evaluations=0,
            timings={"encode": 0.01, "denoise": 0.02, "decode_latents": 0.01},
        )


def load(
    method: str,
    bundle: Any,
    settings: Any,
    *,
    seed: int,
    device: str,
    dtype: str,
    cache: Any,
    execution: Any = None,
    adapter: Any = None,
) -> Inverter:
    return Inverter(settings, seed)


def open_bundle(model: str, role: str, **more: Any) -> Any:
    if model != "nano":
        raise ModelError(f"--model {model}: no such model; vedit models list shows what there is")
    preset: dict[str, Any] = {"steps": 6, "frames": 8, "overlap": 2, "multiple": 8, "max_frames": 32, "knows": ["snow"]}
    if "VEDIT_FAKE_CROP" in os.environ:
        preset["crop"] = int(os.environ["VEDIT_FAKE_CROP"])
    parts = {name: Path(name) for name in ("unet", "vae", "clip")}
    return SimpleNamespace(name="nano", path=Path("."), components=parts, preset=preset, sha256="0" * 64)


def work(method: str, bundle: Any, settings: Any, windows: list[Any]) -> Work:
    evaluations = 3 * settings.steps * len(windows)
    return Work(evaluations, evaluations * windows[0].new)


def read_layers(folder: Path, part: str = "") -> Layers:
    return Layers({0: 1_000_000}, {}, 64, 10_000_000, 50, stride=8)


def install(patch: Any = setattr) -> None:
    """Put the fake in the place of the engines and the models."""
    from vedit import engines, weights

    SEEN.clear()
    patch(engines, "METHODS", {"instructvid2vid": __name__})
    patch(engines, "settings_of", lambda method: Settings)
    patch(engines, "takes_adapter", lambda method: False)
    patch(engines, "shares_frames", lambda method: True)
    patch(engines, "least_window", lambda method: 1)
    patch(engines, "together", lambda method, settings, frames: frames)
    patch(engines, "tunes_to_clip", lambda method: False)
    patch(engines, "load", load)
    patch(engines, "work", work)
    patch(weights, "open_bundle", open_bundle)
    patch(weights, "read_layers", read_layers)


if __name__ == "__main__":
    from vedit.__main__ import main

    install()
    raise SystemExit(main())
