"""A route of this store's server, beside the Prefect UI: hands out the files of listed deliveries, and can change nothing.

Browsers follow no link from a server's page to a file. A delivery is found by its name and by the word in its address
(`flows.delivery_address.key_of`); of its folder only what its item names is there.
"""

from __future__ import annotations

import hmac

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from catalog.delivered_maps import delivered_files, listed_folder
from catalog.guards.addresses import split_address
from catalog.storage.store import open_store
from flows.delivery_address import PATH, key_of
from flows.own_server import own_secret, public_address, store_folder

REPORT = "report.html"

FILE_HEADERS = {
    # The page gets an origin of its own: it shares the server's address, and the UI keeps the secret in its own origin's storage.
    "Content-Security-Policy": "sandbox allow-scripts allow-downloads allow-popups allow-popups-to-escape-sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # a delivery may be replaced
}
"""Headers of a delivery's files: a report is somebody's page, and gets no say about the address that it is served from."""

_HERE = ["127.0.0.1", "localhost"]


def add_deliveries(app: FastAPI) -> None:
    """Let the server's application have the route, once."""
    if not any(isinstance(route, Mount) and route.path == PATH for route in app.router.routes):
        app.router.routes.insert(0, Mount(PATH, app=files()))  # before the UI, which has all that is left


def files() -> ASGIApp:
    """The application below `PATH`. A page elsewhere whose name leads to this machine gets no answer, but that of the public address."""
    routes = [Route("/{name}/{key}/{file:path}", _file), Route("/{name}/{key}", _file)]
    public = split_address(public_address() or "", ValueError).hostname
    hosts = _HERE if public is None else [*_HERE, public]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)])


def _file(request: Request) -> Response:
    """A file of a delivery; the report where none is named."""
    name, key, file = (str(request.path_params.get(part, "")) for part in ("name", "key", "file"))
    secret = own_secret()
    if secret is None or not hmac.compare_digest(key.encode(), key_of(secret, name).encode()):
        raise HTTPException(404, "No such delivery.")
    if not file:
        return RedirectResponse(f"{PATH}/{name}/{key}/{REPORT}")
    folder = listed_folder(open_store(str(store_folder()), create=False), name)
    if folder is None or file not in delivered_files(folder) or not (folder / file).is_file():
        raise HTTPException(404, "No such file in this delivery.")
    return FileResponse(folder / file, headers=FILE_HEADERS)
