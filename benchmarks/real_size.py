"""Run the methods of `vedit prompt-edit` and `vedit instruct` at Stable Diffusion 1.5's size, with random weights.

    python benchmarks/real_size.py --out benchmarks/results/real_size.json [--methods a,b] [--size 64] [--frames 4]

The networks have the published configurations (859.5 M parameters in the U-Net); no weights are downloaded, so what
comes out is noise. It shows that every method runs there and what it takes: one step on few small frames, each method
in a process of its own. Without a GPU only peak memory says something; seconds are given for the same machine alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PROMPT_EDIT = ("sdedit", "text2video-zero", "fatezero", "tokenflow", "tune-a-video", "tcve")
INSTRUCT = ("video-instruct-pix2pix",)
UNET: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}  # the rest: defaults
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
}
TEXT: dict[str, Any] = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    "max_position_embeddings": 77, "vocab_size": 49408,
}  # fmt: skip


def write_model(folder: Path, in_channels: int) -> Path:
    """A folder as diffusers saves Stable Diffusion 1.5, or InstructPix2Pix with 8 channels: random weights in bf16."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from vedit import weights

    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    UNet2DConditionModel(**UNET, in_channels=in_channels).save_pretrained(folder / "unet")
    AutoencoderKL(**VAE).save_pretrained(folder / "vae")
    tokenizer = weights.open_bundle("nano").components["tokenizer"]
    shutil.copytree(tokenizer, folder / "tokenizer")
    end = len(json.loads((tokenizer / "vocab.json").read_text())) - 1
    config = CLIPTextConfig(**TEXT, eos_token_id=end, bos_token_id=end - 1, pad_token_id=end)
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    torch.set_default_dtype(torch.float32)
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")  # fmt: skip
    pipeline = "StableDiffusionPipeline" if in_channels == 4 else "StableDiffusionInstructPix2PixPipeline"
    index = {
        "_class_name": pipeline,
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def run(clip: str, output: str, model: str, method: str, size: int) -> dict[str, Any]:
    """One step; an adapter, where the method needs one, is trained for one step too."""
    from importlib import import_module

    from vedit import engines, render
    from vedit.jobs import EditJob

    fields: dict[str, Any] = {"command": "instruct" if method in INSTRUCT else "prompt-edit", "prompt": "a blue ball"}
    if method not in INSTRUCT:
        fields["source_prompt"] = "a red ball"
    if engines.takes_adapter(method):
        recipe = import_module(f"vedit.training.recipes.{method.replace('-', '_')}")
        fields["adapter"] = str(
            recipe.train(clip=clip, prompt="a red ball", model=model, output=f"{output}.adapter", steps=1, size=size)
        )
    job = EditJob.build(
        input=clip, output=output, model=model, method=method, device="cpu", size=size, settings={"steps": 1}, **fields
    )
    return render.run(render.plan(job)).report()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--methods", default=",".join((*PROMPT_EDIT, *INSTRUCT)))
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        print(json.dumps(run(**json.loads(args.job))))
        return
    from vedit.world.clipfile import write_clip
    from vedit.world.scene import draw_scene, render

    rows = {}
    with tempfile.TemporaryDirectory(prefix="vedit-real-size-") as folder:
        clip = Path(folder, "clip.mp4")
        write_clip(clip, render(draw_scene(1, args.size, args.size, frames=args.frames, place="meadow")).frames)
        models = {channels: Path(folder, f"model-{channels}") for channels in (4, 8)}
        for method in args.methods.split(","):
            model = models[8 if method in INSTRUCT else 4]
            if not model.exists():
                write_model(model, 8 if method in INSTRUCT else 4)
            described = {"clip": str(clip), "output": f"{folder}/{method}.mkv", "model": str(model), "method": method}
            command = [sys.executable, __file__, "--job", json.dumps(described | {"size": args.size})]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            report = json.loads(done.stdout.splitlines()[-1])
            rows[method] = {name: report[name] for name in ("peak_rss_mb", "evaluations", "timings", "device")}
            print(method, json.dumps(rows[method]), flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({"size": args.size, "frames": args.frames, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
