"""What a report's map is made of: layers, outlines, curves and pictures of one delivery, within the bytes that a page may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from catalog.area import area_km2
from catalog.grid import Window, to_zone
from catalog.legend import LegendClass
from processors.delivery.areas import map_entries
from processors.delivery.page import curves, outlines
from processors.delivery.page.aggregate import window_of
from processors.delivery.page.marks import marks_of
from processors.delivery.page.packing import script_json
from processors.delivery.page.pictures import thumbnail_addresses, true_color_record
from processors.delivery.page.pixels import STEPS, PackedRaster, packed_band, packed_classes, scales_of
from processors.delivery.provenance import DeliveryFacts
from processors.rasters import Variable
from processors.views.views import Views

PAGE_BYTES = 15_000_000
"""Most bytes of a page."""

AT_10_M_KM2 = 100.0
"""Size of an area, km², up to which a class map's very pixels are in the page."""

_LATER = 700_000
"""Bytes for what is written into a report after it, such as an evaluation."""

_LEAST = 500_000
"""Bytes that a class map may have, whatever else is in the page."""

_MEASURED, _TRUE_COLOR, _THUMBNAILS, _CHANGES = 3_000_000, 1_600_000, 700_000, 500_000

_PLACES = 3_000_000
"""Bytes that parcels and curves may have, whatever the class map takes."""

_TWO_SIDED = (
    "#543005",
    "#8c510a",
    "#bf812d",
    "#dfc27d",
    "#f6e8c3",
    "#f5f5f5",
    "#c7eae5",
    "#80cdc1",
    "#35978f",
    "#01665e",
    "#003c30",
)
_ONE_SIDED = ("#ffffe5", "#f7fcb9", "#d9f0a3", "#addd8e", "#78c679", "#41ab5d", "#238443", "#006837", "#004529")


@dataclass(frozen=True, slots=True)
class MapLayer:
    """A layer that the page can show, as its switches name it."""

    key: str
    title: str
    classes: bool
    metres: int
    """Edge of the squares that it shows, m."""
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    colours: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PageMap:
    """The map of a page.

    ``data``: JSON for a script element; ``parcels``: how many are there, drawn where ``outlined``; ``thumbnails``: addresses,
    by acquisition.
    """

    data: str
    layers: tuple[MapLayer, ...]
    true_color_day: str
    parcels: int
    outlined: bool
    has_curves: bool
    thumbnails: dict[str, str] = field(default_factory=dict)

    @property
    def class_layer(self) -> MapLayer | None:
        """The crop map's layer, where there is one."""
        return next((layer for layer in self.layers if layer.classes), None)

    @property
    def class_keys(self) -> str:
        """Keys of the layers that the legend belongs to."""
        return " ".join(layer.key for layer in self.layers if layer.classes)


def make_map(
    rasters: Mapping[str, Path],
    declared: Sequence[Variable],
    facts: DeliveryFacts,
    views: Views | None,
    shown: Sequence[LegendClass],
    taken: int,
) -> PageMap:
    """Pack a delivery's map. ``rasters``: by the name of each variable in ``declared``; ``shown``: classes on the map, most frequent first;
    ``taken``: bytes of all else in the page.

    Up to `AT_10_M_KM2` the class map's very pixels are in it; above, the finest level that keeps the page below `PAGE_BYTES`. Raises
    `DeliveryError` where a raster can't be read.
    """
    area = shape(facts.area)
    zone_area = to_zone(area, facts.epsg)
    whole = window_of(rasters[declared[0].name])
    west, south, east, north = whole.bounds
    data: dict[str, Any] = {
        "epsg": facts.epsg,
        "declared": bool(facts.request.get("parcels")),
        "bounds": [west, south, east, north],
        "marks": {name: sorted(marks_of(shown, grey=grey).items()) for name, grey in (("alike", False), ("all", True))},
        "area": outlines.area_record(zone_area, whole, max(east - west, north - south) / 1600),
    }
    thumbnails: dict[str, str] = {}
    if views is not None:
        if views.true_color is not None:
            data["picture"] = true_color_record(views.true_color, whole, zone_area, _TRUE_COLOR)
        thumbnails = thumbnail_addresses(views.thumbnails, _THUMBNAILS)
    layers, records = _measured(rasters, declared, whole, zone_area)

    def left() -> int:
        """Bytes that nothing has yet."""
        return PAGE_BYTES - taken - sum(map(len, thumbnails.values())) - len(script_json([data, records])) - _LATER

    classes = [variable for variable in declared if variable.legend is not None]
    for number, variable in enumerate(classes):
        at_10_m = number == 0 and area_km2(area) <= AT_10_M_KM2
        kept = (_PLACES if views is not None else 0) + _CHANGES * (len(classes) - 1)
        most = max(_LEAST, left() - kept) if number == 0 else _CHANGES
        raster = packed_classes(rasters[variable.name], variable, whole, zone_area, most, at_10_m=at_10_m)
        layers.insert(number, MapLayer(variable.name, variable.title, True, raster.metres))
        records.insert(number, _class_record(variable, raster))
    parcels, outlined = (0, False) if views is None else _add_places(data, views, whole, max(_PLACES, left()))
    data["layers"] = records
    day = next((one.time for one in facts.season.acquisitions if views and one.id in views.true_color_dates[:1]), None)
    return PageMap(
        data=script_json(data),
        layers=tuple(layers),
        true_color_day=f"{day:%Y-%m-%d}" if day and "picture" in data else "",
        parcels=parcels,
        outlined=outlined,
        has_curves="curves" in data,
        thumbnails=thumbnails,
    )


def _measured(
    rasters: Mapping[str, Path], declared: Sequence[Variable], whole: Window, zone_area: BaseGeometry
) -> tuple[list[MapLayer], list[dict[str, Any]]]:
    """Layers of measurements, one a band; those of the first variable may take as much as all others together."""
    measured = [variable for variable in declared if variable.legend is None]
    with_classes = len(measured) < len(declared)
    layers, records = [], []
    for number, variable in enumerate(measured):
        share = 1.0 if len(measured) == 1 else 0.5 if number == 0 else 0.5 / (len(measured) - 1)
        most = int((_MEASURED if with_classes else 3 * _MEASURED) * share / len(variable.bands))
        low, high = variable.limits
        two_sided = low < 0 < high and -low == high
        for band, scale in enumerate(scales_of(rasters[variable.name], variable, zone_area)):
            raster = packed_band(rasters[variable.name], variable, band, scale, whole, zone_area, most)
            title = variable.title + (f", {variable.bands[band]}" if variable.bands[band] else "")
            layer = MapLayer(
                f"{variable.name}-{band + 1}", title, False, raster.metres, low, high,
                "" if variable.unit == "1" else variable.unit, _TWO_SIDED if two_sided else _ONE_SIDED,
            )  # fmt: skip
            layers.append(layer)
            records.append(
                {
                    **_head(layer, variable),
                    "low": scale.low,
                    "step": scale.step,
                    "last": STEPS,
                    "clipped": [scale.below, scale.above],
                    "limits": [low, high],
                    "unit": layer.unit,
                    "band": variable.bands[band],
                    "colours": layer.colours,
                    **raster.record(),
                }
            )
    return layers, records


def _class_record(variable: Variable, raster: PackedRaster) -> dict[str, Any]:
    entries = map_entries(variable.legend, (0,)) if variable.legend else ()
    return {
        "key": variable.name,
        "name": variable.name,
        "title": variable.title,
        "classes": [[entry.value, entry.name, entry.colour] for entry in entries],
        **raster.record(),
    }


def _head(layer: MapLayer, variable: Variable) -> dict[str, Any]:
    return {"key": layer.key, "name": variable.name, "title": layer.title, "variable": variable.title}


def _add_places(data: dict[str, Any], views: Views, whole: Window, most: int) -> tuple[int, bool]:
    """Add parcels and curves, in ``most`` bytes. Returns how many parcels there are, and whether the page draws them.

    Curves of squares come first, since they tell of every place; parcels are there with outlines and curves, or not at all.
    """
    count, outlined = 0, False
    if views.curves is not None:
        data["curves"] = {
            "days": [day.isoformat() for day in views.days],
            "low": curves.SCALE.low,
            "step": curves.SCALE.step,
            "parcels": None,
            "grid": curves.grid_record(views.curves, most // 2),
        }
        most -= len(data["curves"]["grid"]["values"])
    if views.parcels is not None:
        frame = outlines.parcels_of(views.parcels)
        count = len(frame)
        of_parcels = None if views.curves is None else curves.parcels_record(views.curves, most // 2)
        record = outlines.parcels_record(frame, whole, most - len(of_parcels or ""))
        outlined = record is not None and count > 0
        if outlined:
            data["parcels"] = record
        if outlined and views.curves is not None:
            data["curves"]["parcels"] = of_parcels
    return count, outlined
