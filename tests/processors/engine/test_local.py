"""A cluster of this machine: closed to others, gone with its parent, and leaving nothing behind in it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import engine_kit
import psutil
import pytest
from distributed import SpecCluster
from distributed.comm import connect

from catalog.errors import WorkerError
from processors.engine.opening import open_engine
from processors.engine.protocol import Engine, TaskKilledError
from processors.engine.scratch import private_folder, worker_folder


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine(
        "local", environments=[{"MINE": str(number), "OMP_NUM_THREADS": "3"} for number in range(2)]
    ) as opened:
        yield opened


def test_it_listens_on_the_loopback_and_lets_nobody_in_without_its_certificate(engine: Engine) -> None:
    address = engine._client.scheduler.address  # type: ignore[attr-defined]
    assert address.startswith("tls://127.0.0.1:")
    workers = engine._client.scheduler_info()["workers"]  # type: ignore[attr-defined]
    assert all(worker.startswith("tls://127.0.0.1:") for worker in workers)
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [c.laddr.ip for p in family for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert set(listening) == {"127.0.0.1"}
    for stranger in (address, address.replace("tls://", "tcp://")):
        with pytest.raises((OSError, TypeError)):
            asyncio.run(connect(stranger, timeout=2))


def test_each_worker_has_its_own_environment_and_this_process_keeps_its_own(engine: Engine) -> None:
    before = dict(os.environ)
    assert engine.workers == 2
    found = {tuple(answer) for answer in engine.map(engine_kit.environment_in_turn, range(2))}
    assert found == {("0", "3"), ("1", "3")}
    with open_engine("local", 1) as other:
        assert other.run(engine_kit.environment_of, "OMP_NUM_THREADS") == [os.environ.get("OMP_NUM_THREADS", "1")]
    assert {name: value for name, value in os.environ.items() if not name.startswith("__DASK")} == {
        name: value for name, value in before.items() if not name.startswith("__DASK")
    }


def test_a_worker_may_start_processes_of_its_own(engine: Engine) -> None:
    assert engine.run(engine_kit.child_of_worker) != os.getpid()


def test_a_task_that_kills_its_workers_is_given_up_and_named(engine: Engine) -> None:
    with pytest.raises(TaskKilledError, match="a process was killed") as caught:
        list(engine.as_completed(os._exit, [3]))
    assert caught.value.item == 3
    assert isinstance(caught.value, WorkerError)
    assert engine.run(abs, -1) == 1  # others take its place


PARENT = """
import os, sys, time
import engine_kit
from processors.engine.opening import open_engine
if __name__ == "__main__":
    with open_engine("local", 2) as engine:
        for _ in engine.as_completed(engine_kit.until_unwanted, [sys.argv[1]] * 2):
            pass
"""


def _last_words(process: subprocess.Popen[str], kind: signal.Signals) -> str:
    """What it writes before it ends. An interrupt that hits the end of an object is only printed by Python: a user sends another."""
    try:
        return process.communicate(timeout=15)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, kind)
        return process.communicate(timeout=30)[1]


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_workers_die_with_their_parent_and_the_next_ones_clear_away_what_is_left(
    tmp_path: Path, kind: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    path = os.pathsep.join([str(Path(engine_kit.__file__).parent), str(Path(__file__).parents[3])])
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(scratch)}, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("begun-*"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    workers = [int(file.name.split("-")[1]) for file in tmp_path.glob("begun-*")]
    if kind == signal.SIGINT:
        os.killpg(process.pid, kind)  # as a terminal does
    else:
        process.kill()
    said = _last_words(process, kind)
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if kind == signal.SIGINT:
        assert said.count("Traceback") == 1 + said.count("Exception ignored in"), said
        assert said.rstrip().endswith("KeyboardInterrupt")
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    with open_engine("local", 1):
        assert len(list(scratch.glob("**/worker-*/"))) == 1
    assert not list(scratch.glob("**/worker-*/"))


def test_workers_that_do_not_start_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.engine.local._START", 0.01)
    with (
        pytest.raises(WorkerError, match=r"2 worker processes can't be started .* Ask for fewer"),
        open_engine("local", 2),
    ):
        pass


def test_a_worker_that_dies_while_it_starts_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [2]

    class Dying(SpecCluster):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            if left[0]:
                left[0] -= 1
                raise RuntimeError("_Nanny failed to start.")
            super().__init__(*arguments, **options)

    monkeypatch.setattr("processors.engine.local.SpecCluster", Dying)
    with open_engine("local", 1) as engine:
        assert engine.run(abs, -3) == 3


def test_nothing_that_dask_logs_reaches_the_handlers_of_others() -> None:
    script = (
        "import logging\n"
        "logging.basicConfig(level='CRITICAL')  # as Prefect does, before Dask is imported\n"
        "from processors.engine.opening import open_engine\n"
        "if __name__ == '__main__':\n"
        "    with open_engine('local', 1) as engine:\n"
        "        print(engine.run(abs, -3))\n"
    )
    folder = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_a_worker_runs_in_a_folder_that_nobody_else_may_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_engine("local", 1) as engine:
        folder = Path(engine.run(worker_folder) or "")
        own = tmp_path / folder.relative_to(tmp_path).parts[0]
        assert own.stat().st_mode & 0o077 == 0
    own.chmod(0o777)  # as of somebody who waits for others to import from it
    with private_folder() as other:
        assert other != own
        assert other.stat().st_mode & 0o077 == 0
    assert not other.exists()
