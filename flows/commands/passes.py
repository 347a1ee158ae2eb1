"""`cropline passes`: when the satellites see an area next, and when their products are there."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from catalog.area import parse_geometry
from catalog.area_file import area_value
from catalog.errors import RequestError
from catalog.guards.numbers import EARLIEST, LATEST, any_time
from catalog.orbits.elements import read_elements
from catalog.orbits.forecast import Forecast, forecast
from catalog.orbits.swath import Pass
from catalog.orbits.timeline import Timeline
from catalog.quoting import shown
from flows.request import read_parameters

SEEN = "seen: share of the area in the swath, whatever the weather. Every pass by day counts, whether it is in the plan or not."


def passes_ahead(file: Path, days: int, start: str | None = None, tle: Path | None = None) -> Forecast:
    """Compute the passes over the area in a file, a request or any GeoJSON, in the days from a time on (now where None).

    Raises `RequestError`: the file, the time or the elements can't be understood, or don't apply.
    """
    parameters = read_parameters(file)
    area = parse_geometry(area_value(parameters.get("area", parameters)))
    first = datetime.now(UTC) if start is None else parse_time(start)
    return forecast(area, first, first + timedelta(days=days), [] if tle is None else read_elements(tle))


def parse_time(text: str, option: str = "start") -> datetime:
    """Parse an ISO date, or date and time; UTC where it names no zone. Raises `RequestError` naming the option."""
    time = any_time(text)
    if time is None:
        raise RequestError(f"{option}: {shown(text)} is no date. Give one like 2027-03-01 or 2027-03-01T12:00Z.")
    if not EARLIEST <= time.year <= LATEST:
        raise RequestError(
            f"{option}: {shown(text)} lies outside the years {EARLIEST} to {LATEST}. Give a nearer date."
        )
    return time


def as_json(forecast: Forecast) -> str:
    """JSON list of objects, times in UTC; `downlink` and `l2a_ready` are null where a pass was lost on board."""
    return json.dumps(
        [_row(overpass, line) for overpass, line in zip(forecast.passes, forecast.timelines, strict=True)]
    )


def _row(overpass: Pass, line: Timeline | None) -> dict[str, Any]:
    return {
        "time": _iso(overpass.time),
        "platform": overpass.platform,
        "relative_orbit": overpass.relative_orbit,
        "tiles": [tile.name for tile in overpass.tiles],
        "covered": overpass.covered,
        "sun_elevation": overpass.sun_elevation,
        "downlink": None if line is None else _iso(line.downlinked),
        "l2a_ready": None if line is None else _iso(line.l2a_ready),
    }


def _iso(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def show(forecast: Forecast, console: Console) -> None:
    """Print the table and what it rests on."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("time (UTC)", "sat", "orbit", "tiles"):
        table.add_column(name, no_wrap=name != "tiles")
    for name in ("seen", "sun"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("downlink", "L2A ready"):
        table.add_column(name, no_wrap=True)
    for overpass, line in zip(forecast.passes, forecast.timelines, strict=True):
        table.add_row(
            f"{overpass.time:%Y-%m-%d %H:%M}",
            overpass.platform,
            overpass.relative_orbit,
            _tiles(overpass),
            f"{overpass.covered:.0%}",
            f"{overpass.sun_elevation:.0f}°",
            "lost" if line is None else f"{line.downlinked:%H:%M} {line.station}",
            "" if line is None else f"{line.l2a_ready:%m-%d %H:%M}",
        )
    if forecast.passes:
        console.print(table)
    else:
        console.print(
            f"No pass by day in {(forecast.end - forecast.start).days} days from {forecast.start:%Y-%m-%d %H:%M} UTC."
        )
    console.print()
    for text in (SEEN, *forecast.basis):
        console.print(text, style="dim", highlight=False)


def _tiles(overpass: Pass) -> str:
    names = [tile.name for tile in overpass.tiles]
    return " ".join(names) if len(names) <= 4 else f"{' '.join(names[:3])} and {len(names) - 3} more"
