"""Jobs that broke it once, as the shell sees them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_result_whose_sidecar_has_too_long_a_name(vedit, clip):
    """It was found out when all was done."""
    name = "x" * 242 + ".mp4"
    done = vedit("instruct", clip, "invert", "-o", clip.with_name(name))
    assert done.code == 2
    assert done.err.count("\n") == 1 and "too long" in done.err
    assert left(clip.parent) == ["in.mp4"]


def test_the_longest_name_that_has_a_sidecar(vedit, clip):
    name = "x" * (255 - len(".vedit.json") - 4) + ".mp4"
    done = vedit("instruct", clip, "invert", "-o", clip.with_name(name))
    assert done.code == 0, done.err
    assert left(clip.parent) == sorted(["in.mp4", name, f"{name}.vedit.json"])


def test_a_name_that_is_no_text(vedit, clip):
    path = os.fsencode(clip.parent) + b"/caf\xe9.mp4"
    os.rename(clip, path)
    done = vedit("instruct", os.fsdecode(path), "invert", "-o", clip.with_name("out.mp4"))
    assert done.code == 2
    assert done.err.count("\n") == 1 and "this is a bug" not in done.err
    assert "INPUT" in done.err and "rename" in done.err
    assert os.listdir(os.fsencode(clip.parent)) == [b"caf\xe9.mp4"]


@pytest.mark.parametrize("name", ["a\nb.mp4", "-o", "a:b.mp4", "%d.mp4", "é 日本.mp4"])
def test_names_that_are_odd(vedit, clip, name):
    source = clip.rename(clip.with_name(name if name.endswith("4") else f"{name}.mp4"))
    done = vedit("instruct", source, "invert", "--json", "--compare", clip.with_name(f"pair {source.name}"))
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert Path(report["output"]).is_file()
    assert report["frames"] == 24


def test_a_pipe_by_name(vedit, clip):
    pipe = clip.with_name("pipe.mp4")
    os.mkfifo(pipe)
    for words in (("instruct", pipe, "invert"), ("info", pipe), ("instruct", clip, "invert", "--mask", pipe)):
        done = vedit(*words)
        assert done.code == 3
        assert done.err.count("\n") == 1 and "not an ordinary file" in done.err


def test_a_clip_that_does_not_say_how_long_it_is(vedit, clip, tmp_path):
    """As what came out of a pipe: the plan must not be that of one frame."""
    streamed = tmp_path / "streamed.mkv"
    with open(streamed, "wb") as out:
        import av

        class Pipe:
            def write(self, data: bytes) -> int:
                return out.write(data)

        with av.open(str(clip)) as source, av.open(Pipe(), "w", format="matroska") as made:
            stream = made.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    made.mux(packet)
    done = vedit("instruct", streamed, "invert", "--dry-run")
    assert done.code == 0, done.err
    assert "does not say how long" in done.err
    whole = json.loads(vedit("instruct", clip, "invert", "--dry-run", "--json").out)
    plan = json.loads(vedit("instruct", streamed, "invert", "--dry-run", "--json").out)
    assert plan["estimated_memory_mb"] == whole["estimated_memory_mb"]
    assert json.loads(vedit("instruct", streamed, "invert", "--json").out)["frames"] == 24
