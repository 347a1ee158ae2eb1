"""Services in the foreground as containers have them: each a process by itself, at names and addresses of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from installation_kit import wait_until

from flows.own_server import read_secret
from flows.prefect_process.api import Api
from flows.prefect_process.server_file import Services
from flows.prefect_process.work_pool import INTERACTIVE, POOL

SECRET = "cropline:as-a-container-is-given-it"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def foreground(part: str, *options: str, log: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A service as a container's engine has it: started, watched by its process, ended by an interrupt."""
    words = [str(Path(sys.executable).with_name("cropline")), "up", "--foreground", part, *options]
    with log.open("wb") as output:
        process = subprocess.Popen(words, cwd=log.parent, env=env, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(1200)
def test_processes_of_containers_make_an_installation(
    tmp_path: Path, environment_of: Callable[..., dict[str, str]]
) -> None:
    store, port, health = tmp_path / "store", free_port(), free_port()
    env = environment_of(store, PREFECT_API_AUTH_STRING=SECRET, CROPLINE_RUNS="1", PREFECT_HOME=str(tmp_path / "home"))
    api = f"http://127.0.0.2:{port}/api"

    with ExitStack() as running:

        def start(part: str, *options: str, name: str = "", **more: str) -> subprocess.Popen[bytes]:
            log = tmp_path / f"{name or part}.log"
            return running.enter_context(foreground(part, *options, log=log, env={**env, **more}))

        server = start("server", "--host", "127.0.0.2", "--port", str(port))

        def answers() -> bool:
            assert server.poll() is None, (tmp_path / "server.log").read_text()
            return Api(api, SECRET).answers()

        wait_until(answers, 400, "the server")
        worker = start("worker", "--health", str(health))

        def healthy() -> bool:
            assert worker.poll() is None, (tmp_path / "worker.log").read_text()
            assert server.poll() is None, (tmp_path / "server.log").read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{health}/health", timeout=10) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        wait_until(healthy, 400, "the worker's health")
        assert read_secret(store / "prefect") == SECRET, "the server takes the secret that it is given"
        noted = Services.model_validate_json((store / "prefect" / "server.json").read_text())
        assert noted.api == api, "other containers ask it by its name"
        assert noted.ui == f"http://127.0.0.1:{port}", "browsers are on this machine"
        names = {deployment["name"] for deployment in Api(api, SECRET).ask("deployments/filter", {})}
        assert names >= {"request", "seasonal"}, "the worker of the server's store brings the deployments"
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=10)

        # One of another store, as in a batch job or a second pod: it takes what people ask for.
        other = tmp_path / "other"
        other.mkdir()
        joined = start(
            "worker", "--api", api, name="joined", CROPLINE_STORE=str(other / "store"), CROPLINE_CUBES=str(other / "c")
        )

        def both() -> bool:
            assert joined.poll() is None, (tmp_path / "joined.log").read_text()
            online = Api(api, SECRET).ask(f"work_pools/{POOL}/workers/filter", {})
            return sum(worker["status"] == "ONLINE" for worker in online) == 2

        wait_until(both, 300, "two workers online")
        assert Api(api, SECRET).ask(f"work_pools/{POOL}")["concurrency_limit"] == 2
        assert f"--work-queue {INTERACTIVE}" in " ".join(words_of(joined.pid))
        assert SECRET not in " ".join([*words_of(server.pid), *words_of(worker.pid), *words_of(joined.pid)])
        assert all(SECRET not in log.read_text() for log in tmp_path.glob("*.log"))


def words_of(process: int) -> list[str]:
    return Path(f"/proc/{process}/cmdline").read_text().split("\0")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--host", "0.0.0.0"), "--host and --health are for --foreground."),
        (
            ("--foreground", "server", "--api", "http://127.0.0.1:4200"),
            "--foreground takes --host and --port for the server",
        ),
        (("--foreground", "worker", "--port", "4200"), "--foreground takes --host and --port for the server"),
        (("--foreground", "services", "--health", "8080"), "--foreground takes --host and --port for the server"),
    ],
)
def test_options_of_another_service_are_refused(
    words: tuple[str, ...], says: str, tmp_path: Path, run_command: Any, environment_of: Any
) -> None:
    done = run_command("cropline", "up", *words, cwd=tmp_path, env=environment_of(tmp_path / "store", COLUMNS="200"))
    assert done.returncode == 2
    assert says in done.stderr
    assert not (tmp_path / "store").exists()
