"""Tasks for engines, and a scheduler with worker processes as somebody else keeps it; a module, so that workers can import it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import Security
from pydantic import SecretStr

from catalog.errors import ProductError, Reason, RequestError
from catalog.storage.credentials import Credentials, S3Access
from processors.engine.limits import reading, uninterruptible
from processors.engine.messages import is_wanted, report
from processors.engine.protocol import Engine


def squared(number: int) -> int:
    """Reports the number, then its square."""
    report(number)
    if number < 0:
        raise ValueError(f"{number} is negative")
    return number * number


def until_unwanted(folder: str) -> None:
    """Works until nobody waits any more, then leaves a file that says so."""
    Path(folder, f"begun-{os.getpid()}").touch()
    deadline = time.monotonic() + 60
    while is_wanted() and time.monotonic() < deadline:
        time.sleep(0.02)
    Path(folder, f"ended-{os.getpid()}").touch()


def fail_or_go_on(name: str) -> None:
    """Goes on until nobody waits, or, where the name ends so, fails once another one has begun."""
    folder = Path(name).parent
    if not name.endswith("fail"):
        until_unwanted(str(folder))
        return
    while not list(folder.glob("begun-*")):
        time.sleep(0.02)
    raise ValueError("failed, as it should")


def environment_of(*names: str) -> list[str | None]:
    return [os.environ.get(name) for name in names]


def environment_in_turn(number: int) -> list[str | None]:
    """What a worker was given; takes long enough that another one does the next."""
    time.sleep(1)
    return environment_of("MINE", "OMP_NUM_THREADS")


def child_of_worker() -> int:
    """A process that a worker starts."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(os.getppid)


def key_of(access: S3Access) -> str | None:
    return None if access.key is None else access.key.get_secret_value()


def keys_of(credentials: Credentials, access: S3Access) -> list[str | None]:
    return [key_of(credentials.s3), key_of(credentials.cdse), key_of(access)]


def resolved() -> Credentials:
    """The credentials of the process that is asked, as `flows` does it."""
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    return Credentials(
        s3=S3Access(
            endpoint=os.environ.get("AWS_ENDPOINT_URL"),
            region=os.environ.get("AWS_REGION"),
            key=None if key is None else SecretStr(key),
            secret=None if secret is None else SecretStr(secret),
        )
    )


def environment_with(access: S3Access) -> dict[str, str]:
    """The variables from which `resolved` makes this access."""
    assert access.key is not None
    assert access.secret is not None
    return {
        "AWS_ENDPOINT_URL": str(access.endpoint),
        "AWS_REGION": str(access.region),
        "AWS_ACCESS_KEY_ID": access.key.get_secret_value(),
        "AWS_SECRET_ACCESS_KEY": access.secret.get_secret_value(),
    }


@dataclass(frozen=True)
class Cluster:
    """A scheduler with workers."""

    address: str
    processes: tuple[subprocess.Popen[bytes], ...]


def write_certificates(folder: Path) -> dict[str, str]:
    """Write certificate files into a folder; the variables that tell Dask of them."""
    security: Any = Security.temporary()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_text(security.tls_ca_file)
    (folder / "key.pem").write_text(security.tls_client_key)
    (folder / "key.pem").chmod(0o600)
    return variables_for(folder)


def variables_for(folder: Path) -> dict[str, str]:
    """The variables that tell Dask of the certificates in a folder."""
    tls = {"CA_FILE": "ca.pem"}
    for role in ("CLIENT", "SCHEDULER", "WORKER"):
        tls |= {f"{role}__CERT": "ca.pem", f"{role}__KEY": "key.pem"}
    return {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(folder / file) for name, file in tls.items()}


def client_settings(folder: Path) -> dict[str, str]:
    """Dask's settings for a client that has the certificates of a folder."""
    return {
        "distributed.comm.tls.ca-file": str(folder / "ca.pem"),
        "distributed.comm.tls.client.cert": str(folder / "ca.pem"),
        "distributed.comm.tls.client.key": str(folder / "key.pem"),
    }


def wait_for_workers(engine: Engine, count: int) -> None:
    deadline = time.monotonic() + 60
    while engine.workers < count and time.monotonic() < deadline:
        time.sleep(0.05)


@contextmanager
def cluster(folder: Path, workers: int = 2, environment: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """`dask scheduler` and worker processes over TLS, each of them started by its own command and with its own environment."""
    certificates = write_certificates(folder / "tls")
    kits = str(Path(__file__).parent)
    path = os.pathsep.join([kits, *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": path, **certificates}
    own["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] = "2"
    file = folder / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--scheduler-file", str(file)]
    command += ["--host", "tls://127.0.0.1", "--port", "0", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    with (folder / "log").open("wb") as log, _ended() as running:
        running.append(subprocess.Popen(command, env=own, stdout=log, stderr=log, start_new_session=True))
        _wait(file, running)
        for number in range(workers):
            command = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file)]
            command += ["--host", "tls://127.0.0.1", "--nthreads", "1", "--memory-limit", "0", "--no-dashboard"]
            command += ["--local-directory", str(folder / f"worker-{number}"), "--death-timeout", "60"]
            of_worker = {**own, "OMP_NUM_THREADS": "1", **(environment or {})}
            running.append(subprocess.Popen(command, env=of_worker, stdout=log, stderr=log, start_new_session=True))
        yield Cluster(json.loads(file.read_text())["address"], tuple(running))


def _wait(file: Path, running: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + 60
    while not file.exists() or not file.read_text().strip():
        if running[0].poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no scheduler: {(file.parent / 'log').read_text()}")
        time.sleep(0.05)


@contextmanager
def _ended() -> Iterator[list[subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []
    try:
        yield running
    finally:
        for process in running:  # with the workers that they started
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def double(number: int) -> int:
    return 2 * number


def own_process(seconds: float = 0) -> int:
    """Number of the process, after a while."""
    time.sleep(seconds)
    return os.getpid()


def refuse(text: str) -> None:
    raise ProductError(text, Reason.NOT_THERE)


def refuse_request() -> None:
    raise RequestError("no")


class _UnpackableError(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def fail_unpackably() -> None:
    raise _UnpackableError("so", "it is")


def hang() -> None:
    """Hang as a library does."""
    with uninterruptible():
        time.sleep(600)


def swallow() -> None:
    """Take memory, and more of it."""
    taken = []
    while True:
        taken.append(bytearray(b"x" * 20_000_000))
        time.sleep(0.02)


def crash() -> None:
    """Die as of a fault in a library."""
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)


def read_of(product: str, harm: Callable[[], None]) -> None:
    """Do harm while a product is read."""
    with reading(product), uninterruptible():
        harm()


def long_work(file: Path) -> str:
    """Write down that it has begun, and take longer than those do that end the process."""
    with file.open("a") as begun:
        begun.write("begun")
    time.sleep(1.5)
    return "done"


def until_stopped(folder: str) -> None:
    """Read on and on, with something to clear up at the end."""
    left = Path(folder) / "left"
    left.touch()
    try:
        while True:
            with uninterruptible():
                time.sleep(0.02)
    finally:
        left.unlink()
