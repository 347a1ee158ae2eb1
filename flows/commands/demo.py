"""The demonstration: a map ordered from the simulated mission, in a folder and a store of their own."""

from __future__ import annotations

from pathlib import Path

from shapely.geometry import box

from catalog.area import as_geojson
from catalog.grid import CELL, Cell, Window, to_lonlat
from catalog.storage.whole import write_json
from flows.checked_request import check_request
from flows.request import MapRequest
from flows.settings import Settings

YEAR = 2024
MONTHS = [1, 7]
SOURCE = "mission:seed=7"
PLACE = Cell.from_name("32631_0056_0548")
"""One cell in the middle of tile 31UES, seen from one orbit: every fifth day by two satellites."""


def prepare_demo(folder: Path, settings: Settings, size: int = 512) -> tuple[MapRequest, Settings]:
    """Write ``aoi.json`` into a folder. Returns the request and the settings that keep it apart.

    ``size``: edge of the area, pixels of 10 m, at most a cell's 1024. Raises what `check_request` raises.
    """
    folder = folder.resolve()
    parameters = {
        "area": as_geojson(to_lonlat(box(*demo_window(size).bounds), PLACE.epsg)),
        "year": YEAR,
        "months": MONTHS,
        "source": SOURCE,
        "output": str(folder / "delivery"),
    }
    write_json(folder / "aoi.json", parameters)
    apart = settings.model_copy(update={"store": str(folder / "store"), "cubes": None})
    return check_request(parameters, folder, apart), apart


def demo_window(size: int) -> Window:
    """The middle of the cell."""
    margin = (CELL - size) // 2
    whole = PLACE.window
    return Window(PLACE.epsg, whole.left + margin, whole.top - margin, size, size)
