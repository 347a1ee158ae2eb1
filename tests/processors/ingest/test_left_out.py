"""What a cell keeps of what was left out of it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pytest

from catalog.area import Area
from catalog.errors import ProductError, Reason
from catalog.grid import Window
from catalog.products import Asset, LeftOut, Level, Product
from catalog.sources.protocol import Downloading, SearchResult
from processors.ingest import left_out
from processors.ingest.left_out import Availability, LeftOutRecord, OverLimits, read_records, records_text
from processors.ingest.opening import MissingAssetError

PRODUCT = Product(
    id="p",
    href="p",
    level="L2A",
    time=datetime(2019, 4, 1, tzinfo=UTC),
    footprint={"type": "Polygon", "coordinates": []},
)


class Service:
    """A source that sends pixels."""

    usage = address = id = "service"

    def search(self, area: Area, period: tuple[datetime, datetime], level: Level) -> SearchResult:
        raise NotImplementedError

    def assets(self, product: Product) -> dict[str, Asset]:
        raise NotImplementedError

    def download(self, product: Product, windows: Sequence[Window], folder: Path) -> dict[str, Asset]:
        raise NotImplementedError


def record(kind: Reason, product: str = "p", reason: str = "why") -> LeftOutRecord:
    return LeftOutRecord(LeftOut(product=product, reason=reason, kind=kind), "1:2")


def test_records_go_through_a_cell() -> None:
    records = [record(kind, f"p {kind}") for kind in sorted(Reason)]
    assert read_records(records_text(records)) == records
    assert read_records("{}") == []


def test_records_of_before_there_were_kinds_are_read() -> None:
    older = json.dumps({"p": ["not reachable now: busy", "1:2"]})
    assert read_records(older) == [record(Reason.UNKNOWN, reason="not reachable now: busy")]


@pytest.mark.parametrize("kind", Reason)
def test_a_service_is_asked_again_for_what_may_pass_whatever_the_text(kind: Reason) -> None:
    service = Service()
    assert isinstance(service, Downloading)
    again = Availability(service).changed([record(kind, reason="not reachable now, access denied")], (PRODUCT,))
    assert again == (kind in (Reason.NOT_REACHABLE, Reason.UNKNOWN, Reason.OVER_LIMIT, Reason.ENDED_PROCESS))


def test_what_was_over_the_limits_is_worth_another_try_on_another_day_or_with_other_contents_or_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over, product = OverLimits("300 s"), PRODUCT.model_copy(update={"content": "a"})
    state = over.state(product)

    def again(now: OverLimits, product: Product, state: str) -> bool:
        left = LeftOut(product="p", reason="why", kind=Reason.OVER_LIMIT)
        changed = Availability(Service(), now).changed([LeftOutRecord(left, state)], (product,))
        assert now.remembered([LeftOutRecord(left, state)], [product]) == ({} if changed else {"p": left})
        return changed

    assert not again(over, product, state)
    assert again(OverLimits("400 s"), product, state)
    assert again(over, product.model_copy(update={"content": "b"}), state)
    assert again(over, PRODUCT, over.state(PRODUCT)), "the source doesn't tell whether it has changed"

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(days=1)

    monkeypatch.setattr(left_out, "datetime", Tomorrow)
    assert again(over, product, state)


def test_errors_keep_their_kind_between_processes() -> None:
    for error in (ProductError("text", Reason.OFFSET_REFUSED), MissingAssetError("text", Reason.NOT_THERE)):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.kind) == (type(error), "text", error.kind)
        assert LeftOut.because("p", copy) == LeftOut(product="p", reason="text", kind=error.kind)
