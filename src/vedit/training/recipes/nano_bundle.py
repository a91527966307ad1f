"""Put nano together: copy the trained parts into ``models/nano``, with the preset, the card and the manifest.

    python -m vedit.training.recipes.nano_bundle --out models/nano --vae runs/vae --clip runs/clip --unet runs/clips
    python -m vedit.training.recipes.nano_bundle --out models/nano --image2video runs/image2video

Parts that are not named stay as they are in ``--out``, so that one of them can be trained again, or added, without the
folders in which the others were trained. ``trainings.json`` keeps what the card says of every training.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vedit import engines, weights
from vedit.nets.text import TextEncoder
from vedit.training.common import BEGAN, sha256
from vedit.training.plot import rows_of
from vedit.training.recipes import nano_image2video, nano_revideo
from vedit.training.recipes.clip import PIXEL_MEAN, PIXEL_STD, VISION
from vedit.training.recipes.nano_instruct import SCHEDULER
from vedit.training.recipes.nano_text2image import CHANGED, put_into_words
from vedit.training.recipes.nano_text2image import SCHEDULER as TEXT2IMAGE_SCHEDULER
from vedit.weights import write_manifest
from vedit.weights.bundle import read_json
from vedit.world import operations, phrasings
from vedit.world.foreign import draw_foreign
from vedit.world.scene import PLACES, SHAPES, caption, draw_scene
from vedit.world.subjects import draw_subject

#: Defaults of the instruct model, chosen with ``benchmarks/instruct.py``.
PRESET = {
    "steps": 1,
    "solver": "ddim",
    "guidance": 1.0,
    "video_guidance": 1.0,
    "frames": 16,
    "overlap": 2,
    "noise_share": 1.0,
    "margin": 16,  # it was trained on crops: without, the rim is dotted
    "size": 256,
    "multiple": 8,
}
#: Defaults of the text-to-image model, chosen with ``benchmarks/prompt_edit.py``.
TEXT2IMAGE_PRESET = {
    "steps": 25,
    "guidance": 3.0,
    "negative_prompt": "",  # what TokenFlow leads away from are words that nano never read
    "frames": 16,
    "size": 256,
    "multiple": 8,
    "adapters": {"tcve": {"rate": 1e-3}, "tune-a-video": {"rate": 3e-4, "steps": 100}},
}
#: Components that roles have in common, by what they call them.
SHARED = {"vae": "vae", "clip": "clip", "tokenizer": "tokenizer"}
PICTURES = {"vae": "image2video/vae", "image_encoder": "clip", "feature_extractor": "clip"}
TRAININGS = "trainings.json"  # in a bundle: what its card says of how its parts were trained
ORDER = ("first", "second", "third", "fourth", "fifth")
CAPTIONS = 1024  # that stand for the prompts that the text-to-image model knows
CHECKED = {"first_error", "said_600"}  # of figures that a training takes on what it does not see
TAUGHT = 8000  # whose words it was taught, which are fewer than four hundred


def known_words() -> list[str]:
    """What nano can do, as people would say it. It was trained to change objects too, and hardly does."""
    return [name.replace("-", " ") for name in operations.OPERATIONS if name != "nothing"]


def known_scenes() -> list[str]:
    """What the text-to-image model can draw, as people would say it."""
    grounds = [caption(replace(draw_scene(0, 8, 8, frames=1, place=place), things=())) for place in PLACES]
    return [f"coloured shapes ({', '.join(SHAPES)})", f"over {', '.join(grounds)}", "in weather, light and styles"]


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


def write_known(clip: Path, target: Path) -> None:
    """The known directions of the text encoder, with how fast the particles of each fall, if it has any.

    ``fall`` (N,): latent positions a frame, at the engine's working size; 0 without particles.
    """
    found = load_file(clip / "known.safetensors")
    names = json.loads((clip / "known.json").read_text())
    size = PRESET["size"]
    fall = torch.zeros(len(names))
    for name, make in operations.FALLS.items():
        fall[names.index(name)] = float(make(0, size, size, float(size)).velocity[:, 1].mean()) * size / 8
    save_file({"directions": found["directions"], "others": found["others"], "fall": fall}, target)


def far_threshold(clip: Path, tokenizer: Path, known: Path) -> float:
    """Below which an instruction counts as far from all that nano knows.

    Of the cosine to the nearest known direction, less that to the nearest of the others. Chosen on the project's kept
    phrasings and foreign sentences.
    """
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
    return held_apart(near, far)


def held_apart(near: Tensor, far: Tensor) -> float:
    """The threshold between ``near`` and ``far`` values; a needless warning costs four times a missed one."""
    steps = [round(float(v), 2) for v in np.arange(-0.5, 0.9, 0.01)]
    return min(steps, key=lambda t: 4 * float((near < t).float().mean()) + float((far >= t).float().mean()))


def captions(seed: int, count: int) -> list[str]:
    """Captions of random scenes, every other one after an operation."""
    rng = np.random.default_rng([seed, 90])
    made = []
    for index in range(count):
        scene = draw_scene(seed * 1_000_000 + index, 64, 64, frames=1, place=str(rng.choice(PLACES)))
        name = "nothing" if index % 2 else str(rng.choice(CHANGED))
        made.append(put_into_words(caption(scene), name, rng))
    return made


def vocabulary() -> list[str]:
    """All words of very many captions, in order: they are what the text-to-image model was taught."""
    found = {word for text in captions(31, TAUGHT) for word in re.findall(r"[^\W_]+", text.casefold())}
    return sorted(found)


def foreign(seed: int, count: int) -> list[str]:
    """Sentences and subjects that no caption of the world is about."""
    rng = np.random.default_rng([seed, 91])
    return [draw_foreign(rng) if rng.random() < 0.6 else draw_subject(rng) for _ in range(count)]


def write_known_captions(clip: Path, tokenizer: Path, target: Path) -> float:
    """Embedded captions that stand for all that are known, and foreign sentences that stand for the others.

    Returns the threshold, as :func:`far_threshold`: chosen on other captions and other foreign sentences.
    """
    text = TextEncoder(weights.load_clip(clip), weights.load_tokenizer(tokenizer))
    with torch.inference_mode():
        known, others = text.embed(captions(31, CAPTIONS)), text.embed(foreign(31, CAPTIONS // 2))
        near, far = (
            (embedded @ known.T).max(-1).values - (embedded @ others.T).max(-1).values
            for embedded in (text.embed(captions(32, 256)), text.embed(foreign(32, 256)))
        )
    save_file({"directions": known.half(), "others": others.half()}, target)
    return held_apart(near, far)


def copy_parts(out: Path, parts: Mapping[str, Path]) -> None:
    """Copy component folders to their names in ``out``; raises ``FileNotFoundError`` for one not trained yet."""
    for name, source in parts.items():
        target = out / name
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(source.iterdir()):
            if file.suffix in {".json", ".txt", ".safetensors"}:
                shutil.copyfile(file, target / file.name)
        config = target / "config.json"
        if config.exists() and "_name_or_path" in (told := read_json(config)):  # where it lay on some machine
            del told["_name_or_path"]
            config.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def write_role(
    out: Path,
    role: str,
    scheduler: Mapping[str, Any],
    preset: Mapping[str, Any],
    shared: Mapping[str, str] = SHARED,
) -> dict[str, str]:
    """Scheduler and preset of a role; returns its components, relative to ``out``, beside those that it shares."""
    (out / role / "scheduler").mkdir(parents=True, exist_ok=True)
    for name, content in (("scheduler/scheduler_config.json", scheduler), ("preset.json", preset)):
        (out / role / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return {**shared, "unet": f"{role}/unet", "scheduler": f"{role}/scheduler", "preset": f"{role}/preset.json"}


# What tells trainings apart and is not for people.
_UNSAID = {
    "recipe", "steps", "save_every", "log_every", "average", "base", "before", "data", "models", "encoder", BEGAN,
}  # fmt: skip


def assemble(
    out: Path,
    *,
    vae: Path | None = None,
    clip: Path | None = None,
    tokenizer: Path | None = None,
    unet: Path | None = None,
    text2image: Path | None = None,
    image2video: Path | None = None,
    revideo: Path | None = None,
    earlier: Mapping[str, Path] | None = None,
) -> None:
    """Write the bundle, or into one that is there; every path is the folder of a training.

    ``earlier``: by name, folders of trainings that others went on from, for the card. ``revideo``: where
    :mod:`~vedit.training.recipes.nano_revideo` trained the control that it has put in. Raises ``FileNotFoundError`` for
    a part that was not trained yet.
    """
    roots = {"vae": vae, "clip": clip, "instruct/unet": unet, "text2image/unet": text2image,
             "image2video/unet": image2video, "image2video/vae": image2video}  # fmt: skip
    parts = {name: root / Path(name).name for name, root in roots.items() if root is not None}
    copy_parts(out, parts | ({} if tokenizer is None else {"tokenizer": tokenizer}))
    held = read_json(out / "bundle.json") if (out / "bundle.json").exists() else {"roles": {}}
    roles: dict[str, Any] = held["roles"]
    if clip is not None:
        (out / "clip" / "preprocessor_config.json").write_text(json.dumps(preprocessing(), indent=2) + "\n")
        known = out / "instruct" / "known.safetensors"
        write_known(clip, known)
        threshold = far_threshold(out / "clip", out / "tokenizer", known)
        told = {"known_embeddings": "instruct/known.safetensors", "known_threshold": threshold, "knows": known_words()}
        roles["instruct"] = write_role(out, "instruct", SCHEDULER, PRESET | told)
    if text2image is not None or (clip is not None and "text2image" in roles):
        name = "text2image/known.safetensors"
        threshold = write_known_captions(out / "clip", out / "tokenizer", out / name)
        told = {"known_embeddings": name, "known_threshold": threshold, "knows": known_scenes()}
        told["vocabulary"] = vocabulary()
        roles["text2image"] = write_role(out, "text2image", TEXT2IMAGE_SCHEDULER, TEXT2IMAGE_PRESET | told)
    if image2video is not None:
        scheduler, preset = nano_image2video.SCHEDULER, nano_image2video.PRESET
        roles["image2video"] = write_role(out, "image2video", scheduler, preset, PICTURES)
    if clip is None and "instruct" in roles:
        told = out / "instruct" / "preset.json"
        told.write_text(json.dumps(read_json(told) | {"knows": known_words()}, indent=2) + "\n")
    (out / "bundle.json").write_text(json.dumps({"schema": 1, "name": "nano", "roles": roles}, indent=2) + "\n")
    trained = {"vae": vae, "clip": clip, "instruct": unet, "text2image": text2image, "image2video": image2video}
    stages = {} if revideo is None else nano_revideo.stages(revideo)
    if image2video is not None and (image2video / "codec").is_dir():
        trained["image2video, autoencoder"] = image2video / "codec"
    trained |= {f"image2video, control, stage {stage}": folder for stage, folder in stages.items()}
    write_trainings(
        out, {**(earlier or {}), **{name: folder for name, folder in trained.items() if folder is not None}}
    )
    (out / "README.md").write_text(card(out), encoding="utf-8")
    write_manifest(out)


def write_trainings(out: Path, trained: Mapping[str, Path]) -> None:
    """Add what the card says of trainings, by name, to ``trainings.json``: steps, seconds, settings, figures.

    One that went on from the training of the same name leaves that one there, as "NAME, first" and so on.
    """
    file = out / TRAININGS
    known: dict[str, Any] = read_json(file) if file.exists() else {}
    for name, folder in trained.items():
        state = read_json(folder / "state.json")
        settings = {
            k: v for k, v in state["identity"].items() if k not in _UNSAID
        }  # fmt: skip
        entry = {"steps": state["step"], "seconds": round(state["seconds"]), "settings": settings}
        figures = folder / "figures.json"
        found = read_json(figures) if figures.exists() else last_check(folder / "log.jsonl")
        if name in known and state["identity"].get(BEGAN):
            before = next(f"{name}, {order}" for order in ORDER if f"{name}, {order}" not in known)
            known = {before if key == name else key: value for key, value in known.items()}
        known.pop(name, None)  # to the end: the order is that of training
        known[name] = entry | ({"figures": found} if found else {})
    file.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


def card(out: Path) -> str:
    """The model card: what each part is, how it was trained, figures, limits, hashes. Nothing typed in by hand."""
    roles = read_json(out / "bundle.json")["roles"]
    trainings = read_json(out / TRAININGS)
    drags = "image2video" in roles and "revideo" in read_json(out / "image2video" / "preset.json").get("carries", {})
    commands = [
        command for command, role in engines.ROLES.items() if role in roles and (command != "drag-motion" or drags)
    ]
    rows = [
        f"| {name} | {entry['steps']} | {entry['seconds'] / 60:.0f} min "
        f"| {', '.join(f'{k} {v}' for k, v in entry['settings'].items())} |"
        for name, entry in trainings.items()
    ]
    files = []
    for file in sorted(out.rglob("*.safetensors")):
        count = sum(math.prod(entry["shape"]) for key, entry in _header(file).items() if key != "__metadata__")
        files.append(
            f"| `{file.relative_to(out)}` | {count / 1e6:.2f} M | {file.stat().st_size / 1e6:.1f} MB "
            f"| `{sha256(file)}` |"
        )
    right = trainings["clip"]["figures"]["test_phrasings_right"]
    parts = [
        "# nano",
        f"vedit's built-in model for {', '.join(f'`vedit {name}`' for name in commands)}: small enough for two CPU "
        "cores, trained by this project from scratch on its procedural world and on nothing else. "
        "The recipes are in `src/vedit/training/recipes`; each is one command that its first lines show, and "
        "`python -m vedit.training.recipes.nano` runs them all from nothing. The weights here came piece by piece, as "
        "the table says, some from earlier forms of the recipes: that command makes a model of the same kind, not the "
        "same bytes. "
        "Licence: Apache-2.0, as the project.",
        "## Parts\n\n| file | parameters | size | sha256 |\n|---|---|---|---|\n" + "\n".join(files),
        "## Training\n\nOn two CPU cores, in bf16 where the processor computes in it (wall time; other work ran beside "
        "it). What has several rows went on from the one before.\n\n"
        "| part | steps | wall time | settings |\n|---|---|---|---|\n" + "\n".join(rows),
        "## Figures\n\n"
        f"Text: {right:.1%} of the project's own phrasings kept out of training are taken for the right operation; "
        "how many foreign sentences draw the warning is in `benchmarks/README.md`. "
        f"{measured(RESULTS)}How each was measured, and more: `benchmarks/README.md`.",
        "## Limits\n\n"
        "It knows the operations of `vedit.world.operations` and little else; edits of objects (recolour, remove, "
        "replace coloured shapes as the world draws them) it was trained for and hardly does. It works at 256 pixels "
        "on the short side: fine structure of the edit is no finer than that. Particles (snow, rain) and grain are its "
        "own, not those of the exact operation. Text is English.",
    ]
    if "text2image" in roles:
        parts.append(
            "The text-to-image model draws what the world's captions say, "
            f"{'; '.join(known_scenes())}, and nothing else. It is there to try, test and compare the "
            "methods of `vedit prompt-edit`; edits of real clips want a larger model."
            + kept_out(trainings, "text2image", "pictures", "nano_text2image")
        )
    if "image2video" in roles:
        parts.append(
            "The image-to-video model makes clips of 8 frames from a first frame, for `vedit first-frame-edit`"
            f"{' and `vedit drag-motion`' if drags else ''} {seen_at(out)}. "
            "It knows how coloured and patterned shapes travel, turn and spin before a camera that pans, and nothing "
            "of people, faces or anything else that moves by itself. "
            + guided(out, drags)
            + kept_out(trainings, "image2video", "clips", "nano_image2video")
        )
    return "\n\n".join(parts) + "\n"


def guided(out: Path, drags: bool) -> str:
    """What the preset of the image-to-video model says of guidance; ``drags``: whether it carries a control."""
    preset = read_json(out / "image2video" / "preset.json")
    said = []
    for command, method in (("first-frame-edit", "anyv2v"), ("drag-motion", "revideo"))[: 1 + drags]:
        most = preset.get("methods", {}).get(method, {}).get("max_guidance", preset["max_guidance"])
        rises = f"rises to {most:g} over the frames" if most > 1 else "is off (`-s max_guidance=2` for one)"
        said.append(f"{rises} in `vedit {command}`")
    return f"It was trained to do without the picture now and then; guidance {' and '.join(said)}."


def seen_at(out: Path) -> str:
    """The sizes at which the image-to-video model of a bundle works."""
    preset = read_json(out / "image2video" / "preset.json")
    around = f", and {preset['crop']} around a region" if "crop" in preset else ""
    return f"at {preset['size']} pixels on the short side{around}"


RESULTS = Path("benchmarks/results")


def measured(results: Path) -> str:
    """What the benchmarks found on real clips, in sentences, from their files; empty without them."""
    found = []
    edits = results / "instruct.json"
    if edits.exists():
        summary = read_json(edits)["summary"]
        said = ", ".join(
            f"{family} {summary[family]['psnr']:.1f} dB (lowest {summary[family]['lowest']:.1f})"
            for family in ("tone", "weather", "style")
        )
        found.append(
            f"Edits of {len(summary['clips'])} real clips of {summary['frames']} frames, at working size, against the "
            f"exact operation: {said}; {summary['nearest']:.1%} are nearest to the operation that was asked for, among "
            f"all; warp error {summary['warp_ratio_exact']:.2f} times the exact operation's."
        )
    effect = results / "consistency.json"
    if effect.exists():
        told = read_json(effect)
        rows = [(name, row) for name, row in told.items() if isinstance(row, dict)]
        said = "; ".join(
            f"{name}: tone {row['tone']:.1f}, fog {row['weather']:.1f}, style {row['style']:.1f} dB, flicker "
            f"{row['flicker_over_exact']:.2f} times the exact operation's"
            for name, row in rows
        )
        found.append(
            f"What the consistency loss between frames does, by its form, in {told['steps']} steps from temporal "
            f"layers that are the identity: {said}."
        )
    return "".join(f"{sentence} " for sentence in found)


def last_check(log: Path) -> dict[str, float]:
    """The last line of a training's log that holds figures of clips or pictures kept out of it; empty without one."""
    if not log.exists():
        return {}
    return next((row for row in reversed(list(rows_of(log))) if CHECKED & row.keys()), {})


def kept_out(trainings: Mapping[str, Any], name: str, of: str, recipe: str) -> str:
    """A sentence with the figures of a training; empty where it has none."""
    found = trainings.get(name, {}).get("figures", {})
    said = ", ".join(f"{name} {value}" for name, value in found.items() if name not in ("step", "seconds"))
    return f" On {of} kept out of training: {said} (`{recipe}.checker` says what these are)." if said else ""


def _header(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        return json.loads(stream.read(int.from_bytes(stream.read(8), "little")))


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("models/nano"))
    parser.add_argument("--vae", type=Path)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--unet", type=Path, help="of the instruct model")
    parser.add_argument("--text2image", type=Path)
    parser.add_argument("--image2video", type=Path)
    parser.add_argument(
        "--revideo", type=Path, help="--out of nano_revideo, which has put its control in, for the card"
    )
    parser.add_argument("--before", action="append", default=[], help="an earlier training, NAME=FOLDER, for the card")
    args = parser.parse_args()
    earlier = {name: Path(folder) for name, folder in (item.split("=", 1) for item in args.before)}
    assemble(
        args.out, vae=args.vae, clip=args.clip, tokenizer=args.tokenizer, unet=args.unet, text2image=args.text2image,
        image2video=args.image2video, revideo=args.revideo, earlier=earlier,
    )  # fmt: skip


if __name__ == "__main__":
    main()
