"""The database of a temporary server, made at once from a script of what Prefect's own migrations make in seconds.

The script comes with the software, one for the version of Prefect that is pinned. It is text, so that what changes in it can be
read. ``python -m flows.prefect_process.database`` writes it anew for the version that is installed, and removes the others.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from catalog.storage.scratch import scratch_folder

FOLDER = Path(__file__).parent

_ORIGIN = "-- Empty database of the server of Prefect {} (Prefect Technologies, Inc., Apache License 2.0), as its migrations make it."
"""First line of a script."""

_MIGRATE = """
import asyncio
from prefect.server.database import provide_database_interface
asyncio.run(provide_database_interface().create_db())
"""


def script_of(prefect: str) -> Path:
    """The file of the script that makes an empty database of this version of Prefect."""
    return FOLDER / f"prefect-{prefect}.sql"


def make_database(file: Path, prefect: str | None = None) -> bool:
    """Make an empty database at the newest revision of the version of Prefect, by default the installed one.

    False, and no file, where no script for this version comes with the software or where it can't be run: Prefect then makes
    the database itself.
    """
    try:
        script = script_of(prefect or version("prefect")).read_text(encoding="utf-8")
        with closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA journal_mode = WAL")  # as Prefect makes it
            database.executescript(script)
            database.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    except (OSError, sqlite3.Error, TypeError):  # the last where no revision is in it
        for rest in file.parent.glob(f"{file.name}*"):
            rest.unlink()
        return False
    return True


def migrated() -> str:
    """The script of a database that the installed Prefect has migrated just now; takes seconds.

    Raises `subprocess.CalledProcessError` where Prefect can't.
    """
    with scratch_folder("prefect") as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        # Alembic orders constraints by hash.
        environment |= {"PREFECT_HOME": str(folder), "PYTHONHASHSEED": "0", "DO_NOT_TRACK": "1"}
        subprocess.run([sys.executable, "-c", _MIGRATE], env=environment, cwd=folder, check=True)  # noqa: S603
        with closing(sqlite3.connect(folder / "prefect.db")) as database:
            lines = [line.rstrip() for line in "\n".join(database.iterdump()).splitlines()]
    return "\n".join([_ORIGIN.format(version("prefect")), *lines, ""])


if __name__ == "__main__":
    for old in FOLDER.glob("prefect-*.sql"):
        old.unlink()
    script_of(version("prefect")).write_text(migrated(), encoding="utf-8")
