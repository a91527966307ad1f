"""Put nano together: copy the trained parts into ``models/nano``, with the preset, the card and the manifest.

python -m vedit.training.recipes.nano_bundle --out models/nano --unet runs/clips
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from pathlib import Path
from typing import Any

from vedit.training.common import sha256
from vedit.training.recipes.clip import PIXEL_MEAN, PIXEL_STD, VISION
from vedit.training.recipes.nano_instruct import SCHEDULER
from vedit.world import operations

#: Defaults of the instruct model, chosen with ``benchmarks/instruct.py``.
PRESET = {
    "steps": 1,
    "solver": "ddim",
    "guidance": 1.0,
    "video_guidance": 1.0,
    "frames": 16,
    "overlap": 2,
    "noise_share": 1.0,
    "size": 256,
    "multiple": 8,
}


def known_words() -> list[str]:
    """What nano can do, as people would say it."""
    return [name.replace("-", " ") for name in operations.OPERATIONS if name != "nothing"] + [
        "recolour, remove or replace a coloured shape"
    ]


def preprocessing() -> dict[str, Any]:
    """What is done to a picture before nano-CLIP sees it, in the words of transformers' ``CLIPImageProcessor``."""
    side = VISION["image_size"]
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": side},
        "resample": 3,  # bicubic
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(PIXEL_MEAN),
        "image_std": list(PIXEL_STD),
        "do_convert_rgb": True,
    }


def far_threshold(clip: Path, tokenizer: Path, known: Path) -> float:
    """Below which an instruction counts as far from all that nano knows.

    Of the cosine to the nearest known direction, less that to the nearest of the others. Chosen on the project's kept
    phrasings and foreign sentences; a needless warning costs four times a missed one.
    """
    import numpy as np
    import torch
    from safetensors.torch import load_file

    from vedit import weights
    from vedit.nets.text import TextEncoder
    from vedit.world import phrasings

    text = TextEncoder(weights.load_clip(clip), weights.load_tokenizer(tokenizer))
    found = load_file(known)
    asked = [
        phrasings.fill(t, thing="red ball", colour="blue", shape="star") for ts in phrasings.TEST.values() for t in ts
    ]
    with torch.inference_mode():
        near, far = (
            (embedded @ found["directions"].T).max(-1).values - (embedded @ found["others"].T).max(-1).values
            for embedded in (text.embed(asked), text.embed(list(phrasings.NONSENSE_TEST)))
        )
    steps = [round(float(v), 2) for v in np.arange(-0.5, 0.9, 0.01)]
    return min(steps, key=lambda t: 4 * float((near < t).float().mean()) + float((far >= t).float().mean()))


def assemble(out: Path, vae: Path, clip: Path, tokenizer: Path, unet: Path, trained: dict[str, Path]) -> None:
    """Write the bundle; raises ``FileNotFoundError`` for a part that was not trained yet."""
    from vedit.weights import write_manifest

    parts = {
        "vae": vae / "vae",
        "clip": clip / "clip",
        "tokenizer": tokenizer,
        "instruct/unet": unet / "unet",
    }
    for name, source in parts.items():
        target = out / name
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(source.iterdir()):
            if file.suffix in {".json", ".txt", ".safetensors"}:
                shutil.copyfile(file, target / file.name)
    shutil.copyfile(clip / "known.safetensors", out / "instruct" / "known.safetensors")
    (out / "clip" / "preprocessor_config.json").write_text(json.dumps(preprocessing(), indent=2) + "\n")
    scheduler = out / "instruct" / "scheduler"
    scheduler.mkdir(exist_ok=True)
    (scheduler / "scheduler_config.json").write_text(json.dumps(SCHEDULER, indent=2) + "\n")
    preset = {
        **PRESET,
        "known_embeddings": "instruct/known.safetensors",
        "known_threshold": far_threshold(out / "clip", out / "tokenizer", out / "instruct" / "known.safetensors"),
        "knows": known_words(),
    }
    (out / "instruct" / "preset.json").write_text(json.dumps(preset, indent=2) + "\n")
    roles = {
        "instruct": {
            "vae": "vae",
            "clip": "clip",
            "tokenizer": "tokenizer",
            "unet": "instruct/unet",
            "scheduler": "instruct/scheduler",
            "preset": "instruct/preset.json",
        }
    }
    (out / "bundle.json").write_text(json.dumps({"schema": 1, "name": "nano", "roles": roles}, indent=2) + "\n")
    (out / "README.md").write_text(card(out, clip, trained), encoding="utf-8")
    write_manifest(out)


def card(out: Path, clip: Path, trained: dict[str, Path]) -> str:
    """The model card: what each part is, how it was trained, figures, limits, hashes. Nothing typed in by hand.

    ``clip``: the folder of the text encoder's last training. ``trained``: by name, the folder of every training.
    """
    rows = []
    for name, folder in trained.items():
        state = json.loads((folder / "state.json").read_text())
        settings = ", ".join(
            f"{k} {v}" for k, v in state["identity"].items() if k not in {"recipe", "steps", "save_every", "average"}
        )
        rows.append(f"| {name} | {state['step']} | {state['seconds'] / 60:.0f} min | {settings} |")
    files = []
    for file in sorted(out.rglob("*.safetensors")):
        count = sum(math.prod(entry["shape"]) for key, entry in _header(file).items() if key != "__metadata__")
        files.append(
            f"| `{file.relative_to(out)}` | {count / 1e6:.2f} M | {file.stat().st_size / 1e6:.1f} MB "
            f"| `{sha256(file)}` |"
        )
    figures = json.loads((clip / "figures.json").read_text())
    parts = [
        "# nano",
        "vedit's built-in model for `vedit instruct`: small enough for two CPU cores, trained by this project from "
        "scratch on its procedural world and on nothing else. "
        "The recipes are in `src/vedit/training/recipes`; each is one command that its first lines show. "
        "Licence: Apache-2.0, as the project.",
        "## Parts\n\n| file | parameters | size | sha256 |\n|---|---|---|---|\n" + "\n".join(files),
        "## Training\n\nOn two CPU cores in bf16 (wall time; other work ran beside it).\n\n"
        "| part | steps | wall time | settings |\n|---|---|---|---|\n" + "\n".join(rows),
        "## Figures\n\n"
        f"Text: {figures['test_phrasings_right']:.1%} of the project's own phrasings kept out of training are taken "
        "for the right operation; "
        "how many foreign sentences draw the warning is in `benchmarks/README.md`. "
        "Pictures: `benchmarks/README.md`.",
        "## Limits\n\n"
        "It knows the operations of `vedit.world.operations` and little else; object edits (recolour, remove, replace) "
        "are only for coloured shapes as the world draws them. It works at 256 pixels "
        "on the short side: fine structure of the edit is no finer than that. Particles (snow, rain) and grain are its "
        "own, not those of the exact operation. Text is English.",
    ]
    return "\n\n".join(parts) + "\n"


def _header(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        return json.loads(stream.read(int.from_bytes(stream.read(8), "little")))


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("models/nano"))
    parser.add_argument("--vae", type=Path, default=Path("runs/vae"))
    parser.add_argument("--clip", type=Path, default=Path("runs/clip"))
    parser.add_argument("--tokenizer", type=Path, default=Path("runs/tokenizer"))
    parser.add_argument("--unet", type=Path, default=Path("runs/clips"))
    parser.add_argument("--before", action="append", default=[], help="an earlier training, NAME=FOLDER, for the card")
    args = parser.parse_args()
    earlier = {name: Path(folder) for name, folder in (item.split("=", 1) for item in args.before)}
    trained = {**earlier, "vae": args.vae, "clip": args.clip, "instruct": args.unet}
    assemble(args.out, args.vae, args.clip, args.tokenizer, args.unet, trained)


if __name__ == "__main__":
    main()
