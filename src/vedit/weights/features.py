"""Feature networks for FID, FVD and KVD: a folder with ``config.json`` and ``model.safetensors``.

    {"_class_name": "FeatureNetwork", "input": "image" or "video", "size": 299, "frames": 16,
     "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "layers": [...]}

``layers`` as in :mod:`vedit.nets.features`, or the name ``"i3d"`` or ``"inception_v3"``; ``frames`` for videos alone;
``mean`` and ``std`` of RGB in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import ModelError
from vedit.weights import checkpoints
from vedit.weights.bundle import name_of, read_json, sha256
from vedit.weights.load import as_model_error, load_tensors
from vedit.weights.search import SINGLE, locate

if TYPE_CHECKING:
    from vedit.nets.features import FeatureNetwork

WEIGHTS = "model.safetensors"


@dataclass(frozen=True, eq=False)
class FeatureModel:
    """A loaded network and what it wants to see: ``frames`` 0 for pictures, else the length of a clip; ``size`` the
    side in pixels."""

    name: str
    sha256: str
    network: FeatureNetwork
    frames: int
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load_features(model: str) -> FeatureModel:
    """Every key accounted for, in single precision. Raises ``ModelError`` that names the file or key that is off."""
    from vedit.nets import features
    from vedit.nets.strict import fill

    checkpoints.check_kind(model, "features", "a feature network")
    folder = locate(model).resolve()
    file = folder / SINGLE
    config = read_json(file)
    if config.get("_class_name") != "FeatureNetwork" or config.get("input") not in ("image", "video"):
        raise ModelError(f'{file}: does not describe a FeatureNetwork with "input" image or video; see README.md')
    video = config["input"] == "video"
    numbers = _numbers(file, config, video)
    layers = config.get("layers")
    if isinstance(layers, str):
        known = {"i3d": features.i3d, "inception_v3": features.inception_v3}
        if layers not in known:
            raise ModelError(f"{file}: layers is {layers!r}; it should be a list, or one of {', '.join(known)}")
        layers = known[layers]()
    try:
        with as_model_error(file):
            network = features.FeatureNetwork(layers or [], 3 if video else 2)
    except ModelError as error:
        text = str(error)
        raise ModelError(text if text.startswith(str(file)) else f"{file}: {text}") from None
    state = {
        key: value for key, value in load_tensors(folder / WEIGHTS).items() if not key.endswith("num_batches_tracked")
    }
    for key, value in network.state_dict().items():
        if key.endswith("num_batches_tracked"):  # a counter that training keeps, and ports leave out
            state[key] = value
    fill(network, {key: value.float() if value.is_floating_point() else value for key, value in state.items()},
         str(folder / WEIGHTS))  # fmt: skip
    return FeatureModel(name_of(folder), sha256(folder / WEIGHTS), network.eval(), *numbers)


def _numbers(file: Path, config: dict[str, Any], video: bool) -> tuple[int, int, tuple[float, ...], tuple[float, ...]]:
    """Frames, size, mean and std."""
    frames, size = config.get("frames", 0) if video else 0, config.get("size")
    if not isinstance(size, int) or size < 1 or (video and (not isinstance(frames, int) or frames < 1)):
        raise ModelError(f"{file}: size and, for videos, frames have to be whole numbers of pixels and frames")
    triples = []
    for key in ("mean", "std"):
        value = config.get(key)
        if not isinstance(value, list) or len(value) != 3 or not all(isinstance(v, (int, float)) for v in value):
            raise ModelError(f"{file}: {key} has to be three numbers, for RGB in [0, 1]")
        triples.append(tuple(float(v) for v in value))
    return frames, size, triples[0], triples[1]
