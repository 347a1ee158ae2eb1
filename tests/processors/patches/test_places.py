"""Points and parcels whose series are wanted: their pixels, names and labels, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
from shapely.geometry import Point, Polygon, box

from catalog.errors import RequestError
from processors.patches.places import MOST_PIXELS, Place, Places, read_places

ZONE = 32631
WEST, NORTH = 500_000, 5_600_000
AREA = box(WEST, NORTH - 12_800, WEST + 12_800, NORTH)


def at(column: float, row: float) -> Point:
    """In pixels from the north-west corner of the area."""
    return Point(WEST + 10 * column, NORTH - 10 * row)


def field(column: float, row: float, width: float, height: float) -> Polygon:
    return box(WEST + 10 * column, NORTH - 10 * (row + height), WEST + 10 * (column + width), NORTH - 10 * row)


def written(path: Path, shapes: list[Any], **columns: Any) -> Path:
    geopandas.GeoDataFrame(columns, geometry=shapes, crs=f"EPSG:{ZONE}").to_file(path)
    return path


def read(path: Path, **given: Any) -> Places:
    return read_places(path, AREA, ZONE, **given)


def pixels(place: Place) -> set[tuple[int, int]]:
    """Columns and rows from the north-west corner of the area."""
    return set(zip((place.columns - WEST // 10).tolist(), (NORTH // 10 - place.uppers).tolist(), strict=True))


def test_points_are_their_pixels_with_names_and_labels_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "p.gpkg", [at(0.5, 0.5), at(3.9, 2.1)], sample_id=[17, 4], crop=["Wheat", "maize"])
    places = read(path)
    assert [pixels(place) for place in places.places] == [{(0, 0)}, {(3, 2)}]
    assert (places.ids, places.labels, places.codes) == (("17", "4"), ("Wheat", "maize"), None)
    assert (places.fields, places.medians, places.notes) == (None, False, ())
    moved = geopandas.GeoSeries([at(0.5, 0.5)], crs=ZONE).to_crs(4326)[0]
    assert (places.longitudes[0], places.latitudes[0]) == pytest.approx((moved.x, moved.y), abs=1e-9)
    around = read(path, radius=10)
    assert around.medians
    assert {(0, 0), (1, 0), (0, 1)} == pixels(around.places[0]) - {(-1, 0), (0, -1)}


def test_a_legend_says_what_codes_mean_and_which_of_them_are_unknown(tmp_path: Path) -> None:
    path = written(tmp_path / "p.gpkg", [at(n, 1) for n in range(4)], code=[1, 2, 9, 5])
    (tmp_path / "p.gpkg.legend.csv").write_text(
        "source_code,value,name,colour,role\n1,1,wheat,#ffcc00,class\n2,0,forest,#00aa00,background\n9,0,cloud,#000000,ignore\n"
    )
    places = read(path)
    assert places.labels == ("wheat", "forest", None, None)
    assert places.codes == (1, 2, 9, 5)
    assert places.notes == ("p.gpkg: 2 rows have no label.",)


@pytest.mark.parametrize("columns", [{}, {"remark": ["a", "b"]}, {"id": [1, 2], "year": [2019, 2020]}])
def test_a_file_without_classes_has_places_without_labels(tmp_path: Path, columns: dict[str, Any]) -> None:
    places = read(written(tmp_path / "p.gpkg", [at(1, 1), at(5, 5)], **columns))
    assert (places.labels, places.codes, places.legend, places.notes) == ((None, None), None, None, ())
    with pytest.raises(RequestError, match=r"labels_column: .* has no column 'crop'"):
        read(tmp_path / "p.gpkg", column="crop")


def test_a_parcel_is_looked_at_away_from_its_edge_where_enough_remains(tmp_path: Path) -> None:
    shapes = [field(0, 0, 10, 10), field(20, 0, 3, 2), field(30.2, 0.2, 0.1, 0.1), field(100, 100, 150, 150)]
    places = read(written(tmp_path / "f.gpkg", shapes, crop=["a", "b", "a", "b"]))
    inner, small, tiny, large = (pixels(place) for place in places.places)
    assert inner == {(column, row) for column in range(1, 9) for row in range(1, 9)}
    assert small == {(column, row) for column in (20, 21, 22) for row in (0, 1)}
    assert tiny == {(30, 0)}
    assert MOST_PIXELS / 2 < len(large) <= MOST_PIXELS
    assert np.ptp([column for column, _ in large]) == np.ptp([row for _, row in large]) == 147
    assert places.medians


def test_points_of_different_classes_on_one_pixel_are_unknown_and_counted(tmp_path: Path) -> None:
    shapes = [at(0.2, 0.2), at(0.8, 0.8), at(5, 5), at(5.1, 5.1), at(9, 9)]
    places = read(written(tmp_path / "p.gpkg", shapes, crop=["wheat", "maize", "rye", "rye", "oats"]))
    assert places.labels == (None, None, "rye", "rye", "oats")
    assert places.notes == (
        "p.gpkg: 2 points lie on a pixel where points of different classes meet: their label is unknown therefore.",
        "p.gpkg: 2 rows have no label.",
    )


def test_places_that_share_ground_are_held_out_together(tmp_path: Path) -> None:
    shapes = [at(0.2, 0.2), at(9, 9), at(0.8, 0.8), at(2.2, 0.5)]
    path = written(tmp_path / "p.gpkg", shapes, crop=["a", "b", "a", "a"])
    assert read(path).fields == ("1", "2", "1", "4")
    assert read(path, radius=15).fields == ("1", "2", "1", "1")


def test_rows_that_lie_elsewhere_or_can_not_be_used_are_counted(tmp_path: Path) -> None:
    shapes = [at(1, 1), at(5_000, 1), None, at(2, 2)]
    path = written(tmp_path / "p.gpkg", shapes, crop=["a", "b", "c", "a"], id=[7, 8, 9, 7], radius=[1.0, 1, 1, 900])
    places = read(path)
    assert places.ids == ("7",)
    assert places.notes == (
        "p.gpkg: 2 rows can't be used: 1 without a geometry, 1 with a radius that is no number from 0 to 250 m.",
        "p.gpkg: 1 row lies outside of the area.",
    )
    with pytest.raises(RequestError, match=r"none of its 4 rows lies in the area"):
        read_places(path, box(WEST - 900, NORTH - 900, WEST - 800, NORTH - 800), ZONE)


def test_names_that_are_not_each_row_s_own_give_way_to_numbers(tmp_path: Path) -> None:
    places = read(written(tmp_path / "p.gpkg", [at(1, 1), at(2, 2)], id=[7, 7], crop=["a", "b"]))
    assert places.ids == ("1", "2")
    assert places.notes == ("p.gpkg: id doesn't name each row otherwise: rows are called by their numbers.",)


def test_what_holds_no_places_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l.tif").write_bytes(b"II*\0")
    for name, message in {"l.tif": "is a raster, which holds no points or parcels", "none.csv": "no file"}.items():
        with pytest.raises(RequestError, match=message):
            read(tmp_path / name)
