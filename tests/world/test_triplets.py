"""Triplets on disk: the same seed draws the same bytes, and what is wrong with a manifest is told with its place."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from vedit.errors import InputError, UsageError
from vedit.world.operations import OPERATIONS
from vedit.world.phrasings import OBJECT_EDITS
from vedit.world.triplets import MANIFEST, draw, read_manifest

cv2.setNumThreads(1)

GOOD = {"source": "a.mp4", "edited": "b.mp4", "instruction": "make it snowy"}


def drawn(folder: Path, seed: int = 50) -> dict[str, bytes]:
    """Draw a small folder; its files by name. Seed 50 draws object edits, colours and film grain."""
    manifest = draw(folder, seed, 2, frames=2, height=48, width=64, edits=2)
    assert manifest == folder / MANIFEST
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    drawn(folder)
    return folder


def test_the_same_seed_draws_the_same_files(folder, tmp_path):
    files = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert len(files) == 1 + 2 * (1 + 2)
    again, other = drawn(tmp_path / "again"), drawn(tmp_path / "other", 51)
    assert again[MANIFEST] == files[MANIFEST] != other[MANIFEST]
    assert again == files
    assert other["00000/source.mp4"] != files["00000/source.mp4"]


def test_larger_clips_are_the_same_too(tmp_path):
    """The AVX-512 code of x264 gave other bytes, from a few frames of 64 x 64 on."""
    from vedit.world.clipfile import write_clip

    frames = np.random.default_rng(0).random((8, 64, 64, 3), dtype=np.float32)
    frames = np.repeat(frames[:1], 8, 0) * 0.9 + 0.1 * frames
    found = set()
    for k in range(6):
        write_clip(tmp_path / f"{k}.mp4", frames)
        found.add((tmp_path / f"{k}.mp4").read_bytes())
    assert len(found) == 1


def test_what_was_drawn_can_be_read(folder):
    entries = read_manifest(folder)
    assert len(entries) == 4
    assert {entry.label for entry in entries} <= {*OPERATIONS, *OBJECT_EDITS}
    assert any(entry.label in OBJECT_EDITS for entry in entries)
    assert any(entry.label in OPERATIONS for entry in entries)
    for entry in entries:
        assert entry.source.is_file()
        assert entry.edited.is_file()
        assert entry.edited == entry.source.parent / f"{entry.label}.mp4"
        assert 1 <= len(entry.instructions) <= 4
        source, edited = (np.stack(list(frames(path))) for path in (entry.source, entry.edited))
        assert source.shape == edited.shape == (2, 48, 64, 3)


def frames(path: Path):
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def test_things_become_something_else_than_they_were(tmp_path, monkeypatch):
    """With two colours and two shapes to choose from, every draw would hit the thing's own half of the time."""
    from vedit.world import phrasings, triplets

    asked, draw_scene = [], triplets.draw_scene

    def scene(*size, **more):
        made = draw_scene(*size, **more)
        return replace(made, things=tuple(replace(thing, colour="red", shape="ball") for thing in made.things))

    def said(label, rng, *, thing="", colour="", shape=""):
        asked.append((label, thing, colour, shape))
        return label

    monkeypatch.setattr(triplets, "draw_scene", scene)
    monkeypatch.setattr(phrasings, "COLOUR_WORDS", {"red": ("red",), "blue": ("blue",)})
    monkeypatch.setattr(phrasings, "SHAPE_WORDS", {"ball": ("ball",), "star": ("star",)})
    monkeypatch.setattr(phrasings, "draw_instruction", said)
    draw(tmp_path, 50, 4, frames=1, height=32, width=32, edits=40)
    things = [row for row in asked if row[0] in OBJECT_EDITS]
    assert len(things) >= 3
    assert {row[1:] for row in things} == {("red ball", "blue", "star")}


def test_progress_is_told(tmp_path):
    told = []
    draw(tmp_path, 0, 2, frames=1, height=32, width=32, edits=0, progress=lambda *state: told.append(state))
    assert told == [(1, 2), (2, 2)]


def test_a_folder_with_a_manifest_is_not_drawn_over(folder):
    before = (folder / MANIFEST).read_bytes()
    with pytest.raises(UsageError, match=f"{re.escape(str(folder))}: holds {MANIFEST} already"):
        draw(folder, 9, 1)
    assert (folder / MANIFEST).read_bytes() == before


@pytest.mark.parametrize("wrong", [{"count": 0}, {"height": 47}, {"width": 63}, {"height": 16}])
def test_counts_and_sizes_that_cannot_be_drawn_are_refused(tmp_path, wrong):
    option = "--count" if "count" in wrong else "--size"
    with pytest.raises(UsageError, match=f"{option} .*{next(iter(wrong.values()))}"):
        draw(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def manifest(folder: Path, *lines: str) -> Path:
    """A manifest of these lines beside the two clips of :data:`GOOD`."""
    for name in (GOOD["source"], GOOD["edited"]):
        (folder / name).touch()
    path = folder / MANIFEST
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_least_that_a_line_needs(tmp_path):
    more = {"instructions": ["let it snow", "make it snowy"], "label": "snow"}
    manifest(tmp_path, json.dumps(GOOD), "", json.dumps(GOOD | more))
    least, full = read_manifest(tmp_path)
    assert (least.source, least.edited) == (tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert (least.instructions, least.label) == (("make it snowy",), "")
    assert (full.instructions, full.label) == (("make it snowy", "let it snow"), "snow")


def test_a_folder_without_a_manifest_is_named(tmp_path):
    with pytest.raises(InputError, match=f"{re.escape(str(tmp_path / MANIFEST))}: no such file"):
        read_manifest(tmp_path)


def test_a_manifest_in_another_encoding_is_named(tmp_path):
    line = json.dumps({"source": "a.mp4", "edited": "b.mp4", "instruction": "schön"}, ensure_ascii=False)
    (tmp_path / MANIFEST).write_bytes(line.encode("latin-1"))
    with pytest.raises(InputError, match=f"{re.escape(str(tmp_path / MANIFEST))}: is not UTF-8"):
        read_manifest(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"^-o .*file: cannot be made"):
        draw(tmp_path / "file", count=1)


def test_an_empty_manifest_is_refused(tmp_path):
    path = manifest(tmp_path, "", "  ")
    with pytest.raises(InputError, match=f"{re.escape(str(path))}: holds no triplet"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("make it snowy", "not JSON"),
        ('{"source": "a.mp4",', "not JSON"),
        ('["a.mp4", "b.mp4"]', "needs the keys source, edited and instruction"),
        (json.dumps({"source": "a.mp4", "instruction": "snow"}), "needs the keys source, edited and instruction"),
        (json.dumps(GOOD | {"instruction": None}), "needs the keys source, edited and instruction, all text"),
        (json.dumps(GOOD | {"source": "gone.mp4"}), "source 'gone.mp4' does not exist"),
        (json.dumps(GOOD | {"edited": "far/gone.mp4"}), "edited 'far/gone.mp4' does not exist"),
    ],
)
def test_what_is_wrong_with_a_line_is_told_with_its_place(tmp_path, line, told):
    path = manifest(tmp_path, json.dumps(GOOD), "", line)
    with pytest.raises(InputError, match=f"^{re.escape(str(path))}:3: {re.escape(told)}") as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["snow", None, [1]])
def test_further_instructions_must_be_a_list_of_texts(tmp_path, wrong):
    (tmp_path / "a.mp4").touch()
    row = {"source": "a.mp4", "edited": "a.mp4", "instruction": "make it snowy", "instructions": wrong}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match=r"manifest\.jsonl:1: instructions must be a list"):
        read_manifest(tmp_path)
