"""Make nano's tokenizer: a byte-pair vocabulary in CLIP's format, learnt on captions and instructions of the world.

python -m vedit.training.recipes.tokenizer --out runs/tokenizer
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vedit.world import phrasings
from vedit.world.operations import OPERATIONS
from vedit.world.scene import caption, draw_scene

LENGTH = 32
START, END = "<|startoftext|>", "<|endoftext|>"


def corpus(seed: int, count: int) -> Iterator[str]:
    """Captions, instructions and descriptions, ``count`` of each kind."""
    rng = np.random.default_rng([seed, 40])
    names = list(OPERATIONS)
    for index in range(count):
        name = names[index % len(names)]
        yield phrasings.draw_instruction(name, rng).lower()
        yield phrasings.describe(name, rng).lower()
        yield caption(draw_scene(index, frames=1)).lower()


def make(out: Path, size: int, count: int, seed: int) -> None:
    """Write ``vocab.json``, ``merges.txt`` and ``tokenizer_config.json`` to ``out``."""
    import json

    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    # The same splitting as CLIP's: letters, single digits, runs of other signs; then bytes as printable characters.
    split = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    from tokenizers import Regex

    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - 2,
        end_of_word_suffix="</w>",
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus(seed, count), trainer)
    trained = json.loads(bpe.to_str())["model"]
    # Every byte must exist both inside and at the end of a word, as in CLIP's vocabulary: nothing is unknown.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = alphabet + [a + "</w>" for a in alphabet]
    tokens += [t for t in trained["vocab"] if t not in set(tokens)]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    for special in (START, END):
        vocabulary[special] = len(vocabulary)
    out.mkdir(parents=True, exist_ok=True)
    (out / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False) + "\n")
    merges = [" ".join(m) if isinstance(m, list) else m for m in trained["merges"]]
    (out / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
        "model_max_length": LENGTH,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def load(folder: Path):
    """The tokenizer as transformers' ``CLIPTokenizer``."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", type=int, default=3000, help="tokens")
    parser.add_argument("--count", type=int, default=30000, help="texts of each kind")
    parser.add_argument("--seed", type=int, default=1)
    make(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
