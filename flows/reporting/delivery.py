"""Delivery that a run hands over: where the files are, how good the map is, how long each stage took."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from catalog.candidates import Candidate
from catalog.confidence import ConfidenceKind
from catalog.products import Order
from catalog.scores import Score
from catalog.storage.whole import write_json
from flows.run_folder import RunFolder
from processors.thematic.domain import Verdict


class Shown(BaseModel):
    """Values for people and programs outside; unknown fields of richer objects are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", from_attributes=True)


class AcquisitionShown(Shown):
    """One acquisition looked at."""

    id: str
    time: AwareDatetime
    cloud_cover: Annotated[float | None, Field(description="tile-wide, percent")]
    valid_fraction: Annotated[float, Field(description="of the area, 0 to 1")]
    clear_fraction: Annotated[float, Field(description="of the area, 0 to 1")]
    low_sun: Annotated[bool, Field(description="the sun stood less than 20° high")] = False
    of_other_year: Annotated[bool, Field(description="of a year that the season is compared with")] = False
    used: bool
    reason: str


class Delivery(Shown):
    """The answer to a request; the object that `cropline run --json` prints."""

    delivery: Annotated[str, Field(description="folder")]
    files: Annotated[tuple[str, ...], Field(description="absolute paths")]
    scores: tuple[Score, ...] = ()
    acquisitions: Annotated[tuple[AcquisitionShown, ...], Field(description="those used, by time")]
    seconds: Annotated[dict[str, float], Field(description="by stage")]
    work: Annotated[
        dict[str, float], Field(description="what the stages did, by unit; empty in older runs: rates are told by it")
    ] = {}
    processor: Annotated[str, Field(description="the one that made the map; empty in older runs")] = ""
    model: Annotated[str | None, Field(description="name of the model used")] = None
    candidates: Annotated[
        tuple[Candidate, ...],
        Field(
            description="what could have made the map, processors, models and places, the one taken and why not the others"
        ),
    ] = ()
    domain: Annotated[
        Verdict | None,
        Field(description="whether the season is like those that the model learnt from; none without a model"),
    ] = None
    confidence: Annotated[
        ConfidenceKind | None,
        Field(description="whether confidence is a probability, or only relative; none without a model"),
    ] = None
    synthetic: Annotated[bool, Field(description="made of simulated products")] = False
    notes: tuple[str, ...] = ()
    status: Annotated[
        Literal["preliminary", "final"], Field(description="preliminary until the season is over; final in older runs")
    ] = "final"

    def shown(self) -> Iterator[tuple[str, str]]:
        """The lines that a person looks for: what has to be known of the map, then name and path."""
        yield from (("note", note) for note in self.notes)
        yield "delivery", self.delivery
        names = {Path(file).name: file for file in self.files}
        for label, name in (
            ("map", "crop_map.tif"),
            ("picture", "overview.png"),
            ("report", "report.html"),
            ("hectares", "areas.csv"),
            ("changes", "changes.json"),
        ):
            if name in names:
                yield label, names[name]


class Delivered(Delivery):
    """Record of a delivery in a run's folder."""

    ordered: Annotated[tuple[str, ...], Field(description="products that were ordered, with their baselines")]
    contents: Annotated[
        dict[str, str], Field(description="names of what their files held, by product; nothing in older runs")
    ] = {}
    masked_with: Annotated[str, Field(description="version and options of the mask; empty in older runs")] = ""


def ordered_products(order: Order) -> tuple[str, ...]:
    """Products of an order and their baselines, sorted: they tell one order from another."""
    return tuple(sorted(f"{product.id} {product.baseline}" for item in order.acquisitions for product in item.products))


def ordered_contents(order: Order) -> dict[str, str]:
    """What names the content of the products of an order, by product."""
    return {product.id: product.content for item in order.acquisitions for product in item.products}


def write_delivered(folder: RunFolder, delivery: Delivery, order: Order, masked_with: str) -> None:
    """Remember in a run's folder what was delivered."""
    delivered = Delivered(
        **delivery.model_dump(),
        ordered=ordered_products(order),
        contents=ordered_contents(order),
        masked_with=masked_with,
    )
    write_json(folder.delivered, delivered.model_dump(mode="json"))


def read_delivered(folder: RunFolder) -> Delivered | None:
    """Read what a run delivered last; None where there is nothing, or nothing that can be read."""
    try:
        return Delivered.model_validate_json(folder.delivered.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
