"""Places where data may be processed: work pools, what each has, and the operator's rules of which ground stays in which of them.

They stand in a JSON file, `places.json` of the store or the one that CROPLINE_PLACES names. A rule is compared with the ground that is
read: the cells of 10.24 km that an area touches. Without a file there is one place, this installation's own, and no rule.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import shapely
from pydantic import Field, model_validator
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from catalog.area import Area, parse_area
from catalog.area_file import area_value
from catalog.errors import RequestError
from catalog.grid import to_lonlat
from catalog.guards.json_text import parse_model
from catalog.guards.numbers import Name
from catalog.guards.paths import user_path
from catalog.products import Frozen
from catalog.quoting import shown
from catalog.storage.system_errors import refusal
from catalog.zone import Zone
from flows.request import AreaValue
from flows.settings import PLACE_NAME, Settings

FILE = "places.json"
"""File of the store that holds places and rules, where no other one is set."""

_STRAIGHT = 5_120.0
"""Metres along a cell's edge that are straight in degrees, too, to within a metre."""

PlaceName = Annotated[str, Field(pattern=PLACE_NAME)]


class Place(Frozen):
    """One work pool, and the machines whose workers serve it."""

    title: Annotated[str, Field(max_length=200, description="for people, such as where it stands and whose it is")] = ""
    gpu: Annotated[bool, Field(description="whether its machines have a GPU")] = False
    processors: Annotated[
        tuple[Name, ...], Field(description="those that it has; empty: all that are installed here")
    ] = ()


class Rule(Frozen):
    """Ground whose data stay in some places."""

    name: Annotated[Name, Field(description="for people, such as the country or the contract")]
    area: Annotated[
        AreaValue, Field(description="GeoJSON, a bbox, or a vector file's path, from where the rules' file lies")
    ]
    places: Annotated[tuple[PlaceName, ...], Field(min_length=1, description="where it may be processed")]


class PlacesFile(Frozen):
    """The content of the file."""

    places: Annotated[dict[PlaceName, Place], Field(min_length=1)]
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _rules_name_places(self) -> Self:
        for rule in self.rules:
            for place in rule.places:
                if place not in self.places:
                    raise ValueError(
                        f"the rule {shown(rule.name)} names a place {shown(place)} that is none; there are {', '.join(self.places)}"
                    )
        return self


@dataclass(frozen=True)
class WorkPlaces:
    """The places that an installation knows, and the rules with their ground."""

    here: str
    places: Mapping[str, Place]
    """By name, this installation's own first."""
    rules: tuple[tuple[Rule, Area], ...] = ()

    def refusals(self, area: Area, asked: Sequence[str]) -> dict[str, str]:
        """Why an area may not be processed in each of the places, this one first; empty where it may.

        ``asked``: places that the request names; none: all.
        """
        read: BaseGeometry = _read_for(area) if self.rules else area
        kept = [rule for rule, ground in self.rules if ground.intersection(read).area > 0]
        return {place: self._refusal(place, kept, asked) for place in self.places}

    @staticmethod
    def _refusal(place: str, rules: Sequence[Rule], asked: Sequence[str]) -> str:
        against = [
            f"the rule {shown(rule.name)} keeps data of the area in {' or '.join(rule.places)}"
            for rule in rules
            if place not in rule.places
        ]
        if asked and place not in asked:
            against.append(f"the request names only {', '.join(asked)}")
        return "; ".join(against)


def load_places(settings: Settings) -> WorkPlaces:
    """Read places and rules. Raises `RequestError`: the file can't be read or understood, or this installation's place isn't in it."""
    path = _file(settings)
    if path is None:
        return WorkPlaces(settings.place, {settings.place: Place()})

    def refuse(why: str) -> RequestError:
        return RequestError(f"places: {path}: {why}. Correct it: nothing is processed before the rules are known.")

    try:
        text = path.read_bytes()
    except OSError as error:
        raise refuse(f"it can't be read: {refusal(error, path)}") from error
    read = parse_model(PlacesFile, text, refuse, unique=True)  # of two lists of rules neither may be passed over
    if settings.place not in read.places:
        raise refuse(
            f"this installation's place {shown(settings.place)} (CROPLINE_PLACE) is none of its places, {', '.join(read.places)}"
        )
    names = sorted(read.places, key=lambda name: name != settings.place)
    rules = tuple((rule, _ground(rule, path.parent, refuse)) for rule in read.rules)
    return WorkPlaces(settings.place, {name: read.places[name] for name in names}, rules)


def check_places(area: Area, asked: Sequence[str], settings: Settings, *, routes: bool) -> None:
    """See that an area may be processed somewhere: here, or with ``routes`` in any place. Raises `RequestError`."""
    known = load_places(settings)
    if routes and (unknown := [place for place in asked if place not in known.places]):
        raise RequestError(
            f"places: there is no {', '.join(map(shown, unknown))}. There are: {', '.join(known.places)}."
        )
    refusals = known.refusals(area, asked)
    allowed = [place for place, against in refusals.items() if not against]
    if routes and not allowed:
        listed = "; ".join(f"in {place} {against}" for place, against in refusals.items())
        raise RequestError(
            f"places: the area may be processed in no place that the request allows: {listed}. Name other places, or ask for another area."
        )
    if not routes and refusals[known.here]:
        elsewhere = (
            f"It may be in {', '.join(allowed)}: send a map's request to the server, `prefect deployment run crop-map/request`, which "
            "hands it on; anything else has to be started there."
            if allowed
            else "No other place that is known here may either."
        )
        raise RequestError(
            f"places: the area may not be processed here, in {known.here}: {refusals[known.here]}. {elsewhere}"
        )


def _file(settings: Settings) -> Path | None:
    if settings.places is not None:
        return user_path(settings.places, lambda why: RequestError(f"CROPLINE_PLACES: {why}. Correct or unset it."))
    usual = settings.open_store(create=False).root / FILE
    return usual if os.path.lexists(usual) else None  # a link that leads nowhere is no installation without rules


def _ground(rule: Rule, folder: Path, refuse: Any) -> Area:
    """The ground of a rule, longitude and latitude."""
    area = rule.area
    if isinstance(area, str) and not area.startswith("tile:"):
        area = str(user_path(area, refuse, base=folder))
    try:
        return parse_area(area_value(area))
    except RequestError as error:
        raise refuse(f"the rule {shown(rule.name)}: {str(error).rstrip('.')}") from error


def _read_for(area: Area) -> BaseGeometry:
    """The ground that is read for an area: cells are read whole."""
    zone = Zone.of(area)
    cells = shapely.union_all([box(*cell.window.bounds) for cell in zone.cells])
    return to_lonlat(shapely.segmentize(cells, _STRAIGHT), zone.epsg)
