"""``vedit train-adapter``: train what the editing commands use. One sub-command a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from vedit.cli import console
from vedit.cli.options import DType, ProgressStyle, grouped, parse_settings

app = typer.Typer(help="Train what the editing commands use.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def main() -> None:
    pass


def _own(*names: str, **more: Any) -> Any:
    """An option whose default is the recipe's own."""
    more["help"] += " [the recipe's own]"
    return typer.Option(*names, show_default=False, **more)


@dataclass(frozen=True, kw_only=True)
class Running:
    """Options of all trainings."""

    seed: Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Same seed, same weights.")] = 0
    resume: Annotated[bool, typer.Option("--resume", help="Go on where an earlier run in DIR stopped.")] = False
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, max=1024, help="Threads. [all cores]", show_default=False)
    ] = None
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto"
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")] = False
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say more; show tracebacks.")] = False

    def of_recipe(self) -> dict[str, Any]:
        """What a recipe gets of them."""
        from vedit.render import machine

        return {
            "seed": self.seed,
            "resume": self.resume,
            "threads": self.threads or machine.cores(),
            "device": machine.choose_device(self.device),
        }


Steps = Annotated[int | None, _own("--steps", min=1, metavar="N", help="Steps of the optimiser.")]
PeakRate = Annotated[float | None, _own("--learning-rate", min=0, metavar="X", help="Peak rate, after the warm-up.")]
Batch = Annotated[int | None, _own("--batch", min=1, metavar="N", help="Clips a step.")]
Start = Annotated[
    str | None, typer.Option("--start", metavar="TIME", help="First frame of CLIP to use: 75, 2.5s, ...")
]  # fmt: skip
End = Annotated[str | None, typer.Option("--end", metavar="TIME", help="First frame of CLIP that is not used.")]
Choices = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", metavar="KEY=VALUE", help="A setting of the method's network. Repeatable."),
]
Style = Annotated[ProgressStyle, typer.Option("--progress", help="Progress on standard error.")]


@dataclass(frozen=True, kw_only=True)
class OneClip:
    """Options of the trainings that tune a model to one clip."""

    clip: Annotated[str, typer.Argument(metavar="CLIP", help="The clip to tune to.", show_default=False)]
    prompt: Annotated[str, typer.Option("--prompt", metavar="TEXT", help="What CLIP shows.", show_default=False)]
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="DIR", help="The folder of the adapter.", show_default=False)
    ]
    model: Annotated[str, typer.Option("-m", "--model", metavar="BASE", help="A text-to-image model to tune.")] = "nano"
    steps: Steps = None
    learning_rate: Annotated[float | None, _own("--learning-rate", min=0, metavar="X", help="Learning rate.")] = None
    frames: Annotated[int | None, _own("--frames", min=2, metavar="N", help="Frames that a step sees.")] = None
    stride: Annotated[
        int | None, _own("--stride", min=1, metavar="N", help="1: every frame; 2: every other; and so on.")
    ] = None
    size: Annotated[
        int | None,
        typer.Option(
            "--size", min=32, metavar="PIXELS", help="Short side of the pictures. [as in an edit]", show_default=False
        ),
    ] = None
    start: Start = None
    end: End = None
    stream: Annotated[
        int | None,
        typer.Option(
            "--stream",
            min=0,
            metavar="N",
            show_default=False,
            help="Video stream to tune to, by its number in vedit info. [the first]",
        ),
    ] = None
    fps: Annotated[
        str | None, typer.Option("--fps", metavar="RATE", help="Frames a second of a sequence of images. [25]")
    ] = None
    settings: Choices = None
    progress: Style = ProgressStyle.auto

    def of_recipe(self) -> dict[str, Any]:
        """What a recipe gets of them. Raises ``UsageError`` for a rate that is none."""
        from vedit.render.checks import sequence_rate

        own = {"steps": self.steps, "rate": self.learning_rate, "frames": self.frames, "stride": self.stride}
        as_is = ("clip", "prompt", "output", "model", "size", "start", "end", "stream")
        read = {"rate_of_pictures": sequence_rate(self.fps, self.clip), "warn": console.warn}
        return _given(own) | {name: getattr(self, name) for name in as_is} | read


class Consistency(StrEnum):
    """What the inter-frame consistency loss asks of two frames that follow one another."""

    none = "none"
    literal = "literal"
    matched = "matched"


@app.command("instructvid2vid")
@grouped
def instructvid2vid(
    data: Annotated[
        str,
        typer.Option("--data", metavar="DIR", help="Triplets, as vedit world draw writes them.", show_default=False),
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="DIR", help="The trained model.", show_default=False)
    ],
    model: Annotated[str, typer.Option("-m", "--model", metavar="BASE", help="What to start from.")] = "nano",
    steps: Steps = None,
    learning_rate: PeakRate = None,
    batch: Batch = None,
    frames: Annotated[int | None, _own("--frames", min=1, metavar="N", help="Frames of a clip.")] = None,
    size: Annotated[
        int | None,
        _own(
            "--size",
            min=32,
            metavar="PIXELS",
            help="Side of the squares that are seen, of pictures as an edit sees them.",
        ),
    ] = None,
    consistency: Annotated[
        Consistency,
        typer.Option(
            "--consistency",
            help="Loss between frames: literal (no change), matched (the true change), or none.",
        ),
    ] = Consistency.matched,
    consistency_weight: Annotated[
        float | None, _own("--consistency-weight", min=0, metavar="X", help="Its weight beside the denoising loss.")
    ] = None,
    dtype: Annotated[DType, typer.Option("--dtype", help="Of the weights that are written.")] = DType.auto,
    *,
    running: Running,
) -> None:
    """Train editing by instruction on triplets of source, instruction and edit; print the folder of the model.

    BASE is a model for vedit instruct; the result is one too.
    """
    console.configure(quiet=running.quiet, verbose=running.verbose, when_stopped=_goes_on(output))
    from vedit.render import machine
    from vedit.training.recipes import instructvid2vid as recipe

    own = {"steps": steps, "learning_rate": learning_rate, "batch": batch, "frames": frames, "size": size}
    own |= {"consistency": consistency.value, "consistency_weight": consistency_weight}
    how = running.of_recipe()
    limits = machine.training_memory_errors(how["device"], size)
    with console.results_only(), machine.pinned(how["threads"], how["device"]), limits:
        made = recipe.train(
            data=data,
            model=model,
            output=output,
            dtype=dtype.value,
            log=console.note,
            **how,
            **_given(own),
        )
    console.result(str(made))


@app.command("tcve")
@grouped
def tcve(*, training: OneClip, running: Running) -> None:
    """Train TCVE's temporal U-Net on one clip, for vedit prompt-edit; print the folder of the adapter.

    Settings (-s): spatial frozen|tune-a-video, places decoder|every-stage, downsampling separate|joint, unit
    residual|plain|sum, weight, temporal_unet, temporal_attention, convolution.
    """
    _tuned("tcve", training, running)


@app.command("tune-a-video")
@grouped
def tune_a_video(*, training: OneClip, running: Running) -> None:
    """Tune an inflated image model to one clip, for vedit prompt-edit; print the folder of the adapter.

    Settings (-s): attention sparse-causal|frame, temporal.
    """
    _tuned("tune_a_video", training, running)


@dataclass(frozen=True, kw_only=True)
class Control:
    """Options of the training of ReVideo's control."""

    clips: Annotated[list[str], typer.Argument(metavar="CLIP...", help="Clips to train on.", show_default=False)]
    stage: Annotated[
        int,
        typer.Option(
            "--stage",
            min=1,
            max=3,
            help="1: motion along tracks; 2: apart from the rest's motion; 3: without a seam.",
            show_default=False,
        ),
    ]
    output: Annotated[str, typer.Option("-o", "--output", metavar="DIR", help="The adapter.", show_default=False)]
    before: Annotated[
        str | None,
        typer.Option("--from", metavar="DIR", help="The adapter of the stage before.", show_default=False),
    ] = None
    model: Annotated[str, typer.Option("-m", "--model", metavar="BASE", help="An image-to-video model.")] = "nano"
    steps: Steps = None
    learning_rate: PeakRate = None
    batch: Batch = None
    frames: Annotated[
        int | None,
        typer.Option("--frames", min=2, help="Frames that a step sees. [the model's own]", show_default=False),
    ] = None
    stride: Annotated[int, typer.Option("--stride", min=1, metavar="N", help="1: every frame; 2: every other.")] = 1
    size: Annotated[
        int | None,
        typer.Option(
            "--size", min=32, metavar="PIXELS", help="Side of the pictures. [the model's own]", show_default=False
        ),
    ] = None
    start: Start = None
    end: End = None
    settings: Choices = None
    progress: Style = ProgressStyle.auto

    def of_recipe(self) -> dict[str, Any]:
        """What a recipe gets of them."""
        own = ("clips", "stage", "output", "before", "model", "stride", "size", "start", "end")
        given = {"steps": self.steps, "rate": self.learning_rate, "batch": self.batch, "frames": self.frames}
        return {name: getattr(self, name) for name in own} | _given(given)


@app.command("revideo")
@grouped
def revideo(*, training: Control, running: Running) -> None:
    """Train one stage of ReVideo's control on clips, for vedit drag-motion; print the folder of the adapter.

    Tracks are those of OpenCV's point tracker, where it finds the way back. Settings (-s): fusion safm|no-time|sum,
    tuned temporal|everything (stage 3), scenes stage|ordinary (stage 2).
    """
    _tuned("revideo", training, running)


def _tuned(recipe: str, training: OneClip | Control, running: Running) -> None:
    """Run a recipe that makes an adapter."""
    console.configure(quiet=running.quiet, verbose=running.verbose, when_stopped=_goes_on(training.output))
    from importlib import import_module

    from vedit.cli.progress import reporter
    from vedit.render import machine
    from vedit.training.common import STATE

    choices = parse_settings(training.settings, {})
    train = import_module(f"vedit.training.recipes.{recipe}").train
    style = "none" if running.quiet else training.progress.value
    with reporter(style, unit="steps") as told, console.results_only():
        told.stage("load")
        begun = False

        def progress(done: int, total: int) -> None:
            nonlocal begun
            if not begun:
                told.stage("train", before=done if done > 1 else 0)  # the first report of a resumed one
                begun = True
            told.frames(done, total)

        chosen = training.of_recipe() | running.of_recipe()
        if running.resume and not Path(training.output, "training", STATE).exists():
            console.warn(f"--resume: there is no checkpoint in {training.output} to go on from; begins at step 0")
        limits = machine.training_memory_errors(chosen["device"], chosen["size"])
        with machine.pinned(chosen["threads"], chosen["device"]), limits:
            made = train(**chosen, choices=choices, log=console.detail, progress=progress)
    console.result(str(made))


def _goes_on(output: str) -> str:
    return f"what was trained up to the last checkpoint stays in {output}, and --resume goes on with it"


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Those that were given: the others stay the recipe's own."""
    return {name: value for name, value in options.items() if value is not None}
