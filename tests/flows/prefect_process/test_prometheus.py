"""Prometheus, with the configuration that comes with the software, scrapes a server whose logs are JSON."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from installation_kit import Installation, wait_until
from monitoring_kit import MONITORING, alerts

pytestmark = [pytest.mark.server, pytest.mark.slow]

KEY = "a-key-of-an-object-store"


@pytest.fixture(scope="module")
def installation(open_installation: Callable[..., AbstractContextManager[Installation]]) -> Iterator[Installation]:
    with open_installation(CROPLINE_LOG_FORMAT="json", AWS_SECRET_ACCESS_KEY=KEY) as started:
        yield started


@contextmanager
def prometheus(installation: Installation, folder: Path, key: str) -> Iterator[Callable[[str], Any]]:
    """Prometheus, which scrapes every ten seconds. Yields what asks its API."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs Prometheus: apt-get install prometheus")
    shutil.copytree(MONITORING, folder)
    text = (folder / "prometheus.yml").read_text().replace("interval: 1m", "interval: 10s").replace("30s", "10s")
    target = urllib.parse.urlsplit(installation.services.ui).netloc
    (folder / "prometheus.yml").write_text(text.replace("127.0.0.1:4200", target))
    (folder / "cropline-key").write_text(f"{key}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    options = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, *options, f"--web.listen-address={address}"], stderr=log)

    def ask(path: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://{address}/api/v1/{path}", timeout=30) as answer:
                return json.loads(answer.read())["data"]
        except OSError:
            return None

    try:
        yield ask
    finally:
        process.terminate()
        process.wait(60)


def target_of(ask: Callable[[str], Any]) -> dict[str, Any]:
    """How the only target stands, once it was asked."""

    def scraped() -> Any:
        targets = (ask("targets") or {}).get("activeTargets")  # none while it starts
        return targets and targets[0]["health"] != "unknown" and targets[0]

    target: dict[str, Any] = wait_until(scraped, 120, "a scrape")
    return target


def test_a_run_is_counted_and_raises_no_alarm(installation: Installation, tmp_path: Path) -> None:
    key = installation.run("cropline", "metrics", "--key").stdout.strip()
    with prometheus(installation, tmp_path / "monitoring", key) as ask:
        assert target_of(ask)["health"] == "up", target_of(ask)["lastError"]
        done = installation.run("prefect", "deployment", "run", "crop-map/request", "--params", "aoi.json", "--watch")
        assert done.returncode == 0, done.stdout + done.stderr

        def value(query: str) -> float:
            found = ask(f"query?{urllib.parse.urlencode({'query': query})}")["result"]
            return float(found[0]["value"][1]) if found else -1.0

        wait_until(lambda: value('cropline_runs{queue="interactive", state="completed"}') == 1, 60, "the run's end")
        assert value("sum(increase(cropline_deliveries_total[10m]))") > 0, "also of the first map"
        assert value("cropline_acquisitions_read_total") > 0
        rules = ask("rules")["groups"][0]["rules"]
        assert {rule["name"] for rule in rules} == set(alerts())
        assert {rule["health"] for rule in rules} == {"ok"}
        assert [rule["name"] for rule in rules if rule["state"] == "firing" and "Disk" not in rule["name"]] == []


def test_prometheus_with_another_key_is_refused(installation: Installation, tmp_path: Path) -> None:
    with prometheus(installation, tmp_path / "monitoring", "guess") as ask:
        target = target_of(ask)
        assert (target["health"], "401" in target["lastError"]) == ("down", True)


def test_every_line_of_the_logs_is_an_object_and_none_has_a_secret(installation: Installation) -> None:
    logs = sorted((installation.folder / "store" / "prefect").glob("*.log"))
    assert {"server.log", "worker.log"} <= {log.name for log in logs}
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    (digest,) = {line["request"] for line in lines if "request" in line}
    assert (installation.folder / "store" / "runs" / digest).is_dir()
    stages = {line["message"].split(":")[0] for line in lines if line.get("request") == digest}
    assert {"order", "ingest", "mask", "deliver"} <= stages
    assert len({line["flow_run"] for line in lines if line.get("request") == digest}) == 1
    text = "".join(log.read_text() for log in logs)
    assert installation.secret.partition(":")[2] not in text
    assert KEY not in text
