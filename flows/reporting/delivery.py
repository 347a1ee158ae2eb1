"""What a run hands over: where the files are, how good the map is, how long each stage took."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from catalog.products import Order
from catalog.storage.whole import write_json

DELIVERED = "delivered.json"
"""In a run's folder: what it delivered last, and what that was made from."""


class Shown(BaseModel):
    """Values for people and programs outside; unknown fields of richer objects are left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", from_attributes=True)


class ScoreShown(Shown):
    """How well the model does on labels that it did not learn from."""

    split: Annotated[str, Field(description="what was held out")]
    oa: Annotated[float, Field(description="overall accuracy, 0 to 1")]
    miou: Annotated[float, Field(description="mean intersection over union, 0 to 1")]
    dice: Annotated[float, Field(description="mean F1, 0 to 1")]
    n_pixels: int
    note: str = ""


class AcquisitionShown(Shown):
    """One acquisition looked at."""

    id: str
    time: AwareDatetime
    cloud_cover: Annotated[float | None, Field(description="tile-wide, percent")]
    valid_fraction: Annotated[float, Field(description="of the area, 0 to 1")]
    clear_fraction: Annotated[float, Field(description="of the area, 0 to 1")]
    low_sun: Annotated[bool, Field(description="the sun stood less than 20° high")] = False
    used: bool
    reason: str


class Delivery(Shown):
    """The answer to a request; the object that `cropline run --json` prints."""

    delivery: Annotated[str, Field(description="folder")]
    files: Annotated[tuple[str, ...], Field(description="absolute paths")]
    scores: tuple[ScoreShown, ...] = ()
    acquisitions: Annotated[tuple[AcquisitionShown, ...], Field(description="those used, by time")]
    seconds: Annotated[dict[str, float], Field(description="by stage")]
    model: Annotated[str | None, Field(description="name of the model used")] = None
    synthetic: Annotated[bool, Field(description="made of simulated products")] = False
    notes: tuple[str, ...] = ()

    def shown(self) -> Iterator[tuple[str, str]]:
        """The lines that a person looks for, name and path."""
        yield "delivery", self.delivery
        names = {Path(file).name: file for file in self.files}
        for label, name in (
            ("map", "crop_map.tif"),
            ("picture", "overview.png"),
            ("report", "report.html"),
            ("hectares", "areas.csv"),
        ):
            if name in names:
                yield label, names[name]


class Delivered(Delivery):
    """What a run's folder remembers."""

    ordered: Annotated[tuple[str, ...], Field(description="products that were ordered, with their baselines")]
    masked_with: Annotated[str, Field(description="version and options of the mask; empty in older runs")] = ""


def ordered_products(order: Order) -> tuple[str, ...]:
    """Tells one order from another: its products and their baselines, sorted."""
    return tuple(sorted(f"{product.id} {product.baseline}" for item in order.acquisitions for product in item.products))


def write_delivered(folder: Path, delivery: Delivery, order: Order, masked_with: str) -> None:
    """Remember in a run's folder what was delivered."""
    told = Delivered(**delivery.model_dump(), ordered=ordered_products(order), masked_with=masked_with)
    write_json(folder / DELIVERED, told.model_dump(mode="json"))


def read_delivered(folder: Path) -> Delivered | None:
    """What a run delivered last, or None."""
    try:
        return Delivered.model_validate_json((folder / DELIVERED).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        return None
