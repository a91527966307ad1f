"""The report's files, without a browser: what is written, when, and what is never replaced."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from vedit.errors import UsageError
from vedit.metrics.evaluate import Figure, Question, evaluate
from vedit.metrics.pairs import Clips
from vedit.metrics.registry import MEASURES, choose
from vedit.metrics.report import Report, Series, _for_script, _plot, check_folder, preview_size


@pytest.fixture
def clips(synth, tmp_path) -> Clips:
    how = {"codec": "ffv1", "pix_fmt": "bgr0", "options": {}, "time_base": synth.Fraction(1, 1000)}
    frames = synth.moving_frames(5, 97, 65)  # odd, which H.264 in 4:2:0 cannot hold
    source = synth.make_clip(tmp_path / "source.mkv", frames, **how)
    edit = synth.make_clip(tmp_path / "edit.mkv", [255 - frame for frame in frames], **how)
    return Clips.open(str(source), [str(edit)])


def write(clips: Clips, folder, overwrite: bool = False):
    question = Question(choose("psnr,frame_difference", frozenset()))
    with Report(str(folder), clips, question, overwrite=overwrite) as page:
        answer = evaluate(clips, question, watcher=page)
        page.commit(answer)
    return answer


def test_what_is_in_a_report(clips, tmp_path):
    answer = write(clips, tmp_path / "report")
    folder = tmp_path / "report"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "index.html", "results.json", "frames.csv", "media/source.mp4", "media/edit-1.mp4", "sheets/edit-1.png",
    }  # fmt: skip
    assert json.loads((folder / "results.json").read_text())["frames"] == 5
    rows = list(csv.DictReader((folder / "frames.csv").open()))
    assert [(row["frame"], row["clip"]) for row in rows[:2]] == [("0", "source.mkv"), ("0", "edit.mkv")]
    of_edit = [float(row["frame_difference"]) for row in rows if row["clip"] == "edit.mkv" and row["frame_difference"]]
    assert len(of_edit) == 4
    assert np.mean(of_edit) == pytest.approx(answer.figures[0]["frame_difference"].value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edit.mkv", "report", "source.mkv"]


def test_clips_of_one_name_are_told_apart(clips, tmp_path):
    (tmp_path / "edited").mkdir()
    other = tmp_path / "edited" / "source.mkv"
    other.write_bytes((tmp_path / "edit.mkv").read_bytes())
    write(Clips.open(clips.source.path, [str(other)]), tmp_path / "report")
    rows = list(csv.DictReader((tmp_path / "report" / "frames.csv").open()))
    assert [row["clip"] for row in rows[:2]] == [clips.source.path, str(other)]
    assert f"<h3>{other}</h3>" in (tmp_path / "report" / "index.html").read_text()


def test_a_plot_of_a_clip_figure_carries_the_model():
    measure = MEASURES["frame_consistency_adjacent"]
    plot = _plot(Figure(measure, 0.9, 1.0, "nano"), {(1, measure.name): [0.9], (1, "psnr"): [30.0]})
    assert (plot["model"], plot["lines"]) == ("nano", [{"edit": 0, "values": [0.9]}])


def test_previews_are_what_every_browser_plays(clips, tmp_path):
    import av

    write(clips, tmp_path / "report")
    with av.open(str(tmp_path / "report" / "media" / "edit-1.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        times = [float(frame.time or 0) for frame in container.decode(stream)]
    assert times == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((1920, 1080, None, False), (640, 360)),
        ((97, 65, None, False), (96, 64)),
        ((720, 576, 2, False), (640, 256)),
        ((576, 720, 2, True), (256, 640)),
    ],
)
def test_size_of_a_preview(given, expected):
    assert preview_size(*given) == expected


def test_a_report_is_replaced_only_when_asked_and_nothing_else_ever_is(clips, tmp_path):
    write(clips, tmp_path / "report")
    with pytest.raises(UsageError, match="-y replaces it"):
        write(clips, tmp_path / "report")
    write(clips, tmp_path / "report", overwrite=True)
    (tmp_path / "report" / "notes.txt").write_text("kept")
    with pytest.raises(UsageError, match=r"notes\.txt beside a report"):
        write(clips, tmp_path / "report", overwrite=True)
    (tmp_path / "report" / "notes.txt").unlink()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letters.txt").write_text("dear")
    with pytest.raises(UsageError, match="other files"):
        write(clips, tmp_path / "home", overwrite=True)
    with pytest.raises(UsageError, match="is a file"):
        check_folder(str(tmp_path / "edit.mkv"), True, [])
    with pytest.raises(UsageError, match="lies in it"):
        check_folder(str(tmp_path / "report"), True, [str(tmp_path / "report" / "media" / "source.mp4")])
    with pytest.raises(UsageError, match="no folder"):
        check_folder(str(tmp_path / "no" / "where"), True, [])


def test_nothing_is_left_when_it_fails(clips, tmp_path, synth):
    synth.make_clip(tmp_path / "edit.mkv", 3, width=97, height=65, codec="ffv1", pix_fmt="bgr0", options={})
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Exception, match="after 3 frames"):
        write(Clips.open(str(tmp_path / "source.mkv"), [str(tmp_path / "edit.mkv")]), tmp_path / "report")
    assert sorted(tmp_path.iterdir()) == before


def test_long_series_are_thinned_by_their_means(tmp_path):
    series = Series(tmp_path / "series", 2, ["a"])
    for index in range(10):
        series.add(index / 10, [{"a": index}, {"a": math.inf if index < 4 else 2.0 * index}])
    times, lines = series.thin(4)
    assert times == [0, 0.4, 0.8]
    assert lines == {(0, "a"): [1.5, 5.5, 8.5], (1, "a"): [None, 11, 17]}
    series.close()


def test_data_cannot_leave_its_element():
    text = _for_script({"name": "</script><!-- & \u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"name": "</script><!-- & \u2028"}
