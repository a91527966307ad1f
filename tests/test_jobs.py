"""The job: frozen, strict, and the same after a trip through JSON."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from vedit.errors import UsageError
from vedit.jobs import EditJob


def job(**fields) -> EditJob:
    return EditJob.build(**{"input": "in.mp4", "output": "out.mp4", "prompt": "make it snowy"} | fields)


def test_it_survives_json():
    settings = {"steps": 8, "guidance": 2.5, "karras": True, "solver": "ddim"}
    one = job(settings=settings, seed=2**62, window=16, overlap=4, start="2.5s", sheet="a.png", crf=18)
    again = EditJob.from_json(one.to_json())
    assert again == one
    assert [type(value) for value in again.settings.values()] == [int, float, bool, str]


def test_it_is_frozen():
    with pytest.raises(ValidationError):
        job().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prompt": " "}, "the instruction is empty"),
        ({"seed": -1}, "--seed"),
        ({"size": 0}, "--size"),
        ({"pix_fmt": 3}, "--pix-fmt"),
        ({"window": 4, "overlap": 4}, "overlap"),
        ({"colour": "red"}, "--colour does not exist"),
        ({"dtype": "fp7"}, "--dtype"),
        ({"command": "dance"}, "--command"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_in_one_line(fields, said):
    with pytest.raises(UsageError) as refusal:
        job(**fields)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_json_that_is_no_job():
    with pytest.raises(UsageError):
        EditJob.from_json("{}")
    with pytest.raises(UsageError):
        EditJob.from_json("not json")
