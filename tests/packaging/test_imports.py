"""Imports go downward only, so that each part can be understood, tested and replaced without the ones above it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"

# What each part of vedit may import of vedit, itself aside. A part that is missing here fails the test.
BASE = {"", "errors", "signals", "x264"}
BELOW_ENGINES = {"cache", "diffusion", "nets", "weights", "jobs"} | BASE
ALLOWED = {
    "errors": set(),
    "signals": {""},
    "x264": set(),
    "jobs": BASE,
    "cache": BASE,
    "diffusion": BASE,
    "nets": {"diffusion"} | BASE,
    "weights": BELOW_ENGINES,
    "video": BASE,
    "world": BASE,
    "engines": BELOW_ENGINES,
    "metrics": {"engines", "video", "world"} | BELOW_ENGINES,
    "training": {"engines", "metrics", "video", "world"} | BELOW_ENGINES,
    "render": {"engines", "metrics", "video"} | BELOW_ENGINES,
    "cli": {"render", "training", "metrics", "engines", "video", "world"} | BELOW_ENGINES,
    "__main__": {"cli"} | BASE,
    "": set(),  # vedit/__init__.py
}
# The libraries a part may use, beside the standard one. Parts that are not named here may use all.
LIBRARIES = {
    "": set(),
    "errors": set(),
    "signals": set(),
    "x264": {"cv2"},
    "jobs": {"pydantic"},
    "video": {"av", "cv2", "numpy"},
    "world": {"av", "cv2", "numpy"},  # av to write clips, in world/clipfile.py alone
    "cli": {"rich", "typer", "pydantic"},
}
MODULES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = list(path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """``vedit.video.reader`` is of the part ``video``; ``vedit`` itself is the part ``""``."""
    return module.split(".")[1] if "." in module else ""


KNOWN = {name_of(path) for path in MODULES}


def imports(path: Path) -> Iterator[str]:
    """Every module that ``path`` imports, anywhere in it: at the top, in functions, for type checkers, by name."""
    package = name_of(path) if path.name == "__init__.py" else name_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                upper = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*upper, base] if base else upper)
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in KNOWN else base
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "import_module",
            "__import__",
        ):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value


def test_the_checker_sees_every_kind_of_import(tmp_path, monkeypatch):
    source = tmp_path / "vedit" / "engines"
    source.mkdir(parents=True)
    (source / "one.py").write_text(
        "import vedit.world\n"
        "from . import two\n"
        "from ..video import reader\n"
        "def f():\n    from vedit import training\n    importlib.import_module('vedit.world.scene')\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "KNOWN", {"vedit.engines.two", "vedit.video.reader", "vedit.training"})
    assert set(imports(source / "one.py")) == {
        "vedit.world",
        "vedit.engines.two",
        "vedit.video.reader",
        "vedit.training",
        "vedit.world.scene",
    }


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_downward(path):
    part = part_of(name_of(path))
    assert part in ALLOWED, f"vedit.{part} has no place in the order of the imports yet"
    upward = [
        name
        for name in imports(path)
        if name.split(".")[0] == "vedit" and part_of(name) != part and part_of(name) not in ALLOWED[part]
    ]
    assert not upward, f"{name_of(path)} may not import {', '.join(upward)}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_parts_use_only_their_libraries(path):
    allowed = LIBRARIES.get(part_of(name_of(path)))
    if allowed is None:
        return
    used = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names) - {"vedit"}
    assert used <= allowed, f"{name_of(path)} may not use {', '.join(sorted(used - allowed))}"


def test_engines_do_not_import_one_another():
    engines = {name for name in KNOWN if name.startswith("vedit.engines.")}
    names = ("base", "image2video", "instruct", "model", "one_shot", "prompt", "regions", "shared", "trajectories")
    shared = {"vedit.engines", *(f"vedit.engines.{name}" for name in names)}
    for path in MODULES:
        name = name_of(path)
        if name in engines and name not in shared:
            others = {other for other in imports(path) if other in engines} - shared - {name}
            assert not others, f"{name} may not import {', '.join(sorted(others))}"


def test_engines_cannot_reach_the_world():
    """The edit comes from the diffusion model alone: no chain of imports leads from an engine to exact operations."""
    graph = {name_of(path): {name for name in imports(path) if name in KNOWN} for path in MODULES}
    todo = [name for name in KNOWN if part_of(name) == "engines"]
    reached: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo.extend(graph.get(name, ()))
    assert {part_of(name) for name in reached}.isdisjoint({"world", "training", "video", "render", "cli"})
