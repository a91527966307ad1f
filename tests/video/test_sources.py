"""Numbered images, folders, GIF, standard input: what an INPUT can be beside a video file."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from vedit.errors import InputError
from vedit.render import passthrough
from vedit.video.encoding import default_suffix
from vedit.video.info import probe
from vedit.video.source import find, is_sequence, stem

from .synth import make_clip, moving_frames, read_clip


def images(folder: Path, numbers: list[int], pattern: str = "%04d.png", size: tuple[int, int] = (96, 64)) -> Path:
    folder.mkdir(exist_ok=True)
    for number, frame in zip(numbers, moving_frames(len(numbers), *size), strict=True):
        cv2.imwrite(str(folder / (pattern % number)), frame[..., ::-1])
    return folder


def test_numbered_images_go_in_with_their_rate(tmp_path: Path) -> None:
    images(tmp_path / "frames", [7, 8, 9, 10])
    name = str(tmp_path / "frames" / "%04d.png")
    assert probe(name).rate == 25
    passed = passthrough.run(name, str(tmp_path / "out.mkv"), rate=Fraction(12))
    assert passed.frames == 4
    info = probe(tmp_path / "out.mkv")
    assert (info.width, info.height, info.rate, round(info.duration or 0, 3)) == (96, 64, 12, Fraction(333, 1000))
    with av.open(str(tmp_path / "out.mkv")) as container:
        for got, want in zip(container.decode(video=0), moving_frames(4), strict=True):
            assert np.abs(got.to_ndarray(format="rgb24").astype(int) - want).mean() < 8


@pytest.mark.parametrize("pattern", ["%d.png", "shot_%d.png", "a[1]-%03d.png"])
def test_patterns(tmp_path: Path, pattern: str) -> None:
    folder = images(tmp_path / "100% [x]", [8, 9, 10, 11], pattern)
    assert passthrough.run(str(folder / pattern), str(tmp_path / "out.mp4")).frames == 4


def test_a_folder_of_images(tmp_path: Path) -> None:
    folder = images(tmp_path / "we[i]rd *", [1, 3, 20])
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden.png").write_bytes(b"")
    assert passthrough.run(str(folder), str(tmp_path / "out.mp4")).frames == 3
    assert passthrough.run(f"{folder}/", str(tmp_path / "again.mp4")).frames == 3


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (lambda f: images(f, [1, 2, 5, 6]), "%04d.png", "image 3 is missing"),
        (lambda f: images(f, [1, 2]), "%05d.png", "no image fits"),
        (lambda f: images(f, [1, 2]), "%d_%d.png", "one number"),
        (lambda f: images(f, [8, 9, 10], "%d.png"), "", "same count of digits"),
        (lambda f: f.mkdir(), "", "folder without images"),
        (lambda f: (images(f, [1, 2]), (f / "0003.jpg").write_bytes(b"x")), "", ".jpg and .png"),
        (lambda f: (images(f, [1, 2]), (f / "0003.png").touch()), "", "0003.png"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_sequences_give_one_line(tmp_path: Path, make: Callable[[Path], Any], name: str, words: str) -> None:
    make(tmp_path / "in")
    with pytest.raises(InputError, match=words) as caught:
        probe(str(tmp_path / "in" / name) if name else str(tmp_path / "in"))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_images_that_change_size_are_told(tmp_path: Path) -> None:
    folder = images(tmp_path / "in", [1, 2, 3])
    images(folder, [4], size=(48, 32))
    passed = passthrough.run(str(folder / "%04d.png"), str(tmp_path / "out.mp4"))
    assert passed.frames == 4
    assert any("change size" in warning for warning in passed.warnings)


def test_a_file_with_a_percent_sign_is_a_file(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "take%02d.mp4", 3)
    assert not is_sequence(str(clip))
    assert find(clip).files == (clip,)
    assert passthrough.run(str(clip), str(tmp_path / "out.mp4")).frames == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/clip.mp4", "a/clip"),
        ("a/shot_%04d.png", "a/shot"),
        ("a/%04d.png", "a"),
        ("folder", "folder"),
        ("folder/", "folder"),
    ],
)
def test_names_of_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert stem(name) == Path(expected)


def test_a_gif_goes_in(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.gif", 4, codec="gif", pix_fmt="rgb8", rate=10, time_base=Fraction(1, 100))
    info = probe(clip)
    assert default_suffix(info) == ".mp4"
    assert not info.alpha
    assert passthrough.run(str(clip), str(tmp_path / "out.mp4")).warnings == []
    assert read_clip(tmp_path / "out.mp4")["times"] == [Fraction(k, 10) for k in range(4)]


COPY = """
import sys
from vedit.render import passthrough
print(passthrough.run(*sys.argv[1:]).frames, file=sys.stderr)
"""


@pytest.mark.parametrize("how", ["pipe", "file"])
def test_standard_input_and_output(tmp_path: Path, environment: dict[str, str], how: str) -> None:
    """mp4 keeps its index at the end: through a pipe it can be read all the same."""
    import sys

    clip = make_clip(tmp_path / "in.mp4", 6, audio=1)
    command = [sys.executable, "-c", COPY, "-", "-"]
    with open(clip, "rb") as opened:
        if how == "file":
            done = subprocess.run(command, stdin=opened, capture_output=True, env=environment, timeout=200)
        else:
            done = subprocess.run(command, input=opened.read(), capture_output=True, env=environment, timeout=200)
    assert (done.returncode, done.stderr) == (0, b"6\n")
    opened_again: Any = av.open(io.BytesIO(done.stdout))
    with opened_again as container:
        assert container.format.name == "matroska,webm"
        assert len(container.streams.audio) == 1
        assert len(list(container.decode(video=0))) == 6
    assert os.listdir(tmp_path) == ["in.mp4"]


def test_nothing_on_standard_input_is_one_line(tmp_path: Path, environment: dict[str, str]) -> None:
    import sys

    code = COPY.replace("print", "from vedit.errors import InputError\ntry:\n    print").rstrip() + (
        "\nexcept InputError as error:\n    print(error, file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, "-", str(tmp_path / "out.mkv")]
    done = subprocess.run(command, input=b"", capture_output=True, env=environment, timeout=200)
    assert done.stderr.startswith(b"standard input: is empty")
    assert os.listdir(tmp_path) == []
