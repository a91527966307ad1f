"""``vedit train-adapter revideo``: ReVideo's control on anyone's clips, one stage at a time.

    vedit train-adapter revideo clips/*.mp4 --stage 1 -o one
    vedit train-adapter revideo clips/*.mp4 --stage 2 --from one -o two
    vedit train-adapter revideo clips/*.mp4 --stage 3 --from two -o three

Mou et al., "ReVideo: Remake a Video with Motion and Content Control" (2024), section 3.3; the loop and what differs
between the stages are in :mod:`vedit.training.revideo`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vedit.errors import UsageError
from vedit.nets.revideo import ReVideoConfig, ReVideoUNet
from vedit.nets.strict import fill_parameters
from vedit.training.common import Run, check_free
from vedit.training.moving import Source, read_clips
from vedit.training.revideo import Progress, Settings, Trainer, tensors, with_settings
from vedit.weights import adapter as adapters
from vedit.weights.revideo import METHOD, STAGE, network_of

if TYPE_CHECKING:
    from vedit.engines.image2video import Image2Video
    from vedit.weights import Bundle

REFERENCE = 'Method: Mou et al., "ReVideo: Remake a Video with Motion and Content Control" (2024).'
CHOICES = {"fusion": ("safm", "no-time", "sum"), "tuned": ("temporal", "everything"), "scenes": ("stage", "ordinary")}
OF_STAGE = {"tuned": 3, "scenes": 2}  # choices that mean nothing to the other stages


def train(
    *,
    clips: Sequence[str],
    model: str,
    output: str,
    stage: int,
    before: str | None = None,
    seed: int = 0,
    resume: bool = False,
    device: str = "cpu",
    threads: int = 1,
    frames: int | None = None,
    stride: int = 1,
    size: int | None = None,
    start: str | None = None,
    end: str | None = None,
    choices: Mapping[str, Any] | None = None,
    log: Callable[[str], None] = print,
    progress: Progress | None = None,
    **given: Any,
) -> Path:
    """Train one stage on clips; returns the adapter's folder ``output``.

    ``before``: the adapter of the stage before. ``size``: side of the square that is trained on, by default that of the
    model. ``given``: of :class:`~vedit.training.revideo.Settings`. Raises ``InputError``, ``UsageError``,
    ``ModelError``.
    """
    from vedit import weights

    torch.set_num_threads(threads)
    chosen = checked(choices or {}, stage)
    if stage > 1 and before is None:
        raise UsageError(f"--stage {stage}: begins where stage {stage - 1} ended; give its adapter with --from")
    if stage == 2 and chosen.get("scenes") != "ordinary" and len({Path(clip).resolve() for clip in clips}) < 2:
        raise UsageError("--stage 2: shows one clip inside of a region and another around it; give at least two clips")
    check_free(Path(output) / "training", resume)  # before anything is decoded
    bundle = weights.open_bundle(model, "image2video")
    if before is not None:
        ended = adapters.check(before, METHOD, bundle).network.get(STAGE)
        if ended not in (stage - 1, stage):
            raise UsageError(
                f"--stage {stage}: begins where stage {stage - 1} ended, or goes on with stage {stage}, and --from "
                f"{before} ended with stage {ended}"
            )
    advice = bundle.preset.get("adapters", {}).get(METHOD, {})
    whole = int(bundle.preset.get("size", 256))
    side = size or int(bundle.preset.get("crop", whole))
    source = read_clips(
        clips, frames or int(bundle.preset.get("frames", 14)), side, stride, int(bundle.preset.get("multiple", 8)),
        start, end, whole if "crop" in bundle.preset else None, there(output),
    )  # fmt: skip
    fusion = chosen.pop("fusion", None)
    if fusion is None:  # as the stage before
        fusion = "safm" if before is None else adapters.read_about(before).network.get("fusion", "safm")
    settings = replace(with_settings(stage, dict(advice) | given | chosen), seed=seed)
    return stage_of_training(
        source, bundle, Path(output), settings, before=before, fusion=fusion, device=device, resume=resume, log=log,
        progress=progress,
    )  # fmt: skip


def stage_of_training(
    source: Source,
    bundle: Bundle,
    output: Path,
    settings: Settings,
    *,
    before: str | Path | None = None,
    fusion: str = "safm",
    device: str = "cpu",
    resume: bool = False,
    log: Callable[[str], None] = print,
    progress: Progress | None = None,
) -> Path:
    """:func:`train` on any source of clips. ``output`` gets the adapter, ``loss.png`` and ``training``."""
    from vedit import engines
    from vedit.engines.image2video import Image2Video
    from vedit.training.plot import loss_curve
    from vedit.weights.bundle import sha256

    began = None if before is None else sha256(adapters.find(before))
    identity = {"recipe": METHOD, "base": bundle.parts_sha256, "fusion": fusion, "data": source.identity}
    run = Run(output / "training", identity | asdict(settings) | {"before": began}, resume, say=log)
    base = Image2Video.from_bundle(bundle, device=device, dtype=torch.float32)
    network = begin(base, bundle, before, fusion, settings.seed).to(device)
    told: Any = engines.settings_of(METHOD)(**engines.advised(METHOD, bundle, {}))
    Trainer(base, network, told, settings, source).fit(run, progress)
    about = describe(bundle, network.control.config, settings, run)
    about.training.update(data=source.identity, before=began)
    adapters.save(output, about, dict(tensors(network)))
    loss_curve(run.folder / "log.jsonl", output / "loss.png", f"{METHOD}, stage {settings.stage}: loss")
    return output


def begin(base: Image2Video, bundle: Bundle, before: str | Path | None, fusion: Any, seed: int) -> ReVideoUNet:
    """The network that a stage begins with: fresh, or that of the stage ``before``, with another ``fusion`` if asked
    for, which shares all but SAFM."""
    torch.manual_seed(seed)  # layers are initialised by torch's own generator
    if before is None:
        return ReVideoUNet(base.network, ReVideoConfig.of(base.network.config, base.codec.stride, fusion))
    about, found = adapters.load(before, METHOD, bundle)
    where = str(adapters.find(before))
    if about.network.get("fusion") == fusion:
        return network_of(base.network, about, found, where)
    if about.network.get(STAGE) == 3:
        raise UsageError(f"--set fusion={fusion}: {where} has another fusion trained already; begin with stage 2")
    network = ReVideoUNet(base.network, ReVideoConfig.of(base.network.config, base.codec.stride, fusion))
    own = {name: p for name, p in network.added().items() if not name.startswith("control.gate.")}
    fill_parameters(own, {name: one for name, one in found.items() if not name.startswith("control.gate.")}, where)
    return network


def there(output: str | Path) -> Path:
    """The folder ``output`` will be in, or the nearest one above that is there already."""
    return next(folder for folder in (Path(output), *Path(output).absolute().parents) if folder.is_dir())


def checked(choices: Mapping[str, Any], stage: int) -> dict[str, Any]:
    """``-s key=value`` of the command. Raises ``UsageError`` that names the key."""
    for name, value in choices.items():
        if name not in CHOICES:
            raise UsageError(f"-s {name}: revideo has no such setting; there is {', '.join(CHOICES)}")
        if value not in CHOICES[name]:
            raise UsageError(f"-s {name}={value}: is none of {', '.join(CHOICES[name])}")
        if OF_STAGE.get(name, stage) != stage:
            raise UsageError(f"-s {name}={value}: is for --stage {OF_STAGE[name]}; leave it out")
    return dict(choices)


def describe(bundle: Bundle, config: ReVideoConfig, settings: Settings, run: Run) -> adapters.About:
    """The description and card of a finished stage."""
    from vedit import __version__
    from vedit.training.plot import read_log

    steps, losses = read_log(run.folder / "log.jsonl")
    tenth = max(1, len(losses) // 10)
    network = asdict(config) | {"widths": list(config.widths), STAGE: settings.stage}
    figures = asdict(settings) | {
        "loss_first": round(float(losses[:tenth].mean()), 5),
        "loss_last": round(float(losses[-tenth:].mean()), 5),
        "seconds": round(run.seconds),
        "vedit": __version__,
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in {**network, **figures}.items())
    card = (
        f"# ReVideo control, stage {settings.stage}\n\n"
        f"Base: {bundle.name} (sha256 of its parts {bundle.parts_sha256}). {REFERENCE}\n\n"
        f"| setting | value |\n|---|---|\n{rows}\n\n"
        f"loss_first and loss_last are means over the first and the last {tenth} of {len(steps)} logged losses. "
        "It works with this base only.\n"
    )
    return adapters.About(METHOD, bundle.name, bundle.parts_sha256, network, "", figures, card)
