"""Bands, periods and baselines."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.baseline import baseline_number, normal_baseline
from catalog.products import BANDS, LEVEL_BANDS, Asset, Order, season_period


@pytest.mark.parametrize(
    ("year", "months", "start", "end"),
    [
        (2019, (1, 7), (2019, 1, 1), (2019, 8, 1)),
        (2019, (10, 7), (2018, 10, 1), (2019, 8, 1)),
        (2019, (1, 12), (2019, 1, 1), (2020, 1, 1)),
        (2019, (12, 12), (2019, 12, 1), (2020, 1, 1)),
        (2019, (12, 1), (2018, 12, 1), (2019, 2, 1)),
        (2020, (2, 2), (2020, 2, 1), (2020, 3, 1)),
    ],
)
def test_seasons(year: int, months: tuple[int, int], start: tuple[int, int, int], end: tuple[int, int, int]) -> None:
    assert season_period(year, months) == (datetime(*start, tzinfo=UTC), datetime(*end, tzinfo=UTC))


@given(st.integers(2015, 2100), st.integers(1, 12), st.integers(1, 12))
def test_a_season_ends_in_its_year_and_lasts_a_year_at_most(year: int, first: int, last: int) -> None:
    start, end = season_period(year, (first, last))
    assert 28 <= (end - start).days <= 366
    assert (end.year, end.month) == ((year + 1, 1) if last == 12 else (year, last + 1))


def test_band_axes_are_those_of_the_levels() -> None:
    assert len(LEVEL_BANDS["L1C"]) == 13
    assert len(LEVEL_BANDS["L2A"]) == 12
    assert set(LEVEL_BANDS["L1C"]) - set(LEVEL_BANDS["L2A"]) == {"B10"}
    assert [band.resolution for band in BANDS.values()].count(10) == 4
    assert list(BANDS) == sorted(BANDS, key=lambda name: BANDS[name].wavelength)


@pytest.mark.parametrize(
    ("text", "normal", "number"),
    [
        ("05.09", "05.09", (5, 9)),
        ("5.09", "05.09", (5, 9)),
        ("N0509", "05.09", (5, 9)),
        ("02.11", "02.11", (2, 11)),
        ("00.01", "00.01", None),
        ("99.99", "99.99", None),
        ("unknown", "unknown", None),
        ("", "unknown", None),
        ("five", "unknown", None),
        (None, "unknown", None),
    ],
)
def test_baselines(text: str | None, normal: str, number: tuple[int, int] | None) -> None:
    assert normal_baseline(text) == normal
    assert baseline_number(normal) == number


def test_the_environment_of_an_asset_is_neither_shown_nor_written() -> None:
    asset = Asset(href="/vsis3/bucket/B02.tif", gdal_env={"AWS_SECRET_ACCESS_KEY": "hidden"})
    assert "hidden" not in repr(asset)
    assert "hidden" not in asset.model_dump_json()


def test_an_empty_order_goes_through_json() -> None:
    start, end = season_period(2019, (1, 7))
    order = Order(source="stac:a", source_id="a", level="L2A", start=start, end=end, synthetic=False, acquisitions=())
    assert Order.model_validate_json(order.model_dump_json()) == order
