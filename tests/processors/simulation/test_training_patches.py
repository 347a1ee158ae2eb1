"""Simulated training sets: what the pipeline would see, in the layout of PASTIS, whoever writes them and however often."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import box, shape

from agrunet.data.public.datasets import open_dataset
from agrunet.data.public.pastis import CLASSES, COLOURS, Pastis
from agrunet.errors import AgrunetError
from agrunet.training.settings import TrainingConfig
from agrunet.training.train import train
from catalog.errors import RequestError, StoreError
from catalog.grid import to_lonlat
from catalog.products import CROP_BANDS, season_period
from processors.simulation.claimed_folder import checked, claimed
from processors.simulation.land.crops import CROPS, is_crop
from processors.simulation.mission.overpass import overpasses
from processors.simulation.training_patches import (
    REGIONS,
    WORLD,
    PatchSettings,
    fold_of,
    site_of,
    write_patch,
    write_patches,
)

SETTINGS = PatchSettings(count=5, size=32, months=(4, 6), min_clear=0.5, seed=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "set"
    with claimed(folder, SETTINGS, "count"):
        for index in range(SETTINGS.count):  # in this process: starting others takes longer than the patches
            write_patch(folder, SETTINGS, index)
    write_patches(folder, SETTINGS, 1)
    return folder


def test_readers_of_pastis_read_it(folder: Path) -> None:
    source = open_dataset(f"pastis:{folder}")
    assert isinstance(source, Pastis)
    header = source.header
    assert (len(source), header.patch_size, header.bands, header.months) == (5, 32, CROP_BANDS, (4, 6))
    assert header.synthetic
    assert (header.baselines, header.min_clear, header.min_acquisitions) == (("05.11",), 0.5, 5)
    assert header.folds == (1, 2, 3, 4, 5)
    assert header.footprint is not None
    assert shape(header.footprint).equals(box(*REGIONS["france"][1]))
    assert "no field was learnt from" in header.hold_out
    for index in range(5):
        patch = source.read(index)
        assert patch.values.shape == (len(patch.days), 10, 32, 32)
        assert patch.clear.shape == (len(patch.days), 32, 32)
        assert 0.5 < patch.clear.mean() < 1
        assert (np.diff(patch.days) > 0).all()
        assert 0 <= patch.days[0] < patch.days[-1] < 91
    statistics = source.normalisation([1, 2, 3])
    assert 0 < statistics.mean[0] < statistics.mean[6] < 6000  # blue is darker than infrared


def test_labels_are_those_of_the_land(folder: Path) -> None:
    source = open_dataset(f"pastis:{folder}")
    for index in range(5):
        mission, tile, window = site_of(SETTINGS, index)
        truth = mission.land(tile).truth(window, 2019)
        expected = np.where(truth.crop < 19, truth.crop, 0)
        np.testing.assert_array_equal(source.label(index), expected)
        target = np.load(folder / "ANNOTATIONS" / f"TARGET_{index}.npy")
        assert ((target[1] > 0) == (truth.field >= 0)).all()
        assert len(np.unique(target[1][target[1] > 0])) == len(np.unique(truth.field[truth.field >= 0]))
        np.testing.assert_array_equal(target[2], np.round(100 * truth.share))
    # The codes are PASTIS's own.
    names = {code: crop.name for code, crop in CROPS.items() if is_crop(code)}
    assert names == dict(enumerate(CLASSES[1:], start=1))
    assert tuple(CROPS[code].colour for code in names) == COLOURS


def test_values_are_those_of_the_cube_and_dates_those_of_the_passes(folder: Path) -> None:
    source = Pastis(folder)
    mission, tile, window = site_of(SETTINGS, 2)
    area = to_lonlat(box(*window.bounds), window.epsg)
    days = {
        one.sensed.date(): one
        for one in overpasses(area, window.epsg, *season_period(2019, (4, 6)))
        if one.tile == tile
    }
    patch = source.read(2)
    first = date(2019, 4, 1).toordinal()
    found = [date.fromordinal(first + int(day)) for day in patch.days]
    assert set(found) <= set(days)
    (scene,) = mission.scenes(days[found[0]], window)
    rows, columns = scene.window.slices(window)
    blue = scene.l2a["B02"][rows, columns].astype(int)
    np.testing.assert_array_equal(patch.values[0, 0], np.where(blue > 0, np.maximum(blue - 1000, 1), 0))
    edge = scene.l2a["B05"].repeat(2, 0).repeat(2, 1)[rows, columns].astype(int)
    np.testing.assert_array_equal(patch.values[0, 3], np.where(edge > 0, np.maximum(edge - 1000, 1), 0))
    # What the classification calls clear and no cloud is near to is clear.
    scl = scene.scl.repeat(2, 0).repeat(2, 1)[rows, columns]
    assert not patch.clear[0][~np.isin(scl, (4, 5, 6, 7))].any()


def test_processes_and_interruptions_change_nothing(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with claimed(other, SETTINGS, "count"):
        write_patch(other, SETTINGS, 3)
        write_patch(other, SETTINGS, 1)
    (other / "PATCHES" / "3.json").unlink()  # killed before it was whole
    (other / "PATCHES" / ".3-a1_b2c3d.json").write_text("{")
    told: list[tuple[int, int]] = []
    summary = write_patches(other, SETTINGS, 2, lambda done, total: told.append((done, total)))
    assert told[0] == (1, 5)
    assert told[-1] == (5, 5)
    assert (summary.patches, summary.made) == (5, 4)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    for path in files:
        assert (folder / path).read_bytes() == (other / path).read_bytes(), path
    assert sum(summary.pixels.values()) == 5 * 32 * 32


def test_a_set_grows_and_other_settings_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="other settings"):
        write_patches(folder, SETTINGS.model_copy(update={"seed": 5}), 1)
    with pytest.raises(StoreError, match="other settings"):
        write_patches(folder, PatchSettings(count=6, size=48, months=(4, 6), min_clear=0.5, seed=4), 1)
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(StoreError, match="something else"):
        write_patches(tmp_path, SETTINGS, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_patches_lie_apart_on_lands_of_their_own() -> None:
    found = [site_of(SETTINGS, index) for index in range(40)]
    assert len({mission.seed for mission, _, _ in found}) == 40
    west, south, east, north = REGIONS["france"][1]
    for _, tile, window in found:
        place = to_lonlat(box(*window.bounds), window.epsg).centroid
        assert west <= place.x <= east
        assert south <= place.y <= north
        left, bottom, right, top = tile.bounds
        assert left + 60 <= window.bounds[0]
        assert window.bounds[2] <= right - 60
        assert bottom + 60 <= window.bounds[1]
        assert window.bounds[3] <= top - 60
    assert [fold_of(index) for index in range(6)] == [1, 2, 3, 4, 5, 1]


def test_a_set_of_the_world_is_farmed_as_its_places_are() -> None:
    settings = SETTINGS.model_copy(update={"farming": WORLD})
    sites = [site_of(settings, index) for index in range(60)]
    assert len({mission.farming for mission, _, _ in sites}) > 4
    for mission, _, window in sites:
        west, south, east, north = REGIONS[mission.farming][1]
        place = to_lonlat(box(*window.bounds), window.epsg).centroid
        assert west <= place.x <= east
        assert south <= place.y <= north


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(RequestError, match=r"farming: .*one of france, flanders"):
        checked(PatchSettings, count=10, farming="mars")
    with pytest.raises(RequestError, match="months"):
        checked(PatchSettings, count=10, months=(0, 7))
    with pytest.raises(RequestError, match="count"):
        checked(PatchSettings, count=2)


def test_a_network_learns_from_it(folder: Path, tmp_path: Path) -> None:
    quick = TrainingConfig(filters=(8, 16), hidden=8, steps=2, max_steps=2, batch=1, crop=16, passes=0)
    made = train(f"pastis:{folder}", tmp_path / "checkpoint", quick)
    assert made.synthetic
    assert (made.months, made.min_acquisitions, made.level) == ((4, 6), 5, "L2A")
    assert [score.split for score in made.scores] == ["test-fold"]
    assert made.scores[0].n_pixels > 0


def test_clear_pixels_that_dont_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    np.save(copy / "CLEAR_S2" / "CLEAR_0.npy", np.zeros((1, 32, 32), bool))
    with pytest.raises(AgrunetError, match=r"bool .* belongs there. Simulate it again"):
        Pastis(copy).read(0)
