"""The file that a muxer writes into: a temporary one beside the destination that gets its name when it is complete."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

from vedit.errors import UsageError, VeditError


class OutFile:
    """What PyAV writes to. The first error is kept in ``error``: FFmpeg reports it late or not at all.

    ``publish`` gives the file its name, ``discard`` leaves nothing; ``temporary`` is what lies there meanwhile.
    """

    def __init__(self, path: str, *, overwrite: bool = True) -> None:
        self.name = path
        self.error: OSError | None = None
        self._overwrite = overwrite
        # A symlink keeps pointing: its target is what gets replaced.
        self._target = Path(os.path.realpath(path))
        self.temporary = self._target.with_name(f".{self._target.name}.{secrets.token_hex(4)}.part")
        self._done = False
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self.temporary, flags, 0o666)
        except FileNotFoundError:
            raise UsageError(f"{path}: its folder does not exist; create {self._target.parent} first") from None
        except NotADirectoryError:
            raise UsageError(f"{path}: {self._target.parent} is not a folder; choose another output") from None
        except OSError as error:
            raise VeditError(f"{path}: cannot write there ({error.strerror}); choose another output") from None
        self._raw = os.fdopen(descriptor, "r+b", buffering=0)

    def write(self, data: bytes) -> int:
        """All of ``data``; after an error nothing is written any more."""
        if self.error is not None:
            raise self.error
        view = memoryview(data)
        try:
            while view:
                view = view[self._raw.write(view) or 0 :]
        except OSError as error:
            self.error = error
            raise
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Muxers that move their index to the front read what they wrote."""
        return self._raw.read(size) or b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._raw.tell()

    def seekable(self) -> bool:
        """As of any file."""
        return True

    def readable(self) -> bool:
        """As of any file."""
        return True

    def writable(self) -> bool:
        """As of any file."""
        return True

    def publish(self) -> None:
        """Syncs and gives the file its name. Raises the error that writing met, or :class:`OSError`."""
        if self.error is not None:
            raise self.error
        os.fsync(self._raw.fileno())
        self._raw.close()
        if self._target.exists():
            if not self._overwrite:
                raise UsageError(f"{self.name}: exists already; use -y to replace it")
            os.chmod(self.temporary, stat.S_IMODE(self._target.stat().st_mode))
        os.replace(self.temporary, self._target)
        self._done = True
        _sync_folder(self._target.parent)

    def abandon(self) -> None:
        """Closes the file so that a muxer that is shut down afterwards cannot write half a trailer."""
        self._raw.close()

    def discard(self) -> None:
        """Leaves nothing behind. Safe to call twice; after :meth:`publish` it does nothing."""
        self._raw.close()
        if not self._done:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.temporary)


def write_failure(path: str, error: BaseException) -> VeditError:
    """What a failed write means, in one line."""
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return VeditError(f"{path}: the disk is full; free some space or choose another output")
    if code == errno.EFBIG:
        return VeditError(
            f"{path}: the file would be larger than the system allows; raise the limit or choose another output"
        )
    reason = getattr(error, "strerror", None) or str(error)
    return VeditError(f"{path}: cannot be written ({reason}); choose another output")


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # a system where folders cannot be opened; the rename is done all the same
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
