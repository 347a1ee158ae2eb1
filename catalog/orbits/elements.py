"""Two-line elements: read, checked, and told apart by satellite.

The format: Hoots and Roehrich (1980), Spacetrack Report No. 3; CelesTrak's three-line form puts a name above each pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sgp4.api import WGS72, Satrec
from sgp4.earth_gravity import wgs72
from sgp4.io import compute_checksum
from sgp4.io import twoline2rv as check_columns

from catalog.errors import RequestError
from catalog.guards.paths import user_path
from catalog.orbits.clock import DAY, time_of

CATALOGUE_NUMBERS: dict[int, str] = {40697: "S2A", 42063: "S2B", 60989: "S2C"}
"""Satellite catalogue numbers (NORAD) of the mission."""

JULIAN_2000 = 2451545.0
"""Julian date of 2000-01-01 12:00."""


@dataclass(frozen=True, eq=False)
class Elements:
    """Mean elements of one satellite at one time, ready for SGP4."""

    platform: str
    satrec: Satrec
    origin: str
    """Origin of the elements, for messages."""

    @property
    def epoch_seconds(self) -> float:
        """Epoch in s since J2000."""
        return float((self.satrec.jdsatepoch - JULIAN_2000) + self.satrec.jdsatepochF) * DAY

    @property
    def epoch(self) -> datetime:
        """UTC."""
        return time_of(self.epoch_seconds)


def read_elements(file: Path) -> list[Elements]:
    """The Sentinel-2 sets in a file of two-line or three-line elements, oldest first; other satellites' are passed over.

    Raises `RequestError` naming file and line: no such file, a line that is no element line or whose checksum is wrong, a pair
    that is torn apart, no set of Sentinel-2.
    """
    user_path(file, lambda why: RequestError(f"no file of two-line elements: {why}."))
    if not file.is_file():
        raise RequestError(f"no file of two-line elements {file}. Give the path of one, such as CelesTrak publishes.")
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise RequestError(f"{file} holds no two-line elements: it is no ASCII text. Give another file.") from error
    elements: list[Elements] = []
    first: tuple[int, str] | None = None
    for number, text in enumerate(lines, start=1):
        line = text.rstrip()
        where = f"{file}, line {number}"
        if line.startswith("1 ") and _is_element_line(line):
            if first is not None:
                raise RequestError(f"{file}, line {first[0]}: its second line is missing. Restore the pair.")
            _check_sum(line, where)
            first = (number, line)
        elif line.startswith("2 ") and _is_element_line(line):
            if first is None:
                raise RequestError(f"{where}: a second line without its first. Restore the pair.")
            _check_sum(line, where)
            elements += _elements(first[1], line, f"{file}, line {first[0]}")
            first = None
        elif first is not None:
            raise RequestError(f"{where}: the second line of a pair should stand here, not {line[:30]!r}.")
        elif line[:2] in ("1 ", "2 ") and len(line) > 24:
            raise RequestError(f"{where}: {len(line)} characters where an element line has 69. Fetch the file again.")
        elif len(line) > 26:
            raise RequestError(f"{where}: neither a name nor an element line: {line[:30]!r}. Give a file of elements.")
    if first is not None:
        raise RequestError(f"{file}, line {first[0]}: its second line is missing. Restore the pair.")
    if not elements:
        numbers = ", ".join(f"{number} ({platform})" for number, platform in CATALOGUE_NUMBERS.items())
        raise RequestError(f"{file} holds no elements of Sentinel-2: none of the catalogue numbers {numbers}.")
    return sorted(elements, key=lambda entry: entry.epoch_seconds)


def _is_element_line(line: str) -> bool:
    return len(line) == 69


def _check_sum(line: str, where: str) -> None:
    computed = compute_checksum(line)
    if line[68] != str(computed):
        raise RequestError(
            f"{where}: the checksum is {line[68]!r}, and the line's digits make {computed}: a character was changed. "
            "Fetch the file again."
        )


def _elements(first: str, second: str, where: str) -> list[Elements]:
    """The pair's set in a list, or none where it is another satellite's."""
    try:
        check_columns(first, second, wgs72)
        satrec = Satrec.twoline2rv(first, second, WGS72)
    except ValueError as error:
        reason = str(error).splitlines()[0].rstrip(":.")
        raise RequestError(f"{where}: not a pair of element lines: {reason}. Fetch the file again.") from error
    platform = CATALOGUE_NUMBERS.get(satrec.satnum)
    return [] if platform is None else [Elements(platform, satrec, where)]
