"""``vedit doctor``: whether this machine has what vedit needs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from vedit.cli import console


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show tracebacks.")] = False,
) -> None:
    """Look at Python, libraries, device, memory, codecs and caches; say what is fine and what to do about the rest.

    Every line is ok, warn (it works, with limits) or fix. The exit code is 1 if something has to be fixed. The network
    is not used.
    """
    console.configure(verbose=verbose)
    from vedit.render import doctor as checking

    found = list(checking.checks())
    if json:
        console.result_json({"schema": 1, "checks": [asdict(one) for one in found]})
    else:
        for one in found:
            console.result(f"{one.state:<5}{one.name:<19}{one.found}{f'; {one.advice}' if one.advice else ''}")
    if any(one.state == "fix" for one in found):
        raise typer.Exit(1)
