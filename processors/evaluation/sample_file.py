"""The file of a sample: a GeoPackage that QGIS opens ready to be filled in, with the design beside the points.

What the map shows at a point is not among its fields: who interprets a point must not know it. The design, in a table of its own, does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring  # written only, never parsed

from catalog.errors import RequestError
from catalog.grid import PIXEL
from catalog.guards.json_text import parse_model
from catalog.guards.vectors import read_table
from catalog.legend import NONE_OF_THESE
from catalog.storage.whole import written_geopackage
from processors.evaluation.design import SampleDesign

POINTS = "points"
"""Layer of the points: `id`, `reference` to be filled in, and `remark`."""

REFERENCE, ID = "reference", "id"

_DESIGN, _DOCUMENT = "cropline_design", "document"
_STYLES = "layer_styles"
"""Table in which QGIS keeps the styles of a GeoPackage's layers."""

_VERSION = "1.2"
"""GeoPackage that QGIS 3.22, of Debian 12, reads without a warning."""


def write_sample(path: Path, design: SampleDesign, classes: Sequence[str]) -> None:
    """Write a sample's file, whole or not at all. ``classes``: names that may be filled in. Raises `StoreError`."""
    import geopandas  # brings pandas, slowly
    import pandas as pd
    import pyogrio
    from shapely.geometry import Point

    count = len(design.points)
    empty = pd.array([None] * count, dtype="string")
    points = geopandas.GeoDataFrame(
        {ID: [point.id for point in design.points], REFERENCE: empty, "remark": empty},
        geometry=[Point(*design.ground.place(point)) for point in design.points],
        crs=f"EPSG:{design.ground.epsg}",
    )
    document = pd.DataFrame({_DOCUMENT: [design.model_dump_json()]})
    style = pd.DataFrame(
        {
            "f_table_catalog": [""],
            "f_table_schema": [""],
            "f_table_name": [POINTS],
            "f_geometry_column": ["geom"],
            "styleName": ["pixels to interpret"],
            "styleQML": [qgis_style(classes)],
            "styleSLD": [""],
            "useAsDefault": [True],
            "description": ["Square of a pixel, and the list of classes that may be filled in"],
            "owner": [""],
            "ui": [None],
            "update_time": pd.to_datetime(
                ["2000-01-01T00:00:00"]
            ),  # QGIS sorts by it; the same file whenever it is made
        }
    )
    with written_geopackage(path) as temporary:
        pyogrio.write_dataframe(
            points, temporary, layer=POINTS, driver="GPKG", geometry_type="Point", dataset_options={"VERSION": _VERSION}
        )
        pyogrio.write_dataframe(document, temporary, layer=_DESIGN, driver="GPKG", append=True)
        pyogrio.write_dataframe(
            style, temporary, layer=_STYLES, driver="GPKG", append=True, layer_options={"FID": "id"}
        )


def read_design(path: Path) -> SampleDesign | None:
    """The design in a sample's file; None of any other file. Raises `RequestError` where it is damaged."""

    def refuse(why: str) -> RequestError:
        return RequestError(
            f"reference {path}: the design of the sample in it can't be understood: {why}. Take the table {_DESIGN} from the file that "
            "`cropline sample` wrote."
        )

    rows = read_table(path, _DESIGN, refuse)
    if rows is None:
        return None
    texts = [text for text in rows.get(_DOCUMENT, []) if isinstance(text, str)]
    if len(texts) != 1:
        raise refuse(f"it holds {len(texts)} documents, not one")
    return parse_model(SampleDesign, texts[0], refuse)


def qgis_style(classes: Sequence[str]) -> str:
    """A style of QGIS (QML): each point as the outline of its pixel, its field `reference` a list of the classes and of none of them."""
    root = Element("qgis", version="3.22", styleCategories="Symbology|Fields|Forms")
    renderer = SubElement(
        root, "renderer-v2", type="singleSymbol", symbollevels="0", enableorderby="0", forceraster="0"
    )
    symbol = SubElement(
        SubElement(renderer, "symbols"), "symbol", type="marker", name="0", alpha="1", clip_to_extent="1"
    )
    layer = SubElement(symbol, "layer", {"class": "SimpleMarker", "enabled": "1", "locked": "0", "pass": "0"})
    _options(
        layer,
        {
            "name": "square", "color": "255,255,255,0", "outline_color": "255,0,170,255", "outline_style": "solid",
            "outline_width": "0.6", "outline_width_unit": "MM", "size": str(PIXEL), "size_unit": "MapUnit", "angle": "0",
        },
    )  # fmt: skip
    fields = SubElement(root, "fieldConfiguration")
    config = SubElement(
        SubElement(SubElement(fields, "field", name=REFERENCE), "editWidget", type="ValueMap"), "config"
    )
    listed = SubElement(SubElement(config, "Option", type="Map"), "Option", type="List", name="map")
    for name in (*classes, NONE_OF_THESE):
        _options(listed, {name: name})
    for name in (ID, "fid"):
        widget = SubElement(SubElement(fields, "field", name=name), "editWidget", type="TextEdit")
        _options(SubElement(widget, "config"), {})
    editable = SubElement(root, "editable")
    for name, allowed in (("fid", "0"), (ID, "0"), (REFERENCE, "1"), ("remark", "1")):
        SubElement(editable, "field", name=name, editable=allowed)
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + tostring(root, encoding="unicode")


def _options(parent: Element, values: dict[str, str]) -> None:
    """Named texts as QGIS writes them."""
    options = SubElement(parent, "Option", type="Map")
    for name, value in values.items():
        SubElement(options, "Option", type="QString", name=name, value=value)
