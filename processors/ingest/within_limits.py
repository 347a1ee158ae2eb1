"""Ingestion of an acquisition within limits of time and memory: what is over them is left out, and says so."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.grid import Cell
from catalog.products import LeftOut, Order
from catalog.storage.credentials import Credentials
from catalog.storage.store import Store
from processors.engine.apart import call_apart
from processors.engine.limits import Limits, OverLimitError
from processors.ingest.acquisition import IngestResult, acquisition_of, ingest_acquisition


def ingest_within(
    limits: Limits,
    store: Store,
    order: Order,
    acquisition_id: str,
    cells: Sequence[Cell],
    source_address: str,
    credentials: Credentials | None = None,
    downloads: int | None = None,
) -> IngestResult:
    """Do what `ingest_acquisition` does, in a process apart. An acquisition that is over the limits is left out with all its products."""
    try:
        given = (store, order, acquisition_id, cells, source_address, credentials, downloads)
        return call_apart(limits, ingest_acquisition, *given)
    except OverLimitError as error:
        reason = f"{error}. Where the file is whole and only large or slow, raise CROPLINE_READ_TIMEOUT or CROPLINE_READ_MEMORY"
        products = acquisition_of(order, acquisition_id).products
        dropped = tuple(LeftOut(product=product.id, reason=reason, kind=error.kind) for product in products)
        return IngestResult(acquisition=acquisition_id, dropped=dropped)
