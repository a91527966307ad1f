"""What goes to standard output, whatever that can take."""

from __future__ import annotations

import io
import json
import sys

import pytest

from vedit.cli import console

NAME = "b\udce9 ∞.mkv"  # a file's name that is no UTF-8


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_that_standard_output_cannot_take(monkeypatch, encoding):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, errors="strict"))
    console.result(NAME)
    console.result_json({"path": NAME})
    plain, text = raw.getvalue().decode(encoding).splitlines()
    assert plain == NAME.encode(encoding, "backslashreplace").decode(encoding)
    assert json.loads(text) == {"path": NAME}


def test_names_are_given_back_as_they_are_where_that_can_be_said(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape"))
    console.result("b\udce9")
    assert raw.getvalue() == b"b\xe9\n"
