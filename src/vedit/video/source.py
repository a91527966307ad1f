"""What an INPUT names: a file, numbered images (``frames/%04d.png``), a folder of images, or ``-``, standard input."""

from __future__ import annotations

import errno
import functools
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from vedit.errors import InputError, ResourceError, UsageError

STDIN = "-"
SEQUENCE_RATE = Fraction(25)  # frames a second of images, which say none
IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".exr", ".dpx", ".ppm", ".pgm", ".tga", ".jp2"}
_NUMBER = re.compile(r"%(0\d+)?d")


@dataclass(frozen=True)
class Source:
    """``name`` as in messages, ``url`` and demuxer as FFmpeg opens it, ``files`` with its bytes in order."""

    name: str
    url: str
    files: tuple[Path, ...]
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def sequence(self) -> bool:
        """Whether it is many images, which have no frame rate of their own."""
        return self.format == "image2"


def is_sequence(name: str) -> bool:
    """Whether ``name`` is a folder or a pattern of numbered images, and no file of that name."""
    return name != STDIN and (os.path.isdir(name) or (bool(_NUMBER.search(name)) and not os.path.exists(name)))


def find(name: str | os.PathLike[str], rate: Fraction | None = None) -> Source:
    """The source that ``name`` means; ``rate`` is that of a sequence of images. Raises :class:`InputError` in one
    line for what is not there, :class:`UsageError` for a terminal on standard input."""
    name = os.fspath(name)
    if name == STDIN:
        return _standard_input()
    rate = rate or SEQUENCE_RATE
    path = Path(name)
    if path.is_dir():
        return _folder(name, rate)
    if is_sequence(name):
        return _numbered(name, rate)
    if not path.exists():
        raise InputError(f"{name}: no such file; check the path")
    if not path.is_file():
        raise InputError(f"{name}: is not an ordinary file, and cannot be read twice; pipe a video into - instead")
    if path.stat().st_size == 0:
        raise InputError(f"{name}: the file is empty (0 bytes); give a video file")
    # An absolute path cannot be taken for a protocol ("a:b.mp4") or an option.
    return Source(name, str(path.absolute()), (path,))


def _standard_input() -> Source:
    path = Path(_spooled())
    if path.stat().st_size == 0:
        raise InputError("standard input: is empty (0 bytes); pipe a video into it")
    return Source("standard input", str(path), (path,))


@functools.cache
def _spooled() -> str:
    """Standard input as a file that can be read several times and from any place. One that is a file is taken as it is;
    what comes through a pipe is kept in a temporary file without a name, which ends with this process."""
    descriptor = sys.__stdin__.fileno() if sys.__stdin__ is not None else 0
    if os.isatty(descriptor):
        raise UsageError("-: standard input is a terminal; pipe a video into it or give a file")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        try:
            with os.fdopen(os.dup(descriptor), "rb") as pipe, tempfile.TemporaryFile(prefix="vedit-") as kept:
                shutil.copyfileobj(pipe, kept, 1 << 20)
                kept.flush()
                descriptor = os.dup(kept.fileno())  # stays open as long as the process
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise ResourceError(
                f"standard input: does not fit {tempfile.gettempdir()}, where it is kept ({error.strerror}); make room "
                "there, let TMPDIR name another folder, or give a file"
            ) from None
    return f"/proc/self/fd/{descriptor}"


def _numbered(name: str, rate: Fraction) -> Source:
    folder, pattern = os.path.split(name)
    match = _NUMBER.search(pattern)
    if match is None or len(_NUMBER.findall(pattern)) > 1 or _NUMBER.search(folder):
        raise InputError(f"{name}: a pattern of images has one number, in the file's name; as in frames/%04d.png")
    before, after = pattern[: match.start()], pattern[match.end() :]
    where = Path(folder or ".")
    if not where.is_dir():
        raise InputError(f"{name}: there is no folder {folder}; check the path")
    width = int(match[1]) if match[1] else 1
    digits = re.compile(re.escape(before) + rf"(\d{{{width},}})" + re.escape(after))
    found = {int(m[1]): where / m[0] for m in map(digits.fullmatch, os.listdir(where)) if m and _padded(m[1], width)}
    if not found:
        raise InputError(f"{name}: no image fits this pattern; check the path")
    _no_gap(name, found)
    first = min(found)
    options = {"framerate": str(rate), "start_number": str(first)}
    files = tuple(found[number] for number in sorted(found))
    literal = str(where.absolute() / "x")[:-1].replace("%", "%%")
    url = literal + before.replace("%", "%%") + match[0] + after.replace("%", "%%")
    return Source(name, url, _not_empty(files), "image2", options)


def _padded(digits: str, width: int) -> bool:
    return len(digits) == width or digits[0] != "0"


def _no_gap(name: str, found: dict[int, Path]) -> None:
    """FFmpeg would end the clip at a gap and not say so."""
    for number in range(min(found), max(found)):
        if number not in found:
            raise InputError(
                f"{name}: image {number} is missing between {min(found)} and {max(found)}; add it, or give the folder "
                "to take the images that are there"
            )


def _folder(name: str, rate: Fraction) -> Source:
    images = sorted(p for p in Path(name).iterdir() if p.suffix.lower() in IMAGES and not p.name.startswith("."))
    if not images:
        raise InputError(f"{name}: is a folder without images; give a video file, or a folder of images")
    suffixes = sorted({p.suffix for p in images})
    if len(suffixes) > 1:
        raise InputError(f"{name}: a folder with {' and '.join(suffixes)} files; keep the images of one kind in it")
    if images != sorted(images, key=_natural):
        before = re.split(r"\d+(?=\D*$)", images[0].stem)[0]
        raise InputError(
            f"{name}: its images are not numbered with the same count of digits, so their order is not clear; "
            f"give a pattern, as in {os.path.join(name, before + '%d' + suffixes[0])}"
        )
    pattern = re.sub(r"([\\*?\[\]{}])", r"\\\1", str(Path(name).absolute())) + "/[!.]*" + suffixes[0]
    options = {"framerate": str(rate), "pattern_type": "glob"}
    return Source(name, pattern, _not_empty(images), "image2", options)


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", path.name)]


def _not_empty(files: Iterable[Path]) -> tuple[Path, ...]:
    files = tuple(files)
    for file in files:
        if not file.is_file() or file.stat().st_size == 0:
            raise InputError(f"{file}: is not an image (no file, or empty); remove it or make it again")
    return files


def stem(name: str) -> Path:
    """The path without suffix from which the name of a result is made: ``clip`` of ``clip.mp4``, ``shot`` of
    ``shot_%04d.png``, ``frames`` of ``frames/%04d.png`` and of the folder ``frames/``."""
    path = Path(name)
    if not is_sequence(name):
        return path.with_name(path.stem)
    if path.is_dir():
        return path.resolve() if path.name in ("", "..") else path
    plain = _NUMBER.sub("", path.stem).strip("-_. ")
    if plain:
        return path.with_name(plain)
    folder = path.parent
    return folder.resolve() if folder.name in ("", "..") else folder
