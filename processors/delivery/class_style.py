"""Names and colours of a class map for QGIS and GDAL: a style and an attribute table beside the raster, with the values that it shows.

QGIS opens ``crop_map.qml`` with ``crop_map.tif`` by itself; GDAL, and all that reads through it, takes names and colours from
``crop_map.tif.aux.xml``, since a Cloud Optimized GeoTIFF has no place for names of classes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from catalog.legend import LegendClass
from catalog.storage.whole import written_whole

STYLE, ATTRIBUTES = ".qml", ".tif.aux.xml"
"""Ends of the names of both files."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# GDAL's numbers for what a column of an attribute table holds and means.
_INTEGER, _TEXT = 0, 2
_COLUMNS = (
    ("Value", _INTEGER, 5),
    ("Class", _TEXT, 2),
    ("Pixels", _INTEGER, 1),
    ("Red", _INTEGER, 6),
    ("Green", _INTEGER, 7),
    ("Blue", _INTEGER, 8),
)


def write_class_style(folder: Path, name: str, shown: Sequence[tuple[LegendClass, int]]) -> list[Path]:
    """Write style and attribute table of the raster ``<name>.tif`` and return their paths.

    ``shown``: classes that the raster shows, by value, and their pixels. Raises `StoreError` where they can't be written.
    """
    style, attributes = folder / f"{name}{STYLE}", folder / f"{name}{ATTRIBUTES}"
    _write(style, _style([entry for entry, _ in shown]), '<!DOCTYPE qgis PUBLIC "http://mrcc.com/qgis.dtd" "SYSTEM">\n')
    _write(attributes, _attributes(shown), "")
    return [style, attributes]


def _style(entries: Sequence[LegendClass]) -> ET.Element:
    root = ET.Element("qgis", version="3.28", styleCategories="Symbology")
    pipe = ET.SubElement(root, "pipe")
    renderer = ET.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1", nodataColor=""
    )
    palette = ET.SubElement(renderer, "colorPalette")
    for entry in entries:
        ET.SubElement(
            palette, "paletteEntry",
            value=str(entry.value), color=entry.colour.lower(), alpha="255", label=_text(entry.name),
        )  # fmt: skip
    return root


def _attributes(shown: Sequence[tuple[LegendClass, int]]) -> ET.Element:
    root = ET.Element("PAMDataset")
    band = ET.SubElement(root, "PAMRasterBand", band="1")
    names = {entry.value: _text(entry.name) for entry, _ in shown}
    categories = ET.SubElement(band, "CategoryNames")
    for value in range(max(names, default=-1) + 1):  # one for each value, in their order
        ET.SubElement(categories, "Category").text = names.get(value, "")
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (column, kind, usage) in enumerate(_COLUMNS):
        field = ET.SubElement(table, "FieldDefn", index=str(index))
        for tag, text in (("Name", column), ("Type", str(kind)), ("Usage", str(usage))):
            ET.SubElement(field, tag).text = text
    for index, (entry, pixels) in enumerate(shown):
        row = ET.SubElement(table, "Row", index=str(index))
        for text in (str(entry.value), _text(entry.name), str(pixels), *map(str, entry.rgb)):
            ET.SubElement(row, "F").text = text
    return root


def _text(name: str) -> str:
    """A name on one line, without what XML can't hold."""
    return " ".join(_NOT_XML.sub(" ", name).split())


def _write(path: Path, root: ET.Element, kind: str) -> None:
    ET.indent(root)
    with written_whole(path) as temporary:
        temporary.write_text(f"{kind}{ET.tostring(root, encoding='unicode')}\n", encoding="utf-8")
