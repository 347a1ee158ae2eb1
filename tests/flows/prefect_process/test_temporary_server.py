"""The server of one run: its own, closed to others, never left behind; and a Prefect that knows of nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.prefect_process import temporary_server as module
from flows.prefect_process.temporary_server import TemporaryServer, TemporaryServerError, temporary_server

ISOLATED = """
import json, os
from flows.prefect_process.isolation import isolated_prefect
from flows.prefect_process.temporary_server import temporary_server
with temporary_server() as server, isolated_prefect(server):
    from prefect import flow, settings, task

    @task
    def twice(number): return 2 * number

    @flow
    def four(): return twice.submit(2).result()

    names = [name for name in os.environ if name.startswith("PREFECT_")]
    print(json.dumps([four(), settings.PREFECT_API_URL.value() == server.api, str(server.home), sorted(names)]))
"""

LEFT = """
import time
from flows.prefect_process.temporary_server import temporary_server
with temporary_server() as server:
    server.wait()
    print(server.process.pid, server.home, flush=True)
    time.sleep(600)
"""


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_prefect_of_a_run_is_its_own(tmp_path: Path, environment_of: Callable[..., dict[str, str]]) -> None:
    """Against a user's profile, environment and prefect.toml, which all name a server that isn't there."""
    nowhere = "http://127.0.0.1:9/api"
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (home / "profiles.toml").write_text(f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "{nowhere}"\n')
    (work / "prefect.toml").write_text(f'[api]\nurl = "{nowhere}"\n')
    (work / ".env").write_text(f"PREFECT_API_URL={nowhere}\n")
    before = _files(tmp_path)
    env = environment_of(tmp_path / "store", PREFECT_HOME=str(home), PREFECT_API_URL=nowhere, PREFECT_API_KEY="mine")
    done = subprocess.run(
        [sys.executable, "-c", ISOLATED], cwd=work, env=env, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    result, own_address, server_home, names = json.loads(done.stdout.splitlines()[-1])
    assert result == 4
    assert own_address
    assert "PREFECT_HOME" in names
    assert not {"PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"} & set(names), (
        "for processes started there"
    )
    assert not Path(server_home).exists()
    assert _files(tmp_path) == before, "nothing of the user's was changed"


def test_two_servers_at_once_share_nothing_and_refuse_strangers() -> None:
    with temporary_server() as one, temporary_server() as other:
        assert one.home != other.home
        assert one.secret != other.secret
        for server in (one, other):
            server.wait()
            assert os.getsid(server.process.pid) == server.process.pid, "an interrupt of this session doesn't reach it"
            assert (server.home / "prefect.db").is_file()
            with pytest.raises(urllib.error.HTTPError, match="401"):
                _ask(server)
            foreign = urllib.request.Request(f"{server.api}/health", headers={"Origin": "http://evil.example"})
            with urllib.request.urlopen(foreign, timeout=60) as answer:
                assert answer.headers["Access-Control-Allow-Origin"] is None
        homes = (one.home, other.home)
    assert not any(home.exists() for home in homes)
    assert not any(psutil.pid_exists(server.process.pid) for server in (one, other))


def _ask(server: TemporaryServer) -> None:
    body: dict[str, Any] = {"data": b"{}", "headers": {"Content-Type": "application/json"}}
    try:
        urllib.request.urlopen(urllib.request.Request(f"{server.api}/flow_runs/filter", **body), timeout=60).close()
    except urllib.error.HTTPError as error:
        error.close()
        raise


def test_server_ends_with_its_parent_even_when_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", LEFT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, home = parent.stdout.readline().split()
        parent.kill()
    deadline = time.monotonic() + 30
    while psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the server was left behind"
        time.sleep(0.1)
    assert not Path(home).exists()


def test_server_that_does_not_start_is_an_error_with_the_end_of_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_server() as server:
        server.process.kill()
        server.process.wait()
        server.log.write_text("no room\n")
        with pytest.raises(TemporaryServerError, match="did not start; the end of its log says:\nno room"):
            server.wait()


def test_a_server_that_finds_no_space_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_server() as server:
        server.process.kill()
        server.process.wait()
        monkeypatch.setattr("flows.prefect_process.temporary_server.NEEDED_SPACE", 10**18)
        with pytest.raises(TemporaryServerError, match=r"^no space left in .* set TMPDIR to another folder"):
            server.wait()


def test_without_a_script_the_server_makes_its_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "make_database", lambda _: False)
    with temporary_server() as server:
        server.wait()
        assert (server.home / "prefect.db").stat().st_size > 100_000
