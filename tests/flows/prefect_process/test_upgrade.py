"""A server on PostgreSQL over its life: the database of an older Prefect is migrated, backed up, lost and put back."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from installation_kit import Installation
from services_kit import call, environment, needs_packages, services_folder

OLDER = "3b86c5ea017a"
"""The last revision of June 2025: what servers of Prefect 3.4 wrote, before migrations that also move data."""

HELD = "INSERT INTO variable (name, value) VALUES ('of_before', '\"kept\"')"


def psql(database: str, statement: str) -> str:
    done = subprocess.run(
        ["psql", "-X", "-A", "-t", "-d", database, "-c", statement], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.services
@pytest.mark.timeout(1800)
def test_an_older_database_is_migrated_backed_up_and_put_back(
    tmp_path: Path,
    parameters: dict[str, Any],
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

        (tmp_path / "aoi.json").write_text(json.dumps({**parameters, "output": "map"}))
        installation = Installation(tmp_path, env, run_command)

        def run(*words: str) -> str:
            done = installation.run(*words)
            assert done.returncode == 0, done.stdout + done.stderr
            return str(done.stdout)

        try:
            run("cropline", "up")
            assert psql(database, "SELECT version_num FROM alembic_version") != OLDER
            assert installation.ask("variables/name/of_before", None)["value"] == "kept"
            installation.ask("variables/", {"name": "of_now", "value": 1})
            backup = Path(run("cropline", "backup", "backups").strip())
            queues = installation.ask("work_pools/cropline/queues/filter", {})
            assert {queue["name"]: queue["is_paused"] for queue in queues if queue["name"] != "default"} == {
                "interactive": False, "scheduled": False,
            }  # fmt: skip
            run("cropline", "down")

            refused = installation.run("cropline", "restore", str(backup))
            assert refused.returncode == 1
            assert "is not empty, and nothing is overwritten" in refused.stderr
            shutil.rmtree(tmp_path / "store")
            refused = installation.run("cropline", "restore", str(backup))
            assert "dropdb cropline && createdb --owner cropline cropline" in refused.stderr
            psql(database, "DROP SCHEMA public CASCADE")
            psql(database, "CREATE SCHEMA public")
            run("cropline", "restore", str(backup))
            run("cropline", "up")
            assert installation.ask("variables/name/of_now", None)["value"] == 1
        finally:
            installation.run("cropline", "down")
