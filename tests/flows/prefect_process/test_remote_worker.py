"""A worker on another machine: a home, a store and folders of its own, and only the server's address, its secret and a bucket in common."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from installation_kit import Installation, post_at_once, wait_until
from load_kit import FINAL, checksums

from catalog.storage.credentials import S3Access
from catalog.storage.s3 import s3_client
from catalog.storage.store import Store
from flows.prefect_process import processes
from flows.prefect_process.api import ServiceError
from flows.prefect_process.remote import SECRET, api_of
from flows.prefect_process.server_file import Services
from flows.prefect_process.work_pool import INTERACTIVE, POOL, SCHEDULED

NEW = {"CROPLINE_RUNS": "1"}


@pytest.fixture(scope="module")
def shared(s3_server: S3Access) -> Iterator[dict[str, str]]:
    """Variables by which a machine finds the bucket of the cubes."""
    assert s3_server.key is not None
    assert s3_server.secret is not None
    files, name = s3_client(s3_server, "store"), f"cropline-test-{uuid4().hex[:12]}"
    files.mkdir(name)
    yield {
        "CROPLINE_CUBES": f"s3://{name}/cubes",
        "AWS_ACCESS_KEY_ID": s3_server.key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": s3_server.secret.get_secret_value(),
        "AWS_ENDPOINT_URL": str(s3_server.endpoint),
        "AWS_REGION": str(s3_server.region),
    }
    files.rm(name, recursive=True)


@pytest.fixture(scope="module")
def here(
    open_installation: Callable[..., AbstractContextManager[Installation]], shared: dict[str, str]
) -> Iterator[Installation]:
    with open_installation(**shared, **NEW) as started:
        yield started


@pytest.fixture(scope="module")
def elsewhere(
    here: Installation,
    shared: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    environment_of: Callable[..., dict[str, str]],
) -> Iterator[Installation]:
    """The other machine, as far as one machine can be two."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "home").mkdir()
    env = environment_of(folder / "store", HOME=str(folder / "home"), **shared, **NEW)
    machine = Installation(folder, env, here.command)
    with_secret = replace(machine, env={**env, SECRET: here.secret})
    joined = with_secret.run("cropline", "up", "--api", here.services.ui)
    try:
        assert joined.returncode == 0, joined.stderr
        yield machine
    finally:
        machine.run("cropline", "down")


@pytest.mark.slow
@pytest.mark.server
def test_two_machines_deliver_the_same_request_at_once_with_the_same_bytes(
    here: Installation, elsewhere: Installation
) -> None:
    request = json.loads((here.folder / "aoi.json").read_text())
    outputs = [here.folder / "first", here.folder / "second"]
    runs, _ = post_at_once(here, [{**request, "output": str(output)} for output in outputs])
    ids = {"flow_runs": {"id": {"any_": [run["id"] for run in runs]}}}

    def ended() -> list[dict[str, Any]]:
        found = here.ask("flow_runs/filter", ids)
        return found if {run["state_type"] for run in found} <= FINAL else []

    found = wait_until(ended, 300, "both end")
    assert {run["state_type"] for run in found} == {"COMPLETED"}, [run["state"]["message"] for run in found]
    assert len({run["labels"]["prefect.worker.name"] for run in found}) == 2, "one each"
    first, second = ({path.name: path.read_bytes() for path in output.glob("*.tif")} for output in outputs)
    assert first
    assert first == second
    assert checksums(outputs[0]) == checksums(outputs[1])
    for machine in (here, elsewhere):
        assert not (machine.folder / "store" / "cubes").exists(), "what was read is in the bucket"
        assert len(list((machine.folder / "store" / "runs").iterdir())) == 1
    assert not (elsewhere.folder / "home" / ".prefect").exists()


@pytest.mark.slow
@pytest.mark.server
def test_the_other_machine_keeps_the_secret_and_its_commands_find_the_server(
    here: Installation, elsewhere: Installation
) -> None:
    kept = elsewhere.folder / "store" / "prefect" / "secret"
    assert kept.read_text().strip() == here.secret
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    again = elsewhere.run("cropline", "up", "--api", here.services.ui)
    assert again.returncode == 0, "without the variable, and with a worker that runs"
    shown = json.loads(elsewhere.run("cropline", "status", "--json").stdout)
    assert shown["server"] == here.services.ui
    assert shown["worker"] is True
    assert elsewhere.services == Services.model_validate(
        {**elsewhere.services.model_dump(), "api": here.services.api, "ui": here.services.ui, "server": None}
    )


@pytest.mark.slow
@pytest.mark.server
def test_scheduled_work_stays_where_the_subscriptions_are(here: Installation, elsewhere: Installation) -> None:
    queues = [
        processes.option_of(
            processes.services_of(Store((machine.folder / "store").resolve()), "worker")[0], "--work-queue"
        )
        for machine in (here, elsewhere)
    ]
    assert queues == [None, INTERACTIVE]


@pytest.mark.slow
@pytest.mark.server
def test_the_pool_has_as_many_runs_as_both_machines(here: Installation, elsewhere: Installation) -> None:
    for starts_again in (here.run("cropline", "up"), None):
        assert starts_again is None or starts_again.returncode == 0
        pool = here.ask("work_pools/filter", {"work_pools": {"name": {"any_": [POOL]}}})[0]
        assert pool["concurrency_limit"] == 2
    queues = {queue["name"]: queue for queue in here.ask(f"work_pools/{POOL}/queues/filter", {})}
    assert queues[SCHEDULED]["concurrency_limit"] == 1


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({SECRET: "cropline:guessed"}, "takes another secret. Set PREFECT_API_AUTH_STRING"),
        ({"address": "http://127.0.0.1:9"}, "no server answers at http://127.0.0.1:9/api."),
        ({"store": "here"}, "has a server of its own, which runs."),
    ],
)
def test_what_keeps_a_worker_out_is_said(
    change: dict[str, str], says: str, here: Installation, elsewhere: Installation, tmp_path: Path
) -> None:
    env = {**elsewhere.env, "CROPLINE_STORE": str(tmp_path / "store"), SECRET: here.secret}
    env |= {SECRET: change[SECRET]} if SECRET in change else {}
    if "store" in change:
        env["CROPLINE_STORE"] = here.env["CROPLINE_STORE"]
    done = here.command("cropline", "up", "--api", change.get("address", here.services.ui), cwd=tmp_path, env=env)
    assert done.returncode == 1
    assert says in done.stderr
    assert "guessed" not in done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("https://maps.example", "https://maps.example/api"),
        ("https://maps.example/api/", "https://maps.example/api"),
        ("https://maps.example/prefect", "https://maps.example/prefect/api"),
        ("http://127.0.0.1:4200", "http://127.0.0.1:4200/api"),
        ("http://localhost:4200/api", "http://localhost:4200/api"),
        ("http://[::1]:4200", "http://[::1]:4200/api"),
    ],
)
def test_an_address_is_completed(given: str, address: str) -> None:
    assert api_of(given) == address


@pytest.mark.parametrize(
    "given",
    ["", "maps.example", "ftp://maps.example", "https://", "https://me:secret@maps.example", "http://[", "https://h:x"],
)
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(ServiceError, match=r"^--api: .*no address.* It looks like https://HOST/api\.$") as refused:
        api_of(given)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("host", ["maps.example", "192.168.0.7", "10.0.0.1:4300", "localhost.example", "[fe80::1]"])
def test_a_way_that_is_not_encrypted_is_refused(host: str) -> None:
    with pytest.raises(ServiceError, match="the way there is not encrypted") as refused:
        api_of(f"http://{host}/api")
    assert "ssh -N -L" in str(refused.value)


@pytest.mark.parametrize("named", ["http://server:4200", "http://server:4200/", "http://server:4200/api"])
def test_an_address_that_is_named_may_do_without_encryption_and_no_other(named: str) -> None:
    assert api_of("http://server:4200", named) == "http://server:4200/api"
    for other in ("http://server:4201", "http://server.example.org:4200", "http://server:4200/x"):
        with pytest.raises(ServiceError, match="CROPLINE_API_INSECURE"):
            api_of(other, named)


def test_who_works_for_another_machine_subscribes_there(
    tmp_path: Path, run_command: Callable[..., Any], environment_of: Callable[..., dict[str, str]]
) -> None:
    (tmp_path / "store" / "prefect").mkdir(parents=True)
    away = Services(api="https://maps.example/api", ui="https://maps.example")
    (tmp_path / "store" / "prefect" / "server.json").write_text(away.model_dump_json())
    (tmp_path / "aoi.json").write_text('{"area": [3, 51, 3.01, 51.01], "year": 2019, "source": "mission:"}')
    done = run_command("cropline", "subscribe", "aoi.json", cwd=tmp_path, env=environment_of(tmp_path / "store"))
    assert done.returncode == 1
    assert done.stderr.endswith("are renewed from the store there. Subscribe there.\n")
