"""How much memory the networks will hold at once, found before a weight is read, and what to do if that is too much.

The networks are built without memory (torch's meta device) from their configurations and run once at the job's sizes,
while every tensor that lives is counted. What kernels need inside of themselves is not seen, so a tenth is added.
Methods that keep features or attention maps from step to step need more than this.
"""

from __future__ import annotations

import json
import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vedit.errors import ModelError, ResourceError, UsageError

if TYPE_CHECKING:
    from vedit.nets.codec import Codec
    from vedit.nets.revideo import ReVideoConfig
    from vedit.weights import Bundle

WORKSPACE = 1.1
CONTEXT = {"cuda": 600 * 10**6, "mps": 300 * 10**6, "cpu": 650 * 10**6}  # bytes that the libraries take by themselves
TILE = 256  # pixels: side of what the autoencoder sees at once when it is tiled
_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes, and the choices that lead to them. ``weights`` by component; the others are the most that lives at once
    beside the weights while a window of ``window`` frames is encoded, denoised and decoded.

    ``along``: frames of the window before that the network sees beside these. ``branches``: of the guidance, that are
    evaluated at once. ``pixels_at_once``: of the autoencoder, None: its own
    default. ``offload``: the weights wait in main memory, and ``largest`` is the most of them that is needed at once.
    ``steps``: what was lowered to stay below a limit.
    """

    device: str
    dtype: str
    window: int
    weights: dict[str, int]
    encode: int
    denoise: int
    decode: int
    largest: int = 0
    along: int = 0
    branches: int = 1
    pixels_at_once: int | None = None
    tiled: bool = False
    offload: bool = False
    limit: int | None = None
    steps: tuple[str, ...] = ()
    adapter: str | None = None  # its file
    method: str = ""
    settings: Any = None  # of the method

    @property
    def peak(self) -> int:
        """The most that is held at any time."""
        busiest = max(self.encode, self.denoise, self.decode)
        held = self.largest if self.offload else sum(self.weights.values())
        return held + math.ceil(WORKSPACE * busiest) + CONTEXT[self.device.partition(":")[0]]

    def report(self) -> dict[str, Any]:
        """As JSON values."""
        values = asdict(replace(self, settings=None)) | {"peak": self.peak, "steps": list(self.steps)}
        del values["adapter"], values["method"], values["settings"]  # the job has them
        return values


def limit_of(vram: str | None) -> int | None:
    """Bytes of ``--vram``, None without it. Raises ``UsageError``."""
    if vram is None:
        return None
    from vedit.cache import parse_size

    size = parse_size(vram)
    if not size:
        raise UsageError(f"--vram {vram}: is no size; give one such as 8G or 500M")
    return size


def plan(
    bundle: Bundle, *, window: int, width: int, height: int, device: str, dtype: str, adapter: str | None = None,
    along: int = 0, branches: int = 1, method: str = "", settings: Any = None,
) -> MemoryPlan:  # fmt: skip
    """What a window of ``window`` frames at ``width`` × ``height`` pixels takes. Reads no weights.

    ``method``: for one that makes a network of its own of the model's, that one is counted; with its ``settings``, for
    one that sees a window in parts, the largest of these is. Raises ``ModelError`` for a
    network that cannot be built from its configuration.
    """
    sizes = dict.fromkeys(bundle.components, dtype) | {"vae": _room(bundle, dtype)}
    if "clip" in sizes:
        sizes["clip"] = "fp32"  # text encoders stay in single precision
    parts = {name: Path(part) for name, part in bundle.components.items()}
    if adapter is not None:
        parts["adapter"], sizes["adapter"] = Path(adapter), dtype
    weights, largest = {}, 0
    for name, part in parts.items():
        layers = _layer_bytes(part, _BYTES[sizes[name]])
        if layers:
            weights[name] = sum(layers.values())
            # A text encoder comes as a whole; of the others, while one layer goes the next one may come.
            largest = max(largest, weights[name] if name == "clip" else 2 * max(layers.values()))
    return _measured(
        MemoryPlan(
            device, dtype, window, weights, 0, 0, 0, largest=largest, along=along, branches=branches, adapter=adapter,
            method=method, settings=settings,
        ),
        bundle, width, height,
    )  # fmt: skip


def fit(
    bundle: Bundle, limit: int, *, window: int, overlap: int, width: int, height: int, device: str, dtype: str,
    adapter: str | None = None, along: int = 0, branches: int = 1, method: str = "", settings: Any = None,
    compiled: bool = False,
) -> MemoryPlan:  # fmt: skip
    """The same below ``limit`` bytes: branches of the guidance one after the other, the autoencoder frame by frame,
    then in tiles, then shorter windows; and if that is not enough, weights that wait in main memory, with as few of the
    other steps as then are needed.

    The later a step, the more it changes the result, or the time: branches nothing, frames nothing but where a decoder
    mixes them (Stable Video Diffusion's), tiles a little at their seams, shorter windows what the network sees of the
    motion; weights that come and go only take time. Raises ``ResourceError`` when that is not enough.
    """
    start = replace(
        plan(
            bundle, window=window, width=width, height=height, device=device, dtype=dtype, adapter=adapter,
            along=along, branches=branches, method=method, settings=settings,
        ),
        limit=limit,
    )  # fmt: skip
    found = _lowered(start, bundle, limit, overlap, width, height)
    why = _stays(device, compiled)
    if found.peak > limit and not why:
        moved = replace(start, offload=True, steps=("the weights wait in main memory and come layer by layer",))
        found = _lowered(moved, bundle, limit, overlap, width, height)
    if found.peak > limit:
        held = ", ".join(f"{name} {size / 1e9:.1f} GB" for name, size in found.weights.items())
        raise ResourceError(
            f"--vram {limit / 1e9:.1f}G: {found.peak / 1e9:.1f} GB are needed even with "
            f"{'; '.join(found.steps) or 'nothing left to lower'} (the networks alone: {held}"
            f"{', which stay where they are ' + why if why else ''}); lower --size or --overlap, take --dtype fp16 or "
            "bf16, or a smaller model"
        )
    return found


def _stays(device: str, compiled: bool) -> str:
    """Why weights cannot wait in main memory; empty where they can."""
    if not device.startswith("cuda"):
        return "since that is the main memory"
    return "with --compile" if compiled else ""


def _lowered(found: MemoryPlan, bundle: Bundle, limit: int, overlap: int, width: int, height: int) -> MemoryPlan:
    """With as many steps of the ladder as it takes to come below the limit, or all of them."""
    window = found.window
    if found.peak > limit and found.branches > 1 and found.denoise > max(found.encode, found.decode):
        found = _step(found, bundle, width, height, "the branches of the guidance one after the other", branches=1)
    alone = f"the autoencoder sees one frame at once, not {_frames(found, bundle, width, height)}"
    if _mixes(bundle):
        alone += ", though its decoder is steadier with several"
    choices: list[tuple[str, dict[str, Any]]] = [(alone, {"pixels_at_once": 1})]
    if _can_tile(bundle):
        choices.append((f"the autoencoder sees tiles of {TILE} pixels", {"tiled": True}))
    for said, change in choices:
        if found.peak > limit and max(found.encode, found.decode) > found.denoise:
            lower = _step(found, bundle, width, height, said, **change)
            found = lower if lower.peak < found.peak else found
    shortest = overlap + 1
    while found.peak > limit and found.window > shortest:
        shorter = max(shortest, min(found.window - 1, found.window // 2))
        found = _step(found, bundle, width, height, f"windows of {shorter} frames, not {window}", window=shorter)
    return found


def apply(made: MemoryPlan | None, engine: Any) -> None:
    """Tell an engine's autoencoder what was planned."""
    if made is None:
        return
    codec = _codec(engine)
    if codec is None:
        raise ModelError(f"--vram: {type(engine).__name__} has no autoencoder that could be limited")
    codec.limit(made.pixels_at_once, TILE if made.tiled else None)


def overflowed(engine: Any) -> bool:
    """Whether an engine's autoencoder was computed in more than it began with."""
    codec = _codec(engine)
    return codec is not None and codec.overflowed


def _codec(engine: Any) -> Codec | None:
    return getattr(engine, "codec", None) or getattr(getattr(engine, "base", None), "codec", None)


def vae_dtype(bundle: Bundle, dtype: str) -> str:
    """What the autoencoder begins with where the networks compute in ``dtype``."""
    if dtype != "fp16":
        return dtype
    import torch

    from vedit.weights import load

    codec = load.empty_vae(bundle.components["vae"], torch.float16)
    return "fp16" if codec.beside(torch.float16) == torch.float16 else "fp32"


def _room(bundle: Bundle, dtype: str) -> str:
    """What there has to be room for: an autoencoder that may overflow in fp16 may come to compute in fp32."""
    if dtype != "fp16":
        return dtype
    import torch

    from vedit.weights import load

    return "fp32" if load.empty_vae(bundle.components["vae"], torch.float16).can_overflow else dtype


def _step(made: MemoryPlan, bundle: Bundle, width: int, height: int, said: str, **change: Any) -> MemoryPlan:
    earlier = [step for step in made.steps if not (step.startswith("windows of") and said.startswith("windows of"))]
    return _measured(replace(made, **change, steps=(*earlier, said)), bundle, width, height)


def _frames(made: MemoryPlan, bundle: Bundle, width: int, height: int) -> int:
    codec = _empty_codec(bundle)
    codec.limit(made.pixels_at_once, None)
    return min(made.window, codec.decoded_at_once(width * height))


def _mixes(bundle: Bundle) -> bool:
    return _empty_codec(bundle).mixes_frames


def _measured(made: MemoryPlan, bundle: Bundle, width: int, height: int) -> MemoryPlan:
    """With what lives at once under its choices."""
    import torch

    from vedit import engines
    from vedit.weights import load

    dtypes = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    codec = load.empty_vae(bundle.components["vae"], dtypes[_room(bundle, made.dtype)])
    codec.limit(made.pixels_at_once, TILE if made.tiled else None)
    with torch.no_grad():
        pixels = torch.empty(made.window, 3, height, width, device="meta")
        encode = _peak(lambda: codec.encode(pixels))
        latents = torch.empty(made.window, codec.channels, height // codec.stride, width // codec.stride, device="meta")
        decode = _peak(lambda: codec.decode(latents))
        unet, control = bundle.components["unet"], _control(made.adapter)
        frames = made.window + made.along
        if made.settings is not None:
            frames = engines.together(made.method, made.settings, frames)
        seen = latents.new_empty(frames, *latents.shape[1:])
        tuned = _tuned(made)
        call = load.empty_unet_call(unet, dtypes[made.dtype], seen, made.branches, control, tuned)
        denoise = _peak(call)
    return replace(made, encode=encode, denoise=denoise, decode=decode)


def _tuned(made: MemoryPlan) -> Callable[[Any], Any] | None:
    """What makes the network of a method that is tuned to one clip: as its adapter says, else as the method begins."""
    from vedit import engines
    from vedit.weights import adapter as adapters

    if not made.method:
        return None
    network = None if made.adapter is None else adapters.read_about(made.adapter).network
    return engines.tuned_network(made.method, network)


def _control(adapter: str | None) -> ReVideoConfig | None:
    """Of the branch that an adapter sets beside the network, if it does."""
    from vedit.weights import adapter as adapters
    from vedit.weights import revideo

    about = None if adapter is None else adapters.read_about(adapter)
    return revideo.config_of(about, str(adapter)) if about is not None and about.method == revideo.METHOD else None


def _can_tile(bundle: Bundle) -> bool:
    return _empty_codec(bundle).can_tile


def _empty_codec(bundle: Bundle) -> Codec:
    import torch

    from vedit.weights import load

    return load.empty_vae(bundle.components["vae"], torch.float32)


def _layer_bytes(part: Path, size: int) -> dict[str, int]:
    """Bytes of a component's layers at ``size`` bytes a parameter, from the headers of its files."""
    if part.is_file() and part.suffix == ".safetensors":
        files = [part]
    else:
        plain = sorted(part.glob("*.safetensors"))
        half = [file for file in plain if ".fp16" in file.name]
        files = [file for file in plain if file not in half] or half  # as the loader chooses
    layers: dict[str, int] = {}
    for file in files:
        for name, shape in _shapes(file).items():
            layer = name.rpartition(".")[0]
            layers[layer] = layers.get(layer, 0) + size * math.prod(shape)
    return layers


def _shapes(file: Path) -> dict[str, list[int]]:
    try:
        with file.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: cannot be read ({error}); get the model again") from None
    return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}


def _peak(run: Callable[[], Any]) -> int:
    """The most bytes of tensors that live at once while ``run`` runs on the meta device, what it is given aside."""
    with _counted() as count:
        run()
    return count.most


@contextmanager
def _counted() -> Iterator[Any]:
    """Count the memory of all tensors that operations make while the block runs."""
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Count(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.now = self.most = 0
            self._users: dict[int, int] = {}

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = {
                leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)
            }
            out = func(*args, **(kwargs or {}))
            for leaf in tree_leaves(out):
                if isinstance(leaf, torch.Tensor):
                    storage = leaf.untyped_storage()
                    if storage._cdata not in given or storage._cdata in self._users:
                        self._add(leaf, storage._cdata, storage.nbytes())
            return out

        def _add(self, tensor: torch.Tensor, key: int, size: int) -> None:
            if key not in self._users:
                self._users[key] = 0
                self.now += size
                self.most = max(self.most, self.now)
            self._users[key] += 1
            weakref.finalize(tensor, self._drop, key, size)

        def _drop(self, key: int, size: int) -> None:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key]
                self.now -= size

    class Attention(TorchFunctionMode):
        """On a GPU attention never holds the whole matrix of queries and keys; on the meta device it would."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.nn.functional.scaled_dot_product_attention:
                query, _, value = args[:3] if len(args) >= 3 else (kwargs[name] for name in ("query", "key", "value"))
                return torch.empty(*query.shape[:-1], value.shape[-1], device=query.device, dtype=query.dtype)
            return func(*args, **(kwargs or {}))

    count = Count()
    with Attention(), count:
        yield count
