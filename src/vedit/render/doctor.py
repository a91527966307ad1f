"""What vedit finds on a machine, and what is in its way: for ``vedit doctor``."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from vedit.errors import UsageError, VeditError
from vedit.render import machine

State = Literal["ok", "warn", "fix"]

GB = 10**9
ENOUGH_MEMORY, LITTLE_MEMORY = 4 * GB, GB  # for nano; below the first slow, below the second hopeless
ENOUGH_DISK = 5 * GB
_LIBRARIES = ("torch", "diffusers", "transformers", "huggingface-hub", "safetensors", "av", "numpy")
_ENCODERS = ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "ffv1", "prores_ks")
_HARDWARE = ("h264_nvenc", "h264_vaapi", "h264_qsv", "h264_videotoolbox", "h264_amf")


@dataclass(frozen=True)
class Check:
    """One line: ``found`` is what there is, ``advice`` what to do unless ``state`` is ok."""

    name: str
    state: State
    found: str
    advice: str = ""


def checks() -> Iterator[Check]:
    """All of them, one after the other; what cannot be looked at is itself to be fixed."""
    looks: tuple[tuple[str, Callable[[], Iterator[Check]]], ...] = (
        ("python", _python),
        ("libraries", _libraries),
        ("device", _device),
        ("attention", _attention),
        ("memory", _memory),
        ("codecs", _codecs),
        ("hardware codecs", _hardware),
        ("cache", _cache),
        ("models", _models),
    )
    for name, look in looks:
        try:
            yield from look()
        except VeditError as error:
            yield Check(name, "fix", str(error), "see the message")
        except (ImportError, OSError, RuntimeError) as error:
            yield Check(
                name, "fix", f"{type(error).__name__}: {' '.join(str(error).split())[:160]}", "install vedit again"
            )


def _python() -> Iterator[Check]:
    found = f"{platform.python_version()} ({sys.executable}), {platform.system()} {platform.machine()}"
    yield Check("python", "ok", found)  # pip installs vedit into no other


def _libraries() -> Iterator[Check]:
    """Versions, and whether they are in the ranges that vedit was installed with."""
    from packaging.requirements import InvalidRequirement, Requirement

    wanted = {}
    try:
        for line in requires("vedit") or ():
            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                continue
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted[requirement.name] = requirement.specifier
    except PackageNotFoundError:
        pass  # run from a checkout that is not installed: versions are told, ranges are not known
    for name in _LIBRARIES:
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Check(name, "fix", "not installed", f"pip install {name}")
            continue
        fits = name not in wanted or wanted[name].contains(found.partition("+")[0], prereleases=True)
        advice = "" if fits else f"vedit was made for {name}{wanted[name]}"
        yield Check(name, "ok" if fits else "warn", found, advice)


def _device() -> Iterator[Check]:
    import torch

    device = machine.choose_device("auto")
    dtype = machine.choose_dtype("auto", device)
    if device == "cuda":
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            about = torch.cuda.get_device_properties(number)
            found = f"{about.name}, {free / GB:.1f} of {total / GB:.1f} GB free, {dtype}, CUDA {torch.version.cuda}"
            enough = free >= ENOUGH_MEMORY
            advice = "" if enough else "end what else uses it, or take another with --device cuda:N"
            yield Check(f"cuda:{number}", "ok" if enough else "warn", found, advice)
        return
    if device == "mps":
        yield Check("device", "ok", f"Apple GPU (mps), {dtype}")
        return
    cores = machine.cores()
    found = f"CPU, {cores} cores, {torch.backends.cpu.get_cpu_capability()}, {dtype}"
    advice = "nano runs well; models of Stable Diffusion's size want a GPU and a build of torch for it"
    if shutil.which("nvidia-smi") and torch.version.cuda is None:
        advice = "there is an NVIDIA driver, and this torch is a build for the CPU: install the CUDA build of torch"
    yield Check("device", "warn", found, advice)


def _attention() -> Iterator[Check]:
    """The kernels of scaled_dot_product_attention, tried out."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    device = machine.choose_device("auto")
    names = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    query = torch.zeros(1, 8, 64, 64, device=device, dtype=dtype)
    works = []
    for backend in (
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
        SDPBackend.CUDNN_ATTENTION,
        SDPBackend.MATH,
    ):
        try:
            with sdpa_kernel(backend):
                torch.nn.functional.scaled_dot_product_attention(query, query, query)
        except RuntimeError:
            continue  # not built, or not for this device
        works.append(backend.name.lower().removesuffix("_attention"))
    quick = any(name != "math" for name in works)
    found = f"{', '.join(works) or 'none'} ({names[str(dtype).removeprefix('torch.')]})"
    advice = "" if quick else "attention takes memory with the square of the picture; a newer torch has better kernels"
    yield Check("attention", "ok" if quick else "warn", found, advice)


def _memory() -> Iterator[Check]:
    free = machine.available_mb()
    if free is None:
        yield Check("memory", "ok", "cannot be told on this system")
        return
    state: State = "ok" if free * 1e6 >= ENOUGH_MEMORY else "warn" if free * 1e6 >= LITTLE_MEMORY else "fix"
    advice = {"ok": "", "warn": "lower --window or --size if an edit fails", "fix": "end other programs"}[state]
    yield Check("memory", state, f"{free / 1000:.1f} GB free", advice)


def _codecs() -> Iterator[Check]:
    import av
    import av.codec
    import av.error

    def there(name: str) -> bool:
        try:
            av.codec.Codec(name, "w")
        except (av.error.FFmpegError, ValueError):
            return False
        return True

    absent = [name for name in _ENCODERS if not there(name)]
    found = f"PyAV {av.__version__}: {', '.join(name for name in _ENCODERS if name not in absent)}"
    if "libx264" in absent:
        yield Check(
            "codecs", "fix", found, "install PyAV's own wheel, which has libx264: pip install --force-reinstall av"
        )
    elif absent:
        yield Check("codecs", "warn", found, f"--codec {', '.join(absent)} cannot be used with this build of FFmpeg")
    else:
        yield Check("codecs", "ok", found)


def _hardware() -> Iterator[Check]:
    """What could decode and encode in hardware. vedit decodes on a CUDA device where it is asked to, or where the
    networks run on one; hardware encoders are codecs like others."""
    from av.codec.hwaccel import hwdevices_available

    from vedit.video.hwaccel import Accelerator

    decoders = sorted(hwdevices_available())
    uses = "vedit decodes on the CPU"
    if "cuda" in decoders:
        why = Accelerator("cuda").absent()
        uses = "--hwaccel takes cuda" if why is None else f"{uses}, for {why}"
    yield Check("hardware decoding", "ok", f"{', '.join(decoders) or 'none'} in this FFmpeg; {uses}")
    works = [name for name in _HARDWARE if _encodes(name)]
    yield Check("hardware encoding", "ok", ", ".join(works) + " (--codec)" if works else "none works here; not needed")


def _encodes(name: str) -> bool:
    """Whether an encoder opens on this machine."""
    import av
    import av.error

    try:
        context = av.CodecContext.create(name, "w")
        context.width, context.height, context.pix_fmt = 256, 256, "yuv420p"  # type: ignore[attr-defined]
        context.time_base = Fraction(1, 25)
        context.open()
    except (av.error.FFmpegError, ValueError, RuntimeError, OSError):
        return False
    return True


def _cache() -> Iterator[Check]:
    from vedit.cache import default_folder, default_limit
    from vedit.weights import hub, stored
    from vedit.weights.search import hub_cache

    folder = default_folder()
    used = stored.used(folder) if folder.is_dir() else 0
    found = f"{folder}: {used / GB:.1f} of {default_limit() / GB:.0f} GB"
    writable = _writable(folder)
    yield Check(
        "cache", "ok" if writable else "fix", found, "" if writable else "name another folder with $VEDIT_CACHE"
    )
    shared = hub_cache()
    models = sorted(shared.glob("models--*")) if shared.is_dir() else []
    used = sum(stored.used(model) for model in models)
    free = shutil.disk_usage(_existing(shared)).free
    offline = ", offline" if hub.is_offline() else ""
    found = f"{shared}: {len(models)} models, {used / GB:.1f} GB; {free / GB:.1f} GB of the disk are free{offline}"
    if not _writable(shared):
        yield Check("hub cache", "fix", found, "name another folder with $HF_HUB_CACHE")
    elif free < ENOUGH_DISK:
        yield Check("hub cache", "warn", found, "make room (vedit models rm), or name another disk with $HF_HUB_CACHE")
    else:
        yield Check("hub cache", "ok", found)


def _models() -> Iterator[Check]:
    from vedit import weights

    found = weights.list_models()
    names = ", ".join(model.name for model in found)
    if not found:
        yield Check(
            "models", "fix", "none at hand", "install vedit again, or set VEDIT_MODELS to a folder that holds some"
        )
    else:
        yield Check("models", "ok", names)


def _existing(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.exists())


def _writable(folder: Path) -> bool:
    existing = _existing(folder)
    if not existing.is_dir():
        raise UsageError(f"{folder}: {existing} is a file; name another folder")
    return os.access(existing, os.W_OK | os.X_OK)
