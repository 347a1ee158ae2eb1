"""The database of the server as settings name it: what is wrong is said before anything starts, and no secret is shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import prefect
import pytest
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from services_kit import call, environment, needs_packages, services_folder

from catalog.storage.store import Store
from flows.prefect_process import server_database
from flows.prefect_process.api import ServiceError
from flows.prefect_process.server_database import (
    DATABASE,
    PLACE_FILE,
    REDIS,
    check_database,
    check_place,
    database_of,
    remember_place,
)
from flows.settings import Settings

POSTGRESQL = "postgresql://me:the-password@db.example/runs"


def _settings(database: str | None = None, redis: str | None = None) -> Settings:
    return Settings(
        database=None if database is None else SecretStr(database), redis=None if redis is None else SecretStr(redis)
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "prefect").mkdir()
    return Store(tmp_path)


def test_without_a_word_it_is_sqlite_in_the_store(store: Store) -> None:
    database = database_of(_settings(), store)
    assert database.place == f"SQLite, {store.prefect / 'prefect.db'}"
    assert not database.is_shared
    assert not database.has_broker
    check_database(database)


def test_the_server_is_told_and_the_passwords_are_not_shown(store: Store) -> None:
    database = database_of(_settings(f"{POSTGRESQL}?sslmode=require", "redis://:other-password@broker/3"), store)
    told = database.variables
    assert told["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == (
        "postgresql+asyncpg://me:the-password@db.example:5432/runs?ssl=require"
    )
    assert (
        told["PREFECT_SERVER_DOCKET_URL"] == told["PREFECT_REDIS_MESSAGING_URL"] == "redis://:other-password@broker/3"
    )
    assert database.place == "PostgreSQL at db.example:5432/runs, Redis at broker:6379"
    assert database.has_broker
    remember_place(store, database)
    assert "password" not in f"{database} {database!r} {(store.prefect / PLACE_FILE).read_text()}"


def test_postgresql_does_without_redis_and_redis_not_without_postgresql(store: Store) -> None:
    database = database_of(_settings(POSTGRESQL), store)
    assert database.is_shared
    assert not database.has_broker
    with pytest.raises(ServiceError, match=f"{REDIS}: of use only with PostgreSQL"):
        database_of(_settings(redis="redis://broker/0"), store)


@pytest.mark.parametrize(
    ("database", "redis", "says"),
    [
        ("", None, DATABASE),
        ("the-password", None, DATABASE),
        ("mysql://me:the-password@db/runs", None, DATABASE),
        ("postgresql://me:the-password@db", None, DATABASE),
        ("postgresql:///runs", None, DATABASE),
        ("postgresql://me:the-password@db:many/runs", None, DATABASE),
        ("postgresql://me:the-password@db/runs?options=-c", None, f"{DATABASE}: options is not known"),
        (POSTGRESQL, "the-password", REDIS),
        (POSTGRESQL, "http://:the-password@broker", REDIS),
        (POSTGRESQL, "redis://:the-password@", REDIS),
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(
    database: str, redis: str | None, says: str, store: Store
) -> None:
    with pytest.raises(ServiceError, match=f"^{says}") as refused:
        database_of(_settings(database, redis), store)
    assert "the-password" not in str(refused.value)


def test_a_store_whose_runs_are_in_postgresql_does_not_begin_anew_unasked(store: Store) -> None:
    own, shared = database_of(_settings(), store), database_of(_settings(POSTGRESQL), store)
    assert check_place(store, own) is None
    assert check_place(store, shared) is None, "nothing was there before"
    remember_place(store, shared)
    assert check_place(store, shared) is None
    assert check_place(store, database_of(_settings(POSTGRESQL, "redis://broker"), store)) is None, "the same runs"
    with pytest.raises(ServiceError, match=f"{DATABASE} is not set, and this store's server kept its runs"):
        check_place(store, own)
    (store.prefect / PLACE_FILE).unlink()
    assert check_place(store, own) is None


def test_what_stays_in_sqlite_is_said(store: Store) -> None:
    sqlite3.connect(store.prefect / "prefect.db").close()
    assert "stay in SQLite" in str(check_place(store, database_of(_settings(POSTGRESQL), store)))


def test_databases_of_all_earlier_versions_are_known() -> None:
    """As Alembic itself reads the files, some of which don't hold the revision in their name."""
    scripts = Path(prefect.__file__).parent / "server" / "database" / "_migrations"
    alembic = ScriptDirectory(str(scripts), version_locations=[str(scripts / "versions" / "postgresql")])
    assert set(server_database.revisions()) == {revision.revision for revision in alembic.walk_revisions()}


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, str]]:
    needs_packages()
    with services_folder() as folder:
        started = call("start", str(folder))
        assert started.returncode == 0, started.stderr
        yield environment(folder)


@pytest.mark.services
def test_what_is_in_the_way_is_named(running: dict[str, str], store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    postgresql, redis = running[DATABASE], running[REDIS]

    def why(database: str = postgresql, broker: str = redis) -> str:
        with pytest.raises(ServiceError) as refused:
            check_database(database_of(_settings(database, broker), store))
        assert "guessed" not in str(refused.value)
        return str(refused.value)

    check_database(database_of(_settings(postgresql, redis), store))
    password = postgresql.rpartition("@")[0].rpartition(":")[2]
    assert "refuses the user 'cropline' with this password" in why(postgresql.replace(password, "guessed"))
    assert "doesn't let 'cropline' into 'other'" in why(postgresql.removesuffix("cropline") + "other")
    assert "doesn't answer" in why("postgresql://cropline:guessed@127.0.0.1:9/cropline")
    assert "refuses this password" in why(broker=f"redis://:guessed@{redis.rpartition('@')[2]}")
    assert "doesn't answer" in why(broker="redis://:guessed@127.0.0.1:9/0")

    _ask(
        postgresql,
        "CREATE TABLE alembic_version (version_num text)",
        "INSERT INTO alembic_version VALUES ('feedfeedfeed')",
    )
    assert "was made by another version of Prefect" in why()
    known = next(server_database.revisions())
    _ask(postgresql, f"UPDATE alembic_version SET version_num = '{known}'")
    check_database(database_of(_settings(postgresql, redis), store))
    monkeypatch.setattr(
        server_database, "find_spec", lambda name: None if name == "prefect_redis" else SimpleNamespace()
    )
    assert why() == f"{REDIS}: the package prefect-redis is missing. Install it: pip install 'cropline[server]'"


def _ask(address: str, *statements: str) -> None:
    import asyncio

    import asyncpg

    async def ask() -> None:
        connection: Any = await asyncpg.connect(address)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(ask())
