"""Scores against the simulated truth: hand-counted masks and maps, and a mission's cube from end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import box

from catalog.grid import Cell, Window, cells_of_window, to_lonlat
from catalog.legend import Legend, LegendClass
from catalog.orbits.tiles import Tile
from catalog.order import make_order
from catalog.products import Order
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.mask.acquisition import mask_acquisition
from processors.simulation.land.land import Truth
from processors.simulation.scoring.crop_scores import CropCounts
from processors.simulation.scoring.picture import draw_truth
from processors.simulation.scoring.scores import Counts, TruthScores, mask_score, score_delivery
from processors.simulation.source import MissionSource, overpass_of

LEGEND = Legend(
    entries=(
        LegendClass(value=0, name="background", colour="#cccccc", role="background"),
        LegendClass(value=2, name="soft winter wheat", colour="#ffff00"),
        LegendClass(value=3, name="corn", colour="#ff0000"),
        LegendClass(value=9, name="Winter barley", colour="#00ff00"),
        LegendClass(value=12, name="tulips", colour="#ff00ff"),
    )
)
SQUARE = Window(32631, 100, 200, 10, 10)


def truth_of(rows: list[int], share: float = 1.0) -> Truth:
    """Ten rows of crop codes."""
    crop = np.repeat(np.array(rows, np.uint8)[:, None], 10, axis=1)
    return Truth(crop, np.zeros(crop.shape, np.int64), np.full(crop.shape, share, np.float32))


def mapped(rows: list[int]) -> np.ndarray:
    return np.repeat(np.array(rows, np.uint8)[:, None], 10, axis=1)


TRUE_ROWS = [2, 2, 2, 3, 3, 3, 4, 4, 20, 21]  # wheat, corn, barley, wood, water
RIGHT_MAP = [2, 2, 2, 3, 3, 3, 9, 9, 0, 0]


def test_a_map_like_the_truth_scores_one() -> None:
    counts = CropCounts(LEGEND, SQUARE)
    counts.add(SQUARE, truth_of(TRUE_ROWS), mapped(RIGHT_MAP), np.ones((10, 10), bool))
    found = counts.scores()
    assert found.scores["all"].oa == found.scores["pure"].miou == found.merged["all"].dice == 1
    assert found.scores["all"].n_pixels == 100
    assert found.scores["mixed"].n_pixels == 0
    assert found.not_on_land == ("tulips",)
    assert (found.not_in_legend, found.n_unmapped) == ({}, 0)


def test_errors_are_counted_by_hand() -> None:
    counts = CropCounts(LEGEND, SQUARE)
    # One row of wheat is called barley, one of corn tulips; nothing is said of the water.
    rows = [9, 2, 2, 12, 3, 3, 9, 9, 0, 255]
    within = np.ones((10, 10), bool)
    within[:, 0] = False
    counts.add(SQUARE, truth_of(TRUE_ROWS), mapped(rows), within)
    found = counts.scores()
    assert found.n_unmapped == 9
    scores = found.scores["all"]
    assert scores.n_pixels == 81
    assert scores.oa == pytest.approx(7 / 9)
    by_name = {entry.name: entry.iou for entry in scores.per_class}
    assert by_name == pytest.approx(
        {"background": 1, "soft winter wheat": 2 / 3, "corn": 2 / 3, "Winter barley": 2 / 3}
    )
    assert scores.miou == pytest.approx(3 / 4)
    # Wheat and barley are one kind.
    merged = {entry.name: entry.iou for entry in found.merged["all"].per_class}
    assert merged == pytest.approx({"background": 1, "cereal": 1, "corn": 2 / 3})


def test_crops_that_the_legend_lacks_count_as_wrong_and_are_said() -> None:
    counts = CropCounts(LEGEND, SQUARE)
    counts.add(SQUARE, truth_of([13, *TRUE_ROWS[1:]], share=0.5), mapped(RIGHT_MAP), np.ones((10, 10), bool))
    found = counts.scores()
    assert found.not_in_legend == {"potatoes": 10}
    assert found.scores["all"].oa == found.scores["mixed"].oa == pytest.approx(0.9)
    assert found.scores["named"].oa == 1
    assert found.scores["pure"].n_pixels == 0


def test_masks_are_counted_by_hand() -> None:
    counts = Counts()
    sky = np.array([[0, 0, 0, 1], [1, 2, 255, 0]], np.uint8)
    clear = np.array([[1, 1, 0, 0], [1, 0, 1, 255]], np.uint8)
    counts.add_mask("one", sky, clear)
    # Of six pixels compared two are rightly not clear, one cloud is missed, one clear pixel is taken for cloud.
    found = mask_score(counts.masks["one"])
    assert found.confusion == ((2, 1), (1, 2))
    assert found.not_clear.f1 == pytest.approx(2 / 3)
    assert found.clear.precision == pytest.approx(2 / 3)
    assert counts.sky[:3].tolist() == [[2, 1], [1, 1], [0, 1]]


def test_errors_of_ndvi_are_summed_where_they_belong() -> None:
    counts = Counts()
    seen, land = np.array([[0.5, 0.2, np.nan, 0.4]], np.float32), np.full((1, 4), 0.6, np.float32)
    sky, clear = np.array([[0, 1, 0, 0]], np.uint8), np.array([[1, 1, 1, 0]], np.uint8)
    counts.add_ndvi(seen, land, sky, clear)
    assert (counts.masked.error.n_pixels, counts.masked.error.mean_absolute) == (2, pytest.approx(0.25))
    assert (counts.perfect.error.n_pixels, counts.perfect.error.bias) == (2, pytest.approx(-0.15))
    assert (counts.unmasked.error.n_pixels, counts.unmasked.error.mean_absolute) == (3, pytest.approx(0.7 / 3))


TILE = Tile.from_name("31UES")


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Order, Cell, Window]:
    """One date of a mission in the corner of its tile, ingested and masked."""
    store = Store(tmp_path_factory.mktemp("store"))
    west, _, _, north = TILE.bounds
    corner = Window(TILE.epsg, west // 10, north // 10, 1, 1)
    (cell,) = cells_of_window(corner)
    part = TILE.window.intersection(cell.window)
    assert part is not None
    area = to_lonlat(box(*part.bounds).buffer(-50), TILE.epsg)
    order = make_order(MissionSource("seed=2"), area, 2019, (4, 6), "L2A", 100)
    chosen, product = next(
        (one, product)
        for one in order.acquisitions
        for product in one.products
        if product.tile == TILE.name and 5 < (product.cloud_cover or 0) < 50
    )
    order = order.model_copy(update={"acquisitions": (chosen.model_copy(update={"products": (product,)}),)})
    extend_cells(store, order, [cell])
    ingest_acquisition(store, order, chosen.id, [cell], order.source)
    mask_acquisition(store, order, chosen.id, [cell])
    return store, order, cell, part


def test_a_cube_of_the_mission_is_scored(cube: tuple[Store, Order, Cell, Window], tmp_path: Path) -> None:
    store, order, cell, part = cube
    mission = MissionSource("seed=2").mission
    inner = Window(part.epsg, part.left + 6, part.top - 6, 240, 200)
    area = to_lonlat(box(*inner.bounds), part.epsg)
    crops = CropCounts(LEGEND, inner)
    land = mission.land(TILE)
    told: list[tuple[int, int]] = []

    def score() -> TruthScores:
        return score_delivery(
            mission, order, store, area, part.epsg, 2019, crops=crops,
            read_map=lambda window: np.where(land.truth(window, 2019).crop == 2, 2, 0).astype(np.uint8),
            progress=lambda done, total: told.append((done, total)),
        )  # fmt: skip

    found = score()
    assert told[-1][0] == told[-1][1]
    (date,) = found.dates
    assert 0.5 < (date.mask.not_clear.f1 or 0) < 1
    assert found.ndvi is not None
    assert found.ndvi.perfect.mean_absolute is not None
    assert found.ndvi.unmasked.mean_absolute is not None
    assert found.ndvi.perfect.mean_absolute < 0.05
    assert found.ndvi.perfect.mean_absolute <= found.ndvi.unmasked.mean_absolute
    assert found.crops is not None
    wheat = next(entry for entry in found.crops.scores["all"].per_class if entry.name == "soft winter wheat")
    assert wheat.iou == 1
    draw_truth(tmp_path / "truth.png", found, crops)
    with Image.open(tmp_path / "truth.png") as picture:
        assert picture.size[0] > 1500
        assert picture.info["Synthetic"] == "yes"

    # A mask that is the truth.
    opened = Cube(store.cube(order.source_id, "L2A", cell), "r+")
    clear = opened.read("clear", 0)
    overpass = overpass_of(order.acquisitions[0].products[0])
    rows, columns = cell.window.slices(part)
    clear[rows, columns] = mission.sky_classes(overpass, part) == 0
    opened.write_slab("clear", 0, clear)
    again = score()
    assert again.dates[0].mask.not_clear.f1 == again.mask.clear.f1 == 1
    assert again.sky["clear"].masked == 0
