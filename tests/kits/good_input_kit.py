"""Good input of every form that users write: what the generator damages, and what checks are tried with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
from affine import Affine
from shapely.geometry import box, mapping

from catalog.grid import Window, to_lonlat

SHIPPED = Path(__file__).resolve().parents[2] / "catalog" / "shipped"
WINDOW = Window(32631, 57_400, 563_200, 64, 64)
AREA = mapping(to_lonlat(box(*WINDOW.bounds).buffer(-5), WINDOW.epsg))
LEGEND = b"""source_code,value,name,colour,role
0,0,none,#aaaaaa,background
1,1,wheat,#eeee00,class
2,2,maize,#00ee00,class
9,0,cloud,#ffffff,ignore
"""
ITEM = {
    "type": "Feature",
    "stac_version": "1.1.0",
    "id": "S2A_31UES_20190401_0_L2A",
    "bbox": [4.0, 50.7, 4.1, 50.9],
    "geometry": AREA,
    "collection": "sentinel-2-l2a",
    "properties": {
        "datetime": "2019-04-01T10:56:21.024Z",
        "platform": "sentinel-2a",
        "constellation": "sentinel-2",
        "eo:cloud_cover": 12.5,
        "view:sun_azimuth": 160.2,
        "view:sun_elevation": 42.1,
        "s2:mean_solar_zenith": 47.9,
        "s2:processing_baseline": "05.00",
        "s2:product_uri": "S2A_MSIL2A_20190401T105621_N0500_R094_T31UES_20230401T160000.SAFE",
        "sat:relative_orbit": 94,
        "s2:generation_time": "2023-04-01T16:00:00Z",
        "grid:code": "MGRS-31UES",
        "earthsearch:boa_offset_applied": False,
    },
    "assets": {
        "red": {"href": "./B04.tif", "roles": ["data"], "raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]},
        "B08": {"href": "https://host/B08.tif", "bands": [{"name": "B08", "nodata": 0}], "alternate": {"s3": {"href": "s3://b/k"}}},
        "scl": {"href": "s3://bucket/SCL.tif"},
    },
    "links": [{"rel": "self", "href": "./item.json"}],
}  # fmt: skip
CATALOG = {
    "type": "Catalog",
    "id": "c",
    "stac_version": "1.1.0",
    "description": "d",
    "links": [{"rel": "item", "href": "./item.json"}, {"rel": "child", "href": "./collection.json"}],
}
COLLECTION = {"type": "Collection", "id": "k", "links": [{"rel": "item", "href": "../x/item2.json"}], "summaries": {}}
TLE = b"""SENTINEL-2A
1 40697U 15028A   22274.50000000  .00000000  00000-0  10270-3 0  9991
2 40697  98.5693 348.6170 0001066  91.0830 269.0478 14.30817268378710
"""


def _field_codes() -> np.ndarray[Any, Any]:
    codes = np.zeros((64, 64), np.uint8)
    codes[:, :30], codes[:20, 34:] = 1, 2
    return codes


def labels_raster(path: Path) -> Path:
    """Labels of the window: two classes."""
    place = Affine(10, 0, WINDOW.left * 10, 0, -10, WINDOW.top * 10)
    with rasterio.open(
        path, "w", driver="GTiff", width=64, height=64, count=1, dtype="uint8", crs="EPSG:32631", transform=place,
        tiled=True, blockxsize=16, blockysize=16, compress="deflate",
    ) as file:  # fmt: skip
        file.write(_field_codes(), 1)
    return path


def labels_vector(path: Path) -> Path:
    """The same as polygons, in the format that the name asks for."""
    west, south, _, north = WINDOW.bounds
    fields = [box(west, south, west + 300, north), box(west + 340, north - 200, west + 640, north)]
    frame = geopandas.GeoDataFrame({"code": [1, 2]}, geometry=fields, crs="EPSG:32631")
    (frame.to_crs(4326) if path.suffix == ".geojson" else frame).to_file(path)
    return path


REFERENCE = b"""lon,lat,crop
4.0650,50.8300,wheat
4.0660,50.8310,maize
4.0670,50.8320,
4.0680,50.8330,none
"""


def reference_points(path: Path) -> Path:
    """Points in the window with a class each, in the format that the name asks for."""
    west, south, _, _ = WINDOW.bounds
    places = geopandas.points_from_xy([west + 55, west + 405, west + 505], [south + 305, south + 505, south + 25])
    frame = geopandas.GeoDataFrame({"crop": ["wheat", "maize", None]}, geometry=places, crs="EPSG:32631")
    (frame.to_crs(4326) if path.suffix == ".geojson" else frame).to_file(path)
    return path
