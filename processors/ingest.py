"""From an order to slabs of cells. The only place that reads pixels of products.

An acquisition is the unit of work: its products are opened once, its cells written row by row from the north (blocks of a file
that reach over several cells stay in GDAL's cache and are decoded once), and the flags of all its cells are set last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import numpy.typing as npt
import rasterio
from pydantic import Field
from shapely import make_valid
from shapely.geometry import box, shape

from catalog.credentials import Credentials
from catalog.errors import AccessError, ProductError, RequestError, SourceError
from catalog.grid import Cell, to_lonlat
from catalog.products import (
    ACCESS_DENIED,
    LEVEL_BANDS,
    NOT_REACHABLE,
    Acquisition,
    Asset,
    Frozen,
    LeftOut,
    Level,
    Order,
    Product,
)
from catalog.sources import Downloading, Source, open_source
from catalog.store import Store
from processors.cube import Cube, ensure_cell, extend
from processors.ingest_again import Availability, LeftOutStates, product_state, recorded
from processors.ingest_read import GDAL_ENVIRONMENT, AssetOpener, BandReader, MissingAssetError, asset_state

FOOTPRINT_MARGIN = 0.01
"""Degrees by which a footprint may fall short of the pixels: catalogues simplify them."""


class IngestResult(Frozen):
    """What became of one acquisition. Nothing of it is usable where ``written`` and ``skipped`` are empty."""

    acquisition: str
    written: Annotated[tuple[str, ...], Field(description="cells written now")] = ()
    skipped: Annotated[tuple[str, ...], Field(description="cells that were whole before")] = ()
    dropped: Annotated[tuple[LeftOut, ...], Field(description="products, or bands of them, that can't be read")] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """An acquisition in one cell."""

    cube: Cube
    index: int
    products: tuple[Product, ...]


@dataclass(slots=True)
class _Readers:
    """The open bands of the products that are usable, and what isn't, by product id."""

    bands: dict[str, dict[str, BandReader]] = field(default_factory=dict)
    missing: dict[str, dict[str, str]] = field(default_factory=dict)


class _BrokenProductError(Exception):
    """A product failed in its middle; what was written of it has to be written again without it."""

    def __init__(self, product: str, reason: str) -> None:
        super().__init__(reason)
        self.product = product


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
    whole: list[_Place] = []
    waiting: list[_Place] = []
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


def _places(store: Store, order: Order, acquisition: Acquisition, cells: Sequence[Cell]) -> list[_Place]:
    """The cells that have the acquisition, row by row from the north: the order in which files are laid out."""
    places = []
    for cell in sorted(cells, key=lambda cell: (-cell.row, cell.column)):
        path = store.cube(order.source_id, order.level, cell)
        if not path.exists():
            continue
        cube = Cube(path, "r+")
        index = cube.index_of(acquisition.id, acquisition.time, acquisition.platform)
        if index is not None:
            places.append(_Place(cube, index, cube.products(index)))
    return places


def _left_out(place: _Place) -> LeftOutStates:
    return recorded(str(place.cube.arrays["left_out"][place.index]))


def _is_whole(place: _Place, availability: Availability) -> bool:
    if place.cube.arrays["ingested"][place.index] != 1:
        return False
    return not availability.changed(_left_out(place), place.products)


def _assets(source: Source, product: Product, places: Sequence[_Place], scratch: Path) -> dict[str, Asset]:
    if not isinstance(source, Downloading):
        return source.assets(product)
    windows = [place.cube.window for place in places if product in place.products]
    return source.download(product, windows, scratch / product.id)


def _ingest(
    places: Sequence[_Place], source: Source, level: Level, scratch: Path
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
        opener = AssetOpener(stack)
        readers = _open(opener, {name: assets[name] for name in sorted(assets)}, level, dropped)
        while True:
            try:
                facts = [_write_slabs(place, readers) for place in places]
                break
            except _BrokenProductError as broken:
                dropped[broken.product] = str(broken)
                del readers.bands[broken.product]
    written = []
    for place, values in zip(places, facts, strict=True):
        if values is not None:
            _finish(place, values, readers, assets, dropped)
            written.append(place.cube.cell.name)
    return tuple(written), dropped | {
        f"{name} {band}": reason
        for name, bands in readers.missing.items()
        if name in readers.bands
        for band, reason in bands.items()
    }


def _open(
    opener: AssetOpener, assets: Mapping[str, Mapping[str, Asset]], level: Level, dropped: dict[str, str]
) -> _Readers:
    """Open all bands of all products; those products that can't be used go to ``dropped``."""
    readers = _Readers()
    wanted = (*LEVEL_BANDS[level], *(("SCL",) if level == "L2A" else ()))
    for name, listed in assets.items():
        bands: dict[str, BandReader] = {}
        missing: dict[str, str] = {}
        try:
            for band in wanted:
                if band not in listed:  # archives hold what they hold; `bands_present` says it
                    continue
                try:
                    bands[band] = BandReader(opener.open(listed[band]), listed[band], categories=band == "SCL")
                except MissingAssetError as error:
                    missing[band] = str(error)
        except ProductError as error:
            dropped[name] = str(error)
            continue
        if not set(bands) - {"SCL"}:
            dropped[name] = f"none of its bands can be read: {next(iter(missing.values()), 'none is listed')}"
        elif level == "L2A" and "SCL" not in bands:
            reason = missing.get("SCL", "none is listed")
            dropped[name] = f"no scene classification (SCL), without which clouds can't be told: {reason}"
        else:
            readers.bands[name], readers.missing[name] = bands, missing
    return readers


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is written beside a slab."""

    products: tuple[str, ...]
    bands_present: npt.NDArray[np.uint8]
    valid_fraction: float
    off_grid: tuple[str, ...]


def _write_slabs(place: _Place, readers: _Readers) -> _Facts | None:
    """Merge the products of a cell and write it; None where no product of the cell is usable."""
    cube, window = place.cube, place.cube.window
    names = sorted(product.id for product in place.products if product.id in readers.bands)
    if not names:
        return None
    present = [band for band in cube.bands if all(band in readers.bands[name] for name in names)]
    slab = np.zeros((len(cube.bands), *window.shape), np.uint16)
    valid = np.ones(window.shape, bool)
    off_grid: set[str] = set()
    for band in present:
        row = cube.bands.index(band)
        slab[row] = _merged(place, readers, names, band, off_grid)
        valid &= slab[row] != 0
    cube.write_slab("reflectance", place.index, slab)
    if cube.level == "L2A":
        scl = _merged(place, readers, names, "SCL", off_grid)
        cube.write_slab("scl", place.index, scl.astype(np.uint8))
    return _Facts(
        products=tuple(names),
        bands_present=np.array([band in present for band in cube.bands], np.uint8),
        valid_fraction=float(valid.mean()) if present else 0.0,
        off_grid=tuple(sorted(off_grid)),
    )


def _merged(
    place: _Place, readers: _Readers, names: Sequence[str], band: str, off_grid: set[str]
) -> npt.NDArray[np.uint16]:
    """(H, W): the first product with data, in the order of their names, which doesn't depend on the request."""
    window = place.cube.window
    merged = np.zeros(window.shape, np.uint16)
    for name in names:
        reader = readers.bands[name][band]
        try:
            values = reader.read(window)
        except ProductError as error:
            raise _BrokenProductError(name, str(error)) from error
        if values is None:
            continue
        if warped := reader.off_grid(window.epsg) or reader.warped:
            off_grid.add(warped)
        np.copyto(merged, values, where=merged == 0)
    return merged


def _finish(
    place: _Place,
    facts: _Facts,
    readers: _Readers,
    assets: Mapping[str, Mapping[str, Asset]],
    dropped: Mapping[str, str],
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
        off_grid=json.dumps(facts.off_grid) if facts.off_grid else "",
        left_out=json.dumps(left_out, sort_keys=True),
        bands_present=facts.bands_present,
        valid_fraction=facts.valid_fraction,
        clear_fraction=np.nan,
        ingested=1,
    )
