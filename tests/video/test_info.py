from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from vedit.errors import InputError
from vedit.video.clip import Orientation
from vedit.video.info import probe
from vedit.video.reader import Reader

from .synth import make_clip, moving_frames


def test_probe_says_what_is_there(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", 10, rate=Fraction(30000, 1001), time_base=Fraction(1, 30000),
                     sar=Fraction(4, 3), rotation=90,
                     matrix=9, primaries=9, transfer=16, color_range=1, pix_fmt="yuv420p10le", audio=2)  # fmt: skip
    info = probe(clip)
    assert (info.width, info.height, info.display_width, info.display_height) == (96, 64, 64, 96)
    assert (info.rate, info.time_base, info.frames, info.frames_declared) == (
        Fraction(30000, 1001),
        Fraction(1, 30000),
        10,
        True,
    )
    assert info.duration == 10 * Fraction(1001, 30000)
    assert [s.language for s in info.audio] == ["eng", "deu"]
    data = json.loads(json.dumps(info.to_dict()))
    expected = {"codec": "h264", "width": 64, "height": 96, "rotation": 90, "sample_aspect_ratio": "4:3", "bits": 10,
                "color_primaries": "bt2020", "color_transfer": "smpte2084", "color_matrix": "bt2020nc",
                "color_range": "tv", "frames": 10, "variable_frame_rate": False, "truncated": False}  # fmt: skip
    assert {k: data[k] for k in expected} == expected


def test_untagged_stays_untagged_and_a_varying_rate_is_seen(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "a.mp4"))
    assert [info.to_dict()[k] for k in ("color_primaries", "color_transfer", "color_matrix", "color_range")] == [
        None
    ] * 4
    assert not info.variable
    info = probe(
        make_clip(tmp_path / "b.mp4", 6, time_base=Fraction(1, 90000), pts=[0, 3000, 9000, 10000, 30000, 31000])
    )
    assert info.variable


def test_matroska_counts_are_marked_as_estimates(tmp_path: Path) -> None:
    info = probe(make_clip(tmp_path / "a.mkv", 25))
    assert (info.frames, info.frames_declared) == (25, False)


def written(path: Path, options: dict[str, str] | None = None, **tags: str) -> Path:
    """30 frames at 25 a second, eight between key frames."""
    with av.open(str(path), "w", options=options or {}) as container:
        video: Any = container.add_stream("mpeg4", 25)
        video.width, video.height, video.pix_fmt, video.codec_context.gop_size = 96, 64, "yuv420p", 8
        video.metadata.update(tags)
        for image in moving_frames(30):
            container.mux(video.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(video.encode(None))
    return path


@pytest.mark.parametrize("flags", ["frag_keyframe", "frag_keyframe+empty_moov", "dash", "faststart"])
def test_frames_of_a_fragmented_file_are_not_those_of_its_first_fragment(tmp_path: Path, flags: str) -> None:
    info = probe(written(tmp_path / "a.mp4", {"movflags": flags}))
    assert (info.frames, info.frames_declared) == (30, flags == "faststart")


def test_statistics_of_an_earlier_file_are_not_believed(tmp_path: Path) -> None:
    """FFmpeg copies them where it cuts a Matroska file, and writes none of its own."""
    cut = written(tmp_path / "cut.mkv", NUMBER_OF_FRAMES="90")
    assert (probe(cut).frames, probe(cut).frames_declared) == (30, False)
    other = tmp_path / "other.mkv"
    other.write_bytes(cut.read_bytes().replace(b"Lavf", b"some"))
    assert (probe(other).frames, probe(other).frames_declared) == (90, True)


def test_orientation_undoes_itself() -> None:
    import numpy as np

    image = np.arange(2 * 3 * 3).reshape(2, 3, 3)
    for flags in range(8):
        orientation = Orientation(bool(flags & 4), bool(flags & 2), bool(flags & 1))
        assert np.array_equal(orientation.undo(orientation.apply(image)), image)
    assert Orientation.from_matrix((46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30)) is None


def wrong_files(folder: Path) -> dict[str, Path]:
    whole = make_clip(folder / "whole.mp4")
    files = {name: folder / f"{name}.mp4" for name in ("missing", "empty", "text", "cut", "noise", "zeros")}
    files["empty"].write_bytes(b"")
    files["text"].write_text("hello, I am not a video\n" * 50)
    files["cut"].write_bytes(whole.read_bytes()[:2000])
    files["noise"].write_bytes(bytes((k * k * 31) % 251 for k in range(5000)))
    files["zeros"].write_bytes(bytes(5000))
    files["folder"] = folder
    return files


MESSAGES = {"missing": "no such file", "empty": "empty", "folder": "folder"}


@pytest.mark.parametrize("name", ["missing", "empty", "text", "cut", "noise", "zeros", "folder"])
def test_unusable_files_give_one_line(tmp_path: Path, name: str) -> None:
    path = wrong_files(tmp_path)[name]
    with pytest.raises(InputError, match=MESSAGES.get(name, "video")) as caught:
        probe(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message


def test_sound_alone_is_named(tmp_path: Path) -> None:
    import av
    import numpy as np

    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="stereo")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))  # pyright: ignore[reportArgumentType, reportCallIssue, reportAttributeAccessIssue]
    with pytest.raises(InputError, match="only sound"):
        probe(tmp_path / "a.wav")
    with pytest.raises(InputError, match="stream 1 is not a video"):
        probe(make_clip(tmp_path / "b.mp4", audio=1), stream=1)


def test_damaged_files_give_an_error_or_frames_but_nothing_else(tmp_path: Path) -> None:
    import random

    rng = random.Random(0)
    for suffix, codec in (
        (".mp4", "libx264"),
        (".mkv", "libx264"),
        (".webm", "libvpx-vp9"),
        (".avi", "mpeg4"),
        (".ts", "libx264"),
    ):
        data = make_clip(tmp_path / f"whole{suffix}", 6, codec=codec).read_bytes()
        for k in range(12):
            broken = bytearray(data)
            for _ in range(rng.choice((1, 5, 40))):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            if k % 3 == 0:
                broken = broken[: rng.randrange(len(broken))]
            path = tmp_path / f"{k}{suffix}"
            path.write_bytes(broken)
            try:
                info = probe(path)
                with Reader(path, info) as reader:
                    for frame in reader:
                        frame.rgb()
            except InputError as error:
                assert "\n" not in str(error)  # noqa: PT017


def test_a_vfr_clip_reports_each_frames_duration(tmp_path: Path) -> None:
    times = [0, 3000, 9000, 10500, 24000]
    clip = make_clip(tmp_path / "a.mp4", 5, time_base=Fraction(1, 90000), pts=times, last_duration=1234, bframes=0)
    with Reader(clip, probe(clip)) as reader:
        frames = list(reader)
    assert [f.pts for f in frames] == times
    assert [f.duration for f in frames] == [3000, 6000, 1500, 13500, 1234]
    assert [f.time for f in frames] == [Fraction(t, 90000) for t in times]
    assert [f.index for f in frames] == list(range(5))
