"""Munich, converted from TFRecords of its layout: every pixel, date, label and fold where it belongs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from agrunet.__main__ import main
from agrunet.data.folder import PatchFolder
from agrunet.data.folds import FoldView, fold_roles
from agrunet.data.header import SPLITS
from agrunet.data.public.mtlcc import BANDS, convert
from agrunet.data.public.mtlcc_folds import read_folds
from agrunet.data.public.mtlcc_record import ALL_BANDS, CROPS, read_tile
from agrunet.errors import AgrunetError

Arrays = dict[str, np.ndarray]
MakeTile = Callable[..., Arrays]
WriteTile = Callable[[Path, Arrays], None]

# Where each band lies in the records, written out by hand.
PLACES = {
    "B01": ("x60", 0, 6),
    "B02": ("x10", 2, 1),
    "B03": ("x10", 1, 1),
    "B04": ("x10", 0, 1),
    "B05": ("x20", 0, 2),
    "B06": ("x20", 1, 2),
    "B07": ("x20", 2, 2),
    "B08": ("x10", 3, 1),
    "B8A": ("x20", 3, 2),
    "B09": ("x60", 1, 6),
    "B10": ("x60", 2, 6),
    "B11": ("x20", 4, 2),
    "B12": ("x20", 5, 2),
}


@pytest.fixture
def mtlcc(tmp_path: Path, mtlcc_once: Path) -> Path:
    """The data set of `mtlcc_once`, to change as a test likes."""
    return Path(shutil.copytree(mtlcc_once, tmp_path / "datasets"))


@pytest.mark.parametrize(("size", "bands"), [(24, ALL_BANDS), (48, BANDS)])
def test_coarse_bands_are_repeated(
    tmp_path: Path, make_tile: MakeTile, write_tile: WriteTile, size: int, bands: tuple[str, ...]
) -> None:
    arrays = make_tile(size, doy=(3, 9, -1))
    write_tile(tmp_path / "1.tfrecord.gz", arrays)
    tile = read_tile(tmp_path / "1.tfrecord.gz", size, bands)
    assert tile.values.dtype == np.uint16
    assert tile.values.shape == (2, len(bands), size, size)
    rows, columns = np.mgrid[:size, :size]
    for position, band in enumerate(bands):
        name, stored, factor = PLACES[band]
        for step in range(2):
            expected = arrays[name][step, rows // factor, columns // factor, stored]
            np.testing.assert_array_equal(tile.values[step, position], expected)
    np.testing.assert_array_equal(tile.ids, arrays["labels"][0])
    assert tile.day_of_year.tolist() == [3, 9]


def test_padding_may_stand_first_and_dates_in_any_order(
    tmp_path: Path, mtlcc: Path, write_tile: WriteTile, make_tile: MakeTile
) -> None:
    arrays = make_tile(doy=(0, 200, 20, 20))
    write_tile(mtlcc / "240" / "data16" / "11.tfrecord.gz", arrays)
    convert(mtlcc, tmp_path / "out", size=24, years=["16"], folds=3)
    patch = PatchFolder(tmp_path / "out").read(0)
    assert patch.days.tolist() == [19, 199]
    np.testing.assert_array_equal(patch.values[:, 0], arrays["x10"][[2, 1], :, :, 2])
    assert patch.label is not None
    np.testing.assert_array_equal(patch.label == 0, arrays["labels"][1] == 0)


def test_the_talks_configuration_has_background_and_17_crops(tmp_path: Path, mtlcc: Path, make_tile: MakeTile) -> None:
    header = convert(mtlcc, tmp_path / "out", size=24, folds=3)
    assert header.classes == ("background", *CROPS.values())
    assert len(header.classes) == 18
    assert header.background == 0
    assert header.bands == ("B02", "B03", "B04", "B08", "B10", "B11", "B12")
    assert (header.level, header.patch_size, header.months, header.years) == ("L1C", 24, (1, 12), (2016, 2017))
    folder = PatchFolder(tmp_path / "out")
    assert folder.header == header
    arrays = make_tile(seed=1611)
    ids = [0, *CROPS]
    expected = np.vectorize(ids.index)(arrays["labels"][0])
    np.testing.assert_array_equal(folder.label(0), expected)
    assert folder.read(0).clear.all()
    assert folder.read(0).days.tolist() == [4, 99, 249]


def test_unknown_can_be_left_out_of_the_classes(tmp_path: Path, mtlcc: Path, make_tile: MakeTile) -> None:
    header = convert(mtlcc, tmp_path / "out", size=24, years=["16"], unknown="ignore", folds=3)
    assert header.classes == tuple(CROPS.values())
    assert header.background is None
    assert [entry["role"] for entry in header.legend] == ["class"] * 17 + ["ignore"]
    ids = make_tile(seed=1611)["labels"][0]
    label = PatchFolder(tmp_path / "out").label(0)
    np.testing.assert_array_equal(label == -1, ids == 0)
    np.testing.assert_array_equal(label[ids > 0], [list(CROPS).index(code) for code in ids[ids > 0]])


def test_the_year_is_the_folders(tmp_path: Path, mtlcc: Path) -> None:
    """Every record says 2017; 2016 is a leap year, so that day 250 is another date in it."""
    convert(mtlcc, tmp_path / "out", size=24, months=(9, 12), folds=3)
    folder = PatchFolder(tmp_path / "out")
    in_2016 = (date(2016, 9, 6) - date(2016, 9, 1)).days
    assert [folder.read(index).days.tolist() for index in (0, 5)] == [[in_2016], [in_2016 + 1]]
    assert folder.header.months == (9, 12)


def test_a_pixel_without_data_in_any_band_is_not_clear(
    tmp_path: Path, mtlcc: Path, make_tile: MakeTile, write_tile: WriteTile
) -> None:
    arrays = make_tile()
    for name, factor in (("x10", 1), ("x20", 2), ("x60", 6)):
        arrays[name][1, : 12 // factor] = 0
    arrays["x10"][2, 0, 0] = 0
    write_tile(mtlcc / "240" / "data16" / "11.tfrecord.gz", arrays)
    convert(mtlcc, tmp_path / "out", size=24, years=["16"], folds=3)
    clear = PatchFolder(tmp_path / "out").read(0).clear
    assert not clear[1, :12].any()
    assert clear[1, 12:].all()
    assert clear[[0, 2]].all()


def test_folds_are_of_the_tile_and_evaluation_comes_after_them(tmp_path: Path, mtlcc: Path) -> None:
    header = convert(mtlcc, tmp_path / "out", size=24, folds=3)
    folder = PatchFolder(tmp_path / "out")
    # Tiles 11, 12, 13, 14, 15 of both years; 16 is in no list.
    assert header.folds == (1, 2, 3, 4, 2) * 2
    uses = [np.unique(folder.split(index)).tolist() for index in range(5)]
    assert uses == [[SPLITS["train"]]] * 3 + [[SPLITS["test-fold"]], [SPLITS["train"]]]
    assert FoldView(folder, fold_roles(3, test=1)).roles[:5] == ("test-fold", "stop", "train", "none", "stop")


def test_test_lists_that_share_tiles_are_dealt_by_whole_groups(tmp_path: Path) -> None:
    """Tiles that the authors' lists never part stay together, and the folds are of about one size."""
    rng = np.random.default_rng(1)
    block = {tile: tile // 5 for tile in range(200)}
    for number in range(10):
        held = set(rng.permutation(40)[:8].tolist())
        for use, wanted in (("test", True), ("train", False)):
            tiles = [str(tile) for tile in block if (block[tile] in held) == wanted]
            (tmp_path / f"{use}_fold{number}.tileids").write_text("\n".join(tiles))
    (tmp_path / "eval.tileids").write_text("900\n901\n")
    folds = read_folds(tmp_path, 5)
    assert len(folds) == 202
    assert {folds["900"], folds["901"]} == {6}
    for number in range(40):
        assert len({folds[str(tile)] for tile in block if block[tile] == number}) == 1
    sizes = np.bincount([folds[str(tile)] for tile in block])[1:]
    assert sizes.sum() == 200
    assert sizes.max() - sizes.min() <= 15


def test_lists_that_make_no_folds_are_refused(tmp_path: Path, mtlcc: Path) -> None:
    lists = mtlcc / "240" / "tileids"
    with pytest.raises(AgrunetError, match="3 groups of tiles apart, 5 folds"):
        convert(mtlcc, tmp_path / "out", size=24)
    (lists / "eval.tileids").write_text("14\n12\n")
    with pytest.raises(AgrunetError, match="1 evaluation tiles also train or test, first 12"):
        convert(mtlcc, tmp_path / "out", size=24, folds=3)
    with pytest.raises(AgrunetError, match="480/tileids holds no train_fold"):
        convert(mtlcc, tmp_path / "out", size=48, folds=3)
    (lists / "eval.tileids").unlink()
    with pytest.raises(AgrunetError, match=r"eval\.tileids can't be read"):
        convert(mtlcc, tmp_path / "out", size=24, folds=3)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda a: a["x10"].__setitem__((1, 0, 0, 2), -1), "B02 holds -1 to"),
        (lambda a: a["x20"].__setitem__((1, 0, 0, 4), 65536), "B11 holds .* to 65536"),
        (lambda a: a["labels"].__setitem__((2, 5, 5), 99), "the labels of 1 pixels change between dates"),
        (lambda a: a["labels"].__setitem__((slice(None), 5, 5), 4), r"label ids \[4\]"),
        (lambda a: a["doy"].fill(-1), "none of its 4 dates"),
        (lambda a: a["doy"].__setitem__(0, 367), "day 367"),
        (lambda a: a.update(x60=a["x60"][:, :3]), r"x60 \(4, 3, 4, 3\)"),
        (lambda a: a.update(labels=a["labels"][:3]), r"labels \(3, 24, 24\)"),
        (lambda a: a.pop("x20"), "x20/data is missing"),
    ],
)
def test_a_bad_record_is_named(
    tmp_path: Path, make_tile: MakeTile, write_tile: WriteTile, damage: Callable[[Arrays], object], message: str
) -> None:
    arrays = make_tile()
    damage(arrays)
    path = tmp_path / "data16" / "33.tfrecord.gz"
    write_tile(path, arrays)
    with pytest.raises(AgrunetError, match=rf"data16/33\.tfrecord\.gz: {message}"):
        read_tile(path, 24, BANDS)


def test_bands_that_are_not_wanted_may_hold_anything(
    tmp_path: Path, make_tile: MakeTile, write_tile: WriteTile
) -> None:
    arrays = make_tile()
    arrays["x60"][1, 0, 0, 0] = -1  # B01
    write_tile(tmp_path / "1.tfrecord.gz", arrays)
    assert read_tile(tmp_path / "1.tfrecord.gz", 24, BANDS).values.shape == (3, 7, 24, 24)


def test_a_conversion_cut_off_goes_on(tmp_path: Path, mtlcc: Path) -> None:
    whole, output = tmp_path / "whole", tmp_path / "out"
    convert(mtlcc, whole, size=24, folds=3)
    damaged = mtlcc / "240" / "data16" / "13.tfrecord.gz"
    good = damaged.read_bytes()
    damaged.write_bytes(good[:500])
    with pytest.raises(AgrunetError, match=r"13\.tfrecord\.gz can't be read"):
        convert(mtlcc, output, size=24, folds=3)
    assert sorted(path.name for path in output.iterdir()) == ["000000.npz", "000001.npz", "conversion.json"]
    written = [(output / f"{index:06d}.npz").stat().st_mtime_ns for index in range(2)]
    damaged.write_bytes(good)
    seen: list[tuple[int, int]] = []
    convert(mtlcc, output, size=24, folds=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 10) for number in range(1, 11)]
    assert [(output / f"{index:06d}.npz").stat().st_mtime_ns for index in range(2)] == written
    _same(PatchFolder(output), PatchFolder(whole))


def test_a_tile_deleted_since_leaves_no_other_tile_in_its_place(tmp_path: Path, mtlcc: Path) -> None:
    whole, output = tmp_path / "whole", tmp_path / "out"
    convert(mtlcc, output, size=24, folds=3)
    (mtlcc / "240" / "data16" / "12.tfrecord.gz").unlink()
    convert(mtlcc, output, size=24, folds=3)
    convert(mtlcc, whole, size=24, folds=3)
    assert len(list(output.glob("*.npz"))) == 9
    _same(PatchFolder(output), PatchFolder(whole))


def _same(one: PatchFolder, other: PatchFolder) -> None:
    assert one.header == other.header
    for index in range(len(other)):
        for name in ("values", "clear", "days", "label"):
            np.testing.assert_array_equal(getattr(one.read(index), name), getattr(other.read(index), name))
        np.testing.assert_array_equal(one.split(index), other.split(index))


def test_another_conversion_is_not_overwritten(tmp_path: Path, mtlcc: Path, toy_folder: Path) -> None:
    convert(mtlcc, tmp_path / "out", size=24, years=["16"], folds=3)
    with pytest.raises(AgrunetError, match="conversion with other settings"):
        convert(mtlcc, tmp_path / "out", size=24, years=["16"], folds=3, months=(1, 7))
    with pytest.raises(AgrunetError, match="holds other patches"):
        convert(mtlcc, toy_folder, size=24, folds=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 36}, "size: .* got 36"),
        ({"bands": ["B02", "B99"]}, "bands B02, B99"),
        ({"bands": ["B02", "B02"]}, "choose each once"),
        ({"months": (10, 7)}, "run over the turn of the year"),
        ({"months": (1, 13)}, "months 1 to 13"),
        ({"years": ["2016"]}, r"years\.0"),
        ({"years": ["16", "16"]}, "give each once"),
        ({"unknown": "drop"}, "unknown"),
        ({"years": ["18"]}, "data18: 0 files"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, mtlcc: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(AgrunetError, match=message):
        convert(mtlcc, tmp_path / "out", **({"size": 24, "folds": 3} | settings))  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_a_tile_without_a_date_in_the_months_is_named(tmp_path: Path, mtlcc: Path) -> None:
    with pytest.raises(AgrunetError, match=r"data16/11\.tfrecord\.gz: none of its 3 dates"):
        convert(mtlcc, tmp_path / "out", size=24, months=(11, 12), folds=3)


def test_the_command_converts_and_says_why_it_can_not(
    tmp_path: Path, mtlcc: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output = tmp_path / "out"
    options = ["--size", "24", "--months", "1", "7", "--folds", "3", "--bands", "all", "--unknown", "ignore"]
    with caplog.at_level(logging.INFO):
        assert main(["convert-munich", str(mtlcc), str(output), *options]) == 0
        assert main(["convert-munich", str(mtlcc / "nowhere"), str(output)]) == 1
    header = PatchFolder(output).header
    assert (header.months, header.bands, len(header.classes)) == ((1, 7), ALL_BANDS, 17)
    assert "2016: 5 tiles, 1 more in no list" in caplog.text
    assert "nowhere/480/tileids holds no" in caplog.text
