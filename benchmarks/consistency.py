"""What the inter-frame consistency loss does: three trainings from the same weights on the same batches.

    python benchmarks/consistency.py CLIP... --out benchmarks/results/consistency.json [--steps 800]
        [--clips 1100 --sources 20000]

``nano_instruct clips`` takes the spatial layers of nano's instruct network and trains for ``--steps`` steps without the
loss, with its literal and with its matched form, all else equal. The temporal layers begin as the identity: nano's own
were trained with the loss, which would stay in all three. Each result is measured by ``instruct.py`` on the clips:
fidelity (PSNR) and flicker (warp error over the exact operation's, and frame by frame over the whole window).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FORMS = {"none": 0.0, "literal": 0.1, "matched": 2.0}  # form and weight
OPERATIONS = "sepia,warmer,night,sunset,fog,pencil-sketch,cartoon,oil-painting"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--runs", type=Path, default=Path("runs/consistency"))
    parser.add_argument("--clips", type=int, default=1100, help="that are drawn", dest="drawn")
    parser.add_argument("--sources", type=int, default=20000, help="crops of stills that are drawn")
    parser.add_argument("--data", type=Path, default=Path("runs/data"), help="where they are kept or drawn")
    args = parser.parse_args()
    from vedit import weights

    nano = weights.open_bundle("nano", "instruct")
    parts = nano.components
    figures: dict[str, object] = {"steps": args.steps, "rate": args.rate, "frames": args.frames}
    figures |= {"drawn": args.drawn, "sources": args.sources, "clips": [clip.stem for clip in args.clips]}
    figures |= {"operations": OPERATIONS, "parts_sha256": nano.parts_sha256}
    for form, weight in FORMS.items():
        out = args.runs / form
        recipe = [sys.executable, "-m", "vedit.training.recipes.nano_instruct", "clips", "--resume"]
        recipe += ["--start", str(parts["unet"]), "--vae", str(parts["vae"]), "--clip", str(parts["clip"])]
        recipe += ["--tokenizer", str(parts["tokenizer"]), "--out", str(out)]
        recipe += ["--clips", str(args.drawn), "--sources", str(args.sources), "--data", str(args.data)]
        recipe += ["--steps", str(args.steps), "--rate", str(args.rate)]
        recipe += ["--consistency", form, "--consistency-weight", str(weight)]
        subprocess.run(recipe, check=True)
        with tempfile.TemporaryDirectory() as folder:
            bundle = Path(folder, "nano")
            shutil.copytree(nano.path, bundle)
            shutil.copytree(out / "unet", bundle / Path(parts["unet"]).relative_to(nano.path), dirs_exist_ok=True)
            weights.write_manifest(bundle)
            measure = [sys.executable, str(Path(__file__).with_name("instruct.py")), *map(str, args.clips)]
            measure += ["--out", folder, "--model", str(bundle), "--frames", str(args.frames), "--single"]
            subprocess.run([*measure, "--operations", OPERATIONS], check=True, stdout=subprocess.DEVNULL)
            summary = json.loads(Path(folder, "results.json").read_text())["summary"]
        figures[form] = {
            "weight": weight,
            **{family: summary[family]["psnr"] for family in ("tone", "weather", "style")},
            "flicker_over_exact": summary["warp_ratio_exact"],
            "frame_by_frame_over_window": summary["warp_ratio_single"],
        }
        print(form, json.dumps(figures[form]), flush=True)
    args.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
