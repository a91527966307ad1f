"""FateZero: the edit attends as the source did.

Qi et al., "FateZero: Fusing Attentions for Zero-shot Text-based Video Editing" (2023), section 3. On the way back to
noise the source's attention is recorded, to the picture and to the text, in all layers coarser than the latent. While
the edit is denoised, its attention to words that stay is the source's, and so is its attention to the picture, outside
of where the changed words are. Coarse layers take keys and values from one frame, the middle one of the shot's first
window, which goes along with every later window.

The recorded maps of a whole inversion take much memory (about 100 GB at the paper's size). So by default those of one
step are made again when they are needed, by one more evaluation on the source's latents, and nothing is stored; this is
also what happens when the latents come from the cache. With ``maps=store`` they are stored in half precision: in memory
up to ``store_memory``, on disk beyond.

Of the paper's two forms this is the one that needs no training. Its other one, for shapes that change much, runs on a
model that was tuned to the clip as Tune-A-Video does it, and takes keys and values from the first frame and the one
before; that one is not here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, Field, model_validator
from torch.nn import functional

from vedit.diffusion.attention import (
    Call,
    Pick,
    Place,
    Rule,
    Store,
    attend,
    attention,
    cross_frame,
    of_frame,
    plain,
    probabilities,
)
from vedit.diffusion.guidance import FULL, text_weights
from vedit.diffusion.inversion import Trajectory, first_step
from vedit.diffusion.masks import blended, of_words
from vedit.diffusion.sampling import Progress, ddim
from vedit.diffusion.schedule import Schedule, Step
from vedit.diffusion.words import Alignment, align
from vedit.engines.base import Share, Work
from vedit.engines.prompt import InversionSettings, PromptEngine
from vedit.engines.shared import REWIRES, Tally
from vedit.errors import ModelError, UsageError
from vedit.jobs import PromptPair

MASK_FACTOR = 4  # latents a side: the maps from which masks are made, 16² for Stable Diffusion's 64²


class Settings(InversionSettings):
    """Options of the method. The paper: 0.8 to 0.9 for style, 0.5 to 0.7 for attributes."""

    cross_replace: float = Field(
        default=0.8, ge=0, le=1, description="share of the steps in which words that stay are attended to as before"
    )
    self_replace: float = Field(
        default=0.8, ge=0, le=1, description="share of the steps in which the picture attends to itself as before"
    )
    words: Literal["refine", "replace"] = Field(
        default="refine", description="new words attend by themselves, or as the words in whose place they stand"
    )
    emphasis: float = Field(default=1.0, ge=0, le=20, description="factor of the attention to the words that are new")
    mask_threshold: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="where changed words get more attention than this, the picture attends to itself anew; 1: nowhere",
    )
    blend: bool = Field(default=False, description="keep the source's latents outside of the changed words")
    maps: Literal["again", "store"] = Field(
        default="again",
        description="make the source's attention again at each step, or store all of it; what a "
        "finer or more exact inversion sees is not what the steps see, so with one it is always made again",
    )
    store_memory: float = Field(
        default=2.0, ge=0, le=1000, description="GB of memory for stored attention; what is more goes to disk"
    )

    @property
    def near(self) -> bool:
        """Whether the inversion's latents are those of the sampler's steps, or nearly so."""
        return bool(self.fixed_point) or (self.inversion_steps or self.steps) > self.steps

    @property
    def stores(self) -> bool:
        """Whether what the inversion shows the network is kept. An inversion that iterates or has other levels shows
        it other latents than a trajectory from the cache has."""
        return self.maps == "store" and not self.near

    @model_validator(mode="after")
    def _blend_has_a_mask(self) -> Settings:
        if self.blend and self.mask_threshold >= 1.0:
            raise ValueError(
                "-s blend=true: keeps the source outside of a mask; give -s mask_threshold below 1, as 0.3"
            )
        return self


@dataclass(frozen=True, eq=False)
class _Maps:
    """The source's attention at one step, and the mask of the changed words, (T, 1, h, w) in {0, 1}, or None."""

    by_layer: dict[str, torch.Tensor]
    mask: torch.Tensor | None


class FateZero(PromptEngine):
    """The engine."""

    name: ClassVar[str] = "fatezero"
    Settings: ClassVar[type[BaseModel]] = Settings
    hinders: ClassVar[Mapping[str, str]] = REWIRES

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._coarse = [place for place in [*self.self_attention, *self.text_attention] if place.factor > 1]
        if not self._coarse:
            raise ModelError(
                f"{self.model}: its U-Net attends at the finest level only, so FateZero has nothing to keep"
            )

    @classmethod
    def work(cls, settings: Settings, schedule: Schedule, share: Share) -> Work:
        """See :meth:`ModelEngine.work`. The frame that others see goes along; without stored maps the source's
        attention takes an evaluation more in every step that needs it."""
        frames = share.new + share.before
        count = settings.steps - first_step(schedule, settings.steps)
        steps = range(count)
        again: set[int] = set()
        if FULL in text_weights(settings.guidance):
            again |= set(steps[: round(max(settings.cross_replace, settings.self_replace) * count)])
        if settings.blend:
            again |= set(steps[round(0.2 * count) : round(0.8 * count)])
        extra = 0 if settings.stores else len(again)
        return super().work(settings, schedule, Share(frames)) + Work(extra, extra * frames)

    def denoise(
        self, source: torch.Tensor, frames: range, prompt: PromptPair, kept: torch.Tensor | None, tally: Tally,
        progress: Progress | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """See :meth:`ModelEngine.denoise`. ``kept``: (1, C, h, w), source latents of the frame that others see.

        Raises ``UsageError`` for a mask of the words that change, or emphasis on new ones, where there are none.
        """
        settings: Settings = self.settings
        together = source if kept is None else torch.cat([kept, source])
        seen = len(source) // 2 if kept is None else 0
        pick = of_frame(seen)
        beside = None if self._cache is None else self._cache.folder  # the system's own may lie in memory
        store = Store(round(settings.store_memory * 1e9), beside) if settings.stores else None
        words = align(
            self.text.words(prompt.source), self.text.words(prompt.target), self.text.length, settings.words
        )  # fmt: skip
        if settings.mask_threshold < 1.0 and not words.source:
            raise UsageError(
                "-s mask_threshold: shows where words of --source that change are, and --target only adds words; leave "
                "it out, or name in --source what changes"
            )

        if settings.emphasis != 1.0 and not words.target:
            raise UsageError(
                "-s emphasis: is of words that are new in --target, and it only leaves words out; leave it out too"
            )

        @contextmanager
        def watch(timestep: int) -> Iterator[None]:
            maps: dict[str, torch.Tensor] = {}
            with attention(self._coarse, record(pick, maps)):
                yield
            if store is not None:
                for name, tensor in maps.items():
                    store.put((timestep, name), tensor)

        trajectory = self.inverted(
            together, prompt, tally, rule=(f"coarse layers see frame {seen}", cross_frame(pick)), watch=watch
        )
        edit = _Edit(self, trajectory, prompt, words, pick, store, tally)
        latents = self.sample(
            trajectory.noise, trajectory.start, prompt, tally, around=edit.around, solve=edit.solve, progress=progress
        )
        return latents[len(together) - len(source) :], together[seen : seen + 1]


class _Edit:
    """One window on its way from noise to the edit."""

    def __init__(
        self, engine: FateZero, trajectory: Trajectory, prompt: PromptPair, words: Alignment, pick: Pick,
        store: Store | None, tally: Tally,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._settings: Settings = engine.settings
        self._trajectory = trajectory
        self._prompt = prompt
        self._words = words
        self._pick = pick
        self._store = store
        self._tally = tally
        self._index = -1
        self._now = _Maps({}, None)

    def _early(self, step: Step, share: float) -> bool:
        """Whether ``step`` is among the first ``share`` of those that are taken."""
        start = self._trajectory.start
        return step.index - start < round(share * (step.count - start))

    @contextmanager
    def around(self, branch: str, step: Step) -> Iterator[None]:
        """The attention of one evaluation: only the branch with the target prompt is held to the source."""
        coarse, pick = self._engine._coarse, self._pick
        rule = self._rule(step) if branch == FULL else spatial(pick)
        with attention(coarse, rule):
            yield

    def _rule(self, step: Step) -> Rule:
        cross, own = self._early(step, self._settings.cross_replace), self._early(step, self._settings.self_replace)
        if not cross and not own:
            return self._emphasised(spatial(self._pick))
        maps = self._maps(step)

        def rule(call: Call) -> torch.Tensor:
            if call.place.text:
                return self._text(call, maps.by_layer[call.place.name] if cross else None)
            return self._picture(call, maps) if own else spatial(self._pick)(call)

        return rule

    def _emphasised(self, otherwise: Rule) -> Rule:
        return lambda call: self._text(call, None) if call.place.text else otherwise(call)

    def _text(self, call: Call, source: torch.Tensor | None) -> torch.Tensor:
        """Attention to the words: the source's for those that stay, more of it for those that are new."""
        query, key, value = call.project()
        if source is None and self._settings.emphasis == 1.0:
            return call.close(attend(query, key, value))
        maps = probabilities(query, key)
        if source is not None:
            maps = self._words.blend(source.to(maps), maps)
        if self._settings.emphasis != 1.0 and self._words.target:
            scale = torch.ones(maps.shape[-1])
            scale[self._words.target] = self._settings.emphasis
            maps = maps * scale.to(maps)
        return call.close(maps @ value)

    def _picture(self, call: Call, maps: _Maps) -> torch.Tensor:
        """Attention to the picture: the source's, outside of the mask."""
        query, key, value = call.project()
        value, source = self._pick(value), maps.by_layer[call.place.name]
        if maps.mask is None:
            return call.close(source @ value)
        own = probabilities(query, self._pick(key))
        mask = _at_tokens(maps.mask, call.place, self._trajectory.noise).to(own)
        return call.close((mask * own + (1.0 - mask) * source) @ value)

    def _maps(self, step: Step) -> _Maps:
        """The source's attention that belongs to ``step``: stored, or made again."""
        if self._index != step.index:
            # What the inversion showed the network last: where the step ends; with fixed points, and nearly so on a
            # finer grid than the sampler's, where it begins.
            trajectory, settings = self._trajectory, self._settings
            latents = trajectory.at(step) if settings.near else trajectory.after(step)
            by_layer: dict[str, torch.Tensor] = {}
            names = [place.name for place in self._engine._coarse]
            if self._store is not None and (step.timestep, names[0]) in self._store:
                like = torch.empty(0, dtype=self._engine.dtype, device=latents.device)
                by_layer = {name: self._store.get((step.timestep, name), like) for name in names}
            else:
                with attention(self._engine._coarse, record(self._pick, by_layer)):
                    self._engine.predict(latents, step.timestep, self._prompt.source, self._tally)
                if self._store is not None:  # as rounded as those that an inversion leaves there
                    by_layer = {name: maps.to(torch.float16).to(maps) for name, maps in by_layer.items()}
            self._now = _Maps(by_layer, self._mask(by_layer))
            self._index = step.index
        return self._now

    def _mask(self, by_layer: dict[str, torch.Tensor]) -> torch.Tensor | None:
        """Where the source attends to the words that change, or None where it must not count."""
        if self._settings.mask_threshold >= 1.0 or not self._words.source:
            return None
        cross = [place for place in self._engine._coarse if place.text]
        factor = max((place.factor for place in cross if place.factor <= MASK_FACTOR), default=None)
        chosen = [by_layer[place.name] for place in cross if place.factor == factor]
        if not chosen or factor is None:
            return None
        size = _size(self._trajectory.noise, factor)
        return of_words(chosen, self._words.source, size, self._settings.mask_threshold)

    def solve(self, denoise: Any, z: torch.Tensor, schedule: Any, steps: int, **more: Any) -> torch.Tensor:
        """DDIM that keeps the source's latents outside of the mask between a fifth and four fifths of the way."""
        if not self._settings.blend:
            return ddim(denoise, z, schedule, steps, **more)

        def land(z: torch.Tensor, step: Step) -> torch.Tensor:
            if not self._early(step, 0.8) or self._early(step, 0.2):
                return z
            mask = self._maps(step).mask
            return z if mask is None else blended(z, self._trajectory.after(step), mask)

        return ddim(denoise, z, schedule, steps, land=land, **more)


def spatial(pick: Pick) -> Rule:
    """What coarse layers do without control: the picture as ``pick`` says, the text as ever."""
    own = cross_frame(pick)
    return lambda call: plain(call) if call.place.text else own(call)


def record(pick: Pick, maps: dict[str, torch.Tensor]) -> Rule:
    """:func:`spatial` that leaves the attention of every layer, (T, heads, N, L), in ``maps`` by its name."""

    def rule(call: Call) -> torch.Tensor:
        query, key, value = call.project()
        if not call.place.text:
            key, value = pick(key), pick(value)
        maps[call.place.name] = probabilities(query, key)
        return call.close(maps[call.place.name] @ value)

    return rule


def _size(latents: torch.Tensor, factor: int) -> tuple[int, int]:
    """Height and width in tokens. Halving rounds up."""
    height, width = latents.shape[-2:]
    return -(-height // factor), -(-width // factor)


def _at_tokens(mask: torch.Tensor, place: Place, latents: torch.Tensor) -> torch.Tensor:
    """A mask (T, 1, h, w) for the queries of a layer: (T, 1, N, 1)."""
    return functional.interpolate(mask, size=_size(latents, place.factor), mode="nearest").flatten(2)[..., None]


ENGINE = FateZero
