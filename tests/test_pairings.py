"""Every command and method with every checkpoint of the registry: it is planned, or one line says why not and what
would. All of them are in a cache, tiny, with the layout that the registry tells."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from vedit import engines, weights
from vedit.errors import VeditError
from vedit.jobs import EditJob
from vedit.render import plan
from vedit.weights import checkpoints

ROWS = checkpoints.known()
PAIRS = [(command, method) for command, methods in engines.COMMANDS.items() for method in methods]
RECIPES = {"instructvid2vid": "instruct", "tcve": "text2image", "tune-a-video": "text2image", "revideo": "image2video"}
INSTEAD = r"; (take \S+/\S+.*|no public checkpoint of the registry is one for \w+ yet)$"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, tiny_models: Any) -> Path:
    """A cache in which everything was pulled."""
    folder = tmp_path_factory.mktemp("hub")
    made = {
        "instruct": tiny_models.write_diffusers(folder / "made" / "i"),
        "text2image": tiny_models.write_diffusers(folder / "made" / "t", "StableDiffusionPipeline"),
        "image2video": tiny_models.write_image2video(folder / "made" / "v"),
    }
    for row in (row for row in ROWS if row.on_hub):
        home = folder / f"models--{row.id.replace('/', '--')}"
        revision = row.revision or "0" * 40
        snapshot = home / "snapshots" / revision
        if row.roles:
            shutil.copytree(made[row.roles[0]], snapshot)
        else:
            for name in row.files or ("model_index.json", *(f"{part}/config.json" for part in row.parts)):
                file = snapshot / name.replace("*", "any")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps({"_class_name": row.pipeline}))
        (home / "refs").mkdir(parents=True)
        (home / "refs" / "main").write_text(revision)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from vedit.world.clipfile import write_clip

    folder = tmp_path_factory.mktemp("clip")
    frames = np.random.default_rng(0).random((9, 64, 64, 3), np.float32)
    write_clip(folder / "in.mp4", frames, 8)
    cv2.imwrite(str(folder / "first.png"), np.zeros((64, 64, 3), np.uint8))
    return folder / "in.mp4"


def job(command: str, method: str, model: str, clip: Path, out: Path, **more: Any) -> EditJob:
    asked: dict[str, dict[str, Any]] = {
        "instruct": {"prompt": "make it snowy"},
        "prompt-edit": {"source_prompt": "a dog", "prompt": "a cat"},
        "drag-motion": {"region": ("8,8,32,32",), "track": ("16,16 24,24",)},
        "first-frame-edit": {"first_frame": str(clip.with_name("first.png"))},
    }
    about = asked[command]
    if (command, method) == ("first-frame-edit", "revideo"):
        about = about | {"region": ("8,8,32,32",)}
    return EditJob.build(
        command=command, method=method, model=model, input=str(clip), output=str(out), size=64, device="cpu",
        **(about | more),
    )  # fmt: skip


@pytest.mark.parametrize(("command", "method"), PAIRS, ids=lambda word: word)
def test_every_command_with_every_checkpoint(command, method, hub, clip, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(hub))
    planned = []
    for row in ROWS:
        try:
            made = plan(job(command, method, row.id, clip, tmp_path / "out.mp4"))
        except VeditError as error:
            said = str(error)
            assert "\n" not in said
            if engines.ROLES[command] in row.roles:  # it would do, with what it does not bring along
                assert method == "revideo", f"{row.id}: {said}"
                assert "carries no control" in said
                assert "vedit train-adapter revideo" in said
            else:
                assert said.startswith(f"{row.id}: ")
                assert row.why in said
                assert re.search(INSTEAD, said), said
        else:
            assert engines.ROLES[command] in row.roles
            assert made.bundle.name == row.id
            planned.append(row.id)
    suited = checkpoints.with_role(engines.ROLES[command])
    assert planned == ([] if method == "revideo" else suited)


def test_a_control_makes_the_rest_of_a_pairing(hub, clip, tmp_path, monkeypatch):
    from tests.engines.controls import write_control

    monkeypatch.setenv("HF_HUB_CACHE", str(hub))
    model = checkpoints.with_role("image2video")[0]
    control = write_control(weights.open_bundle(model, "image2video").path, tmp_path / "control")
    for command in ("drag-motion", "first-frame-edit"):
        made = plan(job(command, "revideo", model, clip, tmp_path / "out.mp4", adapter=str(control)))
        assert made.bundle.name == model


def test_every_checkpoint_as_the_model_of_an_instruction(hub, clip, tmp_path, monkeypatch):
    """first-frame-edit --instruction, by a second model."""
    monkeypatch.setenv("HF_HUB_CACHE", str(hub))
    model = checkpoints.with_role("image2video")[0]
    for row in ROWS:
        asked = job(
            "first-frame-edit", "anyv2v", model, clip, tmp_path / "out.mp4", first_frame=None, instruction="a cat",
            instruct_model=row.id,
        )  # fmt: skip
        if "instruct" in row.roles:
            assert plan(asked).job.instruct_model == row.id
            continue
        with pytest.raises(VeditError, match=rf"^{re.escape(row.id)}: .*{INSTEAD}"):
            plan(asked)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_training_with_every_checkpoint(recipe, hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(hub))
    for row in ROWS:
        if recipe in row.trains:
            assert weights.open_bundle(row.id, RECIPES[recipe], recipe=recipe).name == row.id
            continue
        with pytest.raises(VeditError, match=rf"^{re.escape(row.id)}: .*{INSTEAD}"):
            weights.open_bundle(row.id, RECIPES[recipe], recipe=recipe)


@pytest.mark.parametrize("here", [True, False], ids=["pulled", "not pulled"])
def test_every_checkpoint_as_a_measure(hub, tmp_path, monkeypatch, here):
    """``vedit evaluate --clip`` and ``--features``: said before anything is looked for."""
    from vedit.weights.clip import open_clip
    from vedit.weights.features import load_features

    monkeypatch.setenv("HF_HUB_CACHE", str(hub if here else tmp_path))
    for row in ROWS:
        with pytest.raises(
            VeditError, match=rf"^{re.escape(row.id)}: is an? .*, not a feature network; give the folder"
        ):
            load_features(row.id)
        # Of the one that would do, nothing but names lies here.
        wanted = rf"^{re.escape(row.id)}: is an? .*, not a CLIP model; take openai/clip-vit-large-patch14$"
        with pytest.raises(VeditError, match=wanted if row.kind != "clip" else None) as caught:
            open_clip(row.id)
        assert row.kind != "clip" or "not a CLIP model; take" not in str(caught.value)
