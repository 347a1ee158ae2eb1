"""The picture of the pixels that changed class since the delivery before, with the largest changes beside it."""

from __future__ import annotations

from pathlib import Path

from shapely.geometry.base import BaseGeometry

from processors.delivery.changes import NO_DATA_NAME, Changes
from processors.delivery.picture import colours_of, draw_furniture
from processors.delivery.picture_page import MARGIN, NO_DATA, SOFT, Page, draw_map, fitted, read_small, shortened
from processors.delivery.provenance import DeliveryFacts
from processors.rasters import Variable

_PAGE, _MAP = 11.5, 4.8
_SIDE = _PAGE - 2 * MARGIN - _MAP - 0.4
_ROW, _ROWS = 0.3, 10


def draw_changes(
    path: Path,
    raster: Path,
    variable: Variable,
    facts: DeliveryFacts,
    changes: Changes,
    zone_area: BaseGeometry,
) -> None:
    """Write the picture (PNG). ``raster``: of changed pixels, with the class that each has now."""
    values, extent = read_small(raster, 1, zone_area, classes=True)
    width, height = fitted(extent[1] - extent[0], extent[3] - extent[2], _MAP, _MAP)
    rows = changes.moved[:_ROWS]
    body = max(height + 0.55, 1.3 + _ROW * len(rows))
    page = Page(facts, _PAGE, body, title=f"{facts.processor_title}: changed since the map before")
    left = MARGIN + (_MAP - width) / 2
    colours = colours_of(values, variable)
    colours[values == int(variable.nodata)] = 255  # white: a background is often as grey as what has no data
    draw_map(page.axes(left, page.top, width, height), colours, extent, zone_area)
    draw_furniture(page, left, page.top + height + 0.2, width, (extent[1] - extent[0]) / width)
    x, y = MARGIN + _MAP + 0.4, page.top
    share = "" if changes.share is None else f"{100 * changes.share:.1f} %"
    page.text(x, y + 0.14, f"{share} changed class", 12, weight="bold")
    page.text(x, y + 0.4, f"{changes.changed:,} of {changes.compared:,} pixels with a class in both", 9, color=SOFT)
    page.text(
        x, y + 0.6, "Coloured: the class that a changed pixel has now; white: unchanged, or no data", 9, color=SOFT
    )
    page.text(x + _SIDE, y + 0.85, "ha", 9, color=SOFT, ha="right")
    named = {} if variable.legend is None else {entry.name: entry.colour for entry in variable.legend.mapped}
    y += 0.92
    for pair in rows:
        for place, name in ((x, pair.before), (x + _SIDE / 2 - 0.2, pair.after)):
            colour = NO_DATA if name == NO_DATA_NAME else named.get(name, "white")
            page.rectangle(place, y + 0.04, 0.16, 0.15, colour, "#00000055")
            page.text(place + 0.22, y + 0.17, shortened(name, 21), 9.5)
        page.text(x + _SIDE / 2 - 0.3, y + 0.17, "→", 9.5, ha="center", color=SOFT)
        page.text(x + _SIDE, y + 0.17, f"{pair.hectares:,.2f}", 9.5, ha="right")
        y += _ROW
    if len(changes.moved) > len(rows):
        page.text(x, y + 0.17, f"and {len(changes.moved) - len(rows)} smaller changes", 9, color=SOFT)
    page.save(path, facts)
