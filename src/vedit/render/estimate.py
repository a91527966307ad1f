"""About how much memory and time a job takes. For ``--dry-run`` and for the warning before memory runs out.

What the networks compute is known: methods say how many evaluations a window takes (:func:`vedit.engines.work`), and
the headers of the checkpoints how much each of them is, and for methods that are tuned to one clip a network without
weights. What that takes on a machine is measured by
``benchmarks/estimate.py``, on small models and one thread; other processors are scaled by rules of thumb.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vedit.video.windows import plan_windows

if TYPE_CHECKING:
    from vedit.engines.base import Share, Work
    from vedit.video.clip import ClipInfo
    from vedit.weights import Bundle

# Seconds of one thread, and MB, for one of each; see Amounts. By benchmarks/estimate.py, on a processor with bf16.
SECONDS = {
    "start": 6.0,
    "weights": 2e-3,
    "layers": 9e-5,
    "multiply_adds": 9e-12,
    "native": 0.11,
    "working": 0.5,
}
MEGABYTES = {"start": 565.0, "weights": 0.8, "activations": 28.0, "waiting": 1.5, "frame": 90.0}
HALF = {"fp16", "bf16"}
CONTROL = "control."  # how the names of a control branch begin in an adapter
SLOWER, LARGER = 1.8, 1.6  # of other arithmetic: how much longer it takes, and how much more memory its weights

PARALLEL = 0.8  # so many more threads to the power of this is how much faster it goes
MOST_THREADS = 16  # more of them help no further
# Against one thread, as published peaks compare and a third of it; not measured.
FASTER = {"cuda": 400.0, "mps": 25.0}
GPU_LAYER_SECONDS = 2e-5  # the time to start one kernel or two
TRAINING = 3.0  # a step of training over an evaluation: there, and twice as much back


@dataclass(frozen=True)
class Cost:
    """Peak resident memory in MB (10⁶ bytes) and wall time in seconds, both rough."""

    memory_mb: int
    seconds: int


@dataclass(frozen=True)
class Amounts:
    """How much there is to do.

    ``layers``: layers that are run, over all evaluations. ``multiply_adds`` of the networks, as they would be in half
    precision. ``native``: megapixels of all frames at the clip's size, which are decoded, composed and encoded.
    ``working``: the same of the edited frames at working size. ``weights`` in MB, as they would be in float32. For
    memory: ``activations``: MB of one layer of the finest level for all frames of a window; ``waiting``: megapixels of
    the decoded frames that wait; ``frame``: megapixels of one.
    """

    layers: float
    multiply_adds: float
    native: float
    working: float
    weights: float
    activations: float
    waiting: float
    frame: float

    def seconds(self, device: str = "cpu", threads: int = 1) -> float:
        """Wall time on ``threads`` threads, and on ``device`` for the networks."""
        several = min(max(1, threads), MOST_THREADS) ** PARALLEL
        around = SECONDS["native"] * self.native + SECONDS["working"] * self.working
        start = SECONDS["start"] + SECONDS["weights"] * self.weights
        kind = device.partition(":")[0]
        computed = SECONDS["multiply_adds"] * self.multiply_adds
        if kind in FASTER:
            # The processor has the frames to itself, at the same time.
            networks = computed / FASTER[kind] + GPU_LAYER_SECONDS * self.layers
            return start + max(networks, around / several)
        return start + (computed + SECONDS["layers"] * self.layers + around) / several

    def megabytes(self) -> float:
        """Peak resident memory where the networks run on the processor."""
        return (
            MEGABYTES["start"]
            + MEGABYTES["weights"] * self.weights
            + MEGABYTES["activations"] * self.activations
            + MEGABYTES["waiting"] * self.waiting
            + MEGABYTES["frame"] * self.frame
        )


@dataclass(frozen=True)
class Growth:
    """What a method that is tuned to one clip sets beside the 2D network: how many times as much there is to compute,
    and how many more parameters and layers there are."""

    times: float = 1.0
    parameters: int = 0
    layers: int = 0


def growth(bundle: Bundle, method: str, *, frames: int, width: int, height: int, adapter: str | None = None) -> Growth:
    """Of ``method`` on windows of ``frames`` frames, as its ``adapter`` says, else as it begins. Counted on a network
    without weights. Raises ``ModelError``."""
    from vedit import engines
    from vedit.weights import adapter as adapters

    if not engines.tunes_to_clip(method):
        return Growth()
    tuned = engines.tuned_network(method, None if adapter is None else adapters.read_about(adapter).network)
    assert tuned is not None
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from vedit.weights import load, read_layers

    unet = bundle.components["unet"]
    decoder = read_layers(bundle.components["vae"], "decoder")
    seen = torch.empty(frames, 1, -(-height // decoder.stride), -(-width // decoder.stride), device="meta")
    counted = []
    with torch.no_grad():
        for made in (None, tuned):
            call = load.empty_unet_call(unet, torch.float32, seen, tuned=made)
            with FlopCounterMode(display=False) as counter:
                call()
            counted.append(counter.get_total_flops())
    return Growth(counted[1] / counted[0], *load.added_by(unet, tuned))


def shares(frames: int, window: int, overlap: int, regions: int = 1) -> list[Share]:
    """The windows of a shot of so many frames with so many regions apart, as a method is asked about them."""
    from vedit.engines.base import Share

    return [
        Share(len(one.produces), one.reference, index > 0, regions)
        for index, one in enumerate(plan_windows(frames, window, overlap))
    ]


def amounts(
    bundle: Bundle,
    work: Work,
    info: ClipInfo | None,
    *,
    frames: int,
    window: int,
    width: int,
    height: int,
    dtype: str,
    adapter: str | None = None,
    grown: Growth = Growth(),
    together: int | None = None,
) -> Amounts:
    """Of a job that edits ``frames`` frames at ``width`` × ``height`` pixels, for which the network has ``work``.

    ``adapter``: its file; of what is in there, a control branch is counted, which runs beside the network. ``grown``:
    what a tuned method adds. ``together``: how many frames of a window the network sees in one call, by default all.
    Without ``info`` nothing is composed and encoded. Reads the headers of the checkpoints.
    Raises ``ModelError``.
    """
    from vedit.weights import read_layers

    parts = bundle.components
    network = read_layers(parts["unet"])
    beside = [] if adapter is None else [read_layers(adapter, CONTROL)]
    networks = [network, *beside]
    encoder, decoder = (read_layers(parts["vae"], part) for part in ("encoder", "decoder"))
    latent = -(-height // decoder.stride), -(-width // decoder.stride)
    # An autoencoder without levels works at the latents' size. It encodes a frame once and decodes source and edit.
    coded = latent if set(decoder.places) == {0} else (height, width)
    codec = encoder.multiply_adds(*coded) + 2 * decoder.multiply_adds(*coded)
    reader = read_layers(parts["clip"] if "clip" in parts else parts["image_encoder"])  # of words, or of pictures
    half = dtype in HALF
    native = info.width * info.height / 1e6 if info is not None else 0.0
    return Amounts(
        layers=float(work.evaluations * (sum(one.layers for one in networks) + grown.layers)),
        multiply_adds=(1 if half else SLOWER)
        * (work.frames * grown.times * sum(one.multiply_adds(*latent) for one in networks) + frames * codec),
        native=info.frames * native if info is not None else 0.0,
        working=frames * width * height / 1e6 if info is not None else 0.0,
        weights=(4e-6 if half else 4e-6 * LARGER)
        * (
            sum(one.parameters for one in networks)
            + grown.parameters
            + encoder.parameters
            + decoder.parameters
            + reader.parameters
        ),
        activations=(2e-6 if half else 4e-6) * network.width * latent[0] * latent[1] * (together or window),
        waiting=native * (2 * window + 12),
        frame=native,
    )


def training_seconds(
    bundle: Bundle, method: str, steps: int, frames: int, *, width: int, height: int, dtype: str, device: str,
    threads: int,
) -> int:  # fmt: skip
    """Wall time of so many steps of tuning a network to ``frames`` frames of a clip."""
    from vedit.engines.base import Work

    made = amounts(
        bundle, Work(steps, steps * frames), None, frames=frames, window=frames, width=width, height=height,
        dtype=dtype, grown=growth(bundle, method, frames=frames, width=width, height=height),
    )  # fmt: skip
    once = replace(made, layers=TRAINING * made.layers, multiply_adds=TRAINING * made.multiply_adds)
    return max(1, round(once.seconds(device, threads)))


def cost(
    bundle: Bundle,
    work: Work,
    info: ClipInfo,
    *,
    frames: int,
    window: int,
    width: int,
    height: int,
    dtype: str,
    device: str,
    threads: int,
    adapter: str | None = None,
    method: str = "",
    together: int | None = None,
) -> Cost:
    """Estimate a job; see :func:`amounts`. ``method``: where it is tuned to one clip, what it adds is counted."""
    grown = Growth()
    if method:
        grown = growth(bundle, method, frames=window, width=width, height=height, adapter=adapter)
    made = amounts(
        bundle, work, info, frames=frames, window=window, width=width, height=height, dtype=dtype, adapter=adapter,
        grown=grown, together=together,
    )  # fmt: skip
    return Cost(round(made.megabytes()), max(1, round(made.seconds(device, threads))))
