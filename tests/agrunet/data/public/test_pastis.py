"""PASTIS, read from files of its layout: dates, labels, folds and statistics as its authors mean them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from agrunet.data.folds import FoldView, fold_roles
from agrunet.data.inputs import prepare, stack
from agrunet.data.public.datasets import open_dataset
from agrunet.data.public.pastis import BANDS, CLASSES, Pastis
from agrunet.errors import AgrunetError

MakePastis = Callable[..., Path]


@pytest.fixture
def pastis(tmp_path: Path, make_pastis: MakePastis) -> Path:
    return make_pastis(tmp_path / "PASTIS")


def _days(dates: list[str], start: str) -> list[int]:
    return [(date.fromisoformat(day) - date.fromisoformat(start)).days for day in dates]


def test_patches_come_by_number_as_stored(pastis: Path) -> None:
    source = Pastis(pastis)
    assert len(source) == 4
    patch = source.read(2)  # 10003, the first in the file
    stored = np.load(pastis / "DATA_S2" / "S2_10003.npy")
    assert stored.min() < 0
    np.testing.assert_array_equal(patch.values, stored, strict=True)
    assert patch.values.flags.writeable
    assert patch.clear.all()
    assert patch.clear.shape == (4, 128, 128)
    assert patch.days.tolist() == _days(["20180917", "20181022", "20190210", "20190716"], "20180901")


def test_the_second_acquisition_of_a_day_is_dropped(pastis: Path) -> None:
    patch = Pastis(pastis).read(0)
    stored = np.load(pastis / "DATA_S2" / "S2_10001.npy")
    np.testing.assert_array_equal(patch.values, stored[[0, 1, 3, 4]])
    assert patch.days.tolist() == _days(["20180917", "20190101", "20190731", "20190801"], "20180901")


def test_dates_go_by_their_keys_and_not_by_their_place(tmp_path: Path, make_pastis: MakePastis) -> None:
    dates = [20190100 + day for day in range(1, 13)]
    folder = make_pastis(tmp_path, {10001: dates})
    keys = json.loads((folder / "metadata.geojson").read_text())["features"][0]["properties"]["dates-S2"]
    assert list(keys)[2] == "10"
    patch = Pastis(folder, months=(1, 12)).read(0)
    assert patch.days.tolist() == list(range(12))
    np.testing.assert_array_equal(patch.values, np.load(folder / "DATA_S2" / "S2_10001.npy"))


def test_void_is_unknown_and_background_a_class(pastis: Path) -> None:
    source = Pastis(pastis)
    codes = np.load(pastis / "ANNOTATIONS" / "TARGET_10002.npy")[0]
    label = source.label(1)
    assert label.dtype == np.int16
    assert (label[codes == 19] == -1).all()
    assert (label[codes == 0] == 0).all()
    np.testing.assert_array_equal(label[codes < 19], codes[codes < 19])
    np.testing.assert_array_equal(source.read(1).label, label)
    roles = [(entry["role"], entry["value"], entry["source_codes"]) for entry in source.header.legend]
    assert roles == [("background", 0, [0]), *(("class", code, [code]) for code in range(1, 19)), ("ignore", 0, [19])]
    assert source.header.background == 0


def test_the_header_says_what_the_set_is(pastis: Path) -> None:
    header = Pastis(pastis).header
    assert header.bands == BANDS
    assert header.classes == CLASSES
    assert len(header.classes) == 19
    assert (header.level, header.patch_size, header.count, header.synthetic) == ("L2A", 128, 4, False)
    assert header.years == (2018, 2019)
    assert header.folds == (1, 2, 2, 5)
    footprint = header.footprint
    assert footprint is not None
    (west, south), (east, north) = footprint["coordinates"][0][0], footprint["coordinates"][0][2]
    # Lambert-93 has its origin at (700000, 6600000) on 3 degrees east, 46.5 degrees north; four patches of 1.28 km.
    assert (west, south) == (pytest.approx(3, abs=1e-4), pytest.approx(46.5, abs=1e-3))
    assert north - south == pytest.approx(1280 / 111_150, rel=0.01)
    assert east - west == pytest.approx(4 * 1280 / (111_320 * np.cos(np.radians(46.5))), rel=0.01)


def test_a_box_for_each_sentinel_tile(pastis: Path) -> None:
    path = pastis / "metadata.geojson"
    metadata = json.loads(path.read_text())
    for feature, tile in zip(metadata["features"], ["t31TFM", "t31TFM", "t32ULU", "t32ULU"], strict=True):
        feature["properties"]["TILE"] = tile
    path.write_text(json.dumps(metadata))
    footprint = Pastis(pastis).header.footprint
    assert footprint is not None
    assert footprint["type"] == "MultiPolygon"
    assert len(footprint["coordinates"]) == 2


def test_coordinates_without_their_system_give_no_footprint(pastis: Path) -> None:
    path = pastis / "metadata.geojson"
    metadata = json.loads(path.read_text())
    del metadata["crs"]
    path.write_text(json.dumps(metadata))
    assert Pastis(pastis).header.footprint is None


def test_january_to_july_counts_from_new_year(pastis: Path) -> None:
    source = Pastis(pastis, months=(1, 7))
    assert source.read(0).days.tolist() == _days(["20190101", "20190731"], "20190101")
    np.testing.assert_array_equal(source.read(0).values, np.load(pastis / "DATA_S2" / "S2_10001.npy")[[1, 3]])
    assert source.read(3).days.tolist() == _days(["20190515"], "20190101")
    assert (source.header.months, source.header.years) == ((1, 7), (2019,))


def test_a_patch_without_a_date_left_is_named(pastis: Path) -> None:
    with pytest.raises(AgrunetError, match="patch 10001 has no date in months 2 to 6"):
        Pastis(pastis, months=(2, 6))


def test_folds_are_chosen_and_get_roles(pastis: Path) -> None:
    source = Pastis(pastis, folds=[2, 5])
    assert source.header.folds == (2, 2, 5)
    np.testing.assert_array_equal(source.label(0), Pastis(pastis).label(1))
    assert FoldView(Pastis(pastis), fold_roles(5, test=1)).roles == ("test-fold", "stop", "stop", "train")
    assert set(np.unique(source.split(0)).tolist()) == {0}
    with pytest.raises(AgrunetError, match=r"folds \[3\] asked for"):
        Pastis(pastis, folds=[3])


def test_statistics_are_the_mean_over_the_folds(pastis: Path) -> None:
    found = Pastis(pastis).normalisation([1, 2, 4])
    np.testing.assert_allclose(found.mean, [700 / 3 + band for band in range(10)])
    np.testing.assert_allclose(found.std, [70 / 3] * 10)


def test_statistics_that_are_not_there_are_named(pastis: Path) -> None:
    with pytest.raises(AgrunetError, match=r"folds \[7\] asked for"):
        Pastis(pastis).normalisation([1, 7])
    (pastis / "NORM_S2_patch.json").unlink()
    with pytest.raises(AgrunetError, match=r"NORM_S2_patch\.json can't be read"):
        Pastis(pastis).normalisation([1])


def test_patches_of_other_lengths_and_negative_values_make_one_batch(pastis: Path) -> None:
    source = Pastis(pastis)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = stack([source.read(index) for index in range(3)])
    assert batch.values.dtype == torch.int16
    assert batch.valid.sum(1).tolist() == [4, 3, 4]
    normalisation = source.normalisation([2])
    values = prepare(batch, normalisation, "raw")
    expected = (np.load(pastis / "DATA_S2" / "S2_10002.npy").astype(np.float64)[:, 3] - 203) / 20
    np.testing.assert_allclose(values[1, :3, 3].numpy(), expected, rtol=1e-5, atol=1e-5)


def test_a_missing_file_is_named_before_training_starts(pastis: Path) -> None:
    (pastis / "DATA_S2" / "S2_10002.npy").unlink()
    with pytest.raises(AgrunetError, match=r"1 of the 8 files .* first DATA_S2/S2_10002\.npy"):
        Pastis(pastis)


def test_files_that_do_not_fit_are_refused(pastis: Path) -> None:
    source = Pastis(pastis)
    path = pastis / "DATA_S2" / "S2_10002.npy"
    np.save(path, np.zeros((2, 10, 128, 128), dtype=np.int16))
    with pytest.raises(AgrunetError, match=r"S2_10002\.npy: int16 \(2, 10, 128, 128\)"):
        source.read(1)
    path.write_bytes(b"\x93NUMPY")
    with pytest.raises(AgrunetError, match=r"S2_10002\.npy can't be read"):
        source.read(1)
    np.save(pastis / "ANNOTATIONS" / "TARGET_10002.npy", np.full((3, 128, 128), 20, dtype=np.uint8))
    with pytest.raises(AgrunetError, match="class 20"):
        source.label(1)
    with pytest.raises(IndexError):
        source.read(4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ('{"features": []}', "features"),
        ('{"features": [{"properties": {"ID_PATCH": 1, "dates-S2": {}}}]}', r"properties\.Fold"),
        (
            '{"features": [{"properties": {"ID_PATCH": 1, "Fold": 1, "dates-S2": {"0": 20181301}}}]}',
            "dates-S2 of patch 1",
        ),
        (
            '{"features": [{"properties": {"ID_PATCH": 1, "Fold": 1, "dates-S2": {"1": 20181201}}}]}',
            "dates-S2 of patch 1",
        ),
    ],
)
def test_metadata_that_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "metadata.geojson").write_text(text)
    with pytest.raises(AgrunetError, match=message):
        Pastis(tmp_path)


def test_no_pastis_in_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(AgrunetError, match="no PASTIS in"):
        open_dataset(f"pastis:{tmp_path}")


def test_data_sets_are_opened_by_name(pastis: Path, toy_folder: Path) -> None:
    assert open_dataset(f"pastis:{pastis}", months=(1, 7)).header.months == (1, 7)
    for name in (toy_folder, str(toy_folder), f"patches:{toy_folder}"):
        assert len(open_dataset(name)) == 6
    assert open_dataset(f"patches:{toy_folder}", months=(1, 2)).header.months == (1, 2)
    with pytest.raises(AgrunetError, match="no such kind"):
        open_dataset("munich:somewhere")
    with pytest.raises(AgrunetError, match="no training patches in nowhere"):
        open_dataset("nowhere")
