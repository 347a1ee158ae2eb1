"""Masks of L1C: s2cloudless as its authors published it, cirrus, shadows, and the edges of cells."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rasterio

from catalog.grid import Cell
from catalog.products import LEVEL_BANDS
from catalog.store import Store
from processors.clouds import cloud_mask, cloud_probability
from processors.cube import Cube
from processors.ingest import extend_cells, ingest_acquisition
from processors.mask import MaskResult, mask_acquisition
from processors.mask_options import USUAL_MASK, L1CMask, MaskOptions

CELL = Cell(32631, 56, 549)
BANDS = LEVEL_BANDS["L1C"]
GREEN_FIELD = dict(zip(BANDS, (1100, 850, 800, 550, 950, 2200, 2800, 2700, 3100, 900, 10, 1700, 900), strict=True))
CLOUD = dict(zip(BANDS, (5000, 5000, 4900, 5100, 5200, 5400, 5600, 5500, 5700, 2500, 60, 3500, 2600), strict=True))


def test_the_authors_published_probabilities(real_data: Path) -> None:
    reference = np.load(real_data / "clouds" / "s2cloudless_reference.npz")
    part = np.s_[:, 64:128, 0:256]  # holds clouds; the whole takes 2 s
    found = cloud_probability(reference["reflectance"][part])
    assert found.max() > 0.9
    np.testing.assert_allclose(found, reference["cloud_probability"][part], rtol=0, atol=1e-6)


def test_the_reference_of_slovenia(real_data: Path) -> None:
    folder = real_data / "slovenia-l1c-2015"
    for name, cloudy in (("S2A_33TWM_20150711T100008_L1C", False), ("S2A_33TWM_20150731T100009_L1C", True)):
        bands = []
        for band in BANDS:
            with rasterio.open(folder / "sentinel-2-l1c" / name / f"{band}.tif") as file:
                bands.append(file.read(1)[:40])
        with rasterio.open(folder / "reference" / f"{name}_cloud_probability.tif") as file:
            expected = file.read(1)[:40]
        found = cloud_probability(np.stack(bands, axis=-1) * np.float32(1e-4))
        assert bool(found.mean() > 0.4) is cloudy
        scale = 100 if expected.max() > 1.5 else 1
        np.testing.assert_allclose(found * scale, expected, rtol=0, atol=2e-3 * scale)


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


def test_clouds_cirrus_shadows_and_no_data(cube_kit: ModuleType, store: Store) -> None:
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
def test_the_edges_of_cells_leave_no_seam(cube_kit: ModuleType, store: Store, distance: int) -> None:
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


def test_a_cell_masked_before_gives_the_next_one_its_clouds(cube_kit: ModuleType, store: Store) -> None:
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


def test_without_its_bands_a_cell_is_not_masked_and_says_so(cube_kit: ModuleType, store: Store) -> None:
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
