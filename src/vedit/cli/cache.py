"""``vedit cache``: what is kept from run to run, and where."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from vedit.cli import console
from vedit.errors import UsageError

app = typer.Typer(help="Look at and empty the cache.", no_args_is_help=True, rich_markup_mode=None)


@app.command("path")
def path() -> None:
    """Print the folder of the cache. VEDIT_CACHE names another one, VEDIT_CACHE_SIZE its limit, as in 20G."""
    from vedit.cache import default_folder

    console.result(str(default_folder()))


@app.command("list")
def list_entries(json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """List what is kept, used longest ago first: kind, size, days since it was used, what it is."""
    from vedit.cache import Cache

    cache = Cache.default()
    entries = cache.entries()
    if json:
        fields = [
            {"kind": one.kind, "key": one.key, "path": str(one.path), "size": one.size, "used": one.used, **one.about()}
            for one in entries
        ]
        total = sum(one.size for one in entries)
        console.result_json(
            {"schema": 1, "path": str(cache.folder), "limit": cache.limit, "size": total, "entries": fields}
        )
        return
    for one in entries:
        days = (time.time() - one.used) / 86400
        hidden = ("format", "vedit", "card")  # what an adapter says of itself, at length
        told = ", ".join(f"{name} {value}" for name, value in one.about().items() if name not in hidden)
        console.result(f"{one.kind:<14}{one.size / 1e6:>9.1f} MB {days:>6.1f} days  {one.key[:12]}  {told}".rstrip())


@app.command("clear")
def clear(yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False) -> None:
    """Remove all that is kept, and print how much it was. What is needed again is made again."""
    from vedit.cache import Cache

    cache = Cache.default()
    entries = cache.entries()
    if entries and not yes:
        size = sum(one.size for one in entries) / 1e6
        if not console.interactive():
            raise UsageError(f"{cache.folder}: {len(entries)} entries, {size:,.1f} MB; -y removes them without asking")
        if not console.agreed(f"Remove {len(entries)} entries, {size:,.1f} MB, from {cache.folder}?"):
            return
    count, removed = cache.clear()
    console.result(f"{count} entries, {removed / 1e6:,.1f} MB")
