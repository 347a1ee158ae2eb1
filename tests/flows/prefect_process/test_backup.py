"""Backups: what is put back is what was there, nothing is overwritten, and nothing changes while it is copied."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from catalog.registry import Registry
from catalog.storage.store import Store, open_store
from catalog.storage.whole import write_json
from flows.prefect_process import backup as backups_of
from flows.prefect_process.api import ServiceError
from flows.prefect_process.backup import RECORD, back_up, backups, read_record, restore
from flows.run_folder import RunFolder
from flows.settings import Settings

pytestmark = pytest.mark.skipif(shutil.which("rsync") is None, reason="rsync is missing: apt-get install -y rsync")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(backups_of, "LOOK", 0.01)
    return Settings(store=str(tmp_path / "store"), cubes=str(tmp_path / "cubes"), base=tmp_path)


@pytest.fixture
def store(settings: Settings, tmp_path: Path) -> Store:
    """A store after a request: a database, the secret, a run, cubes on another disk, and a delivery outside."""
    store = open_store(settings.store, settings.cubes)
    for folder in (store.prefect, store.models / "m", store.runs / "0123456789ab", tmp_path / "map"):
        folder.mkdir(parents=True)
    cube = tmp_path / "cubes" / "source" / "L2A" / "32631_0056_0548.zarr"
    cube.mkdir(parents=True)
    (cube / "shard").write_bytes(bytes(1000))
    (store.models / "m" / "weights.safetensors").write_bytes(b"weights")
    (store.prefect / "secret").write_text("cropline:the-secret\n")
    (store.prefect / "secret").chmod(0o600)
    (store.prefect / "server.log").write_text("starting")
    (tmp_path / "map" / "crop_map.tif").write_bytes(b"map")
    write_json(tmp_path / "map" / "item.json", {"id": "crop-map-2024-1", "assets": {"map": {"href": "./crop_map.tif"}}})
    Registry(store).add_map(tmp_path / "map" / "item.json")
    with closing(sqlite3.connect(store.prefect / "prefect.db")) as database, database:
        database.execute("CREATE TABLE flow_run (name TEXT)")
        database.execute("INSERT INTO flow_run VALUES ('ruby-fox')")
    return store


def contents(*folders: Path) -> dict[str, tuple[bytes, int]]:
    """All files but locks, with their permissions; of databases what is in them."""
    found = {}
    for path in sorted(
        path for folder in folders for path in folder.rglob("*") if path.is_file() and "lock" not in path.name
    ):
        if path.name == "prefect.db":
            with closing(sqlite3.connect(path)) as database:
                content = "\n".join(database.iterdump()).encode()
        else:
            content = path.read_bytes()
        found[str(path)] = content, stat.S_IMODE(path.stat().st_mode)
    return found


def made(settings: Settings, tmp_path: Path, keep: int | None = None) -> Path:
    return back_up(settings, tmp_path / "backups", keep, 0.0, lambda _: None)


def test_what_is_lost_is_put_back(settings: Settings, store: Store, tmp_path: Path) -> None:
    (store.prefect / "prefect.db").chmod(0o600)
    folders = (store.root, tmp_path / "cubes", tmp_path / "map")
    before = contents(*folders)
    backup = made(settings, tmp_path)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o700
    record = read_record(backup)
    assert record.folders == [str(folder) for folder in folders]
    for folder in folders:
        shutil.rmtree(folder)
    assert restore(settings, backup, lambda _: None) == record
    after = contents(*folders)
    assert before.pop(str(store.prefect / "server.log"))
    assert after == before


def test_what_is_there_is_never_overwritten(settings: Settings, store: Store, tmp_path: Path) -> None:
    backup = made(settings, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ServiceError, match=r"store is not empty, and nothing is overwritten. Move it away first: mv "):
        restore(settings, backup, lambda _: None)
    shutil.rmtree(store.root)
    with pytest.raises(ServiceError, match=r"cubes is not empty, and nothing is overwritten"):
        restore(settings, backup, lambda _: None)
    assert not store.root.exists()
    assert {path: content for path, content in before.items() if not path.startswith(str(store.root))} == contents(
        tmp_path
    )


def test_a_backup_goes_back_where_it_was(settings: Settings, store: Store, tmp_path: Path) -> None:
    backup = made(settings, tmp_path)
    elsewhere = settings.model_copy(update={"store": str(tmp_path / "another")})
    with pytest.raises(ServiceError, match="set CROPLINE_STORE to the former"):
        restore(elsewhere, backup, lambda _: None)


def test_a_run_that_goes_on_is_waited_for_and_named(settings: Settings, store: Store, tmp_path: Path) -> None:
    run = RunFolder(store.runs / "0123456789ab")
    with (
        FileLock(run.lock),
        pytest.raises(ServiceError, match="no backup was made: runs/0123456789ab still runs after 0 minutes"),
    ):
        made(settings, tmp_path)
    assert backups(tmp_path / "backups") == []
    assert [path.name for path in (tmp_path / "backups").iterdir()] == [], "nothing half done"
    assert made(settings, tmp_path).is_dir()


def test_unchanged_files_are_the_same_and_the_oldest_backups_go(
    settings: Settings, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(settings, tmp_path)
    first = first.rename(first.with_name("2020-01-01T00-00-00Z"))
    again = first.with_name("2020-01-02T00-00-00Z")
    shutil.copytree(first, again, copy_function=lambda source, target: Path(target).hardlink_to(source))
    (store.models / "m" / "weights.safetensors").write_bytes(b"Weights")  # as long as before, within the same second
    last = made(settings, tmp_path, keep=2)
    assert backups(tmp_path / "backups") == [again, last]
    weights, map_file = (
        f"files{path}" for path in (store.models / "m" / "weights.safetensors", tmp_path / "map" / "crop_map.tif")
    )
    assert (last / map_file).stat().st_ino == (again / map_file).stat().st_ino
    assert (last / weights).read_bytes() == b"Weights"
    assert (again / weights).read_bytes() == b"weights"


def test_what_is_no_backup_is_refused(settings: Settings, store: Store, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"is no backup: it has no backup\.json"):
        restore(settings, tmp_path, lambda _: None)
    (tmp_path / RECORD).write_text("{}")
    with pytest.raises(ServiceError):
        restore(settings, tmp_path, lambda _: None)
    with pytest.raises(ServiceError, match="lies in the store itself"):
        back_up(settings, store.root / "backups", None, 0.0, lambda _: None)
