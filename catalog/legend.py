"""A legend: what the values of labels and maps mean. Unknown is not background."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from catalog.errors import RequestError
from catalog.guards.csv_text import read_rows
from catalog.guards.numbers import Name
from catalog.guards.refusal import first_problem, reason
from catalog.products import Frozen
from catalog.quoting import shown

Role = Literal["class", "background", "ignore"]

MAP_BACKGROUND = 0
"""Map value of known non-crop."""

MAP_NO_DATA = 255
"""Map value where nothing is said."""

NONE_OF_THESE = "none of these"
"""What reference data call what is certainly none of a map's classes: the map is wrong there, whatever it shows."""

OUTSIDE = "outside the crop mask"
"""Name of a map's background where its legend knows none."""

Code = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A code of labels: what a raster or a column of integers can hold."""

_COLUMNS = ("source_code", "value", "name", "colour", "role")


def spelled(name: str) -> str:
    """A name as it is compared: without case, and with single blanks."""
    return " ".join(name.split()).casefold()


class LegendClass(Frozen):
    """One entry: what the source calls it, what the map calls it."""

    value: Annotated[int, Field(ge=0, le=254, description="map value; 0 for background and ignore")]
    name: Annotated[Name, Field(description="English")]
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$", description="#rrggbb")]
    role: Role = "class"
    source_codes: Annotated[
        tuple[Code, ...], Field(description="codes of the labels that mean this; several where merged")
    ] = ()
    hcat: Annotated[Name | None, Field(description="code of the EuroCrops taxonomy")] = None

    @property
    def rgb(self) -> tuple[int, int, int]:
        return int(self.colour[1:3], 16), int(self.colour[3:5], 16), int(self.colour[5:7], 16)


class Legend(Frozen):
    """Classes by map value. `classes` are mapped; `background` is known non-crop; what no entry names is unknown."""

    entries: tuple[LegendClass, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Legend:
        values = [entry.value for entry in self.entries if entry.role == "class"]
        if not values:
            raise ValueError("a legend needs at least one entry of role 'class'")
        if min(values) < 1 or len(set(values)) != len(values):
            raise ValueError(f"values of classes must be different and 1 to 254, got {sorted(values)}")
        if misplaced := [
            entry for entry in self.entries if entry.role == "background" and entry.value != MAP_BACKGROUND
        ]:
            raise ValueError(
                f"background ({misplaced[0].name}) has the value {MAP_BACKGROUND}, not {misplaced[0].value}"
            )
        named: dict[str, LegendClass] = {}
        for entry in self.mapped:
            if spelled(entry.name) == NONE_OF_THESE:
                raise ValueError(
                    f"no class can be called {shown(entry.name)}: so reference data call what is none of them"
                )
            other = named.setdefault(spelled(entry.name), entry)
            if other is not entry:  # tables, references and declared crops tell classes apart by their names
                raise ValueError(
                    f"the values {other.value} and {entry.value} are both called {shown(entry.name)}; one class has one value"
                )
        codes = [code for entry in self.entries for code in entry.source_codes]
        if len(set(codes)) != len(codes):
            raise ValueError(
                f"a source code stands in two entries: {sorted(c for c in set(codes) if codes.count(c) > 1)}"
            )
        return self

    @property
    def classes(self) -> tuple[LegendClass, ...]:
        """The entries that the map can show beside background, by value."""
        return tuple(sorted((entry for entry in self.entries if entry.role == "class"), key=lambda entry: entry.value))

    @property
    def background(self) -> LegendClass | None:
        return next((entry for entry in self.entries if entry.role == "background"), None)

    @property
    def mapped(self) -> tuple[LegendClass, ...]:
        """Entries that a network tells apart, in the order of its outputs: background first where there is one."""
        return ((self.background,) if self.background else ()) + self.classes

    def same_classes(self, other: Legend) -> bool:
        """True when both tell the same things apart: value, name, role and source codes, whatever the colours."""

        def key(legend: Legend) -> list[tuple[int, str, str, tuple[int, ...]]]:
            return [(entry.value, entry.name, entry.role, tuple(sorted(entry.source_codes))) for entry in legend.mapped]

        return key(self) == key(other)


def read_legend(path: Path) -> Legend:
    """Read ``source_code,value,name,colour,role`` (an optional ``hcat`` too).

    Rows of one value and role are merged into one entry, called as the first of them.

    Raises `RequestError` naming the file, the line and what is wrong with it.
    """
    if not path.is_file():
        raise RequestError(f"legend: no file {path}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"legend {path} can't be read ({error}). Save it as CSV in UTF-8.") from error
    merged: dict[tuple[int, str], LegendClass] = {}
    for line, row in read_rows(text, _COLUMNS, lambda why: RequestError(f"legend {path}: {why}.")):
        try:
            entry = LegendClass(
                value=_integer(row, "value"),
                name=row["name"].strip(),
                colour=row["colour"].strip(),
                role=row["role"].strip(),  # pydantic checks the literal
                source_codes=(_integer(row, "source_code"),),
                hcat=row.get("hcat", "").strip() or None,
            )
        except ValueError as error:  # pydantic's own is one
            raise RequestError(f"legend {path}, line {line}: {_first(error)}") from error
        key = (entry.value, entry.role)
        known = merged.get(key)
        merged[key] = (
            entry
            if known is None
            else known.model_copy(update={"source_codes": known.source_codes + entry.source_codes})
        )
    try:
        return Legend(entries=tuple(merged.values()))
    except ValidationError as error:
        raise RequestError(f"legend {path}: {_first(error)}") from error


def background_entry(legend: Legend) -> LegendClass:
    """The legend's background, or what a crop mask leaves outside where the legend knows none."""
    return legend.background or LegendClass(value=MAP_BACKGROUND, name=OUTSIDE, colour="#eceae4", role="background")


def legend_of_codes(codes: Iterable[int]) -> Legend:
    """The legend of labels that come without one: every non-zero code is a class named by its code, 0 is unknown."""
    wanted = sorted({int(code) for code in codes} - {0})
    if not wanted:
        raise RequestError("labels: every pixel is 0 (unknown). Give labels that overlap the area.")
    return _legend_of({code: str(code) for code in wanted})


def legend_of_words(words: Sequence[str]) -> Legend:
    """The legend of labels that say classes in words and come without one: the first is code 1 and value 1, and so on."""
    return _legend_of(dict(enumerate(words, start=1)))


def _legend_of(names: dict[int, str]) -> Legend:
    if len(names) > 254:
        raise RequestError(
            f"labels: {len(names)} different codes and no legend; a map holds 254 classes. Give a legend that merges them."
        )
    try:
        return Legend(
            entries=tuple(
                LegendClass(value=value, name=name, colour=_spread_colour(value), source_codes=(code,))
                for value, (code, name) in enumerate(names.items(), start=1)
            )
        )
    except ValidationError as error:
        raise RequestError(f"labels: {_first(error)}. Give a legend, or call the classes otherwise.") from error


def _spread_colour(index: int) -> str:
    # Golden-ratio steps keep neighbouring values far apart on the hue circle.
    red, green, blue = colorsys.hsv_to_rgb((index * 0.618034) % 1.0, 0.55 + 0.25 * (index % 2), 0.85)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _integer(row: dict[str, str], column: str) -> int:
    text = row[column].strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
        raise ValueError(f"{column}: {shown(text)} is no integer that a file of codes can hold")
    return int(text)


def _first(error: ValueError) -> str:
    return first_problem(error) if isinstance(error, ValidationError) else reason(error)
