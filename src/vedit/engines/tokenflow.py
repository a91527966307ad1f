"""TokenFlow: what the source's tokens have in common over time, the edit's tokens get too.

Geyer et al., "TokenFlow: Consistent Diffusion Features for Consistent Video Editing" (2023), section 4. At every step
one frame of each batch of frames is a keyframe. Keyframes are denoised together, each attending to all of them. Every
other token then gets the attention output of the keyframe tokens that it resembles most in the source, from the
keyframe of its own batch and of the batch before. (The published code spreads the keyframes' outputs over the source's
own branch too; here the source goes through the network as it is, so what is looked up and put in is its own.)
Structure is kept by Plug-and-Play injection (Tumanyan et al. 2023, section 4) or, in the SDEdit variant, by starting
from a middle level.

The keyframes of a window stand for the clip: the first one of the shot and the last one of the window before go along
as they were at every step, and frames before them are forgotten, so memory does not grow with the clip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from pydantic import BaseModel, Field

from vedit.diffusion import guidance
from vedit.diffusion.attention import Call, Place, Rule, attend, attention, of_all, plain, residuals
from vedit.diffusion.field import nearest, shares
from vedit.diffusion.inversion import Trajectory, first_step
from vedit.diffusion.sampling import Progress, ddim
from vedit.diffusion.schedule import Schedule, Step
from vedit.engines.base import Share, Work
from vedit.engines.prompt import InversionSettings, PromptEngine
from vedit.engines.shared import REWIRES, Tally
from vedit.errors import ModelError
from vedit.jobs import PromptPair

INJECTED_RESNET = (1, 1)  # Plug-and-Play's layer 4 of the decoder: up block, ResNet


class Settings(InversionSettings):
    """Options of the method. The paper inverts in 500 steps (``inversion_steps``), which is ten times the work."""

    variant: Literal["pnp", "sdedit"] = Field(default="pnp", description="how the structure of the source is kept")
    batch: int = Field(default=8, ge=1, le=64, description="frames for each keyframe")
    attention_share: float = Field(
        default=0.5, ge=0, le=1, description="pnp: share of the steps with the source's queries and keys"
    )
    feature_share: float = Field(
        default=0.8, ge=0, le=1, description="pnp: share of the steps with the source's features of one layer"
    )
    strength: float = Field(default=0.9, ge=0, le=1, description="sdedit: share of the steps that are taken")
    negative_prompt: str = Field(
        default="ugly, blurry, low res, unrealistic, unaesthetic", description="what the guidance leads away from"
    )


@dataclass(frozen=True, eq=False)
class Keyframe:
    """One keyframe at one step: ``source`` and ``edit``, (C, h, w), its latents there; ``centre`` of its batch."""

    source: torch.Tensor
    edit: torch.Tensor
    centre: float


@dataclass(eq=False)
class Kept:
    """By step index: the first keyframe of the shot, and the last one so far."""

    head: dict[int, Keyframe] = field(default_factory=dict)
    tail: dict[int, Keyframe] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Batch:
    """Frames ``part`` of the window, whose absolute indices are ``frames``."""

    part: slice
    frames: range

    @property
    def centre(self) -> float:
        return (self.frames[0] + self.frames[-1]) / 2.0


@dataclass(eq=False)
class _Source:
    """What a pass over source latents leaves: per layer tokens (K, N, C), queries and keys; features of one ResNet."""

    tokens: dict[str, torch.Tensor] = field(default_factory=dict)
    queries: dict[str, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    residual: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict)


class TokenFlow(PromptEngine):
    """The engine."""

    name: ClassVar[str] = "tokenflow"
    Settings: ClassVar[type[BaseModel]] = Settings
    at_once: ClassVar[int] = 40  # frames that the paper edits together: five keyframes
    hinders: ClassVar[Mapping[str, str]] = REWIRES

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._injected = {place.name for place in self.self_attention if _is_injected(place)}
        blocks = self.network.up_blocks
        if len(blocks) <= INJECTED_RESNET[0] or len(blocks[INJECTED_RESNET[0]].resnets) <= INJECTED_RESNET[1]:
            raise ModelError(
                f"{self.model}: its U-Net has no up block {INJECTED_RESNET[0]} with a ResNet {INJECTED_RESNET[1]}, so "
                "TokenFlow cannot be used with it"
            )

    @classmethod
    def together(cls, settings: Settings, frames: int) -> int:
        """See :meth:`ModelEngine.together`. A batch, or the keyframes with the two that go along."""
        return min(frames, max(settings.batch, -(-frames // settings.batch) + 2))

    @classmethod
    def inversion(cls, settings: Settings, schedule: Schedule, frames: int) -> Work:
        """See :meth:`PromptEngine.inversion`. Batch by batch, as no frame sees another one on the way back."""
        one, batches = super().inversion(settings, schedule, frames), -(-frames // settings.batch)
        return Work(one.evaluations * batches, one.frames, one.inversion_evaluations * batches)

    def predict_back(self, z: torch.Tensor, timestep: int, text: str, tally: Tally) -> torch.Tensor:
        """See :meth:`PromptEngine.predict_back`."""
        return torch.cat([self.predict(part, timestep, text, tally) for part in z.split(self.settings.batch)])

    @classmethod
    def work(cls, settings: Settings, schedule: Schedule, share: Share) -> Work:
        """See :meth:`ModelEngine.work`. At each step the keyframes, two of which go along, and then all frames: once as
        the source has them, and once for each branch."""
        start = first_step(schedule, settings.steps)
        steps = settings.steps - start
        if settings.variant == "sdedit":
            steps = round(settings.strength * steps)
        batches = -(-share.new // settings.batch)
        passes = steps * (1 + len(guidance.text_weights(settings.guidance)))
        seen = share.new + batches + 2 * share.before
        return cls.inversion(settings, schedule, share.new) + Work(passes * (1 + batches), passes * seen)

    def denoise(
        self, source: torch.Tensor, frames: range, prompt: PromptPair, kept: Kept | None, tally: Tally,
        progress: Progress | None,
    ) -> tuple[torch.Tensor, Kept]:  # fmt: skip
        """See :meth:`ModelEngine.denoise`."""
        settings: Settings = self.settings
        trajectory = self.inverted(source, prompt, tally)
        start, z = trajectory.start, trajectory.noise
        if settings.variant == "sdedit":
            first = self.schedule.steps(settings.steps)[start]
            # The noise that, put over the source, gives where the inversion ended.
            noise = (trajectory.noise - first.alpha * source) / first.sigma
            start = settings.steps - round(settings.strength * (settings.steps - start))
            if start == settings.steps:
                return source, kept or Kept()
            step = self.schedule.steps(settings.steps)[start]
            z = step.alpha * source + step.sigma * noise
        window = _Window(self, trajectory, start, frames, prompt, kept, tally)
        latents = ddim(window.denoise, z, self.schedule, settings.steps, start=start, progress=progress)
        return latents, window.kept


class _Window:
    """One window: :meth:`denoise` is a step of it."""

    def __init__(
        self, engine: TokenFlow, trajectory: Trajectory, start: int, frames: range, prompt: PromptPair,
        before: Kept | None, tally: Tally,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._settings: Settings = engine.settings
        self._trajectory = trajectory
        self._start = start
        self._prompt = prompt
        self._before = before
        self._tally = tally
        self.kept = Kept(head=before.head if before else {})
        size = self._settings.batch
        self._batches = [
            _Batch(slice(first, min(first + size, len(frames))), frames[first : first + size])
            for first in range(0, len(frames), size)
        ]

    def denoise(self, z: torch.Tensor, step: Step) -> torch.Tensor:
        """x̂₀ of all frames of the window, (N, C, h, w)."""
        source = self._trajectory.at(step)
        keyframes = self._keyframes(source, z, step)
        seen = self._look(torch.stack([key.source for key in keyframes]), step)
        edits = torch.stack([key.edit for key in keyframes])
        texts = {guidance.UNCOND: self._settings.negative_prompt, guidance.FULL: self._prompt.target}
        outputs: dict[str, dict[str, torch.Tensor]] = {}
        for branch in self._branches():
            outputs[branch] = {}
            rule = self._extended(seen, outputs[branch], step)
            with self._around(rule, seen, step):
                self._engine.predict(edits, step.timestep, texts[branch], self._tally)
        spread = []
        for index, batch in enumerate(self._batches):
            own = len(keyframes) - len(self._batches) + index
            previous = own - 1 if own > 0 else None  # the first batch of a shot has none before it
            spread.append(self._spread(z, source, batch, step, keyframes, own, previous, seen, outputs))
        # Guided as a whole: rescaled batch by batch, contrast would jump from one to the next.
        output, _ = guidance.text(
            lambda branch: torch.cat([part[branch] for part in spread]),
            self._settings.guidance,
            self._settings.guidance_rescale,
        )
        return self._engine.schedule.to_clean(output, z, step.timestep)

    def _branches(self) -> list[str]:
        return list(guidance.text_weights(self._settings.guidance))

    def _keyframes(self, source: torch.Tensor, z: torch.Tensor, step: Step) -> list[Keyframe]:
        """Those that go along, then one of each batch, drawn by seed, step and absolute frame."""
        drawn = []
        for batch in self._batches:
            place = f"{self._engine.seed}:{step.index}:{batch.frames[0]}"
            chosen = batch.part.start + _draw(place, len(batch.frames))
            drawn.append(Keyframe(source[chosen].clone(), z[chosen].clone(), batch.centre))
        before: list[Keyframe] = []
        if self._before is not None and step.index in self._before.tail:
            head, tail = self._before.head[step.index], self._before.tail[step.index]
            before = [tail] if head is tail else [head, tail]
        else:
            self.kept.head[step.index] = drawn[0]
        self.kept.tail[step.index] = drawn[-1]
        return before + drawn

    # -- passes over keyframes -----------------------------------------------------------------------------------

    def _look(self, latents: torch.Tensor, step: Step) -> _Source:
        """The source's keyframes through the network, for what has to be known of them."""
        seen = _Source()

        def rule(call: Call) -> torch.Tensor:
            seen.tokens[call.place.name] = call.hidden
            query, key, value = call.project()
            if call.place.name in self._engine._injected:
                seen.queries[call.place.name] = query, key
            return call.close(attend(query, key, value))

        self._see(latents, step, rule, seen)
        return seen

    def _see(self, latents: torch.Tensor, step: Step, rule: Rule, seen: _Source) -> None:
        def residual(which: tuple[int, int], tensor: torch.Tensor) -> torch.Tensor:
            seen.residual[which] = tensor
            return tensor

        with attention(self._engine.self_attention, rule):
            with residuals(self._engine.network, [INJECTED_RESNET], residual):
                self._engine.predict(latents, step.timestep, self._prompt.source, self._tally)

    def _extended(self, seen: _Source, outputs: dict[str, torch.Tensor], step: Step) -> Rule:
        """Every keyframe attends to all of them; what comes out is remembered by layer, (K, N, C)."""
        inject = self._early(step, self._settings.attention_share)

        def rule(call: Call) -> torch.Tensor:
            query, key, value = call.project()
            if inject and call.place.name in seen.queries:
                query, key = seen.queries[call.place.name]
            outputs[call.place.name] = call.close(attend(query, of_all(key), of_all(value)))
            return outputs[call.place.name]

        return rule

    @contextmanager
    def _around(self, rule: Rule, seen: _Source, step: Step) -> Iterator[None]:
        """``rule`` in self-attention and, early on, the source's features in one ResNet."""
        with ExitStack() as stack:
            stack.enter_context(attention(self._engine.self_attention, rule))
            if self._early(step, self._settings.feature_share):
                stack.enter_context(
                    residuals(self._engine.network, [INJECTED_RESNET], lambda which, tensor: seen.residual[which])
                )
            yield

    def _early(self, step: Step, share: float) -> bool:
        """Whether Plug-and-Play injects at ``step``, for the first ``share`` of the steps."""
        if self._settings.variant != "pnp":
            return False
        return step.index - self._start < round(share * (step.count - self._start))

    # -- passes over all frames ----------------------------------------------------------------------------------

    def _spread(
        self, z: torch.Tensor, source: torch.Tensor, batch: _Batch, step: Step, keyframes: list[Keyframe], own: int,
        previous: int | None, keys: _Source, outputs: dict[str, dict[str, torch.Tensor]],
    ) -> dict[str, torch.Tensor]:  # fmt: skip
        """The network's output for one batch, (n, C, h, w) by branch, from the attention outputs of its own keyframe
        and of the one before."""
        seen = _Source()
        fields: dict[str, dict[int, torch.Tensor]] = {}
        chosen = [own] if previous is None else [own, previous]

        def look(call: Call) -> torch.Tensor:
            tokens = keys.tokens[call.place.name]
            fields[call.place.name] = {index: nearest(call.hidden, tokens[index]) for index in chosen}
            return plain(call)

        z = z[batch.part]
        self._see(source[batch.part], step, look, seen)
        share = None if previous is None else shares(batch.frames, keyframes[own].centre, keyframes[previous].centre)
        texts = {guidance.UNCOND: self._settings.negative_prompt, guidance.FULL: self._prompt.target}

        def evaluate(branch: str) -> torch.Tensor:
            def gather(call: Call) -> torch.Tensor:
                made, field = outputs[branch][call.place.name], fields[call.place.name]
                mixed = made[own][field[own]]
                if previous is None or share is None:
                    return mixed
                weight = share.to(mixed)[:, None, None]
                return weight * mixed + (1.0 - weight) * made[previous][field[previous]]

            with self._around(gather, seen, step):
                return self._engine.predict(z, step.timestep, texts[branch], self._tally)

        return {branch: evaluate(branch) for branch in self._branches()}


def _is_injected(place: Place) -> bool:
    """Plug-and-Play's layers 4 to 11 of the decoder: up blocks (1, 1) to (3, 2)."""
    return place.part == "up" and (place.block, place.layer) >= (1, 1)


def _draw(key: str, count: int) -> int:
    """A number below ``count`` that depends on ``key`` alone."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") % count


ENGINE = TokenFlow
