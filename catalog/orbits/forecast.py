"""Forecast of the passes over an area: from the reference ground track or given elements, with what it rests on in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from shapely.geometry.base import BaseGeometry

from catalog.orbits.elements import Elements
from catalog.orbits.orbit import Flight, flights
from catalog.orbits.reference_track import AS_OF
from catalog.orbits.swath import Pass, passes_over
from catalog.orbits.timeline import Timeline, timelines


@dataclass(frozen=True)
class Forecast:
    """The passes by day over an area in a period; clouds and the plan of acquisitions aren't known."""

    start: datetime
    end: datetime
    """Exclusive."""
    flights: Sequence[Flight]
    passes: Sequence[Pass]

    @cached_property
    def timelines(self) -> list[Timeline | None]:
        """What becomes of each pass; None where a full memory loses it."""
        return timelines(self.flights, self.passes)

    @property
    def basis(self) -> tuple[str, ...]:
        """Sentences on what the passes were computed from, and how far that carries."""
        satellites: dict[str, list[str]] = {}
        for flight in self.flights:
            names = satellites.setdefault(flight.orbit.elements.origin, [])
            if flight.platform not in names:
                names.append(flight.platform)
        orbits = "; ".join(f"{', '.join(names)} by {origin}" for origin, names in satellites.items())
        notes = list(dict.fromkeys(flight.station.note for flight in self.flights if flight.station.note))
        if self.start > AS_OF + timedelta(days=365):
            notes.append(f"where the satellites stand is known as of {AS_OF:%Y-%m}; later moves are not in these dates")
        return (
            f"Orbits: {orbits}. Passes are right to about half a minute, L2A to some hours.",
            *(f"Note: {note}." for note in notes),
        )


def forecast(area: BaseGeometry, start: datetime, end: datetime, elements: Sequence[Elements] = ()) -> Forecast:
    """Compute the passes over an area (longitude, latitude) between two times; of satellites that ``elements`` has sets of, by these.

    Raises `RequestError` where nobody flew then, elements don't apply, or the area has no tile or too many.
    """
    flying = flights(start, end, elements)
    return Forecast(start, end, flying, passes_over(flying, area))
