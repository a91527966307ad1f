"""What several methods need and none of them owns."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vedit.errors import ModelError, VeditError
from vedit.weights.load import load_tensors

if TYPE_CHECKING:
    from vedit.engines.base import Execution
    from vedit.nets.text import TextEncoder
    from vedit.weights import Bundle


@contextmanager
def timed(timings: dict[str, float], name: str) -> Iterator[None]:
    """Add the seconds that the block takes to ``timings[name]``."""
    began = time.perf_counter()
    yield
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    timings[name] = timings.get(name, 0.0) + time.perf_counter() - began


@dataclass
class Tally:
    """What an edit took: seconds by stage, evaluations of the network, and those of them that went back to noise."""

    timings: dict[str, float] = field(default_factory=dict)
    evaluations: int = 0
    inversion_evaluations: int = 0


# Of methods that put rules in the place of attention layers, for one call at a time and one branch of it.
REWIRES = {
    "batch_guidance": "it tells each branch apart by asking for it alone",
    "compile": "it changes what layers of the network do from call to call",
}

Together = Callable[[tuple[str, ...]], torch.Tensor]  # the outputs of some branches of guidance: (B, ...)


def evaluator(together: Together, branches: tuple[str, ...], execution: Execution) -> Callable[[str], torch.Tensor]:
    """From the name of a branch to its output: each is asked for by itself, or all ``branches`` at once."""
    if not execution.batch_guidance:
        return lambda branch: together((branch,))[0]
    made: dict[str, torch.Tensor] = {}

    def of(branch: str) -> torch.Tensor:
        if not made:
            made.update(zip(branches, together(branches), strict=True))
        return made[branch]

    return of


def fresh(latents: torch.Tensor) -> torch.Tensor:
    """A plain copy. Kernels add in another order for other strides or alignment, and a hit must give a miss's bytes."""
    return latents.clone(memory_format=torch.contiguous_format)


def mirrored(frames: torch.Tensor, margin: int) -> torch.Tensor:
    """Frames (T, 3, H, W) with ``margin`` more columns on the right and rows below, which mirror the picture. A side
    that is too short to be mirrored stays."""
    height, width = frames.shape[-2:]
    longer = [margin if side > margin else 0 for side in (width, height)]
    return torch.nn.functional.pad(frames, (0, longer[0], 0, longer[1]), mode="reflect") if any(longer) else frames


@dataclass(frozen=True, eq=False)
class Carry:
    """What a window leaves to the next: its frames, of which the first has the index ``first``; the method's own."""

    first: int
    frames: torch.Tensor  # (T, 3, H, W)
    reconstruction: torch.Tensor  # (T, 3, H, W)
    kept: Any

    def part(self, first: int, count: int) -> slice:
        """Where the frames ``first`` .. ``first + count`` are. Raises ``ValueError`` when they are not all there."""
        start = first - self.first
        if start < 0 or start + count > len(self.frames):
            raise ValueError(
                f"{count} reference frames from {first} on, but the window before has frames "
                f"{self.first} to {self.first + len(self.frames) - 1}"
            )
        return slice(start, start + count)

    @classmethod
    def joined(
        cls,
        before: Carry | None,
        first: int,
        reference: int,
        frames: torch.Tensor,
        reconstruction: torch.Tensor,
        kept: Any,
    ) -> Carry:
        """Of a window that begins at ``first``: ``reference`` frames as ``before`` has them, then the new ones.

        Raises ``ValueError`` when it does not have them.
        """
        if before is not None and reference:
            part = before.part(first, reference)
            frames = torch.cat([before.frames[part], frames])
            reconstruction = torch.cat([before.reconstruction[part], reconstruction])
        return cls(first, frames, reconstruction, kept)


class Texts:
    """Last hidden states of a few texts: (1, L, D). Kept, since every window asks for the same ones."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._states: dict[str, torch.Tensor] = {}

    def __call__(self, text: str) -> torch.Tensor:
        if text not in self._states:
            if len(self._states) > 8:
                self._states.clear()
            self._states[text] = self._encoder([text]).float()
        return self._states[text]


SAID = 5  # words at the most that a warning names
# Words that say nothing of what is seen by themselves.
SMALL_WORDS = frozenset(
    "a an the this that these those it its they their there here and or but as of in on at by to from for with over "
    "under into onto across along through around past behind before after near next beside between above below up "
    "down off out is are was were be being has have one two three four some many several very quite s".split()
)
CLEAR = 0.08  # by which cosine an instruction is nearer to one known edit than to any other


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What a model was trained for.

    ``directions``: tensors by name: ``directions`` (N, P), embedded texts that it knows; ``others`` (M, P), which stand
    for everything else. ``threshold``: see :meth:`warning`. ``known``: in words. ``model``: its name. ``words`` (N):
    for each direction the words by which the model does best what that asks for; empty where there are none.
    ``vocabulary``: all words that it was taught, for a model that was taught few; else empty.
    """

    directions: dict[str, torch.Tensor]
    threshold: float | None = None
    known: tuple[str, ...] = ()
    model: str = "the model"
    words: tuple[str, ...] = ()
    vocabulary: frozenset[str] = frozenset()

    @classmethod
    def of(cls, bundle: Bundle) -> Knowledge:
        """What the preset of ``bundle`` says. Raises ``ModelError`` for a file that cannot be read."""
        preset: dict[str, Any] = bundle.preset
        embeddings = preset.get("known_embeddings")
        return cls(
            load_tensors(Path(bundle.path, str(embeddings))) if embeddings else {},
            preset.get("known_threshold"),
            tuple(preset.get("knows", ())),
            bundle.name,
            tuple(preset.get("plain_words", ())),
            frozenset(preset.get("vocabulary", ())),
        )

    def plain(self, text: TextEncoder, prompt: str) -> str:
        """``prompt`` in the words by which the model does best what is meant; itself where that is not clear.

        Clear: it is not far from all that is known (:meth:`warning`), and nearer to one direction than to any other by
        a cosine of :data:`CLEAR`.
        """
        directions = self.directions.get("directions")
        if directions is None or not self.words or not text.can_embed or text.lost(prompt):
            return prompt
        found, place = (directions.float() @ text.embed([prompt])[0].cpu()).topk(2)
        clear = float(found[0] - found[1]) >= CLEAR and self._near(text, prompt) is not False
        return (self.words[int(place[0])] if clear else "") or prompt

    def _near(self, text: TextEncoder, prompt: str) -> bool | None:
        """Whether ``prompt`` is among what is known; None where nothing tells."""
        directions, others = self.directions.get("directions"), self.directions.get("others")
        if directions is None or self.threshold is None or not text.can_embed:
            return None
        embedded = text.embed([prompt])[0].cpu()
        near = float((directions.float() @ embedded).max())
        elsewhere = float((others.float() @ embedded).max()) if others is not None and len(others) else 0.0
        return near - elsewhere >= self.threshold

    def _untaught(self, prompt: str) -> list[str]:
        """The words of ``prompt`` that the model was not taught, each once; small words and plurals do not count."""
        if not self.vocabulary:
            return []
        known = self.vocabulary | SMALL_WORDS
        found = dict.fromkeys(re.findall(r"[^\W_]+", prompt.casefold()))
        return [word for word in found if word not in known and word.removesuffix("s") not in known]

    def warning(self, text: TextEncoder, what: str, prompt: str) -> str | None:
        """A warning when ``prompt``, which is called ``what``, is far from all that is known, or too long; else None.

        Far: its cosine to the nearest of the ``directions``, less that to the nearest of the ``others``, is below
        ``threshold``, or it has words that are not in the ``vocabulary``. A model without these never finds anything
        far.
        """
        strange, why = self._untaught(prompt), ""
        if strange:
            more = f" and {len(strange) - SAID} more" if len(strange) > SAID else ""
            why = f"has words that {self.model} was not taught ({', '.join(strange[:SAID])}{more})"
        elif self._near(text, prompt) is False:
            why = f"is far from what {self.model} was trained for"
        if why:
            knows = f"; it knows {', '.join(self.known)}" if self.known else ""
            return (
                f"the {what} {why}{knows}; "
                "for other edits choose a larger model: --model FOLDER or a hub id in the local cache"
            )
        lost = text.lost(prompt)
        if lost:
            return f"the {what} is too long for {self.model}: its last {lost} tokens are not read; shorten it"
        return None


def check_channels(found: tuple[int, int], wanted: tuple[int, int], purpose: str, model: str) -> None:
    """Raise ``ModelError`` unless a U-Net has the (input, output) channels that ``purpose`` needs."""
    if found != wanted:
        raise ModelError(
            f"{model}: its U-Net takes {found[0]} channels and returns {found[1]}; {purpose} needs {wanted[0]} and "
            f"{wanted[1]}"
        )


def check_finite(latents: torch.Tensor, fixed_point: int) -> None:
    """Raise ``VeditError`` for an inversion that overflowed or ran away, which would be edited and kept."""
    if latents.is_meta:  # of what is only counted
        return
    if not bool(latents.isfinite().all()):
        without = f", or leave -s fixed_point={fixed_point} out" if fixed_point else ""
        raise VeditError(f"the way back to noise is not finite; try --dtype fp32{without}")


def check_text_width(network: int | Sequence[int], text: int, model: str) -> None:
    """Raise ``ModelError`` unless a U-Net reads texts of the width that the text encoder gives."""
    if network != text:
        raise ModelError(f"{model}: its U-Net reads text of width {network}, its text encoder gives {text}")
