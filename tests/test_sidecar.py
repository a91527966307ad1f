"""Sidecars: small files beside a result."""

from __future__ import annotations

import json

from vedit.render import sidecar


def test_a_name_that_is_no_utf8_reads_back_as_it_was(tmp_path):
    value = {"source": "b\udce9.mp4", "prompt": "Schnee – ∞"}
    sidecar.write_bytes(str(tmp_path / "s.json"), sidecar.as_json(value))
    text = (tmp_path / "s.json").read_bytes().decode("utf-8")
    assert "Schnee – ∞" in text
    assert json.loads(text) == value
