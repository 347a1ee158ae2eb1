"""The names of flow runs, by which they are told apart in a list: what, when, where, and which run of the store."""

from __future__ import annotations

from pydantic import ValidationError
from shapely.geometry.base import BaseGeometry

from catalog.antimeridian import centre
from catalog.errors import RequestError
from flows.request import MapRequest
from flows.request_paths import with_paths
from flows.settings import Settings

DIGITS = 6
"""Of the digest that names the run's folder in the store."""


def run_name(what: str, parameters: dict[str, object], settings: Settings) -> str:
    """Such as ``crop-map 2019 50.75N 4.06E 1f0c3a``; without area and digest where the parameters make no request."""
    known = {name: value for name, value in parameters.items() if value is not None}
    try:
        request = with_paths(MapRequest.model_validate(known), settings.folder, settings)
        area = request.polygon
    except (ValidationError, RequestError):
        return f"{what} {parameters.get('year')}"
    return f"{what} {request.year} {position(area)} {request.digest[:DIGITS]}"


def position(area: BaseGeometry) -> str:
    """The middle of an area in hundredths of a degree, such as ``33.87S 151.21E``."""
    x, y = centre(area)
    return f"{abs(y):.2f}{'S' if y < 0 else 'N'} {abs(x):.2f}{'W' if x < 0 else 'E'}"
