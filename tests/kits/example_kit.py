"""What the package in `docs/examples/mowing` delivers, compared with its rule in pandas on what lies in the cube."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import rasterio
import xarray

SINCE, UNTIL = 59, 195
"""Days from 1 January: of 1 March and 15 July 2019."""


def check_mowing(delivery: Path, store: Path, oracle: Path) -> None:
    """Compare every raster of a map of cuts between `SINCE` and `UNTIL`, season from January, with one of the store's only cell.

    ``oracle``: the module that has the rule. It and this function read with pandas, xarray and rasterio alone.
    """
    rule = _loaded(oracle)
    with rasterio.open(delivery / "cuts.tif") as raster:
        shape, transform, legend = raster.shape, raster.transform, raster.colormap(1)
        cuts = raster.read(1)
    ndvi, days, orbits = _looks(store, shape, transform)
    assert "unknown" not in orbits, "the processor refuses a season whose orbits it isn't told"
    parameters = SimpleNamespace(least_loss=0.15, least_green=0.5, reference_days=30, since=SINCE, until=UNTIL)
    table = rule.expected(rule.clear_looks(ndvi, days, orbits), days[-1], parameters)
    assert (table["count"] > 0).sum() > 100, "something is cut, mown or harvested, there"
    count, after, seen, loss, gap = (_raster(table[name], shape) for name in rule.COLUMNS)

    expected = np.full(shape, 255)
    expected[count == 0] = 10
    expected[(count == 0) & (gap > 30)] = 11
    expected[count > 0] = np.minimum(count[count > 0], 4)
    np.testing.assert_array_equal(cuts, expected)
    np.testing.assert_array_equal(_read(delivery / "first_cut.tif"), np.nan_to_num([after, seen], nan=-32768))
    np.testing.assert_allclose(_read(delivery / "greatest_loss.tif")[0], loss, atol=1e-6)
    np.testing.assert_array_equal(_read(delivery / "longest_gap.tif")[0], np.nan_to_num(gap, nan=-32768))

    assert legend[1][:3] == (0xFE, 0xE3, 0x91), "the package's own colours"
    item = json.loads((delivery / "item.json").read_text())
    assert "not masked to grassland" in json.dumps(item), "its notes are in the delivery"
    assert "1 cut" in (delivery / "areas.csv").read_text()


def _loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _looks(store: Path, shape: tuple[int, int], transform: Any) -> tuple[np.ndarray, list[int], list[str]]:
    """NDVI (T, H, W), NaN where not clear, day of the year from 0 and relative orbit of each date that is clear over half of the map."""
    (path,) = (store / "cubes").glob("*/L2A/*.zarr")
    with xarray.open_zarr(path, consolidated=False, mask_and_scale=False, decode_times=True) as cell:
        west, north = transform.c, transform.f
        inside = cell.sel(x=slice(west, west + 10 * shape[1]), y=slice(north, north - 10 * shape[0])).sortby("time")
        clear = inside["clear"].to_numpy() == 1
        used = clear.mean(axis=(1, 2)) >= 0.5
        red, near = (
            inside["reflectance"].sel(band=band).to_numpy()[used].astype(np.float32) for band in ("B04", "B08")
        )
        days = (inside["time"].dt.dayofyear.to_numpy()[used] - 1).tolist()
        orbits = [str(orbit) for orbit in inside["relative_orbit"].to_numpy()[used]]
    assert red.shape[1:] == shape
    seen = clear[used] & (red > 0) & (near > 0)
    return np.where(seen, (near - red) / np.maximum(near + red, 1), np.nan), days, orbits


def _raster(column: Any, shape: tuple[int, int]) -> np.ndarray:
    """A column by pixel as (H, W), NaN where there is none."""
    values = np.full(shape[0] * shape[1], np.nan)
    values[column.index] = column.to_numpy(float)
    return values.reshape(shape)


def _read(path: Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return np.asarray(raster.read())
