"""Where the server keeps what it knows: SQLite in the store, or PostgreSQL, with Redis between the server and a process of its services.

Addresses hold passwords. They go into the environment of the processes that need them, and nowhere else: what is shown or kept of
them is `Database.place`.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from catalog.guards.json_text import parse_model
from catalog.products import Frozen
from catalog.storage.store import Store
from catalog.storage.whole import write_json
from flows.prefect_process import sqlite_locks
from flows.prefect_process.api import ServiceError
from flows.settings import Settings

DATABASE, REDIS = "CROPLINE_DATABASE", "CROPLINE_REDIS"

_PASSWORDS = ("PGPASSWORD", "PGPASSFILE")
"""Where PostgreSQL's drivers look for a password that the address leaves out."""

DATABASE_VARIABLES = (DATABASE, REDIS, *_PASSWORDS)
"""What the server's processes alone are given."""

PLACE_FILE = "database.json"
"""File in the store's folder `prefect`: where the server kept what it knows when it was last started. It outlives `cropline down`."""

CONNECT_TIMEOUT = 15.0

OLDEST_POSTGRESQL = 130_000
"""As PostgreSQL numbers its versions. From 13 on, the owner of a database may add the extension that Prefect needs."""

OLDEST_REDIS = (6, 2)
"""The first that knows XAUTOCLAIM, by which what a killed process had taken is handed to another."""

_TIDY = "postgresql://USER:PASSWORD@HOST:5432/NAME"
_TIDY_REDIS = "redis://:PASSWORD@HOST:6379/0"

_THROUGH_REDIS = {
    "PREFECT_MESSAGING_BROKER": "prefect_redis.messaging",
    "PREFECT_MESSAGING_CACHE": "prefect_redis.messaging",
    "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
}

_MANY_AT_ONCE = {
    # A request waits for one of the connections; what is refused after less is only asked again.
    "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_TIMEOUT": str(sqlite_locks.POOL_TIMEOUT),
}


class _Place(Frozen):
    """Content of the file."""

    place: Annotated[str, Field(description="without secrets")]


@dataclass(frozen=True)
class Database:
    """What the processes of a server are told of its database; the addresses are never shown."""

    place: str
    variables: dict[str, str]
    """What the server's processes have in their environment."""

    is_shared: bool = False
    """Whether it is PostgreSQL, which outlives the store."""

    has_broker: bool = False
    """Whether events go through Redis, so that the services run in a process of their own."""

    def __repr__(self) -> str:
        return f"Database({self.place!r})"


def database_of(settings: Settings, store: Store) -> Database:
    """The database that the settings name, by default the store's own. Raises `ServiceError` where their addresses are none."""
    if settings.database is None:
        if settings.redis is not None:
            raise ServiceError(f"{REDIS}: of use only with PostgreSQL. Set {DATABASE} to {_TIDY}, too, or unset it.")
        file = store.prefect / "prefect.db"
        return Database(f"SQLite, {file}", {"PREFECT_SERVER_DATABASE_CONNECTION_URL": sqlite_locks.address_of(file)})
    url = _postgresql(settings.database)
    place = f"PostgreSQL at {url.host}:{url.port}/{url.database}"
    variables = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": url.render_as_string(hide_password=False),
        **_MANY_AT_ONCE,
        **{name: os.environ[name] for name in _PASSWORDS if name in os.environ},
    }
    if settings.redis is None:
        return Database(place, variables, is_shared=True)
    broker = _redis(settings.redis)
    address = settings.redis.get_secret_value()
    variables |= {**_THROUGH_REDIS, "PREFECT_REDIS_MESSAGING_URL": address, "PREFECT_SERVER_DOCKET_URL": address}
    return Database(
        f"{place}, Redis at {broker.host}:{broker.port or 6379}", variables, is_shared=True, has_broker=True
    )


def check_database(database: Database) -> None:
    """Ask PostgreSQL and Redis whether the server will get on with them. Raises `ServiceError` with the first thing that is in its way."""
    if not database.is_shared:
        return
    if database.has_broker and find_spec("prefect_redis") is None:
        raise ServiceError(f"{REDIS}: the package prefect-redis is missing. Install it: pip install 'cropline[server]'")
    asyncio.run(_check_postgresql(make_url(database.variables["PREFECT_SERVER_DATABASE_CONNECTION_URL"])))
    if database.has_broker:
        _check_redis(database.variables["PREFECT_REDIS_MESSAGING_URL"])


def check_place(store: Store, database: Database) -> str | None:
    """What is left behind where the server kept what it knows elsewhere before; None where it goes on.

    Raises `ServiceError` where that was PostgreSQL and nothing is set: what waits there would seem to be lost.
    """
    file = store.prefect / PLACE_FILE
    before = kept_place(store)
    if before is None or before == database.place or before.split(",")[0] == database.place.split(",")[0]:
        return None
    if not database.is_shared:
        raise ServiceError(
            f"{DATABASE} is not set, and this store's server kept its runs and schedules in {before}. Set it as before, or begin anew "
            f"with SQLite: remove {file}."
        )
    return f"runs and schedules of before stay in {before}"


def remember_place(store: Store, database: Database) -> None:
    """Write down where the server keeps what it knows, without secrets."""
    write_json(store.prefect / PLACE_FILE, _Place(place=database.place).model_dump())


def kept_place(store: Store) -> str | None:
    """Where the server kept what it knows when it was last started, without secrets; None where it never was."""
    try:
        return parse_model(_Place, (store.prefect / PLACE_FILE).read_bytes(), ServiceError).place
    except (FileNotFoundError, ServiceError):
        file = store.prefect / "prefect.db"
        return f"SQLite, {file}" if file.is_file() else None


def _postgresql(address: SecretStr) -> URL:
    url = _parsed(DATABASE, address, _TIDY)
    if url.get_backend_name() not in ("postgresql", "postgres") or not (url.host and url.database):
        raise ServiceError(f"{DATABASE}: no address of a PostgreSQL database. It looks like {_TIDY}.")
    # As PostgreSQL's own programs call it; the driver has another name for the same.
    query = {("ssl" if name == "sslmode" else name): value for name, value in url.query.items()}
    if unknown := set(query) - {"ssl"}:
        raise ServiceError(
            f"{DATABASE}: {', '.join(sorted(unknown))} is not known there. Only sslmode may follow the name."
        )
    return url.set(drivername="postgresql+asyncpg", port=url.port or 5432, query=query)


def _redis(address: SecretStr) -> URL:
    url = _parsed(REDIS, address, _TIDY_REDIS)
    if url.drivername not in ("redis", "rediss") or not url.host:
        raise ServiceError(f"{REDIS}: no address of Redis. It looks like {_TIDY_REDIS}.")
    return url


def _parsed(name: str, address: SecretStr, tidy: str) -> URL:
    try:
        return make_url(address.get_secret_value())
    except (ArgumentError, ValueError):  # the second where the port is no number; both repeat the address
        raise ServiceError(f"{name}: no address that can be understood. It looks like {tidy}.") from None


async def _check_postgresql(url: URL) -> None:
    import asyncpg

    where = f"{DATABASE}: {url.host}:{url.port}"
    try:
        connection = await asyncpg.connect(
            host=url.host,
            port=url.port,
            user=url.username,
            password=url.password,
            database=url.database,
            ssl=url.query.get("ssl"),
            timeout=CONNECT_TIMEOUT,
        )
    except asyncpg.InvalidPasswordError:
        raise ServiceError(
            f"{where} refuses the user {url.username!r} with this password. Correct the address, or the user's password there."
        ) from None
    except asyncpg.InvalidCatalogNameError:
        raise ServiceError(
            f"{where} has no database {url.database!r}. Make it: CREATE DATABASE {url.database} OWNER {url.username}."
        ) from None
    except asyncpg.PostgresError as error:
        raise ServiceError(
            f"{where} doesn't let {url.username!r} into {url.database!r} ({error}). Correct the address, or what the server lets in."
        ) from None
    except (OSError, TimeoutError, asyncpg.InterfaceError, ValueError) as error:
        raise ServiceError(
            f"{where} doesn't answer ({_reason(error)}). Start PostgreSQL (infra/services.sh starts one), or correct the address."
        ) from None
    try:
        await _check_contents(connection, where, url)
    finally:
        await connection.close()


async def _check_contents(connection: Any, where: str, url: URL) -> None:
    if connection.get_server_version() < (OLDEST_POSTGRESQL // 10_000,):
        raise ServiceError(f"{where} is PostgreSQL {connection.get_server_version().major}; 13 or newer is needed.")
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        if not await connection.fetchval("SELECT has_schema_privilege(current_schema(), 'CREATE')"):
            raise ServiceError(
                f"{where}: {url.username!r} may make no tables in {url.database!r}. "
                f"Give them to each other: ALTER DATABASE {url.database} OWNER TO {url.username}."
            )
        return
    revision = await connection.fetchval("SELECT version_num FROM alembic_version")
    if revision is not None and revision not in set(revisions()):
        raise ServiceError(
            f"{where}: {url.database!r} was made by another version of Prefect, newer than the one that is installed here. Install that "
            "version of Cropline, or name a database of its own."
        )


def revisions() -> Iterator[str]:
    """Versions of a PostgreSQL database that the installed Prefect knows, each written in the file that leads to it."""
    package = find_spec("prefect")
    folder = Path(str(package.origin)).parent if package else Path()
    for file in (folder / "server" / "database" / "_migrations" / "versions" / "postgresql").glob("*.py"):
        if written := re.search(
            r"""^revision(?:: str)? = ["'](\w+)["']""", file.read_text(encoding="utf-8"), re.MULTILINE
        ):
            yield written[1]


def _check_redis(address: str) -> None:
    import redis

    url = make_url(address)
    where = f"{REDIS}: {url.host}:{url.port or 6379}"
    try:
        with redis.Redis.from_url(
            address, socket_connect_timeout=CONNECT_TIMEOUT, socket_timeout=CONNECT_TIMEOUT
        ) as client:
            facts = {**client.info("server"), **client.info("memory")}
    except (redis.AuthenticationError, redis.exceptions.NoPermissionError, redis.ResponseError):
        raise ServiceError(f"{where} refuses this password. Correct the address, or what the server lets in.") from None
    except (redis.RedisError, OSError, ValueError) as error:
        raise ServiceError(
            f"{where} doesn't answer ({_reason(error)}). Start Redis (infra/services.sh starts one), or correct the address."
        ) from None
    version = str(facts["redis_version"])
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST_REDIS:
        raise ServiceError(f"{where} is Redis {version}; {'.'.join(map(str, OLDEST_REDIS))} or newer is needed.")
    policy = str(facts.get("maxmemory_policy", "noeviction"))
    if policy.startswith("allkeys"):
        raise ServiceError(
            f"{where} forgets what it holds where memory runs short (maxmemory-policy {policy}), and events would be lost. "
            "Set it to noeviction."
        )


def _reason(error: Exception) -> str:
    """What a driver says of the way to its server; neither repeats an address's password."""
    return " ".join(str(error).split()) or type(error).__name__
