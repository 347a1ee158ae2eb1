"""The picture of a delivery: a class map with its legend, or the bands of other variables side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from catalog.grid import PIXEL, to_zone
from processors.delivery.areas import HECTARE, AreaTable, ClassArea
from processors.delivery.picture_page import (
    INK,
    LINE,
    MARGIN,
    NO_DATA,
    SOFT,
    Page,
    draw_map,
    draw_north,
    draw_scale_bar,
    extent_of,
    fitted,
    read_small,
    shortened,
)
from processors.delivery.provenance import DeliveryFacts
from processors.rasters import Variable, colour_table

_PAGE = 13.0
_MAP = 7.9  # largest edge of the class map
_SIDE = _PAGE - 2 * MARGIN - _MAP - 0.45
_ROW = 0.29
_LEGEND_ROWS = 24
_INSET = 2.75  # height of the second map
_PANELS = 24  # bands of one variable that are shown; more can't be told apart
_COLUMNS = 4


def draw_overview(
    path: Path, rasters: Mapping[str, Path], declared: Sequence[Variable], facts: DeliveryFacts, table: AreaTable | None
) -> None:
    """Write the picture (PNG). ``rasters``: by variable; ``table``: of the first variable with classes, where there is one."""
    zone_area = to_zone(shape(facts.area), facts.epsg)
    classes = next((variable for variable in declared if variable.legend is not None), None)
    if classes is not None and table is not None:
        other = next((variable for variable in declared if variable.legend is None), None)
        page = _class_page(rasters, classes, other, facts, table, zone_area)
    else:
        page = _band_page(rasters, declared, facts, zone_area)
    page.save(path, facts)


def _class_page(
    rasters: Mapping[str, Path],
    classes: Variable,
    other: Variable | None,
    facts: DeliveryFacts,
    table: AreaTable,
    zone_area: BaseGeometry,
) -> Page:
    values, extent = read_small(rasters[classes.name], 1, zone_area, classes=True)
    width, height = fitted(extent[1] - extent[0], extent[3] - extent[2], _MAP, _MAP)
    needed = 0.9 + _ROW * min(_LEGEND_ROWS, 1 + sum(row.pixels > 0 for row in table.rows))
    beside = max(height + 0.35, needed + _INSET) if other is not None else max(height + 0.35, needed)
    below = max(height + 0.75 + _INSET, needed)  # better where the area is wide and the legend long
    body = max(4.5, min(beside, below))
    page = Page(facts, _PAGE, body)
    left, side = MARGIN + (_MAP - width) / 2, MARGIN + _MAP + 0.45
    draw_map(page.axes(left, page.top, width, height), colours_of(values, classes), extent, zone_area)
    draw_furniture(page, left, page.top + height + 0.2, width, (extent[1] - extent[0]) / width)
    if other is None or below < beside:
        _legend(page, side, page.top, body, table)
    else:
        inset = min(3.7, body - needed)
        _legend(page, side, page.top, body - inset, table)
        _inset(page, side, page.top + body - inset + 0.25, inset - 0.25, rasters[other.name], other, zone_area)
    if other is not None and below < beside:
        _inset(page, MARGIN, page.top + height + 0.9, _INSET - 0.25, rasters[other.name], other, zone_area)
    return page


def colours_of(values: npt.NDArray[Any], variable: Variable) -> npt.NDArray[np.uint8]:
    """Class values (H, W) as red, green, blue, opacity (H, W, 4)."""
    palette = np.zeros((256, 4), np.uint8)
    if variable.legend is not None:
        for value, colour in colour_table(variable.legend, int(variable.nodata)).items():
            palette[value] = colour
    painted: npt.NDArray[np.uint8] = palette[values]
    return painted


def _legend(page: Page, x: float, y: float, height: float, table: AreaTable) -> None:
    """Classes by area with colour, name, hectares, percent of the mapped pixels and a bar; the least of too many as one."""
    right = x + _SIDE
    page.text(x, y + 0.14, "On the map", 12, weight="bold")
    page.text(right - 0.62, y + 0.14, "ha", 9, color=SOFT, ha="right")
    page.text(right, y + 0.14, "%", 9, color=SOFT, ha="right")
    shown = sorted((row for row in table.rows if row.pixels), key=lambda row: -row.pixels)
    room = int((height - 0.9) / _ROW)
    rest = shown[room - 1 :] if len(shown) > room else []
    kept = shown[: room - 1] if rest else shown
    y += 0.3
    for row in kept:
        _legend_row(page, x, y, row.entry.name, row.entry.colour, row.hectares, row.percent)
        page.rectangle(x + 0.3, y + 0.235, (_SIDE - 0.3) * row.percent / 100, 0.025, row.entry.colour)
        y += _ROW
    if rest:
        _legend_row(page, x, y, f"{len(rest)} smaller classes", "white", _hectares(rest), sum(r.percent for r in rest))
        y += _ROW
    if table.unmapped:
        _legend_row(page, x, y, "no data", NO_DATA, table.unmapped * PIXEL**2 / HECTARE, None)
        y += _ROW
    page.text(x, y + 0.2, "Pixels counted, no estimate of crop areas.", 8.5, color=SOFT, style="italic")


def _legend_row(page: Page, x: float, y: float, name: str, colour: str, hectares: float, percent: float | None) -> None:
    right = x + _SIDE
    page.rectangle(x, y + 0.03, 0.2, 0.17, colour, "#00000055")
    page.text(x + 0.3, y + 0.17, shortened(name, 26), 10)
    page.text(right - 0.62, y + 0.17, f"{hectares:,.1f}", 10, ha="right")
    if percent is not None:
        page.text(right, y + 0.17, f"{percent:.1f}", 10, ha="right", color=SOFT)


def _hectares(rows: Sequence[ClassArea]) -> float:
    return sum(row.hectares for row in rows)


def _inset(
    page: Page, x: float, y: float, height: float, path: Path, variable: Variable, zone_area: BaseGeometry
) -> None:
    """A small map of another variable with its colour bar."""
    values, extent = read_small(path, 1, zone_area, classes=False)
    width, map_height = fitted(extent[1] - extent[0], extent[3] - extent[2], _SIDE - 0.75, height - 0.3)
    page.text(x, y + 0.1, shortened(variable.title, 44), 10.5, weight="bold")
    low, high = variable.limits
    image = draw_map(
        page.axes(x, y + 0.25, width, map_height),
        values,
        extent,
        zone_area,
        cmap=_palette(variable),
        vmin=low,
        vmax=high,
    )
    _colour_bar(page, image, x + width + 0.15, y + 0.25, map_height, variable)


def _band_page(
    rasters: Mapping[str, Path], declared: Sequence[Variable], facts: DeliveryFacts, zone_area: BaseGeometry
) -> Page:
    """Every band of every variable, in rows of panels; one colour bar a variable."""
    west, east, south, north = extent_of(rasters[declared[0].name])
    most = max(min(len(variable.bands), _PANELS) for variable in declared)
    columns = min(_COLUMNS, most)
    cell = (_PAGE - 2 * MARGIN - 1.0) / columns - 0.2
    # A single panel in a row would be larger than the page is high.
    width, height = fitted(east - west, north - south, cell, min(cell, 6.5))
    rows = [math.ceil(min(len(variable.bands), _PANELS) / columns) for variable in declared]
    body = sum(0.45 + count * (height + 0.4) for count in rows) + 0.35
    page = Page(facts, _PAGE, body)
    y = page.top
    for variable, count in zip(declared, rows, strict=True):
        _panels(page, y, (width, height), cell, columns, rasters[variable.name], variable, zone_area)
        y += 0.45 + count * (height + 0.4)
    draw_furniture(page, MARGIN, y + 0.05, _PAGE - 2 * MARGIN - 1.2, (east - west) / width)
    return page


def _panels(
    page: Page,
    y: float,
    size: tuple[float, float],
    cell: float,
    columns: int,
    path: Path,
    variable: Variable,
    zone_area: BaseGeometry,
) -> None:
    width, height = size
    bands = variable.bands[:_PANELS]
    more = f" (the first {_PANELS} of {len(variable.bands)} bands)" if len(variable.bands) > _PANELS else ""
    unit = "" if variable.unit == "1" else f", {variable.unit}"
    page.text(MARGIN, y + 0.1, f"{variable.title}{unit}{more}", 12, weight="bold")
    y += 0.45
    low, high = variable.limits
    image = None
    for number, name in enumerate(bands):
        left, top = MARGIN + (number % columns) * (cell + 0.2), y + (number // columns) * (height + 0.4)
        page.text(left, top, shortened(name, int(cell * 11)), 9.5, color=SOFT)
        values, extent = read_small(path, number + 1, zone_area, classes=False)
        axes = page.axes(left, top + 0.08, width, height)
        image = draw_map(axes, values, extent, zone_area, cmap=_palette(variable), vmin=low, vmax=high)
    _colour_bar(page, image, _PAGE - MARGIN - 0.75, y + 0.08, min(height, 3.0), variable)


def _colour_bar(page: Page, image: Any, x: float, y: float, height: float, variable: Variable) -> None:
    axes = page.axes(x, y, 0.16, height)
    axes.set_axis_on()
    bar = page.figure.colorbar(image, cax=axes, extend="neither")
    low, high = variable.limits
    bar.set_ticks([low, (low + high) / 2, high], labels=[f"{value:g}" for value in (low, (low + high) / 2, high)])
    bar.ax.tick_params(labelsize=9, colors=INK, length=2.5, width=0.6)
    bar.outline.set_edgecolor(LINE)


def _palette(variable: Variable) -> str:
    """Colours: two-sided where the limits lie evenly around 0; yellow to green else: light is little, also in grey."""
    low, high = variable.limits
    return "BrBG" if low < 0 and math.isclose(-low, high) else "YlGn"


def draw_furniture(page: Page, x: float, y: float, width: float, metres_per_inch: float) -> None:
    """Scale bar and north arrow below a map, ``width`` inches wide, whose lower left corner is about (x, y)."""
    draw_scale_bar(page, x, y - 0.07, metres_per_inch, min(2.0, width / 3))
    draw_north(page, x + width - 0.1, y - 0.12)
