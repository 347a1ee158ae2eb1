"""Transactions wait for one another, and never for themselves."""

from __future__ import annotations

import contextvars
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import OperationalError

from flows.prefect_process.sqlite_locks import address_of, register


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine that begins as Prefect's does, and doesn't wait for locks."""
    with sqlite3.connect(tmp_path / "prefect.db") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE runs (name TEXT)")
    register()
    address = address_of(tmp_path / "prefect.db").replace("+aiosqlite", "")
    engine = create_engine(address, connect_args={"timeout": 0, "isolation_level": None})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN DEFERRED"))
    return engine


def _in_a_task_of_its_own(call: Any) -> Any:
    return contextvars.Context().run(call)


def _write(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO runs VALUES ('a map')")


def test_a_transaction_is_a_writer_from_its_start(engine: Engine) -> None:
    with engine.begin(), pytest.raises(OperationalError, match="locked"):
        _in_a_task_of_its_own(lambda: _write(engine))
    _in_a_task_of_its_own(lambda: _write(engine))


def test_a_session_inside_a_transaction_does_not_wait_for_it(engine: Engine) -> None:
    with engine.begin() as outer:
        outer.exec_driver_sql("INSERT INTO runs VALUES ('another map')")
        with engine.begin() as inner:
            assert inner.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 0
    with engine.begin() as after:
        assert after.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 1
        with pytest.raises(OperationalError, match="locked"):
            _in_a_task_of_its_own(lambda: _write(engine))


def test_a_transaction_that_failed_is_over(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), engine.begin():
        raise ZeroDivisionError
    with engine.begin(), pytest.raises(OperationalError, match="locked"):
        _in_a_task_of_its_own(lambda: _write(engine))
