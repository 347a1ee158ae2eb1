"""A real season over declared fields: NDVI as another library has it, the rule as pandas has it, and the order that farming keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from agrunet.data.patches import Patch
from processors.thematic.protocol import Job
from rule_in_pandas import COLUMNS, clear_looks, expected
from scipy import ndimage

from cropline_mowing.processor import Mowing

GRASSLAND, WHEAT, WINTER_BARLEY = 9120, 1110, 1510
START = date(2019, 3, 1)
SIZE = 64
PARAMETERS = {"until": "2019-10-31"}


@dataclass(frozen=True)
class Season:
    """Products of one season, read with rasterio alone."""

    days: tuple[int, ...]
    values: np.ndarray
    clear: np.ndarray
    crops: np.ndarray

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> Patch:
        return Patch(self.values, self.clear, np.array(self.days, np.int32))


def _products(folder: Path) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Day, red and near-infrared (2, H, W), and where Sen2Cor's classification says vegetation, soil, water or unclassified."""
    for item in sorted((folder / "sentinel-2-l2a").glob("S2_*")):
        taken = item.name.split("_")[2]
        day = (date(int(taken[:4]), int(taken[4:6]), int(taken[6:8])) - START).days
        if 0 <= day < 245:
            bands = np.stack([_band(item / f"{band}.tif") for band in ("B04", "B08")])
            scene = _band(item / "SCL.tif").repeat(2, axis=0).repeat(2, axis=1)
            hidden = ndimage.binary_dilation(~np.isin(scene, (4, 5, 6, 7)), iterations=4)
            yield day, bands, ~hidden


def _band(path: Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return np.asarray(raster.read(1))


@pytest.fixture(scope="module")
def season(real_season: Path) -> Season:
    days, values, clear = zip(*_products(real_season), strict=True)
    crops = _band(real_season / "labels" / "crop_type.tif")
    return Season(days, np.stack(values), np.stack(clear), crops)


@pytest.fixture(scope="module")
def made(season: Season) -> tuple[Any, np.ndarray]:
    """The processor, and its fields (5, H, W)."""
    # The items don't say their orbit; passes that are whole repeats of five days apart are of one.
    assert {day % 5 for day in season.days} == {season.days[0] % 5}
    job = Job(
        level="L2A", year=2019, months=(3, 10), days=season.days, relative_orbits=("R051",) * len(season.days),
        bands=("B04", "B08"), synthetic=False, parameters=PARAMETERS,
    )  # fmt: skip
    mowing = Mowing(job)
    [(_, fields)] = list(mowing.run(season, [0]))
    return mowing, fields


def test_the_numbers_are_those_of_pandas_on_the_ndvi_of_spyndex(season: Season, made: tuple[Any, np.ndarray]) -> None:
    spyndex = pytest.importorskip("spyndex", reason="pip install spyndex compares NDVI with another library's")
    mowing, fields = made
    red, near = (season.values[:, band].astype(np.float32) for band in (0, 1))
    seen = season.clear & (red > 0) & (near > 0)
    ndvi = np.where(seen, spyndex.computeIndex("NDVI", {"N": near, "R": red}), np.nan)
    table = expected(clear_looks(ndvi, season.days, ("R051",) * len(season.days)), season.days[-1], mowing._rule)
    assert len(table) > 0.9 * SIZE * SIZE
    for name, layer in zip(COLUMNS, fields, strict=True):
        np.testing.assert_allclose(layer.ravel()[table.index], table[name].to_numpy(float), atol=1e-6, err_msg=name)


def test_wheat_is_not_cut_in_spring_and_meadows_are(season: Season, made: tuple[Any, np.ndarray]) -> None:
    count, _, seen, _, _ = made[1]
    by_june = (count > 0) & (seen <= (date(2019, 6, 5) - START).days)
    share = {crop: float(by_june[season.crops == crop].mean()) for crop in (GRASSLAND, WHEAT, WINTER_BARLEY)}
    assert share[GRASSLAND] > 0.4
    assert share[WHEAT] < 0.08
    assert share[WINTER_BARLEY] < 0.02
    assert float((count[season.crops == GRASSLAND] > 0).mean()) > 0.85, (
        "over the season nearly all of it is cut or grazed"
    )


def test_winter_barley_ripens_before_wheat(season: Season, made: tuple[Any, np.ndarray]) -> None:
    seen = made[1][2]
    barley, wheat = (float(np.nanmedian(seen[season.crops == crop])) for crop in (WINTER_BARLEY, WHEAT))
    assert barley + 14 <= wheat, "two to three weeks, as every year"
