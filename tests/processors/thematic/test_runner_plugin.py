"""A processor in a package of its own, installed by pip, found and run with no change in this project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from plug_kit import build_and_install

_USE = """
import json, sys
from pathlib import Path

import numpy as np

from agrunet.data.patches import Patch
from processors.thematic.protocol import Job
from processors.thematic.registry import describe_processors, make_processor
from processors.thematic.runner import Results, run_processor


class InMemory:
    def __len__(self):
        return 2

    def read(self, index):
        # Two dates of two bands: 1000 and 3000 on the first, 2000 and 4000 on the second; one pixel clear once only.
        values = np.empty((2, 2, 8, 8), np.uint16)
        values[0, 0], values[0, 1], values[1, 0], values[1, 1] = 1000, 3000, 2000, 4000
        clear = np.ones((2, 8, 8), bool)
        clear[1, 0, 0] = False
        clear[:, 0, 1] = False
        return Patch(values, clear, np.array([0, 9], np.int32))


if __name__ == "__main__":
    job = Job(level="L2A", year=2019, months=(4, 5), days=(0, 9), bands=("B04", "B08"), synthetic=True)
    run_processor("brightness", job, InMemory(), Path(sys.argv[1]), processes=int(sys.argv[2]))
    fields = Results(Path(sys.argv[1])).read(1)
    finished = make_processor("brightness", job).finish(fields, {})["brightness"]
    [described] = [entry for entry in describe_processors() if entry.name == "brightness"]
    print(json.dumps({
        "corner": [float(finished[0, 0]), bool(np.isnan(finished[0, 1])), float(finished[7, 7])],
        "package": described.package,
        "parameters": sorted(described.parameters["properties"]),
    }))
"""


@pytest.fixture(scope="module")
def installed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip put the package."""
    folder = tmp_path_factory.mktemp("plugin")
    build_and_install(repository / "tests" / "plugin_package", folder, folder / "site")
    return folder / "site"


@pytest.mark.parametrize("processes", [1, 2])
def test_an_installed_processor_is_found_described_and_run(
    installed: Path, repository: Path, tmp_path: Path, processes: int
) -> None:
    script = tmp_path / "use.py"
    script.write_text(_USE)
    environment = {**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{repository}"}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "results"), str(processes)],
        capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # Mean reflectance of the first date 0.2, of the second 0.3.
    assert told["corner"] == [pytest.approx(0.2), True, pytest.approx(0.25)]
    assert told["package"] == "cropline-brightness 0.3.0"
    assert told["parameters"] == ["min_dates"]
