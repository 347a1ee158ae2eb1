"""Masks of L1C: s2cloudless as its authors published it, cirrus, shadows, and the edges of cells."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import cube_kit
import numpy as np
import pytest
import rasterio

from catalog.grid import Cell
from catalog.products import LEVEL_BANDS
from catalog.storage.store import Store
from processors.cube.cell import Cube
from processors.ingest.acquisition import extend_cells, ingest_acquisition
from processors.mask.acquisition import MaskResult, mask_acquisition
from processors.mask.clouds import cloud_mask, cloud_probability
from processors.mask.options import USUAL_MASK, L1CMask, MaskOptions

pytestmark = pytest.mark.usefixtures("folder_source")

CELL = Cell(32631, 56, 549)
BANDS = LEVEL_BANDS["L1C"]
GREEN_FIELD = dict(zip(BANDS, (1100, 850, 800, 550, 950, 2200, 2800, 2700, 3100, 900, 10, 1700, 900), strict=True))
CLOUD = dict(zip(BANDS, (5000, 5000, 4900, 5100, 5200, 5400, 5600, 5500, 5700, 2500, 60, 3500, 2600), strict=True))


def test_the_authors_published_probabilities(real_data: Path) -> None:
    reference = np.load(real_data / "clouds" / "s2cloudless_reference.npz")
    found = cloud_probability(reference["reflectance"])
    assert (found.max() > 0.9, found.min() < 0.1) == (True, True)
    assert np.abs(found - reference["cloud_probability"]).max() <= 1e-6


def test_the_reference_of_slovenia(real_data: Path) -> None:
    """All five dates on their native pixels: probabilities and masks, without any difference."""
    folder = real_data / "slovenia-l1c-2015"
    cloudy = {}
    for stored in sorted((folder / "reference").glob("*_cloud_probability.tif")):
        name = stored.stem.removesuffix("_cloud_probability")
        bands = [_read(folder / "sentinel-2-l1c" / name / f"{band}.tif") for band in BANDS]
        found = cloud_probability(np.stack(bands, axis=-1) / 10000)
        np.testing.assert_array_equal(found, _read(stored))
        # Theirs: averaged over 4 pixels of these and dilated by 2.
        mask = cloud_mask(found, L1CMask(resolution=10, average=40, dilation=20))
        np.testing.assert_array_equal(mask, _read(stored.with_name(f"{name}_cloud_mask.tif")))
        cloudy[name[10:18]] = bool(mask.mean() > 0.5)
    assert cloudy == {
        "20150711": False, "20150731": True, "20150820": True, "20150830": False, "20150909": False,
    }  # fmt: skip


def _read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        band: np.ndarray = file.read(1)
    return band


def test_averaging_and_dilation_are_meant_in_metres() -> None:
    probability = np.zeros((99, 99), np.float32)
    probability[40:60, 40:60] = 1
    found = cloud_mask(probability, L1CMask(resolution=40))  # averaged over 6 pixels, dilated by 3
    assert found[50, 50]
    assert 26 <= int(found[50].sum()) <= 30  # 20 pixels, wider by 3 and a little on each side
    speck = np.zeros((99, 99), np.float32)
    speck[50, 50] = 1
    assert not cloud_mask(speck, L1CMask(resolution=40)).any()  # one pixel among a hundred


def scene(side: int, clouds: list[tuple[int, int, int]], **changes: np.ndarray) -> dict[str, np.ndarray]:
    """Raw numbers of a field with square clouds: row, column, edge."""
    made = {}
    for band in BANDS:
        raw = np.full((side, side), GREEN_FIELD[band])
        for row, column, edge in clouds:
            raw[row : row + edge, column : column + edge] = CLOUD[band]
        made[band] = raw
    return made | changes


def clear_of(store: Store, *cells: Cell) -> list[np.ndarray]:
    return [Cube(store.cube("kit", "L1C", cell)).read("clear", 0) for cell in cells]


def make(store: Store, archive: object, *cells: Cell, options: MaskOptions = USUAL_MASK) -> MaskResult:
    order = archive.order()  # type: ignore[attr-defined]
    extend_cells(store, order, cells)
    (one,) = order.acquisitions
    ingest_acquisition(store, order, one.id, cells, order.source)
    return mask_acquisition(store, order, one.id, cells, options)


def test_clouds_cirrus_shadows_and_no_data(store: Store) -> None:
    # 480 px; a cloud of 800 m in the south; sun in the south at 45 degrees: shadows north of it, 200 m to 6 km away.
    nir = np.full((480, 480), GREEN_FIELD["B08"])
    nir[380:480, 100:180] = CLOUD["B08"]
    nir[250:300, 120:160] = 500  # dark, 900 m north of the cloud
    nir[250:300, 400:440] = 500  # as dark, with no cloud to its south: water
    cirrus = np.full((480, 480), GREEN_FIELD["B10"])
    cirrus[380:460, 100:180] = CLOUD["B10"]
    cirrus[40:80, 300:340] = 200
    bands = scene(480, [(380, 100, 80)], B08=nir, B10=cirrus)
    bands["B03"][0, 0] = 0
    archive = cube_kit.Archive(store.root / "archive", level="L1C")
    archive.add("p", bands, window=cube_kit.square(size=480), sun_zenith=45.0, sun_azimuth=180.0)
    result = make(store, archive, CELL)
    assert result.masked == (CELL.name,)
    (clear,) = clear_of(store, CELL)
    assert clear[420, 140] == 0  # cloud
    assert clear[420, 140 - 40 - 8] == 0  # and around it
    assert clear[275, 140] == 0  # its shadow
    assert clear[275, 420] == 1  # water
    assert clear[60, 320] == 0  # cirrus
    assert (clear[0, 0], clear[0, 480], clear[480, 0]) == (255, 255, 255)
    assert clear[150, 50] == 1  # field
    assert clear[330, 140] == 1  # bright ground between cloud and shadow
    cube = Cube(store.cube("kit", "L1C", CELL))
    probability = cube.read("cloud_probability", 0)
    assert (probability[420, 140] > 90, probability[150, 50] < 10, probability[0, 0]) == (True, True, 255)
    assert cube.values("clear_fraction")[0] == np.float32((clear == 1).mean())


@pytest.mark.parametrize("distance", [1000, 5120])
def test_the_edges_of_cells_leave_no_seam(store: Store, distance: int) -> None:
    # The same scene twice: once inside one cell, once across four.
    options = MaskOptions(l1c=L1CMask(shadow_distance=distance))
    dark = np.full((240, 240), GREEN_FIELD["B08"])
    dark[:100] = 700
    dark[120:180, 90:150] = CLOUD["B08"]
    bands = scene(240, [(120, 90, 60)], B08=dark)
    about = {"sun_zenith": 50.0, "sun_azimuth": 160.0}
    cells = (CELL, cube_kit.NORTH, cube_kit.EAST, Cell(32631, 57, 550))
    across = cube_kit.square(row=-120, column=904, size=240)
    within = cube_kit.square(row=400, column=400, size=240)
    found = []
    for number, window in enumerate((within, across)):
        archive = cube_kit.Archive(store.root / f"archive{number}", level="L1C")
        archive.add("p", bands, window=window, **about)
        part_store = Store(store.root / f"store{number}")
        make(part_store, archive, *cells, options=options)
        whole = np.full((240, 240), 7, np.uint8)
        for cell in cells:
            part = window.intersection(cell.window)
            if part is not None and part_store.cube("kit", "L1C", cell).exists():
                (clear,) = clear_of(part_store, cell)
                whole[window.slices(part)] = clear[cell.window.slices(part)]
        found.append(whole)
    assert set(np.unique(found[0])) == {0, 1}
    assert (found[0][:100] == 0).any()  # there is a shadow, and it lies in the north
    np.testing.assert_array_equal(found[0], found[1])


def shadow_scene(height: float, zenith: float, azimuth: float) -> dict[str, np.ndarray]:
    """400 px with a cloud of 300 m in the middle, and four dark squares of 300 m: where its shadow falls, and as far away in the
    three other directions."""
    nir = np.full((400, 400), GREEN_FIELD["B08"])
    away = height * math.tan(math.radians(zenith)) / 10
    for turn in (0, 90, 180, 270):
        # away from the sun: the shadow lies at the azimuth of the sun plus 180
        row, column = spot(away, azimuth + 180 + turn)
        nir[row - 15 : row + 15, column - 15 : column + 15] = 500
    nir[185:215, 185:215] = CLOUD["B08"]
    return scene(400, [(185, 185, 30)], B08=nir)


def spot(away: float, direction: float) -> tuple[int, int]:
    """Row and column that lie ``away`` pixels from the middle, ``direction`` degrees from north, clockwise."""
    north, east = math.cos(math.radians(direction)), math.sin(math.radians(direction))
    return round(200 - away * north), round(200 + away * east)


def shaded(clear: np.ndarray, away: float, azimuth: float) -> list[bool]:
    """Whether the dark squares opposite the sun, and 90, 180 and 270 degrees further, are taken for shadow."""
    return [bool(clear[spot(away, azimuth + 180 + turn)] == 0) for turn in (0, 90, 180, 270)]


@pytest.mark.parametrize("azimuth", [25.0, 100.0, 155.0, 250.0, 340.0])
def test_the_shadow_of_a_cloud_of_known_height_in_every_quadrant(store: Store, azimuth: float) -> None:
    archive = cube_kit.Archive(store.root / "archive", level="L1C")
    bands = shadow_scene(1200, 48, azimuth)
    archive.add("p", bands, window=cube_kit.square(size=400), sun_zenith=48.0, sun_azimuth=azimuth)
    make(store, archive, CELL)
    (clear,) = clear_of(store, CELL)
    assert clear[200, 200] == 0
    assert shaded(clear, 1200 * math.tan(math.radians(48)) / 10, azimuth) == [True, False, False, False]


@pytest.mark.parametrize(
    ("cell", "time", "zenith", "azimuth"),
    [
        # As two real products say, over the middles of their tiles: 33TWM (46° N) and 56JMM (30° S).
        (Cell(32633, 54, 502), datetime(2023, 8, 15, 9, 57, 57, tzinfo=UTC), 35.0, 152.4),
        (Cell(32756, 44, 648), datetime(2018, 6, 29, 0, 2, 41, tzinfo=UTC), 59.5, 29.0),
    ],
)
def test_shadows_on_both_hemispheres_where_the_source_does_not_say_the_sun(
    store: Store, cell: Cell, time: datetime, zenith: float, azimuth: float
) -> None:
    archive = cube_kit.Archive(store.root / "archive", level="L1C")
    bands = shadow_scene(900, zenith, azimuth)
    archive.add("p", bands, window=cube_kit.square(size=400, cell=cell), time=time)
    make(store, archive, cell)
    (clear,) = clear_of(store, cell)
    assert shaded(clear, 900 * math.tan(math.radians(zenith)) / 10, azimuth) == [True, False, False, False]


def test_another_threshold_asks_for_no_new_probability_and_another_resolution_does(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = cube_kit.Archive(store.root / "archive", level="L1C")
    archive.add("p", scene(160, [(40, 40, 60)]), window=cube_kit.square(size=160), sun_zenith=40.0, sun_azimuth=150.0)
    lower = MaskOptions(l1c=L1CMask(cloud_threshold=0.05, dilation=0))
    fresh = Store(store.root / "fresh")
    make(fresh, archive, CELL, options=lower)
    make(store, archive, CELL)

    def asked(*arguments: object) -> None:
        raise AssertionError("s2cloudless was asked again")

    with monkeypatch.context() as patched:
        patched.setattr("processors.mask.l1c.cloud_probability", asked)
        assert make(store, archive, CELL).skipped == (CELL.name,)
        assert make(store, archive, CELL, options=lower).masked == (CELL.name,)
        with pytest.raises(AssertionError, match="asked again"):
            make(store, archive, CELL, options=MaskOptions(l1c=L1CMask(resolution=20)))
    for name in ("clear", "cloud_probability"):
        of_both = [Cube(one.cube("kit", "L1C", CELL)).read(name, 0) for one in (store, fresh)]
        np.testing.assert_array_equal(*of_both)
    make(store, archive, CELL, options=lower)  # heals what was stopped
    assert Cube(store.cube("kit", "L1C", CELL)).values("masked_with").tolist() == [lower.record("L1C")]


def test_cirrus_dark_ground_and_widths_are_options(store: Store) -> None:
    cirrus = np.full((240, 240), GREEN_FIELD["B10"])
    cirrus[100:120, 100:120] = 150
    archive = cube_kit.Archive(store.root / "archive", level="L1C")
    bands = scene(240, [], B10=cirrus)
    archive.add("p", bands, window=cube_kit.square(size=240), sun_zenith=40.0, sun_azimuth=180.0)
    make(store, archive, CELL, options=MaskOptions(l1c=L1CMask(cirrus=0.02)))
    assert (clear_of(store, CELL)[0][:240, :240] == 1).all()
    # Cirrus now, not widened; the field is dark enough to be shadow: of B08 0.28
    options = L1CMask(dilation=0, dark_nir=0.3, shadow_distance=400, shadow_dilation=0)
    make(store, archive, CELL, options=MaskOptions(l1c=options))
    rows = np.flatnonzero((clear_of(store, CELL)[0][:240, :240] == 0).any(axis=1))
    assert (rows.min(), rows.max()) == (100 - 40, 119)  # shadow 400 m to the north
    columns = np.flatnonzero((clear_of(store, CELL)[0][:240, :240] == 0).any(axis=0))
    assert (columns.min(), columns.max()) == (100, 119)


def test_a_cell_masked_before_gives_the_next_one_its_clouds(store: Store) -> None:
    window = cube_kit.square(row=100, column=944, size=160)  # across the eastern edge
    bands = scene(160, [(40, 40, 80)])  # the cloud as well
    archive = cube_kit.Archive(store.root / "archive", level="L1C")
    archive.add("p", bands, window=window, sun_zenith=40.0, sun_azimuth=150.0)
    together, in_turn = Store(store.root / "together"), Store(store.root / "in_turn")
    make(together, archive, CELL, cube_kit.EAST)
    make(in_turn, archive, CELL)
    make(in_turn, archive, cube_kit.EAST)
    (expected,), (found,) = clear_of(together, cube_kit.EAST), clear_of(in_turn, cube_kit.EAST)
    np.testing.assert_array_equal(found, expected)


def test_without_its_bands_a_cell_is_not_masked_and_says_so(store: Store) -> None:
    bands = scene(60, [])
    del bands["B10"]
    archive = cube_kit.Archive(store.root / "archive", level="L1C")
    archive.add("p", bands, window=cube_kit.square(size=60))
    result = make(store, archive, CELL)
    assert result.masked == ()
    assert "without B10" in result.dropped[0].reason
    assert Cube(store.cube("kit", "L1C", CELL)).flags("masked").tolist() == [False]


def test_the_working_resolution_gets_nearly_the_native_mask(real_data: Path) -> None:
    reflectance = np.load(real_data / "clouds" / "s2cloudless_reference.npz")["reflectance"][0]
    native_probability = np.load(real_data / "clouds" / "s2cloudless_reference.npz")["cloud_probability"][0]
    options = L1CMask()
    k = options.resolution // 10
    means = reflectance.reshape(256 // k, k, 256 // k, k, 13).mean(axis=(1, 3))
    found = cloud_mask(cloud_probability(means), options).repeat(k, axis=0).repeat(k, axis=1)
    native = cloud_mask(native_probability, L1CMask(resolution=10))
    assert (found == native).mean() > 0.99
