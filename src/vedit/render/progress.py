"""What the renderer tells about its progress, and to whom."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told from several threads; must return at once."""

    def stage(self, name: str, before: int = 0) -> None:
        """A new stage began: "load", "edit", "finish". ``before``: what an earlier run had done of it."""
        ...

    def frames(self, done: int, total: int | None) -> None:
        """``done`` frames of the result are written, of about ``total``."""
        ...


class Silent:
    """Tells nobody."""

    def stage(self, name: str, before: int = 0) -> None: ...

    def frames(self, done: int, total: int | None) -> None: ...
