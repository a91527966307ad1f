"""``vedit models pull`` and ``rm``: the only commands that use the network, or remove a model."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vedit.cli import console
from vedit.cli.options import ProgressStyle
from vedit.errors import UsageError

if TYPE_CHECKING:
    from vedit.weights.hub import Pull

HubId = Annotated[
    str, typer.Argument(metavar="ID", help="OWNER/NAME on the hub (vedit models list).", show_default=False)
]


class Variant(StrEnum):
    """Which weights: auto takes half precision where it is published."""

    auto = "auto"
    full = "full"
    fp16 = "fp16"


def pull(
    model: HubId,
    accept_license: Annotated[
        bool, typer.Option("--accept-license", help="Agree to the licence, which is shown first.")
    ] = False,
    variant: Annotated[
        Variant, typer.Option("--variant", help="Weights: full, fp16, or auto (fp16 where it is published).")
    ] = Variant.auto,
    revision: Annotated[
        str | None,
        typer.Option("--revision", metavar="REV", help="Commit or branch. [registry's, or main]", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be fetched, and fetch nothing.")] = False,
    progress: Annotated[ProgressStyle, typer.Option("--progress", help="Progress on standard error.")] = (
        ProgressStyle.auto
    ),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the folder.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more; show tracebacks.")] = False,
) -> None:  # fmt: skip
    """Fetch the model ID from the Hugging Face hub and print its folder.

    Only the files that vedit needs come, into the cache that other tools use too (HF_HUB_CACHE, HF_HOME), from the hub
    or a mirror (HF_ENDPOINT); every hash is checked. What broke off goes on where it stopped.
    """
    console.configure(quiet=quiet, verbose=verbose, when_stopped="what is here already stays; pull goes on with it")
    from vedit.cli.progress import reporter
    from vedit.weights import checkpoints, hub, stored

    held = stored.whole(model) if hub.is_offline() and revision is None else None
    if held is not None:
        console.note(f"{held.id}, {held.commit[:12]}: all of it is here; $HF_HUB_OFFLINE forbids to look for another")
        _answer(held, json, str(hub.snapshot(held.id, held.commit)))
        return
    found = hub.plan(model, revision=revision, variant=variant.value)
    row = checkpoints.find(model)
    console.note(f"{found.id}, {found.commit[:12]}: {len(found.files)} files, {found.size / 1e6:,.1f} MB")
    console.note(f"Licence: {found.licence}; {found.terms}")
    if row is None:
        console.warn(f"{found.id} is not in vedit's registry; it may be no model that a command can use")
    elif not row.runs:
        console.warn(f"{found.id}: as it is, no command runs it: {row.why}")
    if dry_run:
        _answer(found, json, None)
        return
    hub.check_disk(found)
    if found.missing and not accept_license:
        if not console.interactive():
            raise UsageError(
                f"{found.id}: its licence is {found.licence} ({found.terms}); --accept-license agrees to it"
            )
        if not console.agreed(f"Fetch {found.to_fetch / 1e6:,.1f} MB under these terms?"):
            raise typer.Abort
    with reporter("none" if quiet else progress.value, unit="MB") as told:
        told.stage("pull")
        folder = hub.fetch(found, lambda done, total: told.frames(done // 10**6, total // 10**6))
    _answer(found, json, str(folder))


def remove(
    model: HubId,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
) -> None:
    """Remove the model ID from the cache of the Hugging Face hub, and print how much that freed.

    The cache is shared: other tools lose it too.
    """
    from vedit.weights import stored

    folder = stored.stored(model)
    size = stored.used(folder) / 1e6
    if not yes:
        if not console.interactive():
            raise UsageError(f"{folder}: {size:,.1f} MB; -y removes it without asking")
        if not console.agreed(f"Remove {folder}, {size:,.1f} MB?"):
            return
    console.result(f"{stored.remove(model) / 1e6:,.1f} MB")


def _answer(found: Pull, json: bool, folder: str | None) -> None:
    if json:
        from vedit.weights import checkpoints

        row = checkpoints.find(found.id)
        fields: dict[str, Any] = {
            "schema": 1, "id": found.id, "commit": found.commit, "licence": found.licence, "terms": found.terms,
            "files": [{"name": file.name, "size": file.size, "digest": file.digest} for file in found.files],
            "size": found.size, "path": folder, "runs": row is None or row.runs,
        }  # fmt: skip
        console.result_json(fields)
    elif folder is not None:
        console.result(folder)
    else:
        console.result("\n".join(f"{file.size / 1e6:>10,.1f} MB  {file.name}" for file in found.files))
