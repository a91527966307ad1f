"""The role of the image-to-video model in nano's bundle."""

import json

from vedit import weights
from vedit.training.recipes.nano_bundle import PICTURES, last_check, write_role
from vedit.training.recipes.nano_image2video import PRESET, SCHEDULER


def test_the_written_role_opens(tmp_path, tiny_models):
    folder = tiny_models.write_bundle(tmp_path / "tiny")
    description = json.loads((folder / "bundle.json").read_text())
    written = write_role(folder, "image2video", SCHEDULER, PRESET, PICTURES)
    assert written == description["roles"]["image2video"]
    weights.write_manifest(folder)
    bundle = weights.open_bundle(folder, "image2video", verify=True)
    assert bundle.preset["fps_offset"] == 0
    assert weights.load_levels(bundle.components["scheduler"]).sigma_max == 80.0


def test_the_last_check_of_a_log(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1, "loss": 2}\n{"step": 1, "first_error": 0.5}\n{"step": 2, "loss": 1}\n')
    assert last_check(log) == {"step": 1, "first_error": 0.5}
    log.write_text('{"step": 1, "loss": 2}\n')
    assert last_check(log) == {}
