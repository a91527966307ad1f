"""The role of the image-to-video model in nano's bundle."""

import json
import shutil

from vedit import weights
from vedit.training.recipes.nano_bundle import PICTURES, last_check, write_role
from vedit.training.recipes.nano_image2video import PRESET, SCHEDULER


def test_the_written_role_opens(tmp_path, tiny_models):
    folder = tiny_models.write_bundle(tmp_path / "tiny")
    description = json.loads((folder / "bundle.json").read_text())
    shutil.copytree(folder / "vae", folder / "image2video" / "vae")
    written = write_role(folder, "image2video", SCHEDULER, PRESET, PICTURES)
    assert written == description["roles"]["image2video"] | {"vae": "image2video/vae"}, "it has one of its own"
    description["roles"]["image2video"] = written
    (folder / "bundle.json").write_text(json.dumps(description))
    weights.write_manifest(folder)
    bundle = weights.open_bundle(folder, "image2video", verify=True)
    assert bundle.components["vae"] == folder / "image2video" / "vae"
    assert bundle.preset["fps_offset"] == 0
    assert weights.load_levels(bundle.components["scheduler"]).sigma_max == 80.0


def test_the_last_check_of_a_log(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1, "loss": 2}\n{"step": 1, "first_error": 0.5}\n{"step": 2, "loss": 1}\n')
    assert last_check(log) == {"step": 1, "first_error": 0.5}
    log.write_text('{"step": 1, "loss": 2}\n')
    assert last_check(log) == {}


def test_a_part_is_put_into_a_bundle_that_is_there(tmp_path, tiny_models):
    from vedit.training.recipes.nano_bundle import TRAININGS, assemble

    folder = tiny_models.write_bundle(tmp_path / "tiny")
    description = json.loads((folder / "bundle.json").read_text())
    run = tmp_path / "run"
    (folder / "image2video" / "unet").rename(run.mkdir() or run / "unet")  # as a training leaves it
    shutil.copytree(folder / "vae", run / "vae")
    description["roles"]["image2video"]["vae"] = "image2video/vae"
    (run / "state.json").write_text(
        json.dumps({"identity": {"recipe": "x", "batch": 6, "seed": 1}, "step": 70, "seconds": 125.4})
    )
    (run / "log.jsonl").write_text('{"step": 70, "seconds": 120, "first_error": 0.25, "change": 0.5}\n')
    text = {"clip": {"steps": 5, "seconds": 60, "settings": {}, "figures": {"test_phrasings_right": 0.9}}}
    (folder / TRAININGS).write_text(json.dumps(text))
    before = (folder / "clip" / "model.safetensors").read_bytes()

    assemble(folder, image2video=run)

    assert (folder / "clip" / "model.safetensors").read_bytes() == before
    assert json.loads((folder / "bundle.json").read_text())["roles"] == description["roles"]
    assert weights.open_bundle(folder, "image2video", verify=True).preset["frames"] == PRESET["frames"]
    assert list(json.loads((folder / TRAININGS).read_text())) == ["clip", "image2video"]
    card = (folder / "README.md").read_text()
    assert "| image2video | 70 | 2 min | batch 6, seed 1 |" in card
    assert "first_error 0.25, change 0.5" in card and "90.0%" in card
    assert "`vedit drag-motion`" not in card, "it carries no control"
    assert "snow" in json.loads((folder / "instruct" / "preset.json").read_text())["knows"]

    (run / "state.json").write_text(
        json.dumps({"identity": {"batch": 6, "began": "0" * 64}, "step": 90, "seconds": 60})
    )
    assemble(folder, image2video=run)
    trainings = json.loads((folder / TRAININGS).read_text())
    assert {name: entry["steps"] for name, entry in trainings.items()} == {
        "clip": 5, "image2video, first": 70, "image2video": 90
    }  # fmt: skip
    assert "| image2video, first | 70 |" in (folder / "README.md").read_text()
