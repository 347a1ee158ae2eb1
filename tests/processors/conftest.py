"""What tests of the cube share."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from catalog.store import Store, open_store


@pytest.fixture
def cube_kit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module `cube_kit`, whose folders ingestion then takes for sources."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    module = importlib.import_module("cube_kit")
    monkeypatch.setattr("processors.ingest.open_source", module.FolderSource)
    return module


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))
