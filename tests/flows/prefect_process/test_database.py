"""The script of the temporary server's database: what Prefect's migrations make, or nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from flows.prefect_process import database


def test_script_of_the_installed_prefect_is_what_its_migrations_make() -> None:
    """After a change of Prefect's version: `python -m flows.prefect_process.database` writes the new one."""
    script = database.script_of(version("prefect"))
    assert script.is_file(), "no script for this version of Prefect"
    shipped, migrated = (
        sorted(line.rstrip(", ") for line in text.splitlines()) for text in (script.read_text(), database.migrated())
    )
    assert shipped == migrated, "but for the order of constraints"
    assert [file.name for file in database.FOLDER.glob("*.sql")] == [script.name], "and no other is kept"


def test_database_is_empty_and_at_the_newest_revision(tmp_path: Path) -> None:
    from alembic.script import ScriptDirectory
    from prefect.server.database import provide_database_interface
    from prefect.server.database.alembic_commands import alembic_config

    revisions_of_prefect = ScriptDirectory.from_config(alembic_config())
    revisions_of_prefect.version_locations = [str(provide_database_interface().orm.versions_dir)]  # as its env.py does
    assert database.make_database(tmp_path / "prefect.db")
    with closing(sqlite3.connect(tmp_path / "prefect.db")) as made:
        revisions = [row[0] for row in made.execute("SELECT version_num FROM alembic_version")]
        assert revisions == revisions_of_prefect.get_heads()
        assert made.execute("SELECT count(*) FROM flow_run").fetchone() == (0,)
        assert made.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_other_version_of_prefect_gets_none(tmp_path: Path) -> None:
    assert not database.make_database(tmp_path / "prefect.db", "99.0.0")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "no revision", "empty"])
def test_damaged_script_gives_none(damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = database.script_of(version("prefect")).read_text()
    damaged = {
        "cut": text[: len(text) // 2],
        "no revision": "".join(line for line in text.splitlines(True) if "INSERT" not in line),
        "empty": "",
    }[damage]
    monkeypatch.setattr(database, "FOLDER", tmp_path / "scripts")
    (tmp_path / "scripts").mkdir()
    database.script_of(version("prefect")).write_text(damaged)
    assert not database.make_database(tmp_path / "prefect.db")
    assert [file.name for file in tmp_path.iterdir()] == ["scripts"]
