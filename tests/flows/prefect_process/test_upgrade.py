"""A server on PostgreSQL over its life: the database of an older Prefect is migrated, backed up, lost and put back."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from installation_kit import Installation, wait_until
from services_kit import call, environment, needs_packages, services_folder

from catalog.storage.store import Store
from flows.own_server import read_secret
from flows.prefect_process.api import Api
from flows.prefect_process.server_file import read_services

OLDER = "3b86c5ea017a"
"""The last revision of June 2025: what servers of Prefect 3.4 wrote, before migrations that also move data."""

HELD = "INSERT INTO variable (name, value) VALUES ('of_before', '\"kept\"')"


def psql(database: str, statement: str) -> str:
    done = subprocess.run(
        ["psql", "-X", "-A", "-t", "-d", database, "-c", statement], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def answers(root: Path) -> bool:
    services = read_services(Store(root))
    return services is not None and Api(services.api, read_secret(root / "prefect")).answers()


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.services
@pytest.mark.timeout(1800)
def test_an_older_database_is_migrated_backed_up_and_put_back(
    tmp_path: Path,
    run_command: Callable[..., Any],
    environment_of: Callable[..., dict[str, str]],
) -> None:
    needs_packages()
    with services_folder() as folder:
        assert call("start", str(folder)).returncode == 0
        settings = environment(folder)
        database = settings["CROPLINE_DATABASE"]
        env = environment_of(tmp_path / "store", PREFECT_HOME=str(tmp_path / "home"), **settings)
        address = database.replace("postgresql://", "postgresql+asyncpg://")
        made = subprocess.run(
            [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y", "-r", OLDER],
            env={**env, "PREFECT_SERVER_DATABASE_CONNECTION_URL": address},
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        psql(database, HELD)
        assert psql(database, "SELECT version_num FROM alembic_version") == OLDER

        def run(*words: str) -> Any:
            return run_command(*words, cwd=tmp_path, env=env, timeout=900)

        words = [str(Path(sys.executable).with_name("cropline")), "up", "--foreground", "server"]
        server = subprocess.Popen(words, cwd=tmp_path, env=env)
        try:
            installation = Installation(tmp_path, env, run_command)
            wait_until(lambda: answers(tmp_path / "store"), 900, "the server answers")
            assert psql(database, "SELECT version_num FROM alembic_version") != OLDER
            assert installation.ask("variables/name/of_before", None)["value"] == "kept"
            installation.ask("variables/", {"name": "of_now", "value": 1})
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(120)

        done = run("cropline", "backup", "backups")
        assert done.returncode == 0, done.stderr
        backup = done.stdout.strip()
        refused = run("cropline", "restore", backup)
        assert refused.returncode == 1
        assert "is not empty, and nothing is overwritten" in refused.stderr
        shutil.rmtree(tmp_path / "store")
        refused = run("cropline", "restore", backup)
        assert "dropdb cropline && createdb --owner cropline cropline" in refused.stderr
        psql(database, "DROP SCHEMA public CASCADE")
        psql(database, "CREATE SCHEMA public")
        done = run("cropline", "restore", backup)
        assert done.returncode == 0, done.stderr
        assert psql(database, "SELECT value FROM variable WHERE name = 'of_now'") == "1"
        assert (tmp_path / "store" / "prefect" / "secret").is_file()
