"""InstructVid2Vid on anyone's triplets: a model folder for ``vedit instruct`` from a folder of clips and instructions.

    vedit train-adapter instructvid2vid --data DIR --model nano -o OUT      for anyone's triplets
    python -m vedit.training.recipes.nano_instruct stills|clips --out DIR   nano's own: the same loop, fed by the world

The loop and its losses are in :mod:`vedit.training.instructvid2vid`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from vedit.errors import InputError, UsageError
from vedit.nets.video_unet import VideoUNet
from vedit.training.common import Run, averaged, quick_dtype, sha256
from vedit.training.instructvid2vid import Consistency, Settings, fit, told_apart
from vedit.training.latents import Encode, Triplet, encode_triplets
from vedit.world import operations

if TYPE_CHECKING:
    from vedit.weights import Bundle

CARD, BASE_CARD = "README.md", "BASE.md"


def encoders(vae: Path, clip: Path, tokenizer: Path, device: str) -> tuple[Encode, Callable[[list[str]], np.ndarray]]:
    """``(encode, embed)`` as :func:`vedit.training.latents.encode_triplets` takes them, from component folders."""
    from vedit import weights
    from vedit.nets.text import TextEncoder

    # Any: torch's signatures of Module.to leave out memory_format together with a device.
    codec = cast(Any, weights.load_vae(vae, quick_dtype(device))).to(device, memory_format=torch.channels_last)

    @torch.no_grad()
    def encode(pictures: Tensor) -> Tensor:
        return codec.encode(pictures.to(device, memory_format=torch.channels_last)).cpu()

    @torch.no_grad()
    def embed(texts: list[str]) -> np.ndarray:
        words = TextEncoder(weights.load_clip(clip), weights.load_tokenizer(tokenizer)).to(device)
        parts = [words(texts[at : at + 256]).float().cpu().numpy() for at in range(0, len(texts), 256)]
        return np.concatenate(parts).astype(np.float16)

    return encode, embed


class FolderTriplets:
    """The clips of a triplet folder in runs of ``frames``, as squares of ``size`` pixels at the scale of an edit.

    Frames are scaled to a short side of ``scale``, at which strokes and flakes are as large as in an edit, and of each
    run the same square is seen, which ``seed`` places. Those whose label is in ``without`` are left out. One source
    and its edits are in memory at a time. Raises ``InputError`` when a source and its edit differ in size or length, or
    a clip is shorter than ``frames``.
    """

    def __init__(
        self, data: Path, frames: int, size: int, scale: int, *, seed: int = 0, without: Collection[str] = ()
    ) -> None:
        from vedit.world.triplets import Entry, read_manifest

        self.frames, self.size, self.scale, self.seed = frames, size, max(size, scale), seed
        self.left_out = 0
        self._groups: dict[Path, list[Entry]] = {}
        for entry in read_manifest(data):
            if entry.label in without:
                self.left_out += 1
            else:
                self._groups.setdefault(entry.source, []).append(entry)
        self.clips = self.edits = 0
        for source, entries in self._groups.items():
            length = _length(source)
            if length < frames:
                raise InputError(
                    f"{source}: has {length} frames, training needs {frames}; "
                    f"use longer clips or --frames {max(1, length)}"
                )
            for entry in entries:
                found = _length(entry.edited)
                if found != length:
                    raise InputError(
                        f"{entry.edited}: has {found} frames, its source {source.name} has {length}; they must match"
                    )
            self.clips += length // frames
            self.edits += length // frames * len(entries)

    def __iter__(self) -> Iterator[Triplet]:
        for number, (source, entries) in enumerate(self._groups.items()):
            whole = _read(source, self.scale)
            edits = [_read(entry.edited, self.scale) for entry in entries]
            for entry, edited in zip(entries, edits, strict=True):
                if edited.shape != whole.shape:
                    raise InputError(
                        f"{entry.edited}: is of another shape than its source {source.name}; they must match"
                    )
            for index, at in enumerate(range(0, len(whole) - self.frames + 1, self.frames)):
                rng = np.random.default_rng([self.seed, 13, number, index])
                y, x = (_GRID * int(rng.integers((side - self.size) // _GRID + 1)) for side in whole.shape[1:3])
                part = np.s_[at : at + self.frames, y : y + self.size, x : x + self.size]
                yield Triplet(
                    whole[part],
                    tuple((e[part], entry.instructions, entry.label) for e, entry in zip(edits, entries, strict=True)),
                )


_GRID = 8  # pixels: where squares may begin, so that blocks of pixel art keep their place


def _length(path: Path) -> int:
    """How many frames a clip has, counted."""
    from vedit.video.info import probe
    from vedit.video.reader import Reader

    with Reader(path, probe(path)) as reader:
        return sum(1 for _ in reader)


def _read(path: Path, side: int) -> np.ndarray:
    """All frames of a clip (T, H, W, 3) uint8, the short side scaled to ``side``."""
    import cv2

    from vedit.video.info import probe
    from vedit.video.reader import Reader

    frames = []
    with Reader(path, probe(path)) as reader:
        for source in reader:
            picture = source.rgb()
            height, width = picture.shape[:2]
            scale = side / min(height, width)
            shape = (max(side, round(width * scale)), max(side, round(height * scale)))
            frames.append(cv2.resize(picture, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))
    return np.stack(frames)


def train(
    *,
    data: str,
    model: str,
    output: str,
    seed: int = 0,
    resume: bool = False,
    device: str = "cpu",
    dtype: str = "auto",
    threads: int = 1,
    log: Callable[[str], None] = print,
    steps: int = 500,
    learning_rate: float = 2e-4,
    batch: int = 4,
    frames: int = 8,
    size: int = 128,
    consistency: Consistency = "matched",
    consistency_weight: float = 0.1,
) -> Path:
    """Fine-tune ``model`` on a triplet folder and write a model folder that ``vedit instruct --model`` takes.

    ``dtype`` is that of the written weights ("auto": bf16); training itself computes in bf16 with fp32 weights. What
    is there to resume from lies in the folder's ``training``, which is no part of the model. Raises ``InputError`` for
    unusable triplets, ``ModelError`` for a model that cannot be trained so, ``UsageError`` for a folder or size.
    """
    from vedit import weights
    from vedit.training.plot import loss_curve
    from vedit.weights.load import load_tensors

    torch.set_num_threads(threads)
    out = Path(output)
    training = out / weights.TRAINING
    bundle = weights.open_bundle(model, "instruct", recipe="instructvid2vid")
    parts = bundle.components
    _check_output(out, bundle)
    codec = weights.load_vae(parts["vae"])
    if size % codec.stride:
        raise UsageError(f"--size {size}: {bundle.name} needs a multiple of {codec.stride}")
    network = weights.load_unet(parts["unet"], in_channels=2 * codec.channels, to_train=True)
    if frames > network.max_frames:
        raise UsageError(f"--frames {frames}: {model} takes at most {network.max_frames} frames")
    schedule = weights.load_schedule(parts["scheduler"])
    # Of a model whose noise says where particles are, triplets do not say where theirs are: they would teach the mean
    # of all places, a haze.
    known = bundle.preset.get("known_embeddings")
    coupled = known is not None and "fall" in load_tensors(bundle.path / str(known))
    triplets = FolderTriplets(
        Path(data), frames, size, int(bundle.preset.get("size", 256)), seed=seed,
        without=operations.FALLS if coupled else (),
    )  # fmt: skip
    if triplets.left_out:
        log(
            f"left out {triplets.left_out} edits labelled {' or '.join(operations.FALLS)}: {bundle.name} keeps its "
            "own, whose noise says where they are"
        )
    count = triplets.edits
    if not count:
        raise InputError(f"{data}: there is no triplet to train on")
    settings = Settings(
        steps=steps, batch=min(batch, count), frames=frames, rate=learning_rate, seed=seed,
        save_every=min(250, steps), consistency=consistency, consistency_weight=consistency_weight,
        # As it is sampled: with the noise that all frames have in common.
        common_share=0.5 if bundle.preset.get("noise_share") == 1.0 else 0.0,
    )  # fmt: skip
    identity = {"base": bundle.parts_sha256, "data": _hash_of(Path(data)), "size": size}
    Run(training, told_apart(settings, count, identity), resume)  # refuses before anything is encoded
    encode, embed = encoders(parts["vae"], parts["clip"], parts["tokenizer"], device)
    seen = f"squares of {size} pixels of {triplets.scale}"
    log(f"{triplets.clips} source clips, {count} edits of {frames} frames, {seen}")
    latents = encode_triplets(
        training / "latents",
        triplets,
        encode,
        embed,
        triplets.clips,
        count,
        json.dumps(identity | {"frames": frames, "scale": triplets.scale}),
    )
    average = fit(
        training, network, schedule, latents, settings,
        device=device, resume=resume, unscale=codec.unscale, identity=identity,
    )  # fmt: skip
    loss_curve(training / "log.jsonl", training / "loss.png", f"instructvid2vid: loss of {settings.steps} steps")
    _copy_parts(bundle, out)
    trained = averaged(network, average)
    assert isinstance(trained, VideoUNet)
    written = {"auto": torch.bfloat16, "bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[dtype]
    trained.save(out / parts["unet"].relative_to(bundle.path), written)
    (out / CARD).write_text(_card(out, bundle, settings, size, count, device), encoding="utf-8")
    weights.write_manifest(out)
    return out


def _check_output(out: Path, bundle: Bundle) -> None:
    """Raise ``UsageError`` for a folder that holds a model which this training did not write."""
    from vedit import weights
    from vedit.weights.search import is_model

    if out.resolve() == bundle.path.resolve():
        raise UsageError(f"--output {out}: is the model to start from; choose another folder")
    if is_model(out) and not (out / weights.TRAINING).is_dir():
        raise UsageError(f"--output {out}: holds a model already; choose another folder")


def _hash_of(data: Path) -> str:
    """Of all that a triplet folder says and shows, hexadecimal."""
    from vedit.world.triplets import MANIFEST, read_manifest

    files = dict.fromkeys(file for entry in read_manifest(data) for file in (entry.source, entry.edited))
    hashes = [sha256(file) for file in (data / MANIFEST, *files)]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _copy_parts(bundle: Bundle, out: Path) -> None:
    """All of the model that is not trained, into ``out``: its card under another name, a bundle's name ``out``'s."""
    import shutil

    from vedit import weights
    from vedit.weights.search import BUNDLE

    apart = (bundle.components["unet"], bundle.path / weights.TRAINING, out.resolve())
    for file in sorted(bundle.path.rglob("*")):
        kept = file.suffix in {".json", ".txt", ".safetensors", ".md"} and not file.name.startswith(".")
        if file.is_file() and kept and not any(folder in (file, *file.parents) for folder in apart):
            target = out / file.relative_to(bundle.path)
            target = target if target != out / CARD else out / BASE_CARD
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    if (out / BUNDLE).is_file():
        described = json.loads((out / BUNDLE).read_text(encoding="utf-8")) | {"name": out.resolve().name}
        (out / BUNDLE).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")


def _card(out: Path, bundle: Bundle, settings: Settings, size: int, count: int, device: str) -> str:
    """The card of a trained model: of what, with what and how long."""
    from vedit import __version__, weights
    from vedit.training.plot import read_log

    training, unet = out / weights.TRAINING, bundle.components["unet"].relative_to(bundle.path)
    _, losses = read_log(training / "log.jsonl")
    seconds = json.loads((training / "state.json").read_text(encoding="utf-8"))["seconds"]
    weight_file = out / unet / "diffusion_pytorch_model.safetensors"
    facts = {
        "edits": count, "size": f"{size} pixels", **asdict(settings), "device": device,
        "wall time": f"{seconds / 60:.1f} min", "loss, first and last logged": f"{losses[0]:.4f}, {losses[-1]:.4f}",
        f"sha256 of {weight_file.relative_to(out).as_posix()}": sha256(weight_file), "vedit": __version__,
    }  # fmt: skip
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    base = f" ({BASE_CARD})" if (out / BASE_CARD).is_file() else ""
    return (
        f"# {out.resolve().name}\n\n"
        f"A model for `vedit instruct`: {bundle.name} (sha256 of its parts {bundle.parts_sha256}), trained further on "
        f"triplets of source, instruction and edit by `vedit train-adapter instructvid2vid`. Only its U-Net was "
        f"trained; the other parts, their licence and what the preset says it knows are those of the base{base}.\n\n"
        f"| setting | value |\n|---|---|\n{rows}\n\n"
        "Nothing was measured on clips that were kept out of the training: look at its edits before you rely on them.\n"
    )
