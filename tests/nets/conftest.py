import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

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
