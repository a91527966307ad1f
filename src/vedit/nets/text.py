"""Text to what conditions the U-Nets, and to one unit vector for comparing meanings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


class TextEncoder(nn.Module):
    """A CLIP text tower with its tokenizer: transformers' ``CLIPModel`` or ``CLIPTextModel``, and ``CLIPTokenizer``.

    As in Stable Diffusion, texts are padded to the full length, and the padding is attended to unless the text
    configuration says ``use_attention_mask``.
    """

    def __init__(self, clip: nn.Module, tokenizer: Any) -> None:
        super().__init__()
        self.clip = clip
        self.tokenizer = tokenizer
        config: Any = clip.config
        self._config = getattr(config, "text_config", config)

    @property
    def width(self) -> int:
        """Of the last hidden state."""
        return int(self._config.hidden_size)

    @property
    def length(self) -> int:
        """Tokens of every encoded text, begin and end included."""
        return min(int(self._config.max_position_embeddings), int(self.tokenizer.model_max_length))

    @property
    def can_embed(self) -> bool:
        """Whether :meth:`embed` works: a whole ``CLIPModel`` has the projection that it needs."""
        return hasattr(self.clip, "get_text_features")

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        """The last hidden state: (N, L, D), in the dtype of the weights."""
        clip: Any = self.clip
        tower = clip.text_model if hasattr(clip, "text_model") else clip
        return tower(**self._tokens(texts)).last_hidden_state

    def embed(self, texts: Sequence[str]) -> torch.Tensor:
        """Projected, unit length: (N, P) float32. Only the text itself counts, never the padding."""
        clip: Any = self.clip
        output = clip.get_text_features(**self._tokens(texts, mask=True))
        return nn.functional.normalize(output.pooler_output.float(), dim=-1)

    def words(self, text: str) -> list[tuple[str, list[int]]]:
        """The words of ``text``, each with the columns of its tokens in the hidden state; lost ones are left out.

        A word is what the tokenizer splits into tokens by itself: punctuation is none of the word before it.
        """
        made = self.tokenizer(text, return_offsets_mapping=True, verbose=False)
        found: dict[int, tuple[int, int, list[int]]] = {}
        for column, (word, (start, end)) in enumerate(zip(made.word_ids(0), made["offset_mapping"], strict=True)):
            if word is not None:  # begin and end of the text are no words
                first, _, columns = found.get(word, (start, end, []))
                found[word] = first, end, columns + ([column] if column < self.length - 1 else [])
        return [(text[start:end], columns) for start, end, columns in found.values() if columns]

    def lost(self, text: str) -> int:
        """How many tokens at the end of ``text`` do not fit."""
        # verbose: without it transformers prints a warning of its own about the length.
        return max(0, len(self.tokenizer(text, verbose=False)["input_ids"]) - self.length)

    def _tokens(self, texts: Sequence[str], mask: bool = False) -> dict[str, torch.Tensor]:
        made = self.tokenizer(
            list(texts), padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        )
        device = next(self.clip.parameters()).device
        tokens = {"input_ids": made["input_ids"].to(device)}
        if mask or getattr(self._config, "use_attention_mask", False):
            tokens["attention_mask"] = made["attention_mask"].to(device)
        return tokens
