"""The loop by itself: memory, threads that fail, sizes, estimates."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli import fake
from tests.video import synth
from vedit import render
from vedit.errors import ResourceError, UsageError, VeditError
from vedit.jobs import EditJob
from vedit.render import machine
from vedit.video.clip import working_size


@pytest.fixture(autouse=True)
def fake_method(monkeypatch):
    fake.install(lambda owner, name, value: monkeypatch.setattr(owner, name, value, raising=False))
    monkeypatch.delenv("VEDIT_FAKE", raising=False)


def job(tmp_path: Path, frames: int = 12, **more: Any) -> EditJob:
    clip = synth.make_clip(tmp_path / "in.mp4", frames)
    return EditJob.build(input=str(clip), output=str(tmp_path / "out.mp4"), prompt="invert", size=64, **more)


def info(width: int, height: int, sar: Fraction | None = None, transpose: bool = False) -> Any:
    return SimpleNamespace(
        display_width=width, display_height=height, sar=sar, orientation=SimpleNamespace(transpose=transpose)
    )


@pytest.mark.parametrize(
    ("clip", "size", "multiple", "expected"),
    [
        (info(480, 480), 256, 8, (256, 256)),
        (info(1920, 1080), 256, 8, (456, 256)),
        (info(1080, 1920), 256, 8, (256, 456)),
        (info(64, 48), 256, 8, (344, 256)),  # small clips are shown at the size that the model knows
        (info(720, 576, Fraction(16, 15)), 256, 8, (344, 256)),  # what is seen has square pixels
        (info(576, 720, Fraction(16, 15), transpose=True), 256, 8, (256, 344)),
        (info(1920, 1080), 250, 64, (448, 256)),
        (info(4000, 20), 64, 8, (12800, 64)),
    ],
    ids=str,
)
def test_working_size(clip, size, multiple, expected):
    assert working_size(clip, size, multiple) == expected


def test_frames_do_not_pile_up(tmp_path, monkeypatch):
    """However long the clip, only the frames of a window or two and of the queues are alive at once."""
    from vedit.video.reader import Reader

    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most = 0
    make = Reader._make

    def counted(self, *arguments):
        nonlocal most
        frame = make(self, *arguments)
        alive.add(frame)
        most = max(most, len(alive))
        return frame

    monkeypatch.setattr(Reader, "_make", counted)
    done = render.run(render.plan(job(tmp_path, 150, window=6, overlap=2)))
    assert done.frames == 150
    assert most <= 2 * 6 + 8 + 4 + 8
    gc.collect()
    assert len(alive) <= 1


@pytest.mark.parametrize("where", ["compose", "encode", "engine", "decode"])
def test_a_failure_anywhere_ends_all(tmp_path, monkeypatch, where):
    """An error in any thread comes out as it is, all threads end, and nothing is left."""
    from vedit.render import first_frame, loop
    from vedit.video.writer import Writer

    def fail(*what, **how):
        raise VeditError(f"{where} failed")

    if where == "compose":
        monkeypatch.setattr(loop, "_to_native", fail)
    elif where == "encode":
        monkeypatch.setattr(Writer, "write", fail)
    elif where == "engine":
        monkeypatch.setattr(fake.Inverter, "edit", fail)
    else:
        monkeypatch.setattr(first_frame, "resized", fail)
    before = threading.active_count()
    with pytest.raises(VeditError, match=f"{where} failed"):
        render.run(render.plan(job(tmp_path, 60)))
    assert threading.active_count() == before
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize("which", ["comparison", "sheet", "sidecar"])
def test_all_outputs_or_none(tmp_path, monkeypatch, which):
    fail_at(monkeypatch, which)
    with pytest.raises(VeditError, match="full"):
        render.run(render.plan(job(tmp_path, compare=str(tmp_path / "pair.mp4"), sheet=str(tmp_path / "sheet.png"))))
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def fail_at(monkeypatch, which):
    """Let the disk be full when one of the files is completed."""
    from vedit.video.outfile import OutFile
    from vedit.video.writer import Writer

    name = {"comparison": "pair.mp4", "sheet": "sheet.png", "sidecar": "out.mp4.vedit.json", "result": "out.mp4"}[which]

    def failing(complete):
        def maybe(self):
            if self.target.name == name:
                raise VeditError("full")
            complete(self)

        return maybe

    for kind in (OutFile, Writer):
        monkeypatch.setattr(kind, "complete", failing(kind.complete))


@pytest.mark.parametrize("when", ["complete", "publish"])
@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_what_was_there_comes_back_after_a_signal(tmp_path, monkeypatch, when, links):
    """While files are completed, and while they get their names; then, where there are hard links."""
    from vedit import signals
    from vedit.signals import Stopped
    from vedit.video.outfile import OutFile
    from vedit.video.writer import Writer

    monkeypatch.setattr(signals, "_stopping", False)
    before = signal.signal(signal.SIGTERM, signals._handle)
    one = job(tmp_path, overwrite=True, compare=str(tmp_path / "pair.mp4"), sheet=str(tmp_path / "sheet.png"))
    names = [one.output, one.compare, one.sheet, one.output + ".vedit.json"]
    for name in map(Path, names):
        name.write_text(f"old {name.name}")

    def refuse(*_):
        raise OSError("no links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)

    def signalled(method):
        def maybe(self):
            method(self)
            if self.target.name == ("out.mp4.vedit.json" if when == "complete" else "sheet.png"):
                os.kill(os.getpid(), signal.SIGTERM)

        return maybe

    for kind in (OutFile, Writer):
        monkeypatch.setattr(kind, when, signalled(getattr(kind, when)))
    try:
        with pytest.raises(Stopped):
            render.run(render.plan(one))
    finally:
        signal.signal(signal.SIGTERM, before)
    left = {path.name: path for path in tmp_path.iterdir()}
    if when == "complete" or links:
        assert {path.read_bytes()[:4] for name, path in left.items() if name != "in.mp4"} == {b"old "}
    assert set(left) <= {"in.mp4", *(Path(name).name for name in names)}


@pytest.mark.parametrize("which", ["comparison", "sheet", "sidecar", "result"])
def test_what_was_there_stays_where_one_of_the_files_fails(tmp_path, monkeypatch, which):
    """Behind symlinks too: neither they nor what they point to go."""
    kept = tmp_path / "kept"
    kept.mkdir()
    one = job(tmp_path, overwrite=True, compare=str(tmp_path / "pair.mp4"), sheet=str(tmp_path / "sheet.png"))
    names = [one.output, one.compare, one.sheet, one.output + ".vedit.json"]
    for name in map(Path, names):
        (kept / name.name).write_text(f"old {name.name}")
        name.symlink_to(kept / name.name)
    fail_at(monkeypatch, which)
    with pytest.raises(VeditError, match="full"):
        render.run(render.plan(one))
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", "kept", *(Path(name).name for name in names)}
    for name in map(Path, names):
        assert name.is_symlink() and name.read_text() == f"old {name.name}"
    assert len(list(kept.iterdir())) == 4


def test_a_symlink_is_written_through(tmp_path):
    target = tmp_path / "kept.mp4"
    target.write_text("old")
    one = job(tmp_path, overwrite=True)
    Path(one.output).symlink_to(target)
    render.run(render.plan(one))
    assert Path(one.output).is_symlink()
    assert target.stat().st_size > 100


def test_threads_and_kernels_are_put_back(tmp_path):
    import torch

    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    seen = []
    edit = fake.Inverter.edit

    class Watching(fake.Inverter):
        def edit(self, window, prompt):
            seen.append((torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()))
            return edit(self, window, prompt)

    plan = render.plan(job(tmp_path, threads=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake, "Inverter", Watching)
        render.run(plan)
    assert set(seen) == {(1, True)}
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_devices():
    import torch

    assert machine.choose_device("cpu") == "cpu"
    with pytest.raises(UsageError, match="abacus"):
        machine.choose_device("abacus")
    with pytest.raises(ResourceError, match="cuda:77"):
        machine.choose_device("cuda:77")
    if not torch.cuda.is_available():
        assert machine.choose_device("auto") in ("cpu", "mps")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried to allocate 2 GiB"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_out_of_memory_says_what_to_lower(error):
    with pytest.raises(ResourceError, match="lower --window"):
        with machine.edit_memory_errors("cuda", 16, 456, 256):
            raise error
    with pytest.raises(ResourceError, match="lower --size, or give --vram what there is"):
        with machine.edit_memory_errors("cuda", 1, 456, 256):
            raise error
    with pytest.raises(ResourceError, match=r"lower --size$"):
        with machine.edit_memory_errors("cpu", 1, 456, 256):
            raise error
    for size, said in ((512, "training at --size 512"), (None, "training at the size of the model")):
        with pytest.raises(ResourceError, match=f"{said}; lower --size, or train by"):
            with machine.training_memory_errors("cuda", size):
                raise error


def test_other_errors_stay_themselves():
    with pytest.raises(RuntimeError, match="shape"):
        with machine.edit_memory_errors("cpu", 16, 456, 256):
            raise RuntimeError("shape mismatch")


def test_the_estimate_grows_with_the_work(tmp_path):
    short = render.plan(job(tmp_path, 12))
    long = render.plan(job(tmp_path, 120, overwrite=True))
    large = render.plan(job(tmp_path, 120, overwrite=True).model_copy(update={"size": 512}))
    assert short.windows < long.windows
    assert short.estimated_seconds <= long.estimated_seconds <= large.estimated_seconds
    assert long.estimated_memory_mb < large.estimated_memory_mb
