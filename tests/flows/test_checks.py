"""Every check that needs no pixel of a product fails before one is opened, and says what to do."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas
import good_input_kit
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely.geometry import box

from catalog.errors import DeliveryError, ModelError, RequestError
from flows.checked_request import check_request
from flows.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=str(tmp_path / "store"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Assets that anybody opened, and searches."""
    seen: list[str] = []
    monkeypatch.setattr("processors.ingest.opening.AssetOpener.open", lambda _, asset: seen.append(asset.href))
    monkeypatch.setattr("catalog.sources.stac.source.StacSource.search", lambda *_: seen.append("search"))
    return iter([seen])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue, labels with their legend, a mask, and files that are none of these."""
    tmp_path = tmp_path_factory.mktemp("made")
    (tmp_path / "catalog.json").write_text(json.dumps(good_input_kit.CATALOG))
    good_input_kit.labels_raster(tmp_path / "crops.tif")
    good_input_kit.labels_vector(tmp_path / "crops.gpkg")
    (tmp_path / "legend.csv").write_bytes(good_input_kit.LEGEND)
    (tmp_path / "other.csv").write_text("source_code,value,name,colour,role\n77,1,rice,#112233,class\n")
    (tmp_path / "damaged.csv").write_text("source_code,value\n1\n")
    good = (tmp_path / "crops.tif").read_bytes()
    (tmp_path / "damaged.tif").write_bytes(good[:600] + bytes(len(good) - 600))
    west, south, _, _ = good_input_kit.WINDOW.bounds
    field = geopandas.GeoDataFrame(
        {"name": ["a"]}, geometry=[box(west, south, west + 300, south + 300)], crs="EPSG:32631"
    )
    field.to_file(tmp_path / "no_column.gpkg")
    field.assign(code=1).to_file(tmp_path / "no_crs.shp")
    (tmp_path / "no_crs.prj").unlink()
    field.assign(code=1).to_file(tmp_path / "layers.gpkg", layer="a")
    field.assign(code=1).to_file(tmp_path / "layers.gpkg", layer="b")
    field.assign(code=1).translate(1e6).to_frame("geometry").assign(code=1).to_file(tmp_path / "elsewhere.gpkg")
    place = Affine(10, 0, west, 0, -10, south + 640)
    profile = {
        "driver": "GTiff",
        "width": 64,
        "height": 64,
        "count": 1,
        "crs": "EPSG:32631",
        "transform": place,
        "dtype": "uint8",
    }
    with rasterio.open(tmp_path / "nothing.tif", "w", **profile) as file:
        file.write(np.zeros((64, 64), np.uint8), 1)
    (tmp_path / "file").touch()
    shutil.copytree(next(path for path in good_input_kit.SHIPPED.iterdir() if path.is_dir()), tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text("{")
    return tmp_path


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The folder that the request's paths start from."""
    return Path(shutil.copytree(made, tmp_path, dirs_exist_ok=True))


SIMULATED = {"model": "simulated-here", "processor": "crop-map"}

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a damaged file of labels": ({"labels": "damaged.tif"}, r"labels .*damaged.tif: can't be read, it may be damaged"),
    "no file of labels": ({"labels": "none.tif"}, r"labels: no file .*none.tif"),
    "labels by an address": ({"labels": "https://host/x.tif"}, r"labels: no file https://host/x.tif"),
    "no column of codes": ({"labels": "no_column.gpkg"}, "labels .*which column holds the codes"),
    "no coordinate system": ({"labels": "no_crs.shp"}, "labels .*has no coordinate system"),
    "several layers": ({"labels": "layers.gpkg"}, r"labels .*several layers of polygons \(a, b\)"),
    "labels elsewhere": ({"labels": "elsewhere.gpkg", "legend": "legend.csv"}, "labels .*don't overlap the area"),
    "codes that the legend doesn't name": ({"labels": "crops.tif", "legend": "other.csv"}, "labels .*no pixel of the area has a class"),
    "a damaged legend": ({"labels": "crops.tif", "legend": "damaged.csv"}, r"legend .*damaged.csv: no column name"),
    "a mask that leaves nothing": ({"crop_mask": "nothing.tif"}, "crop_mask .*no cropland in the area"),
    "a damaged mask": ({"crop_mask": "damaged.tif"}, r"crop_mask .*damaged.tif: can't be read"),
    "a model that isn't there": ({"model": "best"}, "model: 'best' is neither a model of this installation"),
    "a damaged model": ({"model": "model"}, r"config.json can't be understood: it is not JSON"),
    "a model of other months": ({"model": "simulated-18-crops", "months": [1, 2]}, "model: .*doesn't fit the request: trained on months"),
    "the processor's parameters": ({"parameters": {"colour": 1}}, r"parameters.colour"),
    "output below a file": ({"output": "file/map"}, r"output .*: .*nothing can be made in .*file: Not a directory\. Move"),
    "output where nothing can be made": ({"output": "/proc/map"}, r"output /proc/map: can't be written"),
    "output in the store": ({"output": "store/maps"}, r"output: .* lies in the store"),
    "output that is the base folder": ({"output": "."}, r"output: .* is the folder that paths start from"),
    "output above the base folder": ({"output": ".."}, r"output: .* is the folder that paths start from, or holds it"),
    "an empty output": ({"output": ""}, r"output: string should have at least 1 character"),
    "a simulated model without crops": (SIMULATED, "crops: missing. A model is simulated for the crops"),
    "one of a single crop": (SIMULATED | {"crops": ["corn"]}, "crops: corn alone leaves nothing to tell apart"),
    "one of a crop that isn't simulated": (
        SIMULATED | {"crops": ["corn", "vanilla"]},
        "crops: the model names no 'vanilla'. It has meadow",
    ),
    "one for L1C": (
        SIMULATED | {"crops": ["corn", "meadow"], "level": "L1C"},
        "model: what is simulated is seen below the air, so it takes L2A, not L1C",
    ),
    "one of another processor": (
        {"model": "simulated-here"},
        "model: simulated-here is for crop-map, not for vegetation",
    ),
    "an empty model": ({"model": ""}, r"model: string should have at least 1 character"),
}  # fmt: skip


def _request(**changes: Any) -> dict[str, Any]:
    return {
        "area": good_input_kit.AREA,
        "year": 2019,
        "source": "stac:catalog.json",
        "processor": "vegetation",
        **changes,
    }


@pytest.mark.parametrize("name", BAD)
def test_a_check_that_fails_has_opened_no_asset(
    name: str, folder: Path, settings: Settings, opened: Iterator[list[str]]
) -> None:
    changes, message = BAD[name]
    with pytest.raises((RequestError, ModelError, DeliveryError), match=message) as refused:
        check_request(_request(**changes), folder, settings)
    assert len(str(refused.value).splitlines()) == 1
    assert next(opened) == []
    assert not (folder / "store").exists(), "a check makes no store"
    assert not list(folder.glob(".cropline-*")), "what was made to try is gone"


def test_a_full_disk_is_told_with_what_is_needed(
    folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**8))
    with pytest.raises(
        RequestError,
        match=r"disk: 0.1 GB are free in .*, and 5 dates of 0\.\d km² take at least 0.2 GB. Free some space",
    ):
        check_request(_request(), folder, settings)


def test_all_that_is_good_is_taken(folder: Path, settings: Settings) -> None:
    good = _request(labels="crops.gpkg", legend="legend.csv", crop_mask="crops.tif", output="out/map", parameters={})
    assert check_request(good, folder, settings).output == str(folder / "out" / "map")
    assert not (folder / "out").exists(), "the delivery's folder is made when there is a delivery"


@pytest.mark.parametrize("field", ["labels", "crop_mask"])
def test_of_several_layers_the_one_that_is_named_is_checked(field: str, folder: Path, settings: Settings) -> None:
    named = {field: "layers.gpkg", f"{field}_layer": "b"}
    assert check_request(_request(**named), folder, settings).model_dump()[f"{field}_layer"] == "b"
    with pytest.raises(RequestError, match=f"{field}_layer: .*has no layer 'c'"):
        check_request(_request(**{**named, f"{field}_layer": "c"}), folder, settings)


def test_labels_elsewhere_will_do_where_a_model_knows_their_classes(folder: Path, settings: Settings) -> None:
    shipped = json.loads(next(good_input_kit.SHIPPED.glob("*/config.json")).read_text())
    with (folder / "known.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("source_code", "value", "name", "colour", "role"))
        for entry in shipped["legend"]:
            table.writerows(
                (code, *(entry[key] for key in ("value", "name", "colour", "role"))) for code in entry["source_codes"]
            )
    assert check_request(_request(labels="elsewhere.gpkg", legend="known.csv"), folder, settings).labels


def test_of_many_problems_the_first_are_told(folder: Path, settings: Settings) -> None:
    bad = dict.fromkeys((f"{'x' * 200}{number}" for number in range(50)), 1)
    with pytest.raises(RequestError) as refused:
        check_request(_request(**bad), folder, settings)
    *told, last = str(refused.value).splitlines()
    assert len(told) < 10
    assert last == f"… and {50 - len(told)} more. Correct these first."
    assert len(str(refused.value)) < 4000
