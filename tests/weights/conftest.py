import shutil

import pytest

from vedit.weights import search


@pytest.fixture(scope="session")
def pristine(tmp_path_factory, tiny_models):
    """A bundle that no test changes."""
    return tiny_models.write_bundle(tmp_path_factory.mktemp("pristine") / "tiny")


@pytest.fixture
def models(tmp_path, monkeypatch):
    """An empty models directory, the only one there is."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setattr(search, "model_folders", lambda: [folder])
    return folder


@pytest.fixture
def tiny(pristine, models):
    """A bundle of its own for each test."""
    return shutil.copytree(pristine, models / "tiny")
