"""How much a network has to compute, read off the header of its checkpoint: names and shapes, no weights."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vedit.errors import ModelError
from vedit.weights.bundle import read_json

_BLOCK = re.compile(r"(?:^|\.)(down|up)_blocks\.(\d+)\.")
# ControlNet's embedding of a condition, from pixels to latents: every other of its blocks halves the picture.
_EMBEDDING = re.compile(r"\.layers\.(?:conv_in|blocks\.(\d+))\.")
# Applied once a frame or to a few words, not at every place of the picture.
_NOT_AT_PLACES = re.compile(r"time_emb|time_embedding|add_embedding|pos_embed|attn2\.to_[kv]|quant_conv")
_NOT_OVER_PLACES = re.compile(r"attn2|motion|temporal")  # attention to words, and that of a place over the frames
_TINY_LEVEL = 1  # AutoencoderTiny does not name its levels: as if all of it were at half the size


@dataclass(frozen=True)
class Layers:
    """A network of levels, each half as wide and high as the one before; 0 is that of the latents.

    ``places``: by level, how many weights are applied at each place of it. ``attention``: by level, the channels of all
    self-attention together. ``width``: channels of the finest level. ``parameters`` of the whole, ``layers`` with
    weights. ``stride``: of an autoencoder, pixels of a latent along each side.
    """

    places: dict[int, int]
    attention: dict[int, int]
    width: int
    parameters: int
    layers: int
    stride: int = 1

    def multiply_adds(self, height: int, width: int) -> float:
        """For one frame whose finest level has ``height`` × ``width`` places."""
        total = 0.0
        for level in self.places.keys() | self.attention.keys():
            size = -(-height // 2.0**level) * -(-width // 2.0**level)
            total += size * self.places.get(level, 0) + 2.0 * size * size * self.attention.get(level, 0)
        return total


def read_layers(folder: str | Path, part: str = "") -> Layers:
    """Of the network in ``folder``, or of an adapter's file; ``part``: how the names of its tensors begin.

    Raises ``ModelError``.
    """
    folder = Path(folder)
    files = [folder] if folder.is_file() else sorted(folder.glob("*.safetensors"))
    plain = [file for file in files if not re.search(r"\.(fp16|bf16)\.", file.name)]  # variants of the same weights
    headers: dict[str, list[int]] = {}
    for file in plain or files:
        headers |= _shapes(file)
    headers = {name: shape for name, shape in headers.items() if name.startswith(part)}
    config = {} if folder.is_file() else read_json(folder / "config.json")
    tiny = config.get("_class_name") == "AutoencoderTiny"
    deepest = max((int(found[2]) for name in headers if (found := _BLOCK.search(name))), default=0)
    halves = max((int(found[1] or 0) + 1 for name in headers if (found := _EMBEDDING.search(name))), default=0) // 2
    places, attention, parameters, layers, width = Counter[int](), Counter[int](), 0, 0, 1
    for name, shape in headers.items():
        size = 1
        for side in shape:
            size *= side
        parameters += size
        if len(shape) < 2 or not name.endswith("weight"):
            continue
        layers += 1
        if _NOT_AT_PLACES.search(name):
            continue
        level = _TINY_LEVEL if tiny else _level(name, deepest, halves)
        places[level] += size
        if level == 0 and len(shape) == 4:
            width = max(width, shape[0])
        if "to_q" in name and not _NOT_OVER_PLACES.search(name):
            attention[level] += shape[0]
    return Layers(dict(places), dict(attention), width, parameters, layers, _stride(config))


def _stride(config: Mapping[str, Any]) -> int:
    levels = config.get("block_out_channels") or config.get("encoder_block_out_channels") or [1]
    return int(config.get("patch_size") or 2 ** (len(levels) - 1))


def _level(name: str, deepest: int, halves: int) -> int:
    """How often the picture was halved before this layer; below zero what comes before the latents."""
    if embedding := _EMBEDDING.search(name):
        return (0 if embedding[1] is None else (int(embedding[1]) + 1) // 2) - halves
    block = _BLOCK.search(name)
    if block is None:
        return deepest if re.search(r"mid_block|decoder\.conv_in|encoder\.conv_out", name) else 0
    level = int(block[2]) if block[1] == "down" else deepest - int(block[2])
    return level + (1 if "downsamplers" in name else -1 if "upsamplers" in name else 0)


def _shapes(file: Path) -> dict[str, list[int]]:
    try:
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if not 0 < length <= 100_000_000:
                raise ValueError("no header")
            header = json.loads(opened.read(length))
        return {name: about["shape"] for name, about in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{file}: cannot be read ({error}); get the model again") from None
