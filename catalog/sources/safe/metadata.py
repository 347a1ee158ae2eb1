"""The XML of SAFE products, of all processing baselines: what the product's and the granule's metadata say.

After the Sentinel-2 Products Specification Document, versions 13 to 14.9 (ESA), and Sen2Cor's own older element names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from xml.etree.ElementTree import Element  # a type only: documents are parsed by defusedxml

import numpy as np
import numpy.typing as npt
from shapely.geometry import Polygon, mapping, shape
from shapely.geometry.base import BaseGeometry

from catalog.antimeridian import cut_geojson
from catalog.baseline import normal_baseline
from catalog.errors import ProductError
from catalog.guards.numbers import LARGEST_OFFSET
from catalog.products import BANDS, NO_DATA, SATURATED, UNKNOWN, Level
from catalog.sources.safe.documents import Document

QUANTIFICATION = 10_000
"""Numbers per unit of reflectance. All products since 2015 have it, and the cube's numbers are of this unit."""

Grid = npt.NDArray[np.float32]

_MOST_PIXELS = 100_000
"""Pixels along an edge of a granule; real ones have 10,980."""

_BAND_OF_ID = dict(enumerate(BANDS))
"""Metadata count the bands as the instrument does: 8 is B8A, 9 is B09."""

_DATATAKE = re.compile(r"(\d{8}T\d{6})_(\d{6})")
_DATASTRIP = re.compile(r"_(S\d{8}T\d{6})")
# Of products before 2016; later ones list `quality_check` elements.
_FLAGS = ("SENSOR_QUALITY", "GEOMETRIC_QUALITY", "GENERAL_QUALITY", "FORMAT_CORRECTNESS", "RADIOMETRIC_QUALITY")
_TILE = re.compile(r"_T(\d{2}[C-X][A-Z]{2})(?:_|$)")


@dataclass(frozen=True, slots=True)
class ProductMetadata:
    """``MTD_MSIL1C.xml`` or ``MTD_MSIL2A.xml``."""

    file: str
    level: Level
    name: str
    """The product's own, without ``.SAFE``."""
    baseline: str
    platform: str
    datatake: str
    relative_orbit: str
    orbit_direction: str
    generation_time: datetime | None
    quantification: int
    nodata: int
    offsets: Mapping[str, int]
    """Offsets by band, in units of 1e-4 reflectance; empty where the document lists none."""
    footprint: BaseGeometry
    """Longitude and latitude; of all granules together."""
    cloud_cover: float | None
    granules: tuple[str, ...]
    """Identifiers of the granules that it says to hold."""
    failed_checks: tuple[str, ...]
    synthetic: bool


@dataclass(frozen=True, slots=True)
class SunAngles:
    """The position of the sun, degrees; azimuth from north, clockwise."""

    zenith: float
    azimuth: float
    zenith_grid: Grid = field(repr=False)
    """(H, W) every `step` metres from the tile's upper left corner; NaN where unknown, 0 x 0 where there is none."""
    azimuth_grid: Grid = field(repr=False)
    step: float = 5000.0


@dataclass(frozen=True, slots=True)
class TileMetadata:
    """``MTD_TL.xml``: one granule."""

    file: str
    level: Level
    granule: str
    tile: str
    datastrip: str
    """In full; its start is `datastrip_start`."""
    time: datetime
    epsg: int
    upper_left: tuple[float, float]
    """Easting and northing of the corner, m."""
    sizes: Mapping[int, tuple[int, int]]
    """(height, width) by pixel size in m."""
    sun: SunAngles | None
    view: Mapping[str, tuple[float, float]]
    """Mean zenith and azimuth by band, degrees."""
    cloud_cover: float | None
    nodata_share: float | None
    """%"""
    degraded: float | None
    """Of the instrument's data, %."""
    masks: tuple[tuple[str, str, str], ...]
    """(type, band or "", file as the document has it)."""

    @property
    def datastrip_start(self) -> str:
        return match.group(1) if (match := _DATASTRIP.search(self.datastrip)) else UNKNOWN

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the tile, m."""
        metres, (height, width) = min(self.sizes.items())
        west, north = self.upper_left
        return west, north - height * metres, west + width * metres, north


def product_metadata(root: Element, file: str, product: str) -> ProductMetadata:
    """Read the product's document. Raises `ProductError` naming product and document."""
    document = Document(root, f"{product}: {file}")
    datatake = document.first("Datatake")
    identifier = datatake.get("datatakeIdentifier", "") if datatake is not None else ""
    level = _level(document.text("PROCESSING_LEVEL"), document)
    orbit = document.number("SENSING_ORBIT_NUMBER", 1, 143)
    footprint = _footprint(document)
    platform = re.fullmatch(r"Sentinel-?2([A-D])", document.maybe("SPACECRAFT_NAME") or "", re.IGNORECASE)
    return ProductMetadata(
        file=file,
        level=level,
        name=(document.maybe("PRODUCT_URI", "PRODUCT_URI_2A" if level == "L2A" else "PRODUCT_URI_1C") or "").removesuffix(".SAFE"),
        baseline=normal_baseline(document.maybe("PROCESSING_BASELINE")),
        platform=f"S2{platform.group(1).upper()}" if platform else UNKNOWN,
        datatake=match.group(0) if (match := _DATATAKE.search(identifier)) else UNKNOWN,
        relative_orbit=UNKNOWN if orbit is None else f"R{int(orbit):03d}",
        orbit_direction=(document.maybe("SENSING_ORBIT_DIRECTION") or UNKNOWN).lower(),
        generation_time=document.time("GENERATION_TIME"),
        quantification=_quantification(document, level),
        nodata=_special_values(document),
        offsets=_offsets(document, level),
        footprint=footprint,
        cloud_cover=document.number("Cloud_Coverage_Assessment", 0, 100),
        granules=tuple(
            named
            for granule in document.all("Granule", "Granules")
            if (named := granule.get("granuleIdentifier")) is not None
        ),
        failed_checks=tuple(_failed_checks(document)),
        synthetic=(document.maybe("SYNTHETIC") or "").lower() == "true",
    )  # fmt: skip


def tile_metadata(root: Element, file: str, product: str) -> TileMetadata:
    """Read the granule's document. Raises `ProductError` naming product and document."""
    document = Document(root, f"{product}: {file}")
    # Sen2Cor's older documents call it TILE_ID_2A.
    granule = document.text("TILE_ID", "TILE_ID_2A")
    tile = _TILE.search(granule)
    if tile is None:
        raise document.wrong("TILE_ID", granule, "it names no tile")
    code = re.search(r"EPSG:(32[67](?:0[1-9]|[1-5]\d|60))(?!\d)", document.text("HORIZONTAL_CS_CODE"), re.IGNORECASE)
    if code is None:
        raise document.wrong("HORIZONTAL_CS_CODE", document.text("HORIZONTAL_CS_CODE"), "it is no UTM zone on WGS84")
    time = document.time("SENSING_TIME")
    if time is None:
        raise document.wrong("SENSING_TIME", document.maybe("SENSING_TIME"), "it is no time")
    return TileMetadata(
        file=file,
        level=_level(root.tag.partition("}")[2] or root.tag, document),
        granule=granule,
        tile=tile.group(1),
        datastrip=document.maybe("DATASTRIP_ID", "DATASTRIP_ID_2A") or UNKNOWN,
        time=time,
        epsg=int(code.group(1)),
        upper_left=_upper_left(document),
        sizes=_sizes(document),
        sun=_sun(document),
        view=_view(document),
        cloud_cover=document.number("CLOUDY_PIXEL_PERCENTAGE", 0, 100),
        nodata_share=document.number("NODATA_PIXEL_PERCENTAGE", 0, 100),
        degraded=document.number("DEGRADED_MSI_DATA_PERCENTAGE", 0, 100),
        masks=tuple(
            (mask.get("type", ""), _band(mask) or "", (mask.text or "").strip())
            for mask in document.all("MASK_FILENAME")
        ),
    )


def _level(text: str, document: Document) -> Level:
    match = re.search(r"Level-(1C|2A)", text)
    if match is None:
        raise document.wrong("PROCESSING_LEVEL", text, "only Level-1C and Level-2A are read")
    return "L1C" if match.group(1) == "1C" else "L2A"


def _quantification(document: Document, level: Level) -> int:
    # L2A lists those of aerosol and water vapour too, and in Sen2Cor's older documents the one of its L1C.
    names = (
        ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE") if level == "L2A" else ("QUANTIFICATION_VALUE",)
    )
    value = document.as_number(names[0], document.text(*names))
    if value != QUANTIFICATION:
        raise ProductError(
            f"{document.where}: {names[0]} is {value:g}, only {QUANTIFICATION} is understood. Use a reprocessed version of the product."
        )
    return QUANTIFICATION


def _special_values(document: Document) -> int:
    """The number that means no data. Raises `ProductError` where saturation isn't the cube's own number."""
    values = {}
    for entry in document.all("Special_Values"):
        name, index = entry.find("{*}SPECIAL_VALUE_TEXT"), entry.find("{*}SPECIAL_VALUE_INDEX")
        if name is not None and index is not None:
            values[(name.text or "").strip()] = int(document.as_number("SPECIAL_VALUE_INDEX", index.text, 0, SATURATED))
    saturated = values.get("SATURATED", SATURATED)
    if saturated != SATURATED:
        raise ProductError(
            f"{document.where}: saturated pixels have the number {saturated}, only {SATURATED} is understood. Use a reprocessed version."
        )
    return values.get("NODATA", NO_DATA)


def _offsets(document: Document, level: Level) -> dict[str, int]:
    name = "BOA_ADD_OFFSET" if level == "L2A" else "RADIO_ADD_OFFSET"
    offsets = {}
    for element in document.all(name):
        value, band = document.as_number(name, element.text, -LARGEST_OFFSET, LARGEST_OFFSET), _band(element)
        if band is None:
            raise document.wrong(name, str(element.attrib), "it names no band")
        if value != round(value):
            raise document.wrong(name, element.text, "it is no whole number")
        offsets[band] = round(value)
    return offsets


def _band(element: Element) -> str | None:
    text = element.get("band_id", element.get("bandId", ""))
    return _BAND_OF_ID.get(int(text)) if re.fullmatch(r"[0-9]{1,3}", text) else None


def _footprint(document: Document) -> BaseGeometry:
    numbers = [document.as_number("EXT_POS_LIST", text) for text in document.text("EXT_POS_LIST").split()]
    points = list(zip(numbers[1::2], numbers[::2], strict=False))  # they go latitude, longitude
    if len(numbers) % 2 or len(points) < 4:
        raise document.wrong(
            "EXT_POS_LIST", f"{len(numbers)} numbers", "these are no latitudes and longitudes of a polygon"
        )
    if not all(-180 <= longitude <= 180 and -90 <= latitude <= 90 for longitude, latitude in points):
        raise document.wrong("EXT_POS_LIST", str(points[0]), "a point of it is not on the Earth")
    try:
        return shape(cut_geojson(mapping(Polygon(points))))
    except ValueError as error:
        raise document.wrong("EXT_POS_LIST", f"a ring of {len(points)} points", str(error)) from error


def _failed_checks(document: Document) -> Iterator[str]:
    for check in document.all("quality_check"):
        if (check.text or "").strip().upper() not in ("PASSED", ""):
            yield f"{check.get('checkType')} {(check.text or '').strip()}"
    for name in _FLAGS:
        if (flag := document.first(f"{name}_FLAG")) is not None and (flag.text or "").strip().upper() != "PASSED":
            yield f"{name} {(flag.text or '').strip()}"


def _sizes(document: Document) -> dict[int, tuple[int, int]]:
    sizes = {}
    for entry in document.all("Size"):
        rows, columns = entry.find("{*}NROWS"), entry.find("{*}NCOLS")
        if rows is not None and columns is not None:
            sizes[int(document.as_number("resolution", entry.get("resolution"), 1, 1000))] = (
                int(document.as_number("NROWS", rows.text, 1, _MOST_PIXELS)),
                int(document.as_number("NCOLS", columns.text, 1, _MOST_PIXELS)),
            )
    if not sizes:
        raise document.wrong("Tile_Geocoding", str(sizes), "it says no size")
    return sizes


def _upper_left(document: Document) -> tuple[float, float]:
    east, north = document.number("ULX", -1e6, 2e6), document.number("ULY", -2e6, 1.1e7)
    if east is None or north is None:
        raise document.wrong("Geoposition", None, "it says no corner")
    return east, north


def _sun(document: Document) -> SunAngles | None:
    mean, grid = document.first("Mean_Sun_Angle"), document.first("Sun_Angles_Grid")
    if mean is None:
        return None
    angles = [mean.find(f"{{*}}{name}") for name in ("ZENITH_ANGLE", "AZIMUTH_ANGLE")]
    texts = [None if angle is None else angle.text for angle in angles]
    zenith = document.as_number("Mean_Sun_Angle", texts[0], 0, 180)
    azimuth = document.as_number("Mean_Sun_Angle", texts[1], -360, 360)
    step = None if grid is None else grid.find("{*}Zenith/{*}COL_STEP")
    metres = 5000.0 if step is None else document.as_number("COL_STEP", step.text, 1, 1e6)
    return SunAngles(zenith, azimuth % 360, _grid(grid, "Zenith", document), _grid(grid, "Azimuth", document), metres)


def _grid(grid: Element | None, kind: str, document: Document) -> Grid:
    values = () if grid is None else grid.iterfind(f"{{*}}{kind}//{{*}}VALUES")
    rows = [(row.text or "").split() for row in values]
    if not rows:
        return np.zeros((0, 0), np.float32)
    try:
        with np.errstate(over="ignore"):
            angles = np.array(rows, np.float32)
    except ValueError as error:
        raise document.wrong("Sun_Angles_Grid", kind, "its rows are no numbers of one length") from error
    known = angles[~np.isnan(angles)]
    if not (np.abs(known) <= 360).all():
        raise document.wrong("Sun_Angles_Grid", kind, "it has angles over 360 degrees")
    return angles


def _view(document: Document) -> dict[str, tuple[float, float]]:
    views = {}
    for entry in document.all("Mean_Viewing_Incidence_Angle"):
        band, zenith, azimuth = _band(entry), entry.find("{*}ZENITH_ANGLE"), entry.find("{*}AZIMUTH_ANGLE")
        if band is not None and zenith is not None and azimuth is not None:
            name = "Mean_Viewing_Incidence_Angle"
            views[band] = (
                document.as_number(name, zenith.text, 0, 180),
                document.as_number(name, azimuth.text, -360, 360),
            )
    return {band: views[band] for band in BANDS if band in views}
