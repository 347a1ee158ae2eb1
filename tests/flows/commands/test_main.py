"""Commands that need no flow: what they print, how they fail, how fast help is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog.grid import Cell
from catalog.products import Acquisition, Product
from catalog.storage.store import Store
from flows.commands.demo import prepare_demo
from flows.settings import Settings
from processors.cube.cell import Cube, ensure_cell, extend

Run = Callable[..., Any]


@pytest.fixture
def cropline(tmp_path: Path, run_command: Run, environment_of: Callable[..., dict[str, str]]) -> Run:
    env = environment_of(tmp_path / "store")
    return lambda *words: run_command("cropline", *words, cwd=tmp_path, env=env)


def test_help_imports_neither_prefect_nor_torch() -> None:
    program = (
        "import sys\nfrom typer.testing import CliRunner\nfrom flows.commands.main import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print([name for name in ('prefect', 'torch', 'rasterio', 'dask') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version_is_the_installed_one(cropline: Run) -> None:
    assert cropline("--version").stdout.startswith("cropline 0.")


def test_processors_are_listed_with_their_parameters(cropline: Run) -> None:
    listed = {item["name"]: item for item in json.loads(cropline("processors", "--json").stdout)}
    assert {"crop-map", "vegetation"} <= set(listed)
    assert "overlap" in listed["crop-map"]["parameters"]["properties"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "none.json"], 1, "no request file none.json"),
        (["run"], 2, "Missing argument"),
        (["subscribe", "none.json"], 1, "no request file none.json"),
        (["unsubscribe", "0123456789ab"], 1, "no subscription '0123456789ab'"),
        (["fly"], 2, "No such command"),
        (["run", "."], 1, ". is a folder, no file."),
        (["show", "."], 1, "is no delivery of this project: it holds no item.json. Name"),
        (["prune", "--dry-run", "--older-than", "inf"], 2, "--older-than"),
        (["prune", "--dry-run", "--older-than", "1e300"], 2, "--older-than"),
        (["prune", "--dry-run", "--keep", "inf"], 2, "inf is no amount"),
    ],
)
def test_errors_are_messages(words: list[str], code: int, message: str, cropline: Run) -> None:
    done = cropline(*words)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_with_json_a_failure_is_one_line_of_json_too(cropline: Run) -> None:
    done = cropline("run", "none.json", "--json")
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert json.loads(line) == {"error": done.stderr.strip()}
    assert cropline("run", "none.json").stdout == ""


def test_what_the_system_refuses_is_a_message(cropline: Run, tmp_path: Path) -> None:
    """A store that is read only may be one's own, so the system is made to refuse by what stands where a file is meant."""
    lying = tmp_path / "store" / "subscriptions" / "0123456789ab.json"
    lying.mkdir(parents=True)
    done = cropline("unsubscribe", "0123456789ab", "--json")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"] == done.stderr.strip()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_an_output_that_cannot_be_written_is_a_message(
    tmp_path: Path, environment_of: Callable[..., dict[str, str]]
) -> None:
    program = "from flows.commands.entry import main; main()"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", program, "processors", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment_of(tmp_path / "store"),
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "the output: No space left on device. Free some space, and run again.\n"


def test_subscriptions_come_and_go(cropline: Run, parameters: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "aoi.json").write_text(json.dumps(parameters))
    name = cropline("subscribe", "aoi.json").stdout.split()[0]
    listed = json.loads(cropline("subscriptions", "--json").stdout)
    assert listed[name]["source"] == parameters["source"]
    assert cropline("unsubscribe", name).returncode == 0
    assert json.loads(cropline("subscriptions", "--json").stdout) == {}


def test_demo_keeps_to_its_folder(tmp_path: Path) -> None:
    request, settings = prepare_demo(tmp_path / "demo", Settings(store=str(tmp_path / "mine")), size=64)
    assert settings.store == str(tmp_path / "demo" / "store")
    assert request.output == str(tmp_path / "demo" / "delivery")
    assert not (tmp_path / "mine").exists()
    assert json.loads((tmp_path / "demo" / "aoi.json").read_text())["year"] == request.year


def test_cells_are_listed_and_exported(cropline: Run, tmp_path: Path) -> None:
    assert "No cells in" in cropline("cells").stderr
    path = Store(tmp_path / "store").cube("stac-a", "L2A", Cell(32631, 56, 549))
    ensure_cell(path, Cell(32631, 56, 549), "L2A", source="stac:a", synthetic=True)
    listed = json.loads(cropline("cells", "--json").stdout)
    assert [(one["cell"], one["dates"], one["synthetic"]) for one in listed] == [("32631_0056_0549", 0, True)]
    assert "32631_0056_0549  L2A  stac-a  synthetic  no dates" in cropline("cells").stdout
    time = datetime(2019, 4, 1, 11, tzinfo=UTC)
    product = Product(id="p", href="", level="L2A", time=time, footprint={"type": "Point"})
    extend(path, [Acquisition(id="a", time=time, platform="S2A", products=(product,))])
    cube = Cube(path, "r+")
    cube.set(0, bands_present=np.ones(12, np.uint8), valid_fraction=0.0, ingested=1)
    assert "No damage found." in cropline("cells", "--check").stderr
    present = path / "bands_present" / "c" / "0" / "0"
    whole = present.read_bytes()
    present.write_bytes(whole[:5])
    checked = cropline("cells", "--check", "--json")
    assert (checked.returncode, json.loads(checked.stdout)[0]["damage"]) == (1, ["bands_present of a"])
    present.write_bytes(whole)
    done = cropline("export", "32631_0056_0549", "-o", "out", "--date", "2019-04-01", "--bands", "B02,B8A", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"files": ["out/32631_0056_0549_20190401T110000_S2A.tif"]}
    assert (tmp_path / "out" / "32631_0056_0549_20190401T110000_S2A.tif").is_file()
    refused = cropline("export", "32631_0056_0549", "-o", "out", "--level", "L1C")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "no cell 32631_0056_0549 at level L1C" in refused.stderr
