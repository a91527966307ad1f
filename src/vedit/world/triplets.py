"""⟨source, instruction, edited⟩ triplets on disk: what ``vedit world draw`` writes and ``train-adapter`` reads.

    DIR/manifest.jsonl     one line a triplet: {"source": "00000/source.mp4", "edited": "00000/snow.mp4",
                           "instruction": "make it snowy", "instructions": [...], "label": "snow", "caption": "..."}
    DIR/00000/source.mp4   and the edits beside it

Anyone's triplets work: ``source``, ``edited`` (video files of equal size and length, paths relative to DIR) and
``instruction`` are all that is needed; ``instructions`` may name further phrasings, ``label`` and ``caption`` are for
people.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vedit.errors import InputError, UsageError
from vedit.world import operations, phrasings
from vedit.world.clipfile import melody, write_clip
from vedit.world.scene import caption, draw_scene, recolour, remove, render, reshape

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Entry:
    """One line of a manifest, with absolute paths."""

    source: Path
    edited: Path
    instructions: tuple[str, ...]
    label: str


def read_manifest(folder: Path) -> list[Entry]:
    """The triplets of a folder. Raises ``InputError`` that names the line and what is wrong with it."""
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; a triplet folder holds {MANIFEST} (try: vedit world draw --count 8 -o {folder})"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}: not JSON ({error}); each line is one triplet object") from None
        if not isinstance(row, dict) or not all(
            isinstance(row.get(key), str) for key in ("source", "edited", "instruction")
        ):
            raise InputError(f"{where}: needs the keys source, edited and instruction, all text")
        more = row.get("instructions", [])
        if not isinstance(more, list) or not all(isinstance(text, str) for text in more):
            raise InputError(f"{where}: instructions must be a list of texts")
        files = {key: folder / row[key] for key in ("source", "edited")}
        for key, file in files.items():
            if not file.is_file():
                raise InputError(f"{where}: {key} {row[key]!r} does not exist beside the manifest")
        asked = tuple(dict.fromkeys([row["instruction"], *more]))
        entries.append(Entry(files["source"], files["edited"], asked, str(row.get("label", ""))))
    if not entries:
        raise InputError(f"{path}: holds no triplet")
    return entries


def draw(
    folder: Path,
    seed: int = 0,
    count: int = 8,
    *,
    frames: int = 16,
    height: int = 256,
    width: int = 256,
    fps: int = 12,
    edits: int = 2,
    progress: Any = None,
) -> Path:
    """Draw ``count`` scenes with ``edits`` edits each into ``folder``; returns the manifest's path.

    The same seed draws the same files. Raises ``UsageError`` for a folder that holds a manifest already or cannot be
    made.
    """
    manifest = folder / MANIFEST
    if manifest.exists():
        raise UsageError(f"{folder}: holds {MANIFEST} already; choose another folder")
    if count < 1:
        raise UsageError(f"--count {count}: there must be one scene at least")
    if height % 2 or width % 2 or min(height, width) < 32:
        raise UsageError(f"--size {width}x{height}: must be even (for H.264) and 32 pixels at least; give another")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"-o {folder}: cannot be made ({error.strerror}); choose another folder") from None
    names = [name for name in operations.OPERATIONS if name != "nothing"]
    lines = []
    for index in range(count):
        rng = np.random.default_rng([seed, 70, index])
        scene = draw_scene(seed * 1_000_000 + index, height, width, frames=frames)
        source = render(scene).frames
        place = folder / f"{index:05d}"
        place.mkdir(exist_ok=True)
        write_clip(place / "source.mp4", source, fps, sound=melody(seed + index, frames / fps))
        kinds = [*names, *phrasings.OBJECT_EDITS] if scene.things else names
        for kind in rng.choice(len(kinds), size=min(edits, len(kinds)), replace=False):
            label = kinds[int(kind)]
            if label in operations.OPERATIONS:
                edited = operations.apply(label, source, seed=int(rng.integers(2**31)))
                asked = [phrasings.draw_instruction(label, rng) for _ in range(4)]
            else:
                thing = int(rng.integers(len(scene.things)))
                was = scene.things[thing]
                colour = str(rng.choice([c for c in phrasings.COLOUR_WORDS if c != was.colour]))
                shape = str(rng.choice([s for s in phrasings.SHAPE_WORDS if s != was.shape]))
                changed = {
                    "recolour": recolour(scene, thing, colour),
                    "remove": remove(scene, thing),
                    "replace": reshape(scene, thing, shape),
                }
                edited = render(changed[label]).frames
                name = f"{was.colour} {was.shape}"
                asked = [
                    phrasings.draw_instruction(label, rng, thing=name, colour=colour, shape=shape) for _ in range(4)
                ]
            write_clip(place / f"{label}.mp4", edited, fps, sound=melody(seed + index, frames / fps))
            row = {
                "source": f"{index:05d}/source.mp4",
                "edited": f"{index:05d}/{label}.mp4",
                "instruction": asked[0],
                "instructions": asked[1:],
                "label": label,
                "caption": caption(scene),
            }
            lines.append(json.dumps(row))
        if progress is not None:
            progress(index + 1, count)
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest
