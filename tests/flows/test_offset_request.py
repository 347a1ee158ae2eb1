"""A request over real pixels with 1000 in their numbers: what it delivers, and what its first lines say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

DAYS = ("20190401T105658", "20190416T105658", "20190421T105702")
SHIFTED = DAYS[1]
APRIL = 0.744
"""Mean NDVI of the square in April 2019."""

Edit = Callable[[dict[str, Any], str], None]


def without_offsets(item: dict[str, Any], day: str) -> None:
    """Leave nothing that tells of an offset."""
    kept = {name: value for name, value in item["properties"].items() if not name.startswith(("s2:", "processing:"))}
    item["properties"] = {**kept, "processing:level": "L2A"}
    for asset in item["assets"].values():
        asset.pop("raster:bands", None)


def as_earth_search_v0(item: dict[str, Any], day: str) -> None:
    without_offsets(item, day)
    number = "04.00" if day == SHIFTED else "02.07"
    item["properties"]["sentinel:processing_baseline"] = number


def archive(real_data: Path, folder: Path, edit: Edit) -> str:
    """Three April dates of the real square, the second with 1000 added to its numbers."""
    links = []
    for day in DAYS:
        name = f"S2_31UES_{day}_L2A"
        shutil.copytree(real_data / "flanders-2019" / "sentinel-2-l2a" / name, folder / name)
        described = folder / name / f"{name}.json"
        item = json.loads(described.read_text(encoding="utf-8"))
        item["links"] = []
        edit(item, day)
        described.write_text(json.dumps(item), encoding="utf-8")
        links.append({"rel": "item", "href": f"./{name}/{name}.json"})
        for path in (folder / name).glob("B*.tif") if day == SHIFTED else ():
            with rasterio.open(path) as file:
                profile, raw = file.profile, file.read(1)
            with rasterio.open(path, "w", **profile) as file:
                file.write(np.where(raw > 0, raw + 1000, 0).astype(np.uint16), 1)
    catalog = {"type": "Catalog", "id": "a", "stac_version": "1.1.0", "description": "a test", "links": links}
    (folder / "catalog.json").write_text(json.dumps(catalog), encoding="utf-8")
    return f"stac:{folder / 'catalog.json'}"


@pytest.fixture
def asked(
    real_data: Path, tmp_path: Path, run_command: Any, environment_of: Callable[..., dict[str, str]]
) -> Callable[..., Any]:
    """Run a request for April over an edited archive."""
    area = json.loads((real_data / "flanders-2019" / "aoi.geojson").read_text(encoding="utf-8"))

    def ask(edit: Edit, *options: str, **more: Any) -> Any:
        folder = tmp_path / "archive"
        request = {
            "area": area, "year": 2019, "months": [4, 4], "processor": "vegetation", "min_acquisitions": 2, "output": "map",
            "source": f"stac:{folder / 'catalog.json'}" if folder.exists() else archive(real_data, folder, edit), **more,
        }  # fmt: skip
        (tmp_path / "aoi.json").write_text(json.dumps(request), encoding="utf-8")
        return run_command(
            "cropline", "run", "aoi.json", *options, cwd=tmp_path, env=environment_of(tmp_path / "store")
        )

    return ask


def april(folder: Path) -> float:
    with rasterio.open(folder / "map" / "ndvi.tif") as file:
        return float(np.nanmean(file.read(1)))


def test_a_baseline_under_an_older_name_corrects_the_numbers(asked: Callable[..., Any], tmp_path: Path) -> None:
    done = asked(as_earth_search_v0, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (len(answer["acquisitions"]), answer["notes"]) == (3, [])
    assert april(tmp_path) == pytest.approx(APRIL, abs=0.002)


def test_a_missing_offset_costs_a_date_unless_the_request_gives_it(asked: Callable[..., Any], tmp_path: Path) -> None:
    suspect, given = "S2_20190416T105658", "S2_20190416T105658_offset-1000"
    done = asked(without_offsets)
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0]
    assert first.startswith(
        "note       1 acquisition left out: the numbers look as if a radiometric offset were missing"
    )
    assert suspect in first
    assert april(tmp_path) == pytest.approx(APRIL, abs=0.03)  # of the two other dates
    item = json.loads((tmp_path / "map" / "item.json").read_text(encoding="utf-8"))
    assert suspect in item["properties"]["cropline:notes"][0]
    report = (tmp_path / "map" / "report.html").read_text(encoding="utf-8")
    assert suspect in report.partition('class="side"')[0].partition('class="said"')[2], "on the map itself"

    done = asked(without_offsets, output="given", offset={suspect: -1000})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith(f"{given} -1000.")
    (tmp_path / "map").rename(tmp_path / "first")
    (tmp_path / "given").rename(tmp_path / "map")
    assert april(tmp_path) == pytest.approx(APRIL, abs=0.002)
    item = json.loads((tmp_path / "map" / "item.json").read_text(encoding="utf-8"))
    assert item["properties"]["cropline:offsets_given"] == {"S2_31UES_20190416T105658_L2A": -1000}
    assert given in item["properties"]["cropline:acquisitions"]
