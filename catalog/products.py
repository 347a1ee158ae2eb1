"""Models of Sentinel-2 products: bands, levels, products, acquisitions and the order made of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from catalog.errors import ProductError, Reason
from catalog.guards.numbers import Address, Azimuth, Identifier, Offset, Percent, ProductTime, RelativeOrbit, Zenith
from catalog.networks import Network
from catalog.quoting import presentable

Level = Literal["L1C", "L2A"]

UNKNOWN = "unknown"
"""Word written wherever the source doesn't say: never guessed, never left empty."""

NO_DATA = 0
"""Cube value of a pixel without data."""

SATURATED = 65535
"""Cube (and SAFE) value of a saturated pixel: it has data and is not clear."""

REFLECTANCE_SCALE = 1e-4
"""Reflectance = cube value x this."""


class Frozen(BaseModel):
    """A value: immutable, strict about unknown fields, its numbers finite, written to and read from JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Band(Frozen):
    """One band of the MultiSpectral Instrument."""

    name: str
    wavelength: Annotated[float, Field(description="central wavelength of Sentinel-2A, nm")]
    resolution: Annotated[int, Field(description="ground sampling distance, m")]
    common_name: Annotated[str, Field(description="name of the STAC `eo` extension and of Earth Search's assets")]


# Central wavelengths of S2A: Sentinel-2 User Handbook (ESA, 2015), table 1, updated by the MSI spectral responses 3.0.
BANDS: dict[str, Band] = {
    name: Band(name=name, wavelength=wavelength, resolution=resolution, common_name=common_name)
    for name, wavelength, resolution, common_name in (
        ("B01", 442.7, 60, "coastal"),
        ("B02", 492.7, 10, "blue"),
        ("B03", 559.8, 10, "green"),
        ("B04", 664.6, 10, "red"),
        ("B05", 704.1, 20, "rededge1"),
        ("B06", 740.5, 20, "rededge2"),
        ("B07", 782.8, 20, "rededge3"),
        ("B08", 832.8, 10, "nir"),
        ("B8A", 864.7, 20, "nir08"),
        ("B09", 945.1, 60, "nir09"),
        ("B10", 1373.5, 60, "cirrus"),
        ("B11", 1613.7, 20, "swir16"),
        ("B12", 2202.4, 20, "swir22"),
    )
}

LEVEL_BANDS: dict[str, tuple[str, ...]] = {
    "L1C": tuple(BANDS),
    "L2A": tuple(name for name in BANDS if name != "B10"),
}
"""The fixed band axis of a cube, by level. L2A has no cirrus band."""

CROP_BANDS: tuple[str, ...] = tuple(name for name, band in BANDS.items() if band.resolution <= 20)
"""The ten bands that see the land at 10 or 20 m; those of 60 m are made for the atmosphere and blur fields."""

MASK_ASSETS: dict[str, tuple[str, ...]] = {"L1C": (), "L2A": ("SCL", "CLD")}
"""Assets that a source may offer beside the bands: the scene classification and the cloud probability of Sen2Cor (%)."""


class Asset(Frozen):
    """Address of the pixels of one band of one product for GDAL, and how to read them."""

    href: Address
    nodata: Annotated[float | None, Field(allow_inf_nan=True, description="raw value that means no data")] = 0
    offset: Annotated[Offset, Field(description="added to valid raw numbers, in units of 1e-4 reflectance")] = 0
    offset_from: Annotated[str, Field(description="what said so: a flag, the baseline, the metadata")] = UNKNOWN
    warped: Annotated[str, Field(description="what the source itself resampled onto the grid; empty: nothing")] = ""
    networks: Annotated[
        tuple[Network, ...], Field(description="those that a URL, and where it redirects to, may lie on")
    ] = (Network.PUBLIC,)
    size: Annotated[int | None, Field(ge=0, description="bytes of the file, where its description says so")] = None
    signed_for: Annotated[
        str, Field(description="collection of the Planetary Computer whose token opens a URL; empty: it needs none")
    ] = ""
    gdal_env: Annotated[dict[str, str], Field(repr=False, exclude=True, description="GDAL options to open it")] = {}


class Reception(Frozen):
    """Reception of an acquisition on the ground and its processing into products, where a source knows; UTC."""

    station: Annotated[str, Field(description="ground station that received it")]
    downlinked: Annotated[
        AwareDatetime, Field(description="end of the contact in which the last of it came to the ground")
    ]
    l1c_ready: AwareDatetime
    l2a_ready: AwareDatetime


class Product(Frozen):
    """One granule as a source lists it. It carries no pixels' addresses: the source's `assets` makes those."""

    id: Identifier
    href: Annotated[Address, Field(description="where its description lies, for the source that listed it")]
    level: Level
    time: Annotated[ProductTime, Field(description="sensing time, UTC")]
    tile: Annotated[str, Field(description="MGRS tile such as 31UES")] = UNKNOWN
    platform: Annotated[str, Field(description="S2A, S2B, S2C")] = UNKNOWN
    datatake: Annotated[str, Field(description="datatake start and absolute orbit, e.g. 20230815T095031_042547")] = (
        UNKNOWN
    )
    datastrip: Annotated[str, Field(description="datastrip sensing start, e.g. S20230815T095630")] = UNKNOWN
    relative_orbit: Annotated[RelativeOrbit, Field(description="1 to 143 as R079")] = UNKNOWN
    baseline: Annotated[str, Field(description="processing baseline, e.g. 05.09")] = UNKNOWN
    generation_time: AwareDatetime | None = None
    cloud_cover: Annotated[Percent | None, Field(description="of the whole tile, %")] = None
    sun_zenith: Annotated[Zenith | None, Field(description="mean, degrees")] = None
    sun_azimuth: Annotated[Azimuth | None, Field(description="mean, degrees from north, clockwise")] = None
    footprint: Annotated[dict[str, Any], Field(description="GeoJSON geometry, longitude and latitude")]
    offset: Annotated[
        Offset | None,
        Field(description="given by a request in place of what the source says, units of 1e-4 reflectance"),
    ] = None
    synthetic: bool = False
    reception: Reception | None = None
    content: Annotated[
        str,
        Field(
            description="names what its files hold as the source tells: another one is to be read again; empty: not told"
        ),
    ] = ""
    older: Annotated[
        tuple[Product, ...], Field(description="its older versions, taken in this order where it can't be read")
    ] = ()


class Acquisition(Frozen):
    """All products of one datatake that touch the area: one date of the cube."""

    id: Annotated[
        str, Field(description="platform, time and orbit: names the acquisition in the cube, in logs and reports")
    ]
    time: Annotated[ProductTime, Field(description="earliest sensing time of its products, UTC")]
    platform: str = UNKNOWN
    relative_orbit: str = UNKNOWN
    baseline: str = UNKNOWN
    sun_zenith: Zenith | None = None
    sun_azimuth: Azimuth | None = None
    cloud_cover: Annotated[Percent | None, Field(description="mean over its tiles, %")] = None
    products: tuple[Product, ...]


class LeftOut(Frozen):
    """A product that was found and not taken, and why."""

    product: Annotated[
        str,
        AfterValidator(presentable),
        Field(description="its id, with the band or the cell behind where that alone is left out"),
    ]
    reason: Annotated[str, AfterValidator(presentable), Field(description="for people; no code reads it")]
    kind: Reason = Reason.UNKNOWN
    cause: Annotated[Reason | None, Field(description="why an older version is taken, where that is the kind")] = None

    @classmethod
    def because(cls, product: str, error: ProductError) -> LeftOut:
        """A product that an error makes unusable."""
        return cls(product=product, reason=str(error), kind=error.kind)

    @classmethod
    def of_other_level(cls, product: str, level: str) -> LeftOut:
        """A product of another level than the one asked for."""
        return cls(product=product, reason=f"other level: {level}", kind=Reason.OTHER_LEVEL)

    @property
    def denied(self) -> bool:
        """True where the source refuses it: asking again changes nothing."""
        return (self.cause or self.kind) is Reason.ACCESS_DENIED

    @property
    def passing(self) -> bool:
        """True where another attempt may succeed."""
        return (self.cause or self.kind) is Reason.NOT_REACHABLE


class Order(Frozen):
    """Selection that a request takes from a source: the acquisitions chosen, what was left out, and why."""

    source: Annotated[str, Field(description="the source's address, without credentials")]
    source_id: Annotated[str, Field(description="names the source in the store")]
    level: Level
    start: AwareDatetime
    end: Annotated[AwareDatetime, Field(description="exclusive")]
    synthetic: bool
    acquisitions: Annotated[tuple[Acquisition, ...], Field(description="sorted by time")]
    other_years: Annotated[
        tuple[str, ...], Field(description="ids of the acquisitions of other years, which the season is compared with")
    ] = ()
    left_out: tuple[LeftOut, ...] = ()
    holds: Annotated[
        str,
        Field(
            description="all that the source holds, and how much of it wasn't asked for, in words; empty where it doesn't tell"
        ),
    ] = ""

    @property
    def own(self) -> tuple[Acquisition, ...]:
        """The acquisitions of the season itself."""
        return tuple(acquisition for acquisition in self.acquisitions if acquisition.id not in self.other_years)


def season_period(year: int, months: tuple[int, int]) -> tuple[datetime, datetime]:
    """First instant of the season and the first one after it, UTC.

    ``(1, 7)`` is January to July of ``year``; ``(10, 7)`` starts in October of the year before.
    """
    first, last = months
    start = datetime(year - 1 if first > last else year, first, 1, tzinfo=UTC)
    end = datetime(year + 1, 1, 1, tzinfo=UTC) if last == 12 else datetime(year, last + 1, 1, tzinfo=UTC)
    return start, end


def season_months(year: int, months: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """(year, month) of every month of a season, by time; (10, 7) starts in October of the year before."""
    start, end = season_period(year, months)
    first, last = start.year * 12 + start.month - 1, end.year * 12 + end.month - 1
    return tuple((number // 12, number % 12 + 1) for number in range(first, last))
