"""``vedit doctor``: it finds what is here, and what is in the way comes with what to do about it."""

from __future__ import annotations

import json

import pytest

from vedit.render import doctor, machine


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def found() -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.checks()}


def test_this_machine_is_fit():
    checks = found()
    assert [check for check in checks.values() if check.state == "fix"] == []
    assert {"python", "torch", "av", "attention", "memory", "codecs", "hardware decoding", "hardware encoding", "cache",
            "hub cache", "models"} <= set(checks)  # fmt: skip
    assert "nano" in checks["models"].found
    assert "libx264" in checks["codecs"].found
    assert "math" in checks["attention"].found
    assert all(check.advice for check in checks.values() if check.state != "ok")


@pytest.mark.parametrize(
    ("there", "why", "said"),
    [
        (["cuda", "vaapi"], None, "--hwaccel takes cuda"),
        (["cuda"], "FFmpeg cannot open the device cuda", "on the CPU, for FFmpeg cannot open the device cuda"),
        (["vaapi"], None, "on the CPU"),
    ],
)
def test_it_says_what_can_decode(monkeypatch, there, why, said):
    from av.codec import hwaccel

    from vedit.video.hwaccel import Accelerator

    monkeypatch.setattr(hwaccel, "hwdevices_available", lambda: there)
    monkeypatch.setattr(Accelerator, "absent", lambda self: why)
    monkeypatch.setattr(doctor, "_encodes", lambda name: False)
    found = next(check for check in doctor._hardware() if check.name == "hardware decoding").found
    assert found.startswith(", ".join(there)) and said in found


def test_what_is_in_the_way_says_what_to_do(monkeypatch, tmp_path, hub):
    (tmp_path / "file").touch()
    (hub / "models--a--b" / "blobs").mkdir(parents=True)
    (hub / "models--a--b" / "blobs" / "x").write_bytes(bytes(20_000_000))
    monkeypatch.setenv("VEDIT_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(machine, "available_mb", lambda: 500.0)
    monkeypatch.setattr(doctor, "ENOUGH_DISK", 10**18)
    monkeypatch.setattr(doctor, "_ENCODERS", ("libx264", "nonsense"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    checks = found()
    assert (checks["memory"].state, checks["memory"].found) == ("fix", "0.5 GB free")
    assert checks["cache"].state == "fix"
    assert "file; name another folder" in checks["cache"].found
    assert (checks["codecs"].state, checks["codecs"].advice[:16]) == ("warn", "--codec nonsense")
    monkeypatch.setenv("VEDIT_CACHE", str(tmp_path / "cache"))
    check = found()["hub cache"]
    assert check.state == "warn"
    assert "1 models, 0.0 GB" in check.found
    assert check.found.endswith(", offline")
    assert "vedit models rm" in check.advice


def test_a_look_that_fails_is_a_line(monkeypatch):
    from vedit import weights

    def fail():
        raise OSError("no such luck")

    monkeypatch.setattr(weights, "list_models", fail)
    assert (found()["models"].state, found()["models"].found) == ("fix", "OSError: no such luck")


def test_an_old_library_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor, "requires", lambda name: ["av<1", "torch>=2.6", "ruff ; extra == 'dev'"])
    checks = found()
    assert (checks["av"].state, checks["av"].advice) == ("warn", "vedit was made for av<1")
    assert checks["torch"].state == "ok"


def test_the_command(monkeypatch, capfd):
    import sys

    from vedit.cli import app

    listed = [doctor.Check("one", "ok", "here"), doctor.Check("two", "fix", "gone", "get it")]
    monkeypatch.setattr(doctor, "checks", lambda: iter(listed))
    monkeypatch.setattr(sys, "argv", ["vedit", "doctor"])
    assert app.run() == 1
    lines = capfd.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["ok", "one", "here"], ["fix", "two", "gone;", "get", "it"]]
    monkeypatch.setattr(sys, "argv", ["vedit", "doctor", "--json"])
    monkeypatch.setattr(doctor, "checks", lambda: iter(listed[:1]))
    assert app.run() == 0
    report = json.loads(capfd.readouterr().out)
    assert report == {"schema": 1, "checks": [{"name": "one", "state": "ok", "found": "here", "advice": ""}]}
