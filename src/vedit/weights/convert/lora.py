"""MotionDirector's LoRAs: a list of matrices without names, in the order of the network that they were trained on.

Their code walks the transformers of ModelScope's text-to-video U-Net and saves, for every linear layer of their
attentions and feed-forwards, the matrix that widens and then the one that narrows. Which layer a pair belongs to
follows from that order, and is checked by its shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import InputError, ModelError
from vedit.weights.convert.ledger import unpickle
from vedit.weights.convert.parts import Made, Part, as_json, empty
from vedit.weights.search import PICKLES

if TYPE_CHECKING:
    import torch

# Of a transformer's layers, those that each kind of LoRA changes. Older versions of diffusers had ff in the middle.
_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_FEED = ("ff.net.0.proj", "ff.net.2")
_ORDERS = {
    "temporal": (("attn1", "attn2", "ff"), ("attn1", "ff", "attn2")),
    "spatial": (("attn1", "ff"),),
}
_CLASSES = {"temporal": "TransformerTemporalModel", "spatial": "Transformer2DModel"}


def motiondirector(file: Path, settings: dict[str, Any] | None = None) -> Made:
    """Named LoRA matrices (peft's ``lora_A`` narrows, ``lora_B`` widens). ``settings``: of another U-Net."""
    if file.suffix not in PICKLES:
        raise InputError(f"{file}: MotionDirector saves its LoRAs as .pt; give that file")
    if not file.is_file():
        raise InputError(f"{file}: no such file; give the checkpoint to convert")
    matrices = unpickle(file)
    if not isinstance(matrices, Sequence) or not all(hasattr(one, "shape") for one in matrices):
        raise ModelError(f"{file}: holds a {type(matrices).__name__}, not a list of matrices; --as names another kind?")
    kind, order, tensors = named(list(matrices), str(file), settings)
    made = Made(notes=[f"it is a {kind} LoRA of {len(tensors) // 2} layers"])
    about = {"base": "ali-vilab/text-to-video-ms-1.7b", "network": "UNet3DConditionModel", "kind": kind, "order": order}
    made.texts["config.json"] = as_json(about)
    made.parts[""] = Part(made.texts["config.json"], tensors, "lora")
    return made


def named(
    matrices: list[torch.Tensor], where: str, settings: dict[str, Any] | None = None
) -> tuple[str, tuple[str, ...], dict[str, torch.Tensor]]:
    """The kind of LoRA, the order of a transformer's layers, and the matrices by name. Raises ``ModelError``."""
    from diffusers import UNet3DConditionModel

    network = empty(UNet3DConditionModel, settings or {}, where)
    for kind, orders in _ORDERS.items():
        for order in orders:
            layers = _layers(network, kind, order)
            if len(matrices) == 2 * len(layers) and all(
                _fits(linear, up, down)
                for (_, linear), up, down in zip(layers, matrices[::2], matrices[1::2], strict=True)
            ):
                found = {}
                for (name, _), up, down in zip(layers, matrices[::2], matrices[1::2], strict=True):
                    found[f"{name}.lora_B.weight"], found[f"{name}.lora_A.weight"] = up, down
                return kind, order, found
    counts = " or ".join(f"{2 * len(_layers(network, kind, orders[0]))} ({kind})" for kind, orders in _ORDERS.items())
    raise ModelError(
        f"{where}: {len(matrices)} matrices whose shapes are not those of a MotionDirector LoRA, which has {counts}; "
        "nothing was written"
    )


def _layers(network: Any, kind: str, order: tuple[str, ...]) -> list[tuple[str, Any]]:
    found = []
    for name, module in network.named_modules():
        if type(module).__name__ != _CLASSES[kind]:
            continue
        for index in range(len(module.transformer_blocks)):
            for part in order:
                inner = _FEED if part == "ff" else tuple(f"{part}.{one}" for one in _ATTENTION)
                for one in inner:
                    full = f"{name}.transformer_blocks.{index}.{one}"
                    found.append((full, network.get_submodule(full)))
    return found


def _fits(linear: Any, up: torch.Tensor, down: torch.Tensor) -> bool:
    if up.ndim != 2 or down.ndim != 2:
        return False
    return up.shape[0] == linear.out_features and down.shape[1] == linear.in_features and up.shape[1] == down.shape[0]
