"""The paths of an SVG drawing as points (numpy and the standard library only).

``path``, ``line``, ``polyline`` and ``polygon`` are read, with the transforms of their groups. User units are pixels of
the picture, or the ``viewBox`` is laid over it where that has another size. A path becomes points at even distances
along it, so that what follows it moves at an even speed.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

import numpy as np

from vedit.errors import InputError

POINTS = 64  # of a path
_FAR = 1e9  # units that no drawing has
_STEPS = 24  # straight pieces of a curve
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_ITEM = re.compile(r"\s*,?\s*(" + _NUMBER.pattern + r")")
_TOKEN = re.compile(r"([MmLlHhVvCcSsQqTtAaZz])|(" + _NUMBER.pattern + r")|([\s,]+)|(.)", re.DOTALL)
_COUNT = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
_CALL = re.compile(r"\s*,?\s*(\w+)\s*\(([^)]*)\)")


def paths(name: str, text: str, width: int, height: int) -> list[tuple[str, np.ndarray]]:
    """What each path is called (``:LINE``) and its points (K, 2) float64, for a picture of ``width``×``height`` pixels.

    Raises ``InputError`` that names the file and the line.
    """
    found: list[tuple[str, np.ndarray]] = []
    stack = [np.eye(3)]
    parser = expat.ParserCreate()
    begun: list[str] = []
    hidden: list[str] = []  # elements that are not shown, and what is in them

    def start(tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        where = f"{name}:{parser.CurrentLineNumber}"
        if not begun:
            if tag != "svg":
                raise InputError(f"{where}: begins with <{tag}>, so it is not an SVG drawing")
            stack[0] = _view(where, attributes, width, height)
        begun.append(tag)
        style = _style(attributes.get("style", ""))
        apart = tag in ("defs", "clipPath", "mask", "symbol", "marker")
        if hidden or apart or style.get("display", attributes.get("display", "").strip()) == "none":
            hidden.append(tag)
            stack.append(stack[-1])
            return
        if tag == "svg" and len(begun) > 1:
            raise InputError(f"{where}: a drawing inside the drawing cannot be read; ungroup it")
        if style.get("transform", "none") != "none":
            raise InputError(f"{where}: a transform in the style cannot be read; apply it in the drawing")
        matrix = stack[-1] @ _transform(where, attributes.get("transform", ""))
        stack.append(matrix)
        if style.get("visibility", attributes.get("visibility", "").strip()) in ("hidden", "collapse"):
            return
        points = _points(where, tag, attributes)
        if points is not None:
            placed = points @ matrix[:2, :2].T + matrix[:2, 2]
            found.append((f":{parser.CurrentLineNumber}: the {tag}", _evenly(placed)))

    def end(tag: str) -> None:
        begun.pop()
        stack.pop()
        if hidden:
            hidden.pop()
        if not begun:
            begun.append("")  # no second root

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        reason = expat.errors.messages[error.code]
        raise InputError(f"{name}:{error.lineno}: not SVG ({reason}); save the drawing again") from None
    if not found:
        raise InputError(f"{name}: holds no path; draw each track as one")
    return found


def _style(text: str) -> dict[str, str]:
    """The properties of a ``style`` attribute."""
    pairs = (part.partition(":") for part in text.split(";"))
    return {key.strip(): value.partition("!")[0].strip() for key, _, value in pairs}


def _listed(where: str, what: str, text: str) -> list[float]:
    """The numbers of a list such as ``10,20 30-40``, and nothing else."""
    texts, at = [], 0
    while at < len(text):
        if found := _ITEM.match(text, at):
            texts.append(found[1])
            at = found.end()
        elif text[at:].strip():
            raise InputError(
                f"{where}: {what} {text[:40]!r} cannot be read at {text[at:].strip()[:20]!r}; give numbers"
            )
        else:
            break
    return _numbers(where, texts)


def _numbers(where: str, texts: list[str]) -> list[float]:
    """Numbers as they stand there, none of them larger than what can be drawn."""
    numbers = [float(text) for text in texts]
    for text, number in zip(texts, numbers, strict=True):
        if not abs(number) < _FAR:
            raise InputError(f"{where}: the number {text[:20]} is larger than any picture")
    return numbers


def _view(where: str, attributes: dict[str, str], width: int, height: int) -> np.ndarray:
    """(3, 3): from the drawing's units to pixels of the picture. A drawing that says neither a viewBox nor a size in
    plain numbers is in pixels."""
    if "viewBox" in attributes:
        box = _listed(where, "the viewBox", attributes["viewBox"])
    else:
        sides = [_NUMBER.fullmatch(attributes.get(side, "").strip().removesuffix("px")) for side in ("width", "height")]
        if None in sides:
            return np.eye(3)
        box = [0.0, 0.0, *_numbers(where, [side[0] for side in sides if side is not None])]
        attributes = {"viewBox": " ".join(f"{value:g}" for value in box)}
    if len(box) != 4 or box[2] <= 0 or box[3] <= 0:
        raise InputError(f"{where}: viewBox={attributes['viewBox']!r} is not four numbers, x y width height")
    scale = width / box[2]
    if abs(scale * box[3] - height) > max(1.0, 0.01 * height):
        raise InputError(
            f"{where}: the drawing is {box[2]:g}×{box[3]:g}, which is not the shape of the picture, {width}×{height}; "
            "draw over a frame of the clip"
        )
    return np.array([[scale, 0, -box[0] * scale], [0, scale, -box[1] * scale], [0, 0, 1]])


def _transform(where: str, text: str) -> np.ndarray:
    """(3, 3) of a ``transform`` attribute."""
    matrix, at = np.eye(3), 0
    while text[at:].strip():
        call = _CALL.match(text, at)
        if call is None:
            raise InputError(f"{where}: transform={text!r} cannot be read")
        at = call.end()
        matrix = matrix @ _one_transform(where, call[1], _listed(where, f"the transform {call[1]}", call[2]))
    return matrix


def _one_transform(where: str, kind: str, n: list[float]) -> np.ndarray:
    if kind == "translate" and len(n) in (1, 2):
        return np.array([[1, 0, n[0]], [0, 1, n[1] if len(n) == 2 else 0], [0, 0, 1]])
    if kind == "scale" and len(n) in (1, 2):
        return np.diag([n[0], n[-1], 1.0])
    if kind == "rotate" and len(n) in (1, 3):
        c, s = math.cos(math.radians(n[0])), math.sin(math.radians(n[0]))
        x, y = n[1:] or (0.0, 0.0)
        return np.array([[c, -s, x - c * x + s * y], [s, c, y - s * x - c * y], [0, 0, 1]])
    if kind == "matrix" and len(n) == 6:
        return np.array([[n[0], n[2], n[4]], [n[1], n[3], n[5]], [0, 0, 1]])
    raise InputError(f"{where}: the transform {kind} with {len(n)} numbers cannot be read; apply it in the drawing")


def _points(where: str, tag: str, attributes: dict[str, str]) -> np.ndarray | None:
    """(K, 2) of an element in its own units; None for one that is no path."""
    if tag == "path":
        return np.array(list(_walk(where, attributes.get("d", ""))), np.float64)
    if tag == "line":
        numbers = [_NUMBER.fullmatch(attributes.get(key, "0").strip()) for key in ("x1", "y1", "x2", "y2")]
        if not all(numbers):
            raise InputError(f"{where}: x1, y1, x2 and y2 of the line are not all numbers without a unit")
        return np.array(_numbers(where, [number[0] for number in numbers if number])).reshape(2, 2)
    if tag in ("polyline", "polygon"):
        numbers = _listed(where, f"the points of the {tag}", attributes.get("points", ""))
        if len(numbers) < 2 or len(numbers) % 2:
            raise InputError(f"{where}: the points of the {tag} are {len(numbers)} numbers, which are no pairs")
        pairs = np.array(numbers).reshape(-1, 2)
        return np.concatenate([pairs, pairs[:1]]) if tag == "polygon" else pairs
    return None


def _commands(where: str, text: str) -> Iterator[tuple[str, list[float]]]:
    """(letter, its numbers) of path data; what is repeated without a letter gets one of its own."""
    letter, numbers = "", []
    for kind, found in _tokens(text):
        if kind == "other":
            raise InputError(f"{where}: the path cannot be read at {found!r} ({text[:40]!r})")
        if kind == "letter":
            yield from _split(where, letter, numbers)
            letter, numbers = found, []
        elif not letter:
            raise InputError(f"{where}: the path begins with {found!r}; it should begin with M")
        else:
            numbers += _numbers(where, [found])
    yield from _split(where, letter, numbers)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """("letter", "number" or "other", its text). The flags of an arc are single digits, often without a gap after."""
    at, letter, count = 0, "", 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None  # its last way is any character
        if letter in ("A", "a") and count % 7 in (3, 4) and text[at] in "01":
            at, count = at + 1, count + 1
            yield "number", text[at - 1]
            continue
        at = match.end()
        if match[1]:
            letter, count = match[1], 0
            yield "letter", letter
        elif match[2]:
            count += 1
            yield "number", match[2]
        elif match[4]:
            yield "other", match[4]


def _split(where: str, letter: str, numbers: list[float]) -> Iterator[tuple[str, list[float]]]:
    if not letter:
        return
    each = _COUNT[letter.upper()]
    if (each == 0) != (not numbers) or (each and len(numbers) % each):
        raise InputError(f"{where}: {letter} of the path has {len(numbers)} numbers; it takes {each} at a time")
    if each == 0:
        yield letter, []
    for start in range(0, len(numbers), each or 1):
        yield letter, numbers[start : start + each]
        letter = {"M": "L", "m": "l"}.get(letter, letter)


def _walk(where: str, text: str) -> Iterator[tuple[float, float]]:
    """The corners of a path, curves as short straight pieces. Points are complex numbers, x + iy."""
    here = begin = last = 0j
    kind_before = ""
    first = True
    for letter, n in _commands(where, text):
        kind, origin = letter.upper(), here if letter.islower() else 0j
        if first and kind != "M":
            raise InputError(f"{where}: the path begins with {letter}; it should begin with M")
        if not first and kind == "M":
            raise InputError(f"{where}: the path has several parts; make each of them a path of its own")
        first = False
        if kind == "Z":
            target, pieces = begin, [begin]
        elif kind in "HV":
            x, y = (n[0] + origin.real, here.imag) if kind == "H" else (here.real, n[0] + origin.imag)
            target = complex(x, y)
            pieces = [target]
        elif kind == "A":
            target = complex(n[5], n[6]) + origin
            pieces = _arc(here, target, n)
        else:
            knots = [complex(n[i], n[i + 1]) + origin for i in range(0, len(n), 2)]
            if kind in "ST":
                smooth = kind_before in ("CS" if kind == "S" else "QT")
                knots.insert(0, 2 * here - last if smooth and kind_before else here)
            target = knots[-1]
            last = knots[-2] if len(knots) > 1 else target
            pieces = [target] if kind in "ML" else _bezier([here, *knots])
        if kind == "M":
            begin = target
        yield from ((point.real, point.imag) for point in pieces)
        here, kind_before = target, kind
    if first:
        raise InputError(f"{where}: the path is empty")


def _bezier(knots: list[complex]) -> list[complex]:
    """De Casteljau's algorithm; the first knot itself is left out."""
    t = np.arange(1, _STEPS + 1) / _STEPS
    level: list[Any] = list(knots)
    while len(level) > 1:
        level = [a + (b - a) * t for a, b in itertools.pairwise(level)]
    return [complex(point) for point in level[0]]


def _arc(here: complex, target: complex, n: list[float]) -> list[complex]:
    """An elliptical arc by its centre (SVG 1.1, appendix F.6.5)."""
    rx, ry, turned = abs(n[0]), abs(n[1]), complex(math.cos(math.radians(n[2])), math.sin(math.radians(n[2])))
    if here == target or not rx or not ry:
        return [target]
    half = (here - target) / 2 / turned
    x, y = half.real / rx, half.imag / ry
    if not x * x + y * y:  # next to radii without end there is no curve to see
        return [target]
    grow = math.sqrt(max(1.0, x * x + y * y))
    rx, ry, x, y = rx * grow, ry * grow, x / grow, y / grow
    off = math.sqrt(max(0.0, 1 / (x * x + y * y) - 1)) * (-1 if bool(n[3]) == bool(n[4]) else 1)
    cx, cy = off * y, -off * x
    begin, end = math.atan2(y - cy, x - cx), math.atan2(-y - cy, -x - cx)
    sweep = (end - begin) % (2 * math.pi) if n[4] else -((begin - end) % (2 * math.pi))
    middle = (here + target) / 2
    angles = begin + sweep * np.arange(1, _STEPS + 1) / _STEPS
    return [middle + turned * complex(rx * (cx + math.cos(a)), ry * (cy + math.sin(a))) for a in angles]


def _evenly(points: np.ndarray) -> np.ndarray:
    """At most :data:`POINTS` points at even distances along a polygon; one that has no length stays as it is."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    if along[-1] == 0:
        return points[:1] if len(points) else points.reshape(0, 2)
    where = np.linspace(0, along[-1], POINTS)
    return np.stack([np.interp(where, along, points[:, axis]) for axis in (0, 1)], 1)
