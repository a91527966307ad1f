import shutil
from pathlib import Path

import pytest

import vedit
from vedit import weights
from vedit.errors import ModelError
from vedit.weights import search


def test_a_folder_comes_first_then_a_name(tiny, models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert weights.locate(str(tiny)) == tiny
    assert weights.locate("tiny") == models / "tiny"
    (tmp_path / "tiny").mkdir()
    assert weights.locate("tiny") == Path("tiny")


def test_order_of_the_folders(tmp_path, monkeypatch):
    package = tmp_path / "src" / "vedit"
    for folder in (package / "_models", tmp_path / "models", tmp_path / "mine"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(vedit, "__file__", str(package / "__init__.py"))
    monkeypatch.setenv("VEDIT_MODELS", str(tmp_path / "mine"))
    assert weights.model_folders() == [tmp_path / "mine", package / "_models", tmp_path / "models"]
    monkeypatch.delenv("VEDIT_MODELS")
    assert weights.model_folders() == [package / "_models", tmp_path / "models"]


def test_an_installed_package_does_not_look_beside_site_packages(tmp_path, monkeypatch):
    package = tmp_path / "lib" / "site-packages" / "vedit"
    (tmp_path / "lib" / "models").mkdir(parents=True)
    monkeypatch.setattr(vedit, "__file__", str(package / "__init__.py"))
    monkeypatch.delenv("VEDIT_MODELS", raising=False)
    assert weights.model_folders() == []


def test_only_models_are_listed(tiny, models):
    (models / "notes").mkdir()
    (models / "README.md").write_text("text")
    assert weights.installed() == [tiny]


def test_a_missing_name_shows_what_there_is(tiny, monkeypatch):
    monkeypatch.setenv("VEDIT_MODELS", "/somewhere")
    with pytest.raises(ModelError, match=r"^nano: no such folder.*here: tiny \(\$VEDIT_MODELS is /somewhere\)$"):
        weights.locate("nano")


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match="is a file"):
        weights.locate(str(tmp_path / "model.safetensors"))


def test_hub_ids_come_from_the_local_cache_only(tiny, models, tmp_path, monkeypatch):
    folder = tmp_path / "models--owner--name"
    snapshot = folder / "snapshots" / "abc"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    shutil.copytree(tiny, snapshot)
    with pytest.raises(ModelError, match="vedit models pull owner/name"):
        weights.locate("owner/name")  # nobody fetched what main is
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    assert weights.locate("owner/name") == snapshot
    with pytest.raises(ModelError, match="vedit models pull owner/other"):
        weights.locate("owner/other")


def test_a_pickle_is_called_one(tmp_path):
    (tmp_path / "model.ckpt").touch()
    with pytest.raises(ModelError, match=r"model.ckpt: is a pickle and is refused.*vedit models convert"):
        weights.locate(str(tmp_path / "model.ckpt"))


def test_what_is_a_model(tmp_path, tiny):
    assert search.is_model(tiny)
    assert not search.is_model(tmp_path)
