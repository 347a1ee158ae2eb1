"""Transactions of Prefect's server that wait for one another instead of failing: many requests at once are then only slow.

Prefect begins a transaction that writes as a reader (``BEGIN DEFERRED``). SQLite refuses to make a writer of it when another one has
written meanwhile, however long it may wait: of 100 posts at once most failed again and again. Begun as a writer (``BEGIN IMMEDIATE``),
each waits for its turn, and all 100 were taken in seconds. Reads are begun without either. And a session that is opened inside a
transaction, as where Prefect tells that a queue was paused, begins as a reader: it would wait for its own transaction's end.

SQLAlchemy loads this by a name in the database's address, see `CreateEnginePlugin`.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.dialects import plugins
from sqlalchemy.engine import CreateEnginePlugin

NAME = "cropline_waits"

POOL_TIMEOUT = 300.0
"""Seconds that a request waits for one of the few connections; what is refused after less is only asked again."""


class WaitingForLocks(CreateEnginePlugin):
    """Makes transactions of an engine writers from their start."""

    def update_url(self, url: URL) -> URL:
        return url  # the plugin's name is taken out by SQLAlchemy, and it has no options

    def handle_pool_kwargs(self, pool_cls: type[Any], pool_args: dict[str, Any]) -> None:  # noqa: ARG002
        pool_args["timeout"] = POOL_TIMEOUT

    def engine_created(self, engine: Engine) -> None:
        event.listen(engine, "before_cursor_execute", _begin, retval=True)
        event.listen(engine, "commit", _ended)
        event.listen(engine, "rollback", _ended)


@dataclass
class _Transaction:
    """One that writes; those who do something for it have it in their context."""

    is_open: bool = True


_around: ContextVar[_Transaction | None] = ContextVar("transaction", default=None)


def _begin(
    connection: Connection,
    cursor: Any,  # noqa: ARG001 - the event's arguments
    statement: str,
    parameters: Any,
    context: Any,  # noqa: ARG001
    executemany: bool,  # noqa: ARG001
) -> tuple[str, Any]:
    if statement in ("BEGIN DEFERRED", "BEGIN IMMEDIATE"):
        around = _around.get()
        if around is not None and around.is_open:
            return "BEGIN DEFERRED", parameters
        connection.info[_Transaction] = transaction = _Transaction()
        _around.set(transaction)
        return "BEGIN IMMEDIATE", parameters
    return statement, parameters


def _ended(connection: Connection) -> None:
    if transaction := connection.info.pop(_Transaction, None):
        transaction.is_open = False


def address_of(file: Path) -> str:
    """Address of a database whose engines wait, in processes that called `register`."""
    url = URL.create("sqlite+aiosqlite", database=str(file), query={"plugin": NAME})
    return url.render_as_string()


def register() -> None:
    """Let SQLAlchemy find the plugin in this process."""
    plugins.register(NAME, __name__, WaitingForLocks.__name__)
