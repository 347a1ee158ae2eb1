"""What keeps a service from answering is said in words, whoever wraps it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

from catalog.sources.connections import connection_words


def failure(url: str) -> BaseException:
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=Retry(total=1)))
    try:
        session.get(url, timeout=0.3)
    except requests.RequestException as error:
        try:
            raise RuntimeError("wrapped") from error
        except RuntimeError as wrapped:
            return wrapped
    pytest.fail("it answered")


@contextmanager
def listening(*, closes: bool) -> Iterator[int]:
    """The port of a server that closes each connection at once, or that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def work() -> None:
            with suppress(OSError):  # closed
                while True:
                    server.accept()[0].close()

        if closes:
            threading.Thread(target=work, daemon=True).start()
        yield server.getsockname()[1]


def test_failures_of_connections_have_words() -> None:
    assert connection_words(failure("http://127.0.0.1:9/x")) == "127.0.0.1:9: Connection refused"
    assert connection_words(failure("http://nowhere.invalid/")) == "the name nowhere.invalid can't be resolved"
    with listening(closes=False) as port:
        assert connection_words(failure(f"http://127.0.0.1:{port}/")) == f"127.0.0.1:{port} doesn't answer in time"
    with listening(closes=True) as port:
        where = f"127.0.0.1:{port}"
        assert connection_words(failure(f"http://{where}/")) == f"{where} closes the connection without an answer"


def test_a_service_without_a_valid_certificate_is_named() -> None:
    with listening(closes=True) as port:
        said = connection_words(failure(f"https://127.0.0.1:{port}/"))
    assert said is not None
    assert f"127.0.0.1:{port}" in said


def test_other_errors_have_none() -> None:
    assert connection_words(ValueError("no JSON")) is None
