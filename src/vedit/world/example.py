"""Draw the sample clip of the README: ``python -m vedit.world.example examples/meadow.mp4``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from vedit.world.clipfile import melody, write_clip
from vedit.world.scene import Scene, draw_scene, render

FPS = 16


def example_scene() -> Scene:
    """A red ball and a yellow star over a meadow with trees, three seconds long."""
    scene = draw_scene(2024, 320, 480, frames=48, place="meadow", things=2)
    ball, star = scene.things
    ball = replace(ball, shape="ball", colour="red", size=0.13, start=(0.75, 0.66), velocity=(0.014, -0.001), spin=0.0)
    star = replace(
        star, shape="star", colour="yellow", size=0.09, start=(0.6, 0.3), velocity=(-0.006, 0.004), spin=0.06
    )
    return replace(scene, things=(ball, star), pan=(0.002, 0.0), zoom=0.0, shake=0.0, noise=0.006)


def main(path: str) -> None:
    """Write the clip, with sound, to ``path``."""
    frames = render(example_scene()).frames
    write_clip(Path(path), frames, FPS, crf=20, sound=melody(2024, len(frames) / FPS))


if __name__ == "__main__":
    main(sys.argv[1])
