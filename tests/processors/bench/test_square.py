"""A small square repeated over a large area: its own levels, fields whole, the same turn of a copy for all dates and bands."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from catalog.area import parse_area
from catalog.errors import RequestError
from processors.bench.archive import ASSETS, write_archive
from processors.bench.square import Square, read_square

DAY = datetime(2019, 4, 1, 11, tzinfo=UTC)


def square_of(edge: int) -> Square:
    numbers = np.arange(1, edge * edge + 1, dtype=np.uint16).reshape(edge, edge)
    return Square((DAY,), ({asset: numbers * 50 if asset != "SCL" else numbers for asset in ASSETS},))


def test_copies_are_turned_alike_in_all_bands() -> None:
    square = square_of(5)
    classes = square.over(0, "SCL", 33)
    assert classes.shape == (33, 33)
    turns = set()
    for row in range(6):
        for column in range(6):
            copy = classes[5 * row : 5 * row + 5, 5 * column : 5 * column + 5]
            assert sorted(copy.ravel()) == list(range(1, 26)), "every pixel of the square once"
            turns.add(copy.tobytes())
    assert 1 < len(turns) <= 8
    band = square.over(0, "B04", 33).astype(int)
    noise = band - 1000 - 50 * classes.astype(int)
    assert abs(noise).max() < 60
    assert 6 < noise.std() < 10


def test_no_data_stays_no_data() -> None:
    square = square_of(4)
    square.values[0]["B04"][0, 0] = 0
    band = square.over(0, "B04", 8)
    assert np.count_nonzero(band == 0) == 4


def test_real_dates_are_clear_and_spread(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "flanders-2019"
    area = parse_area(json.loads((folder / "aoi.geojson").read_text()))
    square = read_square(f"stac:{folder / 'catalog.json'}", area, 2019, 6)
    assert [time.month for time in square.dates] == sorted(time.month for time in square.dates)
    assert {square.dates[0].month, square.dates[-1].month} <= {1, 2, 6, 7}
    for values in square.values:
        assert {array.shape for array in values.values()} == {(64, 64)}
        assert np.isin(values["SCL"], (4, 5, 6, 7)).mean() > 0.5
    archive = write_archive(tmp_path / "archive", "cog", 6, 128, 2, distinct=6, times=square.dates, pixels=square.over)
    told = [json.loads(item.read_text())["properties"]["datetime"] for item in archive.items()]
    assert told == [time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in square.dates]
    with pytest.raises(RequestError, match="clear acquisitions of 2019, 60 are asked for"):
        read_square(f"stac:{folder / 'catalog.json'}", area, 2019, 60)
