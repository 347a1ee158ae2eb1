"""A run's folder: names that stay, for what was run before is read by them; and what may travel to other processes."""

from __future__ import annotations

import pickle
from pathlib import Path

from catalog.storage.store import open_store
from flows.run_folder import RunFolder
from flows.settings import Settings

NAMES = {
    "lock": ".lock",
    "request": "request.json",
    "order": "order.json",
    "season": "season.json",
    "job": "job.json",
    "results": "results.zarr",
    "shared_results": "shared-results.txt",
    "mosaic": "mosaic",
    "views": "views",
    "delivered": "delivered.json",
}


def test_the_names_of_a_run_stay(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    folder = RunFolder.of(store, "abc")
    assert folder.path == store.runs / "abc"
    properties = {name for name, value in vars(RunFolder).items() if isinstance(value, property)}
    assert {name: getattr(folder, name).relative_to(folder.path).as_posix() for name in properties} == NAMES
    assert folder.training("def").patches == folder.path / "training" / "def" / "patches"


def test_settings_and_folder_travel(tmp_path: Path) -> None:
    given = Settings(store=str(tmp_path)), RunFolder(tmp_path)
    assert pickle.loads(pickle.dumps(given)) == given
