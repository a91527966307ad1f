"""Original layouts of published checkpoints into folders that vedit and diffusers read, with every key accounted for.

The only place in vedit that reads a pickle, and then as plain tensors (``weights_only``).
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import InputError, ModelError, ResourceError, UsageError, of_writing
from vedit.weights import checkpoints
from vedit.weights.search import BUNDLE, DIFFUSERS, expanded, locate

if TYPE_CHECKING:
    from vedit.weights.convert.parts import Made, Part

# What --as may say, and what FILE is then.
KINDS = {
    "sd": "Stable Diffusion 1.x or InstructPix2Pix in one file",
    "svd": "Stable Video Diffusion in one file",
    "insv2v": "InsV2V in one file",
    "tune-a-video": "a folder that Tune-A-Video's code saved",
    "tcve": "a folder that TCVE's code saved",
    "animatediff": "AnimateDiff's motion modules",
    "motiondirector": "a LoRA of MotionDirector",
    "revideo": "ReVideo in one file",
}
_WITH_TOKENIZER = {"sd", "insv2v"}
REVIDEO = "revideo"


@dataclass(frozen=True)
class Converted:
    """Where the model is, ``keys`` of its tensors, ``aside``: keys that were left out, by the reason, and notes."""

    path: Path
    keys: int
    aside: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def convert(source: str | Path, kind: str, output: str | Path, base: str | None = None) -> Converted:
    """Convert ``source`` into the folder ``output``, which appears whole or not at all.

    ``base``: a model at hand that has what the checkpoint lacks, such as a tokenizer. Raises ``UsageError``,
    ``InputError`` for a file that cannot be one, and ``ModelError`` when a key has no place.
    """
    source, output = expanded(source), expanded(output)
    if kind not in KINDS:
        raise UsageError(f"--as {kind}: no such kind; there is {', '.join(KINDS)}")
    if output.exists():
        raise UsageError(f"--output {output}: exists already; choose another folder")
    if not source.exists():
        raise InputError(f"{source}: no such file; give the checkpoint to convert")
    if kind in ("tune-a-video", "tcve") and not source.is_dir():
        raise InputError(f"{source}: is a file; --as {kind} takes {KINDS[kind]}")
    if kind not in ("tune-a-video", "tcve") and source.is_dir():
        raise InputError(f"{source}: is a folder; --as {kind} takes {KINDS[kind]}")
    made = make(source, kind, base)
    count = write(made, output)
    return Converted(output, count, made.aside, made.notes)


def make(source: Path, kind: str, base: str | None = None) -> Made:
    """What :func:`convert` writes, in memory."""
    from vedit.weights.convert import drag, ledger, lora, motion, one_shot, whole

    if kind in ("tune-a-video", "tcve"):
        return one_shot.pipeline(source, kind)
    if kind == "motiondirector":
        return lora.motiondirector(source)
    opened = ledger.read(source)
    parts = _parts_of(base)
    tokenizer = _tokenizer(parts, str(source)) if kind in _WITH_TOKENIZER else None
    makers: dict[str, Callable[[], Made]] = {
        "sd": lambda: whole.stable_diffusion(opened, tokenizer),
        "svd": lambda: whole.stable_video_diffusion(opened),
        "insv2v": lambda: motion.insv2v(opened, tokenizer, parts),
        "animatediff": lambda: motion.animatediff(opened),
        "revideo": lambda: drag.revideo(opened),
    }
    return makers[kind]()


def write(made: Made, output: Path) -> int:
    """Write what was made into ``output``, and return how many tensors that were."""
    from vedit.weights import adapter
    from vedit.weights.bundle import open_bundle, write_manifest

    output.parent.mkdir(parents=True, exist_ok=True)
    size = sum(one.nbytes for part in made.parts.values() for one in part.tensors.values())
    size += sum(one.nbytes for _, tensors in made.adapters.values() for one in tensors.values())
    free = shutil.disk_usage(output.parent).free
    if size > free:
        raise ResourceError(
            f"{output}: {size / 1e9:.1f} GB are to be written and {free / 1e9:.1f} GB are free; make room or choose "
            "another --output"
        )
    coming = output.with_name(f".{output.name}.{secrets.token_hex(4)}.partial")
    coming.mkdir()
    try:
        for folder, part in made.parts.items():
            _write_part(coming / folder, part)
        for folder, from_ in made.copies.items():
            shutil.copytree(from_, coming / folder, dirs_exist_ok=True)  # links become what they point to
        for name, text in made.texts.items():
            (coming / name).parent.mkdir(parents=True, exist_ok=True)
            (coming / name).write_text(text, encoding="utf-8")
        whole = (coming / BUNDLE).is_file() or (coming / DIFFUSERS).is_file()
        if whole:
            write_manifest(coming)
        for folder, (about, tensors) in made.adapters.items():
            bundle = open_bundle(coming, "image2video" if about.method == REVIDEO else "text2image")
            about = replace(about, base=output.name, base_sha256=bundle.parts_sha256)
            adapter.save(coming / folder, about, tensors)
        if whole:
            write_manifest(coming)
        coming.rename(output)
    finally:
        shutil.rmtree(coming, ignore_errors=True)
    return sum(len(part.tensors) for part in made.parts.values())


def _write_part(folder: Path, part: Part) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(part.config, encoding="utf-8")
    tensors: dict[str, Any] = {name: tensor.detach().contiguous() for name, tensor in part.tensors.items()}
    seen: set[int] = set()
    for name, tensor in tensors.items():  # a file holds no two names of one memory
        if tensor.data_ptr() in seen:
            tensors[name] = tensor.clone()
        seen.add(tensor.data_ptr())
    file = folder / f"{part.stem}.safetensors"
    try:
        save_file(tensors, file, metadata={"format": "pt"})
    except SafetensorError as error:
        raise of_writing(file.parent, error, " or choose another --output; nothing was written") from None


def _parts_of(base: str | None) -> dict[str, Path]:
    """The folders of a model at hand."""
    if base is None:
        return {}
    path = locate(base)
    found = {one: path / one for one in ("vae", "text_encoder", "tokenizer") if (path / one).is_dir()}
    if (path / "vocab.json").is_file():
        found["tokenizer"] = path
    return found


def _tokenizer(parts: dict[str, Path], where: str) -> Path:
    """The words of CLIP ViT-L/14, which no checkpoint holds: of the base, or of a model of the registry at hand."""
    if "tokenizer" in parts:
        return _words(parts["tokenizer"])
    for row in checkpoints.known():
        if row.kind not in ("text2image", "instruct", "clip") or not row.on_hub:
            continue
        try:
            found = _parts_of(row.id)
        except ModelError:
            continue  # not at hand
        if "tokenizer" in found:
            return _words(found["tokenizer"])
    raise ModelError(
        f"{where}: holds no tokenizer, as such files do; vedit models pull openai/clip-vit-large-patch14 fetches it, "
        "or name a model that has it with --base"
    )


def _words(folder: Path) -> Path:
    for name in ("vocab.json", "merges.txt"):
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name}: missing; choose another --base")
    return folder
