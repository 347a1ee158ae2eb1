"""Web servers on addresses of this machine that redirect, and networks that are what a test says they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import catalog.networks
import catalog.sources.stac.web
import catalog.storage.pixels
from catalog.networks import Network
from catalog.storage.relay import Relay

PUBLIC, INSIDE = "127.0.0.1", "127.0.0.2"
"""Addresses that `pretended` takes for one of the public network and one of this machine."""


def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `PUBLIC` be an address of the public network; every other one is what it is."""
    real = catalog.networks.network_of

    def network_of(address: str) -> Network:
        return Network.PUBLIC if address == PUBLIC else real(address)

    # Answers of the name service are remembered.
    monkeypatch.setattr(catalog.networks, "_networks_of_host", catalog.networks._networks_of_host.__wrapped__)
    for module in (catalog.networks, catalog.sources.stac.web):
        monkeypatch.setattr(module, "network_of", network_of)
    relay = Relay()  # of this process, which alone pretends
    monkeypatch.setattr(catalog.storage.pixels, "the_relay", lambda: relay)


class Web:
    """Files over HTTP. ``moved``: where a path redirects to; ``asked``: the paths that were asked for."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.moved: dict[str, str] = {}
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer((host, 0), type("Handler", (_Handler,), {"web": self}))
        self._server.daemon_threads = True
        self.address = f"http://{host}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def served(folder: Path, host: str = PUBLIC) -> Iterator[Web]:
    web = Web(folder, host)
    try:
        yield web
    finally:
        web.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.web.asked.append(self.path)
        if path in self.web.moved:
            self._answer(302, b"", {"Location": self.web.moved[path]})
        elif not (file := self.web.folder / path.lstrip("/")).is_file():
            self._answer(404, b"")
        else:
            content = file.read_bytes()
            first, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
            part = content[int(first) : int(last or len(content)) + 1]
            headers = {"Content-Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"}
            self._answer(206 if "Range" in self.headers else 200, part, headers if "Range" in self.headers else {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Accept-Ranges": "bytes", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
