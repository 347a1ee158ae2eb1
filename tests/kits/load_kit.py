"""Many requests at once on the server of an installation, and what is measured meanwhile."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import rasterio
import services_kit
from installation_kit import Installation, post_at_once, requests_of, wait_until

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
UNDER_WAY = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]

LOST = re.compile(r"dropping|dead letter|discarding event", re.IGNORECASE)
"""How Prefect's server says in its log that an event is lost."""


def checksums(folder: Path) -> dict[str, str]:
    """Of the pixels: the files also name their request."""
    found = {}
    for file in folder.glob("*.tif"):
        with rasterio.open(file) as raster:
            found[file.name] = hashlib.sha256(raster.read().tobytes()).hexdigest()
    assert found
    return found


@dataclass
class Peak(threading.Thread):
    """The most memory that a run's processes held, and those of the server; and the most runs that were under way at once."""

    installation: Installation
    services: Path | None = None
    """Folder of PostgreSQL and Redis."""
    run_bytes: int = 0
    runs: int = 0
    server_bytes: dict[str, int] = field(default_factory=dict)
    """By what it is: server, services, worker, postgres, redis-server; shared pages in parts."""
    server_seconds: dict[str, float] = field(default_factory=dict)
    """Time that cores spent on the server's own processes since they started."""

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self._store = str(self.installation.folder / "store")

    def __hash__(self) -> int:
        return id(self)  # as threads have it

    def run(self) -> None:
        while not self.ended.wait(1):
            of_runs: Counter[str] = Counter()
            of_server: Counter[str] = Counter()
            for process in psutil.process_iter():
                try:
                    environment = process.environ()
                    if environment.get("CROPLINE_STORE") != self._store:
                        continue
                    if run := environment.get("PREFECT__FLOW_RUN_ID"):
                        of_runs[run] += process.memory_info().rss
                    elif name := _service(process):
                        of_server[name] += process.memory_full_info().pss
                        spent = process.cpu_times()
                        self.server_seconds[name] = spent.user + spent.system
                except psutil.Error:
                    continue
            for process in services_kit.processes_in(self.services) if self.services else ():
                try:
                    of_server[process.name()] += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.run_bytes, self.runs = max([self.run_bytes, *of_runs.values()]), max(self.runs, len(of_runs))
            for name, size in of_server.items():
                self.server_bytes[name] = max(size, self.server_bytes.get(name, 0))


def _service(process: psutil.Process) -> str | None:
    words = process.cmdline()
    for name in ("services", "worker", "server"):
        if name in words and "start" in words:
            return name
    return None


@dataclass(frozen=True)
class Figures:
    """What a load came to."""

    database: str
    requests: int
    posted_s: float
    """Until the last of all posts at once was taken."""
    refused: dict[str, int]
    """Refusals before that, by kind."""
    delivered_s: float
    """From the first post to the end of the last run."""
    run_s: tuple[float, float]
    """A run, in the median and at most."""
    runs_at_once: int
    run_mb: int
    server_mb: dict[str, int]
    server_core_s: dict[str, float]
    """Time of cores that the server's own processes took."""
    events: int
    events_lost: int
    taken_up_again: int

    def text(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Posts:
    """What so many posts at once came to that wait for their time."""

    database: str
    posts: int
    taken_s: float
    refused: dict[str, int]
    """Refusals before each was taken, by kind."""
    events_lost: int

    def text(self) -> str:
        return json.dumps(asdict(self))


def posts(installation: Installation, count: int, database: str) -> Posts:
    """Post so many requests at once whose time comes in a day."""
    since = datetime.now(UTC)
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": (since + timedelta(days=1)).isoformat()}}
    begun = time.monotonic()
    requests = requests_of(installation, count, f"later-{count}")
    made, refused = post_at_once(installation, requests, state=state)
    taken = time.monotonic() - begun
    lost, _ = lost_events(installation, [run["id"] for run in made], since)
    return Posts(database, count, round(taken, 1), dict(refused), len(lost))


@dataclass(frozen=True)
class Reports:
    """What runs came to that report one state after another."""

    database: str
    clients: int
    per_second: float
    """Reports that the server took of all clients together."""
    median_ms: int
    slowest_ms: int
    refused: dict[str, int]
    events_lost: int

    def text(self) -> str:
        return json.dumps(asdict(self))


def reports(installation: Installation, clients: int, database: str, seconds: float) -> Reports:
    """Have so many runs report states at once, each the next one when the one before is taken."""
    since = datetime.now(UTC)
    wait = {"type": "SCHEDULED", "state_details": {"scheduled_time": (since + timedelta(days=1)).isoformat()}}
    made, _ = post_at_once(installation, requests_of(installation, clients, f"reports-{clients}"), state=wait)
    ends = time.monotonic() + seconds

    def report(run: dict[str, Any]) -> tuple[list[float], Counter[str]]:
        took: list[float] = []
        refused: Counter[str] = Counter()
        while time.monotonic() < ends:
            begun = time.monotonic()
            state = {"type": ("RUNNING", "PENDING")[len(took) % 2]}
            try:
                installation.ask(f"flow_runs/{run['id']}/set_state", {"state": state, "force": True})
            except urllib.error.HTTPError as error:
                refused[str(error.code)] += 1
            except OSError as error:
                refused[type(error).__name__] += 1
            took.append(time.monotonic() - begun)
        return took, refused

    with ThreadPoolExecutor(clients) as threads:
        done = list(threads.map(report, made))
    took = sorted(second for taken, _ in done for second in taken)
    refused = sum((refused for _, refused in done), Counter())
    for run in made:
        installation.ask(f"flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLED"}, "force": True})
    lost, _ = lost_events(installation, [run["id"] for run in made], since)
    return Reports(
        database,
        clients,
        round((len(took) - refused.total()) / seconds, 1),
        round(took[len(took) // 2] * 1000),
        round(took[-1] * 1000),
        dict(refused),
        len(lost),
    )


def load(
    installation: Installation,
    requests: list[dict[str, Any]],
    expected: dict[str, str] | None,
    *,
    database: str,
    services: Path | None = None,
    seconds: float,
) -> Figures:
    """Post all requests at once, wait until all have ended, and hold on to what each must have come to.

    ``expected``: checksums of deliveries in folders that begin with "same", where known. Requests with one output are the same.
    """
    peak = Peak(installation, services)
    peak.start()
    begun, since = time.monotonic(), datetime.now(UTC)
    keys = [f"{number} {request['output']}" for number, request in enumerate(requests)]
    made, refused = post_at_once(installation, requests, keys=keys)
    posted = time.monotonic() - begun
    ids = [run["id"] for run in made]
    assert len(set(ids)) == len(requests), "each post makes a run, however often it was sent"
    which = {"flow_runs": {"id": {"any_": ids}}}
    left = {"flow_runs": {**which["flow_runs"], "state": {"type": {"not_any_": sorted(FINAL)}}}}
    wait_until(lambda: installation.ask("flow_runs/count", left) == 0, seconds, "all runs end")
    delivered = time.monotonic() - begun
    peak.ended.set()
    ended = [
        run
        for part in _parts(ids)
        for run in installation.ask("flow_runs/filter", {"flow_runs": {"id": {"any_": part}}})
    ]
    states = Counter(run["state_type"] for run in ended)
    assert states == {"COMPLETED": len(requests)}, {run["state"]["message"] for run in ended}
    for output in {Path(request["output"]) for request in requests}:
        assert expected is None or not output.name.startswith("same") or checksums(output) == expected, output
        assert checksums(output)
        assert not list(output.parent.glob(f".{output.name}*")), "nothing is left beside it"
    lost, events = lost_events(installation, ids, since)
    run_seconds = sorted(run["total_run_time"] for run in ended)
    return Figures(
        database=database,
        requests=len(requests),
        posted_s=round(posted, 1),
        refused=dict(refused),
        delivered_s=round(delivered, 1),
        run_s=(round(run_seconds[len(run_seconds) // 2], 1), round(run_seconds[-1], 1)),
        runs_at_once=peak.runs,
        run_mb=round(peak.run_bytes / 1e6),
        server_mb={name: round(size / 1e6) for name, size in sorted(peak.server_bytes.items())},
        server_core_s={name: round(spent, 1) for name, spent in sorted(peak.server_seconds.items())},
        events=events,
        events_lost=len(lost),
        taken_up_again=sum(run["run_count"] > 1 for run in ended),
    )


def lost_events(installation: Installation, runs: list[str], since: datetime) -> tuple[list[str], int]:
    """States of runs, and ends of their tasks, that no event tells of, and how many events tell of the others.

    The event of a run's state has the state's own id. A task's state is known by its events alone: one whose end was lost never ends.
    Events are written some seconds after what they tell.
    """
    states = {
        f"{state['name']} {state['id']}": state["id"]
        for run in runs
        for state in installation.ask(f"flow_run_states/?flow_run_id={run}", None)
    }
    deadline = time.monotonic() + 60
    while True:
        told = {event["id"] for event in _events(installation, since)}
        lost = [name for name, state in states.items() if state not in told]
        unended = [
            f"{task['name']} {task['id']}"
            for part in _parts(runs)
            for task in installation.ask(
                "task_runs/filter",
                {
                    "flow_runs": {"id": {"any_": part}, "state": {"type": {"any_": ["COMPLETED"]}}},
                    "task_runs": {"state": {"type": {"any_": UNDER_WAY}}},
                },
            )
        ]
        if not (lost or unended) or time.monotonic() > deadline:
            return lost + unended, len(states) - len(lost)
        time.sleep(2)


def lines_of_loss(installation: Installation) -> list[str]:
    """Lines of the server's logs that say that an event is lost."""
    logs = (installation.folder / "store" / "prefect").glob("serv*.log")
    return [line for log in logs for line in log.read_text(errors="replace").splitlines() if LOST.search(line)]


def same_requests(installation: Installation, count: int) -> list[dict[str, Any]]:
    """One request, so many times."""
    return requests_of(installation, 1, "same-identical") * count


def different_requests(installation: Installation, count: int) -> list[dict[str, Any]]:
    """So many requests for one map, each with a folder of its own."""
    return requests_of(installation, count, "same-map", first=2)


def overlapping_requests(
    installation: Installation, count: int, bounds: tuple[float, float, float, float]
) -> list[dict[str, Any]]:
    """Requests for windows that overlap, each with a folder of its own. ``bounds``: west, south, east, north of them all together."""
    west, south, east, north = bounds
    shifts = [number / max(1, 2 * count) for number in range(count)]  # up to half of its width
    return [
        {
            **request,
            "area": [west + shift * (east - west), south, west + (shift + 0.5) * (east - west), north],
        }
        for shift, request in zip(shifts, requests_of(installation, count, "overlapping"), strict=True)
    ]


def _events(installation: Installation, since: datetime) -> Iterable[dict[str, Any]]:
    asked = {
        "event": {"prefix": ["prefect.flow-run."], "exclude_name": ["prefect.flow-run.heartbeat"]},
        "occurred": {"since": since.isoformat(), "until": datetime.now(UTC).isoformat()},
        "order": "ASC",
    }
    page = installation.ask("events/filter", {"filter": asked, "limit": 50})
    while True:
        yield from page["events"]
        if not page["next_page"]:
            return
        page = installation.ask(page["next_page"].split("/api/", 1)[1], None)


def _parts(ids: list[str], size: int = 100) -> Iterable[list[str]]:
    for first in range(0, len(ids), size):
        yield ids[first : first + size]
