"""``vedit train-adapter``: train what the editing commands use. One sub-command a recipe."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vedit.cli import console
from vedit.cli.options import DType, ProgressStyle, parse_settings

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


Clip = Annotated[str, typer.Argument(metavar="CLIP", help="The clip to tune to.", show_default=False)]
Prompt = Annotated[str, typer.Option("--prompt", metavar="TEXT", help="What CLIP shows.", show_default=False)]
Output = Annotated[
    str, typer.Option("-o", "--output", metavar="DIR", help="The folder of the adapter.", show_default=False)
]
Model = Annotated[str, typer.Option("-m", "--model", metavar="BASE", help="A text-to-image model to tune.")]
Count = Annotated[int | None, _own("--steps", min=1, metavar="N", help="Steps of the optimiser.")]
Rate = Annotated[float | None, _own("--learning-rate", min=0, metavar="X", help="Learning rate.")]
Frames = Annotated[int | None, _own("--frames", min=2, metavar="N", help="Frames that a step sees.")]
Stride = Annotated[int | None, _own("--stride", min=1, metavar="N", help="1: every frame; 2: every other; and so on.")]
Size = Annotated[
    int | None,
    typer.Option(
        "--size", min=32, metavar="PIXELS", help="Short side of the pictures. [as in an edit]", show_default=False
    ),
]
Start = Annotated[str | None, typer.Option("--start", metavar="TIME", help="First frame of CLIP to use: 75, 2.5s, ...")]
End = Annotated[str | None, typer.Option("--end", metavar="TIME", help="First frame of CLIP that is not used.")]
Choices = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", metavar="KEY=VALUE", help="A setting of the method's network. Repeatable."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same adapter.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an earlier run in DIR stopped.")]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, max=1024, help="Threads. [all cores]", show_default=False)
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Style = Annotated[ProgressStyle, typer.Option("--progress", help="Progress on standard error.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show the log and tracebacks.")]


@app.command("tcve")
def tcve(
    clip: Clip,
    prompt: Prompt,
    output: Output,
    model: Model = "nano",
    steps: Count = None,
    learning_rate: Rate = None,
    frames: Frames = None,
    stride: Stride = None,
    size: Size = None,
    start: Start = None,
    end: End = None,
    settings: Choices = None,
    seed: Seed = 0,
    resume: Resume = False,
    threads: Threads = None,
    device: Device = "auto",
    progress: Style = ProgressStyle.auto,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train TCVE's temporal U-Net on one clip, for vedit prompt-edit; print the folder of the adapter.

    Settings (-s): spatial frozen|tune-a-video, places decoder|every-stage, downsampling separate|joint, unit
    residual|plain|sum, weight, temporal_unet, temporal_attention, convolution.
    """
    given = {"steps": steps, "rate": learning_rate, "frames": frames, "stride": stride}
    shell = {"quiet": quiet, "verbose": verbose, "style": progress, "threads": threads, "device": device}
    place = {"clip": clip, "prompt": prompt, "output": output, "model": model, "size": size, "start": start, "end": end}
    _one_clip("tcve", settings, given, shell, seed=seed, resume=resume, **place)


@app.command("tune-a-video")
def tune_a_video(
    clip: Clip,
    prompt: Prompt,
    output: Output,
    model: Model = "nano",
    steps: Count = None,
    learning_rate: Rate = None,
    frames: Frames = None,
    stride: Stride = None,
    size: Size = None,
    start: Start = None,
    end: End = None,
    settings: Choices = None,
    seed: Seed = 0,
    resume: Resume = False,
    threads: Threads = None,
    device: Device = "auto",
    progress: Style = ProgressStyle.auto,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Tune an inflated image model to one clip, for vedit prompt-edit; print the folder of the adapter.

    Settings (-s): attention sparse-causal|frame, temporal.
    """
    given = {"steps": steps, "rate": learning_rate, "frames": frames, "stride": stride}
    shell = {"quiet": quiet, "verbose": verbose, "style": progress, "threads": threads, "device": device}
    place = {"clip": clip, "prompt": prompt, "output": output, "model": model, "size": size, "start": start, "end": end}
    _one_clip("tune_a_video", settings, given, shell, seed=seed, resume=resume, **place)


def _one_clip(
    recipe: str, settings: list[str] | None, given: dict[str, Any], shell: dict[str, Any], **options: Any
) -> None:
    """Run a recipe that tunes to one clip. ``given``: its own settings, None where they are not given."""
    console.configure(quiet=shell["quiet"], verbose=shell["verbose"])
    from importlib import import_module

    from vedit.cli.progress import reporter
    from vedit.render import machine

    choices = parse_settings(settings, {})
    train = import_module(f"vedit.training.recipes.{recipe}").train
    style = "none" if shell["quiet"] else shell["style"].value
    with reporter(style, unit="steps") as told, console.results_only():
        told.stage("load")
        begun = False

        def progress(done: int, total: int) -> None:
            nonlocal begun
            if not begun:
                told.stage("train")
                begun = True
            told.frames(done, total)

        made = train(
            **options,
            **{name: value for name, value in given.items() if value is not None},
            choices=choices,
            device=machine.choose_device(shell["device"]),
            threads=shell["threads"] or machine.cores(),
            log=console.detail,
            progress=progress,
        )
    console.result(str(made))
