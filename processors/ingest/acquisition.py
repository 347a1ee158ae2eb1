"""Ingestion of one acquisition, from an order to slabs of cells. Nothing else reads pixels of products.

An acquisition is the unit of work: its products are opened once, its cells written row by row from the north, each block of a file
decoded once however many cells it meets, and the flags of all its cells are set last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import rasterio
from pydantic import AwareDatetime, Field
from shapely import make_valid
from shapely.geometry import box, shape

from catalog.errors import ProductError, Reason, RequestError
from catalog.grid import Cell, to_lonlat
from catalog.products import Acquisition, Asset, Frozen, LeftOut, Level, Order, Product
from catalog.sources.protocol import Source
from catalog.sources.registry import open_source
from catalog.storage.credentials import Credentials
from catalog.storage.scratch import scratch_folder
from catalog.storage.store import Store
from processors.cube.cell import ensure_cell, extend
from processors.cube.cell_acquisition import CellAcquisition, claimed_for_writing, find_in_cell
from processors.cube.codecs import DAMAGE
from processors.cube.lock import LeaseLostError
from processors.cube.pixel_source import OffsetFinding, PixelSource, checks_text, offsets_text, sources_text
from processors.ingest.blocks import Scratch
from processors.ingest.candidates import Candidates, all_versions
from processors.ingest.left_out import (
    Availability,
    LeftOutRecord,
    OverLimits,
    product_state,
    read_records,
    records_text,
)
from processors.ingest.offset import CHECKED_BANDS, OffsetCheck, check_offset
from processors.ingest.opening import GDAL_ENVIRONMENT, AssetOpener, asset_state
from processors.ingest.product_bands import FOOTPRINT_MARGIN, Readers
from processors.ingest.slabs import BrokenProductError, Facts, slab_memory, write_slabs
from processors.ingest.turns import Turn

ATTEMPTS = 5
"""Times that an acquisition is begun whose claim another process takes."""


class IngestResult(Frozen):
    """The outcome of one acquisition. Nothing of it is usable where ``written`` and ``skipped`` are empty."""

    acquisition: str
    written: Annotated[tuple[str, ...], Field(description="cells written now")] = ()
    skipped: Annotated[tuple[str, ...], Field(description="cells that were whole before")] = ()
    dropped: Annotated[tuple[LeftOut, ...], Field(description="products, or bands of them, that can't be read")] = ()
    read_bytes: Annotated[int, Field(description="of pixels that were decoded from its products for these cells")] = 0
    stored_bytes: Annotated[int, Field(description="of what was written to these cells, packed")] = 0
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
    around = to_lonlat(box(*cell.window.bounds), cell.epsg).buffer(FOOTPRINT_MARGIN)
    products = tuple(
        product for product in acquisition.products if make_valid(shape(product.footprint)).intersects(around)
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
    over: OverLimits = OverLimits(),  # noqa: B008 - frozen
    downloads: int | None = None,
) -> IngestResult:
    """Write one acquisition into those of its cells that don't hold it yet.

    A product that can't be read is dropped with its reason, for an older version where there is one; a band that isn't there stays 0.
    Both are kept in the cell's `left_out` and tried again once the file has changed. Those ``over`` the limits aren't tried.
    Where another process is writing the acquisition, this one waits and takes what is there then. At most ``downloads`` acquisitions
    of a source are read over the network at once, by all processes that share the cubes; None for as many as like.
    Raises `StoreError` where the store can't be written.
    """
    acquisition = acquisition_of(order, acquisition_id)
    whole: dict[str, CellAcquisition] = {}
    written: dict[str, None] = {}
    dropped: dict[str, LeftOut] = {}
    read_bytes = stored_bytes = 0
    for attempt in range(1, ATTEMPTS + 1):
        source = open_source(source_address, credentials)
        availability = Availability(source, over)
        waiting: list[CellAcquisition] = []
        for target in _in_cells(store, order, acquisition, cells):
            if not _is_whole(target, availability):
                waiting.append(target)
            elif target.cell.name not in written:
                whole[target.cell.name] = target
        if not waiting:
            break
        try:
            # The turn at the source comes last: who has it waits for nothing.
            with claimed_for_writing(waiting) as claimed, scratch_folder() as scratch, ExitStack() as reading:
                todo = [target for target in claimed if not _is_whole(target, availability)]
                whole |= {target.cell.name: target for target in claimed if target not in todo}
                if todo:
                    turn = Turn(reading, store, order.source_id, downloads)
                    ingested = _ingest(todo, source, order.level, scratch, turn, over)
                    written |= dict.fromkeys(ingested.written)
                    dropped = ingested.dropped
                    read_bytes += ingested.read_bytes
                    stored_bytes += sum(target.cube.stored_bytes for target in todo)
            break
        except LeaseLostError:  # what was asked for has changed, or this process stood still: look again
            if attempt == ATTEMPTS:
                raise
    known = {record.left_out.product: record.left_out for target in whole.values() for record in _records(target)}
    return IngestResult(
        acquisition=acquisition_id,
        written=tuple(written),
        skipped=tuple(whole),
        dropped=tuple(left_out for _, left_out in sorted((known | dropped).items())),
        read_bytes=read_bytes,
        stored_bytes=stored_bytes,
    )


def _in_cells(store: Store, order: Order, acquisition: Acquisition, cells: Sequence[Cell]) -> list[CellAcquisition]:
    """The acquisition in those cells that have it, row by row from the north: the order in which files are laid out."""
    by_row = sorted(cells, key=lambda cell: (-cell.row, cell.column))
    return [target for cell in by_row if (target := find_in_cell(store, order, acquisition, cell)) is not None]


def _records(target: CellAcquisition) -> list[LeftOutRecord]:
    return read_records(str(target.cube.arrays["left_out"][target.index]))


def _readable_records(target: CellAcquisition) -> list[LeftOutRecord]:
    """Records of an acquisition that is to be read anyway: damaged ones say nothing."""
    try:
        return _records(target)
    except DAMAGE:
        return []


def _is_whole(target: CellAcquisition, availability: Availability) -> bool:
    try:
        return (
            target.ingested
            and not availability.changed(_records(target), all_versions(target))
            and not _says_otherwise_now(target, availability)
        )
    except DAMAGE:  # of what is known of it; read anew, it is written anew
        return False


def _says_otherwise_now(target: CellAcquisition, availability: Availability) -> bool:
    """True where an offset that seemed to be missing is another one by now: the catalogue was corrected."""
    sources = target.cube.sources(target.index)
    if not any(source.finding is OffsetFinding.MISSING for source in sources):
        return False
    read_by = {said_by for source in sources for said_by in source.offset_from}
    names = {source.product for source in sources} - {record.left_out.product for record in _records(target)}
    read = [product for product in all_versions(target) if product.offset is None and product.id in names]
    return not availability.offsets_from(read) <= read_by


class _Ingested(NamedTuple):
    """Names of the cells written, what was left out by product or product and band, and bytes of the pixels decoded."""

    written: tuple[str, ...]
    dropped: dict[str, LeftOut]
    read_bytes: int


def _ingest(
    targets: Sequence[CellAcquisition],
    source: Source,
    level: Level,
    scratch: Path,
    turn: Turn,
    over: OverLimits,
) -> _Ingested:
    """Write the cells of an acquisition. Raises `LeaseLostError`, `StoreError`."""
    given_up = dict(over.products)
    for target in targets:
        target.cube.take_back(target.index, "masked", "ingested")
        given_up = over.remembered(_readable_records(target), all_versions(target)) | given_up
    with rasterio.Env(**GDAL_ENVIRONMENT), ExitStack() as stack:
        candidates = Candidates(source, targets, level, scratch, AssetOpener(stack, turn), given_up)
        readers = candidates.readers
        while True:
            kept = Scratch(scratch)
            try:
                facts = write_slabs(targets, readers, kept)
                checks = _check_offsets(candidates.products, readers)
                break
            except BrokenProductError as broken:
                candidates.give_up(broken.left_out)
            finally:
                kept.close()
    dropped = candidates.left_out()
    empty = {
        name: LeftOut(
            product=name,
            reason=f"no data: all {len(bands)} bands read are empty in the cells asked for",
            kind=Reason.NO_DATA,
        )
        for name, bands in readers.bands.items()
        if any(band.reached for band in bands.values()) and not any(band.has_data for band in bands.values())
    }
    written = []
    for target, values in zip(targets, facts, strict=True):
        if values is not None:
            _finish(target, values, candidates, dropped, checks, over)
            written.append(target.cell.name)
        else:
            _remember(target, dropped, over)
    missing = (bands for name, bands in readers.missing.items() if name in readers.bands)
    left_out = dropped | empty | {left_out.product: left_out for bands in missing for left_out in bands.values()}
    decoded = sum(band.decoded_bytes for bands in readers.bands.values() for band in bands.values())
    return _Ingested(tuple(written), left_out, decoded)


def _record(left: LeftOut, product: Product, listed: Mapping[str, Asset], over: OverLimits) -> LeftOutRecord:
    """Record of a product that is left out, with the state in which another try is worth it."""
    causes = left.kind, left.cause
    if Reason.OVER_LIMIT in causes:
        return LeftOutRecord(left, over.state(product))
    return LeftOutRecord(left, "again" if Reason.ENDED_PROCESS in causes else product_state(listed))


def _remember(target: CellAcquisition, dropped: Mapping[str, LeftOut], over: OverLimits) -> None:
    """Write down which products of a cell that stays empty are over the limits: a look at each takes long. Raises `LeaseLostError`."""
    left = ((product, dropped[product.id]) for product in all_versions(target) if product.id in dropped)
    records = [_record(why, product, {}, over) for product, why in left if why.kind is Reason.OVER_LIMIT]
    target.cube.set(target.index, left_out=records_text(records))


def _check_offsets(products: Mapping[str, Product], readers: Readers) -> dict[str, OffsetCheck]:
    """Check each product's offset; gives the finding by product. Raises `BrokenProductError` for the first one whose offset is wrong."""
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
            raise BrokenProductError(LeftOut.because(name, error)) from error
    return checks


def _finish(
    target: CellAcquisition,
    facts: Facts,
    candidates: Candidates,
    dropped: Mapping[str, LeftOut],
    checks: Mapping[str, OffsetCheck],
    over: OverLimits,
) -> None:
    """Write what is known of a whole slab, and its flag last. Raises `LeaseLostError`, `StoreError`."""
    records: list[LeftOutRecord] = []
    sources: list[PixelSource] = []
    for product in all_versions(target):
        listed = candidates.assets.get(product.id, {})
        if product.id in dropped:
            records.append(_record(dropped[product.id], product, listed, over))
        if product.id not in facts.products:
            continue
        for band, left_out in candidates.readers.missing.get(product.id, {}).items():
            records.append(LeftOutRecord(left_out, asset_state(listed[band])))
        said_by = {listed[band].offset_from for band in target.cube.bands if band in listed}
        check = checks[product.id]
        sources.append(
            PixelSource(
                product=product.id,
                baseline=product.baseline,
                content=product.content,
                offset_from=tuple(sorted(said_by)),
                finding=check.finding,
                check=check.words,
            )
        )
    target.cube.set(
        target.index,
        offset_from=offsets_text(sources),
        offset_check=checks_text(sources),
        pixels_from=sources_text(sources),
        off_grid=json.dumps(facts.off_grid) if facts.off_grid else "",
        left_out=records_text(records),
        bands_present=facts.bands_present,
        valid_fraction=facts.valid_fraction,
        clear_fraction=np.nan,
        ingested=1,
    )
