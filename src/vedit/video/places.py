"""Where the values of a JSON text stand, so that an error can name the line (the standard library only)."""

from __future__ import annotations

import bisect
import json
import re

Path = tuple[str | int, ...]  # keys and positions that lead to a value; () is the whole text


class TwiceError(ValueError):
    """A key that stands twice in an object, of which JSON readers take the last: ``key``, and the ``line`` of that."""

    def __init__(self, key: str, line: int) -> None:
        super().__init__(f"{key!r} stands there twice")
        self.key, self.line = key, line


_SPACE = re.compile(r"[ \t\n\r]*")


def lines_of(text: str, depth: int = 5) -> dict[Path, int]:
    """The line on which each value of a valid JSON text begins, from 1, down to ``depth`` keys and positions.

    Raises ``ValueError`` for a text that is not JSON, :class:`TwiceError` for a key that an object has twice.
    """
    decoder = json.JSONDecoder()
    breaks = [match.start() for match in re.finditer("\n", text)]
    found: dict[Path, int] = {}

    def skip(at: int) -> int:
        match = _SPACE.match(text, at)
        assert match is not None
        return match.end()

    def walk(at: int, path: Path) -> int:
        """The end of the value that begins at ``at``."""
        found[path] = bisect.bisect_left(breaks, at) + 1
        if len(path) >= depth or text[at : at + 1] not in ("[", "{"):
            return decoder.raw_decode(text, at)[1]
        named, closing = text[at] == "{", "}" if text[at] == "{" else "]"
        at, number = skip(at + 1), 0
        while text[at : at + 1] != closing:
            key: str | int = number
            if named:
                begin = at
                key, at = decoder.raw_decode(text, at)
                if (*path, key) in found:
                    raise TwiceError(str(key), bisect.bisect_left(breaks, begin) + 1)
                at = skip(skip(at) + 1)  # the colon
            at = skip(walk(at, (*path, key)))
            at, number = skip(at + 1) if text[at : at + 1] == "," else at, number + 1
        return at + 1

    walk(skip(0), ())
    return found
