"""``vedit train-adapter``: train what the editing commands use. One sub-command a recipe."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vedit.cli import console
from vedit.cli.options import DType

app = typer.Typer(help="Train what the editing commands use.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def main() -> None:
    pass


def _own(*names: str, **more: Any) -> Any:
    """An option whose default is the recipe's own."""
    more["help"] += " [the recipe's own]"
    return typer.Option(*names, show_default=False, **more)


@app.command("instructvid2vid")
def instructvid2vid(
    data: Annotated[
        str,
        typer.Option("--data", metavar="DIR", help="Triplets, as vedit world draw writes them.", show_default=False),
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="DIR", help="The trained model.", show_default=False)
    ],
    model: Annotated[str, typer.Option("-m", "--model", metavar="BASE", help="What to start from.")] = "nano",
    steps: Annotated[int | None, _own("--steps", min=1, metavar="N", help="Steps of the optimiser.")] = None,
    learning_rate: Annotated[float | None, _own("--learning-rate", min=0, metavar="X", help="Peak rate.")] = None,
    batch: Annotated[int | None, _own("--batch", min=1, metavar="N", help="Clips a step.")] = None,
    frames: Annotated[int | None, _own("--frames", min=1, metavar="N", help="Frames of a clip.")] = None,
    size: Annotated[int | None, _own("--size", min=32, metavar="PIXELS", help="Side of the pictures.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same model.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier run in OUT stopped.")] = False,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, max=1024, help="Threads. [all cores]", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    dtype: Annotated[DType, typer.Option("--dtype", help="Of the weights that are written.")] = DType.auto,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show tracebacks.")] = False,
) -> None:
    """Train editing by instruction on triplets of source, instruction and edit; print the folder of the model.

    BASE is a model for vedit instruct; the result is one too.
    """
    console.configure(quiet=quiet, verbose=verbose)
    from vedit.render import machine
    from vedit.training.recipes import instructvid2vid as recipe

    optional = {"steps": steps, "learning_rate": learning_rate, "batch": batch, "frames": frames, "size": size}
    given: dict[str, Any] = {name: value for name, value in optional.items() if value is not None}
    with console.results_only():
        made = recipe.train(
            data=data,
            model=model,
            output=output,
            seed=seed,
            resume=resume,
            device=machine.choose_device(device),
            dtype=dtype.value,
            threads=threads or machine.cores(),
            log=console.note,
            **given,
        )
    console.result(str(made))
