"""The chain of trainings that makes nano: what it asks for, and that it goes on."""

import importlib
import subprocess
import sys

import pytest

from vedit.errors import VeditError
from vedit.training.recipes import nano


def test_every_recipe_understands_what_it_is_asked(tmp_path, monkeypatch):
    """Each one's own parser reads the options; what would come after is not begun."""
    import argparse

    class Read(Exception):
        pass

    parse = argparse.ArgumentParser.parse_args

    def read(self, *args):
        raise Read(parse(self, *args))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", read)
    for stage in nano.stages(tmp_path / "runs", tmp_path / "own", 0.01, "cpu"):
        recipe = importlib.import_module(f"{nano.RECIPES}.{stage.recipe}")
        monkeypatch.setattr(sys, "argv", [stage.recipe, *stage.options])
        with pytest.raises(Read):
            recipe.main()


def test_a_share_makes_all_of_it_shorter():
    def counts(share):
        return {
            (stage.folder, option): int(stage.options[stage.options.index(option) + 1])
            for stage in nano.stages(nano.Path("runs"), nano.Path("own"), share, "cpu")
            for option in ("--steps", "--scenes", "--sources", "--clips", "--count")
            if option in stage.options
        }

    whole, trial = counts(1.0), counts(0.001)
    assert whole.keys() == trial.keys() and len(whole) > 12
    assert all(trial[key] < whole[key] for key in whole)
    assert all(trial[key] >= 2 for key in whole)


def test_it_goes_on_after_what_has_ended(tmp_path, monkeypatch):
    ran = []

    def run(command, check):
        ran.append(command[2].rsplit(".", 1)[-1])
        return subprocess.CompletedProcess(command, 1 if ran == ["tokenizer", "vae"] else 0)

    monkeypatch.setattr(nano.subprocess, "run", run)
    with pytest.raises(VeditError, match="vae: ended with code 1"):
        nano.make(tmp_path, tmp_path / "own", 0.5, "cpu")
    nano.make(tmp_path, tmp_path / "own", 0.5, "cpu")
    assert ran[:4] == ["tokenizer", "vae", "vae", "clip"] and ran[-1] == "nano_bundle"
    ended = len(ran)
    nano.make(tmp_path, tmp_path / "own", 0.5, "cpu")
    assert len(ran) == ended
    with pytest.raises(VeditError, match="another command"):
        nano.make(tmp_path, tmp_path / "own", 0.25, "cpu")
