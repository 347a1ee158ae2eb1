"""Many requests at once on the server of `cropline up`: all are taken, they wait in the queue, and each delivers the same bits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import services_kit
from installation_kit import Installation, post_at_once, requests_of
from load_kit import (
    Figures,
    Posts,
    Reports,
    checksums,
    different_requests,
    lines_of_loss,
    load,
    lost_events,
    overlapping_requests,
    posts,
    reports,
    same_requests,
)
from shapely.geometry import shape

from flows.prefect_process.work_pool import POOL

pytestmark = pytest.mark.server

COMMANDS = 20

MOST_MB = 1000
"""Memory of each of the server's processes, and of PostgreSQL and Redis, however many requests wait."""

FIGURES = "CROPLINE_LOAD_FIGURES"
"""Names a file in the environment to which the long forms add what they measured, a JSON object a line."""

Open = Callable[..., AbstractContextManager[Installation]]


@pytest.fixture(scope="module")
def services() -> Iterator[Path]:
    """The folder in which PostgreSQL and Redis run."""
    services_kit.needs_packages()
    with services_kit.services_folder() as folder:
        started = services_kit.call("start", str(folder))
        assert started.returncode == 0, started.stderr
        yield folder


@pytest.fixture(scope="module")
def on_postgresql(open_installation: Open, services: Path) -> Iterator[Installation]:
    with open_installation(**services_kit.environment(services)) as started:
        yield started


def _alone(installation: Installation) -> dict[str, str]:
    """Checksums of what a request delivers that runs alone."""
    alone = installation.run("prefect", "deployment", "run", "crop-map/request", "--params", "aoi.json", "--watch")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    return checksums(installation.folder / "map")


def _bounds(parameters: dict[str, Any]) -> tuple[float, float, float, float]:
    west, south, east, north = shape(parameters["area"]).bounds
    return west, south, east, north


@pytest.mark.services
def test_on_postgresql_and_redis_no_event_is_lost_and_each_is_delivered(
    on_postgresql: Installation, services: Path, parameters: dict[str, Any]
) -> None:
    """The short form: 60 that wait, then three that run."""
    since = datetime.now(UTC)
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": (since + timedelta(hours=1)).isoformat()}}
    waiting, refused = post_at_once(on_postgresql, requests_of(on_postgresql, 60, "later"), state=state)
    assert refused == {}
    assert {run["work_pool_name"] for run in waiting} == {POOL}
    assert lost_events(on_postgresql, [run["id"] for run in waiting], since) == ([], 60)
    requests = same_requests(on_postgresql, 2) + overlapping_requests(on_postgresql, 1, _bounds(parameters))
    figures = load(on_postgresql, requests, None, database="PostgreSQL + Redis", services=services, seconds=240)
    assert figures.events_lost == 0
    assert lines_of_loss(on_postgresql) == []
    assert {"postgres", "redis-server", "server", "services", "worker"} <= set(figures.server_mb)


@pytest.mark.services
def test_up_is_told_where_the_runs_are_and_no_log_or_command_line_holds_a_password(
    on_postgresql: Installation, services: Path
) -> None:
    """Last of the short ones."""
    addresses = services_kit.environment(services)
    passwords = [address.rpartition("@")[0].rpartition(":")[2] for address in addresses.values()]
    files = [path for path in on_postgresql.folder.rglob("*") if path.is_file() and path.stat().st_size < 10_000_000]
    assert not [path for path in files for password in passwords if password.encode() in path.read_bytes()]
    listed = " ".join(word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or ())
    assert not [password for password in passwords if password in listed]
    shown = json.loads(on_postgresql.run("cropline", "status", "--json").stdout)
    assert shown["database"].startswith("PostgreSQL at 127.0.0.1:")
    env = {name: value for name, value in on_postgresql.env.items() if name not in addresses}
    unset = on_postgresql.command("cropline", "up", cwd=on_postgresql.folder, env=env)
    assert unset.returncode == 1
    assert unset.stderr.startswith(
        "CROPLINE_DATABASE is not set, and this store's server kept its runs and schedules in "
    )


@pytest.mark.slow
@pytest.mark.services
@pytest.mark.timeout(9000)
def test_a_hundred_requests_at_once_on_postgresql_and_redis(
    on_postgresql: Installation, services: Path, parameters: dict[str, Any]
) -> None:
    figures = _a_hundred(on_postgresql, parameters, "PostgreSQL + Redis", services)
    assert figures.refused == {}
    assert figures.events_lost == 0
    assert lines_of_loss(on_postgresql) == []


@pytest.mark.slow
@pytest.mark.timeout(9000)
def test_a_hundred_requests_at_once_on_sqlite(installation: Installation, parameters: dict[str, Any]) -> None:
    """To compare with: events that SQLite loses are counted."""
    _a_hundred(installation, parameters, "SQLite")


@pytest.mark.slow
@pytest.mark.services
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", [100, 300, 1000])
def test_posts_at_once_on_postgresql_and_redis(count: int, on_postgresql: Installation) -> None:
    found = posts(on_postgresql, count, "PostgreSQL + Redis")
    _note(found)
    assert found.events_lost == 0
    assert lines_of_loss(on_postgresql) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", [100, 300, 1000])
def test_posts_at_once_on_sqlite(count: int, installation: Installation) -> None:
    """To compare with: what SQLite refuses or loses is counted."""
    _note(posts(installation, count, "SQLite"))


@pytest.mark.slow
@pytest.mark.services
@pytest.mark.parametrize("clients", [2, 8, 32, 100])
def test_reports_at_once_on_postgresql_and_redis(clients: int, on_postgresql: Installation) -> None:
    found = reports(on_postgresql, clients, "PostgreSQL + Redis", seconds=20)
    _note(found)
    assert found.refused == {}
    assert found.events_lost == 0
    assert lines_of_loss(on_postgresql) == []


@pytest.mark.slow
@pytest.mark.parametrize("clients", [2, 8, 32, 100])
def test_reports_at_once_on_sqlite(clients: int, installation: Installation) -> None:
    """To compare with."""
    _note(reports(installation, clients, "SQLite", seconds=20))


def _note(figures: Figures | Posts | Reports) -> None:
    sys.stderr.write(f"\n{figures.text()}\n")
    if file := os.environ.get(FIGURES):
        with Path(file).open("a") as lines:
            lines.write(f"{figures.text()}\n")


def _a_hundred(
    installation: Installation, parameters: dict[str, Any], database: str, services: Path | None = None
) -> Figures:
    """20 of one request, 20 that overlap, 60 for one map."""
    expected = _alone(installation)
    requests = [
        *same_requests(installation, 20),
        *overlapping_requests(installation, 20, _bounds(parameters)),
        *different_requests(installation, 60),
    ]
    figures = load(installation, requests, expected, database=database, services=services, seconds=8000)
    assert max(figures.server_mb.values()) < MOST_MB
    _note(figures)
    return figures


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_command_lines_at_once_deliver_the_same_bits(installation: Installation) -> None:
    expected = _alone(installation)
    commands = []
    begun = time.monotonic()
    for request in requests_of(installation, COMMANDS, "typed", first=101):
        file = Path(f"{request['output']}.json")
        file.write_text(json.dumps(request))
        words = [str(Path(sys.executable).with_name("prefect")), "deployment", "run", "crop-map/request", "--watch"]
        commands.append(
            subprocess.Popen(
                [*words, "--params", str(file)],
                cwd=installation.folder,
                env=installation.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    said = [command.communicate(timeout=3000)[0] for command in commands]
    assert [command.returncode for command in commands] == [0] * COMMANDS, said
    for number in range(101, 101 + COMMANDS):
        assert checksums(installation.folder / f"typed-{number:03}") == expected
    sys.stderr.write(f"\n{COMMANDS} command lines delivered after {time.monotonic() - begun:.0f} s\n")
