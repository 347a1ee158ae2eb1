"""The folder of training patches: what is in it, what is left out, and that it is not written twice."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely.geometry import MultiPolygon, box, shape
from shapely.geometry.base import BaseGeometry

from agrunet.data.folder import PatchFolder
from agrunet.data.header import SPLITS
from agrunet.data.patches import Patch
from catalog.errors import RequestError, StoreError
from catalog.grid import Window, to_lonlat, window_around
from catalog.hold_out import held_out
from catalog.products import Acquisition, Order, Product
from processors.patches.area_labels import read_area
from processors.patches.labels import Labels, open_labels
from processors.patches.training_set import TrainingFolder, TrainingSeason, choose_patches, write_training_patches
from processors.season import Season, SeasonAcquisition

ZONE = 32631
LEFT, TOP = 50_000, 560_000
SIZE = 8
LEGEND = "source_code,value,name,colour,role\n0,0,unknown,#000000,ignore\n10,1,wheat,#ffcc00,class\n20,2,maize,#00aa00,class\n"
SEASON = TrainingSeason(
    level="L2A", years=(2019,), months=(4, 7), bands=("B04", "B08"), synthetic=True, acquisitions=("a", "b", "c"),
    baselines=("05.09",), min_clear=0.4, min_acquisitions=2,
)  # fmt: skip


def window(column: int, row: int, width: int = SIZE, height: int = SIZE) -> Window:
    """In pixels from the upper left corner of the labels."""
    return Window(ZONE, LEFT + column, TOP - row, width, height)


def rectangle(column: float, row: float, width: float, height: float) -> BaseGeometry:
    west, north = 10 * (LEFT + column), 10 * (TOP - row)
    return box(west, north - 10 * height, west + 10 * width, north)


@dataclass
class Numbered:
    """Patches whose values are their window's place."""

    windows: list[Window]
    read_indices: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.windows)

    def read(self, index: int) -> Patch:
        self.read_indices.append(index)
        here = self.windows[index]
        values = np.full((3, 2, *here.shape), here.left - LEFT + 100 * (TOP - here.top) + 1, np.uint16)
        return Patch(values, np.ones((3, *here.shape), bool), np.array([1, 11, 21], np.int32))


def write_labels(folder: Path, codes: np.ndarray) -> Labels:
    path = folder / "labels.tif"
    profile = {"driver": "GTiff", "height": codes.shape[0], "width": codes.shape[1], "count": 1, "dtype": "uint8"}
    with rasterio.open(
        path, "w", **profile, crs=f"EPSG:{ZONE}", transform=Affine(10, 0, 10 * LEFT, 0, -10, 10 * TOP)
    ) as raster:
        raster.write(codes.astype(np.uint8), 1)
    (folder / "labels.tif.legend.csv").write_text(LEGEND)
    return open_labels(path)


def codes() -> np.ndarray:
    """24 x 16: wheat left, maize in the middle, nothing in the last eight columns."""
    codes = np.zeros((16, 24), np.uint8)
    codes[:, 0:8] = 10
    codes[:, 8:16] = 20
    return codes


def grid(columns: int, rows: int) -> list[Window]:
    return [window(SIZE * column, SIZE * row) for row in range(rows) for column in range(columns)]


def write(tmp_path: Path, **changes: object) -> tuple[TrainingFolder, Numbered]:
    windows = grid(3, 2)
    patches = Numbered(windows)
    told = {
        "labels": write_labels(tmp_path, codes()),
        "zone_area": rectangle(0, 0, 24, 16),
        "season": SEASON,
        **changes,
    }
    written = write_training_patches(tmp_path / "patches", patches, windows, **told)  # type: ignore[arg-type]
    return written, patches


def test_patches_with_labels_are_written_and_the_header_tells_all(tmp_path: Path) -> None:
    written, patches = write(tmp_path)
    assert patches.read_indices == [0, 1, 3, 4]  # windows 2 and 5 have no label
    folder = PatchFolder(tmp_path / "patches")
    assert len(folder) == 4
    header = folder.header
    assert (header.patch_size, header.bands, header.classes) == (SIZE, ("B04", "B08"), ("wheat", "maize"))
    assert [entry["name"] for entry in header.legend] == ["unknown", "wheat", "maize"]
    assert (header.level, header.years, header.months, header.synthetic) == ("L2A", (2019,), (4, 7), True)
    assert (header.baselines, header.min_clear, header.min_acquisitions) == (("05.09",), 0.4, 2)
    assert shape(header.footprint).equals_exact(to_lonlat(rectangle(0, 0, 24, 16), ZONE), 1e-9)
    assert (
        shape(header.patch_footprints[2])
        .normalize()
        .equals_exact(to_lonlat(rectangle(0, 8, 8, 8), ZONE).normalize(), 1e-9)
    )
    third = folder.read(2)
    assert third.values.dtype == np.uint16
    assert (third.values == 801).all()
    assert third.days.tolist() == [1, 11, 21]
    assert (third.label == 0).all()
    assert (folder.read(1).label == 1).all()
    assert written.summary.patches == 4
    assert written.summary.left_out == 0
    # Two fields are too few to hold any out.
    assert written.summary.pixels["train"] == {"wheat": 128, "maize": 128}
    assert written.summary.pixels["hold-out"] == {}
    assert header.evidence is None
    assert "no claim of accuracy" in header.hold_out


def test_a_season_becomes_what_the_header_needs() -> None:
    time = datetime(2019, 4, 3, tzinfo=UTC)
    footprint = {"type": "Polygon", "coordinates": []}
    names = ("a", "b", "c")
    candidates = [
        SeasonAcquisition(
            id=name, time=time, platform="S2A", baseline=baseline, cloud_cover=None, valid_fraction=1, clear_fraction=1,
            sun_zenith=40, products=(f"{name}1", f"{name}2"), used=name != "b", reason="",
        )
        for name, baseline in zip(names, ("05.09", "02.11", "04.00"), strict=True)
    ]  # fmt: skip
    products = tuple(Product(id=f"{name}1", href="x", level="L1C", time=time, footprint=footprint) for name in names)
    order = Order(
        source="stac:x", source_id="x", level="L1C", start=time, end=time, synthetic=True,
        acquisitions=(Acquisition(id="a", time=time, products=products),),
    )  # fmt: skip
    season = Season(level="L1C", start=time, acquisitions=tuple(candidates), bands=("B04", "B08"))
    made = TrainingSeason.of(
        order, season, year=2019, months=(4, 7), bands=["B08"], min_clear=0.3, min_acquisitions=2
    )  # fmt: skip
    assert (made.level, made.synthetic, made.bands) == ("L1C", True, ("B08",))
    assert made.acquisitions == ("a: a1 a2", "c: c1 c2")
    assert made.baselines == ("04.00", "05.09")


def test_labels_outside_the_area_are_unknown_and_serve_for_nothing(tmp_path: Path) -> None:
    area = rectangle(0, 0, 12, 5)
    windows = [window(0, 0), window(8, 0), window(0, 8)]
    write_training_patches(
        tmp_path / "p", Numbered(windows), windows, write_labels(tmp_path, codes()), area, SEASON
    )  # fmt: skip
    folder = PatchFolder(tmp_path / "p")
    assert len(folder) == 2  # the third holds labels, but none in the area
    label, split = folder.read(1).label, folder.split(1)
    assert label is not None
    inside = np.zeros((SIZE, SIZE), bool)
    inside[:5, :4] = True
    assert np.array_equal(label, np.where(inside, 1, -1))
    assert np.array_equal(split, np.where(inside, SPLITS["train"], SPLITS["none"]))


def fields_of(rows: int, columns: int) -> np.ndarray:
    """Fields of 8 x 8 pixels with two unknown ones between them, wheat and maize in turn."""
    codes = np.zeros((10 * rows, 10 * columns), np.uint8)
    for row in range(rows):
        for column in range(columns):
            codes[10 * row : 10 * row + 8, 10 * column : 10 * column + 8] = 10 * (1 + (row + column) % 2)
    return codes


def test_ground_that_is_held_out_teaches_nothing_and_its_fields_are_scored(tmp_path: Path) -> None:
    windows = [window(40 * column, 40 * row, 40, 40) for row in range(10) for column in range(10)]
    labels = write_labels(tmp_path, fields_of(40, 40))
    write_training_patches(tmp_path / "p", Numbered(windows), windows, labels, rectangle(0, 0, 400, 400), SEASON)
    folder = PatchFolder(tmp_path / "p")
    assert folder.header.evidence == "hold-out"
    assert "on blocks of ground of 1 km that no model learns from (wheat " in folder.header.hold_out
    held = held_out(window(0, 0, 400, 400))
    assert 0.05 < held.mean() < 0.5
    scored: dict[int, int] = {}
    for index in range(len(folder)):
        place = windows[index]
        ground = held[window(0, 0, 400, 400).slices(place)]
        split, field, label = folder.split(index), folder.field(index), folder.label(index)
        assert not (ground & (split == SPLITS["train"])).any()
        assert not (~ground & (split == SPLITS["hold-out"])).any()
        here = split == SPLITS["hold-out"]
        assert (field[here] >= 0).all()
        for number in np.unique(field[here]).tolist():
            assert set(label[here & (field == number)].tolist()) == {folder.header.fields[number].label}
            scored[number] = scored.get(number, 0) + int((here & (field == number)).sum())
    assert sorted(scored) == list(range(len(folder.header.fields))), "the header lists the fields that are scored"
    assert min(scored.values()) >= 20
    assert all(field.fold is None for field in folder.header.fields)


def test_with_too_few_fields_held_out_all_are_learnt_from_and_dealt_into_folds(tmp_path: Path) -> None:
    """The same area, but of maize there are four fields in all."""
    codes = np.where(fields_of(40, 40) > 0, 10, 0).astype(np.uint8)
    for column in (0, 10, 20, 30):
        codes[0:8, 10 * column : 10 * column + 8] = 20
    windows = [window(40 * column, 40 * row, 40, 40) for row in range(10) for column in range(10)]
    write_training_patches(
        tmp_path / "p", Numbered(windows), windows, write_labels(tmp_path, codes), rectangle(0, 0, 400, 400), SEASON
    )
    folder = PatchFolder(tmp_path / "p")
    assert folder.header.evidence == "grouped k-fold"
    assert (
        "Unproven: held-out ground has fewer than 5 fields, or leaves nothing to learn from, of maize ("
        in folder.header.hold_out
    )
    assert len(folder.header.fields) == 1600
    assert {field.fold for field in folder.header.fields} == {1, 2, 3}
    for index in range(len(folder)):
        assert np.array_equal(folder.split(index) == SPLITS["train"], folder.label(index) >= 0)


def test_a_field_that_the_area_cuts_serves_for_the_same_whoever_asks(tmp_path: Path) -> None:
    """Held-out ground begins somewhere in the area: the fields on its border are those of the whole file, not of the area."""
    labels = write_labels(tmp_path, fields_of(40, 40))
    whole, part = rectangle(0, 0, 400, 400), rectangle(33, 27, 300, 310)
    one, other = (read_area(labels, area, ZONE) for area in (whole, part))
    common = Window(ZONE, LEFT + 33, TOP - 27, 300, 310)
    (label, split, field), (other_label, other_split, other_field) = one.cut(common), other.cut(common)
    assert np.array_equal(label, other_label)
    assert np.array_equal(split, other_split)
    names = np.array([*one.names, ""]), np.array([*other.names, ""])
    assert np.array_equal(names[0][field], names[1][other_field])


def test_a_field_in_windows_of_two_groups_is_counted_once(tmp_path: Path) -> None:
    """The parts of a large and mostly empty area have windows of their own, which overlap where one reaches around another."""
    labels = write_labels(tmp_path, fields_of(80, 80))
    corner = rectangle(0, 0, 760, 60).union(rectangle(0, 0, 60, 760))
    far = [rectangle(place, place, 20, 20) for place in (1500, 2500, 3500)]
    parts = [corner, rectangle(420, 420, 100, 60), *far]
    area = read_area(labels, MultiPolygon(parts), ZONE)
    assert [(window.width, window.height) for window in area.sheet.windows] == [
        (760, 760), (100, 60), (20, 20), (20, 20), (20, 20),
    ]  # fmt: skip
    inner = read_area(labels, parts[1], ZONE)
    assert len(area.names) == len(area.owners) == len(set(area.names))
    for use in ("train", "hold-out"):
        here, alone = (read.pixels_of_fields([area.sheet.windows[1]], use) for read in (area, inner))
        assert {area.names[field] for field in np.flatnonzero(here)} == {
            inner.names[field] for field in np.flatnonzero(alone)
        }


def test_what_was_learnt_from_is_named_by_its_digest(tmp_path: Path) -> None:
    write(tmp_path)
    folder = PatchFolder(tmp_path / "patches")
    wanted = hashlib.sha256((tmp_path / "labels.tif").read_bytes()).hexdigest()
    assert folder.header.training_data == {"labels": wanted}
    before = folder.digest()
    assert before == PatchFolder(tmp_path / "patches").digest()
    patch = tmp_path / "patches" / "000001.npz"
    patch.write_bytes(patch.read_bytes().replace(b"\x09\x00", b"\x08\x00", 1))
    assert folder.digest() != before


def test_the_same_folder_is_not_written_again_and_another_is(tmp_path: Path) -> None:
    first, _ = write(tmp_path)
    again, patches = write(tmp_path)
    assert again == first
    assert patches.read_indices == []
    other, patches = write(tmp_path, season=SEASON.model_copy(update={"acquisitions": ("a", "b", "d")}))
    assert patches.read_indices == [0, 1, 3, 4]
    assert other.summary.digest != first.summary.digest
    changed = codes()
    changed[0, 0] = 20
    _, patches = write(tmp_path, labels=write_labels(tmp_path, changed), season=SEASON)
    assert patches.read_indices == [0, 1, 3, 4]


def test_a_folder_with_a_patch_missing_is_written_again(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "patches" / "000001.npz").unlink()
    _, patches = write(tmp_path)
    assert patches.read_indices == [0, 1, 3, 4]
    assert len(PatchFolder(tmp_path / "patches")) == 4


def test_a_reading_that_fails_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    class Failing(Numbered):
        def read(self, index: int) -> Patch:
            if index == 3:
                raise StoreError("the cube is gone")
            return super().read(index)

    first, _ = write(tmp_path)
    windows = grid(3, 2)
    with pytest.raises(StoreError, match="the cube is gone"):
        write_training_patches(
            tmp_path / "patches", Failing(windows), windows, write_labels(tmp_path, codes()),
            rectangle(0, 0, 24, 16), SEASON.model_copy(update={"years": (2020,)}),
        )  # fmt: skip
    assert json.loads((tmp_path / "patches" / "training.json").read_text())["digest"] == first.summary.digest
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_beyond_the_limit_each_class_keeps_its_best_patch_and_the_rest_is_even() -> None:
    counts = np.zeros((12, 2, 3), np.int64)
    counts[:10, 0, 0] = 5
    counts[7, 0, 1] = 1  # the only ones of the second and third class
    counts[4, 1, 2] = 2
    assert choose_patches(counts, 12) == (list(range(10)), 0)
    # First 0 (the first as good as any), 7, 4; then two of the rest 1 2 3 5 6 8 9, evenly: places 0 and 3.
    assert choose_patches(counts, 5) == ([0, 1, 4, 5, 7], 5)
    assert choose_patches(counts, 2) == ([0, 7], 8)


def test_the_limit_is_told(tmp_path: Path) -> None:
    written, _ = write(tmp_path, max_patches=3)
    assert (written.summary.patches, written.summary.left_out) == (3, 1)
    assert "3 of 4 patches with labels were taken." in PatchFolder(tmp_path / "patches").header.hold_out


def test_an_area_of_two_parts_is_unknown_between_them_and_has_clean_footprints(tmp_path: Path) -> None:
    # The second part touches the first window in a line only.
    area = MultiPolygon([rectangle(0, 0, 6, 6), rectangle(8, 0, 4, 8)])
    windows = [window(0, 0), window(8, 0)]
    write_training_patches(tmp_path / "p", Numbered(windows), windows, write_labels(tmp_path, codes()), area, SEASON)
    label = PatchFolder(tmp_path / "p").read(0).label
    inside = np.zeros((SIZE, SIZE), bool)
    inside[:6, :6] = True
    assert np.array_equal(label, np.where(inside, 0, -1))  # unknown between the parts, though the file says wheat
    footprints = PatchFolder(tmp_path / "p").header.patch_footprints
    assert footprints is not None
    assert [shape(part).geom_type for part in footprints] == ["Polygon", "Polygon"]
    assert window_around(area, ZONE) == window(0, 0, 12, 8)


def test_labels_that_tell_nothing_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="all labelled pixels of the area are wheat"):
        write(tmp_path, zone_area=rectangle(0, 0, 6, 6))
    with pytest.raises(RequestError, match="no pixel of the area has a class"):
        write(tmp_path, zone_area=rectangle(17, 0, 5, 5))
    (tmp_path / "labels.tif.legend.csv").write_text(LEGEND.rsplit("20,2", 1)[0])
    alone = open_labels(tmp_path / "labels.tif")
    with pytest.raises(RequestError, match="only one thing to tell apart, wheat"):
        write_training_patches(
            tmp_path / "p", Numbered(grid(3, 2)), grid(3, 2), alone, rectangle(0, 0, 24, 16), SEASON
        )  # fmt: skip
    assert not (tmp_path / "patches").exists()
