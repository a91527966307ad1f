"""Put nano together: copy the trained parts into ``models/nano``, with the preset, the manifest and the licence of the world that made them.

    python -m vedit.training.recipes.nano_bundle --runs runs --out models/nano
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from vedit.training.recipes.nano_instruct import SCHEDULER
from vedit.world import operations

#: Defaults of the instruct model, chosen with ``benchmarks/instruct.py``.
PRESET = {
    "steps": 6,
    "solver": "ddim",
    "guidance": 1.0,
    "video_guidance": 1.0,
    "frames": 16,
    "overlap": 4,
    "noise_share": 0.5,
    "size": 256,
    "multiple": 8,
}


def known_words() -> list[str]:
    """What nano can do, as people would say it."""
    return [name.replace("-", " ") for name in operations.OPERATIONS if name != "nothing"] + ["recolour, remove or replace a coloured shape"]


def assemble(runs: Path, out: Path, unet: Path) -> None:
    """Write the bundle; raises ``FileNotFoundError`` for a part that was not trained yet."""
    from vedit.weights import write_manifest

    parts = {"vae": runs / "vae" / "vae", "clip": runs / "clip" / "clip", "tokenizer": runs / "tokenizer", "instruct/unet": unet}
    for name, source in parts.items():
        target = out / name
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(source.iterdir()):
            if file.suffix in {".json", ".txt", ".safetensors"}:
                shutil.copyfile(file, target / file.name)
    shutil.copyfile(runs / "clip" / "known.safetensors", out / "instruct" / "known.safetensors")
    scheduler = out / "instruct" / "scheduler"
    scheduler.mkdir(exist_ok=True)
    (scheduler / "scheduler_config.json").write_text(json.dumps(SCHEDULER, indent=2) + "\n")
    preset = {
        **PRESET,
        "known_embeddings": "instruct/known.safetensors",
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
    write_manifest(out)


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("models/nano"))
    parser.add_argument("--unet", type=Path, default=Path("runs/clips/unet"))
    args = parser.parse_args()
    assemble(args.runs, args.out, args.unet)


if __name__ == "__main__":
    main()
