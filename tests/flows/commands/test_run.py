"""`cropline run`: the whole path in one process, what it prints, and what a kill in its middle costs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from catalog.storage.bucket_path import BucketPath
from processors.cube.cell import Cube
from processors.mask.options import USUAL_MASK, L2AMask, MaskOptions

Environment = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, parameters: dict[str, Any], run_command: Any, environment_of: Environment
) -> tuple[Path, Any]:
    """A folder with the delivery of a run that nothing disturbed, and what the command said."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "aoi.json").write_text(json.dumps({**parameters, "output": "map"}))
    env = environment_of(folder / "store")
    return folder, run_command("cropline", "run", "aoi.json", "--json", cwd=folder, env=env)


def test_last_line_is_the_delivery_as_json(undisturbed: tuple[Path, Any]) -> None:
    folder, done = undisturbed
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["delivery"] == str(folder / "map")
    assert {Path(file).name for file in told["files"]} == {file.name for file in (folder / "map").iterdir()}
    assert all(Path(file).is_file() for file in told["files"])
    assert told["scores"] == []
    assert all(item["used"] for item in told["acquisitions"])
    assert len(told["acquisitions"]) >= 5
    stages = ["order", "extend", "ingest", "mask", "season", "patch", "thematic", "mosaic", "views", "deliver"]
    assert list(told["seconds"]) == stages


def test_progress_says_stage_count_and_wait(undisturbed: tuple[Path, Any]) -> None:
    folder, done = undisturbed
    lines = done.stderr.splitlines()
    assert lines[0] == f"store: {folder / 'store'}"
    assert lines[1] == "start: waiting for Prefect"
    assert any(line.startswith("ingest: 0/") and "waiting for pixels" in line for line in lines)
    assert any(line.startswith("season: ") and "acquisitions are clear enough" in line for line in lines)


def test_killed_run_finishes_with_the_same_pixels(
    undisturbed: tuple[Path, Any],
    parameters: dict[str, Any],
    tmp_path: Path,
    run_command: Any,
    environment_of: Environment,
    processes_of: Callable[[Path], list[list[str]]],
) -> None:
    (tmp_path / "aoi.json").write_text(json.dumps({**parameters, "output": "map"}))
    env = environment_of(tmp_path / "store", CROPLINE_WORKERS="1")
    before = _kill_in_ingest(tmp_path, env)
    assert not (tmp_path / "map").exists(), "nothing is half-delivered"
    done = run_command("cropline", "run", "aoi.json", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    after = {shard: shard.stat().st_mtime_ns for shard in before}
    redone = [shard for shard in before if after[shard] != before[shard]]
    assert len(redone) <= 1, "only the acquisition that was being written is written again"
    for name in ("ndvi.tif", "ndvi_deviation.tif"):
        with rasterio.open(undisturbed[0] / "map" / name) as one, rasterio.open(tmp_path / "map" / name) as other:
            np.testing.assert_array_equal(one.read(), other.read())
    assert processes_of(tmp_path / "store") == [], "also the server of the killed run is gone"


def test_cubes_in_a_bucket_give_the_same_map_and_the_keys_stay_secret(
    undisturbed: tuple[Path, Any],
    parameters: dict[str, Any],
    tmp_path: Path,
    bucket: BucketPath,
    run_command: Any,
    environment_of: Environment,
) -> None:
    (tmp_path / "aoi.json").write_text(json.dumps({**parameters, "output": "map"}))
    access = bucket.access
    assert access.key is not None
    assert access.secret is not None
    secret = access.secret.get_secret_value()
    env = environment_of(
        tmp_path / "store",
        CROPLINE_CUBES=str(bucket),
        CROPLINE_PROCESSES="2",  # which read the cubes themselves
        AWS_ENDPOINT_URL=str(access.endpoint),
        AWS_ACCESS_KEY_ID=access.key.get_secret_value(),
        AWS_SECRET_ACCESS_KEY=secret,
        AWS_REGION=access.region or "us-east-1",
    )
    done = run_command("cropline", "run", "aoi.json", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    for name in ("ndvi.tif", "ndvi_deviation.tif"):
        with rasterio.open(undisturbed[0] / "map" / name) as one, rasterio.open(tmp_path / "map" / name) as other:
            np.testing.assert_array_equal(one.read(), other.read())
    assert not (tmp_path / "store" / "cubes").exists()
    assert any(name.endswith(".zarr/zarr.json") for name in bucket.sizes())
    assert secret not in done.stdout + done.stderr
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert [file for file in written if secret.encode() in file.read_bytes()] == []


def _kill_in_ingest(folder: Path, env: dict[str, str]) -> dict[Path, int]:
    """Start a run, SIGKILL it once four acquisitions lie in the cube. Returns the shards there, and when each was written."""
    program = Path(sys.executable).with_name("cropline")
    process = subprocess.Popen(
        [str(program), "run", "aoi.json"],
        cwd=folder,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while len(_shards(folder)) < 4:
            assert process.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline, "no acquisition was written in two minutes"
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    return {shard: shard.stat().st_mtime_ns for shard in _shards(folder)}


def _shards(folder: Path) -> list[Path]:
    return [file for file in folder.glob("store/cubes/*/*/*.zarr/reflectance/c/**/*") if file.is_file()]


SNOW_IS_CLEAR = MaskOptions(l2a=L2AMask(clear=(4, 5, 6, 7, 11)))


@pytest.fixture(scope="module")
def refused(
    undisturbed: tuple[Path, Any],
    tmp_path_factory: pytest.TempPathFactory,
    parameters: dict[str, Any],
    run_command: Any,
    environment_of: Environment,
) -> tuple[Path, Any]:
    """A run that fails in its middle, beyond what the request's check can see; the cube is there, masked with other options."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "aoi.json").write_text(json.dumps({**parameters, "min_clear": 1.0, "min_acquisitions": 30}))
    env = environment_of(undisturbed[0] / "store", CROPLINE_MASK=json.dumps({"l2a": {"clear": [4, 5, 6, 7, 11]}}))
    return folder, run_command("cropline", "run", "aoi.json", cwd=folder, env=env)


def test_error_is_one_message_and_no_traceback(refused: tuple[Path, Any]) -> None:
    folder, done = refused
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "min_clear" in done.stderr, "the message names the knob"
    assert not (folder / "deliveries").exists()


def test_the_options_of_masks_reach_the_cells_and_the_delivery(
    undisturbed: tuple[Path, Any],
    refused: tuple[Path, Any],
) -> None:
    item = json.loads((undisturbed[0] / "map" / "item.json").read_text())
    assert item["properties"]["cropline:masks"] == [json.loads(USUAL_MASK.record("L2A"))]
    cells = list(undisturbed[0].glob("store/cubes/*/L2A/*.zarr"))
    records = {str(record) for cell in cells for record in Cube(cell).values("masked_with")}
    assert records == {SNOW_IS_CLEAR.record("L2A")}
