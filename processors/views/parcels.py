"""Parcels of a delivery before the season is read: those of the map, outlined, or those that the request names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from catalog.grid import Window, blocks_meeting
from catalog.legend import MAP_BACKGROUND, background_entry
from processors.rasters import Variable
from processors.views.declared import Declared, DeclaredLayers
from processors.views.outlines import MOST_EDGES, outline
from processors.views.parcel_map import MapOfParcels, NumberLayers, map_of_parcels
from processors.views.segments import BLOCK, MapBlocks, NumberRaster, find_segments

NUMBERS = "numbers.tif"
"""File of the numbers of the map's parcels on the pixels, while the views are made."""

CONFIDENCE = "confidence"
"""Variable of how sure a class map is, 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """Rasters of a map by variable, what they cover and mean, and the area in the metres of their zone."""

    rasters: Mapping[str, Path]
    variables: Sequence[Variable]
    window: Window
    zone_area: BaseGeometry

    @property
    def classes(self) -> Variable | None:
        """The first variable with classes."""
        return next((variable for variable in self.variables if variable.legend is not None), None)


@dataclass(frozen=True, slots=True, eq=False)
class Parcels:
    """Parcels by number: polygons (N,), what the map says of them (None where it has no classes), and where they lie on the pixels."""

    polygons: npt.NDArray[Any]
    of_map: MapOfParcels | None
    names: dict[int, str]
    """Of the map's values."""
    layers: NumberLayers
    below: dict[int, int]
    """Pixels by map value in segments that are no parcel, since they are small."""
    columns: Any = None
    """Other columns than ours, of parcels that the request names."""

    @property
    def count(self) -> int:
        return len(self.polygons)


def parcels_of(of_map: Map, declared: Declared | None, folder: Path) -> tuple[Parcels | None, tuple[str, ...]]:
    """The request's parcels, else those of the map, and sentences that a delivery must show of them.

    None where it names none and the map has no classes, or is so speckled that outlines would take too much (`MOST_EDGES`).
    ``folder``: of the file that says which pixel belongs to which parcel.
    """
    classes = of_map.classes
    blocks = blocks_meeting(of_map.zone_area, of_map.window, BLOCK)
    names = {} if classes is None or classes.legend is None else _names(classes)
    if declared is not None:
        layers = DeclaredLayers(declared.polygons)
        counted = None if classes is None else _counted(layers, len(declared.polygons), of_map, classes, names, blocks)
        return Parcels(declared.polygons, counted, names, layers, {}, declared.columns), declared.notes
    if classes is None or classes.legend is None:
        return None, ()
    values = [entry.value for entry in classes.legend.classes]
    found = find_segments(
        MapBlocks(of_map.rasters[classes.name], of_map.window, tuple(blocks)), values, folder / NUMBERS
    )
    if found.edges > MOST_EDGES:
        return None, (f"No parcels are outlined: the map is too speckled ({found.edges / 1e6:.0f} million edges).",)
    layers_of_map = OneLayer(found.numbers)
    polygons = outline(found)
    counted = _counted(layers_of_map, len(polygons), of_map, classes, names, found.numbers.blocks)
    return Parcels(polygons, counted, names, layers_of_map, found.below), ()


@dataclass(frozen=True, slots=True)
class OneLayer:
    """Numbers of parcels that don't overlap."""

    numbers: NumberRaster

    def read(self, window: Window) -> tuple[npt.NDArray[np.int32], ...]:
        """The numbers (H, W) of a window, as the only layer."""
        return (self.numbers.read(window),)


def _names(classes: Variable) -> dict[int, str]:
    if classes.legend is None:
        return {}
    entries = (background_entry(classes.legend), *classes.legend.classes)
    return {entry.value: entry.name for entry in entries}


def _counted(
    layers: NumberLayers, count: int, of_map: Map, classes: Variable, names: dict[int, str], blocks: Sequence[Window]
) -> MapOfParcels:
    confidence = of_map.rasters.get(CONFIDENCE)
    values = sorted({MAP_BACKGROUND, *names})
    return map_of_parcels(layers, count, of_map.rasters[classes.name], confidence, values, of_map.window, blocks)
