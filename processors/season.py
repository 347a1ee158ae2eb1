"""Choice of the acquisitions that a request uses: fractions over the requested area, one sorted list for all its cells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

import numpy as np
from pydantic import AwareDatetime, Field

from catalog.antimeridian import centre
from catalog.area import Area
from catalog.errors import NotEnoughAcquisitionsError, Reason
from catalog.grid import to_zone
from catalog.orbits.sun import sun_angles
from catalog.products import CROP_BANDS, LEVEL_BANDS, UNKNOWN, Acquisition, Frozen, Level, Order
from catalog.storage.store import Store
from processors.cube.pixel_source import OffsetFinding
from processors.ingest.offset import SHIFT
from processors.offset_suspicion import suspicions
from processors.season_counts import AreaCounts, count_over_area

NO_STATEMENT = "nothing says so"
"""Beginning of what sources write where an offset of 0 is not said by anything."""

LOW_SUN_ZENITH = 70.0
"""Zenith of the sun above which it stands low, degrees."""


class SeasonAcquisition(Frozen):
    """Acquisition that may be used, and whether it is."""

    id: str
    time: AwareDatetime
    platform: str
    relative_orbit: Annotated[str, Field(description="such as R051; 'unknown' also in older seasons")] = UNKNOWN
    baseline: str
    cloud_cover: Annotated[float | None, Field(description="of the tiles, %")]
    valid_fraction: Annotated[float, Field(description="part of the area with data")]
    clear_fraction: Annotated[float, Field(description="part of the area that is clear")]
    sun_zenith: Annotated[float, Field(description="degrees; computed where the source doesn't say")]
    products: tuple[str, ...]
    offset_from: Annotated[str, Field(description="what the radiometric offset was taken from")] = ""
    offset_check: Annotated[str, Field(description="whether the numbers agree with it")] = ""
    offset_finding: Annotated[
        OffsetFinding | None, Field(description="the same as a kind; none where it has several, or in older seasons")
    ] = None
    contents: Annotated[
        dict[str, str], Field(description="names what each cell holds of it, pixels and mask; by cell")
    ] = {}
    offset_given: Annotated[
        dict[str, int], Field(description="offset that the request gives, by product, units of 1e-4 reflectance")
    ] = {}
    of_other_year: Annotated[bool, Field(description="of a year that the season is compared with")] = False
    used: bool
    reason: Annotated[str, Field(description="why it is not used, for people; empty where it is")]
    kind: Annotated[
        Reason | None, Field(description="of what kind the reason is; none where it is used, or in older seasons")
    ] = None

    @property
    def low_sun(self) -> bool:
        """True less than 20° above the horizon: shadows are long and reflectance less certain. Flagged, and used all the same."""
        return self.sun_zenith > LOW_SUN_ZENITH


class Season(Frozen):
    """Decision of `choose_season`."""

    level: Level
    start: Annotated[AwareDatetime, Field(description="first instant of the season, UTC")]
    acquisitions: Annotated[tuple[SeasonAcquisition, ...], Field(description="all candidates, sorted by time")]
    bands: Annotated[tuple[str, ...], Field(description="bands present in every acquisition used, in the cube's order")]
    masks: Annotated[
        tuple[dict[str, Any], ...],
        Field(
            description="version and options that the acquisitions used were masked with; one entry where all are alike"
        ),
    ] = ()

    @property
    def used(self) -> tuple[SeasonAcquisition, ...]:
        """All that are used, by time, those of other years too."""
        return tuple(acquisition for acquisition in self.acquisitions if acquisition.used)

    @property
    def own(self) -> tuple[SeasonAcquisition, ...]:
        """Those used of the season itself."""
        return tuple(acquisition for acquisition in self.used if not acquisition.of_other_year)

    @property
    def compared_with(self) -> tuple[SeasonAcquisition, ...]:
        """Those used of other years."""
        return tuple(acquisition for acquisition in self.used if acquisition.of_other_year)

    @property
    def crop_bands(self) -> tuple[str, ...]:
        """Bands that models learn from: those made for the land that every acquisition holds."""
        return tuple(band for band in CROP_BANDS if band in self.bands)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on offsets that picture, table and report must show first."""
        notes = []
        suspect = [one.id for one in self.acquisitions if one.kind is Reason.OFFSET_SUSPICIOUS]
        if suspect:
            notes.append(
                f"{len(suspect)} acquisition{'s' * (len(suspect) > 1)} left out: "
                f"the numbers look as if a radiometric offset were missing, which nothing "
                f"says. {offset_remedy(suspect)}"
            )
        told = {one.offset_from for one in self.acquisitions if one.offset_finding is OffsetFinding.FITS}
        unknown = [
            one.id for one in self.used if one.offset_from.startswith(NO_STATEMENT) and one.offset_from not in told
        ]
        if unknown:
            notes.append(
                f"Nothing says which radiometric offset {len(unknown)} of the acquisitions used have, and their numbers don't tell: "
                f"taken as 0. They are {_listed(unknown)}."
            )
        given = sorted({(one.id, value) for one in self.used for value in one.offset_given.values()})
        if given:
            notes.append(
                "Radiometric offsets as the request gives them, not the source (units of 0.0001 reflectance): "
                f"{_listed([f'{name} {value}' for name, value in given])}."
            )
        return tuple(notes)

    @property
    def lacking(self) -> tuple[str, ...]:
        """The level's other bands: not there, or not in every acquisition used."""
        return tuple(band for band in LEVEL_BANDS[self.level] if band not in self.bands)

    def days(self, start: datetime) -> tuple[int, ...]:
        """Whole days (UTC dates) from ``start`` to each acquisition used; negative where one is of a year before."""
        return days_since(start, self.used)


def days_since(start: datetime, acquisitions: Sequence[Acquisition] | Sequence[SeasonAcquisition]) -> tuple[int, ...]:
    """Whole days (UTC dates) from ``start`` to each acquisition; negative before it."""
    return tuple((acquisition.time.date() - start.date()).days for acquisition in acquisitions)


def choose_season(
    store: Store,
    order: Order,
    area: Area,
    epsg: int,
    min_clear: float,
    min_acquisitions: int,
    bands: Iterable[str] | None = None,
) -> Season:
    """Take the acquisitions of the order that are clear over at least ``min_clear`` (0 to 1) of the area.

    A pixel belongs to the area where its centre does; one without data counts as not clear. ``bands``: an acquisition that lacks one
    of them anywhere in the area is not used; by default those are insisted on that most of the clear acquisitions hold, so that
    one broken file costs a date and not a band. One whose numbers look as if an offset were missing is not used, unless the request
    gives the offset. Acquisitions of other years are judged alike and don't count towards ``min_acquisitions``.
    Raises `NotEnoughAcquisitionsError` below ``min_acquisitions``, with every date and its fractions.
    """
    zone_area = to_zone(area, epsg)
    others = set(order.other_years)
    counts, pixels = count_over_area(store, order, zone_area, epsg)
    suspect = suspicions({name: counted.offset for name, counted in counts.items()})
    ordered = sorted(order.acquisitions, key=lambda acquisition: (acquisition.time, acquisition.id))

    def judged(needed: Sequence[str]) -> list[SeasonAcquisition]:
        return [
            _judge(
                acquisition,
                counts[acquisition.id],
                pixels,
                min_clear,
                needed,
                order.level,
                area,
                suspect.get(acquisition.id, ""),
            ).model_copy(update={"of_other_year": acquisition.id in others})
            for acquisition in ordered
        ]

    candidates = judged(tuple(bands) if bands is not None else _usual_bands(judged(()), counts, order.level))
    used = [candidate for candidate in candidates if candidate.used]
    own = [candidate for candidate in candidates if not candidate.of_other_year]
    usable = sum(candidate.used for candidate in own)
    if usable < max(1, min_acquisitions):
        raise NotEnoughAcquisitionsError(
            _too_few(own, min_clear, max(1, min_acquisitions)),
            without_data=all(candidate.kind is Reason.NO_DATA for candidate in own),
            usable=usable,
        )
    common = np.ones(len(LEVEL_BANDS[order.level]), bool)
    for candidate in used:
        present = counts[candidate.id].bands
        common &= False if present is None else present
    names = tuple(name for name, present in zip(LEVEL_BANDS[order.level], common, strict=True) if present)
    masks = sorted(set().union(*(counts[candidate.id].masks for candidate in used)))
    return Season(
        level=order.level,
        start=order.start,
        acquisitions=tuple(candidates),
        bands=names,
        masks=tuple(json.loads(record) for record in masks if record),
    )


def _usual_bands(
    candidates: Sequence[SeasonAcquisition], counts: dict[str, AreaCounts], level: Level
) -> tuple[str, ...]:
    """The bands that more than half of the acquisitions hold that are clear enough."""
    used = (counts[candidate.id].bands for candidate in candidates if candidate.used)
    held = [present for present in used if present is not None]
    if not held:
        return ()
    usual = np.mean(held, axis=0) > 0.5
    return tuple(name for name, wanted in zip(LEVEL_BANDS[level], usual, strict=True) if wanted)


def _judge(
    acquisition: Acquisition,
    counts: AreaCounts,
    pixels: int,
    min_clear: float,
    needed: Sequence[str],
    level: Level,
    area: Area,
    suspicion: str,
) -> SeasonAcquisition:
    valid, clear = counts.valid / max(1, pixels), counts.clear / max(1, pixels)
    missing = [band for band in needed if counts.bands is None or not counts.bands[LEVEL_BANDS[level].index(band)]]
    kind, reason = None, ""
    if counts.valid == 0 and counts.unmasked:
        kind, reason = Reason.NOT_MASKED, "its mask could not be made"
    elif counts.valid == 0:
        kind, reason = Reason.NO_DATA, "no data in the area"
    elif suspicion and (clear >= min_clear or level == "L1C"):  # whose mask is made of the same numbers
        kind, reason = Reason.OFFSET_SUSPICIOUS, suspicion
    elif missing:
        kind, reason = Reason.LACKS_BANDS, f"without {', '.join(missing)}"
    elif clear < min_clear:
        kind, reason = Reason.TOO_CLOUDY, f"clear over {clear:.3f} of the area, under min_clear {min_clear:g}"
    return SeasonAcquisition(
        id=acquisition.id,
        time=acquisition.time,
        platform=acquisition.platform,
        relative_orbit=acquisition.relative_orbit,
        baseline="+".join(sorted({source.baseline for source in counts.sources.values()})) or acquisition.baseline,
        cloud_cover=acquisition.cloud_cover,
        valid_fraction=valid,
        clear_fraction=clear,
        sun_zenith=_zenith(acquisition, area),
        products=_products(acquisition, counts),
        offset_from="; ".join(sorted(counts.offset.said_by)),
        offset_check="; ".join(sorted(counts.offset.checks)),
        offset_finding=next(iter(counts.offset.findings)) if len(counts.offset.findings) == 1 else None,
        contents=counts.contents,
        offset_given={product.id: product.offset for product in acquisition.products if product.offset is not None},
        used=kind is None,
        reason=reason,
        kind=kind,
    )


def _products(acquisition: Acquisition, counts: AreaCounts) -> tuple[str, ...]:
    """Ids of those that the pixels are from, whatever the catalogue lists now; of those ordered where there are no pixels."""
    ordered = [product.id for product in acquisition.products]
    if not counts.sources:
        return tuple(ordered)
    read = sorted(counts.sources, key=lambda name: (ordered.index(name) if name in ordered else len(ordered), name))
    return tuple(read)


def _zenith(acquisition: Acquisition, area: Area) -> float:
    if acquisition.sun_zenith is not None:
        return acquisition.sun_zenith
    return sun_angles(acquisition.time, *centre(area))[0]


def offset_remedy(suspect: Sequence[str]) -> str:
    """What a user can do for acquisitions with suspicious offsets."""
    example = json.dumps({suspect[0]: -SHIFT})
    return (
        f"Correct the catalogue, or say the offset in the request: offset {example} takes it from the numbers, 0 takes them as they "
        f"are. They are {_listed(suspect)}."
    )


def _listed(names: Sequence[str]) -> str:
    most = 5
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _too_few(candidates: Sequence[SeasonAcquisition], min_clear: float, min_acquisitions: int) -> str:
    used = sum(candidate.used for candidate in candidates)
    lines = [
        f"  {candidate.time:%Y-%m-%d} {candidate.id}: valid {candidate.valid_fraction:.3f}, clear {candidate.clear_fraction:.3f}"
        f" {'used' if candidate.used else f'not used ({candidate.reason})'}"
        f"{f', sun only {90 - candidate.sun_zenith:.0f}° high' if candidate.low_sun else ''}"
        for candidate in candidates
    ]
    return (
        f"{used} of {len(candidates)} acquisitions can be used, {min_acquisitions} are needed (min_acquisitions). "
        f"{_remedy(candidates, min_clear, min_acquisitions)}\n" + "\n".join(lines)
    )


def _remedy(candidates: Sequence[SeasonAcquisition], min_clear: float, min_acquisitions: int) -> str:
    suspect = [candidate.id for candidate in candidates if candidate.kind is Reason.OFFSET_SUSPICIOUS]
    if suspect and sum(candidate.used for candidate in candidates) + len(suspect) >= min_acquisitions:
        return (
            f"{len(suspect)} are left out because their numbers look as if a radiometric offset were missing. "
            f"{offset_remedy(suspect)}"
        )
    if all(candidate.kind is Reason.NO_DATA for candidate in candidates):
        return "None of them has a pixel with data in the area: other months won't help while that is so."
    # those that only a lower min_clear stands between
    eligible = [candidate for candidate in candidates if candidate.used or candidate.kind is Reason.TOO_CLOUDY]
    clearest = sorted((candidate.clear_fraction for candidate in eligible), reverse=True)
    others = "Ask for more months (months), allow cloudier tiles (max_cloud) or need fewer dates (min_acquisitions)."
    if len(clearest) >= min_acquisitions and clearest[min_acquisitions - 1] > 0:
        enough = np.floor(clearest[min_acquisitions - 1] * 1000) / 1000
        if 0 < enough < min_clear:
            others = f"With min_clear {enough:g} instead of {min_clear:g} there are enough. {others}"
    covered = max(candidate.valid_fraction for candidate in candidates)
    if covered < min_clear:  # no sky is clear enough for that
        return (
            f"None of them has data over more than {covered:.3f} of the area: each misses the rest, cloudy or not. Ask for the part "
            f"that the source covers. {others}"
        )
    return others
