"""Names of a simulated product, and what its documents state beside the pixels."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt

from catalog.baseline import OFFSET_SINCE, baseline_number
from catalog.errors import RequestError
from catalog.grid import PIXEL, Window
from catalog.orbits.angles import Angles
from catalog.products import Level

NOTICE = "SYNTHETIC: made by Cropline's mission simulation, not measured by any satellite."
"""Notice that stands in every document and raster."""

CENTRE = "SYNT"
"""Name instead of the processing centre's, so that names of granules and datastrips say it too."""

EDGE = 10_980
"""Edge of a real tile, pixels of 10 m."""

GRID = 23
"""Nodes each way of the angles' grids, 5 km apart."""

_TILE = re.compile(r"\d{2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]")


@dataclass(frozen=True, slots=True)
class Granule:
    """One tile of one datatake at one level. Times are UTC."""

    level: Level
    platform: str
    tile: str
    """MGRS, such as 33TWM."""
    epsg: int
    upper_left: tuple[int, int]
    """Easting and northing of the tile's corner, m."""
    datatake_start: datetime
    datastrip_start: datetime
    sensed: datetime
    generated: datetime
    absolute_orbit: int
    relative_orbit: int
    """1 to 143."""
    baseline: str
    """Processing baseline such as 05.09."""
    angles: Angles
    """Angles at the middle of the tile."""
    sun_grid: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = field(default=None, compare=False)
    """(23, 23) zenith and azimuth, degrees, every 5 km from the corner; None: those of ``angles`` everywhere."""
    edge: int = EDGE
    """Pixels of 10 m along the tile, a multiple of 6. A smaller one makes a granule that no real archive holds, quickly."""

    def __post_init__(self) -> None:
        if not (0 < self.edge <= EDGE and self.edge % 6 == 0):
            raise RequestError(f"a tile has 6 to {EDGE:,} pixels along, a multiple of 6, not {self.edge}.")
        if not _TILE.fullmatch(self.tile):
            raise RequestError(f"{self.tile!r} is no tile. Tiles are named like 33TWM.")
        if baseline_number(self.baseline) is None:
            raise RequestError(f"{self.baseline!r} is no processing baseline. They look like 05.09.")
        # Southern tiles are laid out from the equator, whose northing of 10,000,000 m is no multiple of 60.
        west, north = self.upper_left
        if west % 60 or (north - (10_000_000 if self.epsg >= 32700 else 0)) % 60:
            raise RequestError(
                f"the corner of a tile lies at multiples of 60 m from easting 0 and the equator, not {self.upper_left}."
            )

    def at(self, level: Level, generated: datetime) -> Granule:
        """The same at another level."""
        return replace(self, level=level, generated=generated)

    @property
    def shifted(self) -> bool:
        """True where 1000 is added to its numbers and quality masks are rasters: both since baseline 04.00."""
        number = baseline_number(self.baseline)
        return number is not None and number >= OFFSET_SINCE

    @property
    def window(self) -> Window:
        """Window of the whole tile."""
        return Window(self.epsg, self.upper_left[0] // PIXEL, self.upper_left[1] // PIXEL, self.edge, self.edge)

    @property
    def name(self) -> str:
        """The product's, without ``.SAFE``."""
        return (
            f"{self.platform}_MSI{self.level}_{stamp(self.datatake_start)}_N{self.baseline.replace('.', '')}"
            f"_R{self.relative_orbit:03d}_T{self.tile}_{stamp(self.generated)}"
        )

    @property
    def datatake(self) -> str:
        return f"G{self.platform}_{stamp(self.datatake_start)}_{self.absolute_orbit:06d}_N{self.baseline}"

    @property
    def datastrip(self) -> str:
        return f"{self._of('DS')}_S{stamp(self.datastrip_start)}_N{self.baseline}"

    @property
    def granule(self) -> str:
        """Identifier in full."""
        return f"{self._of('TL')}_A{self.absolute_orbit:06d}_T{self.tile}_N{self.baseline}"

    @property
    def folder(self) -> str:
        """Name of the granule's folder in the product."""
        return f"{self.level}_T{self.tile}_A{self.absolute_orbit:06d}_{stamp(self.datastrip_start)}"

    @property
    def datastrip_folder(self) -> str:
        return f"DS_{CENTRE}_{stamp(self.generated)}_S{stamp(self.datastrip_start)}"

    @property
    def stem(self) -> str:
        """Text that the names of rasters begin with."""
        return f"T{self.tile}_{stamp(self.datatake_start)}"

    def image(self, name: str, metres: int) -> str:
        """Path of a band or map in the granule's folder, without ``.jp2``."""
        if self.level == "L1C":
            return f"IMG_DATA/{self.stem}_{name}"
        return f"IMG_DATA/R{metres}m/{self.stem}_{name}_{metres}m"

    def _of(self, what: str) -> str:
        return f"{self.platform}_OPER_MSI_{self.level}_{what}_{CENTRE}_{stamp(self.generated)}"


def stamp(time: datetime) -> str:
    """Time such as 20230815T095031, as names have it."""
    return f"{time:%Y%m%dT%H%M%S}"


def iso(time: datetime) -> str:
    """Time such as 2023-08-15T09:50:31.024Z, as documents have it."""
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"


@dataclass(frozen=True, slots=True)
class Content:
    """Statistics of a granule's pixels; shares in %."""

    classes: dict[int, float]
    """Shares of the seen pixels, by code of the scene classification."""
    nodata: float
    """Share of the tile without data."""
    footprint: tuple[tuple[float, float], ...]
    """Longitude and latitude around what was seen, closed."""
    aerosol: float
    vapour: float

    @property
    def cloudy(self) -> float:
        return sum(self.classes.get(code, 0.0) for code in (8, 9, 10))
