"""Write docs/contract.md: what goes in and what comes out, over the kinds of files that people have.

python scripts/contract.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]


def main() -> None:
    """Command line."""
    from video import contract  # the tests' own table  # type: ignore[import-not-found]

    lines = []
    for case in contract.CASES:
        with tempfile.TemporaryDirectory() as folder:
            lines.append(contract.run(case, Path(folder)).markdown())
    (ROOT / "docs" / "contract.md").write_text(
        contract.HEAD + "\n".join(lines) + "\n" + contract.TAIL, encoding="utf-8"
    )


if __name__ == "__main__":
    main()
