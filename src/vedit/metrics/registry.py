"""Every measure that ``vedit evaluate`` knows: what it is called, what it needs, and what its figure means.

A definition here is a promise: figures of two runs compare only because it does not change. Nothing heavy is imported,
so that the command line can check names before anything is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vedit.errors import UsageError

#: Short side in pixels at which motion is measured, up or down, so that clips of all sizes compare.
SHORT_SIDE = 256

Need = Literal["mask", "reference", "tracks", "clip", "pickscore", "prompt", "source_prompt", "features"]
OPTION: dict[str, str] = {
    "mask": "--mask",
    "reference": "--reference",
    "tracks": "--tracks",
    "clip": "--clip",
    "pickscore": "--pickscore",
    "prompt": "--prompt",
    "source_prompt": "--source-prompt",
    "features": "--features and folders of clips",
}
SETS = "distribution"  # the group of measures that compare folders of clips


@dataclass(frozen=True)
class Measure:
    """One figure about an edit.

    ``group``: what is computed together, and a word for ``--metrics``. ``better``: which way is better, or "" where
    neither is by itself. ``needs``: what must be given beside source and edit. ``frames``: the shortest clip that has
    it; 0 for what is asked of two files that may differ in size or length. ``beside``: the source's own figure is
    given too. ``plotted``: there is a value for (nearly) every frame.
    """

    name: str
    group: str
    unit: str
    better: Literal["higher", "lower", ""]
    definition: str
    needs: tuple[Need, ...] = ()
    frames: int = 1
    beside: bool = False
    plotted: bool = True


_PSNR = "10·log10(255² / MSE) with the mean over all pixels, channels and frames together, as 8-bit RGB levels"
_SSIM = (
    "mean over frames of SSIM (Wang et al. 2004): Gaussian window of 11×11 with σ 1.5, K1 0.01, K2 0.03, RGB channels "
    "averaged, whole windows only"
)
_SMALL = f"at a short side of {SHORT_SIDE} pixels"
_EYES = "what --clip sees is what its own preprocessing leaves of a frame, mostly the middle square"
_FLOW = "DIS optical flow, preset medium"

_ALL = (
    Measure("psnr", "pixels", "dB", "higher", f"edit against source: {_PSNR}"),
    Measure("ssim", "pixels", "", "higher", f"edit against source: {_SSIM}"),
    Measure(
        "psnr_unedited", "unedited", "dB", "higher",
        f"the same where the mask is below half, and nowhere else: {_PSNR}", ("mask",),
    ),
    Measure(
        "ssim_unedited", "unedited", "", "higher",
        f"edit against source over the windows that no pixel of the mask touches: {_SSIM}", ("mask",),
    ),
    Measure("psnr_reference", "reference", "dB", "higher", f"edit against --reference: {_PSNR}", ("reference",)),
    Measure("ssim_reference", "reference", "", "higher", f"edit against --reference: {_SSIM}", ("reference",)),
    Measure(
        "warp_error", "warp", "MSE", "lower",
        "mean squared difference, RGB in [0, 1], between each frame and the frame before it warped by the source's own "
        f"flow, {_SMALL}; {_FLOW}, on 8-bit grey; only pixels that stay inside the picture and pass the "
        "forward-backward check |f + f'|² < 0.01·(|f|² + |f'|²) + 0.5; mean over all such pixels of all frames",
        frames=2, beside=True,
    ),
    Measure(
        "frame_difference", "temporal", "levels", "",
        f"frame differencing: mean |V(t+1) − V(t)| over RGB levels 0 to 255, {_SMALL}", frames=2, beside=True,
    ),
    Measure(
        "optical_flow", "temporal", "pixels", "",
        f"optical flow: mean length of the clip's own flow from each frame to the one before, {_SMALL}; {_FLOW}",
        frames=2, beside=True,
    ),
    Measure(
        "block_matching", "temporal", "levels", "",
        "block matching: mean absolute grey residual of each 16×16 block after its best match within ±7 pixels in the "
        f"frame before, {_SMALL}",
        frames=2, beside=True,
    ),
    Measure(
        "motion_fidelity", "motion", "pixels", "lower",
        "mean distance between where --tracks asks a point to be and where a pyramidal Lucas-Kanade tracker, started "
        "on the first frame of the track, finds it in the edit; over all tracks and their later frames",
        ("tracks",), frames=2,
    ),
    Measure(
        "motion_endpoint", "motion", "pixels", "lower", "the same distance at the last frame of each track, mean over "
        "tracks", ("tracks",), frames=2, plotted=False,
    ),
    Measure(
        "colour_drift", "colour", "ΔE", "lower",
        "CIE76 length of the trend, from the first frame to the last, of the difference between the mean colours of "
        "edit and source; the trend is the least-squares line of that difference over time, in CIELAB of D65",
        frames=2,
    ),
    Measure(
        "sharpness_ratio", "sharpness", "", "",
        "variance of the Laplacian of the edit's luma over that of the source's, both summed over frames; 1 is as "
        "sharp as the source",
    ),
    Measure("size_agreement", "agreement", "", "higher", "1 if both are shown at the same size, else 0", frames=0,
            plotted=False),
    Measure("length_agreement", "agreement", "", "higher", "1 if both have the same number of frames, else 0",
            frames=0, plotted=False),
    Measure(
        "times_agreement", "agreement", "", "higher",
        "1 if every frame is shown when its source frame is, counted from the first frame, within one tick of the "
        "coarser clock and a quarter of a frame; else 0",
        frames=0, plotted=False,
    ),
    Measure(
        "sound_agreement", "agreement", "", "higher",
        "share of the sound streams, of whichever file has more, whose packets are the same bytes in both; 1 where "
        "there is no sound in either",
        frames=0, plotted=False,
    ),
    Measure(
        "frame_consistency_all", "clip", "cosine", "higher",
        f"mean cosine of the CLIP image embeddings of all pairs of different frames; {_EYES}", ("clip",), frames=2,
        beside=True, plotted=False,
    ),
    Measure(
        "frame_consistency_adjacent", "clip", "cosine", "higher",
        "mean cosine of the CLIP image embeddings of consecutive frames; higher than over all pairs by nature, never "
        f"to be compared with it; {_EYES}",
        ("clip",), frames=2, beside=True,
    ),
    Measure(
        "textual_alignment", "clip", "100·cosine", "higher",
        "mean over frames of 100 times the cosine between the CLIP embeddings of frame and --prompt",
        ("clip", "prompt"), beside=True,
    ),
    Measure(
        "frame_accuracy", "clip", "share", "higher",
        "share of frames whose CLIP embedding is nearer to --prompt than to --source-prompt",
        ("clip", "prompt", "source_prompt"), beside=True,
    ),
    Measure(
        "directional_similarity", "clip", "cosine", "higher",
        "mean over frames of the cosine between the change of the CLIP image embedding, source to edit, and the change "
        "of the text embedding, --source-prompt to --prompt; 0 for a frame that did not change",
        ("clip", "prompt", "source_prompt"),
    ),
    Measure(
        "pickscore", "pickscore", "", "higher",
        "mean over frames of exp(logit scale) times the cosine between frame and --prompt, by the model of --pickscore",
        ("pickscore", "prompt"), beside=True,
    ),
    Measure(
        "fid", SETS, "", "lower",
        "Fréchet distance ‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2(Σ₁Σ₂)^½) of the image network's features of all frames of two "
        "folders; covariances unbiased, frames squeezed to the network's square, bilinear with antialiasing",
        ("features",), frames=0, plotted=False,
    ),
    Measure(
        "fvd", SETS, "", "lower",
        "the same distance of the video network's features, one row a clip: its first frames, as many as the network "
        "looks at",
        ("features",), frames=0, plotted=False,
    ),
    Measure(
        "kvd", SETS, "", "lower",
        "unbiased squared maximum mean discrepancy of the same features with the kernel (a·b/D + 1)³, over all pairs",
        ("features",), frames=0, plotted=False,
    ),
)  # fmt: skip

MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}
GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(measure.name for measure in _ALL if measure.group == group)
    for group in dict.fromkeys(measure.group for measure in _ALL)
}


def choose(wanted: str | None, given: frozenset[str], gated: Sequence[str] = ()) -> tuple[Measure, ...]:
    """The measures of ``--metrics``: names and groups with commas between, or all that ``given`` allows.

    ``given``: the needs that are met. ``gated``: names that gates ask for, which are measured in any case. Raises
    :class:`UsageError` for a name that does not exist or a measure that lacks what it needs.
    """
    names = [*_named(wanted, given), *gated]
    for name in names:
        missing = [OPTION[need] for need in MEASURES[known(name, "--metrics")].needs if need not in given]
        if missing:
            raise UsageError(f"--metrics {name}: needs {' and '.join(missing)}; give it, or leave the metric out")
    return tuple(measure for measure in _ALL if measure.name in names)


def _named(wanted: str | None, given: frozenset[str]) -> list[str]:
    if wanted is None:
        return [measure.name for measure in _ALL if given.issuperset(measure.needs)]
    words = [word.strip().replace("-", "_").lower() for word in wanted.split(",") if word.strip()]
    if not words:
        raise UsageError(f"--metrics {wanted!r}: names none; known: {', '.join(MEASURES)}")
    names: list[str] = []
    for word in words:
        if word in MEASURES:
            names.append(word)
        elif word in GROUPS:
            able = [name for name in GROUPS[word] if given.issuperset(MEASURES[name].needs)]
            names += able or GROUPS[word]
        else:
            known(word, "--metrics")
    return names


def known(name: str, option: str) -> str:
    """``name``, if it is a measure's. Raises :class:`UsageError` that names the nearest one."""
    if name in MEASURES:
        return name
    from difflib import get_close_matches

    near = get_close_matches(name, [*MEASURES, *GROUPS], 1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(MEASURES)}"
    raise UsageError(f"{option} {name}: no such metric; {hint}")
