"""A server and a worker, started by `cropline up` for the tests of one file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from installation_kit import Installation

PREFECT_SETTINGS = Path(__file__).resolve().parents[3] / "prefect.toml"


@pytest.fixture(scope="module")
def open_installation(
    tmp_path_factory: pytest.TempPathFactory,
    parameters: dict[str, Any],
    run_command: Callable[..., Any],
    environment_of: Callable[..., dict[str, str]],
) -> Callable[..., AbstractContextManager[Installation]]:
    """Opens an installation with a server and a worker; further settings by their variables."""

    @contextmanager
    def started(**settings: str) -> Iterator[Installation]:
        folder = tmp_path_factory.mktemp("installation")
        (folder / "prefect.toml").write_bytes(PREFECT_SETTINGS.read_bytes())
        env = environment_of(folder / "store", PREFECT_HOME=str(folder / "home"), **settings)
        done = run_command("cropline", "up", cwd=folder, env=env)
        try:
            assert done.returncode == 0, done.stderr
            (folder / "aoi.json").write_text(json.dumps({**parameters, "output": "map"}))
            yield Installation(folder, env, run_command)
        finally:
            run_command("cropline", "down", cwd=folder, env=env)

    return started


@pytest.fixture(scope="module")
def installation(open_installation: Callable[..., AbstractContextManager[Installation]]) -> Iterator[Installation]:
    with open_installation() as started:
        yield started
