"""What a ``model_index.json`` may ask for: classes of diffusers and transformers, never code of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from vedit.errors import ModelError

_REFUSED = "vedit never runs what comes with a model; take one that is made of diffusers' and transformers' classes"
_LIBRARIES = {"diffusers", "transformers"}
_RUN = {"vae", "text_encoder", "image_encoder", "tokenizer", "unet", "transformer", "scheduler"}


def check_index(index: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    """Raise ``ModelError`` for a ``model_index.json`` whose parts are code that comes with the model.

    ``names``: the files of the model, relative to its folder.
    """
    names = set(names)
    pipeline = index.get("_class_name")
    if isinstance(pipeline, list):
        raise ModelError(f"{where}: asks for code of its own ({'.'.join(map(str, pipeline))}); {_REFUSED}")
    for part, entry in index.items():
        if part.startswith("_") or not isinstance(entry, list) or len(entry) != 2 or entry[0] is None:
            continue
        library, kind = map(str, entry)
        own = f"{part}/{library.replace('.', '/')}.py"
        if own in names or (library not in _LIBRARIES and part in _RUN):
            raise ModelError(f"{where}: asks for code of its own ({part}: {library}.{kind}); {_REFUSED}")
