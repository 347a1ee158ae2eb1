"""Probabilities of parcels are means over the pixels inside, the same bytes however they are computed."""

from __future__ import annotations

from pathlib import Path

import mosaic_kit
import numpy as np
import numpy.typing as npt
import plug_kit
import pytest
import shapely
from shapely.geometry import Polygon, box

from catalog.grid import Window, to_lonlat
from processors import mosaic
from processors.conformity import probabilities
from processors.conformity.probabilities import ParcelProbabilities, parcel_probabilities
from processors.engine.opening import open_engine
from processors.patches.cube_patches import cover
from processors.thematic.protocol import Job, PatchGrid
from processors.thematic.results import open_results

WINDOW = Window(32631, 56_000, 562_000, 60, 50)
WEST, NORTH = WINDOW.bounds[0], WINDOW.bounds[3]
JOB = Job(level="L2A", year=2019, months=(4, 5), days=(0, 9), bands=("B04",), synthetic=False)


def at(column: float, row: float, width: float, height: float) -> Polygon:
    return box(WEST + 10 * column, NORTH - 10 * (row + height), WEST + 10 * (column + width), NORTH - 10 * row)


PARCELS = np.array(
    [
        at(2, 3, 10, 8),
        at(12.3, 3.2, 20, 30.5),
        at(8, 4, 10, 8),  # over both
        at(0, 40, 1.5, 20),  # no room inside
        at(40, 30, 40, 40),  # out of the area for the most part
        at(35, 2, 10, 10),  # without data in part
        at(200, 200, 10, 10),
        shapely.union(at(3, 20, 6, 6), at(3, 32, 6, 6)),
    ],
    object,
)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[npt.NDArray[np.float32], list[Window], Path]:
    """Fields of the area, their patches and where these lie."""
    plug_kit.install(tmp_path / "packages", "plain-kit", plain="mosaic_kit:Plain")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setattr(probabilities, "BLOCK", 16)
    random = np.random.default_rng(4)
    wheat = random.random(WINDOW.shape, np.float32)
    fields = np.stack([wheat, 1 - wheat])
    fields[:, :8, 38:] = np.nan
    windows = cover(WINDOW, PatchGrid(8, 2))
    store = open_results(tmp_path / "results.zarr", (len(windows), 2, 8, 8), "test")
    write = store.writer()
    for number, patch in enumerate(windows):
        values = np.full((2, *patch.shape), np.nan, np.float32)
        common = patch.intersection(WINDOW)
        assert common is not None
        values[(slice(None), *patch.slices(common))] = fields[(slice(None), *WINDOW.slices(common))]
        write(number, values)
    assert mosaic_kit.Plain.name == "plain"
    return fields, windows, tmp_path / "results.zarr"


def computed(results: tuple[npt.NDArray[np.float32], list[Window], Path], workers: int = 1) -> ParcelProbabilities:
    _, windows, path = results
    area = to_lonlat(box(*WINDOW.bounds), 32631)
    with open_engine("threads", workers) as engine:
        return parcel_probabilities("plain", JOB, 2, windows, path, area, WINDOW, PARCELS, engine)  # type: ignore[arg-type]


def test_means_and_shares_are_those_of_the_pixels_ten_metres_inside(
    results: tuple[npt.NDArray[np.float32], list[Window], Path],
) -> None:
    found = computed(results)
    rows, columns = np.indices(WINDOW.shape)
    centres = shapely.points(WEST + 10 * columns + 5, NORTH - 10 * rows - 5)
    for number, parcel in enumerate(PARCELS):
        inside = shapely.contains_properly(parcel.buffer(-10), centres) & ~np.isnan(results[0][0])
        assert found.pixels[number] == inside.sum()
        if not inside.any():
            assert np.isnan(found.mean[number]).all()
            continue
        values = results[0][:, inside]
        assert found.mean[number] == pytest.approx(values.mean(axis=1), abs=1e-6)
        assert found.share[number] == pytest.approx([(values[0] >= values[1]).mean(), (values[0] < values[1]).mean()])
    assert found.expected[0] == pytest.approx(8 * 6)
    assert found.expected[3] == 0
    assert found.in_area[4] == pytest.approx(19 * 19)
    assert found.expected[4] == pytest.approx(38 * 38)
    assert found.in_area[6] == 0


def test_the_same_bytes_with_any_number_of_workers(
    results: tuple[npt.NDArray[np.float32], list[Window], Path],
) -> None:
    first, second = computed(results), computed(results, 4)
    assert first.mean.tobytes() == second.mean.tobytes()
    assert first.share.tobytes() == second.share.tobytes()


def test_blocks_without_a_parcel_are_not_read(
    results: tuple[npt.NDArray[np.float32], list[Window], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    blended = mosaic.blended_block
    monkeypatch.setattr(
        probabilities, "blended_block", lambda recipe, block: (read.append(block.window), blended(recipe, block))[1]
    )
    computed(results)
    boxes = [shapely.box(*window.bounds) for window in read]
    assert len(read) < 16
    assert all(any(part.intersects(parcel.buffer(-10)) for parcel in PARCELS) for part in boxes)
