"""Timelines of a delivery: of what was used, the last product's, in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import delivery_kit
from shapely.geometry import box, mapping

from catalog.order import group_acquisitions
from catalog.products import Order, Product, Reception
from processors.delivery.deliver import deliver
from processors.delivery.timelines import timelines_of
from processors.season import Season, SeasonAcquisition

SENSED = datetime(2019, 5, 1, 10, 50, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def product(tile: str, hours: float | None, later: int = 0) -> Product:
    time = SENSED + timedelta(days=later)
    received = None
    if hours is not None:
        down = time + timedelta(hours=hours)
        received = Reception(
            station="Matera", downlinked=down, l1c_ready=down + timedelta(hours=1), l2a_ready=down + timedelta(hours=4)
        )
    return Product(
        id=f"{tile}-{later}", href="", level="L2A", time=time, tile=tile, platform="S2A", datatake=f"{time:%Y%m%d}T100000_1",
        footprint=dict(mapping(box(4, 50, 5, 51))), reception=received,
    )  # fmt: skip


def order_of(*products: Product) -> Order:
    return Order(
        source="mission:", source_id="mission", level="L2A", start=SENSED, end=NOW, synthetic=True,
        acquisitions=tuple(group_acquisitions(products)),
    )  # fmt: skip


def season_of(order: Order, used: int) -> Season:
    return Season(
        level="L2A", start=order.start, bands=("B02",),
        acquisitions=tuple(
            SeasonAcquisition(
                id=one.id, time=one.time, platform=one.platform, baseline="05.11", cloud_cover=None, valid_fraction=1,
                clear_fraction=1, sun_zenith=30, products=(), used=number < used, reason="" if number < used else "cloudy",
            ) for number, one in enumerate(order.acquisitions)
        ),
    )  # fmt: skip


def test_the_last_product_of_an_acquisition_counts() -> None:
    order = order_of(product("31UES", 0.1), product("31UFS", 0.5), product("31UES", 0.1, later=5))
    first = order.acquisitions[0].id
    minutes = [NOW + timedelta(minutes=number) for number in range(4)]
    reached = {"order": minutes[0], first: minutes[1], "mosaic": minutes[2]}
    made = timelines_of(order, season_of(order, 1), reached, minutes[3])
    assert list(made) == [first]
    line = made[first]
    assert (line.sensed, line.downlinked) == (SENSED, SENSED + timedelta(hours=0.5))
    assert [line.ordered, line.ingested, line.mapped, line.delivered] == minutes


def test_sources_that_dont_know_the_way_to_the_ground_have_none() -> None:
    order = order_of(product("31UES", None))
    assert timelines_of(order, season_of(order, 1), {}, NOW) == {}


def test_a_report_shows_them_as_hours_after_sensing(tmp_path: Path) -> None:
    area = delivery_kit.window(60, 40)
    facts = delivery_kit.facts(area, synthetic=True)
    order = order_of(product("31UES", 3.12))
    ready = {"order": NOW, order.acquisitions[0].id: NOW, "mosaic": NOW}
    (line,) = timelines_of(order, season_of(order, 1), ready, NOW).values()
    facts = facts.model_copy(update={"timelines": {facts.used[0].id: line}})
    files = deliver(
        tmp_path / "out",
        delivery_kit.crop_rasters(tmp_path, area),
        (delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE),
        facts,
    )
    report = next(file for file in files if file.name == "report.html").read_text(encoding="utf-8")
    for said in ("From the satellite to the map", "2019-05-01 10:50:00", "+3:07", "+4:07", "+7:07", "Matera"):
        assert said in report
    assert "as simulated" in report
