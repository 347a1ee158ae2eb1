"""NDVI per month, against values worked out by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pytest

from agrunet.data.patches import Patch
from catalog.errors import RequestError
from processors.thematic.protocol import Job, Processor
from processors.thematic.vegetation import Vegetation, normalised_difference


def job(**changes: Any) -> Job:
    # 5 and 25 March, 15 May 2019; no acquisition in April.
    told = {
        "level": "L2A",
        "year": 2019,
        "months": (3, 5),
        "days": (4, 24, 75),
        "bands": ("B02", "B04", "B08", "B8A"),
        "synthetic": True,
    }
    return Job.model_validate({**told, **changes})


@dataclass(frozen=True)
class One:
    patch: Patch

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> Patch:  # noqa: ARG002
        return self.patch


def patch() -> Patch:
    """One row of five pixels, bands red and near-infrared."""
    red = [[1000, 1000, 1000, 0, 65535], [2000, 2000, 1000, 0, 1000], [500, 500, 1000, 0, 1000]]
    nir = [[3000, 3000, 3000, 0, 65535], [2000, 2000, 2000, 500, 1000], [4500, 4500, 9000, 0, 1000]]
    clear = [[1, 1, 0, 1, 0], [1, 0, 0, 1, 0], [1, 1, 1, 1, 0]]
    values = np.stack([np.array(red, np.uint16), np.array(nir, np.uint16)], axis=1)[:, :, None, :]
    return Patch(values, np.array(clear, bool)[:, None, :], np.array([4, 24, 75], np.int32))


def fields() -> np.ndarray:
    [(index, fields)] = list(Vegetation(job()).run(One(patch()), [0]))
    assert index == 0
    return fields


def test_each_month_is_the_mean_of_its_clear_dates() -> None:
    # NDVI: (3000 - 1000) / 4000 = 0.5, 0 and 4000 / 5000 = 0.8; the third pixel is clear in May alone: 8000 / 10000.
    # The fourth has no data, or no red, wherever it is clear; the fifth is never clear.
    nan = math.nan
    expected = [[0.25, 0.5, nan, nan, nan], [nan] * 5, [0.8, 0.8, 0.8, nan, nan]]
    found = fields()
    assert found.dtype == np.float32
    assert found.shape == (3, 1, 5)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-6)


def test_months_are_named_and_one_without_acquisitions_is_noted() -> None:
    processor = Vegetation(job())
    assert processor.fields == ("2019-03", "2019-04", "2019-05")
    assert processor.notes == ("no acquisition in 2019-04",)
    assert [variable.bands for variable in processor.variables] == [processor.fields] * 2
    assert all(math.isnan(variable.nodata) for variable in processor.variables)


def test_a_season_over_the_new_year_begins_the_year_before() -> None:
    days = tuple((date(*day) - date(2018, 11, 1)).days for day in ((2018, 11, 30), (2018, 12, 31), (2019, 1, 1)))
    processor = Vegetation(job(months=(11, 2), days=days))
    assert processor.fields == ("2018-11", "2018-12", "2019-01", "2019-02")
    assert processor.notes == ("no acquisition in 2019-02",)


def test_the_area_mean_counts_every_pixel_once_over_all_blocks() -> None:
    processor = Vegetation(job())
    nothing = np.full((3, 2, 2), np.nan, np.float32)
    more = np.full((3, 1, 3), 0.5, np.float32)
    summary = processor.summarise([fields(), nothing, more])
    # March: 0.25, 0.5 and three of 0.5; May: three of 0.8 and three of 0.5.
    assert summary["mean_ndvi"] == pytest.approx([2.25 / 5, 0.5, 3.9 / 6])
    assert summary["pixels"] == [5, 3, 6]
    assert processor.summarise([nothing])["mean_ndvi"] == [None, None, None]


def test_the_deviation_is_from_the_area_mean_and_nan_where_there_is_none() -> None:
    processor = Vegetation(job())
    delivered = processor.finish(fields(), {"mean_ndvi": [0.4, None, 0.9]})
    nan = math.nan
    np.testing.assert_array_equal(delivered["ndvi"], fields())
    expected = [[-0.15, 0.1, nan, nan, nan], [nan] * 5, [-0.1, -0.1, -0.1, nan, nan]]
    np.testing.assert_allclose(delivered["ndvi_deviation"][:, 0], expected, atol=1e-6)
    for variable in processor.variables:
        assert delivered[variable.name].dtype == variable.dtype
        assert delivered[variable.name].shape == (len(variable.bands), 1, 5)


def test_a_difference_of_nothing_is_nan_without_a_warning() -> None:
    found = normalised_difference(np.array([0, 3, 65535], np.uint16), np.array([0, 1, 0], np.uint16))
    np.testing.assert_array_equal(found, np.array([math.nan, 0.5, 1.0], np.float32))


def test_other_bands_are_read_and_a_missing_one_is_named() -> None:
    assert Vegetation(job(parameters={"nir": "B8A"})).bands == ("B04", "B8A")
    with pytest.raises(RequestError, match=r"parameter nir: no band B8A .* There are B04, B08."):
        Vegetation(job(parameters={"nir": "B8A"}, bands=("B04", "B08")))


def test_it_is_a_processor() -> None:
    processor: Processor = Vegetation(job(level="L1C"))
    assert processor.bands == ("B04", "B08")
    assert processor.needs_model is False
