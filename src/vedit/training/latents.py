"""Triplets as latents: ⟨source, instruction, edited⟩ encoded once, read as memory maps while a recipe trains.

folder/source.npy   (S, T, C, h, w) float16
folder/edited.npy   (P, T, C, h, w) float16
folder/texts.npy    (N, L, D) float16: last hidden states of the instructions; text 0 is the empty prompt
folder/index.json   {"pairs": [[source, first text, count of texts, label], ...], "texts": [...], "identity": "..."}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vedit.errors import InputError

Encode = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Triplet:
    """A source (T, H, W, 3), float32 in [0, 1] or uint8, with its edits: for each its pixels, instructions that ask for
    it, a label."""

    source: np.ndarray
    edits: tuple[tuple[np.ndarray, tuple[str, ...], str], ...]


@dataclass(frozen=True)
class Latents:
    """Opened latents of triplets. ``pairs``: (source, first text, count of texts, label) for each edit."""

    source: np.ndarray
    edited: np.ndarray
    texts: np.ndarray
    pairs: list[tuple[int, int, int, str]]
    usable: np.ndarray | None = None  # indices of the pairs that batches are made of; None: all

    def without(self, labels: Collection[str]) -> Latents:
        """The same, but batches are made of the pairs with other labels alone."""
        return replace(self, usable=np.array([i for i, pair in enumerate(self.pairs) if pair[3] not in labels]))

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """``source``, ``edited`` (B, T, C, h, w) and ``text`` (B, L, D), float32; any of an edit's instructions."""
        return self.take(rng, self.choose(rng, size))

    def choose(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Indices of ``size`` different pairs, in order."""
        return np.sort(rng.choice(len(self.pairs) if self.usable is None else self.usable, size=size, replace=False))

    def take(self, rng: np.random.Generator, chosen: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """The batch of the pairs ``chosen``."""
        source = np.stack([self.source[self.pairs[i][0]] for i in chosen])
        edited = np.stack([self.edited[i] for i in chosen])
        text = np.stack([self.texts[self.pairs[i][1] + int(rng.integers(self.pairs[i][2]))] for i in chosen])
        return tuple(torch.from_numpy(a.astype(np.float32)) for a in (source, edited, text))  # type: ignore[return-value]


def encode_triplets(
    folder: Path,
    triplets: Iterable[Triplet],
    encode: Encode,
    embed: Callable[[list[str]], np.ndarray],
    sources: int,
    pairs: int,
    identity: str = "",
) -> Latents:
    """Encode ``triplets`` into ``folder`` (``sources`` and ``pairs`` of them at most) unless it holds them already.

    ``encode`` maps (N, 3, H, W) in [-1, 1] to (N, C, h, w); ``embed`` maps texts to (N, L, D) last hidden states.
    ``identity``: what the latents depend on; those of another are encoded anew.
    """
    index = folder / "index.json"
    if index.exists() and json.loads(index.read_text()).get("identity", "") != identity:
        index.unlink()
    if not index.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "texts.npy").unlink(missing_ok=True)
        source_map: np.ndarray | None = None
        edited_map: np.ndarray | None = None
        rows: list[tuple[int, int, int, str]] = []
        groups: dict[tuple[str, ...], int] = {}
        texts = [""]
        s = 0
        for group in _grouped(triplets, 16):
            clips = [clip for t in group for clip in (t.source, *(edited for edited, _, _ in t.edits))]
            stacked = torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3)
            stacked = stacked.float() / 127.5 - 1 if stacked.dtype == torch.uint8 else stacked * 2 - 1
            flat = encode(stacked.reshape(-1, *stacked.shape[2:]))
            latents = flat.reshape(*stacked.shape[:2], *flat.shape[1:]).to(torch.float16).numpy()
            if source_map is None or edited_map is None:
                shape = latents.shape[1:]
                source_map = np.lib.format.open_memmap(folder / "source.npy", "w+", np.float16, (sources, *shape))
                edited_map = np.lib.format.open_memmap(folder / "edited.npy", "w+", np.float16, (pairs, *shape))
            at = 0
            for t in group:
                if s >= sources:
                    break
                source_map[s] = latents[at]
                for offset, (_, asked, label) in enumerate(t.edits):
                    if len(rows) >= pairs:
                        break
                    if asked not in groups:
                        groups[asked] = len(texts)
                        texts.extend(asked)
                    edited_map[len(rows)] = latents[at + 1 + offset]
                    rows.append((s, groups[asked], len(asked), label))
                at += 1 + len(t.edits)
                s += 1
            if s % 1600 == 0:
                print(f"encoded {s} sources, {len(rows)} edits", flush=True)
        if source_map is None or edited_map is None or not rows:
            raise InputError(f"{folder}: there is no triplet to train on")
        source_map.flush()
        edited_map.flush()
        index.write_text(json.dumps({"pairs": rows, "texts": texts, "identity": identity}))
    found = json.loads(index.read_text())
    if not (folder / "texts.npy").exists():
        np.save(folder / "texts.npy", embed(found["texts"]).astype(np.float16))
    return Latents(
        np.load(folder / "source.npy", mmap_mode="r"),
        np.load(folder / "edited.npy", mmap_mode="r"),
        np.load(folder / "texts.npy"),
        [(int(a), int(b), int(c), str(d)) for a, b, c, d in found["pairs"]],
    )


def _grouped(items: Iterable[Triplet], size: int) -> Iterator[list[Triplet]]:
    group: list[Triplet] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
