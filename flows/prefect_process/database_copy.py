"""Copies of the server's database: by `pg_dump` and `pg_restore`, or by SQLite itself, while others write to it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, make_url

from catalog.storage.system_errors import refusal
from catalog.storage.whole import file_aside
from flows.prefect_process.api import ServiceError
from flows.prefect_process.programs import ProgramMissingError, run_program
from flows.prefect_process.server_database import CONNECT_TIMEOUT, Database

POSTGRESQL_FILE, SQLITE_FILE = "database.dump", "database.sqlite"
"""Names in a backup."""

PACKAGE = "postgresql-client"


def copy_database(database: Database, folder: Path) -> bool:
    """Copy the database into a folder, as it is at one moment. False where there is none yet. Raises `ServiceError`."""
    url = _url(database)
    if database.is_shared:
        words, secrets = _connected("pg_dump", url)
        run_program(
            [*words, "--format=custom", "--no-owner", f"--file={folder / POSTGRESQL_FILE}", _name(url)],
            PACKAGE,
            secrets,
        )
        return True
    source = Path(str(url.database))
    if not source.is_file() or not source.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(source)) as held, closing(sqlite3.connect(folder / SQLITE_FILE)) as copy:
            held.backup(copy)
    except sqlite3.Error as error:
        raise ServiceError(f"{source} can't be copied: {refusal(error, folder)}, and run again.") from error
    return True


def check_empty(database: Database, backup: Path) -> None:
    """Raise `ServiceError` where the backup's database can't be put back: it is of the other kind, or something is in the way."""
    url = _url(database)
    name = POSTGRESQL_FILE if database.is_shared else SQLITE_FILE
    if not (backup / name).is_file():
        other = (
            "SQLite: unset CROPLINE_DATABASE"
            if database.is_shared
            else "PostgreSQL: set CROPLINE_DATABASE to an empty one"
        )
        raise ServiceError(f"the backup's database is of {other}.")
    if database.is_shared:
        if asyncio.run(_has_tables(url)):
            raise ServiceError(
                f"the database {url.database!r} at {url.host}:{url.port} is not empty, and nothing is overwritten. Make it anew: "
                f"dropdb {url.database} && createdb --owner {url.username} {url.database}"
            )
    elif (file := Path(str(url.database))).exists():
        raise ServiceError(f"{file} is there, and nothing is overwritten. Move it away first.")


def put_database(database: Database, backup: Path) -> None:
    """Put a copy into the empty database: all of it or nothing. Raises `ServiceError`."""
    url = _url(database)
    if database.is_shared:
        words, secrets = _connected("pg_restore", url)
        whole = ["--no-owner", "--no-comments", "--exit-on-error", "--single-transaction", f"--dbname={_name(url)}"]
        run_program([*words, *whole, str(backup / POSTGRESQL_FILE)], PACKAGE, secrets)
        return
    file = Path(str(url.database))
    try:
        with file_aside(file) as new:
            with closing(_kept(backup / SQLITE_FILE)) as held, closing(sqlite3.connect(new)) as copy:
                held.backup(copy)
            new.chmod(0o600)
    except sqlite3.Error as error:
        raise ServiceError(f"{file} can't be written: {refusal(error, file)}, and restore again.") from error


def check_copy(database: Database, backup: Path) -> None:
    """Read a backup's copy of the database to its end. Raises `ServiceError` where it is damaged."""
    file = backup / (POSTGRESQL_FILE if database.is_shared else SQLITE_FILE)
    try:
        if database.is_shared:
            run_program(["pg_restore", "--file=/dev/null", str(file)], PACKAGE)
        else:
            _check_sqlite(file)
    except ProgramMissingError:
        raise
    except (sqlite3.Error, ServiceError) as error:
        raise ServiceError(
            f"{file} can't be read to its end, and nothing was restored. Take another backup: ls {backup.parent}\n{error}"
        ) from error


def _check_sqlite(file: Path) -> None:
    with closing(_kept(file)) as held:
        said = [str(row[0]) for row in held.execute("PRAGMA quick_check(3)")]
        if said != ["ok"]:
            raise sqlite3.DatabaseError("; ".join(said))
        if held.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            raise sqlite3.DatabaseError("it holds no table")


def _kept(file: Path) -> sqlite3.Connection:
    """A copy, opened so that nothing is written beside it: a backup may be read only."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


async def _has_tables(url: URL) -> bool:
    import asyncpg

    connection = await asyncpg.connect(
        host=url.host, port=url.port, user=url.username, password=url.password, database=url.database,
        ssl=url.query.get("ssl"), timeout=CONNECT_TIMEOUT,
    )  # fmt: skip
    try:
        return bool(
            await connection.fetchval(
                "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema()"
            )
        )
    finally:
        await connection.close()


def _url(database: Database) -> URL:
    return make_url(database.variables["PREFECT_SERVER_DATABASE_CONNECTION_URL"])


def _connected(program: str, url: URL) -> tuple[list[str], dict[str, str]]:
    """The program's first words, and what it finds in its environment: nobody may read a password in a command line."""
    words = [program, f"--host={url.host}", f"--port={url.port}", f"--username={url.username}", "--no-password"]
    ssl = url.query.get("ssl")
    secrets = {
        **({"PGPASSWORD": str(url.password)} if url.password else {}),
        **({"PGSSLMODE": str(ssl)} if ssl else {}),
    }
    return words, secrets


def _name(url: URL) -> str:
    return str(url.database)
