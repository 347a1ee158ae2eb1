"""Two runs that read one source over the network: together they read no more at once than the installation allows."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from installation_kit import wait_until


class _Times(Counter[str]):
    """Requests by file, and of each acquisition the time of its first and of its last one."""

    def __init__(self) -> None:
        super().__init__()
        self.first: dict[str, float] = {}
        self.last: dict[str, float] = {}

    def __setitem__(self, name: str, count: int) -> None:
        if name.endswith(".tif"):
            acquisition = name.rpartition("-")[0]
            self.first.setdefault(acquisition, time.monotonic())
            self.last[acquisition] = time.monotonic()
        super().__setitem__(name, count)

    def most(self) -> int:
        """The most acquisitions that were read at once."""
        return max(
            sum(self.first[other] <= start < self.last[other] for other in self.first) for start in self.first.values()
        )


@pytest.fixture
def command(
    mission_archive: Any,
    file_server: Any,
    parameters: dict[str, Any],
    tmp_path: Path,
    environment_of: Callable[..., Any],
) -> Callable[..., Any]:
    """Starts a run over some months of an archive that is served by HTTP, each file under a name of its own."""
    served = file_server.folder / "archive"
    shutil.copytree(mission_archive.folder / "products", served)
    for item in served.glob("sentinel-2-l2a/*/*.json"):
        document = json.loads(item.read_text())
        for asset in document["assets"].values():
            file = item.parent / asset["href"]
            file.rename(file.with_name(f"{item.stem}-{file.name}"))
            asset["href"] = f"./{item.stem}-{file.name}"
        item.write_text(json.dumps(document))
    file_server.asked = _Times()

    def start(months: list[int], downloads: int) -> subprocess.Popen[str]:
        name = f"{months[0]}-{months[1]}"
        request = {
            **parameters,
            "source": f"stac:{file_server.address}/archive/catalog.json",
            "months": months,
            "output": name,
        }
        request |= {"max_cloud": 100, "min_clear": 0, "min_acquisitions": 1}
        (tmp_path / f"{name}.json").write_text(json.dumps(request))
        env = environment_of(tmp_path / "store", CROPLINE_DOWNLOADS=str(downloads), CROPLINE_WORKERS="4")
        words = [str(Path(sys.executable).with_name("cropline")), "run", f"{name}.json", "--json"]
        return subprocess.Popen(words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


@pytest.mark.slow
@pytest.mark.parametrize("downloads", [1, 3])
def test_two_runs_at_once_read_no_more_acquisitions_than_allowed(
    downloads: int, command: Callable[..., Any], file_server: Any
) -> None:
    runs = [command([1, 2], downloads), command([3, 4], downloads)]
    with ThreadPoolExecutor() as pool:
        told = list(pool.map(lambda run: run.communicate(timeout=300), runs))
    assert [run.returncode for run in runs] == [0, 0], told
    assert len(file_server.asked.first) > 20
    assert file_server.asked.most() == downloads


@pytest.mark.slow
def test_what_a_killed_run_had_is_free(command: Callable[..., Any], file_server: Any) -> None:
    file_server.faults["*"] = "silent"  # it reads until it is killed
    killed = command([1, 2], 1)
    wait_until(lambda: file_server.asked.first, 120, "it reads")
    family = psutil.Process(killed.pid).children(recursive=True)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    _, left = psutil.wait_procs(family, timeout=30)
    assert left == [], "what it started ends with it"
    file_server.faults.clear()
    after = command([3, 4], 1)
    told = after.communicate(timeout=300)
    assert after.returncode == 0, told
