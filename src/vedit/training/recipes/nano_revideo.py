"""nano's ReVideo: the three stages on clips of the moving world, whose tracks are true; and the paper's ablations.

    python -m vedit.training.recipes.nano_revideo full --out runs/revideo --install models/nano
    python -m vedit.training.recipes.nano_revideo no-safm no-time everything one-stage --out runs/revideo

(``--model`` is a bundle with an image-to-video model, ``--data`` where the clips of
:mod:`vedit.training.recipes.nano_image2video` are kept or drawn.) Every variant is a folder with the adapter of each of
its stages; stages that variants have in common are trained once, in ``shared``. A run that was cut off goes on.
``--install`` puts the control into a bundle, after :mod:`vedit.training.recipes.nano_bundle` has made that.

- ``full``: motion prior, decoupling, deblocking.
- ``two-stages``: without deblocking, so without SAFM too; nothing is trained for it beyond what others share.
- ``one-stage``: content and motion at once, on ordinary clips, for as many steps as the shared stages together.
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
from vedit.training.moving import WorldClips
from vedit.training.recipes.nano_image2video import CROP
from vedit.training.recipes.revideo import stage_of_training
from vedit.training.revideo import Settings
from vedit.weights import adapter as adapters
from vedit.weights.bundle import read_json
from vedit.weights.revideo import METHOD

CARRIED = "image2video/revideo.safetensors"  # in a bundle
SHARED = "shared"
STEPS = {1: 3000, 2: 2000, 3: 1500}
RATES = {1: 1e-3, 2: 1e-3, 3: 5e-4}
SIDE = 96  # pixels: what a step sees is a square of the clips; a whole one would cost twice as much
COMMON: dict[str, Any] = {"batch": 6, "noise_mean": 1.0, "warm": 100}


@dataclass(frozen=True)
class Variant:
    """How a variant ends: ``stage`` with ``fusion`` and ``more`` settings, after the shared stages unless ``alone``."""

    stage: int | None
    fusion: str = "safm"
    alone: bool = False
    more: Mapping[str, Any] | None = None


VARIANTS: dict[str, Variant] = {
    "full": Variant(3),
    "two-stages": Variant(None),
    "one-stage": Variant(2, alone=True, more={"scenes": "ordinary"}),
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
    before = {} if variant.alone else {1: out / SHARED / "1", 2: out / SHARED / "2"}
    own = {} if variant.stage is None else {variant.stage: folder_of(out, name)}
    return {stage: folder / "training" for stage, folder in (before | own).items()}


def train(
    name: str,
    source: WorldClips,
    bundle: weights.Bundle,
    out: Path,
    *,
    share: float = 1.0,
    seed: int = 0,
    device: str = "cpu",
    weight: torch.Tensor | None = None,
    **more: Any,
) -> Path:
    """Train a variant, and what it shares with others unless that is there; returns its adapter's folder.

    ``share``: of the steps. ``more``: of :class:`~vedit.training.revideo.Settings`, for all stages.
    """
    variant = VARIANTS[name]

    def run(folder: Path, stage: int, before: Path | None, fusion: str, extra: Mapping[str, Any], steps: int) -> Path:
        chosen = COMMON | {"rate": RATES[stage], "steps": max(1, round(share * steps))} | more | dict(extra)
        settings = Settings(**chosen, stage=stage, seed=seed)  # type: ignore[arg-type]
        if (folder / adapters.FILE).is_file():
            check_same(folder, settings, bundle)
            return folder
        return stage_of_training(
            source.parts(SIDE),
            bundle,
            folder,
            settings,
            before=before,
            fusion=fusion,
            device=device,
            resume=True,
            weight=weight,
        )

    if variant.alone:
        assert variant.stage is not None
        extra = variant.more or {}
        return run(folder_of(out, name), variant.stage, None, variant.fusion, extra, STEPS[1] + STEPS[2])
    first = run(out / SHARED / "1", 1, None, "safm", {}, STEPS[1])
    second = run(out / SHARED / "2", 2, first, "safm", {}, STEPS[2])
    if variant.stage is None:
        return second
    return run(folder_of(out, name), variant.stage, second, variant.fusion, variant.more or {}, STEPS[3])


def check_same(folder: Path, settings: Settings, bundle: weights.Bundle) -> None:
    """Raise ``VeditError`` unless the adapter in ``folder`` was trained on ``bundle`` and with ``settings``."""
    about = adapters.read_about(folder)
    asked = json.loads(json.dumps(asdict(settings)))
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
    preset |= {"crop": CROP, "carries": preset.get("carries", {}) | {METHOD: CARRIED}}
    file.write_text(json.dumps(preset, indent=2) + "\n", encoding="utf-8")
    weights.write_manifest(bundle)
    return target


def main() -> None:
    """Command line of the recipe."""
    from vedit.training.moving_clips import encode_clips
    from vedit.training.nano import coder, hash_of, picture_embedder
    from vedit.training.recipes.nano_image2video import FRAMES
    from vedit.training.recipes.nano_instruct import channel_weight

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="+", choices=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("runs/revideo"))
    parser.add_argument("--model", default="nano", help="a bundle with an image-to-video model")
    parser.add_argument("--data", type=Path, default=Path("runs/data"))
    parser.add_argument("--scenes", type=int, default=3000, help="two clips each")
    parser.add_argument("--workers", type=int, help="processes that draw; by default one a core")
    parser.add_argument("--share", type=float, default=1.0, help="of the steps, for a shorter training")
    parser.add_argument("--batch", type=int, default=COMMON["batch"])
    parser.add_argument("--save-every", type=int, default=Settings.save_every)
    parser.add_argument("--seed", type=int, default=1, help="of the clips and of the training")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--install", type=Path, metavar="BUNDLE", help="afterwards put the first variant in there")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    bundle = weights.open_bundle(args.model, "image2video")
    parts = bundle.components
    encode, _ = coder(parts["vae"], args.device)
    embed = picture_embedder(parts["image_encoder"], parts["feature_extractor"], args.device)

    name = f"moving-{args.seed}-{args.scenes}-{CROP}"
    clips = encode_clips(
        args.data / name, args.seed, args.scenes, 2, CROP, FRAMES, encode, embed, args.workers,
        hash_of(parts["vae"], parts["image_encoder"]),
    )  # fmt: skip
    gains = channel_weight(parts["vae"], clips.parts["frames"][:8, 0])
    for variant in args.variants:
        made = train(
            variant, WorldClips(clips, name), bundle, args.out, share=args.share, seed=args.seed, device=args.device,
            weight=gains, batch=args.batch, save_every=args.save_every,
        )  # fmt: skip
        print(f"{variant}: {made}", flush=True)
    if args.install is not None:
        print(install(folder_of(args.out, args.variants[0]), args.install), flush=True)


if __name__ == "__main__":
    main()
