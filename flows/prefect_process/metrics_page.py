"""A route of this store's server, beside Prefect's API: the metrics, for whoever has the word that opens this page and nothing else.

Prometheus needs to know no more than that: the server's secret lets its holder run code. The page is made in a thread, since some of what
it tells is asked of this very server.
"""

from __future__ import annotations

import hmac

from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from catalog.errors import CroplineError
from catalog.guards.environment import variable
from catalog.storage.store import open_store
from flows.own_server import METRICS, key_for, own_secret, own_server, store_folder
from flows.prefect_process.api import Api
from flows.prefect_process.metrics import exposition


def add_metrics(app: FastAPI) -> None:
    """Let the server's application have the route, once."""
    if not any(isinstance(route, Route) and route.path == METRICS for route in app.router.routes):
        app.router.routes.insert(0, Route(METRICS, metrics))  # before the UI, which has all that is left


def metrics(request: Request) -> Response:
    """Metrics of the installation and of the server's process, for Prometheus."""
    secret, shown = own_secret(), request.headers.get("Authorization", "")
    if secret is None or not hmac.compare_digest(shown.encode(), f"Bearer {key_for(secret, METRICS)}".encode()):
        words = "The metrics ask for their key: `cropline metrics --key` prints it.\n"
        return PlainTextResponse(words, 401, {"WWW-Authenticate": "Bearer"})
    try:
        store = open_store(str(store_folder()), variable("CROPLINE_CUBES"), create=False)
        address = own_server()
        page = exposition(store, None if address is None else Api(address, secret))
    except CroplineError as error:
        return PlainTextResponse(f"{error}\n", 503)
    return Response(generate_latest(REGISTRY) + page, media_type=CONTENT_TYPE_LATEST)
