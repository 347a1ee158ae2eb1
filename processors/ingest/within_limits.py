"""Ingestion of an acquisition within limits of time and memory: products that are over them are left out, and say so."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.errors import Reason
from catalog.grid import Cell
from catalog.products import LeftOut, Order
from catalog.storage.credentials import Credentials
from catalog.storage.store import Store
from catalog.versions import versions_of
from processors.engine.apart import call_apart
from processors.engine.limits import Limits, OverLimitError
from processors.ingest.acquisition import IngestResult, acquisition_of, ingest_acquisition
from processors.ingest.left_out import OverLimits

_REMEDY = "Where the file is whole and only large or slow, raise CROPLINE_READ_TIMEOUT or CROPLINE_READ_MEMORY"


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
    """Do what `ingest_acquisition` does, in a process apart. A product that is over the limits is left out, for an older version of it
    where there is one; where it can't be told which product it was, all are.
    """
    products = [v.id for product in acquisition_of(order, acquisition_id).products for v in versions_of(product)]
    over: dict[str, LeftOut] = {}
    crashes = 0
    while True:
        known = OverLimits(str(limits), dict(over))
        try:
            return call_apart(
                limits,
                ingest_acquisition,
                store,
                order,
                acquisition_id,
                cells,
                source_address,
                credentials,
                known,
                downloads,
            )
        except OverLimitError as error:
            crashes += error.kind is Reason.ENDED_PROCESS
            if crashes == 1 and not over:  # by the system perhaps, where memory ran out: that is no product's fault
                continue
            if len(over) == len(products):  # without any of them: what is over the limits is none of them
                return IngestResult(acquisition=acquisition_id, dropped=tuple(over.values()))
            left = [name for name in products if name not in over]
            for name in [name for name in left if error.concerns(name)] or left:
                over[name] = LeftOut(product=name, reason=f"{error}. {_REMEDY}", kind=error.kind)
