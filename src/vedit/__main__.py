"""``python -m vedit`` and the console script ``vedit``."""

from __future__ import annotations


def main() -> int:
    """Run the command line and return its exit code. Signals are taken over before anything slow is imported."""
    from vedit import signals

    signals.catch()
    from vedit.cli.app import run

    code = run()
    if signals.stopping():
        signals.leave(code)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
