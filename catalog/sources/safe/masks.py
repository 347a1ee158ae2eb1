"""Quality masks of SAFE products, in both forms: polygons in GML before baseline 04.00, rasters in JP2 since.

Ingestion takes none of them. What they tell is in the pixels already: lost pixels are 0, defective ones of L2A have class 1 of
the scene classification, which is never clear; and a mask of all bands takes as long to decode as the bands themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from shapely import GEOSException
from shapely.geometry import Polygon

from catalog.errors import ProductError
from catalog.guards.numbers import finite
from catalog.products import BANDS
from catalog.quoting import shown
from catalog.sources.safe.documents import read_document
from catalog.storage.file_trees import Files, join

KINDS: dict[str, str] = {
    "DETFOO": "detector footprints",
    "NODATA": "no data, or partially corrected",
    "SATURA": "saturated",
    "DEFECT": "defective",
    "TECQUA": "technical quality: lost or degraded data",
    "QUALIT": "all of quality, one layer each",
    "CLOUDS": "clouds",
    "CLASSI": "clouds and snow",
    "CLDPRB": "cloud probability",
    "SNWPRB": "snow probability",
}
"""The subjects of ``MSK_…`` files."""

_FILE = re.compile(
    r"(?:^|_)MSK_(?P<kind>[A-Z]{6})(?:_(?P<centre>[A-Z0-9_]{4}_\d{8}T\d{6}_A\d{6}_T\w{5}))?"
    r"_(?:(?P<band>B\d[0-9A])|(?P<metres>[126]0)m)(?:_MSIL(?:1C|2A))?\.(?P<form>gml|jp2)$"
)


_FARTHEST = 1.1e7
"""Northings are smaller, m."""


@dataclass(frozen=True, slots=True)
class QualityMask:
    """One file of quality."""

    kind: str
    """A key of `KINDS`."""
    band: str | None
    """None where it is of all bands."""
    form: Literal["GML", "JP2"]
    path: str
    """Its path in the product's tree."""


@dataclass(frozen=True, slots=True)
class MaskFeature:
    """One polygon of a GML mask."""

    type: str
    """E.g. QT_DEFECTIVE_PIXELS, DETECTOR_FOOTPRINT."""
    id: str
    polygon: Polygon
    """The shape in the tile's zone, m."""


def quality_masks(files: Files, granule: str) -> tuple[QualityMask, ...]:
    """The masks in the ``QI_DATA`` folder of a granule, or the ``qi`` folder of a tile on AWS. Raises `SourceError`."""
    for name in ("QI_DATA", "qi"):
        try:
            found = files.list(join(granule, name))
        except FileNotFoundError:
            continue
        return tuple(sorted(_masks(join(granule, name), [entry.name for entry in found]), key=lambda mask: mask.path))
    return ()


def mask_features(files: Files, mask: QualityMask, product: str) -> list[MaskFeature]:
    """The polygons of a GML mask; none where it has none. Raises `ProductError`, `SourceError`."""
    if mask.form != "GML":
        raise ValueError(f"{mask.path} is a raster")
    features = []
    for feature in read_document(files, mask.path, product).iterfind(".//{*}MaskFeature"):
        kind, ring = feature.find(".//{*}maskType"), feature.find(".//{*}exterior//{*}posList")
        if ring is None:
            continue
        try:
            dimensions = int(ring.get("srsDimension", "2"))
            numbers = [_metres(text) for text in (ring.text or "").split()]
            polygon = Polygon(list(zip(numbers[::dimensions], numbers[1::dimensions], strict=True)))
        except (ValueError, OverflowError, GEOSException) as error:
            raise ProductError(f"{product}: {mask.path} holds a polygon that can't be read: {error}.") from error
        name = next((value for key, value in feature.attrib.items() if key.endswith("id")), "")
        features.append(MaskFeature(((kind.text if kind is not None else "") or "").strip(), name, polygon))
    return features


def _metres(text: str) -> float:
    number = finite(text)
    if number is None or abs(number) > _FARTHEST:
        raise ValueError(f"{shown(text)} is no coordinate")
    return number


def _masks(folder: str, names: list[str]) -> Iterator[QualityMask]:
    for name in names:
        match = _FILE.search(name)
        if match is None or match.group("kind") not in KINDS:
            continue
        band = match.group("band")
        yield QualityMask(
            kind=match.group("kind"),
            band=band if band in BANDS else None,
            form="GML" if match.group("form") == "gml" else "JP2",
            path=join(folder, name),
        )
