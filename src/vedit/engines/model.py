"""What all methods have in common: the parts of a model, and the way of a window through them.

A method says which parts it loads (:meth:`ModelEngine.load_encoder`, :meth:`ModelEngine.load_network`), what it asks of
them (:meth:`ModelEngine.check`), and how latents of the source become latents of the edit
(:meth:`ModelEngine.denoise`). Moving to device and dtype, encoding and decoding, timings and what goes from window to
window are here.

A window is asked for its new frames only: what the window before gave for the frames that both share is taken as it
is. A method that lets frames see others keeps what it needs of earlier ones itself, in the value that
:meth:`ModelEngine.denoise` returns beside the latents.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from pydantic import BaseModel

from vedit import weights
from vedit.diffusion.sampling import Progress
from vedit.engines.base import Edited, Execution, Share, Window, Work
from vedit.engines.shared import Carry, Knowledge, Tally, Texts, Together, evaluator, mirrored, timed
from vedit.nets.placing import place

if TYPE_CHECKING:
    from pathlib import Path

    from vedit.cache import Cache
    from vedit.diffusion.schedule import Schedule
    from vedit.nets.codec import Codec
    from vedit.nets.text import TextEncoder
    from vedit.weights import Bundle


class ModelEngine(ABC):
    """A method on a model. Deterministic: the same window, prompt, settings and seed give the same bytes."""

    name: ClassVar[str]
    Settings: ClassVar[type[BaseModel]]
    takes_adapter: ClassVar[bool] = False
    shares_frames: ClassVar[bool] = False  # whether a window is held to frames that the one before made; see Window
    hinders: ClassVar[Mapping[str, str]] = {}  # what of Execution the method cannot have, and why
    stages: ClassVar[tuple[str, ...]] = ("encode", "denoise", "decode_latents")
    margin = 0  # pixels that a frame is longer on the right and below while the model sees it

    def __init__(
        self,
        codec: Codec,
        encoder: Any,
        network: Any,
        schedule: Schedule,
        settings: Any,
        *,
        seed: int = 0,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        execution: Execution | None = None,
        cache: Cache | None = None,
        knowledge: Knowledge | None = None,
        identity: str = "",
    ) -> None:
        """``encoder``: of what conditions the network; it keeps its own dtype. ``knowledge``: what the model knows.

        ``identity``: the hash of the model; without one nothing goes into the cache. Raises ``ModelError``.
        """
        self.knowledge = knowledge or Knowledge({})
        self.model = self.knowledge.model
        self.check(codec, encoder, network)
        self.execution = how = execution or Execution()
        self.device = device
        self.dtype = dtype
        last = how.channels_last
        self.codec: Codec = place(codec, device, codec.beside(dtype), offload=how.offload, channels_last=last)
        self.encoder = place(encoder, device, offload=how.offload, whole=True)
        self.network = self.place(network)
        self.schedule = schedule
        self.settings = settings
        self.seed = seed
        self._cache = cache if identity else None
        self.identity = identity

    # -- loading -------------------------------------------------------------------------------------------------

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
        """Load what the method needs of ``bundle``. Raises ``ModelError``."""
        assert isinstance(settings, cls.Settings)
        parts = bundle.components
        return cls(
            weights.load_vae(parts["vae"]),
            cls.load_encoder(parts),
            cls.load_network(parts, dtype),
            weights.load_schedule(parts["scheduler"]),
            settings,
            seed=seed,
            device=device,
            dtype=dtype,
            execution=execution,
            cache=cache,
            knowledge=Knowledge.of(bundle),
            identity=bundle.sha256 if cache is not None else "",
        )

    def place(self, network: Any) -> Any:
        """Make the diffusion network ready to run."""
        how = self.execution
        return place(
            network, self.device, self.dtype, offload=how.offload, channels_last=how.channels_last, compiled=how.compile
        )

    @classmethod
    def together(cls, settings: Any, frames: int) -> int:
        """How many frames the network sees in one call, at the most, where a window has ``frames``: by default all."""
        return frames

    @classmethod
    @abstractmethod
    def load_encoder(cls, parts: Mapping[str, Path]) -> Any:
        """The encoder of what conditions the network; ``parts`` are component folders. Raises ``ModelError``."""

    @classmethod
    @abstractmethod
    def load_network(cls, parts: Mapping[str, Path], dtype: torch.dtype) -> Any:
        """The diffusion network. Raises ``ModelError``."""

    @abstractmethod
    def check(self, codec: Codec, encoder: Any, network: Any) -> None:
        """Raise ``ModelError`` for parts that do not fit the method or one another. Nothing was moved yet."""

    # -- editing -------------------------------------------------------------------------------------------------

    @classmethod
    def work(cls, settings: Any, schedule: Schedule, share: Share) -> Work:
        """What one window will take, nothing being in the cache: by default one evaluation a step on the new frames.

        Loads nothing. Raises ``UsageError``.
        """
        return Work(settings.steps, settings.steps * share.new)

    @classmethod
    @abstractmethod
    def branches(cls, settings: Any) -> tuple[str, ...]:
        """The branches of the guidance that count, by name."""

    @abstractmethod
    def denoise(
        self,
        source: torch.Tensor,
        frames: range,
        prompt: Any,
        kept: Any,
        tally: Tally,
        progress: Progress | None,
    ) -> tuple[torch.Tensor, Any]:
        """Latents of the edit, and what the next window of the shot gets as ``kept`` (None at the start of a shot).

        ``source``: (N, C, h, w) latents of new frames, whose absolute indices are ``frames``.
        """

    def handed(self, window: Window, before: Carry | None) -> Any:
        """What :meth:`denoise` gets as ``kept``: by default what it returned for the window before."""
        return before.kept if before is not None else None

    @torch.inference_mode()
    def edit(self, window: Window, prompt: Any, progress: Progress | None = None) -> Edited:
        """Edit one window. What the previous one already gave for the reference frames is taken as it is."""
        tally, reference, before = Tally(dict.fromkeys(self.stages, 0.0)), window.reference, window.carry
        if before is None and reference:
            raise ValueError(f"{reference} reference frames, but nothing was carried over")
        assert before is None or isinstance(before, Carry)
        kept = self.handed(window, before)
        with timed(tally.timings, "encode"):
            source = self.codec.encode(mirrored(window.frames[reference:], self.margin).to(self.device))
        with timed(tally.timings, "denoise"):
            frames = range(window.first + reference, window.first + len(window.frames))
            latents, kept = self.denoise(source, frames, prompt, kept, tally, progress)
        # An inversion is part of what a method does, so it was measured twice.
        tally.timings["denoise"] -= tally.timings.get("invert", 0.0)
        with timed(tally.timings, "decode_latents"):
            height, width = window.frames.shape[-2:]
            edited, reconstruction = (self.codec.decode(z)[..., :height, :width] for z in (latents, source))
        carry = Carry.joined(before, window.first, reference, edited, reconstruction, kept)
        return Edited(
            carry.frames, carry.reconstruction, carry, tally.evaluations, tally.timings, tally.inversion_evaluations
        )

    def evaluator(self, together: Together) -> Callable[[str], torch.Tensor]:
        """What guidance asks for one branch: as they come, or all at once where branches are batched."""
        return evaluator(together, self.branches(self.settings), self.execution)

    # -- what it knows -------------------------------------------------------------------------------------------

    @abstractmethod
    def knows(self, prompt: Any) -> str | None:
        """A warning when ``prompt`` is not what the model was made for, else None."""


class TextEngine(ModelEngine):
    """A method whose network reads text, by a CLIP text tower."""

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self.text: TextEncoder = self.encoder
        self._state = Texts(self.text)

    @classmethod
    def load_encoder(cls, parts: Mapping[str, Path]) -> TextEncoder:
        """The text tower of ``clip`` with ``tokenizer``."""
        from vedit.nets.text import TextEncoder

        return TextEncoder(weights.load_clip(parts["clip"]), weights.load_tokenizer(parts["tokenizer"]))
