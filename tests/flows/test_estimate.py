"""What a request would take: told without a download, kept to by limits, and true of what the run then does."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentinel_hub_kit
from rich.console import Console

from catalog.errors import ModelError, RequestError
from catalog.order import make_order
from catalog.sources.protocol import Metered
from catalog.sources.registry import open_source
from catalog.storage.store import Store
from catalog.zone import Zone
from flows.checked_request import check_request
from flows.commands.dry_run import show
from flows.estimate import check_before_download, check_limits, estimate_request
from flows.job import job_of
from flows.reporting.foreseen import Estimate, estimate_rows, foreseen_rows
from flows.settings import Settings
from flows.stages import order_of
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.ingest.foresight import foresee

Run = Callable[..., Any]


def _foreseen(parameters: dict[str, Any], folder: Path, **more: Any) -> Estimate:
    settings = Settings(store=str(folder / "store"))
    return estimate_request(check_request({**parameters, **more}, folder, settings), settings)


def test_an_estimate_reads_no_pixel_and_counts_what_there_is(parameters: dict[str, Any], tmp_path: Path) -> None:
    foreseen = _foreseen(parameters, tmp_path)
    assert not (tmp_path / "store" / "cubes").exists()
    assert len(foreseen.acquisitions) > 20
    assert {(item.cells_to_read, item.cells_there) for item in foreseen.acquisitions} == {(foreseen.cells, 0)}
    assert foreseen.sized, "files of this machine have sizes"
    files = sum(path.stat().st_size for path in Path(parameters["source"].removeprefix("stac:")).parent.rglob("*.tif"))
    assert 0.2 * files < 1e9 * foreseen.gigabytes <= files
    assert foreseen.processing_units is None
    assert set(foreseen.unmeasured) == set(foreseen.minutes)
    assert "come from the benchmark of the software" in foreseen.notes[0]
    assert foreseen.disk.cubes > 0


def test_what_is_in_the_cube_costs_nothing(parameters: dict[str, Any], tmp_path: Path) -> None:
    settings = Settings(store=str(tmp_path / "store"))
    request = check_request(parameters, tmp_path, settings)
    store, order = settings.open_store(), order_of(request, settings)
    cells = extend_cells(store, order, Zone.of(request.polygon).cells)
    first = order.acquisitions[0].id
    ingest_acquisition(store, order, first, cells, order.source)
    foreseen = estimate_request(request, settings)
    read = {item.id: item.cells_to_read for item in foreseen.acquisitions}
    assert read.pop(first) == 0
    assert set(read.values()) == {len(cells)}
    assert next(item for item in foreseen.acquisitions if item.id == first).gigabytes == 0


@pytest.mark.parametrize("limit", ["gb", "minutes", "processing_units"])
def test_a_limit_stops_before_the_first_download_by_its_name(limit: Any) -> None:
    foreseen = Estimate.model_validate(
        {
            "source": "s", "area_km2": 1, "cells": 1, "acquisitions": [], "left_out": [], "gigabytes": 12.3, "sized": True,
            "processing_units": 45.6, "disk": {"cubes": 1, "run": 1, "delivery": 1, "free": None},
            "minutes": {"ingest": 40.0, "mask": 38.9}, "measured_runs": 0, "unmeasured": [],
        }
    )  # fmt: skip
    amount = {"gb": "12.3 GB to read", "minutes": "78.9 minutes", "processing_units": "45.6 processing units"}[limit]
    with pytest.raises(
        RequestError, match=f"limits: {limit} is 10, and it would take about {amount}. Nothing"
    ) as refused:
        check_limits(foreseen, {limit: 10})
    assert "\n" not in str(refused.value)
    check_limits(foreseen, {limit: 100})


def test_limits_are_checked_after_the_search_and_change_no_digest(parameters: dict[str, Any], tmp_path: Path) -> None:
    settings = Settings(store=str(tmp_path / "store"))
    free = check_request(parameters, tmp_path, settings)
    bound = check_request({**parameters, "limits": {"minutes": 0.001}}, tmp_path, settings)
    assert (free.digest, free.output) == (bound.digest, bound.output)
    assert "limits" not in free.model_dump(mode="json")
    order, store = order_of(free, settings), settings.open_store()
    check_before_download(free, settings, store, order)
    with pytest.raises(RequestError, match=r"limits: minutes is 0.001"):
        check_before_download(bound, settings, store, order)
    with pytest.raises(RequestError, match=r"limits"):
        check_request({**parameters, "limits": {"euros": 1}}, tmp_path, settings)
    with pytest.raises(RequestError, match=r"limits.*no numbers"):
        check_request({**parameters, "limits": {"gb": True}}, tmp_path, settings)


def test_without_labels_and_model_nothing_is_downloaded(parameters: dict[str, Any], tmp_path: Path) -> None:
    settings = Settings(store=str(tmp_path / "store"))
    request = check_request({**parameters, "processor": "crop-map", "months": [2, 6]}, tmp_path, settings)
    with pytest.raises(ModelError, match=r"Give labels.*vegetation"):
        check_before_download(request, settings, settings.open_store(), order_of(request, settings))


def test_what_a_processor_refuses_is_not_downloaded(parameters: dict[str, Any], tmp_path: Path) -> None:
    """Neither tried nor made: a band that the level doesn't have is known from the order."""
    settings = Settings(store=str(tmp_path / "store"))
    request = check_request({**parameters, "parameters": {"nir": "B10"}}, tmp_path, settings)
    with pytest.raises(RequestError, match=r"parameter nir: no band B10 in every acquisition"):
        check_before_download(request, settings, settings.open_store(), order_of(request, settings))
    with pytest.raises(RequestError, match=r"parameter nir: no band B10 in every acquisition"):
        estimate_request(request, settings)
    assert not list((tmp_path / "store" / "cubes").glob("*"))


def test_a_job_says_the_orbit_of_each_day(parameters: dict[str, Any], tmp_path: Path) -> None:
    settings = Settings(store=str(tmp_path / "store"))
    order = order_of(request := check_request(parameters, tmp_path, settings), settings)
    job = job_of(request, order, order.acquisitions, ("B04", "B08"))
    assert len(job.relative_orbits) == len(job.days) == len(order.acquisitions)
    by_orbit = {orbit: {day % 5 for day, of in zip(job.days, job.relative_orbits, strict=True) if of == orbit}
                for orbit in job.relative_orbits}  # fmt: skip
    assert "unknown" not in by_orbit
    assert {len(days) for days in by_orbit.values()} == {1}, "two satellites repeat an orbit every five days"


def test_processing_units_are_those_of_the_requests_that_are_sent(sentinel_hub: Any, tmp_path: Path) -> None:
    """The formula is the published one; what it is applied to is what the service is asked."""
    kit = sentinel_hub_kit
    sentinel_hub.scenes.append(kit.scene(window=kit.CELL.window, bands={"B02": 700}))
    source = open_source("sentinelhub:", sentinel_hub.credentials)
    assert isinstance(source, Metered)
    order = make_order(source, kit.area_of(kit.CELL, kit.EAST), 2023, (8, 8), "L2A", 100)
    store = Store(tmp_path / "store")
    cells = [kit.CELL, kit.EAST]
    (reading,) = foresee(store, order, cells, source, "")
    extend_cells(store, order, cells)
    ingest_acquisition(store, order, order.acquisitions[0].id, cells, order.source, sentinel_hub.credentials)
    asked = sentinel_hub.requests("/process")
    assert asked
    units = 0.0
    for body in asked:
        wanted = json.loads(body["evalscript"].split("var WANTED = ")[1].split(";\n")[0])
        bands = len([name for name in wanted["bands"] if name != "dataMask"])
        pixels = body["output"]["width"] * body["output"]["height"]
        units += max(0.005, max(0.01, pixels / 512**2) * bands / 3)
    assert math.isclose(reading.processing_units, units)
    assert next(foresee(store, order, cells, source, "")).processing_units == 0


def test_the_command_tells_and_keeps_to_limits(
    parameters: dict[str, Any], tmp_path: Path, run_command: Run, environment_of: Callable[..., dict[str, str]]
) -> None:
    (tmp_path / "aoi.json").write_text(json.dumps(parameters))
    env = environment_of(tmp_path / "store")
    done = run_command("cropline", "run", "--dry-run", "aoi.json", "--json", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    told = Estimate.model_validate_json(done.stdout)
    assert len(told.acquisitions) == len(foreseen_rows(told))
    assert not (tmp_path / "deliveries").exists()
    (tmp_path / "bound.json").write_text(json.dumps({**parameters, "limits": {"gb": 0.000001}}))
    warned = run_command("cropline", "run", "--dry-run", "bound.json", cwd=tmp_path, env=env)
    assert "The limits would stop this run: gb is 1e-06, and it would take about" in warned.stdout
    refused = run_command("cropline", "run", "bound.json", cwd=tmp_path, env=env)
    assert refused.returncode == 1
    assert "limits: gb is 1e-06" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not list((tmp_path / "store").glob("cubes/**/*.zarr"))


def test_the_tables_say_where_each_figure_comes_from(parameters: dict[str, Any], tmp_path: Path) -> None:
    foreseen = _foreseen(parameters, tmp_path)
    rows = {row["what"]: row for row in estimate_rows(foreseen)}
    assert rows["read"]["from"] == "sizes of its files, the share that is read"
    assert rows["time, all"]["from"] == "runs measured here: 0"
    console = Console(record=True, width=120, file=io.StringIO())
    show(foreseen, console)
    text = console.export_text()
    assert foreseen.acquisitions[0].id in text
    assert "nothing was downloaded" in text
