"""Totals of all that runs of a store did, counted as they do it: what the metrics of `flows.prefect_process.metrics` are made of.

Runs end, and their counts would end with them: the store keeps what counters are. Each is by the kind of what is counted, of which
there are few (kinds of sources, stages, processors); never by request or run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from filelock import FileLock, Timeout
from pydantic import Field

from catalog.errors import StoreError
from catalog.guards.json_text import parse_model
from catalog.products import Frozen, Order
from catalog.storage.store import Store
from catalog.storage.whole import write_json
from flows.rates import source_kind

if TYPE_CHECKING:  # the server's process reads totals, and no pixels
    from processors.ingest.acquisition import IngestResult
    from processors.mask.acquisition import MaskResult

Counted = Literal[
    "acquisitions_read", "acquisitions_unread", "cells_written", "read_bytes", "stored_bytes",
    "cells_masked", "stages", "stage_seconds", "deliveries",
]  # fmt: skip
"""What is counted: the first six by kind of source, stages by their name, deliveries by processor."""

TOTALS = "totals.json"

PATIENCE = 10.0
"""Seconds that a run waits for others that count; each takes milliseconds."""


class Totals(Frozen):
    """Content of the file."""

    counts: Annotated[
        dict[Counted, dict[str, float]], Field(description="since the store was made, by what is counted and its kind")
    ] = {}


def read_totals(store: Store) -> Totals:
    """What was counted so far. Raises `StoreError` where the file can't be understood."""
    path = store.root / TOTALS
    try:
        return parse_model(Totals, path.read_bytes(), lambda why: StoreError(f"{path} {why}. Remove it."))
    except FileNotFoundError:
        return Totals()
    except OSError as error:
        raise StoreError(f"{path}: can't be read ({error.strerror}). Check its permissions.") from error


def count_ingested(store: Store, order: Order, results: Sequence[IngestResult]) -> None:
    """Count acquisitions that were read, or of which nothing can be, their cells and their bytes. What was there before isn't counted."""
    _count(
        store,
        source_kind(order.source),
        {
            "acquisitions_read": sum(bool(result.written) for result in results),
            "acquisitions_unread": sum(not result.written and not result.skipped for result in results),
            "cells_written": sum(len(result.written) for result in results),
            "read_bytes": sum(result.read_bytes for result in results),
            "stored_bytes": sum(result.stored_bytes for result in results),
        },
    )


def count_masked(store: Store, order: Order, results: Sequence[MaskResult]) -> None:
    """Count cells that were masked."""
    _count(store, source_kind(order.source), {"cells_masked": sum(len(result.masked) for result in results)})


def count_stage(store: Store, stage: str, seconds: float) -> None:
    """Count a stage that ended well, and its time."""
    _count(store, stage, {"stages": 1, "stage_seconds": seconds})


def count_delivery(store: Store, processor: str, number: int = 1) -> None:
    """Count a map that was delivered; 0 where one is begun, since Prometheus sees no growth of what begins with 1."""
    _count(store, processor, {"deliveries": number})


def _count(store: Store, kind: str, amounts: Mapping[Counted, float]) -> None:
    """Add to the totals. A run doesn't fail for a count: where it can't be written, the log says so."""
    path = store.root / TOTALS
    try:
        with FileLock(path.with_suffix(".lock"), timeout=PATIENCE):
            counts = read_totals(store).counts
            for counted, amount in amounts.items():
                by_kind = counts.setdefault(counted, {})
                by_kind[kind] = (
                    by_kind.get(kind, 0) + amount
                )  # also where it is nothing: what is known to be 0 can grow
            write_json(path, Totals(counts=counts).model_dump())
    except (OSError, Timeout, StoreError) as error:
        logging.getLogger(__name__).warning("Not counted for the metrics: %s of %s (%s)", dict(amounts), kind, error)
