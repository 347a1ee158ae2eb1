"""The provenance of a delivery: its request, its inputs, its model and its scores."""

from __future__ import annotations

from calendar import month_name
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field
from shapely.geometry import shape

from catalog.antimeridian import centre
from catalog.area import area_km2
from catalog.candidates import Candidate
from catalog.confidence import ConfidenceWorth
from catalog.orbits.timeline import Timeline
from catalog.products import Frozen, LeftOut, Level
from catalog.promotions import Promotion
from catalog.scores import EarlyCurve, EarlyScore, Score
from catalog.season_state import SeasonState, months_listed
from catalog.storage.store import digest
from processors.conformity.judge import ConformitySummary
from processors.delivery.changes import Changes
from processors.delivery.coming_passes import ComingPasses
from processors.season import Season, SeasonAcquisition
from processors.thematic.domain import Domain


class ModelUsed(Frozen):
    """The checkpoint that made the map."""

    name: str
    checksum: Annotated[str, Field(description="sha256 of its weights, hexadecimal")]
    summary: Annotated[
        dict[str, Any], Field(description="lines of the report: what it was trained on, its inputs")
    ] = {}
    early: Annotated[
        EarlyCurve | None,
        Field(
            description="its agreement with data to the end of each month; none where it was never scored so",
            exclude_if=lambda early: early is None,
        ),
    ] = None
    decision: Annotated[
        Promotion | None,
        Field(
            description="about the model that was trained for the request, this one or another; none where none was trained",
            exclude_if=lambda decision: decision is None,
        ),
    ] = None


class DeliveryFacts(Frozen):
    """Facts about a delivery beside its pixels."""

    request: Annotated[dict[str, Any], Field(description="as given, so that it can be run again")]
    request_digest: Annotated[str, Field(description="names the request; a delivery is replaced by its own only")]
    processor: Annotated[str, Field(description="name of the processor")]
    processor_title: str
    processor_version: str
    software_version: Annotated[str, Field(description="of Cropline")]
    source: Annotated[str, Field(description="the source's address, without credentials")]
    source_id: str
    source_holds: Annotated[
        str, Field(description="all that it holds, and how much of it wasn't asked for, in words")
    ] = ""
    level: Level
    synthetic: Annotated[bool, Field(description="made of simulated products: said in every file")]
    year: int
    period: Annotated[tuple[AwareDatetime, AwareDatetime], Field(description="season, the end exclusive")]
    state: Annotated[SeasonState, Field(description="which months were open: a map is preliminary until none is")]
    season: Annotated[Season, Field(description="every acquisition looked at, used or not")]
    left_out: tuple[LeftOut, ...] = ()
    model: ModelUsed | None = None
    candidates: Annotated[
        tuple[Candidate, ...],
        Field(
            description="what could have made the map: processors, models and places, the one taken and why not the others"
        ),
    ] = ()
    scores: tuple[Score, ...] = ()
    notes: Annotated[tuple[str, ...], Field(description="sentences that picture, table and report must show")] = ()
    epsg: Annotated[int, Field(description="UTM zone of the rasters")]
    area: Annotated[dict[str, Any], Field(description="GeoJSON geometry, longitude and latitude")]
    timelines: Annotated[
        dict[str, Timeline],
        Field(description="of the acquisitions used, where their source knows the way to the ground"),
    ] = {}
    coming: Annotated[ComingPasses | None, Field(description="passes that the next map may be made of")] = None
    changes: Annotated[Changes | None, Field(description="since the delivery that this one replaces")] = None
    conformity: Annotated[
        ConformitySummary | None, Field(description="verdicts on the parcels that the request declares")
    ] = None
    domain: Annotated[
        Domain | None, Field(description="how much is like what the model learnt from; none without a model")
    ] = None
    confidence: Annotated[
        ConfidenceWorth | None, Field(description="what the map's confidence is worth; none without a model")
    ] = None
    seconds: Annotated[dict[str, float], Field(description="by stage")] = {}
    created: AwareDatetime

    @property
    def status(self) -> Literal["preliminary", "final"]:
        return self.state.status

    @property
    def inputs(self) -> str:
        """Digest of what the pixels are made from: deliveries of one request with the same one are one map, made again."""
        used = [(acquisition.id, acquisition.products, acquisition.contents) for acquisition in self.season.used]
        model = None if self.model is None else self.model.checksum
        return digest([self.processor_version, self.status, model, used, self.season.masks])

    @property
    def used(self) -> tuple[SeasonAcquisition, ...]:
        """The acquisitions of the season that the result is made of, by time."""
        return self.season.own

    @property
    def products(self) -> tuple[str, ...]:
        """Ids of the products used, in the order of their acquisitions."""
        return tuple(product for acquisition in self.season.used for product in acquisition.products)

    @property
    def years(self) -> str:
        """Years of the acquisitions used: ``2019`` or ``2018-2019``."""
        times = [acquisition.time for acquisition in self.season.used] or [self.period[0]]
        first, last = min(times).year, max(times).year
        return str(first) if first == last else f"{first}-{last}"

    @property
    def notice(self) -> str:
        """The sentence that the licence of Copernicus Sentinel data asks for; simulated data are never passed off as real."""
        notice = f"Contains modified Copernicus Sentinel data {self.years}"
        if self.synthetic:
            return f"SYNTHETIC DATA, simulated and no observation (a real delivery would be marked: {notice})"
        return notice

    @property
    def software(self) -> str:
        return f"Cropline {self.software_version}"

    @property
    def title(self) -> str:
        """Product and year on one line, with what has to be known of it."""
        return self.heading + (" (SYNTHETIC DATA)" if self.synthetic else "")

    @property
    def heading(self) -> str:
        """Product and year."""
        return f"{self.processor_title}, {self.year}" + ("" if self.state.final else " (preliminary)")


def status_notes(state: SeasonState, season: Season, model: ModelUsed | None) -> tuple[str, ...]:
    """Sentences that a map of an unfinished season must show first; ``model``: what made it, where a model did."""
    if state.final:
        return ()
    last = max(acquisition.time for acquisition in season.own)
    still = f"{months_listed(state.open_months)} {'is' if len(state.open_months) == 1 else 'are'} still open"
    return (
        f"Preliminary: made of what was there up to {last:%Y-%m-%d}; {still}. The season is complete from "
        f"{state.complete_from:%Y-%m-%d} on." + ("" if model is None else f" {expected_now(state, model.early)}"),
    )


def expected_now(state: SeasonState, curve: EarlyCurve | None) -> str:
    """What a model reached with the months of an open season that are complete."""
    if curve is None:
        return "Its model was scored on whole seasons only: what is told of its scores doesn't hold yet."
    which = "simulated fields" if curve.simulated else "fields"
    whole = f"{curve.points[-1].oa:.2f} and {curve.points[-1].miou:.2f} with whole seasons"
    (_, first_open), *_ = state.open_months
    point = curve.at((first_open - 2) % 12 + 1)

    def reached(point: EarlyScore) -> str:
        by_then = f"OA {point.oa:.2f} and mean IoU {point.miou:.2f} with data to the end of {month_name[point.month]}"
        return f"its model reached {by_then}, and {whole}."

    if point is None or point is curve.points[-1]:
        return f"Its model was never scored with so little. Of {which} never seen, {reached(curve.points[0])}"
    return f"Of {which} never seen, {reached(point)}"


def location_text(area: dict[str, Any]) -> str:
    """Position and size of an area (GeoJSON) in words: ``50.746° N, 4.063° E, 0.41 km²``."""
    geometry = shape(area)
    x, y = centre(geometry)
    latitude = f"{abs(y):.3f}° {'N' if y >= 0 else 'S'}"
    longitude = f"{abs(x):.3f}° {'E' if x >= 0 else 'W'}"
    size = area_km2(geometry)
    return f"{latitude}, {longitude}, {size:,.2f} km²" if size < 100 else f"{latitude}, {longitude}, {size:,.0f} km²"


def months_text(period: tuple[datetime, datetime]) -> str:
    """``January to July 2019``, ``October 2018 to July 2019`` or ``May 2019``; the period's end is exclusive."""
    start, end = period
    year, month = (end.year, end.month - 1) if end.month > 1 else (end.year - 1, 12)
    last = datetime(year, month, 1, tzinfo=end.tzinfo)
    if (start.year, start.month) == (last.year, last.month):
        return f"{last:%B %Y}"
    return f"{start:%B %Y} to {last:%B %Y}" if start.year != last.year else f"{start:%B} to {last:%B %Y}"
