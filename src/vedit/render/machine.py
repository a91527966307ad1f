"""The machine: device, threads, memory, and what to say when it has too little of them."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from vedit.errors import ResourceError, UsageError


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def check_device_name(device: str) -> None:
    """Refuse a device that does not exist anywhere. Raises :class:`UsageError`."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise UsageError(f"--device {device}: no such device; use auto, cpu, cuda, cuda:N or mps")


def choose_device(device: str) -> str:
    """The device to run on. ``auto`` takes CUDA, then Apple's GPU, then the CPU. Imports torch.

    Raises :class:`ResourceError` for a device that is asked for and absent.
    """
    check_device_name(device)
    if device == "cpu":
        return device
    import torch

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    if device == "mps" and not mps:
        raise ResourceError("--device mps: there is no Apple GPU that torch can use; use --device cpu")
    if device.startswith("cuda"):
        number = int(device.partition(":")[2] or 0)
        if not cuda:
            raise ResourceError(
                f"--device {device}: torch {torch.__version__} finds no CUDA device; "
                "use --device cpu, or install a CUDA build of torch"
            )
        if number >= cuda:
            raise ResourceError(f"--device {device}: there are only {cuda} CUDA devices, from cuda:0 on")
    return device


def choose_dtype(dtype: str, device: str) -> str:
    """``dtype`` with ``auto`` settled for ``device``: fp32, fp16 or bf16. Raises :class:`UsageError`. Imports torch."""
    import torch

    from vedit.engines import base

    names = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
    return names[base.choose_dtype(dtype, device)]


def check_compiler(device: str) -> None:
    """Raise :class:`ResourceError` where ``torch.compile`` has nothing to make kernels with. Imports torch."""
    from torch._dynamo import is_dynamo_supported

    kind = device.partition(":")[0]
    lacks = "" if is_dynamo_supported() else "torch cannot compile with this Python"
    if kind == "cuda":
        from torch.utils._triton import has_triton

        lacks = lacks or ("" if has_triton() else "Triton is missing, or the GPU is too old for it")
    elif kind == "cpu":
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
        except InvalidCxxCompiler:
            lacks = lacks or "there is no C++ compiler"
    else:
        lacks = lacks or "torch compiles nothing of use for it yet"
    if lacks:
        raise ResourceError(f"--compile: not on {device}: {lacks}; leave it out")


@contextlib.contextmanager
def compile_errors() -> Iterator[None]:
    """Turn what a compiler has to say into one line. Nothing runs uncompiled instead."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "torch.fx", "triton")):
            raise
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ResourceError(f"--compile: torch cannot compile this network ({said[:200]}); leave it out") from error


@contextlib.contextmanager
def pinned(threads: int, device: str) -> Iterator[None]:
    """Fix what the bytes of a result depend on: the number of threads and the choice of kernels. Undone afterwards."""
    if device.startswith("cuda"):
        # cuBLAS is deterministic only with a fixed workspace, and reads this when it starts.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    was_threads = torch.get_num_threads()
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    was_warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    was_benchmark = torch.backends.cudnn.benchmark
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.set_num_threads(was_threads)
        torch.use_deterministic_algorithms(was_deterministic, warn_only=was_warn_only)
        torch.backends.cudnn.benchmark = was_benchmark


def free_memory(device: str) -> None:
    """Give back what nobody can reach any more, on a GPU too."""
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()


@contextlib.contextmanager
def memory_errors(what: str, lower: str) -> Iterator[None]:
    """Turn running out of memory at ``what`` into a :class:`ResourceError` that says what to ``lower``."""
    try:
        yield
    except Exception as error:
        if not _out_of_memory(error):
            raise
        raise ResourceError(f"out of memory on {what}; lower {lower}") from error


def edit_memory_errors(device: str, window: int, width: int, height: int) -> contextlib.AbstractContextManager[None]:
    """:func:`memory_errors` of an edit."""
    what = f"{device} with windows of {window} frames at {width}×{height}"
    lower = "--window or --size" if window > 1 else "--size"
    on_gpu = device.startswith("cuda")
    return memory_errors(what, f"{lower}, or give --vram what there is, and vedit finds what fits" if on_gpu else lower)


def training_memory_errors(device: str, size: int | None) -> contextlib.AbstractContextManager[None]:
    """:func:`memory_errors` of a training on pictures of ``size`` pixels, None: the model's own size."""
    what = f"{device} while training at {'the size of the model' if size is None else f'--size {size}'}"
    return memory_errors(what, "--size, or train by vedit train-adapter with fewer --frames")


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    # The CPU allocator has no class of its own.
    return isinstance(error, RuntimeError) and bool(re.search(r"(can't|not enough|out of).{0,20}memory", str(error)))


def peak_rss_mb() -> float:
    """The most memory this process ever held, in MB (10⁶ bytes)."""
    try:
        # getrusage would count the parent's memory before exec as ours.
        status = Path("/proc/self/status").read_text()
        return round(int(re.search(r"VmHWM:\s*(\d+)", status)[1]) * 1024 / 1e6, 1)  # type: ignore[index]
    except (OSError, TypeError):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def gpu_free_bytes(device: str) -> int | None:
    """Memory of a CUDA device that nobody holds; None for other devices."""
    import torch

    if not device.startswith("cuda") or not torch.cuda.is_available():
        return None
    return int(torch.cuda.mem_get_info(device if ":" in device else torch.cuda.current_device())[0])


def available_mb() -> float | None:
    """Memory that is free for the taking, in MB; None where it cannot be told."""
    try:
        meminfo = Path("/proc/meminfo").read_text()
        return int(re.search(r"MemAvailable:\s*(\d+)", meminfo)[1]) * 1024 / 1e6  # type: ignore[index]
    except (OSError, TypeError):
        return None
