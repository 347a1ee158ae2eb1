"""Many requests at once on the server of `cropline up`: all are taken, they wait in the queue, and each delivers the same bits."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
import rasterio
from installation_kit import Installation, post_at_once, requests_of, wait_until

pytestmark = pytest.mark.server

POSTS, COMMANDS = 100, 20

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class _Peak(threading.Thread):
    """The most memory that a process of a run held, bytes, and the most runs that were under way at once."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.bytes, self.runs, self.ended = 0, 0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.5):
            held: dict[str, int] = {}
            for process in psutil.process_iter():
                try:
                    if run := process.environ().get("PREFECT__FLOW_RUN_ID"):
                        held[run] = held.get(run, 0) + process.memory_info().rss
                except psutil.Error:
                    continue
            self.bytes, self.runs = max([self.bytes, *held.values()]), max(self.runs, len(held))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_hundred_posts_and_twenty_command_lines_at_once_deliver_the_same_bits(installation: Installation) -> None:
    alone = installation.run("prefect", "deployment", "run", "crop-map/request", "--params", "aoi.json", "--watch")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    expected = _checksums(installation.folder / "map")
    peak = _Peak()
    peak.start()
    begun = time.monotonic()
    runs, refused = post_at_once(installation, requests_of(installation, POSTS, "posted"))
    posted = time.monotonic() - begun
    commands = []
    for request in requests_of(installation, COMMANDS, "typed", first=POSTS + 1):
        file = Path(f"{request['output']}.json")
        file.write_text(json.dumps(request))
        words = [str(Path(sys.executable).with_name("prefect")), "deployment", "run", "crop-map/request"]
        commands.append(
            subprocess.Popen(
                [*words, "--params", str(file)],
                cwd=installation.folder,
                env=installation.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    said = [command.communicate(timeout=600)[0] for command in commands]
    assert [command.returncode for command in commands] == [0] * COMMANDS, said
    typed = time.monotonic() - begun - posted

    def left() -> int:
        asked = {"flow_runs": {"state": {"type": {"not_any_": sorted(FINAL)}}, "deployment_id": {"is_null_": False}}}
        waiting = installation.ask("flow_runs/filter", asked)
        return sum(not run["auto_scheduled"] for run in waiting)

    wait_until(lambda: left() == 0, 6600, "all runs end")
    peak.ended.set()
    asked = {"flow_runs": {"deployment_id": {"is_null_": False}}, "limit": 200}
    ended = [run for run in installation.ask("flow_runs/filter", asked) if "ed-" in run["parameters"].get("output", "")]
    states = Counter(run["state_type"] for run in ended)
    assert states == {"COMPLETED": POSTS + COMMANDS}, {run["state"]["message"] for run in ended}
    assert {run["id"] for run in runs} <= {run["id"] for run in ended}
    for run in ended:
        assert _checksums(Path(run["parameters"]["output"])) == expected
    seconds = sorted(run["total_run_time"] for run in ended)
    sys.stderr.write(
        f"\n{POSTS} posts in {posted:.1f} s, refused {dict(refused)}; {COMMANDS} command lines in {typed:.0f} s; all delivered after "
        f"{time.monotonic() - begun:.0f} s; a run {seconds[len(seconds) // 2]:.1f} s (up to {seconds[-1]:.1f}), "
        f"{peak.bytes / 1e6:.0f} MB at most, {peak.runs} at once; "
        f"started again {sum(run['run_count'] > 1 for run in ended)}\n"
    )


def _checksums(folder: Path) -> dict[str, str]:
    """Of the pixels: the files also name their request."""
    found = {}
    for file in folder.glob("*.tif"):
        with rasterio.open(file) as raster:
            found[file.name] = hashlib.sha256(raster.read().tobytes()).hexdigest()
    assert found
    return found
