"""What every recipe shares.

Steps keyed by their number, checkpoints that resume to the same weights, a log, an average of the weights.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vedit.errors import UsageError, VeditError, of_writing
from vedit.weights.bundle import sha256 as sha256

_SAID = {"norm": "norm of the gradient", "weights": "sum of the weights"}  # in errors, by their names in the log
#: In the identity of a run: the hash of the weights that it goes on from.
BEGAN = "began"
STATE = "state.json"  # of a run: what it is and where it stands


def _print(line: str) -> None:
    print(line, flush=True)


def step_rng(seed: int, step: int, stream: int = 0) -> np.random.Generator:
    """The random numbers of one step. Keyed by its number, so a resumed run draws what the unbroken one would have."""
    return np.random.default_rng([seed, stream, step])


def torch_rng(seed: int, step: int, stream: int = 0) -> torch.Generator:
    """:func:`step_rng` for torch, on the CPU."""
    return torch.Generator().manual_seed(int(step_rng(seed, step, stream).integers(2**62)))


def warm_cosine(step: int, steps: int, warm: int | None = None, floor: float = 0.02) -> float:
    """Factor on the learning rate: linear warm-up, then half a cosine down to ``floor``.

    ``warm``: steps of the former, by default 200 and no more than a quarter of all.
    """
    if warm is None:
        warm = min(200, max(1, steps // 4))
    if step < warm:
        return (step + 1) / warm
    share = (step - warm) / max(1, steps - warm)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of a module that are not frozen, by name: what a checkpoint holds."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


class Average:
    """Exponential moving average of a module's trained parameters, in fp32, with the usual warm-up of the decay."""

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        self.decay = decay
        self.values = {name: p.detach().clone().float() for name, p in trained(module).items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        parameters = trained(module)
        current = [parameters[name].detach().float() for name in self.values]
        torch._foreach_lerp_(list(self.values.values()), current, 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Overwrite the module's parameters with the average."""
        parameters = dict(module.named_parameters())
        for name, value in self.values.items():
            parameters[name].copy_(value)


def check_free(folder: Path, resume: bool) -> None:
    """Raise ``UsageError`` where the folder of a training holds one that is not to be resumed."""
    if not resume and (folder / STATE).exists():
        raise UsageError(f"{folder}: holds a training already; add --resume to go on with it, or choose another folder")


class Diverged(VeditError):
    """A training whose figures are no numbers any more. ``what``: which of them, and when."""

    def __init__(self, message: str, what: str) -> None:
        super().__init__(message)
        self.what = what


class Run:
    """A training folder: ``log.jsonl``, ``state.safetensors`` (weights, average, optimiser), ``state.json``.

    ``identity`` is what must not change between a run and its resumption (recipe, data, batch, learning rate, ...);
    ``free`` names what of it may, where a run can go on with it from the last checkpoint. Frozen parameters are no part
    of the weights. ``say`` gets the lines of the log.
    """

    def __init__(
        self,
        folder: Path,
        identity: dict[str, Any],
        resume: bool,
        say: Callable[[str], None] = _print,
        free: Collection[str] = (),
    ) -> None:
        self.folder = folder
        self.say = say
        self.free = free
        self.identity = json.loads(json.dumps(identity))
        self.started = time.time()
        self.spent = 0.0
        self.first_step = 0
        self._state, self._meta = folder / "state.safetensors", folder / STATE
        check_free(folder, resume)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: cannot be made ({error.strerror}); choose another folder") from None
        self.resuming = resume and self._meta.exists()
        if self.resuming:
            found = _read_state(self._meta)
            changed = sorted(
                k for k in {*found["identity"], *self.identity} if found["identity"].get(k) != self.identity.get(k)
            )
            if not set(changed) <= set(free):
                raise UsageError(
                    f"{folder}: was started with other settings ({', '.join(changed)}); resume with the same ones"
                )
            try:
                with safe_open(self._state, "pt") as state:  # a kill may fall between the two files: the weights count
                    at = state.metadata() or found
            except (SafetensorError, OSError) as error:
                raise VeditError(f"{self._state}: cannot be read ({error}); train again in another folder") from None
            self.first_step, self.spent = int(at["step"]), float(at["seconds"])
            if changed:
                say(f"{folder}: goes on from step {self.first_step} with another {', '.join(changed)}")
        else:
            if resume:
                say(f"{folder}: no checkpoint to go on from; begins at step 0")
            (folder / "log.jsonl").unlink(missing_ok=True)  # of a run that came to no checkpoint

    @property
    def seconds(self) -> float:
        """Wall time spent, earlier parts of the run included."""
        return self.spent + time.time() - self.started

    def restore(self, module: nn.Module, optimiser: torch.optim.Optimizer, average: Average | None) -> None:
        """Load weights, average and optimiser state of the last checkpoint, if this run resumes one."""
        if not self.resuming:
            return
        state = load_file(self._state)
        parameters = trained(module)
        with torch.no_grad():
            for name, p in parameters.items():
                p.copy_(state[f"model.{name}"])
        if average is not None:
            average.values = {name: state[f"average.{name}"].to(p.device) for name, p in parameters.items()}
        names = {id(p): name for name, p in parameters.items()}
        for group in optimiser.param_groups:
            for p in group["params"]:
                name = names[id(p)]
                if f"first.{name}" in state:
                    step = state[f"step.{name}"]  # a fused kernel reads it where it runs; others want it on the CPU
                    optimiser.state[p] = {
                        "step": step.to(p.device) if group.get("fused") else step,
                        "exp_avg": state[f"first.{name}"].to(p.device),
                        "exp_avg_sq": state[f"second.{name}"].to(p.device),
                    }

    def save(self, step: int, module: nn.Module, optimiser: torch.optim.Optimizer, average: Average | None) -> None:
        """Checkpoint after ``step`` steps; written beside and renamed, so a kill leaves the one before."""
        state: dict[str, Tensor] = {}
        for name, p in trained(module).items():
            state[f"model.{name}"] = p.detach().contiguous()
            if average is not None:
                state[f"average.{name}"] = average.values[name].contiguous()
            held = optimiser.state.get(p)
            if held:
                state[f"step.{name}"] = held["step"].detach().clone().reshape(())
                state[f"first.{name}"] = held["exp_avg"].contiguous()
                state[f"second.{name}"] = held["exp_avg_sq"].contiguous()
        at = {"step": step, "seconds": round(self.seconds, 1)}
        partial = self._state.with_suffix(".partial")
        try:
            save_file(state, partial, metadata={key: str(value) for key, value in at.items()})
        except SafetensorError as error:
            partial.unlink(missing_ok=True)
            kept = ", and --resume goes on from the checkpoint before" if self._meta.exists() else ""
            raise of_writing(self._state, error, kept) from None
        partial.replace(self._state)
        meta = self._meta.with_suffix(".partial")
        meta.write_text(json.dumps({"identity": self.identity, **at}))
        meta.replace(self._meta)

    def log(self, step: int, **values: float) -> None:
        """Append one line to ``log.jsonl``; a figure that is not finite stops the run and keeps the last checkpoint."""
        line = {"step": step, "seconds": round(self.seconds, 1), **{k: round(float(v), 6) for k, v in values.items()}}
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        broken = next((name for name, value in values.items() if not math.isfinite(float(value))), None)
        if broken is not None:
            kept = "the checkpoint before is kept" if self._meta.exists() else "there is no checkpoint yet"
            what = f"the {_SAID.get(broken, broken)} is not finite at step {step}"
            again = "go on with --resume" if "rate" in self.free and self._meta.exists() else "train in another folder"
            raise Diverged(f"{self.folder}: {what}; {kept}; {again} and a lower learning rate", what)
        self.say(" ".join(f"{k}={v}" for k, v in line.items()))


def _read_state(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
        return found if isinstance(found["identity"], dict) else {}["identity"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VeditError(f"{file}: cannot be read ({error}); train again in another folder") from None


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


def quick_dtype(device: str | torch.device) -> torch.dtype:
    """bf16 where ``device`` computes in it, else fp32: emulated, an encoder was 36 times slower than in fp32."""
    from vedit.engines.base import choose_dtype

    return torch.bfloat16 if choose_dtype("auto", str(device)) is torch.bfloat16 else torch.float32


def autocast(device: str | torch.device) -> torch.autocast:
    """Mixed precision in :func:`quick_dtype`, which leaves all in fp32 where that is the quick one."""
    enabled = quick_dtype(device) is torch.bfloat16
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=enabled)


@dataclass(frozen=True)
class Settings:
    """Of a training on batches. ``rate``: at its peak (:func:`warm_cosine`); ``average``: decay of the average;
    ``save_every``: steps from one checkpoint to the next."""

    steps: int = 2000
    batch: int = 4
    rate: float = 3e-4
    weight_decay: float = 0.01
    average: float = 0.999
    seed: int = 1
    save_every: int = 500


class Descent:
    """What a step does around its loss: the rate, AdamW, the average, the log every 50 steps and the checkpoints.

    ``groups``: of parameters, each with a factor on the rate. ``check(network, step)``: figures for the log, of the
    averaged weights, at checkpoints.
    """

    def __init__(
        self,
        run: Run,
        network: nn.Module,
        groups: Iterable[tuple[float, Iterable[nn.Parameter]]],
        settings: Settings,
        check: Callable[[nn.Module, int], dict[str, float]] | None = None,
    ) -> None:
        self._run, self._network, self._settings, self._check = run, network, settings, check
        self._optimiser = torch.optim.AdamW(
            [{"params": list(parameters), "scale": scale} for scale, parameters in groups],
            lr=settings.rate,
            betas=(0.9, 0.99),
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.average = Average(network, settings.average)
        run.restore(network, self._optimiser, self.average)
        self._means = Means()

    def over(self, make: Callable[[int], Any]) -> Iterator[tuple[int, Any]]:
        """The steps that are left, each with ``make(step)`` (made ahead) and its rate set."""
        steps, rate = self._settings.steps, self._settings.rate
        device = next(self._network.parameters()).device
        for step, made in prefetch(make, range(self._run.first_step, steps), device):
            for group in self._optimiser.param_groups:
                group["lr"] = rate * group["scale"] * warm_cosine(step, steps)
            yield step, made

    def take(self, step: int, loss: Tensor, **figures: Tensor) -> None:
        """Go down the gradient of ``loss``; ``figures`` go to the log with it."""
        run, network, settings = self._run, self._network, self._settings
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(list(trained(network).values()), 1.0)
        self._optimiser.step()
        self.average.update(network, step)
        self._means.add(loss=loss, **figures, norm=norm)
        done = step + 1
        if done % 50 == 0 or done == settings.steps:
            run.log(done, **self._means.take())
        if done % settings.save_every == 0 or done == settings.steps:
            run.save(done, network, self._optimiser, self.average)
            if self._check is not None:
                run.log(done, **self._check(averaged(network, self.average), done))
                network.train()


def averaged(network: nn.Module, average: Average) -> nn.Module:
    """A copy of the network with the averaged weights, in evaluation mode."""
    duplicate = copy.deepcopy(network)
    average.copy_to(duplicate)
    return duplicate.eval()


def prefetch(
    make: Callable[[int], Any], steps: Iterable[int], device: str | torch.device, depth: int = 3
) -> Iterator[tuple[int, Any]]:
    """``(step, make(step))`` with ``make`` running ahead in one thread; its exceptions come out here.

    On the CPU nothing runs ahead: a second thread's arithmetic has a pool of threads of its own, the two fight for the
    cores, and a step takes half as long again.
    """
    from concurrent.futures import Future, ThreadPoolExecutor

    if torch.device(device).type == "cpu":
        yield from ((step, make(step)) for step in steps)
        return

    waiting: list[tuple[int, Future[Any]]] = []
    with ThreadPoolExecutor(1) as pool:
        for step in steps:
            waiting.append((step, pool.submit(make, step)))
            if len(waiting) >= depth:
                first, future = waiting.pop(0)
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
