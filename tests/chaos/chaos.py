"""Chaos: an installation whose processes are killed at random while it works on real data, and whose results must be those of a quiet one.

``python tests/chaos/chaos.py --minutes 30`` (``--seed N`` to kill in the same order again, ``--folder DIR`` for what it writes). It prints
its seed and each kill. Products and cubes are in a bucket, pixels are worked on by a Dask cluster of processes, a model is trained by two
processes under torchrun. A few seconds after server or worker were killed `cropline up` is called, as whoever looks after a machine does;
all else is left to the installation.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(REPOSITORY), str(HERE)]

from comparison import differences  # noqa: E402 - found by the line above where this is run as a script
from victims import Kind, Victims  # noqa: E402

from catalog.storage.store import Store  # noqa: E402
from flows.leftovers import leftovers  # noqa: E402
from flows.prefect_process import processes  # noqa: E402
from flows.prefect_process.api import Api, ServiceError  # noqa: E402
from flows.prefect_process.server_file import read_services  # noqa: E402

PAUSE = (4.0, 14.0)
"""Least and most seconds between two kills."""

AWAY = (1.0, 6.0)
"""Least and most seconds until what was killed is started again by whoever looks after it: server, worker, object store."""

PATIENCE = 1200.0
"""Seconds after the last kill in which everything must have ended."""

SIDE = (0.0044, 0.0028)
"""Edges of the square that a model is trained on, degrees of longitude and latitude: a patch of 32 pixels, which trains in a minute."""


@dataclass
class Outcome:
    """What chaos came to."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    delivered: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        killed = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.kills.items()))
        return (
            f"seed {self.seed}: {sum(self.kills.values())} kills ({killed}); {self.rounds} rounds, {self.delivered} results compared, "
            f"{len(self.problems)} problems"
        )


class Installation:
    """An installation in a folder of its own, its products and cubes in a bucket behind a way that can be killed."""

    def __init__(self, folder: Path, data: Path, port: int) -> None:
        self.folder, self.data, self.port = folder, data, port
        self.store = Store((folder / "store").resolve())
        self.relay_port, self._bucket_port = _free_port(), 0
        self.relay: subprocess.Popen[bytes] | None = None
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "CROPLINE_", "AWS_"))
        }
        self.env = {
            **kept,
            "CROPLINE_STORE": str(self.store.root),
            "CROPLINE_CUBES": "s3://cropline-chaos/cubes",
            "CROPLINE_DASK": "local",
            "CROPLINE_RUNS": "2",
            "CROPLINE_WORKERS": "2",
            "OMP_NUM_THREADS": "1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.relay_port}",
            "AWS_ACCESS_KEY_ID": "chaos",
            "AWS_SECRET_ACCESS_KEY": "chaos",
            "AWS_REGION": "eu-central-1",
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        """Bucket, server and worker for the length of a block, and nothing of them after it."""
        from moto.server import ThreadedMotoServer

        bucket = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        bucket.start()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # else each request is a line
        self._bucket_port = bucket.get_host_and_port()[1]
        try:
            self.open_store()
            self._fill()
            self.up()
            yield
        finally:
            self.command("cropline", "down")
            self.close_store()
            bucket.stop()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment in the folder."""
        program = str(Path(sys.executable).with_name(words[0]))
        return subprocess.run(
            [program, *words[1:]],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def up(self) -> None:
        """Call `cropline up`, again where it fails: what it needs may be killed meanwhile. Raises `RuntimeError` where that goes on."""
        for _ in range(3):
            done = self.command("cropline", "up", "--port", str(self.port))
            if not done.returncode:
                return
        raise RuntimeError(f"cropline up failed:\n{done.stdout}{done.stderr}")

    def open_store(self) -> None:
        """Let the installation reach its bucket."""
        words = [sys.executable, str(HERE / "relay.py"), str(self.relay_port), str(self._bucket_port)]
        self.relay = subprocess.Popen(words)
        _until(lambda: _answers(self.relay_port), 30, "the object store answers")

    def close_store(self) -> None:
        """Kill the way to the bucket: connections break, and new ones are refused."""
        if self.relay is not None:
            self.relay.kill()
            self.relay.wait()

    def forget(self) -> None:
        """Remove all that requests made: cubes, models, runs, deliveries."""
        files = self._files()
        with suppress(FileNotFoundError):
            files.rm("cropline-chaos/cubes", recursive=True)
        for name in ("models", "maps", "runs"):
            shutil.rmtree(self.store.root / name, ignore_errors=True)
        shutil.rmtree(self.folder / "deliveries", ignore_errors=True)

    def api(self) -> Api:
        """The server's API, wherever it is."""
        services = read_services(self.store)
        secret = (self.store.prefect / "secret").read_text().strip()
        return Api(f"http://127.0.0.1:{self.port}/api" if services is None else services.api, secret)

    def _fill(self) -> None:
        files = self._files()
        files.mkdir("cropline-chaos")
        for file in sorted(self.data.rglob("*")):
            if file.is_file():
                files.pipe_file(f"cropline-chaos/products/{file.relative_to(self.data)}", file.read_bytes())

    def _files(self) -> Any:
        import s3fs

        return s3fs.S3FileSystem(
            key="chaos",
            secret="chaos",
            client_kwargs={"endpoint_url": f"http://127.0.0.1:{self._bucket_port}", "region_name": "eu-central-1"},
            use_listings_cache=False,
            skip_instance_cache=True,
        )


class Work:
    """The requests of a round: a training, then maps beside one another."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        data = installation.data
        square = json.loads((data / "aoi.geojson").read_text())
        corner = _corner(square)
        common = {"year": 2019, "source": "stac:s3://cropline-chaos/products/catalog.json", "max_cloud": 100}
        learnt = {
            **common,
            "area": [*corner, corner[0] + SIDE[0], corner[1] + SIDE[1]],
            "labels": str(data / "labels" / "crop_type.tif"),
            "legend": str(REPOSITORY / "docs" / "examples" / "flanders-2019.legend.csv"),
            "training": "quick",
        }
        index = {**common, "area": square, "processor": "vegetation"}
        deliveries = installation.folder / "deliveries"
        self.training = {**learnt, "processes": 2}
        self.maps = {
            "crops": {**learnt, "output": str(deliveries / "crops")},
            "spring": {**index, "months": [1, 4], "output": str(deliveries / "spring")},
            "summer": {**index, "months": [4, 8], "output": str(deliveries / "summer")},
            "year": {**index, "months": [1, 12], "output": str(deliveries / "year")},
        }

    def do(self, outcome: Outcome) -> None:
        """Do all of it. What doesn't come to its end is a problem."""
        self._finish({"training": self._send("ddp", self.training)}, outcome)
        self._finish({name: self._send("request", request) for name, request in self.maps.items()}, outcome)

    def _send(self, deployment: str, parameters: dict[str, Any]) -> str:
        """Send a request as a client does that tries again while the server is away; by its key it is sent once."""
        key = f"{time.time_ns()}"

        def post() -> str | None:
            api = self._installation.api()
            with suppress(ServiceError):
                found = api.ask("deployments/filter", {"deployments": {"name": {"any_": [deployment]}}})
                body = {"parameters": parameters, "idempotency_key": key}
                return str(api.ask(f"deployments/{found[0]['id']}/create_flow_run", body)["id"])
            return None

        return str(_until(post, PATIENCE, f"{deployment} is sent"))

    def _finish(self, runs: dict[str, str], outcome: Outcome) -> None:
        ended: dict[str, Any] = {}

        def look() -> bool:
            with suppress(ServiceError):
                for name, run in runs.items():
                    state = self._installation.api().ask(f"flow_runs/{run}")
                    if state and state["state_type"] in ("COMPLETED", "FAILED", "CANCELLED"):
                        ended[name] = state
            return len(ended) == len(runs)

        try:
            _until(look, PATIENCE + 1800, f"{', '.join(runs)} end")
        except TimeoutError as error:
            outcome.problems.append(str(error))
        for name, state in ended.items():
            if state["state_type"] != "COMPLETED":
                outcome.problems.append(f"{name} {state['state_name']}: {state['state']['message']}")


class Chaos:
    """Kills until its time is over, then puts right what somebody has to put right."""

    def __init__(self, installation: Installation, seed: int, tell: Callable[[str], None]) -> None:
        self._installation, self._tell = installation, tell
        self._random, self._victims = random.Random(seed), Victims(installation.store)
        self.outcome = Outcome(seed)
        self._back: list[tuple[float, Kind]] = []
        self._ended = False

    def run(self, minutes: float) -> None:
        """Kill something every few seconds."""
        end = time.monotonic() + 60 * minutes
        due = time.monotonic() + self._random.uniform(*PAUSE)
        while not self._ended and time.monotonic() < end:
            self._bring_back()
            if time.monotonic() >= due:
                self._kill()
                due = time.monotonic() + self._random.uniform(*PAUSE)
            time.sleep(0.2)
        while self._back:
            self._bring_back()
            time.sleep(0.2)

    def stop(self) -> None:
        """End at the next look."""
        self._ended = True

    def _kill(self) -> None:
        away = {kind for _, kind in self._back}
        there = {kind: self._victims.of(kind) for kind in Kind if kind is not Kind.OBJECT_STORE}
        kinds = [kind for kind, processes in there.items() if processes]
        if Kind.OBJECT_STORE not in away:
            kinds.append(Kind.OBJECT_STORE)
        if not kinds:
            return
        # Those that are seldom there, or were spared so far, are not forgotten.
        (kind,) = self._random.choices(kinds, [1 / (1 + self.outcome.kills[kind]) for kind in kinds])
        if kind is Kind.OBJECT_STORE:
            self._installation.close_store()
            what = f"{kind}"
        else:
            process = self._random.choice(there[kind])
            try:
                self._victims.kill(process, kind)
            except psutil.NoSuchProcess:
                return
            what = f"{kind} {process.pid}"
        self.outcome.kills[kind] += 1
        self._tell(f"killed {what}")
        if kind in (Kind.OBJECT_STORE, Kind.SERVER, Kind.WORKER) and kind not in away:
            self._back.append((time.monotonic() + self._random.uniform(*AWAY), kind))

    def _bring_back(self) -> None:
        due = [(at, kind) for at, kind in self._back if at <= time.monotonic()]
        self._back = [later for later in self._back if later not in due]
        kinds = {kind for _, kind in due}
        if Kind.OBJECT_STORE in kinds:
            self._installation.open_store()
        if kinds & {Kind.SERVER, Kind.WORKER}:
            try:
                self._installation.up()
            except RuntimeError as error:
                self.outcome.problems.append(str(error))


def chaos(folder: Path, data: Path, minutes: float, seed: int, port: int, tell: Callable[[str], None]) -> Outcome:
    """Do a round in peace, then rounds under chaos for so many minutes, and compare each with the first."""
    import threading

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    installation = Installation(folder, data, port)
    work, quiet = Work(installation), folder / "quiet"
    with installation.running():
        chaotic = Chaos(installation, seed, tell)
        outcome = chaotic.outcome
        begun = time.monotonic()
        work.do(outcome)
        if outcome.problems:
            return outcome
        (folder / "deliveries").rename(quiet)
        tell(
            f"a round in peace took {time.monotonic() - begun:.0f} s; now for {minutes:g} minutes of chaos, seed {seed}"
        )
        killer = threading.Thread(target=chaotic.run, args=(minutes,))
        killer.start()
        try:
            while killer.is_alive():
                installation.forget()
                began = time.monotonic()
                work.do(outcome)
                outcome.rounds += 1
                outcome.delivered += len(work.maps)
                found = differences(quiet, folder / "deliveries")
                outcome.problems += [f"round {outcome.rounds}: {difference}" for difference in found]
                tell(f"round {outcome.rounds}: {time.monotonic() - began:.0f} s, {len(found)} differences")
                if outcome.problems:
                    break
        finally:
            chaotic.stop()
            killer.join()
        installation.up()
        _until(
            lambda: len(processes.started_for(installation.store)) == 2,
            60,
            "but for server and worker no process is left",
        )
        time.sleep(65)  # what was made within the last minute may be in the making
        installation.up()
        outcome.problems += [f"left behind: {path}" for path in leftovers(installation.store)]
    outcome.problems += [f"not stopped: {process}" for process in processes.started_for(installation.store)]
    return outcome


def _corner(area: dict[str, Any]) -> tuple[float, float]:
    """West and south of an area, a little inside."""
    from catalog.area import parse_area

    west, south, east, north = parse_area(area).bounds
    return west + (east - west) * 0.02, south + (north - south) * 0.02


def _until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(1)
    return value


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> int:
    """The command; the exit status is 1 where there were problems."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=None, help="made up where it isn't given")
    parser.add_argument("--folder", type=Path, default=None, help="by default a new one among the temporary files")
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data" / "flanders-2019")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    folder = options.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    began = time.monotonic()

    def tell(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - began:7.1f} s  {text}\n")

    tell(f"seed {seed}, in {folder}")
    outcome = chaos(folder, options.data, options.minutes, seed, _free_port(), tell)
    sys.stdout.write("\n".join([str(outcome), *outcome.problems]) + "\n")
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
