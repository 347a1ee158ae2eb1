"""Simulated series: what they depend on, and the table that they are written to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agrunet.data.series_table import read_series
from catalog.errors import RequestError
from processors.simulation.claimed_folder import checked
from processors.simulation.series import NOTHING_UNKNOWN, Place, SimulatedSeries, simulate
from processors.simulation.training_series import SeriesSettings, training_series, write_training_series

PLACES = [Place(-91.0, 34.5, 1), Place(-121.5, 38.8, 2)]
DAYS = [20, 95, 140, 170, 200, 240, 300]


def ndvi(made: SimulatedSeries, code: int, place: int) -> np.ndarray:
    """(T,): median."""
    here = (made.crop == code) & (made.place == place)
    seen = made.values[here].astype(float)
    return np.median((seen[..., 6] - seen[..., 2]) / (seen[..., 6] + seen[..., 2]), axis=0)


def test_a_place_has_the_same_series_whoever_else_is_asked_for() -> None:
    both = simulate(PLACES, {3: 1, 15: 2}, 20, DAYS, window=10)
    alone = simulate(PLACES[1:], {3: 1, 15: 2}, 20, DAYS, window=10)
    assert both.values.shape == (40, 7, 10)
    np.testing.assert_array_equal(both.values[20:], alone.values)
    np.testing.assert_array_equal(both.crop[20:], alone.crop)
    assert 0 < (both.values == 0).mean() < 0.2


def test_soybeans_are_later_than_maize_in_the_delta() -> None:
    made = simulate(
        [Place(-91.0, 34.5, seed) for seed in range(6)], {3: 1, 15: 1}, 16, DAYS, residuals=NOTHING_UNKNOWN, gaps=0
    )
    early, late = (np.mean([ndvi(made, code, place) for place in range(6)], axis=0) for code in (3, 15))
    assert early[3] > late[3] + 0.1
    assert late[5] > early[5] + 0.1


def test_the_south_has_its_summer_in_january() -> None:
    places = [Place(-91.0, -34.5, seed) for seed in range(6)]
    made = simulate(places, {3: 1}, 12, [18, 297], gaps=0, residuals=NOTHING_UNKNOWN)
    summer, spring = np.mean([ndvi(made, 3, place) for place in range(6)], axis=0)
    assert summer > spring + 0.2


def test_the_table_says_that_it_is_synthetic_and_reads_back(tmp_path: Path) -> None:
    settings = checked(SeriesSettings, count=90, months=(3, 9), seed=4)
    made = write_training_series(tmp_path / "new" / "series.parquet", settings)
    table = read_series(tmp_path / "new" / "series.parquet")
    assert len(table) == sum(made.values()) == 90
    assert table.metadata.synthetic
    assert "simulate series" in table.metadata.source
    assert len(set(table.fields or ())) == 4
    lengths = np.diff(table.offsets)
    assert set(lengths[:25]) == {21}  # ten-day composites of seven months
    assert set(lengths[50:75]) == {7}
    assert table.days.min() >= 60
    assert table.days.max() <= 274
    np.testing.assert_array_equal(training_series(settings).values, table.values)


def test_settings_that_make_no_series_are_refused(tmp_path: Path) -> None:
    for wrong, reason in (
        ({"months": (9, 3)}, "months: series lie in one year"),
        ({"farming": "mars"}, "farming: one of world, france"),
        ({"timing": "weekly"}, "timing"),
        ({"count": 3}, "count"),
    ):
        with pytest.raises(RequestError, match=reason):
            checked(SeriesSettings, **{"count": 25, **wrong})
    with pytest.raises(RequestError, match=r"series.csv doesn't end in .parquet"):
        write_training_series(tmp_path / "series.csv", checked(SeriesSettings, count=25))
