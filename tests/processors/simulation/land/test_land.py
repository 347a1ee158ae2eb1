"""The synthetic land: windows agree, fields have real sizes, years rotate, and nothing depends on who asked first."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from catalog.errors import RequestError
from catalog.grid import Window, burnt
from processors.simulation.land.appearance import Geometry
from processors.simulation.land.crops import CROPS, WATER, is_crop
from processors.simulation.land.growth_state import Stage
from processors.simulation.land.land import Land
from processors.simulation.land.rotation import FRANCE, crops_of
from processors.simulation.land.weather import Climate
from processors.simulation.noise.seeded import keys

LAND = Land(32631, Climate.at(46.0), seed=3)
WHOLE = Window(32631, 50_000, 510_000, 96, 80)
DAY = date(2019, 6, 25)

# Parcels of each class of PASTIS, 1 to 18 (Garnot & Landrieu, 2021).
PASTIS = (31292, 8206, 13123, 2766, 1769, 908, 1355, 10640, 871, 1208, 1704, 2619, 551, 3174, 1212, 2998, 848, 707)


@pytest.fixture(scope="module")
def whole() -> np.ndarray:
    return LAND.reflectance(WHOLE, DAY, Geometry(30.0))


@settings(max_examples=6, database=None, phases=(Phase.generate,))
@given(st.integers(0, 60), st.integers(0, 50), st.integers(1, 36), st.integers(1, 30))
def test_a_part_asked_alone_equals_the_part_of_the_whole(
    whole: np.ndarray, left: int, down: int, width: int, height: int
) -> None:
    part = Window(32631, WHOLE.left + left, WHOLE.top - down, width, height)
    rows, columns = WHOLE.slices(part)
    truth, all_truth = LAND.truth(part, 2019), LAND.truth(WHOLE, 2019)
    assert np.array_equal(truth.crop, all_truth.crop[rows, columns])
    assert np.array_equal(truth.field, all_truth.field[rows, columns])
    assert np.array_equal(truth.share, all_truth.share[rows, columns])
    assert np.array_equal(LAND.stages(part, DAY), LAND.stages(WHOLE, DAY)[rows, columns])
    assert np.array_equal(LAND.reflectance(part, DAY, Geometry(30.0)), whole[:, rows, columns])


def test_reflectance_is_physical_and_finite(whole: np.ndarray) -> None:
    assert whole.dtype == np.float32
    assert whole.shape == (13, 80, 96)
    assert whole.min() > 0
    assert whole.max() < 1


def test_another_seed_is_another_land() -> None:
    other = Land(32631, LAND.climate, seed=4)
    assert (other.truth(WHOLE, 2019).field != LAND.truth(WHOLE, 2019).field).mean() > 0.9


def test_the_fields_polygons_hold_their_pixels() -> None:
    truth = LAND.truth(WHOLE, 2019)
    fields = LAND.fields(WHOLE, 2019)
    numbers = burnt([(field.polygon, index) for index, field in enumerate(fields, start=1)], WHOLE)
    pure = (truth.share == 1) & (truth.field >= 0)
    assert pure.mean() > 0.4
    assert np.array_equal(np.array([-1, *(field.number for field in fields)])[numbers][pure], truth.field[pure])
    assert np.array_equal(np.array([0, *(field.crop for field in fields)])[numbers][pure], truth.crop[pure])
    assert set(np.unique(truth.field)) - {-1} <= {field.number for field in fields}


def test_fields_do_not_overlap() -> None:
    fields = LAND.fields(WHOLE, 2019)
    overlap = sum(
        one.polygon.intersection(other.polygon).area
        for index, one in enumerate(fields)
        for other in fields[index + 1 :]
        if one.polygon.intersects(other.polygon)
    )
    assert overlap < 1.0


def test_sizes_of_fields_are_those_of_a_real_register() -> None:
    window = Window(32631, 50_000, 510_000, 1000, 1000)
    frame = box(*window.bounds)
    hectares = np.array(
        [field.polygon.area / 1e4 for field in LAND.fields(window, 2019) if frame.contains(field.polygon)]
    )
    assert len(hectares) > 1500
    # 2.9 ha in the mean in the French register of 2018; small and medium by the classes of Lesiv et al. (2019).
    assert 2.2 < hectares.mean() < 3.6
    assert np.median(hectares) < hectares.mean()
    assert hectares.max() <= 20
    assert ((hectares > 0.64) & (hectares < 16)).mean() > 0.9


def test_rotations_have_the_imbalance_of_pastis() -> None:
    fields = keys(0, np.arange(60_000))
    pooled = np.concatenate([crops_of(FRANCE, fields, year) for year in range(2015, 2021)])
    shares = np.bincount(pooled, minlength=19)[1:] / len(pooled)
    wanted = np.array(PASTIS) / sum(PASTIS)
    assert (shares > 0).all()
    np.testing.assert_allclose(shares, wanted, rtol=0.2)


def test_beet_and_rapeseed_never_follow_themselves_and_vines_stay() -> None:
    fields = keys(0, np.arange(20_000))
    one, next_year = crops_of(FRANCE, fields, 2019), crops_of(FRANCE, fields, 2020)
    for code in (5, 9, 13):
        assert (next_year[one == code] != code).all()
    for code in (1, 8, 16):
        assert (next_year[one == code] == code).all()


def test_every_kind_of_ground_occurs() -> None:
    crops = LAND.truth(Window(32631, 50_000, 510_000, 700, 700), 2019).crop
    codes = set(np.unique(crops).tolist())
    assert {code for code in CROPS if not is_crop(code)} - codes <= {WATER}
    assert len({code for code in codes if is_crop(code)}) == 18


def test_fields_have_stages_and_background_has_none() -> None:
    truth, stages = LAND.truth(WHOLE, 2019), LAND.stages(WHOLE, DAY)
    assert (stages[truth.field < 0] == Stage.NONE).all()
    assert (stages[truth.field >= 0] != Stage.NONE).all()


def test_the_southern_year_is_turned() -> None:
    south = Land(32721, Climate(-46.0, LAND.climate.mean, LAND.climate.swing), seed=3)
    north = Land(32721, LAND.climate, seed=3)
    window = Window(32721, 50_000, 510_000, 24, 24)
    january, july = date(2020, 1, 8), date(2019, 7, 10)
    assert np.array_equal(
        south.reflectance(window, january, Geometry(30.0)), north.reflectance(window, july, Geometry(30.0))
    )


def test_a_window_of_another_zone_and_an_unknown_satellite_are_refused() -> None:
    with pytest.raises(ValueError, match="EPSG:32632"):
        LAND.truth(Window(32632, 0, 10, 10, 10), 2019)
    with pytest.raises(RequestError, match="S2D"):
        LAND.reflectance(Window(32631, 50_000, 510_000, 4, 4), DAY, Geometry(30.0), "S2D")
