"""``vedit drag-motion``: what is asked of the method, what stays the source's own, what is refused, the drawing."""

from __future__ import annotations

import importlib.util
import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

_SPEC = importlib.util.spec_from_file_location("controls", Path(__file__).parents[1] / "engines" / "controls.py")
assert _SPEC is not None and _SPEC.loader is not None
controls = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(controls)

TRACK = ("--track", "30,30 50,40")


def planes(path: Path) -> list[np.ndarray]:
    """Y, U and V of all frames, (T, h, w)."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert frames[0].format.name == "yuv420p"

    def plane(k: int) -> np.ndarray:
        return np.stack([np.frombuffer(bytes(f.planes[k]), np.uint8).reshape(f.planes[k].height, -1)
                         [:, : f.planes[k].width] for f in frames])  # fmt: skip

    return [plane(k) for k in range(3)]


@pytest.fixture
def lossless(make_clip, tmp_path):
    """10 frames of 96×64 that slide by two pixels to the left."""
    return make_clip(tmp_path / "in.mkv", 10, codec="ffv1", audio=1)


def one_error_line(outcome, code: int, *words: str) -> None:
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (code, "", 1), outcome.err
    for word in words:
        assert word in outcome.err


@pytest.mark.parametrize("rotation", [0, 90])
@pytest.mark.parametrize("crop", [None, "16"])
def test_outside_of_the_region_every_sample_is_the_sources(vedit, make_clip, tmp_path, monkeypatch, rotation, crop):
    if crop:
        monkeypatch.setenv("VEDIT_FAKE_CROP", crop)
    clip = make_clip(tmp_path / "in.mkv", 10, codec="ffv1", rotation=rotation)
    track = "30,30 40,40" if rotation == 0 else "30,60 30,50"
    region = "20,16,40,32" if rotation == 0 else "16,36,32,40"  # the same samples, in displayed pixels
    done = vedit("drag-motion", clip, "--region", region, "--track", track, "--codec", "ffv1", "--json")
    assert done.code == 0, done.err
    before, after = planes(clip), planes(tmp_path / "in.edited.mkv")
    for k, (old, new) in enumerate(zip(before, after, strict=True)):
        step = 2 if k else 1
        outside = np.ones(old.shape[1:], bool)
        outside[16 // step : 48 // step, 20 // step : 60 // step] = False
        assert np.array_equal(old[:, outside], new[:, outside])
    inside = np.s_[:, 24:40, 30:50]
    assert np.abs(255 - before[0][inside].astype(int) - after[0][inside]).mean() < 12
    report = json.loads(done.out)
    assert report["motion"]["regions"] == [region]
    assert (report["motion"]["crop"] is None) == (crop is None)
    record = json.loads((tmp_path / "in.edited.mkv.vedit.json").read_text())
    assert record["job"]["track"] == [track]
    assert record["motion"]["files"] == {}


def test_what_the_method_is_asked_for(vedit, lossless, windows, asked, tmp_path):
    done = vedit("drag-motion", lossless, "--region", "20,16,40,32", "--track", "24,20 54,40", "--size", "32",
                 "--start", "2", "--end", "8", "-o", tmp_path / "out.mkv")  # fmt: skip
    assert done.code == 0, done.err
    (drag,) = asked
    assert drag.mask.shape == windows[-1].frames.shape[-2:] == (32, 48)
    assert drag.mask[8:24, 10:30].all()
    assert int(drag.mask.sum()) == 16 * 20
    assert (drag.first, len(drag.places)) == (2, 6)
    assert drag.places[0, 0].tolist() == pytest.approx([24.5 / 2 - 0.5, 20.5 / 2 - 0.5])
    assert drag.places[5, 0].tolist() == pytest.approx([54.5 / 2 - 0.5, 40.5 / 2 - 0.5])
    assert drag.frame is None


def test_the_model_sees_a_crop_around_the_region(vedit, lossless, windows, asked, tmp_path, monkeypatch):
    monkeypatch.setenv("VEDIT_FAKE_CROP", "24")
    done = vedit("drag-motion", lossless, "--region", "60,8,30,16", "--track", "62,10 80,20", "--size", "64",
                 "-o", tmp_path / "out.mkv", "--json")  # fmt: skip
    assert done.code == 0, done.err
    x, y, width, height = json.loads(done.out)["motion"]["crop"]
    assert (width, height) == (38, 24)  # a quarter more than the region, and at least what the model wants
    assert x <= 60 and x + width >= 90 and x + width <= 96 and y <= 8 and y + height >= 24
    assert windows[-1].frames.shape[-2:] == (24, 40)
    (drag,) = asked
    assert drag.places[0, 0].tolist() == pytest.approx([(62 - x + 0.5) * 40 / 38 - 0.5, 10 - y], abs=1e-6)


def test_masks_files_and_an_edited_frame(vedit, lossless, asked, tmp_path):
    grey = np.zeros((64, 96), np.uint8)
    cv2.circle(grey, (70, 30), 15, 255, -1)
    cv2.imwrite(str(tmp_path / "mask.png"), grey)
    picture = np.full((64, 96, 3), (10, 100, 250), np.uint8)  # BGR
    cv2.imwrite(str(tmp_path / "first.png"), picture)
    tracks = {"tracks": [{"points": [[66, 30], [76, 30]]}], "regions": ["mask.png"]}
    (tmp_path / "t.json").write_text(json.dumps(tracks))
    done = vedit("drag-motion", lossless, "--tracks", tmp_path / "t.json", "--region", "4,4,20,20", "--track",
                 "6,6 20,20", "--first-frame", tmp_path / "first.png", "--codec", "ffv1",
                 "-o", tmp_path / "out.mkv")  # fmt: skip
    assert done.code == 0, done.err
    before, after = planes(lossless)[0], planes(tmp_path / "out.mkv")[0]
    outside = grey == 0
    outside[4:24, 4:24] = False
    assert np.array_equal(before[:, outside], after[:, outside])
    assert not np.array_equal(before[:, 20:40, 60:80], after[:, 20:40, 60:80])
    (drag,) = asked
    assert drag.places.shape == (10, 2, 2)
    assert drag.frame[:, 5, 5].tolist() == pytest.approx([250 / 127.5 - 1, 100 / 127.5 - 1, 10 / 127.5 - 1], abs=1e-5)
    record = json.loads((tmp_path / "out.mkv.vedit.json").read_text())
    assert set(record["motion"]["files"]) == {str(tmp_path / name) for name in ("t.json", "first.png", "mask.png")}


def test_an_edited_frame_of_another_size_can_be_fitted(vedit, lossless, asked, tmp_path):
    cv2.imwrite(str(tmp_path / "first.png"), np.full((32, 48, 3), 200, np.uint8))
    given = ("drag-motion", lossless, "--region", "20,10,60,44", *TRACK, "-o", tmp_path / "out.mkv")
    one_error_line(vedit(*given, "--first-frame", tmp_path / "first.png"), 3, "48×32", "--fit stretch")
    one_error_line(vedit(*given, "--fit", "crop"), 2, "--fit crop", "no --first-frame")
    done = vedit(*given, "--first-frame", tmp_path / "first.png", "--fit", "stretch")
    assert done.code == 0, done.err
    assert float(asked[0].frame.min()) == pytest.approx(200 / 127.5 - 1)


@pytest.mark.parametrize("crop", [None, "16"])
def test_the_edit_ends_where_the_clip_cuts(vedit, make_clip, windows, tmp_path, monkeypatch, crop):
    """Also where the model sees a part of the picture that is the same in both scenes."""
    rng = np.random.default_rng(0)
    scenes = [cv2.resize(rng.integers(0, 255, (8, 12, 3), np.uint8), (96, 64)) for _ in range(2)]
    region = "20,10,60,44"
    if crop:
        monkeypatch.setenv("VEDIT_FAKE_CROP", crop)
        region = "26,26,30,20"
        scenes[1][20:52, 20:64] = scenes[0][20:52, 20:64]
    clip = make_clip(tmp_path / "in.mkv", [scenes[index >= 6] for index in range(12)], codec="ffv1")
    done = vedit("drag-motion", clip, "--region", region, *TRACK, "--codec", "ffv1", "--json", "--size", "64")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["edited_frames"] == 6 and max(w.first + len(w.frames) for w in windows) == 6
    assert any("cuts to another scene at frame 6" in warning for warning in report["warnings"])
    (said,) = [warning for warning in report["warnings"] if "goes on after that cut" in warning]
    assert said.startswith("--track '") and "--end 6" in said
    assert np.array_equal(planes(clip)[0][6:], planes(tmp_path / "in.edited.mkv")[0][6:])


def test_a_followed_point_goes_as_the_source_does(vedit, lossless, asked, tmp_path):
    done = vedit("drag-motion", lossless, "--region", "20,10,60,44", "--follow", "60,32", "--size", "64",
                 "-o", tmp_path / "out.mkv")  # fmt: skip
    assert done.code == 0, done.err
    (drag,) = asked
    assert np.diff(drag.places[:, 0, 0].numpy()) == pytest.approx(np.full(9, -2), abs=0.3)
    assert drag.places[:, 0, 1].numpy() == pytest.approx(np.full(10, 32), abs=0.3)


@pytest.fixture
def unsteady(make_clip, tmp_path):
    """12 frames: six at 25 frames a second, from 0.4 s on six at five a second."""
    ticks = [0, 4, 8, 12, 16, 20, 40, 60, 80, 100, 120, 140]
    return make_clip(tmp_path / "in.mp4", 12, time_base=Fraction(1, 100), pts=ticks, bframes=0)


def test_where_frames_come_at_varying_times_tracks_go_by_those(vedit, unsteady, asked, windows, tmp_path):
    done = vedit("drag-motion", unsteady, "--region", "20,16,40,32", "--track", "24,20@0.6s 44,40@1.4s", "--follow",
                 "50,32", "--start", "0.5s", "--size", "64", "-o", tmp_path / "out.mp4")  # fmt: skip
    assert done.code == 0, done.err
    (drag,) = asked
    assert (drag.first, len(drag.places), windows[0].first) == (7, 5, 7)
    assert drag.places[:, 0, 0].tolist() == pytest.approx([24, 29, 34, 39, 44])
    assert np.diff(drag.places[:, 1, 0].numpy()) == pytest.approx(np.full(4, -2), abs=0.4)


def test_a_region_that_the_model_cannot_see(vedit, make_clip, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", 3, width=192, height=128, codec="ffv1")
    done = vedit("drag-motion", clip, "--region", "21,21,2,2", "--track", "21,21 22,22", "--size", "32", "--dry-run")
    one_error_line(done, 2, "--region 21,21,2,2", "less than a pixel", "--size")


def test_a_region_that_cannot_be_followed_is_told(vedit, make_clip, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", 4, codec="ffv1")
    cv2.imwrite(str(tmp_path / "first.png"), np.zeros((64, 96, 3), np.uint8))
    flat = make_clip(tmp_path / "flat.mkv", [np.full((64, 96, 3), 90, np.uint8)] * 4, codec="ffv1")
    given = ("--region", "20,10,60,44", "--first-frame", tmp_path / "first.png", "--size", "64", "--dry-run")
    done = vedit("drag-motion", flat, *given)
    assert done.code == 0 and "no point of it can be followed" in done.err
    assert "no point" not in vedit("drag-motion", clip, *given).err


def test_the_drawing_knows_the_rate_of_images(real, tmp_path):
    (tmp_path / "in").mkdir()
    for index in range(10):
        cv2.imwrite(str(tmp_path / "in" / f"{index:03d}.png"), np.full((64, 96, 3), 25 * index, np.uint8))
    drawings = []
    for rate in ("5", "25"):
        drawing = tmp_path / f"{rate}.png"
        done = real("drag-motion", tmp_path / "in", "--region", "20,16,40,32", *TRACK, "--fps", rate, "--start", "1s",
                    "--show-tracks", drawing)  # fmt: skip
        drawings.append((done.code, drawing.exists(), done.err.count("\n")))
    assert drawings == [(0, True, 0), (2, False, 1)]  # at 25 frames a second the clip ends before


def test_an_edited_frame_alone_keeps_the_motion_of_the_source(vedit, lossless, asked, tmp_path):
    cv2.imwrite(str(tmp_path / "first.png"), np.zeros((64, 96, 3), np.uint8))
    done = vedit("drag-motion", lossless, "--region", "20,10,60,44", "--first-frame", tmp_path / "first.png", "--size",
                 "64", "-o", tmp_path / "out.mkv", "--json")  # fmt: skip
    assert done.code == 0, done.err
    (drag,) = asked
    assert 3 <= drag.places.shape[1] <= 10
    assert np.abs(np.diff(drag.places.numpy(), axis=0) - [-2, 0]).max() < 0.4
    assert json.loads(done.out)["motion"]["tracks"][0].startswith("the way of ")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (TRACK, 2, ["--region is missing"]),
        (("--region", "20,16,40,32"), 2, ["--track is missing"]),
        (("--region", "20,16,0,32", *TRACK), 2, ["--region 20,16,0,32", "is empty"]),
        (("--region", "", *TRACK), 2, ["--region", "is neither a box"]),
        (("--region", ".", *TRACK), 2, ["--region .", "is neither a box"]),
        (("--region", "20,16,40,32", *TRACK, "--show-tracks", "x.png", "--dry-run"), 2, ["--show-tracks", "--dry-run"]),
        (("--region", "20,16,90,32", *TRACK), 2, ["reaches out of the picture of 96×64"]),
        (("--region", "20,16,40,32", "--track", "30,30"), 2, ["--track '30,30'", "two at least"]),
        (("--region", "20,16,40,32", "--track", "30,30 99,30"), 2, ["99,30 is not in the picture"]),
        (("--region", "20,16,40,32", "--track", "2,2 30,30"), 2, ["in no region", "begin it inside"]),
        (("--region", "20,16,40,32", "--track", "30,30 70,30"), 2, ["leads to 70,30", "make the region larger"]),
        (("--region", "20,16,40,32", "--follow", "nowhere"), 2, ["--follow", "no point"]),
        (("--region", "20,16,40,32", "--tracks", "gone.json"), 3, ["gone.json", "no such file"]),
        (("--region", "20,16,40,32", *TRACK, "--first-frame", "gone.png"), 3, ["--first-frame gone.png"]),
        (("--region", "20,16,40,32", *TRACK, "--first-frame", "SMALL"), 3, ["is 10×10", "96×64"]),
        (("--region", "BLACK", *TRACK), 3, ["black all over"]),
        (("--region", "20,16,40,32", "--tracks", "JSON"), 3, ["broken.json:2", "not JSON"]),
        (("--region", "20,16,40,32", *TRACK, "--overlap", "0"), 2, ["--overlap 0", "at least one"]),
        (("--region", "20,16,40,32", *TRACK, "--feather", "wide"), 2, ["--feather wide"]),
        (("--region", "20,16,40,32", *TRACK, "--method", "sdedit"), 2, ["no such method", "revideo"]),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_line(vedit, lossless, tmp_path, options, code, said):
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((10, 10), np.uint8))
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((64, 96), np.uint8))
    (tmp_path / "broken.json").write_text('{"tracks":\n[}')
    names = {"SMALL": "small.png", "BLACK": "black.png", "JSON": "broken.json"}
    given = [str(tmp_path / names[option]) if option in names else option for option in options]
    one_error_line(vedit("drag-motion", lossless, *given, "-o", tmp_path / "out.mkv"), code, *said)
    assert not list(tmp_path.glob("out*"))


def test_the_drawing_needs_no_model(real, lossless, tmp_path):
    drawing = tmp_path / "tracks.png"
    given = ("drag-motion", lossless, "--region", "20,16,40,32", *TRACK, "--model", "nowhere", "--show-tracks", drawing)
    done = real(*given)
    assert (done.code, done.out) == (0, f"{drawing}\n"), done.err
    picture = cv2.imread(str(drawing))
    assert picture is not None and picture.shape == (64, 96, 3)
    one_error_line(real(*given), 2, "--show-tracks", "exists already")
    assert real(*given, "-y").code == 0
    one_error_line(real(*given[:-1], tmp_path / "t.jpg"), 2, "--show-tracks", ".png")
    assert not list(tmp_path.glob("*.edited.*"))


def test_with_a_model_the_rest_stays_and_the_same_job_gives_the_same_bytes(real, make_clip, tmp_path, tiny_models):
    model = tiny_models.write_bundle(tmp_path / "tiny")
    control = controls.write_control(model, tmp_path / "control")
    clip = make_clip(tmp_path / "in.mkv", 13, codec="ffv1", audio=1)
    given = ("drag-motion", clip, "--region", "20,16,40,32", *TRACK, "--model", model, "--codec", "ffv1", "--size",
             "32", "--threads", "1", "--steps", "2", "--dtype", "fp32")  # fmt: skip
    one_error_line(real(*given, "-o", tmp_path / "no.mkv"), 2, "carries no control", "--adapter")
    outcomes = []
    for name in ("one.mkv", "two.mkv"):
        done = real(*given, "--adapter", control, "-o", tmp_path / name, "--json")
        assert done.code == 0, done.err
        outcomes.append(json.loads(done.out))
    assert (tmp_path / "one.mkv").read_bytes() == (tmp_path / "two.mkv").read_bytes()
    assert (outcomes[0]["frames"], outcomes[0]["windows"], outcomes[0]["overlap"]) == (13, 3, 1)
    old, new = planes(clip)[0], planes(tmp_path / "one.mkv")[0]
    outside = np.ones(old.shape[1:], bool)
    outside[16:48, 20:60] = False
    assert np.array_equal(old[:, outside], new[:, outside])
    assert not np.array_equal(old[5:, ~outside], new[5:, ~outside])


def test_the_picture_of_a_region_is_never_replaced(vedit, lossless, tmp_path):
    grey = np.zeros((64, 96), np.uint8)
    grey[10:54, 20:80] = 255
    mask = tmp_path / "mask.png"
    cv2.imwrite(str(mask), grey)
    before = mask.read_bytes()
    (tmp_path / "t.json").write_text(json.dumps({"tracks": [], "regions": ["mask.png"]}))
    for where in (("--region", mask), ("--tracks", tmp_path / "t.json")):
        for option in ("--show-tracks", "--sheet"):
            done = vedit("drag-motion", lossless, *where, *TRACK, option, mask, "-y", "-o", tmp_path / "out.mkv")
            one_error_line(done, 2, f"{option} {mask}", "is the picture of a region itself")
    assert mask.read_bytes() == before


def test_times_outside_of_the_range_are_said(vedit, lossless, tmp_path):
    given = ("drag-motion", lossless, "--region", "20,10,60,44", "-o", tmp_path / "out.mkv", "-y", "--track")
    for early in (["30,30@0 50,30@3", "--start", "5"], ["30,30@500 50,30@600"], ["30,30@90s 50,30@95s"]):
        one_error_line(vedit(*given, *early), 2, "is for", "the edited range is", "nothing would move")
    done = vedit(*given, "30,30@0 50,30@40")
    assert done.code == 0 and "is for frames 0 to 40, and the edited range is frames 0 to 9" in done.err
    assert "is for" not in vedit(*given, "30,30@0 50,30@10").err


def test_every_region_has_to_be_seen(vedit, lossless, tmp_path):
    done = vedit("drag-motion", lossless, "--region", "20,16,40,32", "--region", "0,0,2,2", "--track", "30,30 40,30",
                 "--track", "0,0 1,1", "--size", "16", "-o", tmp_path / "out.mkv")  # fmt: skip
    one_error_line(done, 2, "--region 0,0,2,2", "less than a pixel")


def test_show_tracks_has_the_shells_habits(vedit, lossless, tmp_path):
    plan = tmp_path / "plan.png"
    done = vedit("drag-motion", lossless, "--region", "20,10,60,44", *TRACK, "--show-tracks", plan, "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["show_tracks"] == str(plan) and said["regions"] == ["20,10,60,44"] and plan.is_file()


def test_what_a_file_says_wrongly_is_a_fault_of_the_file(vedit, lossless, tmp_path):
    """Exit code 3, where the same in an option is 2."""
    cases = [
        ({"tracks": [{"points": [[24, 20], [44, 40]], "times": ["90", "95"]}]}, "nothing would move"),
        ({"tracks": [{"points": [[24, 20], [44, 40]]}], "regions": [[20, 10, 0, 5]]}, "t.json:1: the region 20,10,0,5"),
        ({"tracks": [{"points": [[24, 20], [25, 20]]}], "regions": [[24, 20, 2, 2]]}, "less than a pixel"),
    ]
    for content, said in cases:
        (tmp_path / "t.json").write_text(json.dumps(content))
        region = [] if "regions" in content else ["--region", "20,10,60,44"]
        done = vedit("drag-motion", lossless, *region, "--tracks", tmp_path / "t.json", "--size", "16")
        one_error_line(done, 3, "t.json", said)


def test_the_ways_of_the_source_end_at_a_cut(vedit, asked, tmp_path):
    """The region goes on as in the source up to the cut, where the edit ends anyway."""
    import av

    rng = np.random.default_rng(1)
    scenes = [cv2.resize(rng.integers(0, 255, (16, 30, 3), np.uint8), (120, 64)) for _ in range(2)]
    path = tmp_path / "cut.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=12)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(12):
            view = np.ascontiguousarray(scenes[index >= 6][:, 2 * (index % 6) : 2 * (index % 6) + 96])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, "rgb24")))
        container.mux(stream.encode())
    cv2.imwrite(str(tmp_path / "first.png"), np.full((64, 96, 3), 90, np.uint8))
    done = vedit("drag-motion", path, "--region", "10,4,80,56", "--first-frame", tmp_path / "first.png",
                 "-o", tmp_path / "out.mkv")  # fmt: skip
    assert done.code == 0, done.err
    assert "no point of it" not in done.err and "cuts to another scene at frame 6" in done.err
    assert "goes on after that cut" not in done.err
    moved = torch.diff(asked[0].places[:6, :, 0], dim=0)
    assert moved.shape[1] > 0 and float((moved + 8).abs().max()) < 0.5  # two pixels of 64, where the model has 256


def test_a_region_without_a_track_is_named(vedit, make_clip, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", 4, codec="ffv1")
    given = ("--region", "4,4,30,30", "--region", "50,10,40,40", "--track", "10,10 20,20", "--size", "64", "--dry-run")
    done = vedit("drag-motion", clip, *given)
    assert done.code == 0 and "region 50,10,40,40: it has no track" in done.err and "4,4,30,30: it" not in done.err
    cv2.imwrite(str(tmp_path / "first.png"), np.zeros((64, 96, 3), np.uint8))
    followed = vedit("drag-motion", clip, *given, "--first-frame", tmp_path / "first.png", "--json")
    assert followed.code == 0 and "it has no track" not in followed.err


def test_a_range_of_one_frame_has_no_motion(vedit, make_clip, tmp_path):
    clip = make_clip(tmp_path / "in.mkv", 4, codec="ffv1")
    done = vedit("drag-motion", clip, "--region", "4,4,30,30", "--track", "10,10 20,20", "--end", "1", "--dry-run")
    one_error_line(done, 2, "--track", "one frame", "motion takes two")
