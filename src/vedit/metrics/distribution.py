"""FID, FVD and KVD: how far apart two sets of clips are, by the features of a network.

They say something about sets of hundreds of clips, nothing about one. Figures of another network, another resizing or
another number of clips do not compare.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vedit.errors import InputError, ModelError, UsageError
from vedit.metrics.evaluate import SCHEMA, Figure, judged
from vedit.metrics.gates import Gate
from vedit.metrics.registry import GROUPS, MEASURES, SETS, Measure, known
from vedit.video.info import probe
from vedit.video.reader import Reader

if TYPE_CHECKING:
    import torch

    from vedit.weights.features import FeatureModel

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".nut", ".gif")
_BATCH = 8  # pictures at a time


def frechet(mean_1: np.ndarray, cov_1: np.ndarray, mean_2: np.ndarray, cov_2: np.ndarray) -> float:
    """‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2·(Σ₁Σ₂)^½) of two normal distributions (Heusel et al. 2017, eq. 6); float64.

    Tr (Σ₁Σ₂)^½ is the sum of the roots of the eigenvalues of Σ₁^½ Σ₂ Σ₁^½, which is symmetric: no matrix root of an
    unsymmetric product is needed, and nothing turns complex.
    """
    values, vectors = np.linalg.eigh(cov_1)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ cov_2 @ root)
    trace = float(np.trace(cov_1) + np.trace(cov_2) - 2 * np.sqrt(np.clip(inner, 0, None)).sum())
    return float(np.sum((mean_1 - mean_2) ** 2)) + trace


def kernel_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of (N, D) and (M, D) with k(a, b) = (a·b / D + 1)³ (Bińkowski et al.
    2018): over all pairs, no subsets are drawn. May be slightly negative. Raises ``ValueError`` below two rows."""
    n, m = len(one), len(other)
    if min(n, m) < 2:
        raise ValueError(f"the kernel distance needs two rows of each at least, got {n} and {m}")

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    same_1, same_2 = kernel(one, one), kernel(other, other)
    within_1 = (same_1.sum() - np.trace(same_1)) / (n * (n - 1))
    within_2 = (same_2.sum() - np.trace(same_2)) / (m * (m - 1))
    return float(within_1 + within_2 - 2 * kernel(one, other).mean())


@dataclass
class Moments:
    """Running mean and covariance of rows (D,); the rows themselves are kept with ``keep``. Size does not depend on
    their number otherwise."""

    keep: bool = False
    count: int = 0
    rows: list[np.ndarray] = field(default_factory=list)
    _mean: np.ndarray | None = None
    _scatter: np.ndarray | None = None

    def add(self, rows: np.ndarray) -> None:
        """Take (B, D) float64 (Chan, Golub and LeVeque 1983, so that large means do no harm)."""
        mean = rows.mean(0)
        scatter = (rows - mean).T @ (rows - mean)
        if self._mean is None or self._scatter is None:
            self._mean, self._scatter = mean, scatter
        else:
            total = self.count + len(rows)
            gap = mean - self._mean
            self._scatter += scatter + np.outer(gap, gap) * self.count * len(rows) / total
            self._mean = self._mean + gap * len(rows) / total
        self.count += len(rows)
        if self.keep:
            self.rows.extend(rows)

    def normal(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and unbiased covariance. Raises ``ValueError`` below two rows."""
        if self.count < 2 or self._mean is None or self._scatter is None:
            raise ValueError("a covariance needs two rows at least")
        return self._mean, self._scatter / (self.count - 1)


def clips_of(folder: str) -> list[Path]:
    """The videos of a folder, by name. Raises ``InputError`` below two."""
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"{folder}: is not a folder; to compare sets of clips, give folders only")
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    if len(found) < 2:
        raise InputError(f"{folder}: holds {len(found)} videos; two at least are needed, and hundreds to say something")
    return found


def moments(folder: str, model: FeatureModel, device: str = "cpu") -> Moments:
    """Features of all clips of a folder: of every frame, or with a video network of the first frames of each clip."""
    kept = Moments(keep=model.frames > 0)
    network = model.network.to(device)
    for path in clips_of(folder):
        for batch in _batches(path, model):
            kept.add(_features(network, batch.to(device), model.name))
    return kept


def distances(one: Moments, other: Moments) -> dict[str, float]:
    """``fid`` of pictures, ``fvd`` and ``kvd`` of clips."""
    between = frechet(*one.normal(), *other.normal())
    if not one.keep:
        return {"fid": between}
    return {"fvd": between, "kvd": kernel_distance(np.stack(one.rows), np.stack(other.rows))}


@dataclass(frozen=True)
class SetAnswer:
    """Figures about folders of clips. ``counts``: of clips, the source's first."""

    source: str
    edited: tuple[str, ...]
    counts: tuple[int, ...]
    measures: tuple[Measure, ...]
    gates: tuple[Gate, ...]
    figures: tuple[dict[str, Figure], ...]
    models: tuple[tuple[str, str], ...]  # names and hashes

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "schema": SCHEMA,
            "source": self.source,
            "clips": self.counts[0],
            "models": [{"name": name, "sha256": digest, "for": "features"} for name, digest in self.models],
            "edited": [
                {"path": path, "clips": count, "metrics": {name: figure.to_dict() for name, figure in figures.items()}}
                for path, count, figures in zip(self.edited, self.counts[1:], self.figures, strict=True)
            ],
            **judged(self),
            "warnings": [],
        }


def compare(
    source: str, edited: Sequence[str], models: Sequence[str], metrics: str | None, gates: tuple[Gate, ...], device: str
) -> SetAnswer:
    """Measure every folder of ``edited`` against ``source`` with every feature network.

    Raises ``UsageError`` for a metric that is none of folders or that no network gives, and what the parts raise.
    """
    from vedit.weights.features import load_features

    wanted = _wanted(metrics, gates)
    counts = tuple(len(clips_of(folder)) for folder in (source, *edited))
    found: list[dict[str, Figure]] = [{} for _ in edited]
    loaded = [load_features(model) for model in models]
    for model in loaded:
        own = moments(source, model, device)
        for figures, folder in zip(found, edited, strict=True):
            for name, value in distances(own, moments(folder, model, device)).items():
                if name in figures:
                    raise UsageError(f"--features: two networks give {name}; give one for pictures and one for clips")
                figures[name] = Figure(MEASURES[name], value, model=model.name)
    able = [name for name in GROUPS[SETS] if name in found[0]]
    for name in wanted or ():
        if name not in able:
            kind = "image" if name == "fid" else "video"
            raise UsageError(f"--metrics {name}: needs a feature network of the {kind} kind; give one with --features")
    names = [name for name in able if not wanted or name in wanted]
    rows = tuple({name: figures[name] for name in names} for figures in found)
    described = tuple((model.name, model.sha256) for model in loaded)
    return SetAnswer(source, tuple(edited), counts, tuple(MEASURES[name] for name in names), gates, rows, described)


def _wanted(metrics: str | None, gates: tuple[Gate, ...]) -> set[str]:
    """Names that were asked for, or gates ask for; empty: all that the networks give."""
    words = [] if metrics is None else [word.strip().lower() for word in metrics.split(",") if word.strip()]
    names = {name for word in words for name in (GROUPS[SETS] if word == SETS else [known(word, "--metrics")])}
    gated = {gate.metric for gate in gates}
    for name in names | gated:
        if name not in GROUPS[SETS]:
            raise UsageError(f"{name} is measured on single clips; folders have {', '.join(GROUPS[SETS])}")
    return names | gated


def _features(network: torch.nn.Module, batch: torch.Tensor, name: str) -> np.ndarray:
    import torch

    with torch.inference_mode():
        try:
            rows = network(batch).double().cpu().numpy()
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{name}: cannot see pictures of its own size ({reason}); check config.json") from None
    if not np.isfinite(rows).all():
        raise ModelError(f"{name}: its features are not numbers; the model's weights are damaged")
    return rows


def _batches(path: Path, model: FeatureModel) -> Iterator[torch.Tensor]:
    """(B, 3, size, size), or one (1, 3, T, size, size) of the first frames."""
    import torch

    info = probe(path)
    held: list[torch.Tensor] = []
    wanted = model.frames or _BATCH
    with Reader(path, info) as reader:
        for frame in reader:
            held.append(_prepare(frame.rgb(), model))
            if len(held) < wanted:
                continue
            yield torch.stack(held, 1)[None] if model.frames else torch.stack(held)
            if model.frames:
                return
            held = []
    if model.frames:
        raise InputError(f"{path}: has {len(held)} frames, {model.name} looks at {model.frames}; give longer clips")
    if held:
        yield torch.stack(held)


def _prepare(rgb: np.ndarray, model: FeatureModel) -> torch.Tensor:
    """(3, size, size) float32: the whole picture squeezed to a square, bilinear with antialiasing, then normalised."""
    import torch

    picture = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float() / 255
    small = torch.nn.functional.interpolate(
        picture, (model.size, model.size), mode="bilinear", antialias=True, align_corners=False
    )[0]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (model.mean, model.std))
    return (small - mean) / std
