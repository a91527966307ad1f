"""ReVideo: what is inside a region moves along tracks, and the rest of the clip goes on as it was.

Mou et al., "ReVideo: Remake a Video with Motion and Content Control" (2024). An image-to-video model makes the clip
from its first frame, which may be edited; the control branch (:mod:`vedit.nets.revideo`) tells it the tracks, and the
source outside of the region. Longer clips go window by window: the first frame of a window is one that the window
before made (section 4, "more frame editing"), and frames that were made before stay as they are at every step.

Several regions are edited at once, as in the paper, or, with ``apart``, those that do not touch one after the other,
each before the source as it was: a small network that is told of two things at once mixes their colours.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import torch
from pydantic import BaseModel, Field

from vedit.diffusion.edm import EDM
from vedit.diffusion.noise import frame_noise
from vedit.engines.base import Drag, Edited, Execution, Share, Window, Work
from vedit.engines.image2video import Forward, Image2Video, Image2VideoSettings, edited_before
from vedit.engines.regions import apart, owners
from vedit.engines.shared import Carry, Tally, timed
from vedit.errors import UsageError
from vedit.nets.revideo import HALF, Conditions, ReVideoUNet, kept_content, trajectory_map
from vedit.weights import adapter as adapters
from vedit.weights.revideo import network_of, stage_of

if TYPE_CHECKING:
    from vedit.cache import Cache
    from vedit.weights import Bundle


class Settings(Image2VideoSettings):
    """Options of the method. Guidance, frame rate and motion bucket are those of the published scripts."""

    max_guidance: float = Field(default=4.0, ge=0, le=50, description="the same at its last frame; linear between")
    fps: float = Field(default=10.0, ge=1, le=240, description="frames a second that the network is told")
    fps_offset: int = Field(
        default=0, ge=-1, le=0, description="added to fps for the network: -1 as diffusers, 0 as ReVideo and DragNUWA"
    )
    hold: bool = Field(default=True, description="whether a window's first frame stays as it was given")
    apart: bool = Field(default=False, description="whether regions that do not touch are edited one after the other")


class ReVideo:
    """The engine."""

    name: ClassVar[str] = "revideo"
    Settings: ClassVar[type[BaseModel]] = Settings
    takes_adapter: ClassVar[bool] = True
    shares_frames: ClassVar[bool] = True
    hinders: ClassVar[Mapping[str, str]] = {"compile": "its control hangs on the network anew at every call"}
    branches = staticmethod(Image2Video.branches)

    def __init__(self, base: Image2Video, network: ReVideoUNet, settings: Settings, *, seed: int = 0, stage: int = 3):
        """``network`` is ``base``'s with its control branch; ``stage``: of the training that it ended with."""
        self.base = base
        self.network: ReVideoUNet = base.place(network.eval())
        self.settings = settings
        self.dtype = base.dtype
        self._seed = seed
        self._gate = HALF if stage < 3 else None

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
        adapter: str | Path | None = None,
    ) -> Self:
        """Load the base and the control. Raises ``ModelError``, and ``UsageError`` without a control."""
        adapter = adapter or adapters.carried(bundle, cls.name)
        if adapter is None:
            raise UsageError(f"--method {cls.name}: {bundle.name} carries no control for it; give one with --adapter")
        about, tensors = adapters.load(adapter, cls.name, bundle)
        base = Image2Video.from_bundle(bundle, device=device, dtype=dtype, execution=execution, placed=False)
        network = network_of(base.network, about, tensors, str(adapters.find(adapter)))
        assert isinstance(settings, Settings)
        return cls(base, network, settings, seed=seed, stage=stage_of(about))

    def knows(self, prompt: Drag) -> str | None:
        """Nothing is far from what the method knows: it reads no words."""
        return None

    @classmethod
    def work(cls, settings: Settings, levels: EDM, share: Share) -> Work:
        """What one window will take: all its frames at every step. What the control branch adds to an evaluation is
        in its adapter (see :func:`vedit.render.estimate.amounts`)."""
        one = Image2Video.sampling(settings, share.new + share.reference)
        return sum([one] * (share.regions if settings.apart else 1), Work(0, 0))

    def edit(self, window: Window, prompt: Drag) -> Edited:
        """See :class:`vedit.engines.base.Engine`."""
        base, tally = self.base, Tally()
        timings: dict[str, float] = {"encode": 0.0, "denoise": 0.0, "decode_latents": 0.0}
        source = window.frames.to(base.device)
        with timed(timings, "encode"):
            own = base.codec.encode(source)
            reconstruction = base.codec.decode(own).cpu()
        parts = apart(prompt) if self.settings.apart else [prompt]
        made = [self._region(window, part, source, own, tally, timings).cpu() for part in parts]
        edited = made[0]
        nearest = owners([part.mask.cpu() for part in parts])
        for number, other in enumerate(made[1:], 1):
            edited = torch.where(nearest == number, other, edited)
        carry = Carry(window.first, edited, reconstruction, None)
        return Edited(edited, reconstruction, carry, tally.evaluations, timings)

    def _region(
        self,
        window: Window,
        prompt: Drag,
        source: torch.Tensor,
        own: torch.Tensor,
        tally: Tally,
        timings: dict[str, float],
    ) -> torch.Tensor:
        """(T, 3, h, w): the edit of what ``prompt`` asks for; ``own``: the latents of ``source``."""
        base = self.base
        mask = prompt.mask.to(source)[None, None]
        known = self._known(window, prompt, source, mask[0])
        with timed(timings, "encode"):
            condition = base.condition(known[0], self.settings, seed=self._seed)
            held = base.codec.encode(known) if len(known) > 1 or self.settings.hold else None
            given = self.conditions(source, mask, prompt.at(window.first, len(source)))
        with timed(timings, "denoise"):
            noise = frame_noise(self._seed, range(window.first, window.first + len(source)), own.shape[1:])
            latents = base.sample(
                base.levels.start(noise.to(own)), condition, self.settings, tally, forward=self.controlled(given),
                held=held,
            )  # fmt: skip
        with timed(timings, "decode_latents"):
            edited = base.codec.decode(latents)
        reference = min(window.reference, len(known))
        edited[:reference] = known[:reference]
        return edited

    def _known(self, window: Window, prompt: Drag, source: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(K, 3, h, w): the window's first frames, as they were edited before; outside of the region the source's."""
        made = edited_before(window)
        if made is None:
            made = source[:1] if prompt.frame is None else prompt.frame[None]
        made = made.to(source)
        return made * mask + source[: len(made)] * (1 - mask)

    def conditions(self, source: torch.Tensor, mask: torch.Tensor, places: torch.Tensor) -> Conditions:
        """Of a window: ``source`` (T, 3, h, w), ``mask`` (1, 1, h, w), ``places`` (T, N, 2)."""
        config, (height, width) = self.network.control.config, source.shape[-2:]
        # Made on the CPU: places are float64, which not every device has, and are read point by point.
        motion = trajectory_map(places.cpu(), height, width, config.kernel, config.sigma).to(source.device)
        content = kept_content(source, mask)
        dtype = self.dtype
        return Conditions(motion[None].to(dtype), mask[None].to(dtype), content[None].to(dtype))

    def controlled(self, given: Conditions) -> Forward:
        """The network's forward under ``given``."""

        def forward(
            sample: torch.Tensor, level: torch.Tensor, image: torch.Tensor, ids: torch.Tensor, return_dict: bool = False
        ) -> tuple[torch.Tensor]:
            return (self.network(sample, level, image, ids, given.expand(len(sample)), self._gate),)

        return forward


ENGINE = ReVideo
