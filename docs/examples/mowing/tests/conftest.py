"""What the tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_season() -> Path:
    """Folder of real products of 2019 over fields whose crop was declared; the test is skipped where it is absent."""
    folder = Path(os.environ.get("CROPLINE_TEST_DATA", "/nowhere")) / "flanders-2019"
    if not folder.is_dir():
        pytest.skip("no real season: set CROPLINE_TEST_DATA to the folder that holds flanders-2019")
    return folder
