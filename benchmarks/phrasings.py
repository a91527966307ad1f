"""Measure nano's text encoder on phrasings that nobody had in hand when the training grammars were first written.

    python benchmarks/phrasings.py --out benchmarks/results/phrasings.json

``benchmarks/phrasings.json`` was written by somebody who had not seen the project's own phrasings. Reported: how many
are taken for the right operation, how many of them draw the needless warning, how many of the foreign sentences draw
it as they should; and of these phrasings and those that the project kept for testing, how many nano is asked in the
words by which it does the right edit best, in those of another edit, and in the words as given.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from vedit import engines, weights
from vedit.nets.text import TextEncoder
from vedit.world import operations, phrasings


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--phrasings", type=Path, default=Path(__file__).with_name("phrasings.json"))
    args = parser.parse_args()
    bundle = weights.open_bundle(args.model, "instruct")
    engine = engines.load("instructvid2vid", bundle, {}, device="cpu", dtype="fp32")
    parts = bundle.components
    text = TextEncoder(weights.load_clip(parts["clip"]), weights.load_tokenizer(parts["tokenizer"]))
    directions = load_file(bundle.path / bundle.preset["known_embeddings"])["directions"]
    names = [*operations.OPERATIONS, *phrasings.OBJECT_EDITS]
    asked: dict[str, list[str]] = json.loads(args.phrasings.read_text())
    foreign = asked.pop("foreign")
    wrong, total, warned = [], 0, 0
    with torch.inference_mode():
        for name, texts in asked.items():
            for sentence, row in zip(texts, text.embed(texts) @ directions.T, strict=True):
                total += 1
                warned += engine.knows(sentence) is not None  # type: ignore[attr-defined]
                best = names[int(row.argmax())]
                if best != name:
                    wrong.append({"asked": name, "sentence": sentence, "taken_for": best})
    words = dict(zip(names, bundle.preset["plain_words"], strict=True))

    def reworded(lists: dict[str, list[str]]) -> dict[str, int]:
        found = {"right": 0, "wrong": 0, "as_given": 0}
        with torch.inference_mode():
            for name, sentence in ((n, s) for n in operations.OPERATIONS for s in lists[n]):
                plain = engine.knowledge.plain(text, sentence)  # type: ignore[attr-defined]
                found["as_given" if plain == sentence else "right" if plain == words[name] else "wrong"] += 1
        return found

    figures = {
        "reworded": reworded(asked),
        "reworded_of_the_projects_own": reworded({n: list(phrasings.TEST[n]) for n in operations.OPERATIONS}),
        "model_sha256": bundle.sha256,
        "phrasings": total,
        "right": round(1 - len(wrong) / total, 4),
        "warned_needlessly": round(warned / total, 4),
        "foreign": len(foreign),
        "foreign_warned": round(sum(engine.knows(s) is not None for s in foreign) / len(foreign), 4),  # type: ignore[attr-defined]
        "wrong": wrong,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps({k: v for k, v in figures.items() if k != "wrong"}, indent=1))


if __name__ == "__main__":
    main()
