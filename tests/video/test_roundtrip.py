"""What goes in comes out: reader to writer, over the kinds of files that people have."""

from __future__ import annotations

import gc
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vedit.errors import InputError, UsageError, VeditError
from vedit.video.encoding import EncoderOptions, default_suffix, plan_output
from vedit.video.info import probe
from vedit.video.reader import Reader
from vedit.video.writer import Writer

from .synth import flat_frames, make_clip, moving_frames, read_clip


def copy(source: Path, target: Path, encoder: EncoderOptions | None = None, rgb: bool = True) -> list[str]:
    info = probe(source)
    with Reader(source, info) as reader, Writer(target, info, encoder) as writer:
        for frame in reader:
            if rgb:
                writer.write(frame.rgb(8 if info.bits == 8 else 16), frame)
            else:
                writer.write_source(frame)
        writer.commit()
    assert reader.warnings == []
    return writer.warnings


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    """Large enough for x264's lookahead to matter: with AVX-512 its bytes once changed from run to run."""
    source = make_clip(tmp_path / "in.mp4", frames=12, width=480, height=480)
    made = set()
    for _ in range(6):
        copy(source, tmp_path / "out.mp4")
        made.add((tmp_path / "out.mp4").read_bytes())
    assert len(made) == 1


TB = Fraction(1, 90000)
VFR = [0, 3000, 9000, 10500, 24000, 27000, 45000, 46000, 60000, 75000]
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "ntsc": {"rate": Fraction(30000, 1001), "time_base": Fraction(1, 30000)},
    "vfr": {"frames": 10, "time_base": TB, "pts": VFR, "last_duration": 30000},
    "vfr_no_b": {"frames": 10, "time_base": TB, "pts": VFR, "last_duration": 1234, "bframes": 0},
    "sar": {"sar": Fraction(4, 3)},
    "turned_90": {"rotation": 90},
    "turned_180": {"rotation": 180},
    "turned_270": {"rotation": 270},
    "mirrored": {"rotation": 90, "hflip": True},
    "upside_down": {"vflip": True},
    "ten_bit": {"pix_fmt": "yuv420p10le"},
    "yuv422": {"pix_fmt": "yuv422p"},
    "full_range": {"color_range": 2, "matrix": 1, "primaries": 1, "transfer": 1},
    "bt601": {"matrix": 6, "primaries": 6, "transfer": 6, "color_range": 1},
    "bt2020": {"matrix": 9, "primaries": 9, "transfer": 14, "color_range": 1, "pix_fmt": "yuv420p10le"},
    "late_sound": {"audio": 1, "audio_offset": 0.2},
    "two_sounds": {"audio": 2},
    "one_frame": {"frames": 1},
    "chapters": {
        "chapters": [(0, 0.2, "one"), (0.2, 0.48, "two")],
        "metadata": {"title": "A clip", "artist": "Someone"},
    },
    "late_video": {"time_base": TB, "pts": [45000 + 3600 * k for k in range(12)], "audio": 1},
}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("name", CASES)
def test_everything_survives(tmp_path: Path, name: str, suffix: str) -> None:
    case = CASES[name]
    source, target = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    make_clip(source, **case)
    warnings = copy(source, target)
    before, after = probe(source), probe(target)
    old, new = read_clip(source), read_clip(target)
    assert new["times"] == old["times"]
    expected_end = old["end"]
    if "last_duration" in case and suffix == ".mp4" and case.get("bframes") == 0:
        assert expected_end == (VFR[-1] + case["last_duration"]) * TB
    if name != "vfr":  # there the source itself lost its end: B-frames and varying rate
        assert new["end"] == expected_end
    assert new["packets"] == old["packets"]
    assert new["streams"] == old["streams"]
    assert [(c["start"] * c["time_base"], c["metadata"]) for c in new["chapters"]] == [
        (c["start"] * c["time_base"], c["metadata"]) for c in old["chapters"]
    ]
    same = ("display_width", "display_height", "sar", "pix_fmt", "bits", "primaries", "transfer", "matrix_tag",
            "range_tag", "start", "frames")  # fmt: skip
    assert {k: getattr(after, k) for k in same} == {k: getattr(before, k) for k in same}
    for key in ("title", "artist"):
        assert after.metadata.get(key) == before.metadata.get(key)
    if suffix == ".mp4" or not before.orientation.mirrored:
        assert after.orientation == before.orientation
        assert warnings == []
    # The picture is shown the same way up, whoever turns it.
    with Reader(source, before) as a, Reader(target, after) as b:
        for x, y in zip(a, b, strict=True):
            assert x.duration == y.duration
            assert np.abs(x.rgb().astype(int) - y.rgb()).mean() < 8


def test_rotations_show_what_pyav_says(tmp_path: Path) -> None:
    frames = [np.zeros((64, 96, 3), np.uint8) for _ in range(2)]
    for f in frames:
        f[:20, :20] = 255  # marks the top left of the coded picture
    corners = {0: (0, 0), 90: (-1, 0), 180: (-1, -1), 270: (0, -1)}
    for rotation, (y, x) in corners.items():
        clip = make_clip(tmp_path / f"{rotation}.mp4", frames, rotation=rotation)
        info = probe(clip)
        assert info.rotation == rotation
        with Reader(clip, info) as reader:
            shown = next(iter(reader)).rgb()
        assert shown.shape == ((64, 96, 3) if rotation % 180 == 0 else (96, 64, 3))
        assert shown[y, x, 0] > 200
        assert shown[-1 - y if y == 0 else 0, x, 0] < 50


PALETTE = [
    (200, 60, 30),
    (30, 200, 60),
    (20, 40, 220),
    (128, 128, 128),
    (250, 250, 10),
    (3, 3, 3),
    (252, 250, 251),
    (90, 140, 77),
]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 2])
def test_flat_colours_keep_within_three_quarters_of_a_grey_level(
    tmp_path: Path, pix_fmt: str, full: bool, matrix: int
) -> None:
    # Judged on ffv1 so that only our conversions are measured, not a lossy encoder.
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    make_clip(source, flat_frames(PALETTE), codec="ffv1", pix_fmt=pix_fmt, matrix=matrix, color_range=2 if full else 1)
    copy(source, target, EncoderOptions(codec="ffv1"))
    bits = 16 if "10" in pix_fmt else 8
    a, b = probe(source), probe(target)
    assert (b.matrix_tag, b.range_tag, b.pix_fmt) == (a.matrix_tag, a.range_tag, a.pix_fmt)
    scale = 257.0 if bits == 16 else 1.0
    with Reader(source, a) as first, Reader(target, b) as second:
        for color, x, y in zip(PALETTE, first, second, strict=True):
            drift = np.abs(x.rgb(bits).astype(float) - y.rgb(bits)).max() / scale
            # 8-bit YUV cannot say every RGB: one code apart is what rounding leaves, but the mean must not move.
            assert drift <= (1.0 if bits == 8 else 0.3), (color, drift)
            assert np.abs(x.rgb(bits).astype(float).mean((0, 1)) - y.rgb(bits).mean((0, 1))).max() / scale <= 0.75
            if bits == 16:
                assert np.abs(x.rgb(16).mean((0, 1)) / 257 - color).max() < 0.75


def test_unedited_frames_are_bit_exact_with_ffv1(tmp_path: Path) -> None:
    source, target = make_clip(tmp_path / "in.mp4"), tmp_path / "out.mkv"
    copy(source, target, EncoderOptions(codec="ffv1"), rgb=False)
    with av.open(str(source)) as a, av.open(str(target)) as b:
        for x, y in zip(a.decode(video=0), b.decode(video=0), strict=True):
            assert np.array_equal(x.to_ndarray(), y.to_ndarray())


def test_odd_size_keeps_its_size_and_says_so(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", moving_frames(4, 97, 65), codec="ffv1", pix_fmt="yuv420p")
    assert any("odd" in w for w in copy(source, tmp_path / "out.mp4"))
    assert (probe(tmp_path / "out.mp4").width, probe(tmp_path / "out.mp4").height) == (97, 65)
    assert not any("odd" in w for w in copy(source, tmp_path / "out.webm"))
    assert (probe(tmp_path / "out.webm").width, probe(tmp_path / "out.webm").codec) == (97, "vp9")
    with pytest.raises(UsageError, match="--pix-fmt"):
        plan_output(tmp_path / "x.mp4", probe(source), EncoderOptions(pix_fmt="yuv420p"))


def test_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", audio=1)
    for suffix in (".mkv", ".mp4", ".webm"):
        copy(source, tmp_path / f"a{suffix}")
        copy(source, tmp_path / f"b{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_subtitles_attachments_and_cover_art_are_copied(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", audio=1, subtitles=[(0.0, 0.2, "one"), (0.2, 0.4, "two")],
                       attachment=("font.ttf", "font/ttf", b"not a font" * 9))  # fmt: skip
    assert copy(source, tmp_path / "out.mkv") == []
    assert probe(tmp_path / "out.mkv").streams == probe(source).streams
    assert read_clip(tmp_path / "out.mkv")["packets"] == read_clip(source)["packets"]
    with_cover = make_clip(tmp_path / "cover.mp4", cover=True)
    assert probe(with_cover).stream == 0
    assert copy(with_cover, tmp_path / "cover_out.mp4") == []
    assert probe(tmp_path / "cover_out.mp4").streams == probe(with_cover).streams


def test_nothing_is_left_without_commit(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4")
    out = tmp_path / "out"
    out.mkdir()
    info = probe(source)
    with pytest.raises(RuntimeError), Reader(source, info) as reader, Writer(out / "a.mp4", info) as writer:  # noqa: PT012
        writer.write_source(next(iter(reader)))
        assert next(p.name for p in out.iterdir()).startswith(".a.mp4.")
        raise RuntimeError
    assert list(out.iterdir()) == []
    with pytest.raises(VeditError, match="no frame"), Writer(out / "a.mp4", info) as writer:
        writer.commit()
    assert list(out.iterdir()) == []


def test_symlink_goes_to_its_target_with_ordinary_permissions(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", 2)
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.mp4"
    link.symlink_to(tmp_path / "real" / "there.mp4")
    copy(source, link)
    assert link.is_symlink()
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "real" / "there.mp4").stat().st_mode & 0o777 == 0o666 & ~mask
    (tmp_path / "real" / "there.mp4").chmod(0o640)
    copy(source, link)
    assert (tmp_path / "real" / "there.mp4").stat().st_mode & 0o777 == 0o640
    assert len(list((tmp_path / "real").iterdir())) == 1


def test_a_file_that_may_not_grow_leaves_one_line_and_no_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    source = make_clip(tmp_path / "in.mp4", moving_frames(30, 320, 240), options={"crf": "20"})
    out = tmp_path / "out"
    out.mkdir()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, old[1]))
    try:
        with pytest.raises(VeditError, match="larger than the system allows"):
            copy(source, out / "a.mp4", EncoderOptions(crf=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("a.xyz", {}, "cannot write .xyz"),
        ("a", {}, "without a suffix"),
        ("a.mp4", {"codec": "nonsense"}, "--codec"),
        ("a.webm", {"codec": "libx264"}, "cannot hold"),
        ("a.mp4", {"crf": 99}, "--crf"),
        ("a.mkv", {"codec": "ffv1", "crf": 3}, "lossless"),
        ("a.mp4", {"preset": "warp"}, "--preset"),
        ("a.mp4", {"pix_fmt": "nope"}, "--pix-fmt"),
        ("a.mp4", {"threads": 0}, "--threads"),
        ("missing/a.mp4", {}, "folder"),
    ],
)
def test_wrong_outputs_are_usage_errors(tmp_path: Path, name: str, options: dict[str, Any], match: str) -> None:
    info = probe(make_clip(tmp_path / "in.mp4", 2))
    with pytest.raises(UsageError, match=match):
        Writer(tmp_path / name, info, EncoderOptions(**options))
    assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]


def test_default_suffix_is_the_sources(tmp_path: Path) -> None:
    assert default_suffix(probe(make_clip(tmp_path / "a.mkv", 2))) == ".mkv"
    assert default_suffix(probe(make_clip(tmp_path / "a.webm", 2, codec="libvpx-vp9"))) == ".webm"


def test_a_cut_file_is_noticed(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "in.mkv", moving_frames(60), audio=1, options={"g": "5"})
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    info = probe(cut)
    assert info.truncated
    assert not probe(whole).truncated
    with pytest.raises(InputError, match="cut short"):
        Reader(cut, info)
    with Reader(cut, info, strict=False) as reader:
        assert 5 < len(list(reader)) < 60
    assert any("declared" in w for w in reader.warnings)


def test_a_decoder_that_stops_early_is_noticed(tmp_path: Path) -> None:
    # No index and no size of its own: only the declared duration tells.
    from dataclasses import replace

    info = probe(make_clip(tmp_path / "in.mkv", 30))
    claims = replace(info, duration=info.duration * 2 if info.duration else None)
    with pytest.raises(InputError, match="declared"), Reader(tmp_path / "in.mkv", claims) as reader:
        list(reader)


@pytest.mark.parametrize(("source_suffix", "source_codec", "target_suffix", "codec"), [
    (".mkv", "subrip", ".mp4", "mov_text"), (".mkv", "subrip", ".mov", "mov_text"),
    (".mp4", "mov_text", ".mkv", "subrip"),
])  # fmt: skip
def test_subtitles_are_converted_where_they_do_not_fit(
    tmp_path: Path, source_suffix: str, source_codec: str, target_suffix: str, codec: str
) -> None:
    lines = [(0.0, 0.2, "one"), (0.24, 0.4, "two")]
    source = make_clip(tmp_path / f"in{source_suffix}", subtitles=lines, subtitle_codec=source_codec)
    warnings = copy(source, tmp_path / f"out{target_suffix}")
    assert any("becomes" in w and codec in w for w in warnings)
    info = probe(tmp_path / f"out{target_suffix}")
    assert [(s.kind, s.codec, s.language) for s in info.streams] == [
        ("subtitle", {"subrip": "srt"}.get(codec, codec), "eng")
    ]
    packets = read_clip(tmp_path / f"out{target_suffix}")["packets"][1]
    shown = [(float(when), data[2:] if codec == "mov_text" else data) for when, data in packets]
    assert [(round(t, 2), d) for t, d in shown if d] == [(0.0, b"one"), (0.24, b"two")]


@pytest.mark.parametrize("suffix", [".avi", ".ts", ".mov", ".nut"])
def test_other_containers_keep_frames_and_sound(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mp4", audio=1, rate=Fraction(30000, 1001), time_base=Fraction(1, 30000))
    copy(source, tmp_path / f"out{suffix}")
    after = probe(tmp_path / f"out{suffix}")
    assert (after.display_width, after.display_height, len(after.audio)) == (96, 64, 1)
    times = read_clip(tmp_path / f"out{suffix}")["times"]
    old = read_clip(source)["times"]
    assert len(times) == len(old)
    assert all(abs((t - times[0]) - (o - old[0])) <= Fraction(1, 90000) for t, o in zip(times, old, strict=True))


def test_gif_goes_in(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.gif", 4, codec="gif", pix_fmt="rgb8", rate=10, time_base=Fraction(1, 100))
    info = probe(source)
    assert default_suffix(info) == ".mp4"
    copy(source, tmp_path / "out.mp4")
    assert len(read_clip(tmp_path / "out.mp4")["times"]) == 4


def test_frames_are_let_go_without_the_garbage_collector(tmp_path: Path) -> None:
    """A frame in a cycle lives on until Python looks for cycles: that takes hundreds of frames, and their memory."""
    source = make_clip(tmp_path / "in.mp4", 12)
    gc.collect()
    gc.disable()
    try:
        copy(source, tmp_path / "out.mp4")
        left = sum(type(each) is av.VideoFrame for each in gc.get_objects())
    finally:
        gc.enable()
    assert left <= 2  # the probe's first frame, and what the loop looked at last
