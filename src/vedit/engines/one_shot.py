"""What the methods that are tuned to one clip have in common: an adapter, inversion, and sampling by the target prompt.

A method is a subclass that names its network. Windows of a shot are tied together by ``context``: the last frames of a
window go along with the next one, in the inversion as they are and in the sampling as they were at every step, so that
layers that mix frames see across the border. Memory does not grow with the clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import torch
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from vedit.diffusion import guidance
from vedit.diffusion.sampling import Progress, ddim
from vedit.diffusion.schedule import Schedule, Step
from vedit.engines.base import Share, Work
from vedit.engines.prompt import InversionSettings, PromptEngine
from vedit.engines.shared import Tally
from vedit.errors import ModelError, UsageError
from vedit.jobs import PromptPair, one_line
from vedit.nets.strict import fill_parameters
from vedit.weights import adapter as adapters
from vedit.weights.bundle import sha256

if TYPE_CHECKING:
    from torch import nn

    from vedit.weights import Bundle


class OneShotSettings(InversionSettings):
    """Options of the methods. Both papers sample in 50 steps from an inversion of 50, with a guidance of 12.5."""

    guidance: float = Field(default=12.5, ge=0, le=50, description="scale of the guidance by the target prompt")
    inversion_prompt: Literal["empty", "source"] = Field(
        default="empty", description="what leads back to noise; the public codes take the empty prompt"
    )
    context: int = Field(default=4, ge=0, le=64, description="frames of a window that go along with the next one")


@dataclass(frozen=True, eq=False)
class Kept:
    """Frames that go along with the next window: the last ones, and the first of all where a method looks at that.

    ``source``: (K, C, h, w) latents; ``edits``: theirs of the edit, by step index.
    """

    source: torch.Tensor
    edits: dict[int, torch.Tensor]


class OneShotEngine(PromptEngine):
    """A method with an adapter. Build one with :meth:`from_bundle`, or call :meth:`tune` before :meth:`edit`."""

    Network: ClassVar[type[nn.Module]]
    Config: ClassVar[type[Any]]
    Settings: ClassVar[type[BaseModel]] = OneShotSettings
    takes_adapter: ClassVar[bool] = True
    tunes_to_clip: ClassVar[bool] = True
    at_once: ClassVar[int]  # frames that the paper trains and edits together
    anchored: ClassVar[bool] = False  # whether every frame looks at the first of the clip, with any adapter
    hinders: ClassVar[Mapping[str, str]] = {"compile": "what it adds hangs on the network's layers as hooks"}

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._tuned: Any = None
        self._prompt = ""

    @classmethod
    def from_bundle(
        cls, bundle: Bundle, settings: BaseModel, *, adapter: str | Path | None = None, **how: Any
    ) -> Self:  # fmt: skip
        """Load the model and the adapter. Raises ``ModelError``, and ``UsageError`` without an adapter."""
        if adapter is None:
            raise UsageError(
                f"--method {cls.name}: needs --adapter DIR; train one for this clip with "
                f"vedit train-adapter {cls.name} CLIP --prompt TEXT -o DIR"
            )
        about, tensors = adapters.load(adapter, cls.name, bundle)
        engine = super().from_bundle(bundle, settings, **how)
        file = adapters.find(adapter)
        engine.tune(about.network, tensors, str(file))
        engine.identity += f":{sha256(file)}"  # the way back to noise is that of the tuned network
        engine._prompt = about.prompt
        return engine

    @classmethod
    def config_of(cls, network: Mapping[str, Any], where: str) -> Any:
        """The settings of the method's network as an adapter, named ``where``, has them. Raises ``ModelError``."""
        try:
            return TypeAdapter(cls.Config).validate_python(dict(network))
        except ValidationError as error:
            raise ModelError(f"{where}: {one_line(error, 'setting ')}; train it again") from None

    def tune(self, network: dict[str, Any], tensors: dict[str, torch.Tensor], where: str = "adapter") -> None:
        """Make the method's network of the 2D one, of these settings and trained parameters. Raises ``ModelError``."""
        config = self.config_of(network, where)
        tuned: Any = self.Network(self.network, config)
        fill_parameters(tuned.trained(), tensors, where)
        self._tuned = super().place(tuned.eval())

    def place(self, network: Any) -> Any:
        """See :meth:`ModelEngine.place`. :meth:`tune` does it, with what it adds."""
        return torch.nn.Module.to(network, self.dtype)

    @classmethod
    def work(cls, settings: Any, schedule: Schedule, share: Share) -> Work:
        """See :meth:`ModelEngine.work`. What goes along of the windows before counts; the training does not."""
        return super().work(settings, schedule, Share(share.new + cls.along(settings) * share.before))

    def looks_at_first(self) -> bool:
        """Whether every frame looks at the first of the clip, with this adapter."""
        return self.anchored

    @classmethod
    def along(cls, settings: Any) -> int:
        """How many frames of the windows before the network sees beside a window's own."""
        return settings.context + (cls.anchored and settings.context > 0)

    def predict_all(self, z: torch.Tensor, timestep: int, texts: tuple[str, ...], tally: Tally) -> torch.Tensor:
        """The tuned network's output for a clip of latents (N, C, h, w) and some texts: float32, (B, N, C, h, w)."""
        tally.evaluations += len(texts)
        clips = z[None].float().expand(len(texts), -1, -1, -1, -1)
        states = torch.cat([self._state(text) for text in texts])
        return self._tuned(clips, torch.tensor(timestep, device=z.device), states)

    def denoise(
        self, source: torch.Tensor, frames: range, prompt: PromptPair, kept: Kept | None, tally: Tally,
        progress: Progress | None,
    ) -> tuple[torch.Tensor, Kept]:  # fmt: skip
        """See :meth:`ModelEngine.denoise`."""
        settings: Any = self.settings
        before = kept or Kept(source[:0], {})
        count = len(before.source)
        whole = torch.cat([before.source, source])
        back = PromptPair(prompt.source if settings.inversion_prompt == "source" else "", prompt.target)
        trajectory = self.inverted(whole, back, tally)
        texts = {guidance.UNCOND: settings.negative_prompt, guidance.FULL: prompt.target}
        on = list(range(max(0, len(whole) - settings.context), len(whole)))
        if self.looks_at_first() and on and on[0] > 0:
            on = [0, *on]
        edits: dict[int, torch.Tensor] = {}

        def denoise(z: torch.Tensor, step: Step) -> torch.Tensor:
            clip = torch.cat([before.edits[step.index], z]) if count else z
            edits[step.index] = clip[on]

            def together(branches: tuple[str, ...]) -> torch.Tensor:
                return self.predict_all(clip, step.timestep, tuple(texts[branch] for branch in branches), tally)

            evaluate = self.evaluator(together)
            output, _ = guidance.text(evaluate, settings.guidance, settings.guidance_rescale)
            return self.schedule.to_clean(output[count:], z, step.timestep)

        noise = trajectory.noise[count:]
        latents = ddim(denoise, noise, self.schedule, settings.steps, start=trajectory.start, progress=progress)
        return latents, Kept(whole[on], edits)

    def knows(self, prompt: PromptPair) -> str | None:
        """As :meth:`PromptEngine.knows`, and a warning when the adapter's clip was described in other words."""
        far = super().knows(prompt)
        said = " ".join(prompt.source.split()).casefold()
        if not self._prompt or said == " ".join(self._prompt.split()).casefold():
            return far
        other = (
            f"the adapter was trained with the prompt {self._prompt!r}, and --source says something else; "
            "the edit keeps the motion best when both are the same"
        )
        return other if far is None else f"{other}; {far}"
