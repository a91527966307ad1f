"""Tuning a text-to-image model to one clip and its prompt: what the recipes of the prompt-editing methods share.

The loss is that of the diffusion model (TCVE, eq. 1): the mean squared error of the predicted noise, or velocity where
the model predicts that, at a level drawn uniformly. Only what the method adds or tunes is trained, and written.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from vedit.diffusion.schedule import Schedule
from vedit.errors import InputError, UsageError, VeditError
from vedit.jobs import check_letters
from vedit.training.common import Run, autocast, check_free, quick_dtype, sha256, step_rng, torch_rng
from vedit.video.source import find
from vedit.weights.adapter import About
from vedit.weights.adapter import save as save_adapter

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    from vedit.weights import Bundle

CHOICES = ("weight_decay", "clip_norm")  # of the training, that -s can name
AT_ONCE = 16  # frames that are encoded together
WHOLE_SIZE = 300_000_000  # parameters of a 2D network whose activations are too many to keep

Progress = Callable[[int, int], None]


class Tunable(Protocol):
    """A network that a method makes of a 2D one: see :mod:`vedit.nets.tcve` and :mod:`vedit.nets.tune_a_video`."""

    config: Any

    def trained(self) -> dict[str, nn.Parameter]: ...

    def __call__(self, latents: Tensor, timestep: Tensor, text: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Settings:
    """Of a training. ``frames`` consecutive ones, ``stride`` apart, are seen in a step; ``rate`` stays what it is.

    A clip of more frames is seen in random stretches. ``clip_norm``: of the gradients. ``save_every``: steps from one
    checkpoint to the next; 0: none at all, for a training that nobody can resume.
    """

    steps: int
    rate: float
    frames: int
    stride: int = 1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    seed: int = 0
    save_every: int = 25


@dataclass(frozen=True)
class Recipe:
    """A method: its name, what it makes of a 2D U-Net with which settings, and how the paper trains it."""

    method: str
    network: Callable[[UNet2DConditionModel, Any], nn.Module]
    config: type[Any]
    settings: Settings
    reference: str


def train(
    recipe: Recipe,
    *,
    clip: str,
    prompt: str,
    model: str,
    output: str,
    seed: int = 0,
    resume: bool = False,
    device: str = "cpu",
    threads: int = 1,
    size: int | None = None,
    start: str | None = None,
    end: str | None = None,
    stream: int | None = None,
    rate_of_pictures: Fraction | None = None,
    choices: Mapping[str, Any] | None = None,
    log: Callable[[str], None] = print,
    warn: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    **given: Any,
) -> Path:
    """Tune ``model`` to a clip that ``prompt`` describes; returns the adapter's folder ``output``.

    ``stream``: which video of the clip. ``rate_of_pictures``: frames a second of numbered pictures. ``choices``:
    settings of the method's network, and of the training those of :data:`CHOICES`. ``given``: those of
    :class:`Settings`, over what the model advises for the method, over the paper's. ``warn``: gets told of a prompt
    that is far from what the model knows, or too long for it. ``size``: short side of the
    pictures in pixels, by default an edit's. Raises ``InputError`` for a clip, ``UsageError`` for an option and
    ``ModelError`` for a model that cannot be used.
    """
    from vedit import weights

    torch.set_num_threads(threads)
    if not prompt.strip():
        raise UsageError("--prompt is empty; say what the clip shows")
    check_letters(prompt, "--prompt")
    check_free(Path(output) / "training", resume)  # before anything is decoded
    bundle = weights.open_bundle(model, "text2image")
    chosen = dict(choices or {})
    given |= training_choices({name: chosen.pop(name) for name in CHOICES if name in chosen})
    settings = replace(advised(recipe, bundle), **given, seed=seed)
    config = network_config(recipe, chosen)
    if warn is not None and (strange := _strange(bundle, prompt)):
        warn(strange)
    side = size or int(bundle.preset.get("size", 256))  # what an edit works at, unless it is told otherwise
    multiple = int(bundle.preset.get("multiple", 8))
    parts = clip_parts(clip, side, multiple, start, end, stream=stream, rate=rate_of_pictures)
    latents = encode(weights.load_vae(bundle.components["vae"]).to(device), parts, device)
    settings = fitted(settings, len(latents), clip)
    hashes = [sha256(file) for file in find(clip).files]
    identity = {"clip": "".join(hashes), "stream": stream, "start": start, "end": end, "size": side}
    if rate_of_pictures is not None:
        identity["fps"] = str(rate_of_pictures)
    tune(
        recipe, latents, prompt, bundle, Path(output), settings, config,
        identity=identity, device=device, resume=resume, log=log, progress=progress,
    )  # fmt: skip
    return Path(output)


def _strange(bundle: Bundle, prompt: str) -> str | None:
    """A warning for a prompt that the model cannot make much of."""
    from vedit import weights
    from vedit.engines.shared import Knowledge
    from vedit.nets.text import TextEncoder

    parts = bundle.components
    words = TextEncoder(weights.load_clip(parts["clip"]), weights.load_tokenizer(parts["tokenizer"]))
    with torch.no_grad():
        return Knowledge.of(bundle).warning(words, "prompt", prompt)


def advised(recipe: Recipe, bundle: Bundle) -> Settings:
    """The paper's settings, with what the model advises for the method on top."""
    advice = bundle.preset.get("adapters", {}).get(recipe.method, {})
    known = {field.name for field in fields(Settings)}
    return replace(recipe.settings, **{name: value for name, value in advice.items() if name in known})


def fitted(settings: Settings, frames: int, clip: str | Path | None = None) -> Settings:
    """For a clip of so many frames, which may be fewer than a step would see.

    Raises ``InputError`` where ``clip`` is named and has too few.
    """
    seen = min(settings.frames, len(range(0, frames, settings.stride)))
    if clip is not None and seen < 2:
        has = f"{frames} frame{'s' * (frames != 1)}"
        raise InputError(f"{clip}: has {has} to train on at a stride of {settings.stride}; motion takes two at least")
    return replace(settings, frames=seen)


def tune(
    recipe: Recipe,
    latents: Tensor,
    prompt: str,
    bundle: Bundle,
    output: Path,
    settings: Settings,
    config: Any,
    *,
    identity: Mapping[str, Any],
    device: str = "cpu",
    resume: bool = False,
    log: Callable[[str], None] = print,
    progress: Progress | None = None,
) -> Path:
    """:func:`train` on latents (T, C, h, w) of a clip; ``identity`` is what tells clips apart. Returns the adapter.

    ``output`` gets the adapter, ``loss.png``, and ``training`` with the log and the checkpoints to resume from.
    """
    from vedit import weights
    from vedit.nets.text import TextEncoder
    from vedit.training.plot import loss_curve

    parts = bundle.components
    run = Run(
        output / "training",
        {
            "recipe": recipe.method, "base": bundle.parts_sha256, "prompt": prompt, "network": asdict(config),
            **asdict(settings), **identity,
        },
        resume, say=log, free=("rate", "steps"),
    )  # fmt: skip
    if run.first_step > settings.steps:
        raise UsageError(f"--steps {settings.steps}: {output} is {run.first_step} steps far; give as many at least")
    schedule = weights.load_schedule(parts["scheduler"])
    words = TextEncoder(weights.load_clip(parts["clip"]), weights.load_tokenizer(parts["tokenizer"])).to(device)
    with torch.no_grad():
        text = words([prompt]).float()
    unet = weights.load_unet2d(parts["unet"])
    if unet.num_parameters() > WHOLE_SIZE:
        unet.enable_gradient_checkpointing()
    torch.manual_seed(settings.seed)  # layers are initialised by torch's own generator
    network = recipe.network(unet, config).to(device)
    if not cast(Tunable, network).trained():
        raise UsageError(f"-s: with {config} {recipe.method} has nothing to train; leave one of its parts in")

    def draw_curve() -> None:
        loss_curve(run.folder / "log.jsonl", output / "loss.png", f"{recipe.method}: loss of {settings.steps} steps")

    try:
        fit(run, network, schedule, latents, text, settings, device=device, progress=progress)
    except VeditError:
        with contextlib.suppress(InputError, OSError):  # nothing to draw, or no room; the first error is the one to say
            draw_curve()
        raise
    tuned = cast(Tunable, network).trained()
    made = about(recipe, bundle, prompt, settings, config, run, tuple(latents.shape), {**identity, "device": device})
    file = save_adapter(output, made, tuned)
    draw_curve()
    return file


@torch.no_grad()
def encode(codec: nn.Module, parts: Iterable[Tensor], device: str) -> Tensor:
    """Latents (T, C, h, w), float32, of frames that come in parts (n, 3, H, W), uint8: one part is held at once."""
    return torch.cat([cast(Any, codec).encode(part.to(device).float() / 127.5 - 1) for part in parts])


def fit(
    run: Run,
    network: nn.Module,
    schedule: Schedule,
    latents: Tensor,
    text: Tensor,
    settings: Settings,
    *,
    device: str = "cpu",
    progress: Progress | None = None,
) -> None:
    """The training loop, on latents (T, C, h, w) and text (1, L, D): checkpoints and log go to ``run``.

    A checkpoint holds weights that have given a finite loss and gradient. Where one is not finite the run stops with a
    ``VeditError``, and the checkpoint before stays.
    """
    tuned = cast(Tunable, network)
    parameters = list(tuned.trained().values())
    network.train()
    optimiser = torch.optim.AdamW(parameters, lr=settings.rate, weight_decay=settings.weight_decay)
    run.restore(network, optimiser, None)
    for group in optimiser.param_groups:
        group["lr"] = settings.rate  # it may be another one than before
    if progress is not None and run.first_step:
        progress(run.first_step, settings.steps)
    for step in range(run.first_step, settings.steps):
        clean, timestep, noise = draw(latents, schedule, settings, step)
        noisy = schedule.add_noise(clean, noise, timestep)
        with autocast(device):
            output = tuned(noisy, timestep.to(device), text)
        loss = (output.float() - schedule.target(clean, noise, timestep)).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        # 0 is the paper's plain Adam: the norm is told, and nothing is clipped.
        norm = nn.utils.clip_grad_norm_(parameters, settings.clip_norm or float("inf"))
        run.log(step + 1, loss=float(loss.detach()), norm=float(norm))
        if settings.save_every and step % settings.save_every == 0 and step > run.first_step:
            run.save(step, network, optimiser, None)
        optimiser.step()
        if progress is not None:
            progress(step + 1, settings.steps)
    if run.first_step < settings.steps:
        # The last weights have met no loss; their sum is finite only where all of them are.
        run.log(settings.steps, weights=float(sum(parameter.detach().abs().sum() for parameter in parameters)))
        if settings.save_every:
            run.save(settings.steps, network, optimiser, None)
    network.eval()


def draw(latents: Tensor, schedule: Schedule, settings: Settings, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """What one step sees: frames (1, F, C, h, w), a timestep (1,) and noise like the frames. Keyed by the step."""
    rng = step_rng(settings.seed, step, 21)
    span = (settings.frames - 1) * settings.stride + 1
    first = int(rng.integers(len(latents) - span + 1))
    clean = latents[first : first + span : settings.stride][None]
    generator = torch_rng(settings.seed, step, 22)
    timestep = torch.randint(0, len(schedule), (1,), generator=generator)
    return clean, timestep, torch.randn(clean.shape, generator=generator).to(clean)


def training_choices(choices: Mapping[str, Any]) -> dict[str, float]:
    """Those of :data:`CHOICES` as numbers. Raises ``UsageError`` that names the option."""
    found = {}
    for name, value in choices.items():
        try:
            found[name] = float(value)
        except (TypeError, ValueError):
            found[name] = float("nan")
        if not 0 <= found[name] < float("inf"):
            raise UsageError(f"-s {name}={value}: is no number from 0 on")
    return found


def network_config(recipe: Recipe, choices: Mapping[str, Any]) -> Any:
    """The settings of a method's network from ``-s key=value``. Raises ``UsageError`` that names the option."""
    from pydantic import TypeAdapter, ValidationError

    from vedit.jobs import one_line

    known = [field.name for field in fields(recipe.config)]
    for name in choices:
        if name not in known:
            there = ", ".join([*known, *CHOICES])
            raise UsageError(f"-s {name}: {recipe.method} has no such setting; there is {there}")
    try:
        config = TypeAdapter(recipe.config).validate_python(dict(choices))
    except ValidationError as error:
        raise UsageError(one_line(error, "-s ")) from None
    if hasattr(config, "complaint") and (said := config.complaint()):
        raise UsageError(said)
    return config


def about(
    recipe: Recipe,
    bundle: Bundle,
    prompt: str,
    settings: Settings,
    config: Any,
    run: Run,
    shape: tuple[int, ...],
    identity: Mapping[str, Any],
) -> About:
    """The description and card of a finished training; ``identity``: of the clip, and what it ran on."""
    from vedit import __version__

    network = asdict(config)
    steps, losses = _losses(run)
    tenth = max(1, len(losses) // 10)
    figures = {
        "steps": settings.steps,
        "learning_rate": settings.rate,
        "frames": settings.frames,
        "stride": settings.stride,
        "seed": settings.seed,
        "weight_decay": settings.weight_decay,
        "clip_norm": settings.clip_norm,
        **{name: value for name, value in identity.items() if value is not None},
        "dtype": str(quick_dtype(str(identity["device"]))).removeprefix("torch."),
        "latents": list(shape),
        "loss_first": round(float(losses[:tenth].mean()), 5),
        "loss_last": round(float(losses[-tenth:].mean()), 5),
        "vedit": __version__,
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in {**network, **figures}.items())
    card = (
        f"# {recipe.method} adapter\n\n"
        f"Tuned to one clip, described as: {prompt}\n\n"
        f"Base: {bundle.name} (sha256 of its parts {bundle.parts_sha256}). {recipe.reference}\n\n"
        f"| setting | value |\n|---|---|\n{rows}\n\n"
        f"loss_first and loss_last are means over the first and the last {tenth} of {len(steps)} steps. "
        "It is of use for this clip and this base only.\n"
    )
    return About(recipe.method, bundle.name, bundle.parts_sha256, network, prompt, figures, card)


def _losses(run: Run) -> tuple[np.ndarray, np.ndarray]:
    from vedit.training.plot import read_log

    return read_log(run.folder / "log.jsonl")


def clip_parts(
    path: str | Path,
    size: int,
    multiple: int,
    start: str | None = None,
    end: str | None = None,
    *,
    stream: int | None = None,
    rate: Fraction | None = None,
) -> Iterator[Tensor]:
    """The frames of a clip in the geometry of an edit, a few at once: (n, 3, H, W) uint8, short side ``size``.

    ``stream``: which video of the file, by default the first; ``rate``: frames a second of numbered pictures. Raises
    ``InputError`` and ``UsageError``.
    """
    import cv2

    from vedit.video.clip import working_size
    from vedit.video.info import probe
    from vedit.video.reader import Reader
    from vedit.video.timecode import parse_range

    info = probe(str(path), stream, rate)
    info.require_complete()
    wanted = parse_range(start, end)
    wanted.check(info.rate, info.frames if info.frames_declared else None, info.duration)
    width, height = working_size(info, size, multiple)
    held: list[Tensor] = []
    found = False
    with Reader(path, info) as reader:
        for source in reader:
            if wanted.finished(source.index, source.time):
                break
            if wanted.contains(source.index, source.time):
                picture = source.rgb()
                smaller = picture.shape[0] >= height and picture.shape[1] >= width
                way = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
                held.append(torch.from_numpy(cv2.resize(picture, (width, height), interpolation=way)))
            if len(held) == AT_ONCE:
                found = True
                yield torch.stack(held).permute(0, 3, 1, 2)
                held = []
    if held:
        yield torch.stack(held).permute(0, 3, 1, 2)
    elif not found:
        raise InputError(f"{path}: has no frame to train on; check --start and --end")
