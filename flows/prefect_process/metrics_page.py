"""A route of this store's server: the metrics that Prometheus asks for, in the API, which asks everybody for the secret.

Prefect's own page has what this process counted; this one takes its place and has that and the installation's metrics. It is called in a
thread: some of what it tells it asks of this very server.
"""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from catalog.errors import CroplineError
from catalog.guards.environment import variable
from catalog.storage.store import open_store
from flows.own_server import own_secret, own_server, store_folder
from flows.prefect_process.api import Api
from flows.prefect_process.metrics import exposition

PATH = "/metrics"
"""Below the address of the API."""


def add_metrics(app: FastAPI) -> None:
    """Let the API of the server's application have the route, once."""
    api: FastAPI = app.api_app  # type: ignore[attr-defined]  # Prefect puts it there
    if not any(getattr(route, "path", None) == PATH for route in api.router.routes):
        api.add_api_route(PATH, metrics, methods=["GET"], response_class=PlainTextResponse)


def metrics() -> Response:
    """Metrics of the installation and of the server's process, for Prometheus."""
    try:
        store = open_store(str(store_folder()), variable("CROPLINE_CUBES"), create=False)
        address = own_server()
        page = exposition(store, None if address is None else Api(address, own_secret()))
    except CroplineError as error:
        return PlainTextResponse(f"{error}\n", 503)
    return Response(generate_latest(REGISTRY) + page, media_type=CONTENT_TYPE_LATEST)
