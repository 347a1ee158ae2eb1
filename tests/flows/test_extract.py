"""`cropline extract`: what is asked of its request, and that a table holds just what the source's files do."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from pyproj import Transformer
from shapely.geometry import shape

from catalog.errors import RequestError
from catalog.order import make_order
from catalog.sources.registry import open_source
from catalog.storage.credentials import Credentials
from catalog.zone import Zone
from flows.checked_request import check_extraction, check_request, with_area
from flows.request import MapRequest
from flows.request_ground import request_places
from flows.settings import Settings
from processors.engine.opening import open_engine
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.mask.acquisition import mask_acquisition
from processors.patches.series import read_series
from processors.season import choose_season

BANDS = {"B02": "blue", "B04": "red", "B08": "nir", "B11": "swir16"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=str(tmp_path / "store"))


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Any]:
    """A request without an area, for points."""
    catalog = {"type": "Catalog", "id": "empty", "stac_version": "1.1.0", "description": "nothing", "links": []}
    (tmp_path / "catalog.json").write_text(json.dumps(catalog))
    (tmp_path / "survey.csv").write_text("id,lon,lat,crop\n1,4.06,50.74,wheat\n2,4.3,50.9,maize\n")
    return {"year": 2019, "source": "stac:catalog.json", "labels": "survey.csv"}


def test_without_an_area_it_is_the_squares_around_the_points(
    asked: dict[str, Any], tmp_path: Path, settings: Settings
) -> None:
    request = check_extraction(asked, tmp_path, settings)
    assert len(Zone.of(request.polygon).squares) == 2
    assert (request.min_clear, request.processor) == (0, "vegetation")
    given = check_extraction({**asked, "min_clear": 0.3, "output": "map", "processor": "crop-map"}, tmp_path, settings)
    assert given.min_clear == 0.3
    assert check_extraction({**asked, "area": [4.0, 50.7, 4.1, 50.8]}, tmp_path, settings).digest != request.digest


def test_what_is_wrong_is_said_before_anything_is_ordered(
    asked: dict[str, Any], tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "l.tif").write_bytes(b"II*\0")
    for changes, message in {
        ("labels", None): r"^area: missing. It is required.\nlabels: missing",
        ("labels", "l.tif"): r"^area: missing. Labels that are a raster don't say it",
        ("area", (5.0, 50.0, 5.1, 50.1)): r"labels .*survey.csv: none of its 2 rows lies in the area",
        ("labels_radius", 500): r"^labels_radius: .*less than or equal to 250",
        ("colour", "red"): r"^colour: no such parameter",
    }.items():
        changed = {**asked, changes[0]: list(changes[1]) if isinstance(changes[1], tuple) else changes[1]}
        with pytest.raises(RequestError, match=message):
            check_extraction(changed, tmp_path, settings)


def test_what_makes_no_map_takes_the_place_of_its_labels() -> None:
    assert with_area({"labels": "fields.gpkg", "year": 2019}) == {
        "labels": "fields.gpkg", "year": 2019, "area": "fields.gpkg",
    }  # fmt: skip
    given = {"labels": "fields.gpkg", "area": [4, 50, 5, 51]}
    assert with_area(given) == given
    with pytest.raises(RequestError, match="Labels that are a raster don't say it"):
        with_area({"labels": "crops.tif"})


def test_a_map_of_labels_without_an_area_says_what_may_be_it(
    asked: dict[str, Any], tmp_path: Path, settings: Settings
) -> None:
    with pytest.raises(
        RequestError, match=r"^area: missing. Where the labels are points or parcels, their file may be"
    ):
        check_request(asked, tmp_path, settings)


def test_the_numbers_are_those_of_the_files(real_data: Path, tmp_path: Path) -> None:
    """A hundred real points and 3 dates, read from the GeoTIFFs by rasterio beside."""
    archive = real_data / "flanders-2019"
    rng = np.random.default_rng(0)
    with rasterio.open(archive / "labels" / "crop_type.tif") as file:
        codes, transform, crs = file.read(1), file.transform, file.crs
    rows, columns = rng.integers(0, 64, (2, 100))
    x, y = transform @ (columns + rng.random(100), rows + rng.random(100))
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    crop = codes[rows, columns]
    pd.DataFrame({"lon": lon, "lat": lat, "crop": crop}).to_csv(tmp_path / "survey.csv", index=False)
    request = MapRequest(
        area=str(tmp_path / "survey.csv"), year=2019, months=[4, 4], labels=str(tmp_path / "survey.csv"), min_clear=0
    )
    zone = Zone.of(request.polygon)
    store = Settings(store=str(tmp_path / "store")).open_store()
    source = open_source(f"stac:{archive / 'catalog.json'}", Credentials())
    order = make_order(source, zone.area, 2019, (4, 4), "L2A", 100)
    cells = extend_cells(store, order, zone.cells)
    places = request_places(request, zone)
    with open_engine("threads", 2) as engine:
        for acquisition in order.acquisitions:
            ingest_acquisition(store, order, acquisition.id, cells, source.address, Credentials())
            mask_acquisition(store, order, acquisition.id, cells)
        season = choose_season(store, order, places.ground(zone.epsg), zone.epsg, 0, 1)
        read = read_series(
            store, order.source_id, "L2A", season, tuple(BANDS), 2019, zone.epsg, places.places, engine
        )  # fmt: skip
    assert [None if code == 0 else str(code) for code in crop] == list(places.labels)
    items = {
        item.stem[:0] + json.loads(item.read_text())["properties"]["datetime"][:10]: item for item in _items(archive)
    }
    compared = 0
    for time, day in enumerate(read.days.tolist()):
        item = items[(date(2018, 12, 31) + timedelta(days=day)).isoformat()]
        for channel, name in enumerate(BANDS.values()):
            with rasterio.open(item.parent / json.loads(item.read_text())["assets"][name]["href"]) as file:
                expected = np.array([value[0] for value in file.sample(zip(x.tolist(), y.tolist(), strict=True))])
            seen = read.values[:, time, channel] > 0
            assert np.array_equal(read.values[seen, time, channel], expected[seen])
            compared += int(seen.sum())
    assert compared > 1000


def _items(archive: Path) -> list[Path]:
    return [path for path in archive.rglob("*.json") if path.name not in ("catalog.json", "collection.json")]


@pytest.mark.slow
def test_the_command_writes_a_table_that_pandas_reads_and_says_what_is_in_it(
    mission_archive: Any, tmp_path: Path, run_command: Any, environment_of: Callable[..., dict[str, str]]
) -> None:
    west, south, east, north = shape(mission_archive.area).bounds
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(west, east, 30), rng.uniform(south, north, 30)
    survey = pd.DataFrame({"point_id": range(30), "lon": lon, "lat": lat, "crop": ["wheat", "maize"] * 15})
    survey.to_csv(tmp_path / "survey.csv", index=False)
    (tmp_path / "r.json").write_text(
        json.dumps({"year": 2019, "months": [4, 6], "source": mission_archive.source, "labels": "survey.csv"})
    )
    env = environment_of(tmp_path / "store")
    done = run_command("cropline", "extract", "r.json", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"points: waiting for the points or parcels in the area, under \d squares? around points", done.stderr
    )
    assert "classes    wheat 15, maize 15" in done.stdout
    assert f"next       python -m agrunet train --data series:{tmp_path / 'r-2019.parquet'}" in done.stderr
    table = pd.read_parquet(tmp_path / "r-2019.parquet")
    assert list(table.columns[:6]) == ["id", "lon", "lat", "year", "label", "days"]
    assert len(table) == 30
    again = run_command("cropline", "extract", "r.json", cwd=tmp_path, env=env)
    assert again.returncode == 1
    assert "is there already. Name another, or give --replace." in again.stderr
    offline = run_command(
        "cropline", "extract", "r.json", "--offline", "-o", "o.parquet", "--json", cwd=tmp_path, env=env
    )
    assert offline.returncode == 0, offline.stderr
    assert json.loads(offline.stdout)["rows"] == 30
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "o.parquet"), table)
