"""``vedit evaluate``: what it prints, gates and exit codes, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.video import synth

BARE = "psnr,ssim,warp_error,temporal,colour_drift,sharpness_ratio,agreement"
LOSSLESS = {"codec": "ffv1", "pix_fmt": "bgr0", "options": {}}  # pixels come back as they went in


@pytest.fixture
def frames():
    return synth.moving_frames(6, 96, 64)


@pytest.fixture
def source(make_clip, frames, tmp_path) -> Path:
    return make_clip(tmp_path / "source.mkv", frames, time_base=Fraction(1, 1000), **LOSSLESS)


@pytest.fixture
def edit(make_clip, tmp_path):
    """Write an edit: ``edit("name", frames)``."""

    def write(name: str, images, **more) -> Path:
        return make_clip(tmp_path / f"{name}.mkv", images, **{"time_base": Fraction(1, 1000), **LOSSLESS, **more})

    return write


@pytest.fixture
def darker(edit, frames) -> Path:
    return edit("darker", [frame // 2 for frame in frames])


def one_error_line(outcome, code: int, *words: str) -> None:
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    assert outcome.err.startswith("vedit: error: ")
    assert outcome.err.count("\n") == 1, outcome.err
    for word in words:
        assert word in outcome.err


def measured(real, *words) -> dict:
    done = real("evaluate", *words, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


# what comes out


def test_figures_of_an_edit(real, source, darker, frames):
    answer = measured(real, source, darker, "--metrics", BARE)
    assert (answer["schema"], answer["frames"], answer["width"], answer["height"]) == (1, 6, 96, 64)
    assert answer["passed"] and answer["failed"] == []
    found = answer["edited"][0]["metrics"]
    mse = np.mean([(frame.astype(float) - frame // 2) ** 2 for frame in frames])
    assert found["psnr"] == {"value": pytest.approx(10 * np.log10(255**2 / mse)), "unit": "dB", "better": "higher"}
    assert 0 < found["ssim"]["value"] < 1
    assert found["frame_difference"]["value"] == pytest.approx(found["frame_difference"]["source"] / 2, rel=0.02)
    assert found["warp_error"]["value"] < found["warp_error"]["source"]
    assert [found[f"{what}_agreement"]["value"] for what in ("size", "length", "times", "sound")] == [1, 1, 1, 1]


def test_an_infinite_psnr_is_null_with_a_flag(real, source):
    found = measured(real, source, source, "--metrics", "psnr,ssim")["edited"][0]["metrics"]
    assert (found["psnr"]["value"], found["psnr"]["infinite"]) == (None, True)
    assert "infinite" not in found["ssim"]


def test_several_edits_in_one_table(real, source, darker, edit, frames, tmp_path):
    inverted = edit("inverted", [255 - frame for frame in frames])
    done = real("evaluate", source, darker, inverted, "--metrics", "psnr,warp_error", "--csv", tmp_path / "t.csv")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == ["darker.mkv", "inverted.mkv", "source"]
    assert [line.split()[0] for line in lines[1:]] == ["psnr", "warp_error"]
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [(Path(row["edited"]).name, row["metric"]) for row in rows] == [
        ("darker.mkv", "psnr"), ("darker.mkv", "warp_error"), ("inverted.mkv", "psnr"), ("inverted.mkv", "warp_error"),
    ]  # fmt: skip
    one = measured(real, source, inverted, "--metrics", "psnr,warp_error")["edited"][0]["metrics"]
    assert float(rows[2]["value"]) == one["psnr"]["value"]
    assert float(rows[3]["source_value"]) == one["warp_error"]["source"]
    one_error_line(real("evaluate", source, darker, "--metrics", "psnr", "--csv", tmp_path / "t.csv"), 2, "-y")


def test_mask_and_reference(real, source, edit, frames, tmp_path):
    import cv2

    mask = np.zeros((64, 96), np.uint8)
    mask[10:40, 20:60] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    edited = edit("inside", [np.where(mask[..., None] > 0, 255 - frame, frame) for frame in frames])
    reference = edit("reference", [255 - frame for frame in frames])
    words = ["--mask", tmp_path / "mask.png", "--reference", reference, "--metrics", "psnr,unedited,reference"]
    found = measured(real, source, edited, *words)["edited"][0]["metrics"]
    assert found["psnr_unedited"]["infinite"]
    assert found["ssim_unedited"]["value"] == pytest.approx(1)
    assert found["psnr"]["value"] < 20
    assert found["psnr_reference"]["value"] < 20
    # The same mask as a video of its own, and as transparency, which `vedit instruct --mask` takes for black too.
    moving = edit("mask", [np.repeat(mask[..., None], 3, -1)] * 6)
    opaque = np.dstack([np.full((64, 96, 3), 255, np.uint8), mask])
    cv2.imwrite(str(tmp_path / "opaque.png"), opaque)
    for other in (moving, tmp_path / "opaque.png"):
        words[1] = other
        assert measured(real, source, edited, *words)["edited"][0]["metrics"] == found


def test_a_mask_of_numbered_pictures_is_a_video(real, make_clip, frames, tmp_path):
    import cv2

    masks = [np.zeros((64, 96), np.uint8) for _ in frames]
    (tmp_path / "masks").mkdir()
    for number, mask in enumerate(masks):
        mask[:, 10 * number : 10 * number + 20] = 255
        cv2.imwrite(str(tmp_path / "masks" / f"{number}.png"), mask)
    one = make_clip(tmp_path / "one.mkv", frames, **LOSSLESS)
    inside = [np.where(mask[..., None] > 0, 255 - frame, frame) for mask, frame in zip(masks, frames, strict=True)]
    other = make_clip(tmp_path / "other.mkv", inside, **LOSSLESS)
    words = ["--mask", tmp_path / "masks", "--metrics", "psnr_unedited"]
    assert measured(real, one, other, *words)["edited"][0]["metrics"]["psnr_unedited"]["infinite"]


def test_a_folder_of_pictures_is_a_clip(real, make_clip, frames, tmp_path):
    import cv2

    (tmp_path / "pictures").mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / "pictures" / f"{number}.png"), frame[..., ::-1])
    clip = make_clip(tmp_path / "clip.mkv", frames, **LOSSLESS)
    answer = measured(real, tmp_path / "pictures", clip, "--metrics", "psnr")
    assert (answer["frames"], answer["edited"][0]["metrics"]["psnr"]["infinite"]) == (6, True)
    (tmp_path / "nothing").mkdir()
    one_error_line(real("evaluate", tmp_path / "nothing", clip), 3, "nothing", "images")


def test_tracks(real, source, tmp_path):
    (tmp_path / "tracks.json").write_text(json.dumps({"tracks": [{"points": [[60, 30], [50, 30]]}]}))
    found = measured(real, source, source, "--tracks", tmp_path / "tracks.json", "--metrics", "motion")
    assert found["edited"][0]["metrics"]["motion_endpoint"]["value"] < 0.5  # the texture slides by 2 pixels a frame


def test_clip_figures_carry_the_name_of_their_model(real, source, darker):
    words = ["--metrics", "clip", "--prompt", "at night", "--source-prompt", "a texture", "--device", "cpu"]
    answer = measured(real, source, darker, *words)
    found = answer["edited"][0]["metrics"]
    assert set(found) == {
        "frame_consistency_all", "frame_consistency_adjacent", "textual_alignment", "frame_accuracy",
        "directional_similarity",
    }  # fmt: skip
    assert {entry["model"] for entry in found.values()} == {"nano"}
    assert found["frame_consistency_all"]["value"] < found["frame_consistency_adjacent"]["value"]
    assert answer["models"][0]["name"] == "nano"
    assert len(answer["models"][0]["sha256"]) == 64


def test_agreement_is_about_what_differs(real, make_clip, source, tmp_path):
    other = make_clip(tmp_path / "other.mp4", 5, width=64, height=64, audio=1)
    answer = measured(real, source, other, "--metrics", "agreement")["edited"][0]
    found = {name: entry["value"] for name, entry in answer["metrics"].items()}
    assert found == {"size_agreement": 0, "length_agreement": 0, "times_agreement": 0, "sound_agreement": 0}
    assert (answer["agreement"]["source_frames"], answer["agreement"]["frames"]) == (6, 5)


def test_sound_is_compared_by_its_packets(real, make_clip, tmp_path):
    clip = make_clip(tmp_path / "a.mp4", 8, audio=2)
    same = make_clip(tmp_path / "b.mkv", 8, audio=2, time_base=Fraction(1, 1000))
    half = make_clip(tmp_path / "c.mp4", 8, audio=1)
    for path, share in ((same, 1), (half, 0.5)):
        found = measured(real, clip, path, "--metrics", "sound_agreement")["edited"][0]["metrics"]
        assert found["sound_agreement"]["value"] == share


def test_times_that_a_container_rounds_still_match(real, make_clip, frames, tmp_path):
    exact = make_clip(tmp_path / "a.mp4", frames, rate=Fraction(30000, 1001))
    rounded = make_clip(tmp_path / "b.mkv", frames, rate=Fraction(30000, 1001), time_base=Fraction(1, 1000))
    found = measured(real, exact, rounded, "--metrics", "psnr,times_agreement")["edited"][0]
    assert found["metrics"]["times_agreement"]["value"] == 1
    assert 0 < found["agreement"]["largest_time_difference"] <= 0.001


def test_the_report(real, source, darker, tmp_path):
    words = ["evaluate", source, darker, "--metrics", "psnr", "--report", tmp_path / "report"]
    done = real(*words)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == str(tmp_path / "report" / "index.html")
    assert (tmp_path / "report" / "index.html").is_file()
    one_error_line(real(*words), 2, "--report", "-y")
    assert json.loads(real(*words, "-y", "--json").out)["report"] == done.out.splitlines()[-1]
    # A gate that fails still leaves the report: it is there to see why.
    done = real(*words, "-y", "--fail-under", "psnr=90")
    assert done.code == 6
    assert "failed --fail-under psnr=90" in (tmp_path / "report" / "index.html").read_text()
    one_error_line(real("evaluate", source, darker, "--report", tmp_path, "-y"), 2, "other files")


def test_the_source_is_shown_in_the_displayed_orientation(real, make_clip, frames, tmp_path):
    turned = make_clip(tmp_path / "turned.mp4", frames, rotation=90)
    upright = make_clip(tmp_path / "upright.mp4", [np.rot90(frame).copy() for frame in frames])
    found = measured(real, turned, upright, "--metrics", "psnr,size_agreement")["edited"][0]["metrics"]
    assert found["size_agreement"]["value"] == 1
    assert found["psnr"]["value"] > 30  # the chroma of the two is sampled along other axes


# gates


def test_gates(real, source, darker, edit, frames):
    kept = real("evaluate", source, darker, "--metrics", "psnr", "--fail-under", "psnr=5", "--fail-over", "psnr=50")
    assert kept.code == 0
    done = real(
        "evaluate", source, darker, source, "--metrics", "ssim", "--fail-under", "psnr=40", "--fail-over", "psnr=60",
        "--json",
    )  # fmt: skip
    assert done.code == 6
    assert done.err.startswith("vedit: error: ")
    assert done.err.count("\n") == 1
    answer = json.loads(done.out)
    assert not answer["passed"]
    low, high = answer["failed"]
    assert (low["metric"], low["edited"], low["under"]) == ("psnr", str(darker), 40)
    assert low["value"] == answer["edited"][0]["metrics"]["psnr"]["value"]
    assert (high["edited"], high["value"], high["over"]) == (str(source), None, 60)  # infinite is over


def test_a_gate_may_ask_for_equality(real, source, darker):
    words = ["--metrics", "psnr", "--fail-under", "psnr=inf", "--json"]
    assert real("evaluate", source, source, *words).code == 0
    done = real("evaluate", source, darker, *words)
    assert done.code == 6
    (failed,) = strict(done.out)["failed"]
    assert (failed["under"], failed["infinite_bound"]) == (None, True)


def test_a_failed_gate_of_a_clip_figure_carries_the_model(real, source, darker):
    words = ["--metrics", "psnr", "--fail-under", "frame_consistency_all=1.5", "--device", "cpu", "--json"]
    done = real("evaluate", source, darker, *words)
    assert (done.code, strict(done.out)["failed"][0]["model"]) == (6, "nano")


def strict(text: str) -> dict:
    """JSON as the standard has it, which knows no infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


# names


def test_edits_of_one_name_are_told_apart(real, source, darker, tmp_path):
    (tmp_path / "b").mkdir()
    other = (tmp_path / "b" / "darker.mkv").resolve()
    other.write_bytes(source.read_bytes())
    done = real("evaluate", source, darker, other, "--metrics", "psnr")
    assert done.out.splitlines()[0].split() == [str(darker), str(other)]


def test_names_that_no_line_and_no_utf8_can_hold(real, source, darker, tmp_path):
    name = os.fsdecode(b"b\xe9\n.mkv")
    try:
        odd = darker.rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    words = ["evaluate", source, odd, "--metrics", "psnr", "--csv", tmp_path / "t.csv", "--report", tmp_path / "report"]
    done = real(*words)
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == 3  # a header, psnr, the report
    rows = list(csv.DictReader((tmp_path / "t.csv").open(encoding="utf-8", newline="")))
    assert rows[0]["edited"] == str(odd).replace("\udce9", "\\udce9")
    assert json.loads(real(*words, "-y", "--json").out)["edited"][0]["path"] == str(odd)
    kept = (tmp_path / "report" / "results.json").read_text(encoding="utf-8")
    assert json.loads(kept)["edited"][0]["path"] == str(odd)
    assert "\ufffd" in (tmp_path / "report" / "frames.csv").read_text(encoding="utf-8")


# what it refuses


def test_sizes_lengths_and_times_that_differ(real, source, edit, frames):
    small = edit("small", [frame[:60] for frame in frames])
    one_error_line(real("evaluate", source, small), 3, "small.mkv", "96×60", "96×64")
    short = edit("short", frames[:5])
    one_error_line(real("evaluate", source, short, "--metrics", "psnr"), 3, "short.mkv", "after 5 frames")
    one_error_line(real("evaluate", short, source, "--metrics", "psnr"), 3, "source.mkv", "more frames than the 5")
    slow = edit("slow", frames, rate=20)
    one_error_line(real("evaluate", source, slow, "--metrics", "psnr"), 3, "slow.mkv", "frame 1", "0.0500", "0.0400")


def test_a_frame_that_is_late_by_one_is_not_taken_for_its_neighbour(real, make_clip, frames, tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames, time_base=Fraction(1, 25))
    late = make_clip(tmp_path / "b.mp4", frames, time_base=Fraction(1, 25), pts=[0, 2, 3, 4, 5, 6])
    one_error_line(real("evaluate", clip, late, "--metrics", "psnr"), 3, "b.mp4", "frame 1")


def test_masks_and_references_of_another_size(real, source, darker, tmp_path, edit, frames):
    import cv2

    cv2.imwrite(str(tmp_path / "mask.png"), np.zeros((32, 96), np.uint8))
    one_error_line(
        real("evaluate", source, darker, "--metrics", "psnr_unedited", "--mask", tmp_path / "mask.png"), 3, "mask.png"
    )
    cv2.imwrite(str(tmp_path / "white.png"), np.full((64, 96), 255, np.uint8))
    one_error_line(
        real("evaluate", source, darker, "--metrics", "unedited", "--mask", tmp_path / "white.png"), 3, "--mask"
    )
    short = edit("short", frames[:3])
    one_error_line(
        real("evaluate", source, darker, "--metrics", "reference", "--reference", short), 3, "short.mkv", "3 frames"
    )


def test_a_file_that_is_given_is_looked_at_whatever_is_measured(real, source, darker, tmp_path):
    import cv2

    words = ["evaluate", source, darker, "--metrics", "psnr"]
    for option in ("--mask", "--reference", "--tracks"):
        one_error_line(real(*words, option, tmp_path / "gone"), 3, "gone")
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((32, 96), np.uint8))
    one_error_line(real(*words, "--mask", tmp_path / "small.png"), 3, "small.png", "96×32")


def test_a_clip_of_one_frame(real, edit, frames):
    one = edit("one", frames[:1])
    one_error_line(real("evaluate", one, one, "--metrics", BARE), 3, "one.mkv", "one frame", "--metrics psnr")
    assert measured(real, one, one, "--metrics", "psnr,ssim")["frames"] == 1


def test_what_is_not_a_number_for_a_clip(real, edit):
    flat = edit("flat", [np.full((64, 96, 3), 90, np.uint8)] * 3)
    one_error_line(real("evaluate", flat, flat, "--metrics", "sharpness_ratio"), 3, "sharpness_ratio")
    one_error_line(
        real("evaluate", flat, flat, "--metrics", "psnr", "--fail-under", "sharpness_ratio=1"), 3, "sharpness_ratio"
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--metrics", "psnt"], 2, "did you mean psnr"),
        (["--metrics", "psnr_unedited"], 2, "--mask"),
        (["--fail-under", "psnr"], 2, "METRIC=VALUE"),
        (["--fail-under", "psnr=nan"], 2, "not a number"),
        (["--fail-over", "beauty=1"], 2, "beauty"),
        (["--prompt", " "], 2, "--prompt"),
        (["--mask", "gone.png", "--metrics", "unedited"], 3, "gone.png"),
        (["--tracks", "gone.json", "--metrics", "motion"], 3, "gone.json"),
        (["--clip", "no-such-model", "--metrics", "clip"], 4, "no-such-model"),
        (["--csv", "/no/such/folder/t.csv", "--metrics", "psnr"], 2, "--csv"),
        (["--device", "tpu", "--metrics", "clip"], 2, "--device"),
        (["--features", "no-such-network"], 3, "not a folder"),
        (["--metrics", "fid"], 2, "--features"),
        (["--report", "/no/such/folder/report", "--metrics", "psnr"], 2, "--report"),
        (["--features", "no-such-network", "--mask", "m.png"], 2, "--mask is for single clips"),
        (["--metrics", "FID"], 2, "--features"),
        (["--fail-over", "psnr=inf"], 2, "finite"),
    ],
    ids=str,
)
def test_wrong_words(real, source, darker, words, code, said):
    one_error_line(real("evaluate", source, darker, *words), code, said)


def test_the_table_never_replaces_what_is_read(real, source, darker, tmp_path):
    before = darker.read_bytes()
    words = ["evaluate", source, darker, "--metrics", "psnr"]
    one_error_line(real(*words, "--csv", darker, "-y"), 2, "files to be read")
    assert darker.read_bytes() == before
    tracks = tmp_path / "tracks.json"
    tracks.write_text(json.dumps({"tracks": [{"points": [[60, 30], [50, 30]]}]}))
    one_error_line(real(*words, "--tracks", tracks, "--csv", tracks, "-y"), 2, "files to be read")
    assert json.loads(tracks.read_text())


def test_the_table_is_no_part_of_the_report(real, source, darker, tmp_path):
    words = ["evaluate", source, darker, "--metrics", "psnr", "--report", tmp_path / "report"]
    (tmp_path / "report").mkdir()
    one_error_line(real(*words, "--csv", tmp_path / "report" / "frames.csv"), 2, "--csv", "made anew")


def test_a_report_never_takes_away_what_is_read(real, source, darker, tmp_path):
    words = ["evaluate", source, darker, "--metrics", "psnr", "--report", tmp_path / "report", "-y"]
    assert real(*words).code == 0
    sheet = tmp_path / "report" / "sheets" / "edit-1.png"
    one_error_line(real(*words, "--mask", sheet), 2, "edit-1.png lies in it")
    assert sheet.is_file()
