import json

import pytest

from vedit import weights
from vedit.errors import ModelError


def change(file, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_what_a_bundle_says(tiny):
    bundle = weights.open_bundle("tiny", "instruct", verify=True)
    assert (bundle.name, bundle.path) == ("tiny", tiny)
    assert set(bundle.components) == {"vae", "clip", "tokenizer", "unet", "scheduler"}
    assert bundle.components["unet"] == tiny / "instruct" / "unet"
    assert bundle.preset["steps"] == 4
    assert bundle.preset["max_frames"] == 8


def test_the_hash_is_of_the_content(tiny):
    before = weights.open_bundle(tiny).sha256
    assert len(before) == 64
    assert weights.open_bundle(tiny).sha256 == before
    change(tiny / "instruct" / "preset.json", steps=5)
    weights.write_manifest(tiny)
    assert weights.open_bundle(tiny).sha256 != before


def test_a_missing_file_is_named(tiny):
    (tiny / "vae" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"vae/config\.json: missing, the manifest names it"):
        weights.open_bundle(tiny)


def test_an_extra_file_is_named(tiny):
    (tiny / "vae" / "more.txt").touch()
    (tiny / ".hidden").touch()
    with pytest.raises(ModelError, match=r"more\.txt: not named by the manifest"):
        weights.open_bundle(tiny)


def test_what_a_training_left_is_no_part_of_the_model(tiny):
    before = weights.open_bundle(tiny).sha256
    (tiny / "training" / "latents").mkdir(parents=True)
    (tiny / "training" / "latents" / "source.npy").write_bytes(b"many")
    (tiny / "training" / "log.jsonl").touch()
    assert weights.open_bundle(tiny, verify=True).sha256 == before
    weights.write_manifest(tiny)
    assert weights.open_bundle(tiny, verify=True).sha256 == before
    (tiny / "vae" / "training").touch()
    with pytest.raises(ModelError, match="vae/training: not named by the manifest"):
        weights.open_bundle(tiny)


def test_a_file_of_another_size_is_named(tiny):
    (tiny / "vae" / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"vae/config\.json: changed, has 2 bytes"):
        weights.open_bundle(tiny)


def test_a_changed_byte_is_found_when_asked_for(tiny):
    file = tiny / "instruct" / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    weights.open_bundle(tiny)
    with pytest.raises(ModelError, match=r"unet/diffusion_pytorch_model\.safetensors: changed, its sha256"):
        weights.open_bundle(tiny, verify=True)


def test_a_missing_or_odd_manifest(tiny):
    change(tiny / "manifest.json", files=[1])
    with pytest.raises(ModelError, match=r"manifest\.json: not a list"):
        weights.open_bundle(tiny)
    (tiny / "manifest.json").unlink()
    with pytest.raises(ModelError, match=r"manifest\.json: missing"):
        weights.open_bundle(tiny)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schema": 2}, "update vedit"),
        ({"roles": {"other": {}}}, "has no instruct model; it has other"),
        ({"roles": {"instruct": {"vae": "../vae"}}}, "outside"),
        ({"roles": {"instruct": {"vae": "vae"}}}, "lacks clip, tokenizer, unet, scheduler"),
    ],
)
def test_odd_descriptions(tiny, values, message):
    change(tiny / "bundle.json", **values)
    weights.write_manifest(tiny)
    with pytest.raises(ModelError, match=message):
        weights.open_bundle(tiny)


def test_unknown_role_and_a_folder_that_is_no_model(tiny, tmp_path):
    with pytest.raises(ModelError, match="has no paint"):
        weights.open_bundle(tiny, "paint")
    with pytest.raises(ModelError, match="not a model folder"):
        weights.open_bundle(tmp_path)


def test_a_diffusers_folder(models, tiny_models):
    folder = tiny_models.write_diffusers(models / "pix2pix")
    bundle = weights.open_bundle("pix2pix")
    assert bundle.components["clip"] == folder / "text_encoder"
    assert (bundle.preset["guidance"], bundle.preset["max_frames"]) == (7.5, 32)
    assert len(bundle.sha256) == 64
    index = json.loads((folder / "model_index.json").read_text())
    del index["unet"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="has no unet"):
        weights.open_bundle("pix2pix")


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_folder_without_its_weights_is_told_before_anything_is_planned(models, tiny_models, part):
    """As a download leaves it that broke off: configurations come first."""
    folder = tiny_models.write_diffusers(models / "pix2pix") / part
    stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
    whole = folder / f"{stem}.safetensors"
    content = whole.read_bytes()
    whole.unlink()
    with pytest.raises(ModelError, match=rf"{part}/{stem}.safetensors: missing"):
        weights.open_bundle("pix2pix")
    names = [f"{stem}-0000{n}-of-00002.safetensors" for n in (1, 2)]
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": names[0], "b": names[1]}}))
    (folder / names[0]).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{names[1]}: missing"):
        weights.open_bundle("pix2pix")
    (folder / names[1]).write_bytes(content)
    weights.open_bundle("pix2pix")


def test_a_named_model_may_be_called_as_a_checkpoint_of_the_registry(models, tiny_models):
    with pytest.raises(ModelError, match="it is one pickle"):
        weights.open_bundle("insv2v")
    tiny_models.write_diffusers(models / "insv2v")
    assert weights.open_bundle("insv2v").name == "insv2v"


def test_registry(tiny, models, tiny_models):
    tiny_models.write_diffusers(models / "pix2pix")
    ours = {info.name: info for info in weights.list_models()}
    assert list(ours) == ["pix2pix", "tiny"]
    info = weights.describe("tiny")
    assert info == ours["tiny"]
    assert (info.roles, info.knows, info.path) == (("image2video", "instruct"), ("snow", "sepia"), tiny)
    assert info.size == sum(file.stat().st_size for file in tiny.rglob("*") if file.is_file())
    assert info.sha256 == weights.open_bundle(tiny).sha256
    assert info.presets["instruct"]["steps"] == 4


def test_finding_and_checking_import_no_torch(python, tiny):
    code = "import sys; from vedit import weights; weights.open_bundle(sys.argv[1], verify=True); weights.list_models()"
    done = python(f"{code}; print(sorted({{'torch', 'transformers', 'diffusers'}} & set(sys.modules)))", str(tiny))
    assert done.stdout.strip() == "[]", done.stderr


def test_a_text_to_image_folder_works_at_the_size_that_it_was_made_for(tmp_path, tiny_models):
    """Stable Diffusion 2.1 is made for 768 pixels, which its files say as the side of its latents."""
    import json

    folder = tiny_models.write_diffusers(tmp_path / "sd", "StableDiffusionPipeline")
    assert weights.open_bundle(folder, "text2image").preset["size"] == 512, "where it does not say"
    config = json.loads((folder / "unet" / "config.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps(config | {"sample_size": 96}))
    bundle = weights.open_bundle(folder, "text2image")
    assert bundle.preset["size"] == 768 and "max_frames" not in bundle.preset
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "StableDiffusionImg2ImgPipeline"}))
    assert weights.open_bundle(folder, "text2image").preset == bundle.preset
