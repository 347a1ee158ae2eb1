"""What tests of the cube share."""

from __future__ import annotations

from pathlib import Path

import cube_kit
import pytest

from catalog.storage.store import CellPath, Store, open_store


@pytest.fixture
def folder_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ingestion takes the folders of `cube_kit` for sources."""
    monkeypatch.setattr("processors.ingest.acquisition.open_source", cube_kit.FolderSource)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> CellPath:
    """Where cubes may lie: in a folder, or in a bucket."""
    found: CellPath = tmp_path / "cubes" if request.param == "folder" else request.getfixturevalue("bucket")
    return found
