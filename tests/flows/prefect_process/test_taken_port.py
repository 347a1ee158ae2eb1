"""A port that was free a moment ago, and where another store's server answers by now."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from catalog.storage.store import Store
from flows.own_server import authorization
from flows.prefect_process import services
from flows.prefect_process.api import ServiceError
from flows.prefect_process.server_file import ProcessMark, Services


@contextmanager
def _server_of(secret: str) -> Iterator[Services]:
    """What a server answers whose health anybody may ask for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers.get("Authorization") == authorization(secret)["Authorization"]
            self.send_response(200 if known or self.path.endswith("/health") else 401)
            self.end_headers()
            self.wfile.write(b"true")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    ui = f"http://127.0.0.1:{server.server_port}"
    try:
        yield Services(api=f"{ui}/api", ui=ui)
    finally:
        server.shutdown()
        server.server_close()


ENDED = ProcessMark(pid=psutil.Process().pid, started=0)


def _start(store: Store, port: int | None, answers: list[tuple[Services, ProcessMark]], told: list[str]) -> Services:
    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(services, "_server", lambda *_: answers.pop(0))
        return services._answering_server(
            store, port, {}, services.database_of(_Settings(), store), "cropline:own", told.append
        )


class _Settings:
    database = redis = None


def test_the_server_is_started_again_at_another_port(tmp_path: Path) -> None:
    runs, told = ProcessMark.of(psutil.Process()), list[str]()
    with _server_of("cropline:other") as other, _server_of("cropline:own") as own:
        assert _start(Store(tmp_path), None, [(other, ENDED), (own, runs)], told) == own
    assert f"another server answers at {other.ui}" in told


def test_whoever_took_the_port_need_not_answer(tmp_path: Path) -> None:
    runs, told = ProcessMark.of(psutil.Process()), list[str]()
    store = Store(tmp_path)
    store.prefect.mkdir()
    (store.prefect / "server.log").write_text(
        "ERROR | uvicorn.error - [Errno 98] error while attempting to bind: address already in use\n"
    )
    silent = Services(api="http://127.0.0.1:9/api", ui="http://127.0.0.1:9")
    with _server_of("cropline:own") as own:
        assert _start(store, None, [(silent, ENDED), (own, runs)], told) == own


def test_a_server_without_a_port_that_never_ends_is_stopped(tmp_path: Path) -> None:
    """As one whose loops wait for PostgreSQL and Redis: it has said that the port is taken, and runs on."""
    store, runs = Store(tmp_path), ProcessMark.of(psutil.Process())
    store.prefect.mkdir()
    (store.prefect / "server.log").write_text("Port 4200 is already in use. Please specify a different port\n")
    hangs = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    silent = Services(api="http://127.0.0.1:9/api", ui="http://127.0.0.1:9")
    with hangs, _server_of("cropline:own") as own:
        mark = ProcessMark.of(psutil.Process(hangs.pid))
        assert _start(store, None, [(silent, mark), (own, runs)], []) == own
        assert not mark.runs()


@pytest.mark.parametrize(
    ("port", "starts"), [(4200, 1), (None, 3)], ids=["a port that was asked for", "again and again"]
)
def test_it_is_said_where_that_does_not_help(port: int | None, starts: int, tmp_path: Path) -> None:
    with _server_of("cropline:other") as other:
        answers = [(other, ENDED)] * starts
        with pytest.raises(ServiceError, match="the server did not start"):
            _start(Store(tmp_path), port, answers, [])
    assert answers == []
