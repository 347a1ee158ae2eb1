"""Record of what the pixels of a date were read from: kept in the cube, since a catalogue may say something else tomorrow."""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from catalog.products import UNKNOWN, Frozen, Product
from catalog.storage.store import digest

_SUSPICIOUS, _FITS = "suspicious", "ok"
_SEPARATOR = "; "


class OffsetFinding(StrEnum):
    """Outcome of comparing a radiometric offset with the numbers."""

    FITS = "fits"
    NOT_TOLD = "not_told"
    """Numbers that don't tell: too few of them, or nothing dark."""
    MISSING = "missing"
    """Numbers that look as if an offset were missing."""
    UNCHECKED = "unchecked"
    """Pixels read before there were checks."""


class PixelSource(Frozen):
    """A product that pixels of a date were read from."""

    product: str
    baseline: Annotated[str, Field(description="of the pixels, whatever the catalogue says later")] = UNKNOWN
    content: Annotated[str, Field(description="names what its files held; empty where the source doesn't tell")] = ""
    offset_from: Annotated[tuple[str, ...], Field(description="what its radiometric offset was taken from")] = ()
    finding: OffsetFinding = OffsetFinding.UNCHECKED
    check: Annotated[str, Field(description="the finding in words, for people")] = ""


def sources_text(sources: Iterable[PixelSource]) -> str:
    """Records as `pixels_from` holds them."""
    return json.dumps([source.model_dump(mode="json", exclude_defaults=True) for source in sources], sort_keys=True)


def offsets_text(sources: Iterable[PixelSource]) -> str:
    """What the offsets of a date were taken from, as `offset_from` holds it."""
    return _SEPARATOR.join(sorted({said_by for source in sources for said_by in source.offset_from}))


def checks_text(sources: Iterable[PixelSource]) -> str:
    """Findings of a date in words, as `offset_check` holds them."""
    return _SEPARATOR.join(sorted({source.check for source in sources}))


def read_sources(text: str) -> tuple[PixelSource, ...]:
    """Parse `pixels_from`."""
    listed: list[Any] = json.loads(text)
    return tuple(PixelSource.model_validate(entry) for entry in listed)


def older_sources(products: Iterable[Product], offset_from: str, offset_check: str) -> tuple[PixelSource, ...]:
    """The records that a date of before there were such would have, as far as it tells.

    It has one statement and one finding for all its products, both as texts.
    """
    parts = offset_check.split(_SEPARATOR) if offset_check else []
    if any(part.startswith(_SUSPICIOUS) for part in parts):
        finding, words = OffsetFinding.MISSING, next(part for part in parts if part.startswith(_SUSPICIOUS))
    elif not parts or offset_check == UNKNOWN:
        finding, words = OffsetFinding.UNCHECKED, ""
    else:
        finding, words = (OffsetFinding.FITS if _FITS in parts else OffsetFinding.NOT_TOLD), offset_check
    return tuple(
        PixelSource(
            product=product.id,
            baseline=product.baseline,
            content=product.content,
            offset_from=tuple(offset_from.split(_SEPARATOR)),
            finding=finding,
            check=words,
        )
        for product in products
    )


def contents_of(sources: Iterable[PixelSource], masked_with: str) -> str:
    """Name of what a date of a cell holds, pixels and mask: another name, other numbers."""
    return digest([masked_with, *(source.model_dump(mode="json") for source in sources)])
