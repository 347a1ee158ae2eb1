"""A request for what the simulated mission saw, and the commands that take it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def parameters(mission_archive: Any) -> dict[str, Any]:
    """A quick request for all of it: a processor that needs no training."""
    return {
        "area": mission_archive.area,
        "year": 2019,
        "months": [1, 7],
        "source": mission_archive.source,
        "processor": "vegetation",
    }


def _environment(store: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "CROPLINE_"))}
    return {**kept, "CROPLINE_STORE": str(store), "OMP_NUM_THREADS": "2", **more}


def _command(
    *words: str, cwd: Path, env: Mapping[str, str], text: str | None = None, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name(words[0])
    return subprocess.run(
        [str(program), *words[1:]],
        cwd=cwd,
        env=dict(env),
        input=text,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="session")
def environment_of() -> Callable[..., dict[str, str]]:
    """The environment of a command with a store of its own, without Prefect's and the project's settings of this process."""
    return _environment


@pytest.fixture(scope="session")
def run_command() -> Command:
    """Runs a script that lies beside the interpreter, and waits for it."""
    return _command


def _script(script: str, folder: Path, timeout: float = 400) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=_environment(folder / "store"),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="session")
def run_script() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script in a process and a folder of its own, with a store in it, and waits for its end."""
    return _script


@pytest.fixture(scope="session")
def processes_of() -> Callable[[Path], list[list[str]]]:
    """Command lines of the processes that were started for a store."""

    def find(store: Path) -> list[list[str]]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("CROPLINE_STORE") == str(store) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.cmdline())
            except psutil.Error:
                continue
        return found

    return find
