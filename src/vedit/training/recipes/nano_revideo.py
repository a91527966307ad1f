"""nano's ReVideo: the three stages on clips of the moving world, whose tracks are true; and the paper's ablations.

    python -m vedit.training.recipes.nano_revideo full --prior runs/image2video --out runs/revideo --install models/nano
    python -m vedit.training.recipes.nano_revideo no-safm no-time everything no-decoupling one-stage \
        --prior runs/image2video

(``--model`` is a bundle with the image-to-video model of ``--prior``, ``--data`` where the clips of
:mod:`vedit.training.recipes.nano_image2video` are kept or drawn.) Stage 1, the motion prior, is what the control learnt
together with the base; without ``--prior`` it is trained on the base as the bundle has it. Every variant is a folder
with the adapter of each of its stages; stages that variants have in common are trained once, in ``shared``. A run that
was cut off goes on. ``--install`` puts the control into a bundle, after :mod:`vedit.training.recipes.nano_bundle` has
made that.

- ``full``: motion prior, decoupling, deblocking.
- ``two-stages``: without deblocking, so without SAFM too; nothing is trained for it beyond what others share.
- ``one-stage``: content and motion at once, on ordinary clips, from nothing, for as many steps as the shared stages
  together (with ``--prior``, whose own are not counted, as stages 2 and 3).
- ``no-decoupling``: the motion prior, then content and motion on ordinary clips, for as many steps as stage 2.
- ``no-safm``, ``no-time``: deblocking with Γ = 0.5, or with a Γ that does not see the noise level.
- ``everything``: deblocking that tunes the whole control branch.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from vedit import weights
from vedit.errors import VeditError
from vedit.nets.revideo import ReVideoUNet
from vedit.nets.strict import fill_parameters
from vedit.training.moving_clips import Mixed, View, WorldClips
from vedit.training.recipes.nano_image2video import CROP, PRIOR, SIDE, SMALLEST, config_of_prior
from vedit.training.recipes.revideo import stage_of_training
from vedit.training.revideo import Settings
from vedit.weights import adapter as adapters
from vedit.weights.bundle import read_json, sha256
from vedit.weights.load import load_tensors
from vedit.weights.revideo import METHOD, STAGE

CARRIED = "image2video/revideo.safetensors"  # in a bundle
SHARED = "shared"
STEPS = {1: 3000, 2: 650, 3: 240}  # 2 and 3 together are about 40 minutes of two cores
RATES = {1: 1e-3, 2: 8e-4, 3: 5e-4}
PASTED = 0.6  # of the clips, see :class:`vedit.training.moving_clips.Mixed`
VIEW = View(SIDE, SMALLEST, CROP)  # what a step sees of the clips
COMMON: dict[str, Any] = {
    "batch": 6, "noise_mean": 1.4, "noise_deviation": 1.5, "warm": 50, "things": 4.0, "average": 0.995,
    "save_every": 100, "terminal_share": 0.5,
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """How a variant ends: ``stage`` with ``fusion`` and ``more`` settings, after the first ``shared`` stages."""

    stage: int | None
    fusion: str = "safm"
    shared: int = 2
    more: Mapping[str, Any] | None = None


VARIANTS: dict[str, Variant] = {
    "full": Variant(3),
    "two-stages": Variant(None),
    "one-stage": Variant(2, shared=0, more={"scenes": "ordinary"}),
    "no-decoupling": Variant(2, shared=1, more={"scenes": "ordinary"}),
    "no-safm": Variant(3, fusion="sum"),
    "no-time": Variant(3, fusion="no-time"),
    "everything": Variant(3, more={"tuned": "everything"}),
}


def folder_of(out: Path, name: str) -> Path:
    """Where the last adapter of a variant is."""
    variant = VARIANTS[name]
    return out / SHARED / "2" if variant.stage is None else out / name / str(variant.stage)


def stages(out: Path, name: str = "full") -> dict[int, Path]:
    """The folders of the trainings of a variant, by stage."""
    variant = VARIANTS[name]
    before = {stage: out / SHARED / str(stage) for stage in (1, 2)[: variant.shared]}
    own = {} if variant.stage is None else {variant.stage: folder_of(out, name)}
    found = {stage: folder / "training" for stage, folder in (before | own).items()}
    return {stage: folder for stage, folder in found.items() if folder.is_dir()}  # a prior was trained elsewhere


def train(
    name: str,
    source: WorldClips,
    bundle: weights.Bundle,
    out: Path,
    *,
    counts: Mapping[int, int] = STEPS,
    share: float = 1.0,
    seed: int = 0,
    device: str = "cpu",
    prior: Path | None = None,
    **more: Any,
) -> Path:
    """Train a variant, and what it shares with others unless that is there; returns its adapter's folder.

    ``counts``: steps of each stage; ``share``: of these, for a shorter training. ``prior``: the folder in which the
    base learnt, whose control stands for stage 1. ``more``: of :class:`~vedit.training.revideo.Settings`, for all
    stages.
    """
    variant = VARIANTS[name]
    clips = Mixed(source.at(VIEW), PASTED)

    def run(folder: Path, stage: int, before: Path | None, fusion: str, extra: Mapping[str, Any], steps: int) -> Path:
        chosen = COMMON | {"rate": RATES[stage], "steps": max(1, round(share * steps))} | more | dict(extra)
        settings = Settings(**chosen, stage=stage, seed=seed)  # type: ignore[arg-type]
        if (folder / adapters.FILE).is_file():
            check_same(folder, settings, bundle, clips.identity, before)
            return folder
        return stage_of_training(
            clips,
            bundle,
            folder,
            settings,
            before=before,
            fusion=fusion,
            device=device,
            resume=True,
        )

    own, extra = folder_of(out, name), variant.more or {}
    if variant.shared == 0:
        assert variant.stage is not None
        steps = counts[2] + (counts[1] if prior is None else counts[3])
        return run(own, variant.stage, None, variant.fusion, extra, steps)
    if prior is not None:
        first = adapter_of(prior, bundle, out / SHARED / "1")
    else:
        first = run(out / SHARED / "1", 1, None, "safm", {}, counts[1])
    if variant.shared == 1:
        assert variant.stage is not None
        return run(own, variant.stage, first, variant.fusion, extra, counts[2])
    second = run(out / SHARED / "2", 2, first, "safm", {}, counts[2])
    if variant.stage is None:
        return second
    return run(own, variant.stage, second, variant.fusion, extra, counts[3])


def adapter_of(prior: Path, bundle: weights.Bundle, folder: Path) -> Path:
    """The control that a base learnt with, from the folder of its training, as the adapter of stage 1 in ``folder``."""
    file = prior / PRIOR
    if (folder / adapters.FILE).is_file():
        about = adapters.read_about(folder)
        if about.training.get("prior") != sha256(file) or about.base_sha256 != bundle.parts_sha256:
            raise VeditError(f"{folder}: holds another control than {file}; move it away, or choose another --out")
        return folder
    config = config_of_prior(file)
    network = ReVideoUNet(weights.load_image2video_unet(bundle.components["unet"]), config)
    fill_parameters(dict(network.control.named_parameters()), load_tensors(file), str(file))
    training = {"prior": sha256(file)}
    about = adapters.About(METHOD, bundle.name, bundle.parts_sha256, asdict(config) | {STAGE: 1}, training=training)
    adapters.save(folder, about, network.added())
    return folder


def check_same(folder: Path, settings: Settings, bundle: weights.Bundle, data: str, before: Path | None) -> None:
    """Raise ``VeditError`` unless the adapter in ``folder`` was trained on ``bundle``, with ``settings``, on ``data``
    and after the adapter ``before``."""
    about = adapters.read_about(folder)
    began = None if before is None else sha256(adapters.find(before))
    asked = json.loads(json.dumps(asdict(settings))) | {"data": data, "before": began}
    other = [name for name, value in asked.items() if about.training.get(name) != value]
    if about.base_sha256 != bundle.parts_sha256:
        other.append("model")
    if other:
        raise VeditError(
            f"{folder}: holds a control that was trained with another {', '.join(other)}; move it away, or choose "
            "another --out"
        )


def install(adapter: Path, bundle: Path) -> Path:
    """Put a control into a bundle, in bf16, which then carries it: writes the file, the preset and the manifest.

    Raises ``ModelError`` for a control that was trained on another model.
    """
    opened = weights.open_bundle(bundle, "image2video")
    about, tensors = adapters.load(adapter, METHOD, opened)
    target = bundle / CARRIED
    with tempfile.TemporaryDirectory() as folder:
        made = adapters.save(folder, about, {name: tensor.to(torch.bfloat16) for name, tensor in tensors.items()})
        shutil.copyfile(made, target)
    file = bundle / "image2video" / "preset.json"
    preset = read_json(file)
    preset |= {"crop": SIDE, "carries": preset.get("carries", {}) | {METHOD: CARRIED}}
    file.write_text(json.dumps(preset, indent=2) + "\n", encoding="utf-8")
    weights.write_manifest(bundle)
    return target


def main() -> None:
    """Command line of the recipe."""
    from vedit.training.moving_clips import draw_clips
    from vedit.training.recipes.nano_image2video import FRAMES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="+", choices=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("runs/revideo"))
    parser.add_argument("--prior", type=Path, help="--out of nano_image2video, whose control stands for stage 1")
    parser.add_argument("--model", default="nano", help="a bundle with an image-to-video model")
    parser.add_argument("--data", type=Path, default=Path("runs/data"))
    parser.add_argument("--scenes", type=int, default=3000, help="two clips each")
    parser.add_argument("--workers", type=int, help="processes that draw; by default one a core")
    parser.add_argument("--steps", type=int, nargs=3, metavar="N", default=list(STEPS.values()), help="of each stage")
    parser.add_argument("--share", type=float, default=1.0, help="of the steps, for a shorter training")
    parser.add_argument("--batch", type=int, default=COMMON["batch"])
    parser.add_argument("--save-every", type=int, default=COMMON["save_every"])
    parser.add_argument("--seed", type=int, default=1, help="of the clips and of the training")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--install", type=Path, metavar="BUNDLE", help="afterwards put the first variant in there")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    bundle = weights.open_bundle(args.model, "image2video")
    name = f"moving-{args.seed}-{args.scenes}-{CROP}"
    clips = WorldClips(draw_clips(args.data / name, args.seed, args.scenes, 2, CROP, FRAMES, args.workers), name)
    for variant in args.variants:
        made = train(
            variant, clips, bundle, args.out, counts=dict(zip(STEPS, args.steps, strict=True)), share=args.share,
            seed=args.seed, device=args.device, prior=args.prior, batch=args.batch, save_every=args.save_every,
        )  # fmt: skip
        print(f"{variant}: {made}", flush=True)
    if args.install is not None:
        print(install(folder_of(args.out, args.variants[0]), args.install), flush=True)


if __name__ == "__main__":
    main()
