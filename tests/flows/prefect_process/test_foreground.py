"""A service in the foreground: this process becomes what `cropline up` would start, with the same words and environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog.storage.store import Store, open_store
from flows.own_server import own_pages, own_server, read_secret
from flows.prefect_process import foreground, processes, services
from flows.prefect_process.api import Api, ServiceError
from flows.prefect_process.foreground import Ports, become
from flows.prefect_process.server_file import read_services
from flows.settings import Settings

PUBLIC = "https://maps.example.org"


class Became(BaseException):
    """The process is another one from here on."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self.words, self.environment = words, environment
        self.umask = os.umask(0)
        os.umask(self.umask)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    def execute(path: str, words: list[str], environment: dict[str, str]) -> None:
        assert path == words[0]
        raise Became(words, environment)

    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("CROPLINE_PUBLIC_URL", PUBLIC)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execve", execute)
    umask = os.umask(0o022)
    yield open_store(str(tmp_path / "store"))
    os.umask(umask)


def started(part: processes.Service, **settings: Any) -> Became:
    with pytest.raises(Became) as became:
        become(part, Settings(**settings), Ports(port=4317 if part == "server" else None), lambda _: None)
    return became.value


def test_a_server_is_found_by_commands_and_asks_for_the_secret(store: Store) -> None:
    server = started("server")
    assert server.words[1:] == [
        "-m",
        "flows.prefect_process.server",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        "4317",
    ]
    secret = read_secret(store.prefect)
    assert secret is not None
    assert server.environment["PREFECT_SERVER_API_AUTH_STRING"] == secret
    assert not [word for word in server.words if secret in word]
    assert own_server() == "http://127.0.0.1:4317/api"
    found = read_services(store)
    assert found is not None
    assert found.server is not None
    assert found.server.pid == os.getpid()
    assert server.umask == 0o077, "what it writes is for its user only"


def test_pages_of_the_public_address_are_answered_and_ask_there(store: Store) -> None:
    environment = started("server").environment
    assert environment["PREFECT_UI_API_URL"] == f"{PUBLIC}/api"
    assert environment["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"].split(",") == [
        "http://127.0.0.1:4317",
        "http://localhost:4317",
        PUBLIC,
    ]


def test_the_worker_is_started_when_the_server_answers_and_has_its_deployments(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "START_TIMEOUT", 0.1)
    with pytest.raises(
        ServiceError, match=r"no server of .*store answered within 0 s. Start it: cropline up --foreground server"
    ):
        become("worker", Settings(), Ports(), lambda _: None)
    started("server")
    done: list[str] = []

    def put_right(*given: Any) -> None:
        done.append(given[4]["PREFECT_API_URL"])

    monkeypatch.setattr(services, "is_own", lambda _: True)
    monkeypatch.setattr(services, "put_right", put_right)
    worker = started("worker", runs=3)
    assert done == ["http://127.0.0.1:4317/api"]
    assert worker.words[1:5] == ["-m", "flows.prefect_process.worker", "worker", "start"]
    assert worker.words[worker.words.index("--limit") + 1] == "3"
    assert worker.environment["PREFECT_API_URL"] == "http://127.0.0.1:4317/api"
    assert not [name for name in worker.environment if name.startswith("PREFECT_SERVER_DATABASE_CONNECTION")]
    assert worker.umask == 0o022, "deliveries are as open as the user's other files"


def test_services_are_a_process_of_their_own_only_with_redis(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreground, "_wait_for_server", lambda *_: None)
    with pytest.raises(ServiceError, match="only with CROPLINE_REDIS"):
        become("services", Settings(), Ports(), lambda _: None)


def test_a_container_listens_at_its_name_and_takes_the_secret_that_it_is_given(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "cropline:given")
    with pytest.raises(Became) as became:
        become("server", Settings(), Ports("server", 4317), lambda _: None)
    server = became.value
    assert server.words[server.words.index("--host") + 1] == "server"
    assert (own_server(), own_pages()) == ("http://server:4317/api", "http://127.0.0.1:4317")
    assert read_secret(store.prefect) == server.environment["PREFECT_API_AUTH_STRING"] == "cropline:given"
    assert Path(server.environment["PREFECT_UI_STATIC_DIRECTORY"]).parent == store.prefect, "where its user may write"


def test_a_worker_for_another_machines_server_takes_no_scheduled_work(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = "http://server:4200/api"
    with pytest.raises(ServiceError, match=r"not encrypted[\s\S]*CROPLINE_API_INSECURE"):
        become("worker", Settings(), Ports(api=there), lambda _: None)
    monkeypatch.setattr(Api, "answers", lambda _: True)

    def joining(_: Any, __: Any, address: str, ___: Any) -> tuple[Api, int, dict[str, str]]:
        return Api(address, None), 2, {"PREFECT_API_URL": address}

    monkeypatch.setattr(foreground, "joining", joining)
    with pytest.raises(Became) as became:
        become("worker", Settings(api_insecure="http://server:4200"), Ports(api=there, health=8080), lambda _: None)
    worker = became.value
    assert worker.words[worker.words.index("--work-queue") + 1] == "interactive"
    assert "--with-healthcheck" in worker.words
    assert worker.environment == {"PREFECT_API_URL": there, "PREFECT_WORKER_WEBSERVER_PORT": "8080"}
    found = read_services(store)
    assert found is not None
    assert (found.api, found.server) == (there, None)
