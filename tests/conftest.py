"""What every test may use."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings

# Property tests are judged by their results, not by how busy the machine is.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real Sentinel-2 test data; the test is skipped where it is absent."""
    folder = Path(os.environ.get("CROPLINE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real test data at {folder}; set CROPLINE_TEST_DATA to their folder")
    return folder


@pytest.fixture
def safe_kit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module `safe_kit`, which writes synthetic SAFE products."""
    monkeypatch.syspath_prepend(REPOSITORY / "tests" / "catalog")
    return importlib.import_module("safe_kit")
