import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from vedit.weights import search

TINY = Path(__file__).parents[1] / "engines" / "tiny.py"


@pytest.fixture(scope="session")
def tiny_models() -> ModuleType:
    """The module that writes tiny models; it belongs to the tests of the engines."""
    spec = importlib.util.spec_from_file_location("tiny_models", TINY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
