"""Routes that this store's server has beside Prefect's own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from fastapi import FastAPI


def add_to_server(*additions: Callable[[FastAPI], None]) -> None:
    """Let the application that Prefect makes in this process have further routes; each addition may be called again for the same one."""
    from prefect.server.api import server

    made = server.create_app

    @wraps(made)
    def create_app(*given: Any, **named: Any) -> FastAPI:
        app = made(*given, **named)
        for add in additions:
            add(app)
        return app

    server.create_app = create_app
