"""What ingestion would read for an order, told without reading any of it: acquisitions and cells that aren't there yet, bytes, charges.

Bytes are the sizes that a source knows, else pixels times what files of the format take by pixel; of either the share that
the blocks of the file have which the cells meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import shapely
from shapely import make_valid
from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry

from catalog.errors import ProductError, SourceError
from catalog.grid import CELL, PIXEL, Cell, to_zone
from catalog.products import BANDS, LEVEL_BANDS, MASK_ASSETS, Acquisition, Order, Product
from catalog.sources.protocol import Downloading, Metered, Sized, Source
from catalog.storage.store import Store
from processors.cube.cell_acquisition import find_in_cell
from processors.cube.codecs import DAMAGE
from processors.ingest.acquisition import touching

COG_BYTES, JP2_BYTES = 1.9, 1.0
"""Bytes of a pixel of a band in a deflated COG and in a lossless JP2, as measured on real products of Flanders and Slovenia."""

ANSWER_BYTES = 2.0
"""The same of what Sentinel Hub answers: 16 bits, as they come."""

_BLOCK = 1024 * PIXEL
"""Edge of a block of a product's 10 m bands, m; those of coarser bands are about as wide."""

_MASK_METRES = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """One acquisition as it would be read: the cells that lack it, and what that takes."""

    acquisition: Acquisition
    cells: tuple[Cell, ...]
    """To be written."""
    whole: int
    """Cells that hold it already."""
    unmasked: int
    """Of these, those without a mask by the options of now."""
    gigabytes: float
    sized: bool
    """True where all bytes are of sizes that the source knows."""
    processing_units: float
    valid_pixels: float
    """Of the cells to be written, those that the footprints cover."""


def foresee(store: Store, order: Order, cells: Sequence[Cell], source: Source, mask_record: str) -> Iterator[Reading]:
    """What ingestion would do with each acquisition of an order, in its order; nothing is opened but the cells of the cube."""
    by_row = sorted(cells, key=lambda cell: (-cell.row, cell.column))
    for acquisition in order.acquisitions:
        missing: dict[Cell, tuple[Product, ...]] = {}
        whole = unmasked = 0
        for cell in by_row:
            part = touching(acquisition, cell)
            if part is None:
                continue
            state = _state(store, order, acquisition, cell, mask_record)
            if state is None:
                missing[cell] = part.products
            else:
                whole += 1
                unmasked += not state
        yield _reading(acquisition, missing, whole, unmasked, order, source)


def _state(store: Store, order: Order, acquisition: Acquisition, cell: Cell, mask_record: str) -> bool | None:
    """Whether a cell's date is masked; None where it isn't ingested, or can't be read."""
    try:
        target = find_in_cell(store, order, acquisition, cell)
        return None if target is None or not target.ingested else target.masked_with == mask_record
    except DAMAGE:
        return None


def _reading(
    acquisition: Acquisition,
    missing: dict[Cell, tuple[Product, ...]],
    whole: int,
    unmasked: int,
    order: Order,
    source: Source,
) -> Reading:
    size, units, valid, sized = 0.0, 0.0, 0.0, True
    for product in acquisition.products:
        cells = [cell for cell, products in missing.items() if product in products]
        if not cells:
            continue
        footprint = to_zone(make_valid(shape(product.footprint)), cells[0].epsg)
        here = shapely.union_all([box(*cell.window.bounds) for cell in cells])
        valid += footprint.intersection(here).area / PIXEL**2
        if isinstance(source, Metered):
            units += source.processing_units(product, [cell.window for cell in cells])
        if product.synthetic and isinstance(source, Downloading):  # it is made here
            continue
        read, known = _bytes(product, source, order, footprint, here)
        size, sized = size + read, sized and known
    return Reading(
        acquisition, tuple(missing), whole, unmasked, size / 1e9, sized, units, min(valid, len(missing) * CELL**2)
    )


def _bytes(
    product: Product, source: Source, order: Order, footprint: BaseGeometry, here: BaseGeometry
) -> tuple[float, bool]:
    """Bytes of a product's files that are read for some cells, and whether all sizes were known."""
    known: dict[str, int | None] = dict.fromkeys(LEVEL_BANDS[order.level] + MASK_ASSETS[order.level])
    if isinstance(source, Sized):
        with suppress(ProductError, SourceError):  # it will be left out, or read: nobody knows yet
            known = source.sizes(product) or known
    downloads = isinstance(source, Downloading)
    by_pixel = ANSWER_BYTES if downloads else JP2_BYTES if order.source.startswith(("safe:", "cdse:")) else COG_BYTES
    read = footprint.intersection(here if downloads else _blocks(here)).area
    share = read / footprint.area if footprint.area else 0.0
    total = 0.0
    for name, size in known.items():
        metres = BANDS[name].resolution if name in BANDS else _MASK_METRES
        total += read / metres**2 * by_pixel if size is None else size * share
    return total, None not in known.values()


def _blocks(here: BaseGeometry) -> BaseGeometry:
    """The ground of the blocks that an area meets, wherever a tile's blocks begin: half a block more on each side, as on average."""
    return here.buffer(_BLOCK / 2, join_style="mitre")
