"""Backups: what is put back is what was there, nothing is overwritten, and nothing changes while it is copied."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer
from filelock import FileLock

from catalog.registry import Registry
from catalog.storage.store import Store, open_store
from catalog.storage.whole import write_json
from flows.commands.backup import backup as command
from flows.commands.interruption import ended_in_order
from flows.prefect_process import backup as backups_of
from flows.prefect_process import database_copy, services, work_pool
from flows.prefect_process.api import ServiceError
from flows.prefect_process.backup import RECORD, back_up, backups, read_record, restore
from flows.prefect_process.programs import run_program
from flows.prefect_process.server_database import database_of
from flows.prefect_process.status import UNFINISHED, look
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
    assert backups(tmp_path / "backups", store) == []
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
    assert backups(tmp_path / "backups", store) == [again, last]
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


def test_only_old_backups_of_this_store_are_removed(settings: Settings, store: Store, tmp_path: Path) -> None:
    first = made(settings, tmp_path)
    folder = first.parent

    def another(name: str, **changes: str) -> Path:
        record = read_record(first).model_dump(mode="json") | changes
        write_json(folder / name / RECORD, record)
        return folder / name

    others = another("2020-01-01T00-00-00Z", store="/elsewhere"), another("a-set-aside"), another("2099 copy")
    (folder / ".git-0123abcd").mkdir()
    os.utime(folder / ".git-0123abcd", (0, 0))
    damaged = folder / "2020-01-03T00-00-00Z"
    damaged.mkdir()
    (damaged / RECORD).write_text("{")
    old = another("2020-01-02T00-00-00Z", made="2020-01-02T00:00:00Z")
    ahead = another("2090-01-01T00-00-00Z", made="2090-01-01T00:00:00Z")  # the clock was wrong
    first = first.rename(folder / "2021-01-01T00-00-00Z")
    assert backups(folder, store) == [old, first, ahead]
    last = made(settings, tmp_path, keep=1)
    assert backups(folder, store) == [last]
    assert all(path.is_dir() for path in (*others, damaged, folder / ".git-0123abcd"))


def test_a_damaged_backup_is_refused_before_anything_is_written(
    settings: Settings, store: Store, tmp_path: Path
) -> None:
    backup = made(settings, tmp_path)
    for folder in (store.root, tmp_path / "cubes", tmp_path / "map"):
        shutil.rmtree(folder)
    whole = (backup / "database.sqlite").read_bytes()
    for content in (whole[:-4096], b"", bytes(len(whole))):
        (backup / "database.sqlite").write_bytes(content)
        with pytest.raises(ServiceError, match=r"database\.sqlite can't be read to its end.*Take another backup: ls "):
            restore(settings, backup, lambda _: None)
    (backup / "database.sqlite").write_bytes(whole)
    (tmp_path / "map").write_bytes(b"")
    with pytest.raises(ServiceError, match=r"map is no folder, and .*map needs a folder there. Move it away first"):
        restore(settings, backup, lambda _: None)
    (tmp_path / "map").unlink()
    (backup / "files").rename(backup / "moved")
    with pytest.raises(ServiceError, match=r"is damaged: it has no files/.*Take another backup"):
        restore(settings, backup, lambda _: None)
    (backup / "moved").rename(backup / "files")
    (backup / RECORD).write_text("{")
    with pytest.raises(ServiceError, match=r"backup\.json is damaged: it is not JSON: .*Take another backup"):
        restore(settings, backup, lambda _: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backups"]


def test_half_a_restore_is_never_taken_for_a_store(
    settings: Settings, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = made(settings, tmp_path)
    folders = store.root, tmp_path / "cubes", tmp_path / "map"
    before = contents(*folders)
    for folder in folders:
        shutil.rmtree(folder)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(backups_of, "put_database", full)
        with pytest.raises(ServiceError) as failed:
            restore(settings, backup, lambda _: None)
    first, then = str(failed.value).split("\n")
    assert first == f"{store.root}: No space left on device. Free some space."
    remedy = f"rm -rf {' '.join(map(str, folders))} && cropline restore {backup}"
    assert then.endswith(remedy)
    for use in (
        lambda: services.up(settings, None, lambda _: None),
        lambda: services.environment_of(settings, store),  # of each service, however it is started
        lambda: look(settings),
        lambda: made(settings, tmp_path),
        lambda: restore(settings, backup, lambda _: None),
    ):
        with pytest.raises(ServiceError, match=r"is not whole: the restore of .* was not finished") as refused:
            use()
        assert str(refused.value).endswith(remedy)
    for folder in folders:
        shutil.rmtree(folder)
    restore(settings, backup, lambda _: None)
    assert contents(*folders).keys() == before.keys() - {str(store.prefect / "server.log")}
    assert not (store.root / UNFINISHED).exists()
    assert look(settings).exists


def test_a_database_is_put_back_whole_or_not_at_all(
    settings: Settings, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = made(settings, tmp_path)
    (store.prefect / "prefect.db").unlink()

    def broken(_: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(database_copy, "_kept", broken)
    with pytest.raises(ServiceError, match=r"prefect\.db can't be written: disk I/O error"):
        database_copy.put_database(database_of(settings, store), backup)
    assert not list(store.prefect.glob("*prefect.db*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_backup_that_is_told_to_end_frees_the_queues(number: signal.Signals) -> None:
    class FakeApi:
        def __init__(self) -> None:
            self.queues: dict[str, dict[str, Any]] = {}
            self.refuses = False

        def ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:  # noqa: ARG002
            name = path.rsplit("/", maxsplit=1)[-1]
            if body is not None:
                if not body["is_paused"] and not self.refuses:
                    self.refuses = True
                    os.kill(os.getpid(), number)  # a second one, while the queues are freed
                    raise ServiceError("busy")
                self.queues[body.get("name", name)] = {**self.queues.get(name, {}), **body}
            return self.queues.get(name)

    api: Any = FakeApi()
    before = signal.getsignal(number)

    def ended() -> None:
        with ended_in_order(), work_pool.paused(api):
            assert work_pool.paused_queues(api) == ["interactive", "scheduled"]
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        ended()
    assert work_pool.paused_queues(api) == []
    assert signal.getsignal(number) is before


def test_backups_go_where_nothing_is_copied_from(settings: Settings, store: Store, tmp_path: Path) -> None:
    for folder in (tmp_path / "cubes", tmp_path / "cubes" / "in" / "it", tmp_path / "map" / "backups"):
        with pytest.raises(ServiceError, match=r"which is part of the backup. Name a folder elsewhere"):
            back_up(settings, folder, None, 0.0, lambda _: None)
    assert not (tmp_path / "map" / "backups").exists()
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ServiceError, match=r"file is no folder, and a backup needs a folder. Name another one"):
            back_up(settings, folder, None, 0.0, lambda _: None)
    with pytest.raises(typer.BadParameter, match="the path is empty"):
        command("")


def test_a_program_that_fails_says_why_first() -> None:
    said = (
        'rsync: [receiver] write failed on "/backups/x": No space left on device (28)\\nrsync error: error in file IO'
    )
    with pytest.raises(
        ServiceError, match=r"^sh failed: No space left on device. Free some space, and run again.\nrsync"
    ):
        run_program(["sh", "-c", f"printf '{said}' >&2; exit 11"], "dash")
    with pytest.raises(ServiceError, match=r"^sh failed: it ended with 3 and said nothing"):
        run_program(["sh", "-c", "exit 3"], "dash")
