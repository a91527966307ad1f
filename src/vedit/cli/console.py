"""The only place that prints.

Results go to standard output and nothing else does; warnings, errors and progress go to standard error. An error is one
line, ``vedit: error: …``, and the exit code of its class in :mod:`vedit.errors`; ``-v`` adds the traceback.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import typer

from vedit.errors import ResourceError, VeditError
from vedit.signals import Stopped

NOTHING_LEFT = "nothing was left behind"

_quiet = False
_verbose = False
_when_stopped = ""


def configure(*, quiet: bool = False, verbose: bool = False, when_stopped: str = "") -> None:
    """Set what is said on standard error: ``quiet`` leaves errors only, ``verbose`` adds details and tracebacks,
    ``when_stopped`` says what becomes of the work that a signal cuts off."""
    global _quiet, _verbose, _when_stopped
    _quiet, _verbose, _when_stopped = quiet, verbose, when_stopped


def result(text: str) -> None:
    """What the command was asked for, on standard output; characters that it cannot take are escaped."""
    encoding = sys.stdout.encoding or "ascii"
    if not _sayable(text, sys.stdout.errors or "strict"):
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    print(text, flush=True)


def result_json(value: Any) -> None:
    """The same as one line of JSON, whose own escapes stand for what standard output cannot take."""
    text = json.dumps(value, ensure_ascii=False)
    result(text if _sayable(text) else json.dumps(value))


def _sayable(text: str, errors: str = "strict") -> bool:
    try:  # a file's name need not be UTF-8, and standard output need not be either
        text.encode(sys.stdout.encoding or "ascii", errors)
    except UnicodeEncodeError:
        return False
    return True


@contextlib.contextmanager
def results_only() -> Iterator[None]:
    """While the block runs, what libraries and recipes print goes to standard error, or nowhere when ``quiet``."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere if _quiet else sys.stderr):
        yield


def warn(message: str) -> None:
    """Something that the person should know although the command goes on."""
    if not _quiet:
        _say(f"vedit: warning: {_one_line(message)}")


def interactive() -> bool:
    """Whether somebody can answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def agreed(question: str) -> bool:
    """Ask on standard error; no is what an empty answer means."""
    return typer.confirm(question, default=False, err=True)


def note(message: str) -> None:
    """How a long command comes along, where there is no bar."""
    if not _quiet:
        _say(str(message))


def detail(message: str) -> None:
    """Something for ``-v``."""
    if _verbose:
        _say(f"vedit: {message}")


def error(message: str) -> None:
    """Why the command failed, in one line."""
    _say(f"vedit: error: {_one_line(message)}")


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody listens; the exit code still tells
        print(line, file=sys.stderr, flush=True)


def run(command: Callable[..., Any]) -> int:
    """Run a command line and return its exit code. Nothing escapes from here."""
    configure()
    try:
        code = command(prog_name="vedit", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except Stopped as stop:
        error(f"{stop}; {_when_stopped}" if _when_stopped else str(stop))
        return _traced(stop.exit_code)
    except VeditError as failure:
        error(str(failure))
        return _traced(failure.exit_code)
    except typer.TyperException as misuse:
        return _usage(misuse)
    except typer.Abort:
        error("stopped")
        return 1
    except BrokenPipeError:
        # Whoever read our result has gone. Python would complain once more at exit when it flushes.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 1
    except OSError as failure:
        error(_system(failure))
        return _traced(ResourceError.exit_code if failure.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else 1)
    except Exception as failure:
        error(f"{type(failure).__name__}: {failure}; this is a bug: please report it with the output of -v")
        return _traced(1)


def _usage(misuse: typer.TyperException) -> int:
    message = misuse.format_message()
    if "\n" in message.strip():  # a group called without a command: the message is its help
        _say(message)
        return misuse.exit_code
    context = getattr(misuse, "ctx", None)
    where = f" (see {context.command_path} --help)" if context is not None else ""
    error(message.rstrip(".") + _found(misuse) + where)
    return misuse.exit_code


def _found(misuse: typer.TyperException) -> str:
    """What was given instead of a number within its bounds, which typer's own message leaves out."""
    from pydantic import ValidationError

    cause = misuse.__cause__
    return f", found {cause.errors()[0]['input']!r}" if isinstance(cause, ValidationError) else ""


def _system(failure: OSError) -> str:
    """An error of the operating system that nobody foresaw more precisely: a full disk, a folder without permission."""
    what = failure.strerror or str(failure)
    where = f"{failure.filename}: " if failure.filename else ""
    return f"{where}{what[:1].lower()}{what[1:]}; check the disk and the permissions"


def _traced(code: int) -> int:
    if _verbose:
        _say(traceback.format_exc().rstrip())
    return code
