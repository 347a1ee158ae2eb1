"""What the views of a season say, against sums done at once over the whole area."""

from __future__ import annotations

import warnings
from datetime import date
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import views_kit
from PIL import Image
from rasterio.enums import ColorInterp
from scipy import ndimage
from shapely.geometry import box

import processors.views.parcels
from catalog.grid import Window, burnt, inside
from processors.views.make import ranks_of_true_color
from processors.views.parcels import Map
from processors.views.views import Views

WINDOW = Window(32631, views_kit.CELL.window.left + 70, views_kit.CELL.window.top - 30, 300, 290)
CLEAR = (0.5, 0.9, 0.7, 0.4)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> views_kit.Ground:
    return views_kit.ground(tmp_path_factory.mktemp("cube"), WINDOW, len(CLEAR))


@pytest.fixture(scope="module")
def of_map(tmp_path_factory: pytest.TempPathFactory) -> Map:
    """Fields over all of the window but its last rows, which the map says nothing of."""
    values = views_kit.fields(WINDOW.shape, 60)
    values[-20:] = 255
    confidence = np.where(values == 255, np.nan, np.random.default_rng(1).random(WINDOW.shape)).astype(np.float32)
    return views_kit.class_map(tmp_path_factory.mktemp("map"), WINDOW, values, confidence)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory, ground: views_kit.Ground, of_map: Map) -> Views:
    return views_kit.views(tmp_path_factory.mktemp("run") / "views", ground, of_map, views_kit.season(CLEAR))


def read(path: Path | None) -> np.ndarray:
    assert path is not None
    with rasterio.open(path) as raster:
        values: np.ndarray = raster.read()
    return values


def mean(values: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found: np.ndarray = np.nanmean(values, axis=axis)
    return found


def test_days_are_those_of_the_acquisitions_used(views: Views) -> None:
    assert views.days == tuple(views_kit.time_of(number).date() for number in range(4))


def test_curves_of_squares_are_means_over_clear_pixels(views: Views, ground: views_kit.Ground) -> None:
    assert views.curves is not None
    edge = views.curves.grid_pixels
    assert edge == 8
    assert views.curves.grid.shape == (-(-WINDOW.height // edge), -(-WINDOW.width // edge), 4)
    assert views.curves.grid.dtype == np.float32
    for row, column in ((0, 0), (10, 20), (36, 37), (36, 0), (3, 33)):
        square = ground.ndvi[:, row * edge : (row + 1) * edge, column * edge : (column + 1) * edge]
        np.testing.assert_allclose(views.curves.grid[row, column], mean(square, (1, 2)), rtol=1e-4, atol=1e-6)


def test_parcels_have_the_pixels_confidence_curve_and_peak_of_their_ground(
    views: Views, ground: views_kit.Ground, of_map: Map
) -> None:
    parcels = geopandas.read_parquet(views.parcels)
    assert parcels.crs.to_epsg() == 32631
    assert list(parcels["id"]) == list(range(1, len(parcels) + 1))
    numbers = burnt(zip(parcels.geometry, parcels["id"], strict=True), WINDOW)
    classes, confidence = read(of_map.rasters["crop_map"])[0], read(of_map.rasters["confidence"])[0]
    assert views.curves is not None
    assert views.curves.parcels is not None
    assert views.curves.parcels.shape == (len(parcels), 4)
    for row in parcels.itertuples():
        labels, _ = ndimage.label(classes == row.value)
        here = labels == np.bincount(labels[numbers == row.id])[1:].argmax() + 1
        assert (numbers[here] == row.id).mean() > 0.98
        assert row.pixels == here.sum()
        assert row.hectares == pytest.approx(row.pixels / 100)
        assert row.share == 1
        assert row.crop == {1: "winter wheat", 2: "maize", 5: "sugar beet"}[row.value]
        assert row.confidence == pytest.approx(confidence[here].mean())
        curve = mean(ground.ndvi[:, here], (1,))
        np.testing.assert_allclose(views.curves.parcels[row.id - 1], curve, rtol=1e-4, atol=1e-6)
        clear = np.isfinite(ground.ndvi[:, here]).mean(axis=1)
        peaks = np.where(clear >= 0.5, views.curves.parcels[row.id - 1], np.nan)
        if np.isfinite(peaks).any():
            assert row.ndvi_peak == pytest.approx(np.nanmax(peaks))
            assert row.ndvi_peak_date == views.days[int(np.nanargmax(peaks))]


def test_what_is_no_parcel_is_counted_by_class(views: Views, of_map: Map) -> None:
    classes, parcels = read(of_map.rasters["crop_map"])[0], geopandas.read_parquet(views.parcels)
    for value in (1, 2, 5):
        held = int(parcels["pixels"][parcels["value"] == value].sum())
        assert held + views.below.get(value, 0) == (classes == value).sum()


def test_clear_acquisitions_are_counted_per_pixel(views: Views, ground: views_kit.Ground) -> None:
    np.testing.assert_array_equal(read(views.clear_count)[0], ground.clear.sum(axis=0))
    assert views.clear_count_variable is not None
    assert views.clear_count_variable.nodata == 255


def test_true_colour_is_the_clearest_filled_from_the_next(views: Views, ground: views_kit.Ground) -> None:
    assert views.true_color_dates[0] == "a1"
    assert set(views.true_color_dates) == {"a0", "a1", "a2", "a3"}
    with rasterio.open(views.true_color) as raster:
        shown = raster.read()
        assert raster.colorinterp == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        assert (raster.transform, raster.shape) == (WINDOW.transform, WINDOW.shape)
    there = ground.values[:, 0] > 0
    assert ((shown > 0).all(axis=0) == there.any(axis=0)).all()
    expected = np.zeros(WINDOW.shape)
    for usable in (there, ground.clear & there):  # the last that is written is the best
        for rank in (3, 0, 2, 1):
            expected = np.where(usable[rank], ground.band("B04")[rank], expected)
    order = np.argsort(expected[expected > 0], kind="stable")
    assert (np.diff(shown[0][expected > 0][order].astype(int)) >= 0).all(), "brighter ground is brighter"


def test_of_dates_as_clear_that_nearest_to_midsummer_is_shown() -> None:
    days = [date(2019, 2, 25), date(2019, 5, 31), date(2019, 6, 30), date(2019, 12, 27)]
    assert ranks_of_true_color([0.99, 0.98, 0.70, 0.10], days, 32631) == (1, 0, 2, 3)
    assert ranks_of_true_color([0.99, 0.98, 0.96, 0.97], days, 32631) == (2, 1, 0, 3)
    assert ranks_of_true_color([0.99, 0.98, 0.96, 0.97], days, 32721) == (3, 0, 1, 2), "of the south"


def test_thumbnails_are_small_and_have_clouds_as_they_are(views: Views) -> None:
    assert list(views.thumbnails) == ["a0", "a1", "a2", "a3"]
    for path in views.thumbnails.values():
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert max(picture.size) <= 96
            assert picture.size == (75, 73)


def test_other_years_have_no_part_in_it(tmp_path: Path, ground: views_kit.Ground, of_map: Map) -> None:
    season = views_kit.season(CLEAR, others=2)
    without = views_kit.views(tmp_path / "views", ground, of_map, season)
    assert without.days == tuple(views_kit.time_of(number).date() for number in (2, 3))
    assert list(without.thumbnails) == ["a2", "a3"]
    np.testing.assert_array_equal(read(without.clear_count)[0], ground.clear[2:].sum(axis=0))


def test_bands_that_are_missing_leave_out_what_needs_them(
    tmp_path: Path, ground: views_kit.Ground, of_map: Map, views: Views
) -> None:
    only_visible = views_kit.views(tmp_path / "a", ground, of_map, views_kit.season(CLEAR, ("B02", "B03", "B04")))
    assert only_visible.curves is None
    assert only_visible.true_color is not None
    assert geopandas.read_parquet(only_visible.parcels)["ndvi_peak"].isna().all()
    no_blue = views_kit.views(tmp_path / "b", ground, of_map, views_kit.season(CLEAR, ("B04", "B08")))
    assert (no_blue.true_color, no_blue.true_color_dates, no_blue.thumbnails) == (None, (), {})
    assert no_blue.curves is not None
    assert views.curves is not None
    np.testing.assert_array_equal(no_blue.curves.grid, views.curves.grid)
    nothing = views_kit.views(tmp_path / "c", ground, of_map, views_kit.season(CLEAR, ("B11",)))
    np.testing.assert_array_equal(read(nothing.clear_count), read(views.clear_count))


def test_only_the_area_counts(tmp_path: Path, ground: views_kit.Ground, of_map: Map) -> None:
    west, south, east, north = WINDOW.bounds
    area = box(west, south, (west + east) / 2 + 3, north).union(box(east - 100, south, east, south + 100))
    part = Map(of_map.rasters, of_map.variables, WINDOW, area)
    within = inside(area, WINDOW)
    found = views_kit.views(tmp_path / "views", ground, part, views_kit.season(CLEAR))
    np.testing.assert_array_equal(read(found.clear_count)[0], np.where(within, ground.clear.sum(axis=0), 255))
    assert not read(found.true_color)[:, ~within].any()
    assert found.curves is not None
    np.testing.assert_allclose(
        found.curves.grid[36, -1], mean(ground.ndvi[:, 288:, 296:], (1, 2)), rtol=1e-4, atol=1e-6
    )
    assert np.isnan(found.curves.grid[0, -1]).all()


def test_a_map_without_classes_has_no_parcels(tmp_path: Path, ground: views_kit.Ground, of_map: Map) -> None:
    plain = Map({"confidence": of_map.rasters["confidence"]}, of_map.variables[1:], WINDOW, of_map.zone_area)
    found = views_kit.views(tmp_path / "views", ground, plain, views_kit.season(CLEAR))
    assert (found.parcels, found.below) == (None, {})
    assert found.curves is not None
    assert found.curves.parcels is None


def test_the_same_files_however_many_workers_there_are(
    tmp_path: Path, ground: views_kit.Ground, of_map: Map, views: Views
) -> None:
    again = views_kit.views(tmp_path / "views", ground, of_map, views_kit.season(CLEAR), workers=1)
    for first, second in ((views.parcels, again.parcels), (views.true_color, again.true_color)):
        assert first is not None
        assert second is not None
        assert first.read_bytes() == second.read_bytes()


def test_a_map_that_is_too_speckled_has_no_parcels_and_says_so(
    tmp_path: Path, ground: views_kit.Ground, of_map: Map, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors.views.parcels, "MOST_EDGES", 1000)
    found = views_kit.views(tmp_path / "views", ground, of_map, views_kit.season(CLEAR))
    assert found.parcels is None
    assert found.notes == ("No parcels are outlined: the map is too speckled (0 million edges).",)
    assert found.curves is not None
