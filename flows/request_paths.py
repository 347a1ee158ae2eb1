"""Paths of a request: made absolute, from the folder that its command runs in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from catalog.area_tile import is_tile
from catalog.errors import RequestError
from catalog.guards.paths import user_path
from catalog.sources.presets import address_of
from flows.request import MapRequest
from flows.settings import Settings

PATHS = ("labels", "legend", "crop_mask", "parcels", "output")
"""Parameters that are paths; they become absolute, relative to where the command runs."""

PATH_LIKE = (*PATHS, "model", "source", "area")


def with_paths(request: MapRequest, base: Path, settings: Settings) -> MapRequest:
    """The request with its paths made absolute, and the source of the settings where it names none. Raises `RequestError`."""
    return request.model_copy(update={name: path_of(request, name, base, settings) for name in PATH_LIKE})


def path_of(request: MapRequest, name: str, base: Path, settings: Settings) -> Any:
    """The absolute path, address or name that a parameter means; an area that is no path is itself."""
    value = getattr(request, name)
    if name == "source":
        value = value or settings.source
        return None if value is None else absolute_source(value, base)
    if not isinstance(value, str) or (name == "area" and is_tile(value)):
        return value
    path = _absolute(name, value, base)
    return path if name != "model" or Path(path).is_dir() else value


def _absolute(name: str, path: str, base: Path) -> str:
    if "://" in path:
        return path
    return str(
        user_path(path, lambda why: RequestError(f"{name}: {why}. Give the path of a file or folder."), base=base)
    )


def absolute_source(address: str, base: Path) -> str:
    """A source's address, a preset's or with its path made absolute; URLs and what is no path stay as they are. Raises `RequestError`."""
    address = address_of(address)
    match = re.fullmatch(r"(stac|safe):(?!//)(.+)", address)
    if match is None:
        return address
    scheme, path = match.groups()
    return f"{scheme}:{_absolute('source', path, base)}"
