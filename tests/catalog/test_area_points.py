"""The area of points: squares of the grid around them, whatever file they come in, and nothing between."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import geopandas
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPoint, Point, box

from catalog.area import parse_area
from catalog.area_file import area_value
from catalog.area_points import squares_around
from catalog.errors import RequestError
from catalog.grid import CELL, PIXEL, SQUARE, moved_points
from catalog.zone import Zone

PLACES = [(4.06, 50.74), (4.0601, 50.7401), (4.3, 50.9)]
EDGE = SQUARE * PIXEL


def area_of(places: list[tuple[float, float]], radius: float = 0) -> Zone:
    longitudes, latitudes = np.array(places, float).T
    return Zone.of(parse_area(squares_around(longitudes, latitudes, np.full(len(places), radius))))


def written(path: Path, places: list[tuple[float, float]], **columns: object) -> Path:
    frame = geopandas.GeoDataFrame(columns, geometry=[Point(place) for place in places], crs=4326)
    if path.suffix == ".csv":
        frame["Longitude"], frame["Latitude"] = frame.geometry.x, frame.geometry.y
        frame.drop(columns="geometry").to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_crs(3035).to_parquet(path)
    else:
        (frame if path.suffix == ".geojson" else frame.to_crs(32631)).to_file(path)
    return path


def test_a_point_orders_the_square_of_the_grid_that_it_lies_in() -> None:
    """In one cell, so that it costs no more than that; points of one square order it once."""
    zone = area_of(PLACES)
    assert [round(part.area) for part in zone.geometry.geoms] == [EDGE**2, EDGE**2]
    assert len(zone.cells) == 2
    for window in zone.squares:
        assert (window.left % SQUARE, window.top % SQUARE, window.width) == (0, 0, SQUARE)
    assert CELL % SQUARE == 0


def test_squares_that_touch_are_one_part() -> None:
    longitudes, latitudes = moved_points(np.arange(5) * EDGE + 500_700.0, np.full(5, 5_600_100.0), 32631, 4326)
    zone = area_of(list(zip(longitudes.tolist(), latitudes.tolist(), strict=True)))
    assert zone.geometry.geom_type == "Polygon"
    assert len(zone.squares) == 5


def test_a_parcel_of_a_radius_lies_in_the_area_whole() -> None:
    longitude, latitude = moved_points(np.array([499_200.0 + 20]), np.array([5_600_100.0]), 32631, 4326)
    alone, wide = (area_of([(longitude[0], latitude[0])], radius) for radius in (0, 30))
    assert (len(alone.squares), len(wide.squares)) == (1, 2)


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".fgb", ".parquet", ".geojson", ".csv"])
def test_every_form_of_points_is_an_area(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"points{suffix}", PLACES, crop=["a", "b", "c"])
    expected = area_of(PLACES).geometry
    assert Zone.of(parse_area(area_value(str(path)))).geometry.symmetric_difference(expected).area < 1
    if suffix != ".shp":
        with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
            archive.write(path, path.name)
        assert Zone.of(parse_area(area_value(str(tmp_path / "p.zip")))).geometry.equals_exact(expected, 1)


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet", ".geojson", ".csv"])
def test_the_radius_of_a_row_reaches_into_the_next_square(tmp_path: Path, suffix: str) -> None:
    longitude, latitude = moved_points(
        np.array([499_200.0 + 20] * 2), np.array([5_600_100.0, 5_605_300.0]), 32631, 4326
    )
    places = list(zip(longitude.tolist(), latitude.tolist(), strict=True))
    path = written(tmp_path / f"points{suffix}", places, radius=[30.0, 5.0])
    assert len(Zone.of(parse_area(area_value(str(path)))).squares) == 3
    path = written(tmp_path / f"others{suffix}", places, crop=["a", "b"])
    assert [len(Zone.of(parse_area(area_value(str(path), reach))).squares) for reach in (0.0, 30.0)] == [2, 4]


def test_geojson_of_several_points_in_one_geometry_is_read_and_other_geometries_are_told(tmp_path: Path) -> None:
    path = tmp_path / "p.geojson"
    path.write_text(json.dumps(MultiPoint(PLACES).__geo_interface__))
    assert len(Zone.of(parse_area(area_value(str(path)))).squares) == 2
    geopandas.GeoSeries([Point(PLACES[0]), box(4, 50, 5, 51)], crs=4326).to_file(path)
    with pytest.raises(RequestError, match="a Polygon or MultiPolygon is needed, got 'Point'"):
        parse_area(area_value(str(path)))


def test_points_all_over_the_earth_or_beyond_it_are_refused(tmp_path: Path) -> None:
    for places, message in {
        ((4.0, 50.0), (150.0, -30.0)): r"2 of its 2 points lie over 1,000 km from the middle of UTM zone",
        ((4.0, 50.0), (4.0, 95.0)): r"its point 2 lies at \[4, 95\], which is no longitude and latitude",
        ((4.0, 86.0),): r"outside UTM",
    }.items():
        with pytest.raises(RequestError, match=message):
            area_of(list(places))
    path = tmp_path / "p.csv"
    path.write_text("lon,lat\n")
    with pytest.raises(RequestError, match=r"area: .*it holds no row"):
        area_value(str(path))
    path.write_text("lon,lat\n400,50\n")
    with pytest.raises(RequestError, match="holds no geometry, in 1 rows"):
        area_value(str(path))


def test_points_on_both_sides_of_180_degrees_are_one_area() -> None:
    zone = area_of([(179.99, -17.0), (-179.99, -17.0), (180.02, -17.0)])
    assert len(zone.squares) in (3, 4)  # an edge that is cut at 180 degrees is bent by some centimetres
    assert zone.window.width < 1000


@given(
    st.floats(-180, 180),
    st.floats(-70, 70),
    st.lists(st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)), min_size=1, max_size=15),
)
@settings(max_examples=60)
def test_every_pixel_of_a_point_lies_in_the_area(
    longitude: float, latitude: float, offsets: list[tuple[float, float]]
) -> None:
    places = [(longitude + x, latitude + y) for x, y in offsets]
    zone = area_of(places, 25)
    x, y = moved_points(*np.array([((lon + 180) % 360 - 180, lat) for lon, lat in places]).T, 4326, zone.epsg)
    for east, north in zip(x.tolist(), y.tolist(), strict=True):
        assert any(
            window.bounds[0] <= east <= window.bounds[2] and window.bounds[1] <= north <= window.bounds[3]
            for window in zone.squares
        )
    # Between two zones the squares of either have their centre in the other: their edges are then not those of the grid.
    assert len(zone.squares) <= (4 if zone.around_points else 9) * len(places)
