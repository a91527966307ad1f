"""``vedit info``: what is in a file."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vedit.cli import console


def info(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A video.", show_default=False)],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show tracebacks.")] = False,
) -> None:
    """Show what FILE holds, as vedit will see it: size as displayed, frame times, colour, streams."""
    console.configure(verbose=verbose)
    from vedit.video.info import probe

    found = probe(file).to_dict()
    if json:
        console.result_json({"schema": 1, **found})
    else:
        console.result(_text(found))


def _text(found: dict[str, Any]) -> str:
    """For people: what is usual is left out."""
    frames = f"{found['frames']}" if found["frames_declared"] else f"about {found['frames']}"
    duration = "unknown" if found["duration"] is None else f"{found['duration']:.3f} s"
    color = [found[key] for key in ("color_primaries", "color_transfer", "color_matrix", "color_range")]
    rows = [
        ("file", found["path"]),
        ("container", found["container"]),
        ("video", f"{found['codec']}, {found['pix_fmt']}, {found['bits']} bits"),
        ("size", f"{found['width']}×{found['height']}"),
        ("rotation", f"{found['rotation']}°{', mirrored' if found['mirrored'] else ''}" if found["rotation"] else ""),
        ("pixels", found["sample_aspect_ratio"] if found["sample_aspect_ratio"] not in (None, "1:1") else ""),
        ("frames", frames),
        ("rate", f"{found['fps']:.6g} frames/s ({found['rate']})"),
        ("duration", duration),
        ("color", ", ".join(name or "untagged" for name in color) if any(color) else "untagged"),
        *((stream["kind"], _stream(stream)) for stream in found["streams"]),
        ("chapters", str(len(found["chapters"])) if found["chapters"] else ""),
        ("notes", ", ".join(name for name in ("interlaced", "alpha", "truncated") if found[name])),
        *(("warning", warning) for warning in found["warnings"]),
    ]
    return "\n".join(f"{name:<10}{value}" for name, value in rows if value)


def _stream(stream: dict[str, Any]) -> str:
    parts = [f"#{stream['index']}", stream["codec"], stream["language"], stream["title"], *stream["dispositions"]]
    return " ".join(part for part in parts if part)
