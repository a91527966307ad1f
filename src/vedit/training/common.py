"""What every recipe shares.

Steps keyed by their number, checkpoints that resume to the same weights, a log, an average of the weights.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vedit.errors import VeditError


def step_rng(seed: int, step: int, stream: int = 0) -> np.random.Generator:
    """The random numbers of one step. Keyed by its number, so a resumed run draws what the unbroken one would have."""
    return np.random.default_rng([seed, stream, step])


def torch_rng(seed: int, step: int, stream: int = 0) -> torch.Generator:
    """:func:`step_rng` for torch, on the CPU."""
    return torch.Generator().manual_seed(int(step_rng(seed, step, stream).integers(2**62)))


def warm_cosine(step: int, steps: int, warm: int = 200, floor: float = 0.02) -> float:
    """Factor on the learning rate: linear warm-up, then half a cosine down to ``floor``."""
    if step < warm:
        return (step + 1) / warm
    share = (step - warm) / max(1, steps - warm)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


class Average:
    """Exponential moving average of a module's parameters, in fp32, with the usual warm-up of the decay."""

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        self.decay = decay
        self.values = {name: p.detach().clone().float() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        parameters = dict(module.named_parameters())
        current = [parameters[name].detach().float() for name in self.values]
        torch._foreach_lerp_(list(self.values.values()), current, 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Overwrite the module's parameters with the average."""
        for name, p in module.named_parameters():
            p.copy_(self.values[name])


class Run:
    """A training folder: ``log.jsonl``, ``state.safetensors`` (weights, average, optimiser), ``state.json``.

    ``identity`` is what must not change between a run and its resumption (recipe, data, batch, learning rate, ...).
    """

    def __init__(self, folder: Path, identity: dict[str, Any], resume: bool) -> None:
        self.folder = folder
        self.identity = json.loads(json.dumps(identity))
        self.started = time.time()
        self.spent = 0.0
        self.first_step = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._state, self._meta = folder / "state.safetensors", folder / "state.json"
        if not resume and self._meta.exists():
            raise VeditError(
                f"{folder}: holds a training already; add --resume to go on with it, or choose another folder"
            )
        self.resuming = resume and self._meta.exists()
        if self.resuming:
            found = json.loads(self._meta.read_text())
            if found["identity"] != self.identity:
                changed = sorted(
                    k for k in {*found["identity"], *self.identity} if found["identity"].get(k) != self.identity.get(k)
                )
                raise VeditError(
                    f"{folder}: was started with other settings ({', '.join(changed)}); resume with the same ones"
                )
            self.first_step, self.spent = int(found["step"]), float(found["seconds"])

    @property
    def seconds(self) -> float:
        """Wall time spent, earlier parts of the run included."""
        return self.spent + time.time() - self.started

    def restore(self, module: nn.Module, optimiser: torch.optim.Optimizer, average: Average) -> None:
        """Load weights, average and optimiser state of the last checkpoint, if this run resumes one."""
        if not self.resuming:
            return
        state = load_file(self._state)
        parameters = dict(module.named_parameters())
        with torch.no_grad():
            for name, p in parameters.items():
                p.copy_(state[f"model.{name}"])
        average.values = {name: state[f"average.{name}"] for name in parameters}
        order = [p for group in optimiser.param_groups for p in group["params"]]
        names = {id(p): name for name, p in parameters.items()}
        for p in order:
            name = names[id(p)]
            if f"first.{name}" in state:
                optimiser.state[p] = {
                    "step": state[f"step.{name}"],
                    "exp_avg": state[f"first.{name}"],
                    "exp_avg_sq": state[f"second.{name}"],
                }

    def save(self, step: int, module: nn.Module, optimiser: torch.optim.Optimizer, average: Average) -> None:
        """Checkpoint after ``step`` steps; written beside and renamed, so a kill leaves the one before."""
        state: dict[str, Tensor] = {}
        for name, p in module.named_parameters():
            state[f"model.{name}"] = p.detach().contiguous()
            state[f"average.{name}"] = average.values[name].contiguous()
            held = optimiser.state.get(p)
            if held:
                state[f"step.{name}"] = held["step"].detach().clone().reshape(())
                state[f"first.{name}"] = held["exp_avg"].contiguous()
                state[f"second.{name}"] = held["exp_avg_sq"].contiguous()
        partial = self._state.with_suffix(".partial")
        save_file(state, partial)
        partial.replace(self._state)
        meta = self._meta.with_suffix(".partial")
        meta.write_text(json.dumps({"identity": self.identity, "step": step, "seconds": round(self.seconds, 1)}))
        meta.replace(self._meta)

    def log(self, step: int, **values: float) -> None:
        """Append one line to ``log.jsonl``; a non-finite loss stops the run and keeps the last checkpoint."""
        line = {"step": step, "seconds": round(self.seconds, 1), **{k: round(float(v), 6) for k, v in values.items()}}
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        if not all(math.isfinite(float(v)) for v in values.values()):
            raise VeditError(
                f"{self.folder}: the loss is not finite at step {step}; the checkpoint before is kept: "
                "lower the learning rate"
            )
        print(" ".join(f"{k}={v}" for k, v in line.items()), flush=True)


class Means:
    """Running means of named values between two log lines."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}

    def add(self, **values: float | Tensor) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(torch.as_tensor(value).detach())
            self.counts[name] = self.counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


def prefetch(make: Callable[[int], Any], steps: Iterable[int], depth: int = 3) -> Iterator[tuple[int, Any]]:
    """``(step, make(step))`` with ``make`` running ahead in one thread; its exceptions come out here."""
    from concurrent.futures import Future, ThreadPoolExecutor

    waiting: list[tuple[int, Future[Any]]] = []
    with ThreadPoolExecutor(1) as pool:
        for step in steps:
            waiting.append((step, pool.submit(make, step)))
            if len(waiting) >= depth:
                first, future = waiting.pop(0)
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


def sha256(path: Path) -> str:
    """Hash of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
