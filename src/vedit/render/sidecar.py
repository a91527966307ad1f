"""``RESULT.vedit.json``: what made a result, so that it can be made again. The same job writes the same sidecar."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

from vedit import __version__

SCHEMA = 1
_LIBRARIES = ("torch", "diffusers", "transformers", "av", "numpy", "opencv-python", "opencv-python-headless")


def sidecar_path(output: str) -> str:
    """Where the sidecar of ``output`` lies."""
    return output + ".vedit.json"


def sha256_of(*paths: str | Path) -> str:
    """The SHA-256 of the bytes of these files, one after the other, in hexadecimal."""
    whole = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()


def versions() -> dict[str, str]:
    """The versions of vedit, Python and the libraries that a result depends on."""
    found = {"vedit": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def as_json(value: dict[str, Any]) -> bytes:
    """The text of a JSON file."""
    # A file name that is no UTF-8 is so written with JSON's own escapes, and reads back as it was.
    return (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "backslashreplace")


def write_bytes(path: str, data: bytes) -> None:
    """Write a whole small file: temporary file beside it, synced, renamed. A symlink's target is what is replaced.

    Raises ``ResourceError`` for a full disk, and ``VeditError`` where it cannot be written.
    """
    from vedit.signals import deferred
    from vedit.video.outfile import write_failure, written

    with deferred():
        file = written(path, data)
        try:
            file.publish()
        except OSError as error:
            raise write_failure(path, error) from None
        finally:
            file.discard()
