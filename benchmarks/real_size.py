"""Run the methods at the sizes of Stable Diffusion 1.5 and Stable Video Diffusion, with random weights.

    python benchmarks/real_size.py --out benchmarks/results/real_size.json [--rows a,b] [--size 64] [--frames 4]
        [--steps 1] [--device cpu] [--dtype fp32] [--warm] [--option batch_guidance ...]

The networks have the published configurations (859.5 M and 1,524.6 M parameters in the U-Nets); no weights are
downloaded, so what comes out is noise. It shows that every method runs there and what it takes, each in a process of
its own, next to diffusers' own pipelines: ``diffusers:instruct``, InstructPix2Pix frame by frame, and
``diffusers:svd``. A row has frames a second once the networks are loaded, peak memory (of the GPU, or of the process),
and ``outside``, the share of that time in which no network computes. What a method needs beside its model (TCVE and
Tune-A-Video are trained for a step, ReVideo's control is as it begins) is made by a process before, and not counted. An
option goes to the methods that can have it; ``options`` says which. AnyV2V needs three steps at least, since the first
of Stable Video Diffusion's levels are too high to come back from. With ``--warm`` everything runs twice and the second
time counts. A row that fails has its error in the table. On a CPU a step on few small frames is enough; seconds say
something on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

METHODS = {
    "sdedit": "prompt-edit",
    "text2video-zero": "prompt-edit",
    "fatezero": "prompt-edit",
    "tokenflow": "prompt-edit",
    "tune-a-video": "prompt-edit",
    "tcve": "prompt-edit",
    "instructvid2vid": "instruct",
    "video-instruct-pix2pix": "instruct",
    "anyv2v": "first-frame-edit",
    "revideo": "drag-motion",
}
PIPELINES = {"diffusers:instruct": "instruct", "diffusers:svd": "first-frame-edit"}
STEPS = {"anyv2v": 3}  # at least
NETWORKS = ("encode", "invert", "denoise", "decode_latents")
UNET: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}  # the rest: defaults
VIDEO_UNET: dict[str, Any] = {"sample_size": 96}
LEVELS: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
}
TEXT: dict[str, Any] = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
    "max_position_embeddings": 77, "vocab_size": 49408,
}  # fmt: skip
VISION: dict[str, Any] = {
    "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16,
    "patch_size": 14, "projection_dim": 1024,
}  # fmt: skip
COLOURS = {"image_mean": [0.481, 0.458, 0.408], "image_std": [0.269, 0.261, 0.276]}


def write_model(folder: Path, command: str) -> Path:
    """A folder as diffusers saves the model of a command: random weights in bf16."""
    import torch

    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        index = (
            _write_video(folder) if command in ("first-frame-edit", "drag-motion") else _write_image(folder, command)
        )
    finally:
        torch.set_default_dtype(torch.float32)
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _write_image(folder: Path, command: str) -> dict[str, Any]:
    """Stable Diffusion 1.5, or InstructPix2Pix with 8 channels."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from vedit import weights

    UNet2DConditionModel(**UNET, in_channels=8 if command == "instruct" else 4).save_pretrained(folder / "unet")
    up: dict[str, Any] = {"up_block_types": ("UpDecoderBlock2D",) * 4}
    AutoencoderKL(**LEVELS, **up).save_pretrained(folder / "vae")
    tokenizer = weights.open_bundle("nano").components["tokenizer"]
    shutil.copytree(tokenizer, folder / "tokenizer")
    end = len(json.loads((tokenizer / "vocab.json").read_text())) - 1
    config = CLIPTextConfig(**TEXT, eos_token_id=end, bos_token_id=end - 1, pad_token_id=end)
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")  # fmt: skip
    return {
        "_class_name": f"StableDiffusion{'InstructPix2Pix' if command == 'instruct' else ''}Pipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }


def _write_video(folder: Path) -> dict[str, Any]:
    """Stable Video Diffusion."""
    from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    UNetSpatioTemporalConditionModel(**VIDEO_UNET).save_pretrained(folder / "unet")
    AutoencoderKLTemporalDecoder(**LEVELS).save_pretrained(folder / "vae")
    CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION)).save_pretrained(folder / "image_encoder")
    (folder / "feature_extractor").mkdir()
    told = COLOURS | {"image_processor_type": "CLIPImageProcessor"}
    (folder / "feature_extractor" / "preprocessor_config.json").write_text(json.dumps(told))
    EulerDiscreteScheduler(
        beta_schedule="scaled_linear", prediction_type="v_prediction", timestep_type="continuous",
        timestep_spacing="leading", steps_offset=1, use_karras_sigmas=True, sigma_min=0.002, sigma_max=700.0,
    ).save_pretrained(folder / "scheduler")  # fmt: skip
    return {
        "_class_name": "StableVideoDiffusionPipeline",
        "unet": ["diffusers", "UNetSpatioTemporalConditionModel"],
        "vae": ["diffusers", "AutoencoderKLTemporalDecoder"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    }


def prepare(method: str, model: str, clip: str, folder: str, size: int, device: str) -> str | None:
    """The adapter that a method needs beside the model: trained for one step, or as it begins."""
    from vedit import engines, weights

    if not engines.takes_adapter(method):
        return None
    if method != "revideo":
        from importlib import import_module

        import torch

        train = import_module(f"vedit.training.recipes.{method.replace('-', '_')}").train
        return str(
            train(
                clip=clip, prompt="a red ball", model=model, output=folder, steps=1, size=size, device=device,
                threads=torch.get_num_threads(),
            )
        )  # fmt: skip
    from dataclasses import asdict

    from vedit.nets.revideo import ReVideoConfig, ReVideoUNet
    from vedit.weights import adapter as adapters
    from vedit.weights.revideo import STAGE

    bundle = weights.open_bundle(model, "image2video")
    base = weights.load_image2video_unet(bundle.components["unet"])
    config = ReVideoConfig.of(base.config)
    about = adapters.About(method, bundle.name, bundle.parts_sha256, asdict(config) | {STAGE: 3})
    return str(adapters.save(Path(folder), about, ReVideoUNet(base, config).added()))


class Clock:
    """Notes when the stages of an edit began."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def stage(self, name: str, before: int = 0) -> None:
        """See :class:`vedit.render.progress.Progress`."""
        self.at[name] = time.perf_counter()

    def frames(self, done: int, total: int | None) -> None:
        """See :class:`vedit.render.progress.Progress`."""


def allowed(method: str, option: list[str]) -> list[str]:
    """Those of the options that a method can have."""
    from vedit import engines
    from vedit.engines.base import Execution
    from vedit.errors import UsageError

    found = []
    for one in option:
        with contextlib.suppress(UsageError):
            engines.check_execution(method, Execution(**{one: True}))
            found.append(one)
    return found


def edit(
    method: str, clip: str, output: str, model: str, size: int, steps: int, device: str, dtype: str, option: list[str],
    adapter: str | None, warm: bool,
) -> dict[str, Any]:  # fmt: skip
    """One edit through the whole of vedit."""
    import cv2
    import numpy as np

    from vedit import render
    from vedit.jobs import EditJob

    cv2.imwrite(f"{output}.png", np.zeros((size, size, 3), np.uint8))
    quarter = size // 4
    asked: dict[str, dict[str, Any]] = {
        "instruct": {"prompt": "make it blue"},
        "prompt-edit": {"prompt": "a blue ball", "source_prompt": "a red ball"},
        "first-frame-edit": {"first_frame": f"{output}.png"},
        "drag-motion": {
            "region": (f"{quarter},{quarter},{2 * quarter},{2 * quarter}",),
            "track": (f"{size // 2},{size // 2} {size // 2 + 4},{size // 2}",),
        },
    }
    options, steps = allowed(method, option), max(steps, STEPS.get(method, 1))
    job = EditJob.build(
        command=METHODS[method], method=method, input=clip, output=output, model=model, size=size, device=device,
        dtype=dtype, settings={"steps": steps}, adapter=adapter, overwrite=True,
        **asked[METHODS[method]], **dict.fromkeys(options, True),
    )  # fmt: skip
    clock = Clock()
    for _ in range(1 + warm):
        clock = Clock()
        # Its own cache for every pass: an inversion that was kept would not be measured.
        with tempfile.TemporaryDirectory() as cache, mock.patch.dict(os.environ, {"VEDIT_CACHE": cache}):
            done = render.run(render.plan(job), clock).report()
    seconds = time.perf_counter() - clock.at["edit"]
    inside = sum(done["timings"][name] for name in NETWORKS)
    return {
        "frames_per_second": round(done["edited_frames"] / seconds, 4),
        "outside": round(max(0.0, 1.0 - inside / seconds), 3),
        "steps": steps,
        "options": options,
        "evaluations": done["evaluations"],
        "timings": done["timings"],
        "execution": done["execution"],
    }


class Inside:
    """Seconds that the networks of a pipeline of diffusers compute."""

    def __init__(self, pipe: Any, device: str) -> None:
        self.seconds = 0.0
        self._device = device
        for module, name in (
            (pipe.unet, "forward"), (pipe.vae, "encode"), (pipe.vae, "decode"),
            (getattr(pipe, "text_encoder", None), "forward"), (getattr(pipe, "image_encoder", None), "forward"),
        ):  # fmt: skip
            if module is not None:
                setattr(module, name, self._timed(getattr(module, name)))

    def _timed(self, call: Any) -> Any:
        @functools.wraps(call)
        def timed(*arguments: Any, **named: Any) -> Any:
            began = self._now()
            made = call(*arguments, **named)
            self.seconds += self._now() - began
            return made

        return timed

    def _now(self) -> float:
        import torch

        if self._device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()


def pipeline(
    name: str, clip: str, model: str, size: int, steps: int, device: str, dtype: str, warm: bool
) -> dict[str, Any]:
    """Diffusers' own way, on the same clip with the same networks."""
    import diffusers
    import torch
    from PIL import Image

    from vedit.video.info import probe
    from vedit.video.reader import Reader

    with Reader(clip, probe(clip)) as reader:
        pictures = [Image.fromarray(source.rgb()) for source in reader]
    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[dtype]
    if name == "diffusers:instruct":
        pipe: Any = diffusers.StableDiffusionInstructPix2PixPipeline.from_pretrained(
            model, torch_dtype=kind, safety_checker=None, feature_extractor=None, image_encoder=None
        ).to(device)
    else:
        pipe = diffusers.StableVideoDiffusionPipeline.from_pretrained(model, torch_dtype=kind).to(device)
    pipe.set_progress_bar_config(disable=True)
    inside, began = Inside(pipe, device), time.perf_counter()
    for _ in range(1 + warm):
        inside.seconds, began = 0.0, time.perf_counter()
        if name == "diffusers:instruct":
            for picture in pictures:
                pipe("make it blue", image=picture, num_inference_steps=steps, output_type="np")
        else:
            pipe(
                pictures[0], num_inference_steps=steps, num_frames=len(pictures), height=size, width=size,
                output_type="np",
            )  # fmt: skip
    seconds = time.perf_counter() - began
    return {
        "frames_per_second": round(len(pictures) / seconds, 4),
        "outside": round(max(0.0, 1.0 - inside.seconds / seconds), 3),
        "steps": steps,
    }


def run(name: str, **described: Any) -> dict[str, Any]:
    """One row."""
    import torch

    from vedit.render import machine

    if name in PIPELINES:
        row = pipeline(
            name, **{key: value for key, value in described.items() if key not in ("output", "option", "adapter")}
        )
    else:
        row = edit(name, **described)
    on_gpu = described["device"].startswith("cuda")
    peak = torch.cuda.max_memory_allocated() / 1e6 if on_gpu else machine.peak_rss_mb()
    return row | {"peak_mb": round(peak, 1)}


def alone(flags: list[str], **described: Any) -> Any:
    """What a process of its own makes of a job. Raises ``CalledProcessError``."""
    command = [sys.executable, __file__, *flags, "--job", json.dumps(described)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rows", default=",".join((*METHODS, *PIPELINES)))
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="fp32", choices=("fp32", "fp16", "bf16"))
    parser.add_argument("--warm", action="store_true", help="run everything twice and count the second time")
    parser.add_argument("--option", action="append", default=[], help="batch_guidance, channels_last, compile")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        described = json.loads(args.job)
        print(json.dumps(prepare(**described) if args.prepare else run(**described)))
        return
    if args.out is None:
        parser.error("--out: where the table goes")
    from vedit.world.clipfile import write_clip
    from vedit.world.scene import draw_scene, render

    how = {name: getattr(args, name) for name in ("size", "steps", "device", "dtype", "option", "warm")}
    rows: dict[str, Any] = {}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vedit-real-size-") as folder:
        clip = Path(folder, "clip.mp4")
        write_clip(clip, render(draw_scene(1, args.size, args.size, frames=args.frames, place="meadow")).frames)
        for name in args.rows.split(","):
            command = (METHODS | PIPELINES)[name].replace("drag-motion", "first-frame-edit")  # one model for both
            model = Path(folder, command)
            if not model.exists():
                write_model(model, command)
            output = f"{folder}/{name.replace(':', '-')}.mkv"
            described = how | {"name": name, "clip": str(clip), "output": output, "model": str(model)}
            try:
                adapter = None
                if name in METHODS:
                    adapter = alone(
                        ["--prepare"], method=name, model=str(model), clip=str(clip), folder=f"{output}.adapter",
                        size=args.size, device=args.device,
                    )  # fmt: skip
                rows[name] = alone([], **described, adapter=adapter)
            except subprocess.CalledProcessError as error:
                rows[name] = {"error": error.stderr.strip().rpartition("\n")[2] or f"exit code {error.returncode}"}
            print(name, json.dumps(rows[name]), flush=True)
            args.out.write_text(json.dumps(how | {"frames": args.frames, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
