"""Columns of tables and vector files, by what they say: classes as codes or in words, numbers of rows, radii of points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from catalog.errors import RequestError
from catalog.guards.numbers import finite
from catalog.legend_words import word_of
from catalog.quoting import shortened, shown

CODE_COLUMNS = ("source_code", "code", "crop_code")
"""Names of columns of integer codes."""

WORD_COLUMNS = ("class", "crop", "crop_type", "crop_name", "label", "class_name", "land_cover")
"""Names of columns that may say classes in words, where none holds codes."""

ROW_NUMBERS = ("fid", "id", "gid", "objectid", "ogc_fid")
"""Names of columns that number rows and say no class."""

ID_COLUMNS = ("id", "sample_id", "point_id")
"""Names of columns that say which point or parcel a row is."""

RADIUS_COLUMNS = ("radius", "radius_m")
"""Names of columns of the radius of the parcel around a point, m."""

MOST_RADIUS = 250.0
"""Radius of a round parcel at most, m: of 20 ha, more than most fields have."""

_SHAPEFILE = 10
"""Letters that a shapefile cuts names to."""


def called(names: Iterable[str], known: Sequence[str]) -> list[str]:
    """Those of ``names`` that are among ``known``, whatever their case, in the order of ``known``."""
    listed = [name for name in names if name]
    keys = [(known.index(whole), name) for name in listed if (whole := _whole(name, known)) is not None]
    return [name for _, name in sorted(keys, key=lambda key: key[0])]


def chosen(names: Sequence[str], wanted: str, what: str, where: str) -> str:
    """The column of that name, or the only one that differs in its case alone. Raises `RequestError`, which calls the field ``what``."""
    fitting = [name for name in names if name == wanted] or [
        name for name in names if name.casefold() == wanted.casefold()
    ]
    if len(fitting) != 1:
        listed = shortened(", ".join(names), 300) or "none"
        raise RequestError(f"{what}: {where} has no column {shown(wanted)}. It has {listed}.")
    return fitting[0]


def _whole(name: str, known: Sequence[str]) -> str | None:
    lower = name.strip().casefold()
    return next((whole for whole in known if lower in (whole, whole[:_SHAPEFILE])), None)


def radius_of(value: Any, usual: float) -> float | None:
    """The radius that a field says, the usual one where it is empty; None where it is no number from 0 to `MOST_RADIUS`."""
    word = word_of(value)
    radius = usual if word is None else finite(word)
    return radius if radius is not None and 0 <= radius <= MOST_RADIUS else None
