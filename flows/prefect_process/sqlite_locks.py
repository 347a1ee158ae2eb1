"""Transactions of Prefect's server that wait for one another instead of failing: many requests at once are then only slow.

Prefect begins a transaction that writes as a reader (``BEGIN DEFERRED``). SQLite refuses to make a writer of it when another one has
written meanwhile, however long it may wait: of 100 posts at once most failed again and again. Begun as a writer (``BEGIN IMMEDIATE``),
each waits for its turn, and all 100 were taken in seconds. Reads are begun without either.

SQLAlchemy loads this by a name in the database's address, see `CreateEnginePlugin`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, event
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
        event.listen(engine, "before_cursor_execute", _at_once, retval=True)


def _at_once(
    connection: Any,  # noqa: ARG001 - the event's arguments
    cursor: Any,  # noqa: ARG001
    statement: str,
    parameters: Any,
    context: Any,  # noqa: ARG001
    executemany: bool,  # noqa: ARG001
) -> tuple[str, Any]:
    return ("BEGIN IMMEDIATE" if statement == "BEGIN DEFERRED" else statement), parameters


def address_of(file: Path) -> str:
    """Address of a database whose engines wait, in processes that called `register`."""
    url = URL.create("sqlite+aiosqlite", database=str(file), query={"plugin": NAME})
    return url.render_as_string()


def register() -> None:
    """Let SQLAlchemy find the plugin in this process."""
    plugins.register(NAME, __name__, WaitingForLocks.__name__)
