"""All of nano from nothing, one training after the other, in one command.

    python -m vedit.training.recipes.nano --out models/own [--runs runs/own] [--share 1] [--device cpu]

Every stage is one of the other recipes, with the settings below; ``--runs`` holds what they draw, log and leave, and a
stage that ended is not begun again, so that a run that was cut off goes on with the same command. About fifteen hours
on two cores. ``--share`` of the steps and of the data makes a trial of it: 0.002 takes some minutes and edits nothing.

The weights that come with vedit were trained by the same recipes in more parts, some with an older text encoder; the
model card lists them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from vedit.errors import VeditError
from vedit.training.recipes.nano_image2video import TOGETHER

RECIPES = "vedit.training.recipes"
DONE = "done"  # a file in a stage's folder, once it has ended


@dataclass(frozen=True)
class Stage:
    """A recipe with its options. ``folder``: its name; in ``--runs`` the folder so called says when it has ended."""

    folder: str
    recipe: str
    options: tuple[str, ...]


def stages(runs: Path, out: Path, share: float, device: str) -> list[Stage]:
    """The way from nothing to the bundle ``out``. ``share``: of all numbers of steps and of drawn examples."""

    def part(count: int, least: int = 2) -> str:
        return str(max(least, round(share * count)))

    data, tokenizer = ("--data", str(runs / "data")), str(runs / "tokenizer")
    clip, vae = str(runs / "clip" / "clip"), str(runs / "vae" / "vae")
    resumed = ("--device", device, "--resume")
    own = ("--vae", vae, "--clip", clip, "--tokenizer", tokenizer, *data, *resumed)
    instruct = (*own, "--sources", part(20000, 24), "--clips", part(1100, 8), "--particles", part(300, 8))
    scenes = ("--scenes", part(3000, 8))

    def to(name: str) -> tuple[str, str]:
        return "--out", str(runs / name)

    return [
        Stage("tokenizer", "tokenizer", (*to("tokenizer"), "--count", part(30000, 3000))),
        Stage("vae", "vae", (*to("vae"), *data, "--steps", part(4500), "--count", part(5000, 200), *resumed)),
        Stage(
            "clip", "clip",
            (*to("clip"), "--tokenizer", tokenizer, *data, "--steps", part(12000), "--batch", "16", "--texts-each", "8",
             "--count", part(12000, 100), *resumed),
        ),
        Stage("stills", "nano_instruct", ("stills", *to("stills"), *instruct, "--steps", part(6000), "--batch", "16")),
        Stage(
            "clips", "nano_instruct",
            ("clips", *to("clips"), *instruct, "--start", str(runs / "stills" / "unet"), "--steps", part(10000),
             "--terminal-share", "0.8", "--consistency-weight", "8"),
        ),
        Stage(
            "text2image", "nano_text2image",
            ("train", *to("text2image"), *own, "--start", str(runs / "clips" / "unet"), "--steps", part(5000),
             "--scenes", part(12000, 12)),
        ),
        Stage(
            "bundle", "nano_bundle",
            ("--out", str(out), "--vae", str(runs / "vae"), "--clip", str(runs / "clip"), "--tokenizer", tokenizer,
             "--unet", str(runs / "clips"), "--text2image", str(runs / "text2image")),
        ),
        Stage("words", "nano_words", ("--model", str(out), "--scenes", part(4))),
        Stage(
            "codec", "nano_image2video",
            ("vae", *to("image2video"), *data, *scenes, "--codec-steps", part(1500), *resumed),
        ),
        Stage(
            "image2video", "nano_image2video",
            ("train", *to("image2video"), "--clip", str(out / "clip"), *data, *scenes,
             "--steps", part(TOGETHER.steps), *resumed),
        ),
        Stage("pictures", "nano_bundle", ("--out", str(out), "--image2video", str(runs / "image2video"))),
        Stage(
            "revideo", "nano_revideo",
            ("full", *to("revideo"), "--prior", str(runs / "image2video"), "--model", str(out), "--install", str(out),
             *data, *scenes, "--share", str(share), "--device", device),
        ),
        Stage("card", "nano_bundle", ("--out", str(out), "--revideo", str(runs / "revideo"))),
    ]  # fmt: skip


def make(runs: Path, out: Path, share: float, device: str) -> None:
    """Run what has not ended yet. Raises ``VeditError`` with the command that failed."""
    for stage in stages(runs, out, share, device):
        mark = runs / stage.folder / DONE
        command = [sys.executable, "-m", f"{RECIPES}.{stage.recipe}", *stage.options]
        said = " ".join(command)
        if mark.exists():
            if mark.read_text(encoding="utf-8") != said:
                raise VeditError(f"{mark}: {stage.folder} was made by another command; choose another --runs")
            continue
        print(f"{stage.folder}: {said}", flush=True)
        code = subprocess.run(command, check=False).returncode
        if code:
            raise VeditError(f"{stage.folder}: ended with code {code}; the same command goes on from there")
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(said, encoding="utf-8")


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the bundle; not the one that comes with vedit")
    parser.add_argument("--runs", type=Path, default=Path("runs/own"))
    parser.add_argument("--share", type=float, default=1.0, help="of all steps and data, for a trial")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    try:
        make(args.runs, args.out, args.share, args.device)
    except VeditError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
