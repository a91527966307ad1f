"""AnyV2V: an edited first frame spreads over the clip, which keeps its motion.

Ku et al. 2024, "AnyV2V: A Tuning-Free Framework For Any Video-to-Video Editing Tasks". The source is inverted through
an image-to-video model that is conditioned on its own first frame (section 4.2). The model then makes the clip anew
from that noise and from the edited first frame, while what it does for the source is put in: the residual of a
convolution, queries and keys of spatial and of temporal attention (sections 4.3 and 4.4), each for a share of the
steps. On Stable Video Diffusion's network the residual is that of the spatial half of a ResNet, and temporal
attention is over the frames at each position.

Windows follow one another: the first frame of a window was made by the one before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from pydantic import BaseModel, Field

from vedit.cache import Cache, digest_of
from vedit.diffusion import edm
from vedit.diffusion.attention import Call, Place, attend, attention, places, residuals
from vedit.diffusion.edm import EDM, Step
from vedit.diffusion.inversion import Trajectory
from vedit.diffusion.sampling import Progress
from vedit.engines.base import Edited, Execution, Share, Spread, Window, Work
from vedit.engines.image2video import Condition, Image2Video, Image2VideoSettings, edited_before
from vedit.engines.shared import REWIRES, Carry, Tally, timed
from vedit.engines.trajectories import inverted

if TYPE_CHECKING:
    from vedit.weights import Bundle

RESIDUAL = (1, 1)  # up block and ResNet whose residual is put in


class Settings(Image2VideoSettings):
    """Options of the method. A share counts the steps that are taken: those from where the way back to noise ended."""

    convolution: float = Field(
        default=0.2, ge=0, le=1, description="share of the steps, from the noisiest, with the source's convolution"
    )
    spatial: float = Field(
        default=0.2, ge=0, le=1, description="the same with the source's spatial attention; keeps its layout"
    )
    temporal: float = Field(
        default=0.5, ge=0, le=1, description="the same with the source's temporal attention; keeps its motion"
    )
    inversion_steps: int | None = Field(
        default=None, ge=1, le=1000, description="steps back to noise, at least as many as steps; none: as many"
    )
    fixed_point: int = Field(
        default=0, ge=0, le=20, description="iterations that make each step back more exact, an evaluation each"
    )
    highest: float = Field(
        default=edm.HIGHEST, gt=0, le=1000, description="noise level up to which the source goes back"
    )

    def parts(self, step: Step, start: int) -> frozenset[str]:
        """What of the source is put in at a step, where ``start`` is the first one that is taken.

        Stable Video Diffusion has a third of its levels above those that a source can be brought back to.
        """
        shares = {"convolution": self.convolution, "spatial": self.spatial, "temporal": self.temporal}
        taken, count = step.index - start, step.count - start
        return frozenset(name for name, share in shares.items() if taken < round(share * count))


class Features:
    """What the network does for the source at one step, to be put into another branch.

    The three contexts leave the network as it was. ``convolution``, ``spatial`` and ``temporal`` say what is taken.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        self._network = network
        # All up blocks' layers but the first: "decoder layers 4 to 11" of the paper's network.
        self._layers = {
            "spatial": [place for place in places(network, text=False) if place.part == "up"][1:],
            "temporal": [place for place in places(network, text=False, temporal=True) if place.part == "up"][1:],
        }
        self._held: dict[Any, tuple[torch.Tensor, ...]] = {}

    @contextmanager
    def recorded(self, parts: frozenset[str]) -> Iterator[None]:
        """While the block runs, keep what the network does in ``parts``; what was kept before is forgotten."""
        self._held.clear()

        def see(call: Call) -> torch.Tensor:
            query, key, value = call.project()
            self._held[_name(call.place)] = (query, key)
            return call.close(attend(query, key, value))

        def keep(which: tuple[int, int], residual: torch.Tensor) -> torch.Tensor:
            self._held[which] = (residual,)
            return residual

        with self._inside(parts, see, keep):
            yield

    @contextmanager
    def injected(self, parts: frozenset[str]) -> Iterator[None]:
        """While the block runs, put what was recorded of ``parts`` in the place of the network's own."""

        def attend_as_before(call: Call) -> torch.Tensor:
            query, key = self._held[_name(call.place)]
            return call.close(attend(query, key, call.project()[2]))

        def put(which: tuple[int, int], residual: torch.Tensor) -> torch.Tensor:
            return self._held[which][0]

        with self._inside(parts, attend_as_before, put):
            yield

    def forget(self) -> None:
        """Free what was recorded."""
        self._held.clear()

    @contextmanager
    def _inside(self, parts: frozenset[str], rule: Any, convolution: Any) -> Iterator[None]:
        with ExitStack() as stack:
            if "convolution" in parts:
                stack.enter_context(residuals(self._network, [RESIDUAL], convolution))
            for part, layers in self._layers.items():
                if part in parts:
                    stack.enter_context(attention(layers, rule))
            yield


def _name(place: Place) -> str:
    return place.name


class AnyV2V:
    """The engine. Deterministic: the same window, frame, settings and seed, the same bytes."""

    name: ClassVar[str] = "anyv2v"
    Settings: ClassVar[type[BaseModel]] = Settings
    takes_adapter: ClassVar[bool] = False
    shares_frames: ClassVar[bool] = True
    hinders: ClassVar[Mapping[str, str]] = REWIRES
    branches = staticmethod(Image2Video.branches)

    def __init__(self, base: Image2Video, settings: Settings, *, seed: int = 0, cache: Cache | None = None) -> None:
        """``cache``: for the way back to noise; a base without an identity keeps nothing."""
        self.base = base
        self.settings = settings
        self.seed = seed
        self.dtype = base.dtype
        self.features = Features(base.network)
        self._cache = cache if base.identity else None

    @classmethod
    def from_bundle(
        cls,
        bundle: Bundle,
        settings: BaseModel,
        *,
        seed: int,
        device: str,
        dtype: torch.dtype,
        execution: Execution | None = None,
        cache: Cache | None = None,
    ) -> Self:
        """Load the base. Raises ``ModelError``."""
        assert isinstance(settings, Settings)
        base = Image2Video.from_bundle(bundle, device=device, dtype=dtype, execution=execution)
        return cls(base, settings, seed=seed, cache=cache)

    def knows(self, prompt: Spread) -> str | None:
        """A warning when a text is given: an image-to-video model reads none."""
        if prompt.text.strip():
            return f"{self.base.model} reads pictures only; the text {prompt.text!r} has no effect"
        return None

    @classmethod
    def work(cls, settings: Settings, levels: EDM, share: Share) -> Work:
        """What one window will take, nothing being in the cache: all its frames there and back again, and an evaluation
        more in every step that the source's features are put into. Raises ``UsageError``."""
        frames, start = share.new + share.reference, edm.first_step(levels, settings.steps, settings.highest)
        asked = edm.asked(levels, settings.steps, settings.inversion_steps, settings.highest)
        inversion = sum(map(len, asked)) * (1 + settings.fixed_point)
        recorded = sum(bool(settings.parts(step, start)) for step in levels.steps(settings.steps)[start:])
        there = Work(inversion + recorded, (inversion + recorded) * frames, inversion)
        return there + Image2Video.sampling(settings, frames, start)

    @torch.inference_mode()
    def edit(self, window: Window, prompt: Spread, progress: Progress | None = None) -> Edited:
        """Spread the edited frame over a window: ``prompt``'s for the first one, then what the window before made.

        Raises ``ValueError`` for a window that has neither.
        """
        base, tally = self.base, Tally()
        source = window.frames.to(base.device)
        made_before = edited_before(window)
        first = (prompt.frame if made_before is None else made_before[0]).to(source)
        with timed(tally.timings, "encode"):
            latents = base.codec.encode(source)
            reconstruction = base.codec.decode(latents)
            conditions = [base.condition(frame, self.settings, seed=self.seed) for frame in (source[0], first)]
            # Of frames that the window before made too, the network is given the first alone: the others are led to,
            # so that what follows goes on from the last of them.
            several = None if made_before is None or len(made_before) < 2 else made_before.to(source)
            held = None if several is None else base.codec.encode(several)
        trajectory = self.inverted(latents, conditions[0], tally)
        with timed(tally.timings, "denoise"):
            made = self.denoise(trajectory, conditions[0], conditions[1], tally, progress, held)
        with timed(tally.timings, "decode_latents"):
            # The first frame is given: it is kept as the codec has it, as all others are.
            edited = base.codec.decode(torch.cat([base.codec.encode(first[None]), made[1:]]))
        before = window.carry if isinstance(window.carry, Carry) else None
        new = slice(window.reference, None)
        carry = Carry.joined(before, window.first, window.reference, edited[new].cpu(), reconstruction[new].cpu(), None)
        return Edited(
            carry.frames, carry.reconstruction, carry, tally.evaluations, tally.timings, tally.inversion_evaluations
        )

    def denoise(
        self,
        trajectory: Trajectory,
        source: Condition,
        edited: Condition,
        tally: Tally,
        progress: Progress | None = None,
        held: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Latents of the edit (T, C, h, w), from where the inversion of the source ended.

        ``held`` (K, C, h, w): those of the first frames, where they are known.
        """
        base, settings = self.base, self.settings
        step = base.levels.steps(settings.steps)[trajectory.start]
        recorded: set[int] = set()

        @contextmanager
        def around(branch: str, step: Step) -> Iterator[None]:
            parts = settings.parts(step, trajectory.start)
            if parts and step.index not in recorded:
                with self.features.recorded(parts):
                    base.predict(trajectory.at(step), step.sigma, source, tally)
                recorded.add(step.index)
            with self.features.injected(parts):
                yield

        x = edm.from_network(trajectory.noise, step.sigma)
        made = base.sample(
            x, edited, settings, tally, start=trajectory.start, around=around, held=held, progress=progress
        )  # fmt: skip
        self.features.forget()
        return made

    def inverted(self, source: torch.Tensor, condition: Condition, tally: Tally) -> Trajectory:
        """The source's way back to noise, (T, C, h, w) at every level, from the cache if it is there."""
        base, settings = self.base, self.settings

        def make() -> Trajectory:
            return edm.invert(
                lambda z, sigma: base.predict(z, sigma, condition, tally), source, base.levels, settings.steps,
                inversion_steps=settings.inversion_steps, fixed_point=settings.fixed_point, highest=settings.highest,
            )  # fmt: skip

        parts = (condition.embedding, condition.latents, condition.ids)
        seen = [] if self._cache is None else [digest_of(part) for part in parts]
        return inverted(
            make, source, settings, base, self._cache, tally,
            told={"method": self.name}, method=self.name, condition=seen, highest=settings.highest,
        )  # fmt: skip


ENGINE = AnyV2V
