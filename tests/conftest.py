"""What every test may use."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

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
def hub_kit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module `sentinel_hub_kit`."""
    monkeypatch.syspath_prepend(REPOSITORY / "tests" / "catalog")
    return importlib.import_module("sentinel_hub_kit")


@pytest.fixture
def sentinel_hub(hub_kit: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Sentinel Hub on this machine, a `sentinel_hub_server.SentinelHub` without scenes."""
    # Only there: its client sends secrets by https, and this one is no further than the loopback.
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setattr("catalog.sources.sentinel_hub_client.PAUSE", 0.01)
    server = hub_kit.SentinelHub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
