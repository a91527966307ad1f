"""What the machine cannot do is one line, before anything is loaded or when it turns up."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from vedit.errors import ResourceError
from vedit.render import machine


def test_a_compiler_that_is_missing(monkeypatch):
    from torch._inductor import cpp_builder, exc

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", lambda: "gcc")
    machine.check_compiler("cpu")

    def none() -> str:
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    with pytest.raises(ResourceError, match=r"^--compile: not on cpu: there is no C\+\+ compiler; leave it out$"):
        machine.check_compiler("cpu")
    with pytest.raises(ResourceError, match=r"^--compile: not on mps: .*; leave it out$"):
        machine.check_compiler("mps")


def test_what_cannot_be_compiled_is_one_line_and_does_not_run():
    from vedit.nets import placing

    class Broken(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> Any:
            torch._dynamo.graph_break()
            return super().forward(x)

    network = placing.place(Broken(2, 2), "cpu", compiled=True)
    said = "^--compile: torch cannot compile this network .*; leave it out$"
    with pytest.raises(ResourceError, match=said) as caught, machine.compile_errors():
        network(torch.ones(1, 2))
    assert "\n" not in str(caught.value)


def test_other_errors_stay_what_they_are():
    with pytest.raises(KeyError), machine.compile_errors():
        raise KeyError("sigma")
