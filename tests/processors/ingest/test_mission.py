"""From the simulated mission into the cube, the whole way: order, simulation, slabs, mask."""

from __future__ import annotations

import numpy as np
import pytest
from scene_kit import joined
from shapely.geometry import Point, box

from catalog.grid import Cell, Window, cells_of_window, to_lonlat
from catalog.orbits.tiles import Tile
from catalog.order import make_order
from catalog.products import CROP_BANDS, LEVEL_BANDS
from catalog.storage.store import Store
from catalog.zone import Zone
from processors.cube.cell import Cube
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.mask.acquisition import mask_acquisition
from processors.mask.options import MaskOptions
from processors.simulation.mission.scene import aligned
from processors.simulation.scoring.scores import score_delivery
from processors.simulation.source import MissionSource, overpass_of
from processors.simulation.training_patches import date_of

TILE = Tile.from_name("31UES")
WEST, _, _, NORTH = TILE.bounds


@pytest.fixture
def corner() -> Cell:
    """A cell of which the tile holds a small part: the tests simulate no more than that."""
    (cell, *_) = cells_of_window(Window(TILE.epsg, WEST // 10, NORTH // 10, 1, 1))
    return cell


@pytest.mark.parametrize(
    ("longitude", "latitude"),
    [
        pytest.param(12.0, 48.0, id="a border"),
        pytest.param(30.0, 0.0, id="border and equator", marks=pytest.mark.slow),
        pytest.param(3.0, 60.0, id="Norway", marks=pytest.mark.slow),
        pytest.param(9.0, 78.2, id="Svalbard", marks=pytest.mark.slow),
        pytest.param(-40.0, 82.69, id="the far north", marks=pytest.mark.slow),
    ],
)
def test_where_tiles_are_of_another_zone_pixels_and_their_truth_are_laid_into_the_request_s(
    store: Store, longitude: float, latitude: float
) -> None:
    source = MissionSource("seed=2")
    area = Point(longitude, latitude).buffer(1e-3)
    zone = Zone.of(area)
    order = make_order(source, area, 2019, (5, 7), "L2A", 100)
    chosen = min(order.acquisitions, key=lambda one: one.cloud_cover or 0)
    assert {Tile.from_name(product.tile).epsg for product in chosen.products} != {zone.epsg}
    order = order.model_copy(update={"acquisitions": (chosen,)})
    cells = extend_cells(store, order, zone.cells)
    assert ingest_acquisition(store, order, chosen.id, cells, order.source).dropped == ()
    mask_acquisition(store, order, chosen.id, cells, MaskOptions())
    for cell in cells:
        window = zone.window.intersection(cell.window)
        assert window is not None
        cube = Cube(store.cube(order.source_id, "L2A", cell))
        assert (cube.read("reflectance", 0, *cell.window.slices(window)) > 0).all()
        assert "10 m from" in cube.values("off_grid")[0]
    scores = score_delivery(source.mission, order, store, area, zone.epsg, 2019)
    assert scores.n_pixels > 20
    assert scores.ndvi is not None
    if scores.ndvi.perfect.n_pixels:
        assert (scores.ndvi.perfect.mean_absolute or 0) < 0.1


def test_what_is_simulated_is_what_the_cube_holds(store: Store, corner: Cell) -> None:
    source = MissionSource("seed=2")
    part = TILE.window.intersection(corner.window)
    assert part is not None
    area = to_lonlat(box(*part.bounds).buffer(-50), TILE.epsg)
    order = make_order(source, area, 2019, (4, 6), "L2A", 100)
    chosen, product = next(
        (one, product)
        for one in order.acquisitions
        for product in one.products
        if product.tile == "31UES" and 5 < (product.cloud_cover or 0) < 50
    )
    order = order.model_copy(update={"acquisitions": (chosen.model_copy(update={"products": (product,)}),)})
    extended = extend_cells(store, order, [corner])
    result = ingest_acquisition(store, order, chosen.id, extended, order.source)
    assert (result.written, result.dropped) == ((corner.name,), ())
    mask_acquisition(store, order, chosen.id, extended, MaskOptions())

    cube = Cube(store.cube(order.source_id, "L2A", corner))
    assert cube.synthetic
    scene = joined(source.mission.scenes(overpass_of(product), part), aligned(part))
    rows, columns = corner.window.slices(part)
    inside = scene.window.slices(part)
    read = dict(zip(LEVEL_BANDS["L2A"], cube.read("reflectance", 0, rows, columns), strict=True))
    for band, factor in (("B04", 1), ("B11", 2), ("B09", 6)):
        numbers = scene.l2a[band].repeat(factor, 0).repeat(factor, 1)[inside].astype(int)
        np.testing.assert_array_equal(read[band], np.where(numbers > 0, np.maximum(numbers - 1000, 1), 0))
    scl = scene.scl.repeat(2, 0).repeat(2, 1)[inside]
    np.testing.assert_array_equal(cube.read("scl", 0, rows, columns), scl)
    clear = cube.read("clear", 0, rows, columns)
    assert 0 < (clear == 1).mean() < 1
    truth = scene.sky[inside] == 0
    assert truth[clear == 1].mean() > 0.8  # the mask knows nothing of the truth but what the instrument saw
    # A simulated training set holds the same.
    patch = Window(part.epsg, part.left + 6, part.top - 6, part.width - 12, part.height - 12)
    date = date_of(source.mission, overpass_of(product), patch)
    assert date is not None
    rows, columns = part.slices(patch)
    for band, values in zip(CROP_BANDS, date.values, strict=True):
        np.testing.assert_array_equal(values, read[band][rows, columns])
    np.testing.assert_array_equal(date.clear, clear[rows, columns] == 1)
    assert cube.values("off_grid").tolist() == [""]
    assert cube.values("offset_from").tolist() == ["processing baseline 05.11"]
