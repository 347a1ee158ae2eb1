"""`cropline backup` and `cropline restore`: the server's database and the store, as they were at one moment.

Nothing may change while they are copied: new runs are held back, those that go on are waited for. The database is taken before the store,
so that whatever it says is done lies in the store, also where somebody runs a command beside it. Files that didn't change since the
backup before are hard links to it. Copies are made by `rsync` and PostgreSQL's own programs.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import Field

from catalog.delivered_maps import delivered_to
from catalog.errors import CroplineError
from catalog.guards.json_text import parse_model
from catalog.products import Frozen
from catalog.storage.store import Store
from catalog.storage.system_errors import refusal
from catalog.storage.whole import asides, clear_aside, folder_aside, write_json
from flows.own_server import SERVER_FILE, read_secret
from flows.prefect_process import processes, work_pool
from flows.prefect_process.api import Api, ServiceError
from flows.prefect_process.database_copy import check_copy, check_empty, copy_database, put_database
from flows.prefect_process.programs import run_program
from flows.prefect_process.server_database import check_database, check_place, database_of
from flows.prefect_process.server_file import read_services, service_store
from flows.prefect_process.status import UNFINISHED, Unfinished, check_whole, not_whole
from flows.pruning import runs_that_go_on
from flows.settings import Settings

RECORD = "backup.json"
FILES = "files"
"""Folder of a backup in which each folder lies below its own path."""

_NAME, _NAMED = "%Y-%m-%dT%H-%M-%SZ", re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ")
"""Name of a backup, and what looks like one: nothing else in the folder is ours to remove."""

LOOK = 5.0
"""Seconds between two looks at what still runs; what a worker has fetched before begins to run in that time."""

_LEFT_OUT = (
    "prefect/*.log",
    "prefect/prefect.db*",
    f"prefect/{SERVER_FILE}",
    "prefect/services.lock",
    "prefect/ui-*",
    ".doctor-*",
)
"""In the store: logs, what is copied otherwise, what only counts while it runs, and the pages, which are Prefect's."""

Tell = Callable[[str], None]


class Backup(Frozen):
    """Content of `backup.json`, written last: a folder without it is no backup."""

    made: Annotated[datetime, Field(description="UTC")]
    store: str
    folders: Annotated[
        list[str], Field(description="absolute paths: the store, cubes elsewhere on this machine, deliveries")
    ]
    database: Annotated[
        str | None, Field(description="place of the server's database, without secrets; none was ever started")
    ]
    cubes_elsewhere: Annotated[
        str | None, Field(description="bucket of the cubes, which is not part of the backup")
    ] = None
    cropline: Annotated[str, Field(description="version")]
    prefect: Annotated[str, Field(description="version")]


def back_up(settings: Settings, into: Path, keep: int | None, wait: float, tell: Tell) -> Path:
    """Make a backup in a new folder of ``into``, named by its time (UTC), and remove the oldest beyond ``keep``. Returns that folder.

    Only backups of this store count, and the new one stays. ``wait``: seconds for which the end of what runs is waited for. Raises
    `ServiceError` where that isn't enough, or what a program says.
    """
    store = service_store(settings)
    if not store.root.is_dir():
        raise ServiceError(f"no store at {store.root}: there is nothing to back up. Set CROPLINE_STORE.")
    check_whole(store)
    _folders(store, into)
    database = database_of(settings, store)
    check_place(store, database)
    check_database(database)
    made = datetime.now(UTC).replace(microsecond=0)
    target = into / made.strftime(_NAME)
    try:
        _check_way(into, "a backup needs a folder. Name another one, or move it away.")
        into.mkdir(mode=0o700, parents=True, exist_ok=True)
        if target.exists():
            raise ServiceError(f"{target} was made within this second, and nothing is overwritten. Run again.")
        for left in asides(into):
            if _NAMED.match(left.name[1:]):  # of a backup that was killed
                clear_aside(left)
        before = backups(into, store)
        with quiet(store, wait, tell), folder_aside(target) as new:
            new.chmod(0o700)  # the secret is in it
            tell("the database")
            kept = copy_database(database, new)
            folders = _folders(store, into)
            for folder in folders:
                tell(f"the files of {folder}")
                _copy(
                    folder,
                    new / FILES,
                    before[-1] / FILES if before else None,
                    _LEFT_OUT if folder == store.root else (),
                )
            record = Backup(
                made=made,
                store=str(store.root),
                folders=[str(folder) for folder in folders],
                database=database.place if kept else None,
                cubes_elsewhere=None if isinstance(store.cubes, Path) else str(store.cubes),
                cropline=version("cropline"),
                prefect=version("prefect"),
            )
            write_json(new / RECORD, record.model_dump(mode="json"))
        others = [backup for backup in backups(into, store) if backup != target]
        for old in others[: max(0, len(others) + 1 - keep)] if keep else []:
            tell(f"removing the backup {old.name}")
            _remove(old)
    except OSError as error:
        raise ServiceError(f"{error.filename or into}: {refusal(error, into)}, and run again.") from error
    return target


def restore(settings: Settings, backup: Path, tell: Tell) -> Backup:
    """Put a backup back where it came from. Raises `ServiceError`, before anything is changed, where something is there already.

    Where it ends before all is there, the store says so to whoever would use it: see `flows.prefect_process.status.check_whole`.
    """
    record = read_record(backup)
    store = service_store(settings)
    if str(store.root) != record.store:
        raise ServiceError(
            f"the backup is of the store {record.store}, and this is {store.root}. Paths are part of what it holds: set CROPLINE_STORE "
            "to the former."
        )
    if processes.started_for(store):
        raise ServiceError("the server or its worker runs. Stop it first: cropline down")
    check_whole(store)
    for folder in map(Path, record.folders):
        _check_free(folder, backup)
    database = database_of(settings, store)
    if record.database is not None:
        check_database(database)
        check_empty(database, backup)
        tell("looking whether the copy of the database is whole")
        check_copy(database, backup)
    mark = Unfinished(backup=str(backup), folders=record.folders)
    try:
        store.root.mkdir(parents=True, exist_ok=True)
        write_json(store.root / UNFINISHED, mark.model_dump())
        for folder in map(Path, record.folders):
            tell(f"the files of {folder}")
            folder.parent.mkdir(parents=True, exist_ok=True)
            run_program(["rsync", "--archive", f"{backup / FILES}{folder}/", f"{folder}/"], "rsync")
        if record.database is not None:
            tell("the database")
            put_database(database, backup)
        (store.root / UNFINISHED).unlink()
    except OSError as error:
        where = error.filename or store.root
        raise ServiceError(f"{where}: {refusal(error, store.root)}.\n{not_whole(store.root, mark)}") from error
    except CroplineError as error:
        raise ServiceError(f"{error}\n{not_whole(store.root, mark)}") from error
    except KeyboardInterrupt:
        tell(not_whole(store.root, mark))
        raise
    return record


def _check_free(folder: Path, backup: Path) -> None:
    """Raise `ServiceError` where a folder of a backup isn't in it, or can't be put back without overwriting something."""
    if not Path(f"{backup / FILES}{folder}").is_dir():
        raise ServiceError(
            f"{backup} is damaged: it has no {FILES}{folder}, and nothing was restored. Take another backup: ls {backup.parent}"
        )
    try:
        _check_way(folder, f"{folder} needs a folder there. Move it away first.")
        if folder.is_dir() and any(folder.iterdir()):
            raise ServiceError(
                f"{folder} is not empty, and nothing is overwritten. Move it away first: mv {folder} {folder}.old"
            )
    except OSError as error:
        raise ServiceError(f"{error.filename or folder}: {refusal(error)}. Nothing was restored.") from error


def _check_way(folder: Path, why: str) -> None:
    """Raise `ServiceError` where a folder can't be made, or nothing be put into it. ``why``: what is said of a file in the way."""
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise ServiceError(f"{there} is no folder, and {why}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ServiceError(
            f"{there} may not be written. Check the permissions, and whether its disk is read only: ls -ld {there}"
        )


def read_record(backup: Path) -> Backup:
    """What a backup says of itself. Raises `ServiceError` where it is none."""
    try:
        text = (backup / RECORD).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ServiceError(
            f"{backup} is no backup: it has no {RECORD}. Name a folder that `cropline backup` made, such as 2026-05-01T02-00-00Z."
        ) from error
    except OSError as error:
        raise ServiceError(f"{backup / RECORD} can't be read: {refusal(error)}.") from error
    return parse_model(
        Backup,
        text,
        lambda why: ServiceError(f"{backup / RECORD} is damaged: {why}. Take another backup: ls {backup.parent}"),
    )


def backups(folder: Path, store: Store) -> list[Path]:
    """The complete backups of a store in a folder, the oldest first. What has another name than backups are given is none."""
    found = []
    for path in folder.iterdir():
        if _NAMED.fullmatch(path.name):
            try:
                record = read_record(path)
            except ServiceError:  # none, or one that says nothing of whose it is
                continue
            if record.store == str(store.root):
                found.append((record.made.timestamp(), path))
    return [path for _, path in sorted(found)]


def _remove(backup: Path) -> None:
    """Remove a backup; what is left of it where that is broken off counts as none, and the next backup clears it away."""
    old = backup.with_name(f".{backup.name}-{secrets.token_hex(4)}")
    backup.rename(old)
    shutil.rmtree(old)


@contextmanager
def quiet(store: Store, wait: float, tell: Tell) -> Iterator[None]:
    """A block in which no run goes on: the queues are paused, and what people ask for meanwhile waits there.

    Server and worker may run or not. Raises `ServiceError` where runs go on for more than ``wait`` seconds.
    """
    with FileLock(store.prefect / "services.lock", mode=0o600) if store.prefect.is_dir() else _nothing():
        services = read_services(store)
        api = None if services is None else Api(services.api, read_secret(store.prefect))
        if api is None or not api.answers():
            _wait_for_end(store, None, wait, tell)
            yield
            return
        with work_pool.paused(api):
            _wait_for_end(store, api, wait, tell)
            yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _wait_for_end(store: Store, api: Api | None, wait: float, tell: Tell) -> None:
    deadline = time.monotonic() + wait
    clear, shown = False, ""
    while True:
        going = sorted({*runs_that_go_on(store), *(work_pool.under_way(api) if api else ())})
        if not going and (clear or api is None):
            return
        clear = not going
        if going and time.monotonic() > deadline:
            raise ServiceError(
                f"no backup was made: {', '.join(going)} still {'run' if len(going) > 1 else 'runs'} after {wait / 60:.0f} minutes. "
                "Wait longer (--wait MINUTES), or cancel what is in the way: prefect flow-run cancel ID"
            )
        if going and (text := f"waiting for the end of {', '.join(going)}") != shown:
            tell(text)
            shown = text
        time.sleep(LOOK)


def _folders(store: Store, into: Path) -> list[Path]:
    """What is copied: none lies in another one. Raises `ServiceError` where backups would be copied, too."""
    wanted = [store.root]
    if isinstance(store.cubes, Path) and store.cubes.is_dir():
        wanted.append(store.cubes)
    wanted += [folder for path in sorted(store.maps.glob("*/*.json")) if (folder := delivered_to(path)) is not None]
    kept: list[Path] = []
    for folder in wanted:
        if not any(folder == other or folder.is_relative_to(other) for other in kept):
            kept.append(folder)
    for folder in kept:
        if into.resolve().is_relative_to(folder.resolve()):
            what = "the store itself" if folder == store.root else f"{folder}, which is part of the backup"
            raise ServiceError(f"{into} lies in {what}. Name a folder elsewhere, best on another disk.")
    return kept


def _copy(folder: Path, files: Path, before: Path | None, left_out: tuple[str, ...]) -> None:
    target = Path(f"{files}{folder}")
    target.mkdir(parents=True)
    words = ["rsync", "--archive", "--modify-window=-1", *(f"--exclude=/{pattern}" for pattern in left_out)]
    if before is not None:
        words.append(f"--link-dest={before}{folder}")
    run_program([*words, f"{folder}/", f"{target}/"], "rsync")
