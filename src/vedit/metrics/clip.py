"""Measures by a CLIP model. What one model says does not compare with another's: every figure carries its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vedit.errors import ModelError
from vedit.metrics.accumulate import Mean, Moment
from vedit.metrics.pictures import Picture

if TYPE_CHECKING:
    from vedit.nets.text import TextEncoder


@dataclass(frozen=True, eq=False)
class Encoder:
    """A CLIP model that embeds pictures and texts; ``key`` tells it from another one of the same run."""

    key: str
    name: str
    sha256: str
    device: str
    text: TextEncoder
    processor: Any

    @classmethod
    def load(cls, key: str, model: str, device: str = "cpu") -> Encoder:
        """``model`` as in :func:`vedit.weights.clip.open_clip`, in single precision. Raises ``ModelError``."""
        from vedit.nets.text import TextEncoder
        from vedit.weights import clip as files
        from vedit.weights import load_clip, load_tokenizer

        found = files.open_clip(model)
        text = TextEncoder(load_clip(found.clip), load_tokenizer(found.tokenizer)).to(device).eval()
        if not text.can_embed:
            raise ModelError(f"{found.clip}: has no picture encoder; give a whole CLIP model")
        return cls(key, found.name, found.sha256, device, text, files.load_image_processor(found.clip))

    def see(self, pictures: list[Picture]) -> None:
        """Embed all pictures that are not yet; the model's own preprocessing."""
        import torch

        new = [picture for picture in dict.fromkeys(pictures) if self.key not in picture.embeddings]
        if not new:
            return
        pixels = self.processor([picture.rgb8 for picture in new], return_tensors="pt")["pixel_values"]
        clip: Any = self.text.clip
        with torch.inference_mode():
            features = clip.get_image_features(pixel_values=pixels.to(self.device)).pooler_output
        for picture, row in zip(new, features.double().cpu().numpy(), strict=True):
            picture.embeddings[self.key] = self._unit(row)

    def read(self, text: str) -> np.ndarray:
        """(D,) float64 of unit length."""
        import torch

        with torch.inference_mode():
            return self._unit(self.text.embed([text])[0].double().cpu().numpy())

    @property
    def logit_scale(self) -> float:
        """What the model multiplies cosines by: exp of its learnt scale."""
        clip: Any = self.text.clip
        return float(clip.logit_scale.detach().exp())

    def _unit(self, row: np.ndarray) -> np.ndarray:
        length = float(np.linalg.norm(row))
        if not np.isfinite(length) or length == 0:
            raise ModelError(f"{self.name}: its embedding is not a number or zero; the model's weights are damaged")
        return row / length


class Consistency:
    """Frame consistency over all pairs, and over consecutive frames.

    Over all pairs in constant memory: for unit vectors Σ_{i≠j} e_i·e_j = |Σ e_i|² − n, so the mean over the n·(n − 1)
    ordered pairs follows from their sum alone.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._key = encoder.key
        self._sum: np.ndarray | float = 0.0
        self._count = 0
        self._adjacent = Mean()
        self._before: np.ndarray | None = None

    def update(self, moment: Moment) -> dict[str, float]:
        """The cosine to the frame before."""
        here, before = moment.edited.embeddings[self._key], self._before
        self._sum = self._sum + here
        self._count += 1
        self._before = here
        if before is None:
            return {}
        cosine = float(here @ before)
        self._adjacent.add(cosine)
        return {"frame_consistency_adjacent": cosine}

    def result(self) -> dict[str, float]:
        """Both means; NaN for fewer than two frames."""
        pairs = self._count * (self._count - 1)
        every = (float(np.sum(np.square(self._sum))) - self._count) / pairs if pairs else float("nan")
        return {"frame_consistency_all": every, "frame_consistency_adjacent": self._adjacent.value}


class Alignment:
    """How near the frames are to a text: cosine times ``scale``."""

    def __init__(self, name: str, encoder: Encoder, prompt: str, scale: float) -> None:
        self._name, self._key, self._scale = name, encoder.key, scale
        self._text = encoder.read(prompt)
        self._mean = Mean()

    def update(self, moment: Moment) -> dict[str, float]:
        """The frame's own."""
        value = self._scale * float(moment.edited.embeddings[self._key] @ self._text)
        self._mean.add(value)
        return {self._name: value}

    def result(self) -> dict[str, float]:
        """Mean over frames."""
        return {self._name: self._mean.value}


class Direction:
    """Frame accuracy and directional similarity: both compare the target text with the source's."""

    def __init__(self, encoder: Encoder, prompt: str, source_prompt: str) -> None:
        self._key = encoder.key
        self._target, self._origin = encoder.read(prompt), encoder.read(source_prompt)
        self._change = self._target - self._origin
        self._nearer, self._along = Mean(), Mean()

    def update(self, moment: Moment) -> dict[str, float]:
        """The frame's own."""
        edited, source = (picture.embeddings[self._key] for picture in (moment.edited, moment.source))
        nearer = float(edited @ self._target > edited @ self._origin)
        along = cosine(edited - source, self._change)
        self._nearer.add(nearer)
        self._along.add(along)
        return {"frame_accuracy": nearer, "directional_similarity": along}

    def result(self) -> dict[str, float]:
        """Means over frames."""
        return {"frame_accuracy": self._nearer.value, "directional_similarity": self._along.value}


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Of two vectors; 0 if one of them is zero, because no change goes in no direction."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths > 1e-12 else 0.0
