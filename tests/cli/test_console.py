"""What goes to standard output, whatever that can take."""

from __future__ import annotations

import io
import json
import sys
import types

import pytest

from vedit.cli import console
from vedit.signals import Stopped

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


@pytest.mark.parametrize(
    ("told", "said"),
    [("", "stopped by SIGINT"), ("try again", "stopped by SIGINT; try again")],
    ids=["nothing", "told"],
)
def test_a_signal_is_told_with_what_becomes_of_the_work(capsys, told, said):
    def command(**_):
        if told:
            console.configure(when_stopped=told)
        raise Stopped("SIGINT")

    assert console.run(command) == 130
    assert capsys.readouterr().err == f"vedit: error: {said}\n"


def test_a_signal_while_the_program_is_still_being_read(capsys, monkeypatch):
    from vedit import __main__, signals

    monkeypatch.setattr(signals, "catch", lambda: None)
    monkeypatch.setattr(signals, "leave", None)
    monkeypatch.setitem(sys.modules, "vedit.cli.app", _Interrupts("app"))
    assert __main__.main() == 143
    assert capsys.readouterr().err == "vedit: error: stopped by SIGTERM\n"


class _Interrupts(types.ModuleType):
    def __getattr__(self, name: str):
        if name == "run":
            raise Stopped("SIGTERM")
        raise AttributeError(name)
