"""``python -m vedit`` and the console script ``vedit``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit code. Signals are taken over before anything slow is imported."""
    from vedit import signals

    signals.catch()
    try:
        from vedit.cli.app import run

        code = run()
    except signals.Stopped as stop:  # before the command line could take care of it
        sys.stderr.write(f"vedit: error: {stop}\n")
        code = stop.exit_code
    if signals.stopping():
        signals.leave(code)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
