"""The store is found from wherever a command runs, and looking makes none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.own_server import own_server, store_folder
from flows.settings import load_settings


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a folder below it, in which commands run."""
    monkeypatch.delenv("CROPLINE_STORE", raising=False)
    (tmp_path / "project" / "areas").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "areas")
    return tmp_path / "project"


def test_the_store_is_named_or_the_nearest_upwards_or_here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_folder() == project / "areas" / ".cropline"
    (project / ".cropline").mkdir()
    assert store_folder() == project / ".cropline"
    assert load_settings().open_store().root == project / ".cropline"
    (project / "areas" / ".cropline").mkdir()
    assert store_folder() == project / "areas" / ".cropline", "an installation in the working folder stays"
    monkeypatch.setenv("CROPLINE_STORE", "~/elsewhere")
    assert store_folder() == Path.home() / "elsewhere"


def test_a_store_above_that_somebody_else_made_is_not_taken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".cropline").mkdir()
    monkeypatch.setattr("flows.own_server.os.getuid", lambda: project.stat().st_uid + 1)
    assert store_folder() == project / "areas" / ".cropline"


def test_the_server_is_found_from_a_folder_below(project: Path) -> None:
    assert own_server() is None
    (project / ".cropline" / "prefect").mkdir(parents=True)
    (project / ".cropline" / "prefect" / "server.json").write_text(json.dumps({"api": "http://127.0.0.1:4200/api"}))
    assert own_server() == "http://127.0.0.1:4200/api"


@pytest.mark.parametrize("words", [("models",), ("cells",), ("subscriptions",), ("status",), ("down",)])
def test_looking_makes_no_store(
    words: tuple[str, ...],
    tmp_path: Path,
    run_command: Callable[..., Any],
    environment_of: Callable[..., dict[str, str]],
) -> None:
    env = environment_of(tmp_path / "unused")
    del env["CROPLINE_STORE"]
    done = run_command("cropline", *words, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_status_says_where_the_store_is_and_what_starts_it(
    tmp_path: Path, run_command: Callable[..., Any], environment_of: Callable[..., dict[str, str]]
) -> None:
    env = environment_of(tmp_path / "store")
    lines = run_command("cropline", "status", cwd=tmp_path, env=env).stdout.splitlines()
    assert lines == [
        f"store    {tmp_path / 'store'}, not there yet",
        "server   not running. `cropline up` starts it.",
        "worker   not running. `cropline up` starts it.",
        "queue    unknown",
    ]
