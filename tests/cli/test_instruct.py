"""``vedit instruct``: names, refusals, what is printed, ranges, exit codes, nothing left behind."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

KEYS = {
    "schema", "output", "frames", "width", "height", "fps", "duration", "seed", "model", "model_sha256", "method",
    "settings", "windows", "timings", "peak_rss_mb", "warnings",
}  # fmt: skip
TIMINGS = ["decode", "encode", "invert", "denoise", "decode_latents", "compose", "mux", "total"]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def pixels(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [Fraction(frame.pts or 0) * (frame.time_base or 0) for frame in container.decode(video=0)]


def one_error_line(outcome, code: int, *words: str) -> None:
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    lines = outcome.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("vedit: error: ")
    for word in words:
        assert word in lines[0]


# names


def test_the_result_lies_beside_the_input(vedit, clip):
    done = vedit("instruct", clip, "invert it")
    assert done.code == 0
    assert done.out == f"{clip.with_name('in.edited.mp4')}\n"
    assert done.err == ""
    assert files(clip.parent) == {"in.mp4", "in.edited.mp4", "in.edited.mp4.vedit.json"}


def test_a_folder_keeps_the_name(vedit, clip, tmp_path):
    (tmp_path / "there").mkdir()
    assert vedit("instruct", clip, "invert", "-o", f"{tmp_path}/there/").out == f"{tmp_path}/there/in.mp4\n"
    assert vedit("instruct", clip, "invert", "-o", tmp_path / "there", "-y").out == f"{tmp_path}/there/in.mp4\n"


def test_another_container(vedit, clip, tmp_path):
    done = vedit("instruct", clip, "invert", "-o", tmp_path / "out.mkv")
    assert done.code == 0
    assert len(pixels(tmp_path / "out.mkv")) == 24


# what comes out


def test_frames_times_and_sound_stay(vedit, clip):
    out = Path(vedit("instruct", clip, "invert").out.strip())
    assert times(out) == times(clip)
    before, after = pixels(clip), pixels(out)
    assert before.shape == after.shape
    assert np.abs((255 - before) - after)[:, 16:, 16:].mean() < 4
    with av.open(str(clip)) as source, av.open(str(out)) as result:
        sound = [[bytes(p) for p in c.demux(audio=0) if p.size] for c in (source, result)]
    assert sound[0] == sound[1]


def test_json_is_one_object(vedit, clip):
    done = vedit("instruct", clip, "invert", "--json", "--seed", "3", "--steps", "5", "-s", "solver=dpm")
    assert done.code == 0
    assert done.out.count("\n") == 1
    report = json.loads(done.out)
    assert report.keys() >= KEYS
    assert report["schema"] == 1
    assert (report["frames"], report["width"], report["height"], report["fps"]) == (24, 96, 64, 25.0)
    assert report["duration"] == pytest.approx(24 / 25)
    assert report["seed"] == 3
    assert (report["model"], report["method"]) == ("nano", "instructvid2vid")
    assert report["settings"] == {"steps": 5, "guidance": 3.0, "video_guidance": 1.0, "solver": "dpm"}
    assert report["windows"] == 4
    assert report["evaluations"] == 4 * 3 * 5
    assert list(report["timings"]) == TIMINGS
    assert report["timings"]["total"] > 0
    assert report["peak_rss_mb"] > 10
    assert report["warnings"] == []


def test_the_model_decides_what_is_not_said(vedit, clip):
    settings = json.loads(vedit("instruct", clip, "invert", "--json").out)["settings"]
    assert settings["steps"] == 6  # the preset's, not the method's own 4


def test_the_sidecar_tells_how_to_do_it_again(vedit, clip):
    from vedit.jobs import EditJob

    out = Path(vedit("instruct", clip, "invert", "--seed", "7").out.strip())
    record = json.loads(Path(f"{out}.vedit.json").read_text())
    job = EditJob.from_json(json.dumps(record["job"]))
    assert (job.seed, job.prompt, job.input, job.output) == (7, "invert", str(clip), str(out))
    assert record["versions"].keys() >= {"vedit", "python", "torch", "av"}
    assert len(record["output"]["sha256"]) == len(record["input"]["sha256"]) == 64
    assert record["threads"] >= 1


def test_same_job_same_bytes(vedit, clip, tmp_path):
    made = [tmp_path / f"{name}.mp4" for name in "abc"]
    for path, seed in zip(made, (1, 1, 2), strict=True):
        assert vedit("instruct", clip, "invert", "-o", path, "--seed", seed, "--compare", f"{path}.mkv").code == 0
    first, again, other = (path.read_bytes() for path in made)
    assert first == again
    assert first != other
    assert Path(f"{made[0]}.mkv").read_bytes() == Path(f"{made[1]}.mkv").read_bytes()


def test_compare_and_sheet(vedit, clip, tmp_path):
    done = vedit("instruct", clip, "invert", "--compare", tmp_path / "pair.mp4", "--sheet", tmp_path / "sheet.png")
    assert done.code == 0
    pair = pixels(tmp_path / "pair.mp4")
    assert pair.shape == (24, 64, 192, 3)
    assert np.abs(pair[:, :, :96] - pixels(clip)).mean() < 4
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_a_strange_instruction_gives_one_warning(vedit, clip):
    done = vedit("instruct", clip, "gibberish", "--json")
    assert done.code == 0
    assert [line for line in done.err.splitlines() if line.startswith("vedit: warning: ")] == done.err.splitlines()
    assert len(done.err.splitlines()) == 1
    assert len(json.loads(done.out)["warnings"]) == 1
    assert vedit("instruct", clip, "gibberish", "-y", "-q").err == ""


# windows and ranges


def test_windows_overlap_and_carry(vedit, clip, windows):
    vedit("instruct", clip, "invert", "--window", "10", "--overlap", "4")
    assert [(w.first, len(w.frames), w.reference) for w in windows] == [
        (0, 10, 0),
        (6, 10, 4),
        (12, 10, 4),
        (14, 10, 8),
    ]
    assert windows[0].carry is None
    assert windows[1].carry == (0, 10)


def test_no_window_crosses_a_cut(vedit, make_clip, tmp_path, windows):
    from tests.video.synth import moving_frames

    path = make_clip(tmp_path / "cut.mp4", [*moving_frames(9, seed=1), *(255 - f for f in moving_frames(9, seed=8))])
    vedit("instruct", path, "invert", "--window", "6", "--overlap", "2")
    assert all(w.first >= 9 or w.first + len(w.frames) <= 9 for w in windows)
    assert [w.carry is None for w in windows] == [w.first in (0, 9) for w in windows]


def test_the_model_sees_its_own_size(vedit, make_clip, tmp_path, windows):
    path = make_clip(tmp_path / "odd.mp4", 3, width=98, height=74)
    vedit("instruct", path, "invert", "--size", "60")
    assert tuple(windows[0].frames.shape) == (3, 3, 64, 80)
    assert float(windows[0].frames.abs().max()) <= 1.0


@pytest.mark.parametrize(
    ("options", "edited"),
    [
        (["--start", "5", "--end", "17"], range(5, 17)),
        (["--start", "0.2s", "--end", "0.48"], range(5, 12)),
        (["--end", "00:00:00.080"], range(2)),
        (["--ss", "23"], range(23, 24)),
        (["--start", "20", "--end", "99"], range(20, 24)),
    ],
    ids=str,
)
def test_only_the_range_is_edited(vedit, clip, options, edited):
    report = json.loads(vedit("instruct", clip, "invert", "--json", *options).out)
    before, after = pixels(clip), pixels(Path(report["output"]))
    assert len(before) == len(after)
    changed = [i for i in range(24) if np.abs(before[i] - after[i]).mean() > 20]
    assert changed == list(edited)
    assert report["edited_frames"] == len(edited)


# what goes in and out


def test_no_audio(vedit, clip):
    out = Path(vedit("instruct", clip, "invert", "--no-audio").out.strip())
    with av.open(str(out)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_images_in(vedit, clip, tmp_path):
    import cv2

    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(pixels(clip)[:6]):
        cv2.imwrite(str(tmp_path / "frames" / f"{number:03d}.png"), frame[..., ::-1])
    done = vedit("instruct", tmp_path / "frames" / "%03d.png", "invert", "--fps", "12", "--json")
    report = json.loads(done.out)
    assert (report["output"], report["frames"], report["fps"]) == (f"{tmp_path}/frames.edited.mp4", 6, 12.0)
    assert Path(f"{tmp_path}/frames.edited.mp4.vedit.json").is_file()
    assert vedit("instruct", f"{tmp_path}/frames/", "invert", "-y").out == f"{tmp_path}/frames.edited.mp4\n"
    one_error_line(vedit("instruct", clip, "invert", "--fps", "12"), 2, "--fps", "its own frame rate")
    one_error_line(vedit("instruct", tmp_path / "frames", "invert", "--fps", "fast"), 2, "--fps", "fast")
    one_error_line(vedit("instruct", tmp_path / "frames", "invert", "--fps", "0"), 2, "--fps")
    own = tmp_path / "frames" / "%03d.png"
    one_error_line(
        vedit("instruct", own, "invert", "--sheet", tmp_path / "frames" / "003.png", "-y"), 2, "input itself"
    )


def test_standard_output(start, clip, tmp_path):
    process = start("instruct", clip, "invert", "-o", "-", "--progress", "plain", text=False)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert files(tmp_path) == {"in.mp4"}
    (tmp_path / "out.mkv").write_bytes(out)
    assert np.abs((255 - pixels(clip)) - pixels(tmp_path / "out.mkv"))[:, 16:, 16:].mean() < 4


def test_standard_input(start, clip, tmp_path):
    with open(clip, "rb") as opened:
        process = start("instruct", "-", "invert", "-o", tmp_path / "out.mp4", "--json", stdin=opened)
        out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert json.loads(out)["frames"] == 24
    record = json.loads((tmp_path / "out.mp4.vedit.json").read_text())
    assert (record["job"]["input"], len(record["input"]["sha256"])) == ("-", 64)


def test_what_standard_streams_cannot_do(vedit, clip, tmp_path):
    one_error_line(vedit("instruct", clip, "invert", "-o", "-", "--json"), 2, "--json")
    one_error_line(vedit("instruct", clip, "invert", "-o", tmp_path / "o.mp4", "--compare", "-"), 2, "--compare")
    one_error_line(vedit("instruct", "-", "invert"), 2, "--output")


def test_a_reader_that_leaves_is_one_line(start, clip):
    process = start("instruct", clip, "invert", "-o", "-", "--codec", "ffv1", "-q", text=False)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read().decode()
    assert process.wait(timeout=200) == 1
    assert err.count("\n") == 1, err
    assert err.startswith("vedit: error: standard output: cannot be written"), err


def test_the_choice_of_stream_goes_into_the_job(vedit, clip):
    one_error_line(vedit("instruct", clip, "invert", "--stream", "1"), 3, "stream 1 is not a video stream")
    done = vedit("instruct", clip, "invert", "--stream", "0")
    record = json.loads(Path(f"{done.out.strip()}.vedit.json").read_text())
    assert record["job"]["stream"] == 0


def test_colour_drift_is_measured(vedit, clip):
    steady = json.loads(vedit("instruct", clip, "invert", "--json").out)
    assert len(steady["color_drift"]) == 3
    assert max(map(abs, steady["color_drift"])) < 1.5
    wandering = json.loads(vedit("instruct", clip, "invert", "--json", "-y", act="drift").out)
    # From one window's middle to the next the fake adds 8 grey levels to red: 3 windows further at the last one.
    assert 15 < wandering["color_drift"][0] < 33
    assert max(map(abs, wandering["color_drift"][1:])) < 1.5
    assert [w for w in wandering["warnings"] if "colours drift" in w] == wandering["warnings"]


# refusals


def test_existing_files_are_refused(vedit, clip):
    out = clip.with_name("in.edited.mp4")
    out.write_text("mine")
    one_error_line(vedit("instruct", clip, "invert"), 2, str(out), "-y")
    assert out.read_text() == "mine"
    out.rename(f"{out}.vedit.json")
    one_error_line(vedit("instruct", clip, "invert"), 2, f"{out}.vedit.json", "-y")
    assert vedit("instruct", clip, "invert", "-y").code == 0


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["-o", "in.mp4"], 2, ["input itself"]),
        (["-o", "hard.mp4"], 2, ["input itself"]),
        (["-o", "soft.mp4"], 2, ["input itself"]),
        (["-o", "nowhere/out.mp4"], 2, ["nowhere"]),
        (["-o", "nowhere/"], 2, ["nowhere"]),
        (["-o", "out.xyz"], 2, [".xyz"]),
        (["-o", "out"], 2, ["out"]),
        (["-o", ""], 2, ["--output"]),
        (["--sheet", "out.jpg"], 2, ["--sheet", ".png"]),
        (["--compare", "in.edited.mp4"], 2, ["--compare"]),
        (["--compare", "in.mp4"], 2, ["--compare", "input itself"]),
        (["--start", "9", "--end", "9"], 2, ["--end"]),
        (["--start", "2s", "--end", "1"], 2, ["--start"]),
        (["--start", "soon"], 2, ["--start", "soon"]),
        (["--start", "400"], 2, ["--start"]),
        (["--size", "0"], 2, ["--size"]),
        (["--size", "9000"], 2, ["--size"]),
        (["--window", "0"], 2, ["--window"]),
        (["--window", "64"], 2, ["--window", "32"]),
        (["--window", "4", "--overlap", "4"], 2, ["--overlap"]),
        (["--steps", "0"], 2, ["--steps"]),
        (["--steps", "many"], 2, ["--steps"]),
        (["-s", "speed=9"], 2, ["speed", "solver"]),
        (["-s", "steps"], 2, ["KEY=VALUE"]),
        (["-s", "guidance=-1"], 2, ["--guidance"]),
        (["--steps", "3", "-s", "steps=4"], 2, ["--steps"]),
        (["--method", "magic"], 2, ["magic", "instructvid2vid"]),
        (["--codec", "nonesuch"], 2, ["--codec"]),
        (["--device", "abacus"], 2, ["--device", "abacus"]),
        (["--dtype", "fp7"], 2, ["--dtype"]),
        (["--progress", "loud"], 2, ["--progress"]),
        (["--nonsense"], 2, ["--nonsense"]),
        (["--model", "giant"], 4, ["giant"]),
        (["--device", "cuda:99"], 5, ["--device cuda:99"]),
    ],
    ids=str,
)
def test_wrong_options(vedit, clip, monkeypatch, options, code, words):
    monkeypatch.chdir(clip.parent)
    os.link("in.mp4", "hard.mp4")
    os.symlink("in.mp4", "soft.mp4")
    before = files(clip.parent)
    one_error_line(vedit("instruct", "in.mp4", "invert", "-y", *options), code, *words)
    assert files(clip.parent) == before


def test_an_empty_instruction(vedit, clip):
    one_error_line(vedit("instruct", clip, "  "), 2, "instruction")


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty", "cut", "sound"])
def test_wrong_input(vedit, clip, make_clip, tmp_path, kind):
    path = tmp_path / "bad.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("not a video\n" * 40)
    elif kind == "empty":
        path.touch()
    elif kind == "cut":
        path.write_bytes(clip.read_bytes()[:-3000])
    elif kind == "sound":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=48000)
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            frame.sample_rate = 48000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    before = files(tmp_path)
    one_error_line(vedit("instruct", path, "invert", "-o", tmp_path / "out.mp4"), 3, str(path))
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("act", "code", "words"),
    [("memory", 5, ["--window", "--size"]), ("bug", 1, ["this is a bug"]), ("nan", 1, ["--dtype fp32"])],
)
def test_a_failing_model_leaves_nothing(vedit, clip, act, code, words):
    options = ["--compare", clip.with_name("pair.mp4"), "--sheet", clip.with_name("sheet.png")]
    one_error_line(vedit("instruct", clip, "invert", *options, act=act), code, *words)
    assert files(clip.parent) == {"in.mp4"}


def test_a_failing_run_keeps_what_was_there(vedit, clip):
    out = clip.with_name("in.edited.mp4")
    out.write_text("mine")
    assert vedit("instruct", clip, "invert", "-y", act="bug").code == 1
    assert out.read_text() == "mine"


def test_verbose_shows_the_traceback(vedit, clip):
    assert "Traceback" in vedit("instruct", clip, "invert", "-v", act="bug").err
    assert "Traceback" not in vedit("instruct", clip, "invert", act="bug").err


# the plan


def test_a_dry_run_writes_nothing(vedit, clip, windows):
    done = vedit("instruct", clip, "invert", "--dry-run", "--json")
    assert done.code == 0
    plan = json.loads(done.out)
    assert (plan["dry_run"], plan["frames"], plan["windows"], plan["window"], plan["overlap"]) == (True, 24, 4, 8, 2)
    assert (plan["working_width"], plan["working_height"]) == (384, 256)
    assert plan["settings"]["steps"] == 6
    assert plan["estimated_memory_mb"] > 0
    assert plan["estimated_seconds"] > 0
    assert files(clip.parent) == {"in.mp4"}
    assert not windows


def test_a_dry_run_for_people(vedit, clip):
    done = vedit("instruct", clip, "invert", "--dry-run")
    assert done.code == 0
    assert "4 windows" in done.out
    assert "384×256" in done.out
    assert "about" in done.out


def test_a_dry_run_refuses_what_a_run_refuses(vedit, clip):
    clip.with_name("in.edited.mp4").touch()
    one_error_line(vedit("instruct", clip, "invert", "--dry-run"), 2, "-y")


# progress


def test_progress_styles(vedit, clip):
    assert vedit("instruct", clip, "invert", "--progress", "none").err == ""
    assert "24/24 frames" in vedit("instruct", clip, "invert", "-y", "--progress", "plain").err
    lines = vedit("instruct", clip, "invert", "-y", "--progress", "json").err.splitlines()
    told = [json.loads(line) for line in lines]
    assert [one["stage"] for one in told if "frames" not in one] == ["load", "edit", "finish"]
    assert told[-2]["frames"] == 24
    assert vedit("instruct", clip, "invert", "-y", "--progress", "plain", "-q").err == ""
