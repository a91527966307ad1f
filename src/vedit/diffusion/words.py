"""Which words of two prompts belong together, as matrices over the columns of text attention.

Hertz et al., "Prompt-to-Prompt Image Editing with Cross-Attention Control" (2022), section 3: the attention to a word
that stays is taken from the source, that to a new word is the edit's own ("refine"); or a word that stands in the place
of another takes over its attention ("replace").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

import torch

from vedit.errors import UsageError

Words = Sequence[tuple[str, Sequence[int]]]  # each with the columns of its tokens


@dataclass(frozen=True, eq=False)
class Alignment:
    """``mapping`` (L, L): column j of ``maps @ mapping`` is the source's attention that goes to the target's token j.

    ``kept`` (L,): 1 where the source's attention is taken, 0 where the target's own stays. ``source`` and ``target``:
    columns of the words that are different.
    """

    mapping: torch.Tensor
    kept: torch.Tensor
    source: list[int]
    target: list[int]

    def blend(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Attention (..., L) of the edit from the source's and the target's own."""
        mapped = source @ self.mapping.to(source)
        kept = self.kept.to(source)
        return kept * mapped + (1.0 - kept) * target


def align(source: Words, target: Words, length: int, mode: Literal["refine", "replace"] = "refine") -> Alignment:
    """Align two prompts of ``length`` columns, begin and end included.

    Padding belongs to the padding that is as far behind the end. Raises ``UsageError`` when "replace" finds no equal
    number of words in the place of those that changed.
    """
    mapping, kept = torch.zeros(length, length), torch.zeros(length)
    changed_source: list[int] = []
    changed_target: list[int] = []
    matcher = SequenceMatcher(
        None, [word.casefold() for word, _ in source], [word.casefold() for word, _ in target], False
    )
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        old, new = source[i1:i2], target[j1:j2]
        if tag != "equal":
            changed_source += [column for _, columns in old for column in columns]
            changed_target += [column for _, columns in new for column in columns]
            if mode == "refine":
                continue
            if len(old) != len(new):
                raise UsageError(
                    f"-s words=replace: {_said(old)} cannot give its attention to {_said(new)}, since words are "
                    "replaced one by one; use -s words=refine, or as many words in --target"
                )
        for (_, here), (_, there) in zip(old, new, strict=True):
            _connect(mapping, here, there)
            kept[list(there)] = 1.0
    before, after = _end(source), _end(target)
    mapping[0, 0] = kept[0] = 1.0
    for column in range(after, length):
        mapping[min(before + column - after, length - 1), column] = 1.0
        kept[column] = 1.0
    return Alignment(mapping, kept, changed_source, changed_target)


def _connect(mapping: torch.Tensor, here: Sequence[int], there: Sequence[int]) -> None:
    """Give the attention of the tokens ``here`` to those ``there``: one to one, or all of it spread evenly."""
    if len(here) == len(there):
        mapping[list(here), list(there)] = 1.0
        return
    for column in there:
        mapping[list(here), column] = 1.0 / len(there)


def _end(words: Words) -> int:
    """The column behind the last word."""
    return max((column for _, columns in words for column in columns), default=0) + 1


def _said(words: Words) -> str:
    return repr(" ".join(word for word, _ in words)) if words else "nothing"
