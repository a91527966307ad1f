"""The file that a muxer writes into: a temporary one beside the destination that gets its name when it is complete."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from vedit.errors import ResourceError, UsageError, VeditError
from vedit.signals import announce, forget


def temporary_beside(target: Path, suffix: str) -> Path:
    """A hidden name of its own in the same folder, short enough wherever the target's own name is."""
    known = os.fsdecode(os.fsencode(target.name)[:64].decode("utf-8", "ignore").encode())
    return target.with_name(f".{known}.{secrets.token_hex(4)}{suffix}")


class _Checked:
    """What PyAV writes to. The first error is kept in ``error``: FFmpeg reports it late or not at all."""

    def __init__(self, descriptor: int, mode: str) -> None:
        self.error: OSError | None = None
        self._raw: Any = os.fdopen(descriptor, mode, buffering=0)

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

    def writable(self) -> bool:
        """As of any file."""
        return True

    @property
    def closed(self) -> bool:
        """PyAV asks before it writes what is left."""
        return self._raw.closed

    def abandon(self) -> None:
        """Closes it, so that a muxer that is shut down afterwards cannot write half a trailer."""
        self._raw.close()


class OutFile(_Checked):
    """A file: ``complete`` ends writing, ``publish`` gives it its name, ``discard`` leaves nothing; ``temporary`` is
    what lies there meanwhile."""

    def __init__(self, path: str, *, overwrite: bool = True) -> None:
        self._path = path
        self._overwrite = overwrite
        # A symlink keeps pointing: its target is what gets replaced.
        self._target = Path(os.path.realpath(path))
        self.temporary: Path | None = temporary_beside(self._target, ".part")
        self.before = temporary_beside(self._target, ".before")
        self._done = False
        self._hidden = (str(self.temporary), str(self.before))
        for name in self._hidden:  # before it is there: a signal may come at any time
            announce(name)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self.temporary, flags, 0o666)
        except OSError as error:
            self._forget()
            if isinstance(error, FileNotFoundError):
                raise UsageError(f"{path}: its folder does not exist; create {self._target.parent} first") from None
            if isinstance(error, NotADirectoryError):
                raise UsageError(f"{path}: {self._target.parent} is not a folder; choose another output") from None
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise write_failure(path, error) from None
            raise VeditError(f"{path}: cannot write there ({error.strerror}); choose another output") from None
        super().__init__(descriptor, "r+b")

    def _forget(self) -> None:
        for name in self._hidden:
            forget(name)

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

    @property
    def target(self) -> Path | None:
        """What gets the name in the end: behind a symlink, what it points to."""
        return self._target

    def complete(self) -> None:
        """Syncs what was written. Raises the error that writing met, or :class:`OSError`."""
        if self.error is not None:
            raise self.error
        os.fsync(self._raw.fileno())
        self._raw.close()

    def publish(self) -> None:
        """Gives the complete file its name. Raises :class:`OSError`, and ``UsageError`` for a name that is taken.

        What had the name before stays beside it, where the system can do that, until :meth:`settle`.
        """
        assert self.temporary is not None
        if self._target.exists():
            if not self._overwrite:
                raise UsageError(f"{self._path}: exists already; use -y to replace it")
            os.chmod(self.temporary, stat.S_IMODE(self._target.stat().st_mode))
            with contextlib.suppress(OSError):  # a file system without hard links
                os.link(self._target, self.before)
        os.replace(self.temporary, self._target)
        self._done = True
        _sync_folder(self._target.parent)

    def settle(self) -> None:
        """After :meth:`publish`: what had the name before is not wanted any more."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.before)
        if self._done:
            self._forget()

    def withdraw(self) -> None:
        """Takes :meth:`publish` back: what had the name before has it again, or nothing."""
        if self.before.exists():
            os.replace(self.before, self._target)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._target)
        self._forget()

    def discard(self) -> None:
        """Leaves nothing behind. Safe to call twice; of a published file it leaves that."""
        self._raw.close()
        self.settle()
        if not self._done and self.temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.temporary)
        self._forget()


def written(path: str, data: bytes) -> OutFile:
    """A whole small file that has all but its name. Raises ``ResourceError`` for a full disk, and ``VeditError`` where
    it cannot be written; then nothing is left."""
    file = OutFile(path)
    try:
        file.write(data)
        file.complete()
    except BaseException as error:
        file.discard()
        if isinstance(error, OSError):
            raise write_failure(path, error) from None
        raise
    return file


class StdOut(_Checked):
    """Standard output: what is written is out, so nothing can be taken back."""

    temporary: Path | None = None
    before: Path | None = None
    target: Path | None = None

    def __init__(self) -> None:
        if os.isatty(1):
            raise UsageError("-o -: standard output is a terminal; pipe it into a program or a file")
        # Not sys.stdout, which may be sent elsewhere so that nothing else gets into the video.
        super().__init__(os.dup(1), "wb")

    def seekable(self) -> bool:
        """A pipe has no places."""
        return False

    def readable(self) -> bool:
        """It only goes out."""
        return False

    def complete(self) -> None:
        """Raises the error that writing met."""
        if self.error is not None:
            raise self.error
        self._raw.close()

    def publish(self) -> None:
        """It is out already."""

    def settle(self) -> None:
        """There was nothing before."""

    def withdraw(self) -> None:
        """What is out is out."""

    def discard(self) -> None:
        """Closes it: whoever reads sees the end."""
        self._raw.close()


def write_failure(path: str, error: BaseException) -> VeditError:
    """What a failed write means, in one line."""
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return ResourceError(f"{path}: the disk is full; free some space or choose another output")
    if code == errno.EFBIG:
        return ResourceError(
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
