"""Every failure that vedit foresees, with its exit code.

A message is one line that names the file or option, says what was found and what to do about it.
The console prints it and exits with ``exit_code``; anything that is not a :class:`VeditError` is a bug of ours.
"""

from __future__ import annotations

import re


class VeditError(Exception):
    """Base of all foreseen failures. Exit code 1."""

    exit_code = 1


class UsageError(VeditError):
    """An option or argument that cannot be used as given. Exit code 2."""

    exit_code = 2


class InputError(VeditError):
    """A file that cannot be used: missing, damaged, of the wrong kind or size. Exit code 3."""

    exit_code = 3


class ModelError(VeditError):
    """A model that is missing, incomplete, changed, or of the wrong kind. Exit code 4."""

    exit_code = 4


class ResourceError(VeditError):
    """Memory, disk or device not available. Exit code 5."""

    exit_code = 5


class DiskFull(ResourceError):
    """No room on the disk. Exit code 5."""


def of_writing(file: object, error: Exception, instead: str) -> VeditError:
    """For a file that safetensors could not write, which tells of a full disk in its text only. ``instead``: what to do
    where it is full."""
    full = re.search(r"os error (28|122|27)\b", str(error))  # ENOSPC, EDQUOT, EFBIG
    if full:
        return DiskFull(f"{file}: the disk is full; make room{instead}")
    return VeditError(f"{file}: cannot be written ({error}); check the disk and the permissions")


class GateError(VeditError):
    """A metric gate (``--fail-under``, ``--fail-over``) that was not met. Exit code 6."""

    exit_code = 6


class BatchError(VeditError):
    """Part of a batch failed. Exit code 7."""

    exit_code = 7
