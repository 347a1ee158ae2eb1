"""The literal command against a real server and worker, started by `cropline up` and stopped by `cropline down`."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from example_kit import check_mowing
from installation_kit import Installation, post_at_once, requests_of, wait_until
from monitoring_kit import OF_GPUS, asked_metrics
from plug_kit import build_and_install
from prometheus_client.parser import text_string_to_metric_families

from flows.handing_on import HANDED_ON
from flows.own_server import METRICS, authorization
from flows.prefect_process.automations import NAME
from flows.prefect_process.server_file import Services
from flows.prefect_process.work_pool import INTERACTIVE, POOL, SCHEDULED, usual_runs
from processors.engine.gpu_load import gpu_loads

pytestmark = pytest.mark.server

RUN = ("prefect", "deployment", "run", "crop-map/request", "--watch")


@pytest.fixture(scope="module")
def installation(
    open_installation: Callable[..., AbstractContextManager[Installation]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """With a folder, empty as yet, in which everything that it starts also looks for packages."""
    with open_installation(PYTHONPATH=str(tmp_path_factory.mktemp("site"))) as started:
        yield started


def test_literal_command_delivers(installation: Installation) -> None:
    done = installation.run("prefect", "deployment", "run", "crop-map/request", "--params", "aoi.json", "--watch")
    assert done.returncode == 0, done.stdout + done.stderr
    delivered = {file.name for file in (installation.folder / "map").iterdir()}
    assert {"ndvi.tif", "overview.png", "report.html", "item.json", "request.json"} <= delivered
    assert "map/report.html" in done.stdout.replace("\n", ""), "the watched log ends with the files"


def test_literal_command_orders_what_a_package_of_others_makes(
    installation: Installation, repository: Path, tmp_path: Path
) -> None:
    """`docs/examples/mowing` is built and installed while server and worker run; nothing else is done to have its map."""
    folder = installation.folder / "meadows"
    folder.mkdir()
    (folder / "prefect.toml").write_bytes((installation.folder / "prefect.toml").read_bytes())
    asked = json.loads((installation.folder / "aoi.json").read_text())
    parameters = {"since": "2019-03-01", "until": "2019-07-15"}
    request = {**asked, "processor": "mowing", "parameters": parameters}
    (folder / "aoi.json").write_text(json.dumps(request))
    literal = ["prefect", "deployment", "run", "crop-map/request", "--params", "aoi.json"]
    refused = installation.command(*literal, cwd=folder, env=installation.env)
    assert "processor: there is no 'mowing'" in refused.stderr

    example = repository / "docs" / "examples" / "mowing"
    build_and_install(example, tmp_path, Path(installation.env["PYTHONPATH"]))
    done = installation.command(*literal, "--watch", cwd=folder, env=installation.env)
    assert done.returncode == 0, done.stdout + done.stderr
    check_mowing(folder / "map", installation.folder / "store", example / "tests" / "rule_in_pandas.py")


@pytest.mark.parametrize("form", ["text", "standard input"])
def test_stock_forms_of_the_parameters_work(form: str, installation: Installation) -> None:
    text = (installation.folder / "aoi.json").read_text()
    request = json.dumps({**json.loads(text), "output": form.replace(" ", "-")})
    given = (request, None) if form == "text" else ("-", request)
    done = installation.run(*RUN, "--params", given[0], text=given[1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert (installation.folder / form.replace(" ", "-") / "item.json").is_file()


def test_bad_parameter_is_refused_when_the_run_is_created(installation: Installation) -> None:
    """By the server itself: the plugin is off."""
    own = {"PREFECT_API_URL": installation.services.api, "PREFECT_API_AUTH_STRING": installation.secret}
    env = {**installation.env, "PREFECT_PLUGINS_ENABLED": "false", **own}
    done = installation.command(
        *RUN, "--params", '{"area": [3, 51, 4, 52], "year": 2014}', cwd=installation.folder, env=env
    )
    assert done.returncode == 1
    assert "Validation failed for field 'year'" in done.stdout + done.stderr


def test_plugin_refuses_what_the_server_cannot_see(installation: Installation) -> None:
    runs = len(installation.ask("flow_runs/filter", {}))
    done = installation.run(*RUN, "--params", '{"area": [3, 51, 3.1, 51.1], "year": 2019, "source": "stac:none.json"}')
    assert done.returncode == 1
    assert "none.json" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(installation.ask("flow_runs/filter", {})) == runs, "no run was created"


def test_run_shows_its_artifacts(installation: Installation) -> None:
    found = {item["key"]: item for item in installation.ask("artifacts/filter", {}) if item["key"]}
    assert {"progress", "acquisitions", "map", "delivery"} <= set(found)
    assert found["acquisitions"]["type"] == "table"
    assert found["map"]["data"].startswith("data:image/png;base64,")
    rows = json.loads(found["acquisitions"]["data"])
    assert {"date", "cloud (tile, %)", "valid", "clear", "low sun", "used", "reason"} == set(rows[0])


def test_metrics_of_a_real_scrape_are_those_that_alarms_and_dashboard_ask_for(installation: Installation) -> None:
    """After a map, so that everything was counted once; the page asks for a key, and the key opens nothing else."""
    address = f"{installation.services.api.removesuffix('/api')}{METRICS}"
    key = {"Authorization": f"Bearer {installation.run('cropline', 'metrics', '--key').stdout.strip()}"}
    page = httpx.get(address, headers=key, timeout=60).raise_for_status()
    for refused in ({}, authorization(installation.secret), {"Authorization": "Bearer guess"}):
        answer = httpx.get(address, headers=refused)
        assert (answer.status_code, "cropline metrics --key" in answer.text) == (401, True)
    assert httpx.get(f"{installation.services.api}/flows/count", headers=key).status_code == 401
    families = list(text_string_to_metric_families(page.text))
    samples = {(sample.name, *sample.labels.values()): sample.value for one in families for sample in one.samples}
    missing = asked_metrics() - {name for name, *_ in samples}
    assert missing == (set() if gpu_loads() else OF_GPUS)
    assert samples["cropline_runs", INTERACTIVE, "completed"] >= 1
    assert samples["cropline_runs", SCHEDULED, "completed"] == 0, "queues are told apart"
    assert samples["cropline_runs", SCHEDULED, "scheduled"] == 0, "what isn't due doesn't wait"
    assert samples["cropline_workers_online",] == 1
    assert samples["cropline_acquisitions_read_total", "stac:file"] >= 1
    assert samples["cropline_read_bytes_total", "stac:file"] > 0
    assert samples["cropline_stored_bytes_total", "stac:file"] > 0
    assert samples["cropline_deliveries_total", "vegetation"] >= 1
    assert samples["cropline_stage_seconds_count", "deliver"] >= 1
    assert any(one.name.startswith("prefect_") for one in families), "Prefect's own are there, too"
    assert installation.secret.partition(":")[2] not in page.text


def test_seasonal_deployment_gets_scheduled_runs(installation: Installation) -> None:
    body = {"deployments": {"name": {"any_": ["seasonal"]}}, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    deadline = time.monotonic() + 60
    while not (runs := installation.ask("flow_runs/filter", body)) and time.monotonic() < deadline:
        time.sleep(1)
    assert runs, "the scheduler made no run of the cron schedule"
    assert all(run["auto_scheduled"] for run in runs)
    due = sorted(datetime.fromisoformat(run["expected_start_time"]) for run in runs)
    assert {(time.hour, time.minute, time.utcoffset()) for time in due} == {(3, 0, timedelta())}
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(due)), "one a night, none twice"
    assert due[0] > datetime.now(UTC) - timedelta(hours=1)


def test_credentials_block_is_registered_and_read(installation: Installation) -> None:
    """Saved by Prefect itself, as its pages do; read by this project's own question."""
    own = {"PREFECT_API_URL": installation.services.api, "PREFECT_API_AUTH_STRING": installation.secret}
    env = {**installation.env, **own}
    save = (
        "from flows.prefect_process.credentials_block import CroplineCredentials\n"
        "CroplineCredentials(cdse_key='the-key', cdse_secret='the-secret', s3_requester_pays=True).save('shared')"
    )
    saved = installation.command("python", "-c", save, cwd=installation.folder, env=env)
    assert saved.returncode == 0, saved.stderr
    types = installation.ask("block_types/filter", {"block_types": {"slug": {"any_": ["cropline-credentials"]}}})
    assert [found["name"] for found in types] == ["Cropline credentials"]
    shown = installation.ask("block_documents/filter", {"include_secrets": False})
    assert [document["name"] for document in shown] == ["shared"]
    assert "the-key" not in json.dumps(shown)
    assert "the-secret" not in json.dumps(shown)
    read = (
        "from flows.credentials import load_credentials\nfound = load_credentials()\n"
        "print(found.cdse.secret.get_secret_value(), found.s3.requester_pays, found)"
    )
    env = {**installation.env, "CROPLINE_CREDENTIALS_BLOCK": "shared"}
    done = installation.command("python", "-c", read, cwd=installation.folder, env=env)
    assert done.stdout.startswith("the-secret True "), done.stderr
    assert done.stdout.count("the-secret") == 1


def test_a_hundred_posts_at_once_are_taken_and_wait(installation: Installation) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": later}}
    runs, refused = post_at_once(installation, requests_of(installation, 100, "later"), state=state)
    try:
        assert len({run["id"] for run in runs}) == 100
        assert refused == {}, "SQLite's locks are waited for"
        assert {run["state_type"] for run in runs} == {"SCHEDULED"}
        assert {run["work_pool_name"] for run in runs} == {POOL}
    finally:
        for run in runs:
            installation.ask(f"flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLED"}, "force": True})


def test_the_pool_has_as_many_runs_at_once_as_the_machine_carries(installation: Installation) -> None:
    pool = installation.ask("work_pools/filter", {"work_pools": {"name": {"any_": [POOL]}}})[0]
    assert pool["concurrency_limit"] == usual_runs()


def test_up_puts_queues_and_the_automation_right(installation: Installation) -> None:
    """Also in a store of an earlier version, whose deployments are in the pool's usual queue."""
    by_name = {found["name"]: found for found in installation.ask("deployments/filter", {})}
    assert {name: found["work_queue_name"] for name, found in by_name.items()} == {
        "request": INTERACTIVE,
        "ddp": INTERACTIVE,
        "map": INTERACTIVE,
        "seasonal": SCHEDULED,
    }
    patched = {"work_queue_name": "default"}
    installation.ask(f"deployments/{by_name['seasonal']['id']}", patched, method="PATCH")
    installation.ask(f"work_pools/{POOL}/queues/{SCHEDULED}", {"priority": 1, "is_paused": True}, method="PATCH")
    automations = {"automations": {"name": {"any_": [NAME]}}}
    (made,) = installation.ask("automations/filter", automations)
    copied = {name: made[name] for name in ("name", "description", "trigger", "actions")}
    installation.ask("automations/", {**copied, "enabled": False})
    installation.ask(f"automations/{made['id']}", {"enabled": False}, method="PATCH")
    assert installation.run("cropline", "up").returncode == 0
    queues = installation.ask(f"work_pools/{POOL}/queues/filter", {})
    assert [queue["name"] for queue in sorted(queues, key=lambda queue: int(queue["priority"]))][:2] == [
        INTERACTIVE,
        SCHEDULED,
    ]
    limits = {queue["name"]: queue["concurrency_limit"] for queue in queues}
    assert limits[SCHEDULED] == max(1, usual_runs() - 1)
    assert limits[INTERACTIVE] is None
    assert not any(queue["is_paused"] for queue in queues)
    by_name = {found["name"]: found for found in installation.ask("deployments/filter", {})}
    assert by_name["seasonal"]["work_queue_name"] == SCHEDULED
    (after,) = installation.ask("automations/filter", automations)
    assert after["enabled"]
    assert installation.run("cropline", "up").returncode == 0
    assert installation.ask("automations/filter", automations) == [after], "an update forgets who was heard"


def test_status_and_up_say_where_the_store_is_from_a_folder_below(installation: Installation) -> None:
    below = installation.folder / "areas"
    below.mkdir()
    (installation.folder / ".cropline").symlink_to(installation.folder / "store")
    env = {name: value for name, value in installation.env.items() if name != "CROPLINE_STORE"}
    lines = installation.command("cropline", "status", cwd=below, env=env).stdout.splitlines()
    assert lines[:3] == [
        f"store    {installation.folder / 'store'}",
        f"server   {installation.services.ui}",
        "worker   runs",
    ]
    assert lines[3].startswith("queue    0 waiting")
    shown = json.loads(installation.command("cropline", "status", "--json", cwd=below, env=env).stdout)
    assert shown["worker"] is True
    again = installation.command("cropline", "up", cwd=below, env=env)
    assert again.stdout.startswith(lines[0] + "\n")
    assert not (below / ".cropline").exists()


def test_a_rule_keeps_the_data_of_a_country_in_the_pool_of_another_place(
    installation: Installation, environment_of: Callable[..., dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two pools with a worker each; the second one is another machine, as far as one machine can be two."""
    request = json.loads((installation.folder / "aoi.json").read_text())
    store, folder = installation.folder / "store", tmp_path_factory.mktemp("italy")
    rules = {
        "places": {"cropline": {}, "italy": {"title": "a partner's"}},
        "rules": [{"name": "the country", "area": request["area"], "places": ["italy"]}],
    }
    (store / "places.json").write_text(json.dumps(rules))
    env = environment_of(folder / "store", CROPLINE_PLACE="italy", CROPLINE_RUNS="1")
    try:
        assert installation.run("cropline", "up").returncode == 0
        secret = {"PREFECT_API_AUTH_STRING": installation.secret}
        joined = installation.command(
            "cropline", "up", "--api", installation.services.ui, cwd=folder, env={**env, **secret}
        )
        assert joined.returncode == 0, joined.stderr
        # min_clear, so that nothing that was delivered here will do
        asked = {**request, "min_clear": 0.51, "output": str(folder / "map")}
        done = installation.run(*RUN, "--params", json.dumps(asked))
        assert done.returncode == 0, done.stdout + done.stderr
        italy = {"work_pools": {"name": {"any_": ["italy"]}}}
        ended = {"COMPLETED", "FAILED", "CRASHED"}

        def ran() -> list[dict[str, Any]]:
            runs: list[dict[str, Any]] = installation.ask("flow_runs/filter", italy)
            return runs if runs and runs[0]["state_type"] in ended else []

        (run,) = wait_until(ran, 300, "the run in the other pool ends")
        assert run["state_type"] == "COMPLETED", run["state"]["message"]
        assert (run["work_pool_name"], run["work_queue_name"]) == ("italy", INTERACTIVE)
        assert set(run["tags"]) == {"cropline", "handed on by cropline"}
        assert run["parameters"]["stay"] is True
        handing = [run for run in installation.ask("flow_runs/filter", {}) if run["state_name"] == HANDED_ON]
        assert [run["work_pool_name"] for run in handing] == [POOL], "once, and it is not handed back"
        assert run["labels"]["prefect.worker.name"] != handing[0]["labels"]["prefect.worker.name"]
        assert (folder / "store" / "cubes").is_dir(), "read there"
        item = json.loads((folder / "map" / "item.json").read_text())
        (made,) = item["properties"]["cropline:candidates"]
        assert (made["place"], made["taken"]) == ("italy", True)
        (record,) = (folder / "store" / "rates.jsonl").read_text().splitlines()
        assert json.loads(record)["place"] == "italy"

        before = len(installation.ask("flow_runs/filter", {}))
        done = installation.run(*RUN, "--params", json.dumps({**asked, "places": ["cropline"]}))
        assert done.returncode == 1
        assert "in cropline the rule 'the country' keeps data of the area in italy" in done.stderr
        assert len(installation.ask("flow_runs/filter", {})) == before, "no run was created"
        (installation.folder / "kept.json").write_text(json.dumps({**asked, "places": ["cropline"]}))
        local = installation.run("cropline", "run", "kept.json")
        assert local.returncode == 1
        assert "may not be processed here, in cropline" in local.stderr
    finally:
        installation.command("cropline", "down", cwd=folder, env=env)
        (store / "places.json").unlink()


def test_up_removes_deployments_of_places_that_are_gone(installation: Installation) -> None:
    names = {found["name"] for found in installation.ask("deployments/filter", {})}
    assert {"request-italy", "ddp-italy"} <= names
    assert installation.run("cropline", "up").returncode == 0
    names = {found["name"] for found in installation.ask("deployments/filter", {})}
    assert not {"request-italy", "ddp-italy"} & names


def test_a_partner_orders_a_map_through_ogc_api_processes(
    installation: Installation, parameters: dict[str, Any], repository: Path
) -> None:
    """The commands of the documentation word for word, but for address and order: a client that isn't ours, from description to file."""
    settings = {**installation.env, "CROPLINE_SOURCE": parameters["source"]}
    done = installation.command("cropline", "up", "--ogc", cwd=installation.folder, env=settings)
    assert done.returncode == 0, done.stdout + done.stderr
    status = json.loads(installation.run("cropline", "status", "--json").stdout)
    address = status["ogc"]
    assert f"ogc      {address}" in done.stdout
    key = (installation.folder / "store" / "prefect" / "ogc-keys").read_text().strip().removeprefix("cropline:")
    assert key not in done.stdout + done.stderr

    order = {name: parameters[name] for name in ("area", "year", "processor")}
    page = (repository / "docs" / "how-to" / "ogc.md").read_text(encoding="utf-8")
    inputs = '{"area": [3.20, 51.00, 3.21, 51.005], "year": 2019, "source": "mission:", "processor": "vegetation"}'
    assert page.count(inputs) == 2
    page = page.replace(inputs, json.dumps(order)).replace("http://127.0.0.1:4280", address)
    folder = installation.folder / "partner"
    folder.mkdir()
    (folder / ".cropline").symlink_to(installation.folder / "store")

    script = page.split("```bash\n")[1].split("```")[0]
    shell = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=installation.env,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert shell.returncode == 0, shell.stdout + shell.stderr
    estimate = json.loads((folder / "results.json").read_text())["estimate"]["value"]
    assert {"what": "area", "about": "0.4 km²"}.items() <= estimate["estimate"][0].items()
    assert len(estimate["acquisitions"]) + len(estimate["left_out"]) == 43
    dismissed = json.loads((folder / "dismissed.json").read_text())
    assert dismissed["status"] == "dismissed"
    run = f"flow_runs/{dismissed['jobID']}"
    wait_until(lambda: installation.ask(run, None)["state_type"] == "CANCELLED", 120, "the run is cancelled")

    program = page.split("```python\n")[1].split("```")[0]
    client = installation.command(
        "python", "-c", program, cwd=folder, env={**installation.env, "KEY": key}, timeout=500
    )
    assert client.returncode == 0, client.stdout + client.stderr
    assert "successful 100 Done." in client.stdout
    (item,) = (installation.folder / "deliveries").glob("vegetation-2019-*/item.json")
    for name in ("ndvi.tif", "report.html"):
        assert (folder / name).read_bytes() == (item.parent / name).read_bytes()
    ordered = {"tags": {"all_": ["ogc", "ogc-key:cropline", "ogc-process:crop-map"]}}
    states = sorted(found["state_type"] for found in installation.ask("flow_runs/filter", {"flow_runs": ordered}))
    assert states == ["CANCELLED", "COMPLETED"]


def test_down_leaves_no_process_and_up_and_down_repeat_safely(
    installation: Installation, processes_of: Callable[[Path], list[list[str]]]
) -> None:
    """Last: it ends what the other tests use."""
    done = installation.run("cropline", "up")
    assert done.returncode == 0, "what runs already is kept"
    assert "sign in" not in done.stdout + done.stderr, "it is said once"
    again = Services.model_validate_json((installation.folder / "store" / "prefect" / "server.json").read_text())
    assert again == installation.services
    assert installation.run("cropline", "down").stdout == "Stopped.\n"
    assert installation.run("cropline", "down").stdout == "Nothing was running.\n"
    assert processes_of(installation.folder / "store") == []
