"""From an order to slabs of cells. The only place that reads pixels of products.

An acquisition is the unit of work: its products are opened once, its cells written row by row from the north, each block of a file
decoded once whatever its place among the cells, and the flags of all its cells are set last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import rasterio
from pydantic import AwareDatetime, Field
from shapely import make_valid
from shapely.geometry import box, shape

from catalog.errors import AccessError, ProductError, RequestError, SourceError
from catalog.grid import Cell, to_lonlat
from catalog.products import (
    ACCESS_DENIED,
    NOT_REACHABLE,
    Acquisition,
    Asset,
    Frozen,
    LeftOut,
    Level,
    Order,
    Product,
)
from catalog.sources.protocol import Downloading, Source
from catalog.sources.registry import open_source
from catalog.storage.credentials import Credentials
from catalog.storage.store import Store
from processors.cube.cell import Cube, ensure_cell, extend
from processors.ingest.blocks import Scratch
from processors.ingest.left_out import Availability, LeftOutStates, product_state, recorded
from processors.ingest.offset import CHECKED_BANDS, check_offset
from processors.ingest.opening import GDAL_ENVIRONMENT, AssetOpener, asset_state
from processors.ingest.product_bands import FOOTPRINT_MARGIN, Readers, open_products
from processors.ingest.slabs import BrokenProductError, Facts, Place, slab_memory, write_slabs


class IngestResult(Frozen):
    """What became of one acquisition. Nothing of it is usable where ``written`` and ``skipped`` are empty."""

    acquisition: str
    written: Annotated[tuple[str, ...], Field(description="cells written now")] = ()
    skipped: Annotated[tuple[str, ...], Field(description="cells that were whole before")] = ()
    dropped: Annotated[tuple[LeftOut, ...], Field(description="products, or bands of them, that can't be read")] = ()
    done: Annotated[AwareDatetime, Field(description="when its cells were found or made whole, UTC")] = Field(
        default_factory=lambda: datetime.now(UTC)
    )


def acquisition_of(order: Order, name: str) -> Acquisition:
    """The acquisition of that name. Raises `RequestError` where the order has none."""
    for acquisition in order.acquisitions:
        if acquisition.id == name:
            return acquisition
    raise RequestError(f"acquisition {name!r} is not in the order of {order.source}: order again.")


def touching(acquisition: Acquisition, cell: Cell) -> Acquisition | None:
    """The acquisition with those of its products that may have pixels in the cell; None where there are none."""
    place = to_lonlat(box(*cell.window.bounds), cell.epsg).buffer(FOOTPRINT_MARGIN)
    products = tuple(
        product for product in acquisition.products if make_valid(shape(product.footprint)).intersects(place)
    )
    return acquisition.model_copy(update={"products": products}) if products else None


def extend_cells(store: Store, order: Order, cells: Sequence[Cell]) -> list[Cell]:
    """Create the cells that the order's products touch and let their time axes grow; the cells that have any date.

    Raises `StoreError` where a cell can't be written or isn't what its name says.
    """
    extended = []
    for cell in cells:
        parts = [part for acquisition in order.acquisitions if (part := touching(acquisition, cell)) is not None]
        if parts:
            path = store.cube(order.source_id, order.level, cell)
            ensure_cell(path, cell, order.level, source=order.source, synthetic=order.synthetic)
            extend(path, parts)
            extended.append(cell)
    return extended


@slab_memory()
def ingest_acquisition(
    store: Store,
    order: Order,
    acquisition_id: str,
    cells: Sequence[Cell],
    source_address: str,
    credentials: Credentials | None = None,
) -> IngestResult:
    """Write one acquisition into those of its cells that don't hold it yet.

    A product that can't be read is dropped with its reason, a band that isn't there stays 0; both are kept in the cell's
    `left_out` and tried again once the file has changed. Raises `StoreError` where the store can't be written.
    """
    acquisition = acquisition_of(order, acquisition_id)
    source = open_source(source_address, credentials)
    availability = Availability(source)
    whole: list[Place] = []
    waiting: list[Place] = []
    for place in _places(store, order, acquisition, cells):
        (whole if _is_whole(place, availability) else waiting).append(place)
    known = {key: reason for place in whole for key, (reason, _) in _left_out(place).items()}
    written: tuple[str, ...] = ()
    dropped: dict[str, str] = {}
    if waiting:
        with TemporaryDirectory(prefix="cropline-") as scratch:
            written, dropped = _ingest(waiting, source, order.level, Path(scratch))
    return IngestResult(
        acquisition=acquisition_id,
        written=written,
        skipped=tuple(place.cube.cell.name for place in whole),
        dropped=tuple(LeftOut(product=key, reason=reason) for key, reason in sorted((known | dropped).items())),
    )


def _places(store: Store, order: Order, acquisition: Acquisition, cells: Sequence[Cell]) -> list[Place]:
    """The cells that have the acquisition, row by row from the north: the order in which files are laid out."""
    places = []
    for cell in sorted(cells, key=lambda cell: (-cell.row, cell.column)):
        path = store.cube(order.source_id, order.level, cell)
        if not path.exists():
            continue
        cube = Cube(path, "r+")
        index = cube.index_of(acquisition.id, acquisition.time, acquisition.platform)
        if index is not None:
            places.append(Place(cube, index, cube.products(index)))
    return places


def _left_out(place: Place) -> LeftOutStates:
    return recorded(str(place.cube.arrays["left_out"][place.index]))


def _is_whole(place: Place, availability: Availability) -> bool:
    if place.cube.arrays["ingested"][place.index] != 1:
        return False
    return not availability.changed(_left_out(place), place.products)


def _assets(source: Source, product: Product, places: Sequence[Place], scratch: Path) -> dict[str, Asset]:
    if not isinstance(source, Downloading):
        return source.assets(product)
    windows = [place.cube.window for place in places if product in place.products]
    return source.download(product, windows, scratch / product.id)


def _ingest(
    places: Sequence[Place], source: Source, level: Level, scratch: Path
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Names of the cells written, and reasons by product or product and band."""
    products = {product.id: product for place in places for product in place.products}
    dropped: dict[str, str] = {}
    assets: dict[str, dict[str, Asset]] = {}
    for name, product in sorted(products.items()):
        try:
            assets[name] = _assets(source, product, places, scratch)
        except ProductError as error:
            dropped[name] = str(error)
        except SourceError as error:  # it may refuse or fail to give one product and give the others
            dropped[name] = f"{ACCESS_DENIED if isinstance(error, AccessError) else NOT_REACHABLE}: {error}"
    for place in places:
        if place.cube.arrays["ingested"][place.index] or place.cube.arrays["masked"][place.index]:
            place.cube.set(place.index, masked=0, ingested=0)
    with rasterio.Env(**GDAL_ENVIRONMENT), ExitStack() as stack:
        readers = open_products(AssetOpener(stack), products, assets, level, dropped)
        while True:
            kept = Scratch(scratch)
            try:
                facts = write_slabs(places, readers, kept)
                checks = _check_offsets(products, readers)
                break
            except BrokenProductError as broken:
                dropped[broken.product] = str(broken)
                del readers.bands[broken.product]
            finally:
                kept.close()
    empty = {
        name: f"no data: all {len(bands)} bands read are empty in the cells asked for"
        for name, bands in readers.bands.items()
        if any(band.reached for band in bands.values()) and not any(band.has_data for band in bands.values())
    }
    written = []
    for place, values in zip(places, facts, strict=True):
        if values is not None:
            _finish(place, values, readers, assets, dropped, checks)
            written.append(place.cube.cell.name)
    return tuple(written), dropped | empty | {
        f"{name} {band}": reason
        for name, bands in readers.missing.items()
        if name in readers.bands
        for band, reason in bands.items()
    }


def _check_offsets(products: Mapping[str, Product], readers: Readers) -> dict[str, str]:
    """What `check_offset` says of each product. Raises `BrokenProductError` for the first one whose offset is wrong."""
    checks = {}
    for name, bands in sorted(readers.bands.items()):
        checked = {band: bands[band] for band in CHECKED_BANDS if band in bands}
        try:
            checks[name] = check_offset(
                products[name],
                {band: reader.asset for band, reader in checked.items()},
                {band: reader.counts for band, reader in checked.items()},
            )
        except ProductError as error:
            raise BrokenProductError(name, str(error)) from error
    return checks


def _finish(
    place: Place,
    facts: Facts,
    readers: Readers,
    assets: Mapping[str, Mapping[str, Asset]],
    dropped: Mapping[str, str],
    checks: Mapping[str, str],
) -> None:
    """Write what is known of a whole slab, and its flag last."""
    left_out: LeftOutStates = {}
    for product in place.products:
        listed = assets.get(product.id, {})
        if product.id in dropped:
            left_out[product.id] = dropped[product.id], product_state(listed)
        for band, reason in readers.missing.get(product.id, {}).items() if product.id in facts.products else ():
            left_out[f"{product.id} {band}"] = reason, asset_state(listed[band])
    offsets = {
        assets[name][band].offset_from for name in facts.products for band in place.cube.bands if band in assets[name]
    }
    place.cube.set(
        place.index,
        offset_from="; ".join(sorted(offsets)),
        offset_check="; ".join(sorted({checks[name] for name in facts.products})),
        off_grid=json.dumps(facts.off_grid) if facts.off_grid else "",
        left_out=json.dumps(left_out, sort_keys=True),
        bands_present=facts.bands_present,
        valid_fraction=facts.valid_fraction,
        clear_fraction=np.nan,
        ingested=1,
    )
