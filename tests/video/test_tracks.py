"""Tracks as people write them, drawings, regions, and following a point."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from vedit.errors import InputError, UsageError
from vedit.video.follow import follow_through, tracks_of
from vedit.video.places import lines_of
from vedit.video.regions import Region, _marked, bounds, draw, owner, parse_region, region_of, union
from vedit.video.svg import paths
from vedit.video.tracks import Entry, Extent, Track, parse_point, parse_track, read_motion, sampled

from .synth import moving_frames

EXTENT = Extent(200, 160, 11, first=10)


def place(track, index, time=0.0):
    at = track.at(index, time)
    assert at is not None
    return at.tolist()


def test_a_track_without_times_spans_the_edited_range():
    track = parse_track("10,20 30,20 50,60", EXTENT)
    assert track.knots.tolist() == [10, 15, 20]
    assert place(track, 15) == [30, 20]
    assert place(track, 17) == pytest.approx([38, 36])
    assert track.at(9, 0) is None
    assert track.held(9, 0).tolist() == [10, 20]
    assert track.held(99, 0).tolist() == [50, 60]
    assert track.length == pytest.approx(20 + np.hypot(20, 40))


def test_times_are_frames_or_seconds():
    assert place(parse_track("1,2@12 3,4@14", EXTENT), 13) == [2, 3]
    assert place(parse_track("1,2@0.5s 3,4@1.5s", EXTENT), 0, 1.0) == [2, 3]


def test_x_is_not_y():
    assert parse_track("150,20 160,21", EXTENT).points.tolist() == [[150, 20], [160, 21]]
    with pytest.raises(UsageError):
        parse_track("20,165 21,166", EXTENT)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10,20", "has 1 point; a track needs two"),
        ("", "has 0 points"),
        ("10,20 200,20", "200,20 is not in the picture of 200×160"),
        ("10,20 nan,20", "nan,20 is not in the picture"),
        ("10,20 30", "'30' is no point"),
        ("10,20@5 30,20", "1 of its 2 points have times"),
        ("10,20@5 30,20@1.5s", "mixes frames and seconds"),
        ("10,20@5 30,20@5", "do not increase"),
        ("10,20@x 30,20@5", "is not a time"),
    ],
)
def test_tracks_that_cannot_be_used(text, said):
    with pytest.raises(UsageError, match=f"--track .*{re.escape(said)}"):
        parse_track(text, EXTENT)


def test_files_with_tracks_and_regions(tmp_path):
    file = tmp_path / "t.json"
    file.write_text(json.dumps({"tracks": [{"points": [[1, 2], [3, 4]]}], "regions": [[0, 0, 20, 10]]}))
    tracks, regions = read_motion(file, EXTENT)
    assert tracks[0].knots.tolist() == [10, 20]
    assert bounds(region_of(regions[0], str(file), EXTENT).grey) == (0, 0, 20, 10)
    places = sampled(tracks, EXTENT, lambda index: index / 25)
    assert places.shape == (11, 1, 2)
    assert places[5, 0].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.json", '{"tracks": [\n{"points": [[1, 2], [3 4]]}]}', "t.json:2: not JSON"),
        ("t.json", '{"tracks": [],\n"regions": 3}', "t.json:2: its regions are no list"),
        ("t.csv", "track,time,x,y\na,0,1,2\na,1,x,2\n", "t.csv:3: x and y are"),
        ("t.csv", "track,time,x,y\na,zero,1,2\n", "t.csv:2: 'zero' is not a time"),
        ("t.csv", "track,time,x,y\na,0,1," + 140_000 * "2", "t.csv:2: not CSV"),
        ("t.csv", "track,time,x,y\na,0,1,2\nb,0,1,2\na,1,900,5\nb,1,3,4\n", "t.csv:4: track a: the point 900,5"),
        ("t.csv", "track,time,x,y\na,1,1,2\na,0,3,4\n", "t.csv:3: track a: its times do not increase"),
        ("t.csv", "track,time,x,y\n\na,0,1,2\n", "t.csv:3: track a: has 1 point"),
        ("t.csv", "track,time,x,y\na,nan,1,2\n", "t.csv:2: nan is not a time"),
        ("t.csv", "track,time,x,y\na,0f,1,2\na,1,3,4\n", "t.csv:3: track a: mixes frames and seconds"),
        ("t.csv", "track,time,x,y\na,0f,1,2\na,,3,4\n", "t.csv:3: only some points of track a have times"),
        ("t.json", '{"tracks": [\n{"points": [[1, 2], [3, 4]]},\n{"points": 5}]}', "t.json:3: track 1: needs points"),
        ("t.json", '{"tracks": [\n{"points": [[1, 2]]}]}', "t.json:2: track 0: has 1 point"),
        ("t.json", '{"tracks": [\n{"points":\n[[1, 2],\n[3]]}]}', "t.json:4: track 0: [3] is no point"),
        ("t.json", '{"tracks": [\n{"points":\n[[1, 2],\n[3, 900]]}]}', "t.json:4: track 0: the point 3,900"),
        ("t.json", '{"tracks": [\n{"points": [[1, 2],\n[true, 3]]}]}', "t.json:3: track 0: [true, 3] is no point"),
        ("t.json", '{"tracks": [\n{},\n{"points": []}]}', "t.json:2: track 0: needs points"),
        ("t.json", '{"tracks": [\n{"points": []}]}', "t.json:2: track 0: has 0 points"),
        ("t.json", '{"tracks": [\n{"points": [],\n"time": []}]}', 't.json:3: "time" is not known here'),
        ("t.json", '{"tracks": [],\n"region": []}', 't.json:2: "region" is not known here'),
        ("t.json", '{"regions": [],\n"tracks": {}}', "t.json:2: its tracks are no list"),
        ("t.json", "[1]", "t.json:1: has no list of tracks"),
        ("t.json", '{"tracks": [],\n"regions": [],\n"tracks": []}', "t.json:3: 'tracks' stands there twice"),
        ("t.json", '{"tracks": [{"points": [],\n"points": []}]}', "t.json:2: 'points' stands there twice"),
        ("t.csv", "track,time,x,y\n", "t.csv:1: nothing after the header"),
        ("t.svg", "<svg>\n<polyline points='10,20 30,4O'/></svg>", "t.svg:2: the points of the polyline"),
        ("t.svg", "<svg>\n<polygon points='1,2 foo 3,4'/></svg>", "cannot be read at 'foo 3,4'"),
        ("t.svg", "<svg viewBox='0 0 x 64 48'>\n<path d='M 5,5 9,9'/></svg>", "t.svg:1: the viewBox"),
        ("t.svg", "<svg><g transform='translate(10%,5)'><path d='M 5,5 9,9'/></g></svg>", "the transform translate"),
        ("t.svg", "<svg><path style='transform:translate(5px)' d='M 5,5 9,9'/></svg>", "a transform in the style"),
        ("t.svg", "<svg>\n<svg x='5'/></svg>", "t.svg:2: a drawing inside the drawing"),
        ("t.svg", "<svg><g style='display:none !important'><path d='M 5,5 9,9'/></g></svg>", "holds no path"),
        ("t.svg", "<svg><defs><svg/></defs><path visibility='hidden' d='M 5,5 9,9'/></svg>", "holds no path"),
        ("t.svg", "<svg>\n<path d='M5,5 L1e999,5'/></svg>", "t.svg:2: the number 1e999 is larger"),
        ("t.svg", "<svg><path transform='rotate(1e999)' d='M 5,5 9,9'/></svg>", "the number 1e999 is larger"),
        ("t.json", '{"tracks": [{"points": [[1, 2], [1' + 400 * "0" + ", 4]]}]}", "is no point; give [x, y]"),
        ("t.json", '{"tracks": [{"points": [[1, 2], [3, 4]], "times": [0, 1' + 400 * "0" + "]}]}", "is not a time"),
        ("t.json", '{"tracks": [{"points": [[1, 2], [3, 4]], "times": ["0", "1' + 400 * "0" + '"]}]}', "is not a time"),
        ("t.svg", "<svg>\n<path d='M 1,2 L 3,4'>\n</svg>", "t.svg:3: not SVG (mismatched tag)"),
        ("t.svg", "<svg>\n<path d='M 1,2 K 3,4'/></svg>", "t.svg:2: the path cannot be read at 'K'"),
        ("t.svg", "<svg>\n\n<path d='L 1,2 3,4'/></svg>", "t.svg:3: the path begins with L"),
        ("t.svg", "<svg><path d='M 1,2 3,4 C 1,2,3'/></svg>", "C of the path has 3 numbers"),
        ("t.svg", "<svg>\n<path d='M 5,5 L 900,5'/></svg>", "t.svg:2: the path: the point"),
        ("t.svg", "<svg>\n<path d='M 5,5'/></svg>", "t.svg:2: the path: has 1 point"),
        ("t.svg", "<svg><path transform='skewX(3)' d='M 5,5 9,9'/></svg>", "the transform skewX"),
        ("t.svg", "<svg viewBox='0 0 100 100'><path d='M 5,5 9,9'/></svg>", "not the shape of the picture"),
        ("t.svg", "<html/>", "begins with <html>"),
        ("t.svg", "<svg><rect/></svg>", "holds no path"),
    ],
)
def test_malformed_files_are_named_with_the_line(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=re.escape(said)):
        read_motion(tmp_path / name, EXTENT)


def test_a_file_may_hold_regions_alone(tmp_path):
    (tmp_path / "r.json").write_text('{"regions": [[0, 0, 20, 10]]}')
    tracks, regions = read_motion(tmp_path / "r.json", EXTENT)
    assert not tracks and regions[0].value == [0, 0, 20, 10]


def test_numbers_of_svg_need_no_gap_and_hidden_paths_are_none(tmp_path):
    text = "<svg><g display='none'><path d='M 1,1 2,2'/></g><polyline points=' 1,2 3.5.5\n'/></svg>"
    (tmp_path / "t.svg").write_text(text)
    (track,) = read_motion(tmp_path / "t.svg", EXTENT)[0]
    assert track.points[0].tolist() == [1, 2] and track.points[-1].tolist() == [3.5, 0.5]


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1,\n 2,\n\n {"b": "\\n }",\n "c": []}], "d": {}}',
        ' \n[[], {},\n[[[[[\n7]]]]], "x"]',
        "3",
    ],
)
def test_values_of_json_are_found_on_their_lines(text):
    def walk(value, path):
        yield path, value
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, one in items:
            if len(path) < 5:
                yield from walk(one, (*path, key))

    found, lines = lines_of(text), text.split("\n")
    assert set(found) == {path for path, _ in walk(json.loads(text), ())}
    for path, value in walk(json.loads(text), ()):
        assert json.dumps(value)[:1] in lines[found[path] - 1], path


def test_tracks_without_times_spread_in_time_where_the_rate_varies():
    extent = Extent(200, 160, 3, 10, (1.0, 3.0))
    track = parse_track("10,20 30,20 30,40", extent)
    assert track.knots.tolist() == [1, 2, 3] and not track.frames
    places = sampled([track], extent, {10: 1.0, 11: 1.5, 12: 3.0}.__getitem__)
    assert places[:, 0].tolist() == [[10, 20], [20, 20], [30, 40]]


def drawn(content: str, view: str = "") -> np.ndarray:
    (_, points), *_ = paths("t.svg", f"<svg {view}>{content}</svg>", 200, 160)
    return points


def test_svg_paths_become_points_at_even_distances():
    points = drawn("<path d='m 10 20 h 30 v10 H 100 l 0,-10'/>")
    assert points[0].tolist() == [10, 20]
    assert points[-1].tolist() == [100, 20]
    corners = drawn("<path d='M10 20L40 20'/>")
    steps = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    assert steps == pytest.approx(np.full(63, 30 / 63))


def test_svg_curves_follow_their_definition():
    t = np.linspace(0, 1, 2001)[:, None]
    knots = np.array([[10, 10], [60, 100], [120, -5], [180, 90]], float)
    curve = (1 - t) ** 3 * knots[0] + 3 * t * (1 - t) ** 2 * knots[1] + 3 * t**2 * (1 - t) * knots[2] + t**3 * knots[3]
    for point in drawn("<path d='M10,10 C 60,100 120,-5 180,90'/>"):
        assert np.linalg.norm(curve - point, axis=1).min() < 0.6
    smooth = drawn("<path d='M 0 50 Q 25 0 50 50 T 100 50'/>")
    assert smooth[-1].tolist() == [100, 50]
    assert smooth[:, 1].min() == pytest.approx(25, abs=0.5)
    assert smooth[:, 1].max() == pytest.approx(75, abs=0.5)


@pytest.mark.parametrize(("flags", "lowest"), [("0 0", 80.0), ("0 1", 20.0), ("1 1", 20.0)])
def test_svg_arcs(flags, lowest):
    """A half circle of radius 30 from (50, 50) to (110, 50): the sweep flag says above or below."""
    points = drawn(f"<path d='M 50 50 A 30 30 0 {flags} 110 50'/>")
    distance = np.linalg.norm(points - [80, 50], axis=1)
    assert distance == pytest.approx(np.full(64, 30), abs=0.2)
    extreme = points[:, 1].max() if lowest > 50 else points[:, 1].min()
    assert extreme == pytest.approx(lowest, abs=0.3)


def test_svg_transforms_and_view_boxes():
    line = "<line x1='0' y1='0' x2='10' y2='0'/>"
    moved = drawn(f"<g transform='translate(5 6)'><g transform='rotate(90) scale(2)'>{line}</g></g>")
    assert moved[-1].tolist() == pytest.approx([5, 26])
    assert drawn(line, "viewBox='-10 0 400 320'")[-1].tolist() == pytest.approx([10, 0])
    assert drawn("<defs><path d='M0 0 1 1'/></defs><polyline points='1,2 3,4'/>")[-1].tolist() == [3, 4]


def test_regions(tmp_path):
    box = parse_region("10,20,30,40", EXTENT)
    assert bounds(box.grey) == (10, 20, 30, 40)
    assert box.holds(np.array([10, 20]))
    assert box.holds(np.array([39, 59]))
    assert not box.holds(np.array([40, 59]))
    grey = np.zeros((160, 200), np.uint8)
    cv2.circle(grey, (150, 100), 20, 255, -1)
    cv2.imwrite(str(tmp_path / "m.png"), grey)
    circle = parse_region(str(tmp_path / "m.png"), EXTENT)
    assert circle.holds(np.array([150, 119]))
    assert not circle.holds(np.array([166, 116]))
    assert (union([box, circle]) > 0).sum() == 1200 + (grey > 0).sum()
    inside = parse_track("150,100 160,100", EXTENT)
    assert owner(inside, [box, circle]) == 1
    for text, said in (("60,60 150,100", "is in no region"), ("150,100 190,100", "leads to 190,100")):
        with pytest.raises(UsageError, match=said):
            owner(parse_track(text, EXTENT), [box, circle])
    with pytest.raises(UsageError, match="leads to 41,"):  # over what lies between the two
        owner(parse_track("30,40 150,100", EXTENT), [box, circle])


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("10,20,0,5", UsageError, "is empty"),
        ("190,20,11,5", UsageError, "reaches out of the picture"),
        ("10,20,30", UsageError, "neither a box"),
        ("gone.png", UsageError, "neither a box"),
        ("10,20 " * 60, UsageError, "neither a box"),
        ("10,20,1e400,5", UsageError, "is not four numbers"),
        ("BLACK", InputError, "black all over"),
        ("SMALL", InputError, "is 20×20"),
    ],
)
def test_regions_that_cannot_be_used(tmp_path, text, error, said):
    for name, shape in (("BLACK", (160, 200)), ("SMALL", (20, 20))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros(shape, np.uint8))
        text = text.replace(name, str(tmp_path / f"{name}.png"))
    with pytest.raises(error, match=said):
        parse_region(text, EXTENT)


def test_a_region_of_a_file_is_called_by_its_numbers(tmp_path):
    assert region_of(Entry([10, 20, 30, 40.5], 1), "t.json", EXTENT).name == "10,20,30,40.5"
    for entry in ([10, 20, 10**400, 5], ["10", 20, 3, 5], "n" * 300, [10, 20, 0, 5], [190, 20, 11, 5]):
        with pytest.raises(InputError, match=r"^t\.json:7: the region"):
            region_of(Entry(entry, 7), "t.json", EXTENT)


def test_time_marks_lie_where_the_track_is_then():
    rgb = np.full((160, 200, 3), 128, np.uint8)
    track = parse_track("20,40@0s 180,40@1s", EXTENT)
    drawing = draw(rgb, [parse_region("0,0,200,160", EXTENT)], [track], marks=3)
    marked = np.flatnonzero((drawing[38] != 128).any(-1))  # beside the line, which is one pixel
    assert np.abs(marked - 100).min() <= 2  # a mark half way, where its time is too


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("20,40@0 180,40@7", [0, 2, 4, 5, 7]),  # frames are whole: each mark lies where its label says
        ("20,40@0 50,40@1 180,40@7", [0, 1, 7]),  # the times that were asked for
        ("20,40@0s 180,40@1s", [0, 0.25, 0.5, 0.75, 1]),
    ],
)
def test_marks_lie_at_the_times_they_say(text, marks):
    assert _marked(parse_track(text, EXTENT), 5).tolist() == marks


def test_a_way_that_leaves_its_region_between_two_frames_is_drawn():
    """What was found in the clip need not stay in the region as a user's track does."""
    ring = np.zeros((160, 200), np.uint8)
    cv2.circle(ring, (100, 80), 50, 255, 8)
    found = Track("the way of 50,80", np.arange(2.0), np.array([[50.0, 80.0], [150.0, 80.0]]), True)
    regions = [parse_region("0,0,20,20", EXTENT), Region("ring", ring)]
    drawing = draw(np.full((160, 200, 3), 128, np.uint8), regions, [found])
    assert drawing[80, 100].argmax() == 1  # in the second region's green


def test_the_drawing_shows_regions_and_tracks():
    rgb = np.full((160, 200, 3), 128, np.uint8)
    drawing = draw(rgb, [parse_region("10,20,100,100", EXTENT)], [parse_track("30,40 90,40", EXTENT)])
    assert drawing.shape == rgb.shape
    assert (drawing[150, 150] < 128).all()  # outside is darker
    assert (drawing[100, 60] == 128).all()  # inside stays
    assert (drawing[40, 55] != 128).any()  # on the track
    assert (rgb == 128).all()


def test_a_point_is_followed_and_a_point_can_be_lost():
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in moving_frames(8, 120, 90, step=2)]
    way = follow_through(iter(grey), np.array([[70.0, 45.0], [60.0, 30.0]]))
    assert way.shape == (8, 2, 2)
    for index, places in enumerate(way):
        assert places == pytest.approx(np.array([[70 - 2 * index, 45], [60 - 2 * index, 30]]), abs=0.3)
    rng = np.random.default_rng(0)
    unrelated = [rng.integers(0, 255, (90, 120), np.uint8) for _ in range(3)]
    lost = follow_through(unrelated, np.array([[70.0, 45.0]]))
    assert np.isnan(lost[-1]).all() and not np.isnan(lost[0]).any()


def test_grid_tracks_say_which_can_be_believed():
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in moving_frames(6, 120, 90, step=3)])
    tracks, good = tracks_of(grey, 16)
    assert tracks.shape == (6, len(good), 2)
    assert 0.4 < good.mean() < 1  # those at the left go out of the picture
    moved = tracks[-1, good] - tracks[0, good]
    assert np.abs(moved - [-15, 0]).max() < 1.0


def test_a_point_to_follow():
    assert parse_point("12,34.5", EXTENT).tolist() == [12, 34.5]
    for text in ("12", "12,34@5", "300,2", "a,b"):
        with pytest.raises(UsageError, match="--follow"):
            parse_point(text, EXTENT)


def test_csv_times_are_seconds_or_frames(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("track,time,x,y\na,12f,1,2\na,18f,3,4\nb,0,1,2\nb,0.5,3,4\n")
    one, other = read_motion(file, EXTENT)[0]
    assert (one.knots.tolist(), one.frames, other.knots.tolist(), other.frames) == ([12, 18], True, [0, 0.5], False)
    file.write_text("track,time,x,y\na,,1,2\na, ,3,4\na,,5,4\n")
    (track,) = read_motion(file, EXTENT)[0]
    assert (track.knots.tolist(), track.frames) == ([10, 15, 20], True)  # without times the points spread evenly


def test_flags_of_an_arc_need_no_gap_after_them(tmp_path):
    """As programs write them that make drawings small."""
    found = []
    for arc in ("a5 6 0 0 1 10 0 5 6 0 1 0 -4 2", "a5 6 0 0110 0 5 6 0 10-4 2", "a5,6,0,01,10,0,5,6,0,1,0-4,2"):
        (tmp_path / "t.svg").write_text(f"<svg><path d='M50 50 {arc}'/></svg>")
        (track,) = read_motion(tmp_path / "t.svg", EXTENT)[0]
        found.append(track.points)
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


def test_an_arc_with_radii_without_end_is_a_line(tmp_path):
    file = tmp_path / "t.svg"
    file.write_text("<svg><path d='M5 5 A1e8 1e8 0 0 1 9 9'/></svg>")
    (track,) = read_motion(file, EXTENT)[0]
    assert track.points[0].tolist() == [5, 5] and track.points[-1].tolist() == pytest.approx([9, 9])


def test_a_wrong_time_in_json_is_named_by_its_own_line(tmp_path):
    file = tmp_path / "tracks.json"
    file.write_text('{"tracks": [{\n"points": [[1, 2], [3, 4], [5, 6]],\n"times": [0,\n"x",\n2]}]}')
    with pytest.raises(InputError, match=r"tracks\.json:4: track 0"):
        read_motion(file, Extent(64, 48, 8))[0]
    file.write_text('{"tracks": [{\n"times": [0,\n1,\n0.5],\n"points": [[1, 2],\n[3, 4],\n[5, 6]]}]}')
    with pytest.raises(InputError, match=r"tracks\.json:4: track 0: its times do not increase"):
        read_motion(file, Extent(64, 48, 8))[0]


def test_a_track_of_csv_is_named_with_its_first_line(tmp_path):
    file = tmp_path / "tracks.csv"
    file.write_text("track,time,x,y\na,,1,2\na,,5,6\nb,,3,4\nb,,7,8\n")
    tracks, _ = read_motion(file, Extent(64, 48, 8))
    assert [track.name for track in tracks] == [f"{file}:2: track a", f"{file}:4: track b"]


def test_times_that_would_lie_on_one_another_are_left_out():
    """All of a long track stand there, and fewer of a short one."""
    extent, plain = Extent(320, 240, 8), np.full((240, 320, 3), 90, np.uint8)
    region = parse_region("10,10,300,220", extent)

    def written(to: str) -> int:
        """White of the texts, above the track."""
        picture = draw(plain, [region], [parse_track(f"40,120 {to}", extent)])
        return int((picture[:117] > 180).all(-1).sum())

    assert 0 < written("60,120") < 0.6 * written("280,120")


def test_a_drawing_without_a_view_box_is_laid_over_the_picture_by_its_size(tmp_path):
    file = tmp_path / "tracks.svg"
    body = '<path d="M 20 20 L 60 40"/></svg>'
    for head, scale in (
        ('<svg width="128" height="96px">', 0.5),
        ("<svg>", 1.0),
        ('<svg width="100%" height="9">', 1.0),
    ):
        file.write_text(head + body)
        (track,) = read_motion(file, Extent(64, 48, 8))[0]
        np.testing.assert_allclose(track.points[[0, -1]], np.array([[20, 20], [60, 40]]) * scale)
    file.write_text('<svg width="128" height="48">' + body)
    with pytest.raises(InputError, match="is not the shape of the picture"):
        read_motion(file, Extent(64, 48, 8))[0]
