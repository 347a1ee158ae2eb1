"""The interface in front of a Prefect that answers from memory, with a store and keys of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ogc_kit import ADDRESS, KEY, OTHER_KEY, Partner, Prefect

from catalog.storage.store import Store, open_store
from flows.ogc.app import application
from flows.ogc.keys import KEYS_FILE, Keys

INPUTS: dict[str, Any] = {
    "area": [3.2, 51.0, 3.21, 51.01],
    "year": 2019,
    "source": "mission:",
    "processor": "vegetation",
}


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """The schema of the parameters, as Prefect makes it of the flow."""
    from prefect.utilities.callables import parameter_schema

    from flows.crop_map import crop_map

    return dict(parameter_schema(crop_map).model_dump())


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("CROPLINE_BASE", str(tmp_path))
    opened = open_store(str(tmp_path / "store"), None, None)
    opened.prefect.mkdir(parents=True)
    (opened.prefect / KEYS_FILE).write_text(f"partner:{KEY}\nother:{OTHER_KEY}\n")
    return opened


@pytest.fixture
def prefect(schema: dict[str, Any]) -> Prefect:
    return Prefect(schema)


@pytest.fixture
def partner(store: Store, prefect: Prefect) -> Partner:
    told: list[str] = []
    keys = Keys(store.prefect / KEYS_FILE, told.append)
    return Partner(application(ADDRESS, keys, prefect))  # type: ignore[arg-type]


@pytest.fixture
def inputs() -> dict[str, Any]:
    """A small order."""
    return dict(INPUTS)
