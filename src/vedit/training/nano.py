"""What the recipes of nano's models share: options, the parts that they build on, and rows of arrays kept on disk."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vedit.training import common

Coder = Callable[[Tensor], Tensor]


def options(
    about: str | None,
    settings: common.Settings | type[common.Settings],
    out: str,
    stages: Sequence[str] = ("cache", "train"),
) -> argparse.ArgumentParser:
    """A command line with what every recipe is told; ``settings`` has the defaults."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=stages)
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--data", type=Path, default=Path("runs/data"))
    parser.add_argument("--vae", type=Path, default=Path("runs/vae/vae"))
    parser.add_argument("--clip", type=Path, default=Path("runs/clip/clip"), help="with its preprocessor_config.json")
    parser.add_argument("--steps", type=int, default=settings.steps)
    parser.add_argument("--batch", type=int, default=settings.batch)
    parser.add_argument("--rate", type=float, default=settings.rate)
    parser.add_argument("--seed", type=int, default=settings.seed)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true")
    return parser


def coder(vae: Path, device: str) -> tuple[Coder, Coder]:
    """Pictures (N, 3, H, W) in [-1, 1] to latents (N, C, h, w) on the CPU, and latents to pictures."""
    from vedit import weights

    codec = weights.load_vae(vae, common.quick_dtype(device)).to(device)

    @torch.no_grad()
    def encode(pictures: Tensor) -> Tensor:
        return codec.encode(pictures.to(device)).cpu()

    @torch.no_grad()
    def decode(latents: Tensor) -> Tensor:
        return codec.decode(latents)

    return encode, decode


def hash_of(*folders: Path) -> str:
    """A hash of all weights in these folders."""
    files = [file for folder in folders for file in sorted(folder.glob("*.safetensors"))]
    return hashlib.sha256("".join(common.sha256(file) for file in files).encode()).hexdigest()


def write_scheduler(folder: Path, config: Mapping[str, Any]) -> None:
    """The noise levels that a model was trained with, as its ``scheduler`` component in ``folder``."""
    (folder / "scheduler").mkdir(parents=True, exist_ok=True)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def forget_origin(folder: Path) -> None:
    """Remove from a saved network's ``config.json`` the place from which it was once loaded."""
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


class Rows:
    """Arrays of ``count`` rows, each in a file of ``folder`` called after it, that are filled a few rows at a time.

    ``index.json`` is written last: without it the rest is not whole.
    """

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._count = folder, count
        self._arrays: dict[str, np.ndarray] = {}

    def put(self, at: int, **values: np.ndarray) -> None:
        """Rows (K, ...) of each array, from the row ``at`` on."""
        for name, rows in values.items():
            if name not in self._arrays:
                shape = (self._count, *rows.shape[1:])
                self._arrays[name] = np.lib.format.open_memmap(self._folder / f"{name}.npy", "w+", rows.dtype, shape)
            self._arrays[name][at : at + len(rows)] = rows

    def finish(self, index: Any) -> None:
        """Write it all out, and ``index`` as JSON."""
        for array in self._arrays.values():
            array.flush()  # type: ignore[attr-defined]
        (self._folder / "index.json").write_text(json.dumps(index))
