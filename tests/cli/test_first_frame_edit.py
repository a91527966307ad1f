"""``vedit first-frame-edit``: what the shell says, with a fake method behind it."""

import json

import cv2
import numpy as np
import pytest
import torch

from vedit.errors import UsageError
from vedit.jobs import EditJob
from vedit.render.first_frame import fitted


@pytest.fixture
def picture(tmp_path):
    """Write an edited frame: ``picture()`` of the clip's size, or of another."""

    def write(width=96, height=64, name="edited.png", colour=(10, 200, 60)):
        path = tmp_path / name
        cv2.imwrite(str(path), np.full((height, width, 3), colour, np.uint8))
        return path

    return write


def test_the_edited_frame_reaches_the_method(vedit, clip, picture, asked, windows, tmp_path):
    done = vedit("first-frame-edit", clip, picture(), "--prompt", "a green screen", "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["output"] == str(tmp_path / "in.edited.mp4")
    assert report["method"] == "anyv2v" and report["frames"] == 24
    assert report["first_frame"]["path"].endswith("edited.png")
    request = asked[-1]
    assert request.text == "a green screen"
    assert request.frame.shape == windows[-1].frames.shape[1:]
    wanted = torch.tensor([60, 200, 10]) / 127.5 - 1  # a picture file is blue first
    torch.testing.assert_close(request.frame.mean((1, 2)), wanted, atol=2e-2, rtol=0)
    sidecar = json.loads((tmp_path / "in.edited.mp4.vedit.json").read_text())
    assert len(next(iter(sidecar["first_frame"]["files"].values()))) == 64
    again = EditJob.from_json(json.dumps(sidecar["job"]))
    assert again.first_frame == str(picture()) and again.command == "first-frame-edit"


@pytest.mark.parametrize(
    ("size", "fit", "found"),
    [
        ((48, 32), None, "is 48×32, but the clip is shown at 96×64, another size; --fit stretch"),
        ((64, 64), None, "another aspect; --fit crop"),
        ((48, 32), "stretch", None),
        ((64, 64), "crop", None),
        ((64, 64), "pad", None),
    ],
)
def test_another_size_is_said_and_can_be_fitted(vedit, clip, picture, asked, size, fit, found):
    options = ["--fit", fit] if fit else []
    done = vedit("first-frame-edit", clip, picture(*size), *options)
    if found is not None:
        assert done.code == 3 and found in done.err and "edited.png" in done.err
        assert len(done.err.strip().splitlines()) == 1
        return
    assert done.code == 0, done.err
    uniform = float(asked[-1].frame[1].std()) < 0.02
    assert uniform == (fit != "pad")  # beside a padded picture there is the source


def test_fitting():
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, 10:20] = 200
    assert fitted(picture, 20, 20, "stretch").shape == (20, 20, 3)
    assert (fitted(picture, 20, 20, "crop")[:, 2:-2] > 150).all()  # the middle third fills it
    source = np.full((20, 20, 3), 7, np.uint8)
    padded = fitted(picture, 20, 20, "pad", source)
    assert (padded[0] == 7).all() and (padded[10, 9:11] > 150).all() and (source == 7).all()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "EDITED is missing"),
        (["nowhere.png"], 3, "nowhere.png: no such file"),
        (["EDITED", "--instruction", "snow"], 2, "give one of them"),
        (["--instruction", " "], 2, "--instruction is empty"),
        (["--instruction", "snow", "--fit", "crop"], 2, "leave --fit out"),
        (["EDITED", "--instruct-model", "other"], 2, "--instruct-model other: is for --instruction"),
        (["--instruction", "snow", "--instruct-model", "nowhere"], 4, "nowhere"),
        (["EDITED", "--overlap", "0"], 2, "--overlap 0: windows hand their last frame on"),
        (["EDITED", "--window", "1"], 2, "--window 1"),
        (["EDITED", "--method", "tokenflow"], 2, "for first-frame-edit there is anyv2v, revideo"),
        (["EDITED", "--region", "0,0,500,20"], 2, "reaches out of the picture of 96×64"),
        (["EDITED", "-s", "motion=1"], 2, "no such setting"),
    ],
    ids=str,
)
def test_wrong_input_is_one_line(vedit, clip, picture, tmp_path, arguments, code, message):
    given = [str(picture()) if argument == "EDITED" else argument for argument in arguments]
    done = vedit("first-frame-edit", clip, *given)
    assert done.code == code, done.err
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "in.edited.mp4").exists()


def test_a_transparent_picture_is_refused(vedit, clip, picture, tmp_path):
    """What lies under transparency is not what its painter saw."""
    whole = cv2.imread(str(picture()))
    assert whole is not None
    alpha = np.full(whole.shape[:2], 255, np.uint8)
    cv2.imwrite(str(tmp_path / "solid.png"), np.dstack([whole, alpha]))
    assert vedit("first-frame-edit", clip, tmp_path / "solid.png", "--dry-run").code == 0
    alpha[3:9, 4:20] = 0
    cv2.imwrite(str(tmp_path / "holes.png"), np.dstack([whole, alpha]))
    done = vedit("first-frame-edit", clip, tmp_path / "holes.png", "--dry-run")
    assert done.code == 3 and "holes.png: is transparent in parts" in done.err


def test_a_picture_that_is_none(vedit, clip, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    done = vedit("first-frame-edit", clip, tmp_path / "text.png")
    assert done.code == 3 and "text.png: cannot be read as a picture" in done.err


def test_an_instruction_makes_the_frame(vedit, clip, asked, monkeypatch):
    """The fake inverts: the frame that is spread is the inverted first one."""
    from vedit.video.info import probe
    from vedit.video.reader import Reader

    said = vedit("first-frame-edit", clip, "--instruction", "invert gibberish", "--json")
    assert said.code == 0, said.err
    assert "far from what the model knows" in said.err
    with Reader(str(clip), probe(str(clip))) as reader:
        first = next(iter(reader)).rgb()
    made = asked[-1].frame
    small = cv2.resize(first, (made.shape[2], made.shape[1])) / 127.5 - 1
    inner = np.abs(made.numpy().transpose(1, 2, 0) + small)[12:]
    assert inner.mean() < 0.1
    assert json.loads(said.out)["first_frame"]["instruction"] == "invert gibberish"


def test_outside_of_the_region_nothing_changes(vedit, clip, picture, tmp_path):
    from vedit.video.info import probe
    from vedit.video.reader import Reader

    out = tmp_path / "out.mkv"
    done = vedit("first-frame-edit", clip, picture(), "-o", out, "--codec", "ffv1", "--region", "32,16,32,32")
    assert done.code == 0, done.err
    inside = np.zeros((64, 96), bool)
    inside[16:48, 32:64] = True
    with Reader(str(clip), probe(str(clip))) as one, Reader(str(out), probe(str(out))) as other:
        for before, after in zip(one, other, strict=True):
            planes = [frame.frame.to_ndarray()[:64] for frame in (before, after)]  # luma
            assert np.array_equal(planes[0][~inside], planes[1][~inside])
            assert not np.array_equal(planes[0][inside], planes[1][inside])


def test_after_a_cut_the_clip_is_left_alone(vedit, make_clip, picture, tmp_path, windows):
    """Two scenes in one file: the second is nothing that an edited first frame could say anything of."""
    import av

    path = tmp_path / "cut.mkv"
    rng = np.random.default_rng(0)
    scenes = [cv2.resize(rng.integers(0, 255, (8, 12, 3), np.uint8), (96, 64)) for _ in range(2)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=12)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scenes[index >= 12], "rgb24")))
        container.mux(stream.encode())
    done = vedit("first-frame-edit", path, picture(), "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["frames"] == 20 and report["edited_frames"] == 12
    assert "cuts to another scene at frame 12" in done.err and "--start 12" in done.err
    assert max(window.first + len(window.frames) for window in windows) == 12


def test_a_job_needs_one_of_the_two():
    with pytest.raises(UsageError, match="EDITED is missing"):
        EditJob.build(command="first-frame-edit", input="a", output="b", method="anyv2v")
    job = EditJob.build(command="first-frame-edit", input="a", output="b", method="anyv2v", instruction="snow")
    assert EditJob.from_json(job.to_json()) == job


def test_revideo_gets_a_drag_without_tracks(vedit, clip, picture, asked):
    from vedit.engines.base import Drag

    done = vedit("first-frame-edit", clip, picture(), "--method", "revideo", "--json")
    assert done.code == 0, done.err
    assert float(asked[-1].mask.min()) == 1 and json.loads(done.out)["motion"]["regions"] == []  # all of the picture
    for given in ([picture()], ["--instruction", "invert"]):
        done = vedit("first-frame-edit", clip, *given, "--method", "revideo", "--region", "32,16,32,32", "-y")
        assert done.code == 0, done.err
        assert isinstance(asked[-1], Drag)
        assert asked[-1].frame is not None and asked[-1].places.shape[1] == 0
    done = vedit("first-frame-edit", clip, picture(), "--method", "revideo", "--region", "32,16,32,32", "-y",
                 "--prompt", "a cat")  # fmt: skip
    assert done.code == 0 and "reads pictures only; the text 'a cat' has no effect" in done.err
