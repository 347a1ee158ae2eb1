"""Who gets into the server that `cropline up` starts: whoever knows the secret, and even they start no command through a run."""

from __future__ import annotations

import asyncio
import json
import re
import stat
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import websockets
from installation_kit import Installation
from prefect.workers.process import ProcessWorker

from catalog.storage.store import Store
from flows.own_server import SECRET_FILE, authorization
from flows.prefect_process import processes
from flows.prefect_process.work_pool import POOL, TEMPLATE, usual_runs

pytestmark = pytest.mark.server

OPEN = {("GET", "/health"), ("GET", "/ready")}
SOCKETS = [
    "events/in",
    "events/out",
    "logs/out",
    "task_runs/subscriptions/scheduled",
    f"work_pools/{POOL}/workers/connect",
]
OVERRIDES: dict[str, Any] = {
    "command": "touch here",
    "working_dir": "/",
    "name": "mine",
    "env": {"CROPLINE_STORE": "/tmp"},
    "env.CROPLINE_STORE": "/tmp",
}


def _prefect_folder(installation: Installation) -> Path:
    return installation.folder / "store" / "prefect"


def _client(installation: Installation, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=installation.services.api, headers=headers, timeout=60)


def test_the_pages_ask_the_server_that_they_are_from(installation: Installation) -> None:
    """The usual port may be another server's, who would be asked and told this one's secret."""
    answer = httpx.get(f"{installation.services.ui}/ui-settings", timeout=60)
    assert answer.json()["api_url"] == installation.services.api


def test_without_the_secret_everything_but_the_health_checks_is_refused(installation: Installation) -> None:
    with _client(installation, **authorization(installation.secret)) as client:
        paths = client.get("/openapi.json").json()["paths"]
    assert len(paths) > 100
    with _client(installation) as client:
        answered = {
            (method.upper(), path)
            for path, methods in paths.items()
            for method in methods
            if client.request(method, re.sub(r"\{.*?\}", "x", path), json={}).status_code != 401
        }
        assert answered <= OPEN
        assert client.get("/health").status_code == client.get("/ready").status_code == 200
        assert client.get("/openapi.json").status_code == 401


@pytest.mark.parametrize(
    "header", [authorization("cropline:guess"), {"Authorization": "Bearer x"}, {"Authorization": "Basic ?"}], ids=str
)
def test_another_secret_is_refused(header: dict[str, str], installation: Installation) -> None:
    with _client(installation, **header) as client:
        assert client.post("/flows/count", json={}).status_code == 401


@pytest.mark.parametrize("path", SOCKETS)
def test_websockets_ask_for_the_secret(path: str, installation: Installation) -> None:
    async def admitted(token: str | None, *, handshake: bool) -> bool:
        protocols = [websockets.Subprotocol("prefect")] if handshake else None
        try:
            async with websockets.connect(f"{address}/{path}", subprotocols=protocols) as socket:
                if handshake:
                    await socket.send(json.dumps({"type": "auth", "token": token}))
                return bool(json.loads(await asyncio.wait_for(socket.recv(), 30)).get("type") == "auth_success")
        except (websockets.ConnectionClosed, websockets.InvalidStatus):
            return False

    address = installation.services.api.replace("http://", "ws://")
    assert not asyncio.run(admitted(None, handshake=False))
    assert not asyncio.run(admitted(None, handshake=True))
    assert not asyncio.run(admitted("cropline:guess", handshake=True))
    assert asyncio.run(admitted(installation.secret, handshake=True))


def test_pages_of_other_origins_get_no_answer(installation: Installation) -> None:
    own = installation.services.ui
    for origin, allowed in ((own, own), ("http://evil.example", None), (own + "0", None), ("null", None)):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        with _client(installation, **asked) as client:
            before = client.options("/flows/count", headers={"Access-Control-Request-Headers": "content-type"})
            answer = client.post("/flows/count", json={})
        for response in (before, answer):
            assert response.headers.get("Access-Control-Allow-Origin") == allowed
        assert before.is_success == (allowed is not None)


def test_a_name_that_was_bound_to_this_machine_opens_nothing(installation: Installation) -> None:
    """A page that has its own name resolve to the loopback address shares the server's origin, but doesn't know the secret."""
    with _client(installation, Host="evil.example", Origin="http://evil.example") as client:
        assert client.post("/flows/count", json={}).status_code == 401


def test_commands_find_the_secret_as_they_find_the_address(installation: Installation) -> None:
    listed = installation.run("prefect", "deployment", "ls")
    assert listed.returncode == 0, listed.stderr
    assert "crop-map/request" in listed.stdout
    named = installation.command(
        "prefect",
        "deployment",
        "ls",
        cwd=installation.folder,
        env={**installation.env, "PREFECT_API_URL": installation.services.api},
    )
    assert named.returncode == 0, "the address of the store's server may be set, too"


def test_the_secret_stands_in_one_file_and_in_no_command_line(installation: Installation) -> None:
    folder, password = _prefect_folder(installation), installation.secret.partition(":")[2].encode()
    assert len(password) >= 32
    holding = [path.name for path in folder.rglob("*") if path.is_file() and password in path.read_bytes()]
    assert holding == [SECRET_FILE]
    started = processes.started_for(Store((installation.folder / "store").resolve()))
    assert len(started) >= 2
    for process in started:
        assert password.decode() not in " ".join(process.cmdline())
        assert process.environ()["PREFECT_API_AUTH_STRING"] == installation.secret


def test_only_the_owner_reads_what_the_server_keeps(installation: Installation) -> None:
    folder = _prefect_folder(installation)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    names = {path.name for path in folder.iterdir()}
    assert {SECRET_FILE, "server.json", "server.log", "worker.log", "prefect.db"} <= names
    assert not [path for path in folder.iterdir() if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077]


@pytest.mark.parametrize("name", OVERRIDES)
def test_a_run_or_a_deployment_that_brings_its_own_start_is_refused(name: str, installation: Installation) -> None:
    deployment = installation.ask("deployments/filter", {"deployments": {"name": {"any_": ["request"]}}})[0]
    parameters = json.loads((installation.folder / "aoi.json").read_text())
    variables = {"job_variables": {name: OVERRIDES[name]}}
    new = {"name": "mine", "flow_id": deployment["flow_id"], "work_pool_name": POOL, **variables}
    post = f"/deployments/{deployment['id']}/create_flow_run"
    with _client(installation, **authorization(installation.secret)) as client:
        assert client.post(post, json={"parameters": parameters, **variables}).status_code == 422
        assert client.post("/deployments/", json=new).status_code == 422
        # Prefect doesn't check a change of a deployment, but then each run of it.
        client.patch(f"/deployments/{deployment['id']}", json=variables)
        assert client.post(post, json={"parameters": parameters}).status_code == 422
        assert client.patch(f"/deployments/{deployment['id']}", json={"job_variables": {}}).is_success


def test_what_the_server_does_not_check_goes_nowhere() -> None:
    """A run without a deployment may carry anything; the worker makes this of it."""
    client: Any = object()  # nothing is asked of it
    made = ProcessWorker.job_configuration.from_template_and_values(TEMPLATE, OVERRIDES, client=client)
    configuration: Any = asyncio.run(made)
    assert (configuration.command, configuration.working_dir, configuration.name) == (None, None, None)
    assert configuration.env == {}


def test_up_secures_what_was_started_without_a_secret(installation: Installation) -> None:
    """Last: a store as earlier versions left it, open, with a server and a worker that ask for nothing and a pool that takes all."""
    before, folder = installation.services, _prefect_folder(installation)
    old = installation.secret
    template = ProcessWorker.get_default_base_job_template()
    with _client(installation, **authorization(old)) as client:
        loose = {"base_job_template": template, "concurrency_limit": None}
        assert client.patch(f"/work_pools/{POOL}", json=loose).is_success
    (folder / SECRET_FILE).unlink()
    for path in (folder, *folder.iterdir()):
        path.chmod(path.stat().st_mode | 0o055 if path.is_dir() else 0o644)
    done = installation.run("cropline", "up")
    assert done.returncode == 0, done.stderr
    assert f"it is the line in {folder / SECRET_FILE}" in done.stderr
    after = installation.services
    assert after.api == before.api
    assert not psutil.pid_exists(before.server.pid)
    assert before.worker is not None
    assert not psutil.pid_exists(before.worker.pid)
    with _client(installation, **authorization(old)) as client:
        assert client.post("/flows/count", json={}).status_code == 401
    pool = installation.ask("work_pools/filter", {})[0]
    assert (pool["base_job_template"], pool["concurrency_limit"]) == (TEMPLATE, usual_runs())
    test_only_the_owner_reads_what_the_server_keeps(installation)
