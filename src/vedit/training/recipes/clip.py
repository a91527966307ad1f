"""Train nano-CLIP (transformers' ``CLIPModel``) on world pictures, captions and instructions.

    python -m vedit.training.recipes.clip --out runs/clip --tokenizer runs/tokenizer

Two things are learnt together. Pictures and captions attract each other (the contrastive loss of Radford et al. 2021,
both directions). And instructions, descriptions and edited pictures are drawn to one learnt direction for each
operation, while sentences that ask for something else are drawn to directions of their own: so the text encoder knows
an operation by its many names, and knows when it is asked for something that it has never seen.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vedit.training.common import Average, Means, Run, autocast, prefetch, step_rng, warm_cosine
from vedit.training.recipes.tokenizer import LENGTH
from vedit.training.recipes.tokenizer import load as load_tokenizer
from vedit.world import operations, phrasings
from vedit.world.foreign import draw_foreign
from vedit.world.scene import PLACES, caption, draw_scene, render

PIXEL_MEAN, PIXEL_STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
OTHERS = 8  # directions for sentences that ask for something else
TEXT = {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": LENGTH,
    "projection_dim": 128,
    "attention_dropout": 0.1,
}
VISION = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "image_size": 224,
    "patch_size": 32,
    "projection_dim": 128,
}


def build(vocabulary: int, end: int) -> Any:
    """A fresh ``CLIPModel`` for a vocabulary of that size whose end-of-text token is ``end``.

    ``Any``: transformers types what the model returns as a tuple or an output object, whichever was asked for.
    """
    from transformers import CLIPConfig, CLIPModel

    text = {**TEXT, "vocab_size": vocabulary, "bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": end}
    options: dict[str, Any] = {
        "projection_dim": 128,
        "attn_implementation": "sdpa",
    }  # the second is not in its signature
    return CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, **options))


# --- pictures -------------------------------------------------------------------------------------------------------


def picture(seed: int, index: int) -> tuple[np.ndarray, str, str]:
    """Picture ``index`` (224, 224, 3) uint8, the name of the operation done to it, and the scene's own caption."""
    import cv2

    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, 50, index])
    place = str(rng.choice(PLACES)) if rng.random() < 0.65 else "leaves"
    scene = draw_scene(seed * 1_000_000 + 500_000 + index, 224, 224, frames=1, place=place)
    frames = render(scene).frames
    names = list(operations.OPERATIONS)
    name = names[rng.integers(len(names))] if rng.random() < 0.75 else "nothing"
    edited = operations.apply(name, frames, seed=index)
    return np.round(np.clip(edited[0], 0, 1) * 255).astype(np.uint8), name, caption(scene)


def _chunk(job: tuple[str, int, int, int]) -> list[tuple[str, str]]:
    path, seed, first, last = job
    pictures = np.load(path, mmap_mode="r+")
    labels = []
    for index in range(first, last):
        pictures[index], name, text = picture(seed, index)
        labels.append((name, text))
    pictures.flush()
    return labels


def draw_pictures(folder: Path, seed: int, count: int, workers: int = 2) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Pictures (memory map) and their (operation, caption); drawn if they are not there yet."""
    path, labels_path = folder / f"clip-{seed}-{count}.npy", folder / f"clip-{seed}-{count}.json"
    if not labels_path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.lib.format.open_memmap(path, "w+", np.uint8, (count, 224, 224, 3)).flush()
        edges = np.linspace(0, count, 41).astype(int)
        jobs = [(str(path), seed, int(a), int(b)) for a, b in pairwise(edges)]
        with ProcessPoolExecutor(workers) as pool:
            labels = [label for part in pool.map(_chunk, jobs) for label in part]
        labels_path.write_text(json.dumps(labels))
    return np.load(path, mmap_mode="r"), [(a, b) for a, b in json.loads(labels_path.read_text())]


# --- texts ----------------------------------------------------------------------------------------------------------


def instruction(name: str, rng: np.random.Generator) -> str:
    """A training instruction; object edits are about some thing of the world."""
    if name in operations.OPERATIONS:
        return phrasings.draw_instruction(name, rng)
    shape, colour = (str(rng.choice(list(words))) for words in (phrasings.SHAPE_WORDS, phrasings.COLOUR_WORDS))
    thing = str(rng.choice(list(phrasings.SHAPE_WORDS)))
    if rng.random() < 0.6:
        thing = f"{rng.choice(list(phrasings.COLOUR_WORDS))} {thing}"
    return phrasings.draw_instruction(name, rng, thing=thing, colour=colour, shape=shape)


def _names_another(name: str, text: str) -> bool:
    """Whether a sentence says the name of an operation other than ``name``."""
    said = text.lower().replace("-", " ")
    return any(other != name and other.replace("-", " ") in said for other in operations.OPERATIONS)


def full_caption(name: str, scene_caption: str, rng: np.random.Generator) -> str:
    """What the edited picture shows: the scene and what was done to it, in either order."""
    if name == "nothing":
        return scene_caption
    return phrasings.describe(name, rng, scene_caption if rng.random() < 0.85 else None)


def train(
    out: Path,
    tokenizer: Path,
    data: Path,
    steps: int,
    batch: int,
    rate: float,
    count: int,
    seed: int,
    device: str,
    resume: bool,
    start: Path | None = None,
    texts_each: int = 3,
) -> None:
    """Train and write ``out/clip`` (CLIPModel, bf16) and ``out/known.safetensors`` (a unit direction per operation).

    ``start``: the folder that an earlier training wrote, to go on from.
    """
    identity = {"recipe": "clip", "steps": steps, "batch": batch, "rate": rate, "count": count, "seed": seed}
    identity["texts_each"] = texts_each
    run = Run(out, identity, resume)
    pictures, labels = draw_pictures(data, seed, count)
    words = load_tokenizer(tokenizer)
    names = [*operations.OPERATIONS, *phrasings.OBJECT_EDITS]
    place = {name: index for index, name in enumerate(names)}
    torch.manual_seed(seed)
    model = build(len(words), words.eos_token_id)
    holder = nn.ModuleDict({"clip": model})
    holder.register_parameter("directions", nn.Parameter(torch.randn(len(names) + OTHERS, 128) * 0.1))
    if start is not None:
        from vedit import weights

        model.load_state_dict(cast(Any, weights.load_clip(start / "clip")).state_dict())
        known = load_file(start / "known.safetensors")
        with torch.no_grad():
            holder.get_parameter("directions").copy_(torch.cat([known["directions"], known["others"]]))
    holder.to(device)
    decayed = [p for p in holder.parameters() if p.ndim > 1]
    plain = [p for p in holder.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}], lr=rate, betas=(0.9, 0.98)
    )
    average = Average(holder, 0.998)
    run.restore(holder, optimiser, average)
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (PIXEL_MEAN, PIXEL_STD))

    def tokens(texts: list[str], length: int) -> dict[str, Tensor]:
        made = words(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        return {"input_ids": made["input_ids"], "attention_mask": made["attention_mask"]}

    def make(step: int) -> tuple[Tensor, Tensor, dict[str, Tensor], dict[str, Tensor], Tensor]:
        rng = step_rng(seed, step, 6)
        chosen = rng.integers(0, len(pictures), batch)
        images = torch.from_numpy(np.stack([pictures[i][:, :: int(rng.choice([-1, 1]))] for i in chosen]))
        texts = [full_caption(labels[i][0], labels[i][1], rng) for i in chosen]
        done = torch.tensor([place[labels[i][0]] for i in chosen])
        asked, classes = [], []
        for _ in range(texts_each * batch):
            u = rng.random()
            if u < 0.12:
                asked.append(draw_foreign(rng))
                classes.append(-1)
                continue
            name = names[rng.integers(len(names))]
            described = u < 0.25 and name in operations.OPERATIONS
            text = phrasings.describe(name, rng) if described else instruction(name, rng)
            if rng.random() < 0.2 and text.count(" ") > 3:  # one word lost: no single word may decide all
                kept = text.split(" ")
                del kept[int(rng.integers(len(kept)))]
                if not _names_another(name, " ".join(kept)):  # "swap black and white" without its "swap"
                    text = " ".join(kept)
            asked.append(text)
            classes.append(place[name])
        # As long as the longest sentence: the text tower is causal, so what follows a sentence's end does not matter.
        length = min(LENGTH, max(len(ids) for ids in words([*texts, *asked])["input_ids"]))
        return images, done, tokens(texts, length), tokens(asked, length), torch.tensor(classes)

    means = Means()
    for step, (images, done, texts, asked, classes) in prefetch(make, range(run.first_step, steps), device, depth=4):
        for group in optimiser.param_groups:
            group["lr"] = rate * warm_cosine(step, steps)
        pixels = (images.to(device).permute(0, 3, 1, 2).float() / 255 - mean) / std
        with autocast(device):
            image = model.get_image_features(pixel_values=pixels).pooler_output
            both = {k: torch.cat([texts[k], asked[k]]).to(device) for k in texts}
            text = model.get_text_features(**both).pooler_output
        image, text = F.normalize(image.float(), dim=-1), F.normalize(text.float(), dim=-1)
        text, asks = text[: len(image)], text[len(image) :]
        scale = model.logit_scale.exp().clamp(max=100)
        logits = scale * image @ text.T
        # Equal captions are no negatives of each other.
        same = (texts["input_ids"][:, None] == texts["input_ids"][None]).all(-1).to(device).float()
        target = same / same.sum(1, keepdim=True)
        contrast = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        directions = F.normalize(holder.get_parameter("directions"), dim=-1)
        classes, done = classes.to(device), done.to(device)
        scores = 16.0 * asks @ directions.T
        known = classes >= 0
        named = F.cross_entropy(scores[known], classes[known], label_smoothing=0.02)
        # A foreign sentence may lie at any of the other directions: their summed probability counts.
        foreign = (
            -(scores[~known].log_softmax(-1)[:, len(names) :].logsumexp(-1)).mean()
            if (~known).any()
            else scores.sum() * 0
        )
        seen = F.cross_entropy(16.0 * image @ directions.T, done, label_smoothing=0.02)
        loss = contrast + named + 0.25 * foreign + 0.5 * seen
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(holder.parameters(), 1.0)
        optimiser.step()
        average.update(holder, step)
        hit = (scores[known].argmax(-1) == classes[known]).float().mean()
        match = (logits.argmax(1) == torch.arange(len(image), device=device)).float().mean()
        means.add(loss=loss, contrast=contrast, named=named, foreign=foreign, seen=seen, hit=hit, match=match)
        if (step + 1) % 100 == 0:
            run.log(step + 1, **means.take())
        if (step + 1) % 500 == 0 or step + 1 == steps:
            run.save(step + 1, holder, optimiser, average)
            export(out, holder, average, words, names)


@torch.no_grad()
def export(out: Path, holder: nn.ModuleDict, average: Average, words, names: list[str]) -> None:
    """Write the averaged weights, the known directions, and the figures on the phrasings kept for testing."""
    final = nn.ModuleDict({"clip": build(len(words), words.eos_token_id)})
    final.register_parameter("directions", nn.Parameter(torch.zeros(len(names) + OTHERS, 128)))
    average.copy_to(final)
    model = cast(Any, final["clip"]).eval()
    model.to(torch.bfloat16).save_pretrained(out / "clip")
    model.float()
    directions = F.normalize(final.get_parameter("directions"), dim=-1)
    save_file(
        {
            "directions": directions[: len(names)].contiguous(),
            "others": directions[len(names) :].contiguous(),
        },
        out / "known.safetensors",
    )
    (out / "known.json").write_text(json.dumps(names))

    def embed(texts: list[str]) -> Tensor:
        made = words(texts, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")
        return F.normalize(model.get_text_features(**made).pooler_output.float(), dim=-1)

    right, total, wrong = 0, 0, []
    for index, name in enumerate(names):
        texts = [phrasings.fill(text, thing="red ball", colour="blue", shape="star") for text in phrasings.TEST[name]]
        scores = embed(texts) @ directions.T
        for text, row in zip(texts, scores, strict=True):
            total += 1
            best = int(row.argmax())
            if best == index:
                right += 1
            else:
                wrong.append((name, text, names[best] if best < len(names) else "other"))
    foreign = embed(list(phrasings.NONSENSE_TEST)) @ directions.T
    kept = torch.cat(
        [
            embed([phrasings.fill(t, thing="red ball", colour="blue", shape="star") for t in phrasings.TEST[n]])
            @ directions.T
            for n in names
        ]
    )

    def warned(scores: Tensor) -> float:
        return float((scores.argmax(-1) >= len(names)).float().mean())

    figures = {
        "test_phrasings_right": right / total,
        "wrong": wrong,
        "nonsense_warned": warned(foreign),
        "test_phrasings_warned": warned(kept),
    }
    (out / "figures.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps({k: v for k, v in figures.items() if k != "wrong"}), flush=True)


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("runs/data"))
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=24, help="pictures")
    parser.add_argument("--texts-each", type=int, default=3, help="instructions for every picture")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--count", type=int, default=12000, help="pictures")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--start", type=Path, help="what an earlier training wrote, to go on from")
    parser.add_argument("--resume", action="store_true")
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
