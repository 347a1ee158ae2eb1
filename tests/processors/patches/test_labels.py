"""Labels and crop masks: the right code on the right pixel, whatever the file."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import geopandas
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyogrio
import pytest
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.warp import reproject
from shapely.geometry import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box

from catalog.area import parse_area
from catalog.area_points import squares_around
from catalog.errors import RequestError
from catalog.grid import Window
from catalog.zone import Zone
from processors.patches.labels import legend_beside, open_crop_mask, open_labels

ZONE = 32631
WINDOW = Window(ZONE, left=50_000, top=560_000, width=4, height=3)
WEST, NORTH = 500_000, 5_600_000
AREA = box(*WINDOW.bounds)

LEGEND = """source_code,value,name,colour,role
0,0,unknown,#000000,ignore
5,0,other,#cccccc,background
10,1,wheat,#ffcc00,class
20,2,maize,#00aa00,class
21,2,maize,#00aa00,class
"""


def write_raster(
    path: Path,
    values: npt.NDArray[np.generic],
    *,
    crs: str | None = f"EPSG:{ZONE}",
    transform: Affine | None = None,
    nodata: float | None = None,
) -> Path:
    bands = values if values.ndim == 3 else values[None]
    profile = {
        "driver": "GTiff",
        "height": bands.shape[1],
        "width": bands.shape[2],
        "count": bands.shape[0],
        "dtype": bands.dtype,
        "crs": crs,
        "transform": transform or Affine(10, 0, WEST, 0, -10, NORTH),
        "nodata": nodata,
    }
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(bands)
    return path


def square(column: float, row: float, width: float, height: float) -> Polygon:
    """In pixels of the window, from its upper left corner."""
    left, top = WEST + 10 * column, NORTH - 10 * row
    return box(left, top - 10 * height, left + 10 * width, top)


def write_vector(path: Path, shapes: list, crs: str | None = f"EPSG:{ZONE}", **columns: list) -> Path:
    geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs).to_file(path, engine="pyogrio")
    return path


@pytest.fixture
def legend(tmp_path: Path) -> Path:
    path = tmp_path / "classes.csv"
    path.write_text(LEGEND)
    return path


CODES = np.array([[0, 5, 10, 20], [21, 20, 10, 99], [5, 5, 0, 10]], np.uint16)
INDICES = [[-1, 0, 1, 2], [2, 2, 1, -1], [0, 0, -1, 1]]


def test_an_aligned_raster_is_copied_and_unknown_is_not_background(tmp_path: Path, legend: Path) -> None:
    labels = open_labels(write_raster(tmp_path / "l.tif", CODES), legend)
    read = labels.read(WINDOW)
    assert read.dtype == np.int16
    assert read.tolist() == INDICES


def test_outside_the_raster_is_unknown_even_where_zero_is_a_class(tmp_path: Path, legend: Path) -> None:
    legend.write_text(LEGEND.replace("0,0,unknown,#000000,ignore\n", "").replace("\n5,0,", "\n0,0,"))
    labels = open_labels(write_raster(tmp_path / "l.tif", CODES), legend)
    around = Window(ZONE, WINDOW.left - 1, WINDOW.top + 1, 6, 5)
    read = labels.read(around)
    assert read[1:4, 1:5].tolist() == [[0, -1, 1, 2], [2, 2, 1, -1], [-1, -1, 0, 1]]
    read[1:4, 1:5] = -1
    assert (read == -1).all()


def test_pixels_of_twenty_metres_are_repeated(tmp_path: Path, legend: Path) -> None:
    coarse = write_raster(tmp_path / "l.tif", CODES[:2, :2], transform=Affine(20, 0, WEST, 0, -20, NORTH))
    assert open_labels(coarse, legend).read(WINDOW).tolist() == [[-1, -1, 0, 0], [-1, -1, 0, 0], [2, 2, 2, 2]]


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:4326", "EPSG:3035"])
def test_another_coordinate_system_gives_what_gdal_warps(tmp_path: Path, crs: str) -> None:
    window = Window(ZONE, WINDOW.left, WINDOW.top, 90, 700)  # more than one block
    west, south, east, north = rasterio.warp.transform_bounds(f"EPSG:{ZONE}", crs, *window.bounds)
    height, width = 150, 40
    transform = Affine((east - west) / width, 0, west, 0, (south - north) / height, north)
    codes = np.random.default_rng(1).integers(1, 60, (height, width)).astype(np.int16)
    expected = np.zeros(window.shape, np.int16)
    reproject(
        codes, expected, src_transform=transform, src_crs=crs, dst_transform=window.transform,
        dst_crs=f"EPSG:{ZONE}", resampling=Resampling.nearest, tolerance=0,
    )  # fmt: skip
    labels = open_labels(write_raster(tmp_path / "l.tif", codes, crs=crs, transform=transform))
    values = np.array([entry.value for entry in labels.legend.mapped])
    read = labels.read(window)
    found = np.where(read < 0, 0, values[read])
    # A centre within a hair of an edge may fall on either side.
    assert (found == expected).mean() > 0.9995


def test_codes_beyond_32_bits_are_told_apart(tmp_path: Path) -> None:
    codes = np.array([[3_301_010_101, 3_301_010_102, 0, 0]], np.uint32)
    assert open_labels(write_raster(tmp_path / "l.tif", codes)).read(WINDOW)[0].tolist() == [0, 1, -1, -1]


def test_the_legend_beside_the_labels_is_found_and_the_one_given_wins(tmp_path: Path, legend: Path) -> None:
    path = write_raster(tmp_path / "crop_type.tif", CODES)
    assert legend_beside(path) is None
    (tmp_path / "crop_type.legend.csv").write_text(LEGEND.replace("wheat", "short"))
    assert open_labels(path).legend.classes[0].name == "short"
    (tmp_path / "crop_type.tif.legend.csv").write_text(LEGEND.replace("wheat", "long"))
    assert open_labels(path).legend.classes[0].name == "long"
    assert open_labels(path, legend).legend.classes[0].name == "wheat"


def test_without_a_legend_each_code_of_the_window_is_a_class_and_nodata_is_none(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "l.tif", CODES, nodata=99)
    assert [entry.name for entry in open_labels(path).legend.mapped] == ["5", "10", "20", "21"]
    upper = Window(ZONE, WINDOW.left, WINDOW.top, 3, 1)
    assert [entry.name for entry in open_labels(path, windows=[upper]).legend.mapped] == ["5", "10"]
    assert open_labels(path).read(WINDOW).tolist() == [[-1, 0, 1, 2], [3, 2, 1, -1], [0, 0, -1, 1]]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp", ".fgb"])
def test_polygons_are_burnt_where_they_hold_the_centre(tmp_path: Path, legend: Path, suffix: str) -> None:
    # The first covers the centres of columns 0 and 1 of row 0 only: 1.6 pixels wide, 1.4 high. The second is a sliver
    # between centres. The last two overlap: the smaller lies above, in whatever order a file keeps them.
    shapes = [square(0, 0, 1.6, 1.4), square(2.1, 0, 0.3, 3), square(3, 2, 1, 1), square(0, 2, 4, 1)]
    crs = 4326 if suffix == ".geojson" else ZONE
    moved = list(geopandas.GeoSeries(shapes, crs=ZONE).to_crs(crs))
    path = write_vector(tmp_path / f"l{suffix}", moved, crs=f"EPSG:{crs}", code=[10, 20, 21, 5])
    expected = [[1, 1, -1, -1], [-1, -1, -1, -1], [0, 0, 0, 2]]
    assert open_labels(path, legend).read(WINDOW).tolist() == expected


def test_polygons_far_away_are_not_read(tmp_path: Path, legend: Path) -> None:
    far = square(100_000, 0, 1, 1)
    shapes, codes = [square(0, 0, 1, 1), far], ["10", "not a code"]
    path = write_vector(tmp_path / "l.gpkg", shapes, code=codes)
    assert open_labels(path, legend).read(WINDOW)[0].tolist() == [1, -1, -1, -1]
    with pytest.raises(RequestError, match=r"'not a code' in column code is no integer code"):
        open_labels(path, legend).read(Window(ZONE, WINDOW.left + 100_000, WINDOW.top, 4, 3))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"other": [20, 20], "SOURCE_CODE": [10, 20]}, [1, 2]),
        ({"CROP_CODE": ["10", " 20"]}, [1, 2]),
        ({"code": [10.0, None]}, [1, -1]),
        ({"fid_": ["a", "b"], "id": [1, 2], "kind": [20, 10]}, [2, 1]),
    ],
)
def test_the_column_of_codes_is_found_by_its_name_or_as_the_only_integers(
    tmp_path: Path, legend: Path, columns: dict[str, list], expected: list[int]
) -> None:
    path = write_vector(tmp_path / "l.gpkg", [square(0, 0, 1, 1), square(1, 0, 1, 1)], **columns)
    assert open_labels(path, legend).read(WINDOW)[0, :2].tolist() == expected


def test_large_codes_stay_what_they_are_where_some_are_missing(tmp_path: Path) -> None:
    codes = pd.array([2**62 + 1, None, 2**62 + 2], dtype="Int64")
    path = write_vector(tmp_path / "l.gpkg", [square(column, 0, 1, 1) for column in range(3)], code=codes)
    assert open_labels(path).read(WINDOW)[0].tolist() == [0, -1, 1, -1]


def test_a_shapefile_cuts_the_name_to_ten_letters(tmp_path: Path, legend: Path) -> None:
    path = write_vector(tmp_path / "l.shp", [square(0, 0, 1, 1)], other=[20], source_cod=[10])
    assert open_labels(path, legend).read(WINDOW)[0, 0] == 1


def test_two_integer_columns_are_listed(tmp_path: Path) -> None:
    path = write_vector(tmp_path / "l.gpkg", [square(0, 0, 1, 1)], kind=[10], year=[2019], farmer=["x"])
    with pytest.raises(
        RequestError, match=r"kind \(int64\), year \(int64\), farmer .*Rename the one meant to source_code"
    ):
        open_labels(path)


def test_without_a_legend_the_codes_of_the_polygons_are_classes(tmp_path: Path) -> None:
    path = write_vector(tmp_path / "l.gpkg", [square(0, 0, 1, 1), square(1, 0, 1, 1)], code=[8, 7])
    assert open_labels(path).read(WINDOW)[0].tolist() == [1, 0, -1, -1]
    alone = Window(ZONE, WINDOW.left, WINDOW.top, 1, 1)
    assert [entry.name for entry in open_labels(path, windows=[alone]).legend.mapped] == ["8"]


def test_what_is_no_polygon_is_left_out(tmp_path: Path, legend: Path) -> None:
    mixed = [Point(WEST + 5, NORTH - 5), square(1, 0, 1, 1), None]
    path = write_vector(tmp_path / "l.geojson", mixed, code=[10, 20, 10])
    assert open_labels(path, legend).read(WINDOW)[0].tolist() == [-1, 2, -1, -1]


def test_files_that_are_no_labels_are_refused_saying_why(tmp_path: Path) -> None:
    text = tmp_path / "l.doc"
    text.write_text("no map")
    cases = {
        "no file": tmp_path / "absent.tif",
        "neither a raster nor a vector": text,
        "has 3 bands": write_raster(tmp_path / "rgb.tif", np.ones((3, 2, 2), np.uint8)),
        "holds float32": write_raster(tmp_path / "float.tif", np.ones((2, 2), np.float32)),
        "has no coordinate system": write_raster(tmp_path / "bare.tif", np.ones((2, 2), np.uint8), crs=None),
        "no polygons": write_vector(tmp_path / "lines.gpkg", [LineString([(0, 0), (1, 1)])], code=[1]),
        "which column holds the codes": write_vector(tmp_path / "none.gpkg", [square(0, 0, 1, 1)], name=["x"]),
    }
    for message, path in cases.items():
        with pytest.raises(RequestError, match=message) as caught:
            open_labels(path)
        assert str(path) in str(caught.value)


def test_a_file_of_several_layers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.gpkg"
    frame = geopandas.GeoDataFrame({"code": [1]}, geometry=[square(0, 0, 1, 1)], crs=f"EPSG:{ZONE}")
    frame.to_file(path, layer="one", engine="pyogrio")
    frame.to_file(path, layer="two", engine="pyogrio")
    with pytest.raises(
        RequestError, match=r"several layers of polygons \(one, two\)\. Name the one meant: labels_layer"
    ):
        open_labels(path)


def test_a_layer_of_several_can_be_named(tmp_path: Path, legend: Path) -> None:
    path = tmp_path / "l.gpkg"
    for number, (layer, code) in enumerate({"one": 10, "two": 20}.items()):
        frame = geopandas.GeoDataFrame({"code": [code]}, geometry=[square(number, 0, 1, 1)], crs=f"EPSG:{ZONE}")
        frame.to_file(path, layer=layer, engine="pyogrio")
    assert open_labels(path, legend, layer="two").read(WINDOW)[0].tolist() == [-1, 2, -1, -1]
    assert open_crop_mask(path, layer="one").read(WINDOW)[0].tolist() == [True, False, False, False]
    with pytest.raises(RequestError, match=r"no layer 'three' that may hold polygons. It has one \(Polygon\), two"):
        open_labels(path, legend, layer="three")
    with pytest.raises(RequestError, match=r"crop_mask_layer: .* is a raster"):
        open_crop_mask(write_raster(tmp_path / "m.tif", np.ones((2, 2), np.uint8)), layer="one")


def test_tables_without_geometry_and_layers_of_lines_are_no_layers_of_polygons(tmp_path: Path, legend: Path) -> None:
    path = tmp_path / "l.gpkg"
    write_vector(path, [square(0, 0, 1, 1)], code=[10])
    lines = geopandas.GeoDataFrame(
        {"code": [1]}, geometry=[LineString(square(0, 0, 1, 1).exterior)], crs=f"EPSG:{ZONE}"
    )
    lines.to_file(path, layer="roads", engine="pyogrio")
    with closing(sqlite3.connect(path)) as database, database:
        # As QGIS keeps a layer's style beside it.
        database.execute("CREATE TABLE layer_styles (id INTEGER PRIMARY KEY, f_table_name TEXT, styleQML TEXT)")
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles', 'attributes', 'layer_styles')"
        )
    assert "layer_styles" in [name for name, _ in pyogrio.list_layers(path)]
    assert open_labels(path, legend).read(WINDOW)[0].tolist() == [1, -1, -1, -1]
    with closing(sqlite3.connect(path)) as database, database:
        for table in ("gpkg_geometry_columns", "gpkg_contents"):
            database.execute(f"DELETE FROM {table} WHERE table_name IN ('l', 'roads')")
    with pytest.raises(RequestError, match="holds no polygons"):
        open_labels(path)


def test_polygons_in_collections_are_used_and_what_cannot_be_is_counted(tmp_path: Path, legend: Path) -> None:
    bow_tie = Polygon([(WEST + 10, NORTH), (WEST + 30, NORTH - 10), (WEST + 30, NORTH), (WEST + 10, NORTH - 10)])
    line = LineString([(WEST, NORTH), (WEST + 40, NORTH)])
    shapes = [
        GeometryCollection([square(0, 1, 1, 1), line, MultiPolygon([square(1, 1, 1, 1)])]),
        GeometryCollection([GeometryCollection([square(2, 1, 1, 1)])]),
        bow_tie,
        GeometryCollection([line]),
        line,
        Point(WEST + 5, NORTH - 5),
        Polygon([(WEST, NORTH), (WEST + 5, NORTH), (WEST, NORTH)]),
        square(3, 1, 1, 1),
        square(0, 2, 1, 1),
        Polygon(),
        None,
    ]
    codes = [10, 20, 21, 10, 10, 10, 10, None, 77, 10, 10]
    path = write_vector(tmp_path / "l.gpkg", shapes, code=codes)
    labels = open_labels(path, legend)
    assert labels.read(WINDOW).tolist() == [[-1, 2, 2, -1], [1, 1, 2, -1], [-1, -1, -1, -1]]
    assert labels.notes([WINDOW]) == (
        "labels l.gpkg: 7 rows can't be used: 1 polygons that enclose nothing, 1 without a code, 2 without a geometry, "
        "3 points or lines only.",
        "labels l.gpkg: the legend names no class of 1 codes: 77.",
    )
    assert open_crop_mask(path).notes([WINDOW])[0].startswith("crop mask l.gpkg: 7 rows can't be used")
    alone = write_vector(tmp_path / "m.gpkg", [square(0, 0, 1, 1)], code=[10])
    assert open_labels(alone, legend).notes([WINDOW]) == ()
    useless = open_labels(write_vector(tmp_path / "n.gpkg", [GeometryCollection([line])], code=[10]), legend)
    with pytest.raises(RequestError, match=r"don't overlap the area \(1 row can't be used: 1 points or lines only\)"):
        useless.check(AREA, ZONE)


@pytest.mark.parametrize("kind", ["CURVEPOLYGON", "MULTISURFACE"])
def test_curved_and_mixed_surfaces_are_polygons(tmp_path: Path, legend: Path, kind: str) -> None:
    path = write_vector(tmp_path / "l.gpkg", [square(0, 0, 2, 1)], code=[10])
    ring = [(WEST, NORTH - 10), (WEST + 20, NORTH - 10), (WEST + 20, NORTH), (WEST, NORTH), (WEST, NORTH - 10)]
    # A CurvePolygon with a LineString as its ring, as ArcGIS writes parcels; a MultiSurface of it.
    wkb = struct.pack("<BIIBII", 1, 10, 1, 1, 2, 5) + b"".join(struct.pack("<dd", *point) for point in ring)
    wkb = struct.pack("<BII", 1, 12, 1) + wkb if kind == "MULTISURFACE" else wkb
    header = b"GP\0\3" + struct.pack("<idddd", ZONE, WEST, WEST + 20, NORTH - 10, NORTH)
    with closing(sqlite3.connect(path)) as database, database:
        for trigger, *_ in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_master SET sql = replace(sql, ' POLYGON', ' ' || ?) WHERE name = 'l'", (kind,))
        database.execute("UPDATE gpkg_geometry_columns SET geometry_type_name = ?", (kind,))
        database.execute("UPDATE l SET geom = ?", (header + wkb,))
    assert open_labels(path, legend).read(WINDOW)[0].tolist() == [1, 1, -1, -1]


def test_geoparquet_is_read_whatever_gdal_can(tmp_path: Path, legend: Path) -> None:
    frame = geopandas.GeoDataFrame(
        {"code": [10, 20, None]}, geometry=[square(0, 0, 1.6, 1.4), square(3, 2, 1, 1), None], crs=f"EPSG:{ZONE}"
    )
    path = tmp_path / "l.parquet"
    frame.to_crs(4326).to_parquet(path)
    labels = open_labels(path, legend)
    assert labels.read(WINDOW).tolist() == [[1, 1, -1, -1], [-1, -1, -1, -1], [-1, -1, -1, 2]]
    assert labels.notes([WINDOW]) == ("labels l.parquet: 1 row can't be used: 1 without a geometry.",)
    assert open_crop_mask(path).read(WINDOW)[0].tolist() == [True, True, False, False]
    with pytest.raises(RequestError, match=r"labels_layer: .* is GeoParquet, which has no layers"):
        open_labels(path, legend, layer="one")
    damaged = tmp_path / "d.parquet"
    damaged.write_bytes(b"PAR1 and so on")
    with pytest.raises(RequestError, match=r"d\.parquet: can't be read, it may be damaged"):
        open_labels(damaged)
    frame.set_crs(None, allow_override=True).to_parquet(damaged)
    with pytest.raises(RequestError, match="has no coordinate system"):
        open_labels(damaged)


def centre(column: int, row: int) -> Point:
    """Of a pixel of the window, a little off."""
    return Point(WEST + 10 * column + 6, NORTH - 10 * row - 3)


SURVEYED = [centre(0, 0), centre(1, 0), centre(3, 2), centre(5_000, 0)]
CALLED = ["Wheat", "maize", "wheat", "maize"]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp", ".fgb", ".parquet", ".csv"])
def test_a_point_is_the_pixel_that_it_lies_in(tmp_path: Path, suffix: str) -> None:
    """Field surveys call classes by their names."""
    frame = geopandas.GeoDataFrame({"id": [1, 2, 3, 4], "crop": CALLED}, geometry=SURVEYED, crs=f"EPSG:{ZONE}")
    path = tmp_path / f"l{suffix}"
    if suffix == ".csv":
        moved = frame.to_crs(4326)
        moved["lon"], moved["lat"] = moved.geometry.x, moved.geometry.y
        moved.drop(columns="geometry").to_csv(path, index=False)
    elif suffix == ".parquet":
        frame.to_parquet(path)
    else:
        (frame.to_crs(4326) if suffix == ".geojson" else frame).to_file(path, engine="pyogrio")
    labels = open_labels(path)
    assert [entry.name for entry in labels.legend.mapped] == ["maize", "Wheat"]
    assert labels.read(WINDOW).tolist() == [[1, 0, -1, -1], [-1, -1, -1, -1], [-1, -1, -1, 1]]
    assert labels.scattered


def points_file(path: Path, places: list[Point], **columns: object) -> Path:
    geopandas.GeoDataFrame(columns, geometry=places, crs=f"EPSG:{ZONE}").to_file(path, engine="pyogrio")
    return path


def test_a_point_labels_a_round_parcel_of_its_radius(tmp_path: Path) -> None:
    """Pixels whose centres lie within it, and always the one that the point falls in."""
    path = points_file(tmp_path / "l.gpkg", [centre(0, 0), centre(3, 2)], crop=["wheat", "maize"])
    assert open_labels(path, radius=13).read(WINDOW).tolist() == [[1, 1, -1, -1], [1, -1, -1, 0], [-1, -1, 0, 0]]
    assert open_labels(path, radius=0.5).read(WINDOW).tolist() == open_labels(path).read(WINDOW).tolist()


def test_a_column_says_the_radius_of_its_rows(tmp_path: Path) -> None:
    """Empty ones leave it to the request; what is none takes the row away, and is counted."""
    columns = {"crop": ["wheat", "maize", "rye", "oats"], "radius_m": [13.0, None, -3.0, 400.0]}
    path = points_file(tmp_path / "l.gpkg", [centre(0, 0), centre(3, 2), centre(2, 0), centre(3, 0)], **columns)
    labels = open_labels(path)
    assert labels.read(WINDOW).tolist() == [[3, 3, -1, -1], [3, -1, -1, -1], [-1, -1, -1, 0]]
    assert labels.notes([WINDOW]) == (
        "labels l.gpkg: 2 rows can't be used: 2 with a radius that is no number from 0 to 250 m.",
    )
    assert open_labels(path, radius=13).read(WINDOW)[2].tolist() == [-1, -1, 0, 0]


def test_a_parcel_reaches_into_a_window_that_its_point_lies_outside_of(tmp_path: Path) -> None:
    path = points_file(tmp_path / "l.gpkg", [centre(-6, 0)], crop=["wheat"])
    assert open_labels(path, radius=60).read(WINDOW)[0].tolist() == [0, -1, -1, -1]


def test_where_points_of_different_classes_meet_nothing_is_known(tmp_path: Path, legend: Path) -> None:
    """Codes 20 and 21 are one class: they don't contradict each other."""
    path = points_file(
        tmp_path / "l.gpkg", [centre(0, 0), centre(0, 0), centre(2, 1), centre(2, 1)], code=[10, 20, 20, 21]
    )
    labels = open_labels(path, legend)
    assert labels.read(WINDOW).tolist() == [[-1, -1, -1, -1], [-1, -1, 2, -1], [-1, -1, -1, -1]]
    assert labels.notes([WINDOW, WINDOW]) == (
        "labels l.gpkg: points of different classes meet on 1 pixel, which is unknown therefore.",
    )
    wide = open_labels(path, legend, radius=13)
    assert wide.read(WINDOW).tolist() == [[-1, -1, 2, 2], [-1, 2, 2, 2], [-1, -1, 2, -1]]
    assert wide.notes([WINDOW]) == (
        "labels l.gpkg: points of different classes meet on 3 pixels, which are unknown therefore.",
    )


@pytest.mark.parametrize("suffix", [".csv", ".gpkg"])
def test_points_on_both_sides_of_180_degrees_are_read(tmp_path: Path, suffix: str) -> None:
    longitudes = np.array([179.9995, -179.9995])
    zone = Zone.of(parse_area(squares_around(longitudes, np.full(2, -17.0), np.zeros(2))))
    path = tmp_path / f"l{suffix}"
    places = [Point(longitude, -17) for longitude in longitudes]
    if suffix == ".csv":
        path.write_text("lon,lat,crop\n179.9995,-17,wheat\n-179.9995,-17,maize\n")
    else:
        geopandas.GeoDataFrame({"crop": ["wheat", "maize"]}, geometry=places, crs=4326).to_file(path, engine="pyogrio")
    read = open_labels(path).read(zone.window)
    assert sorted(read[read >= 0].tolist()) == [0, 1]


def test_radius_and_column_belong_to_points_and_tables(tmp_path: Path) -> None:
    fields = write_vector(tmp_path / "l.gpkg", [square(0, 0, 1, 1)], code=[10])
    with pytest.raises(RequestError, match=r"labels_radius: .* holds polygons"):
        open_labels(fields, radius=20)
    raster = write_raster(tmp_path / "l.tif", CODES)
    with pytest.raises(RequestError, match=r"labels_radius: .* is a raster, which has no points"):
        open_labels(raster, radius=20)
    with pytest.raises(RequestError, match=r"labels_column: .* is a raster, which has no columns"):
        open_labels(raster, column="code")


def test_the_column_that_is_named_says_the_class(tmp_path: Path) -> None:
    """As LUCAS has them: classes by codes with letters, and in words beside."""
    path = tmp_path / "lucas.csv"
    moved = geopandas.GeoSeries([centre(0, 0), centre(1, 0)], crs=f"EPSG:{ZONE}").to_crs(4326)
    rows = [f"{number},{place.x},{place.y},B1{number},crop {number},88.9,99.9" for number, place in enumerate(moved)]
    path.write_text("\n".join(["point_id,th_long,th_lat,lc1,lc1_label,gps_long,gps_lat", *rows]))
    with pytest.raises(RequestError, match=r"which column holds the codes.*labels_column"):
        open_labels(path)
    labels = open_labels(path, column="LC1")
    assert [entry.name for entry in labels.legend.mapped] == ["B10", "B11"]
    assert labels.read(WINDOW)[0].tolist() == [0, 1, -1, -1]
    with pytest.raises(RequestError, match=r"labels_column: .* has no column 'crop'. It has point_id, lc1, lc1_label"):
        open_labels(path, column="crop")


def test_words_are_names_or_codes_of_the_legend_and_others_are_told(tmp_path: Path, legend: Path) -> None:
    names = [entry.name for entry in open_labels(write_raster(tmp_path / "l.tif", CODES), legend).legend.mapped]
    crop = [names[1].upper(), "20", "sunflower", None]
    path = write_vector(tmp_path / "l.gpkg", [centre(column, 0) for column in range(4)], crop=crop)
    labels = open_labels(path, legend)
    assert labels.read(WINDOW)[0].tolist() == [1, 2, -1, -1]
    assert labels.notes([WINDOW]) == (
        "labels l.gpkg: 2 rows can't be used: 2 without a code.",
        "labels l.gpkg: the legend names no class of 1 words: sunflower.",
    )


def test_a_table_says_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    for text, message in {
        "a,b\n1,2\n": r"it has no columns lon and lat, in degrees, between commas \(it has a, b\)",
        "lon,lat,crop\n": "it holds no row",
        "lon,lat,a,b\n4,50,x,y\n": "which column holds the codes",
    }.items():
        path.write_text(text)
        with pytest.raises(RequestError, match=message):
            open_labels(path)
    path.write_text("lon,lat,code\n400,50,1\n4,50,1\n")
    assert open_labels(path).notes([]) == ("labels l.csv: 1 row can't be used: 1 without a geometry.",)
    with pytest.raises(RequestError, match=r"a table holds points\. Give polygons or a raster"):
        open_crop_mask(path)


def test_labels_elsewhere_and_labels_without_a_class_are_refused(tmp_path: Path, legend: Path) -> None:
    labels = open_labels(write_raster(tmp_path / "l.tif", CODES), legend)
    labels.check(AREA, ZONE)
    far = box(WEST + 9_000, NORTH - 9_000, WEST + 9_100, NORTH - 8_900)
    with pytest.raises(RequestError, match="don't overlap the area"):
        labels.check(far, ZONE)
    without = square(0, 2, 3, 1)  # background and unknown only
    with pytest.raises(
        RequestError, match=r"no pixel of the area has a class. Codes in the area: 0, 5; .* have 10, 20, 21"
    ):
        labels.check(without, ZONE)


def test_a_raster_mask_is_cropland_where_it_is_not_zero(tmp_path: Path) -> None:
    values = np.array([[0, 1, 7, 255]], np.uint8)
    mask = open_crop_mask(write_raster(tmp_path / "m.tif", values, nodata=255))
    assert mask.read(WINDOW).tolist() == [[False, True, True, False], [False] * 4, [False] * 4]
    fractions = np.array([[0, 0.4, np.nan, -9999]], np.float32)
    mask = open_crop_mask(write_raster(tmp_path / "f.tif", fractions, nodata=-9999))
    assert mask.read(WINDOW)[0].tolist() == [False, True, False, False]


def test_polygons_are_cropland_except_where_a_column_says_zero(tmp_path: Path) -> None:
    shapes = [square(0, 0, 1, 1), square(1, 0, 1, 1)]
    plain = open_crop_mask(write_vector(tmp_path / "m.gpkg", shapes, year=[0, 1], area=[1, 2]))
    assert plain.read(WINDOW)[0].tolist() == [True, True, False, False]
    said = open_crop_mask(write_vector(tmp_path / "n.gpkg", shapes, crop_mask=[0, 1]))
    assert said.read(WINDOW)[0].tolist() == [False, True, False, False]
    said.check(AREA, ZONE)
    with pytest.raises(RequestError, match="no cropland in the area"):
        said.check(square(0, 0, 1, 1), ZONE)


def test_the_farmers_declarations_have_their_published_counts(real_data: Path) -> None:
    path = real_data / "flanders-2019" / "labels" / "crop_type.tif"
    window = Window(ZONE, 57_468, 562_244, 64, 64)
    labels = open_labels(path)
    read = labels.read(window)
    names = [entry.name for entry in labels.legend.mapped]
    counts = {name: int((read == index).sum()) for index, name in enumerate(names)}
    assert counts == {"1110": 1378, "1200": 413, "1500": 72, "1510": 294, "5100": 27, "8100": 154, "9120": 1387}
    assert int((read == -1).sum()) == 371


def test_descriptions_that_lead_to_other_files_are_no_labels(tmp_path: Path) -> None:
    geopandas.GeoDataFrame({"code": [1]}, geometry=[box(*WINDOW.bounds)], crs=WINDOW.epsg).to_file(
        tmp_path / "secret.gpkg"
    )
    path = tmp_path / "labels.geojson"
    path.write_text(
        f'<OGRVRTDataSource><OGRVRTLayer name="secret"><SrcDataSource>{tmp_path / "secret.gpkg"}</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>"
    )
    with pytest.raises(RequestError, match=r"labels\.geojson: neither a raster nor a vector file.*it is no GeoPackage"):
        open_labels(path)
