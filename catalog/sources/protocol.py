"""The interface of a source of products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from catalog.area import Area
from catalog.grid import Window
from catalog.products import Asset, LeftOut, Level, Product
from catalog.storage.credentials import Credentials


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search."""

    products: tuple[Product, ...]
    """Products of the level asked for that meet area and period."""
    left_out: tuple[LeftOut, ...] = ()
    """Products that lie there and can't be used: another level, a description that can't be understood."""
    holds: str = ""
    """All that the source holds, in words, for the message when nothing is found; empty where it can't be told."""
    count: int | None = None
    """Products that the source holds of any place and time; None where it can't be told."""
    extent: tuple[float, float, float, float] | None = None
    """West, south, east, north of what the source holds of that period; None where it can't be told."""


class Source(Protocol):
    """One kind of archive or service that products come from, offered by an entry point of the group `cropline.sources`."""

    usage: ClassVar[str]
    """The form in which a request names it, for the message that lists the known ones."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        """``address``: what follows the colon. Raises `RequestError` where nothing can be opened from it."""

    @property
    def address(self) -> str:
        """Opens this source again from any folder; carries no credentials."""

    @property
    def id(self) -> str:
        """Names the source in the store."""

    def search(self, area: Area, period: tuple[datetime, datetime], level: Level) -> SearchResult:
        """Products whose footprint meets the area and whose sensing time lies in [start, end).

        Raises `SourceError` when the source can't be reached or read.
        """

    def assets(self, product: Product) -> dict[str, Asset]:
        """The files of the pixels, by band name, beside ``SCL`` and ``CLD`` where there are such.

        Nothing is opened: an asset may turn out to be missing. Raises `ProductError` when the description of the product
        can't be understood, `SourceError` when it can't be reached.
        """


@runtime_checkable
class Sized(Source, Protocol):
    """A source that knows the sizes of its files without opening them."""

    def sizes(self, product: Product) -> dict[str, int | None]:
        """Bytes of the product's files by band or mask: of all that are listed, None where it isn't known. Raises as `assets` does."""


@runtime_checkable
class Metered(Source, Protocol):
    """A source that charges for what it is asked."""

    def processing_units(self, product: Product, windows: Sequence[Window]) -> float:
        """What asking for the product's pixels over these windows, all of one zone, is charged, in the service's own unit."""


@runtime_checkable
class Downloading(Source, Protocol):
    """A source whose pixels aren't files until somebody asks for them."""

    def download(self, product: Product, windows: Sequence[Window], folder: Path) -> dict[str, Asset]:
        """Write the product's pixels over the windows, all of one zone, into a scratch folder; where they are then, as `assets` has it.

        Raises `ProductError` when the service refuses this product, `SourceError` when it can't be reached or refuses everything.
        """
