"""Versions of a product, in the order in which they are tried, and products that only look like versions of one another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from shapely.geometry import box, mapping

from catalog.errors import Reason
from catalog.products import LeftOut, Product
from catalog.versions import newest_versions, shows_same_pixels, versions_of

TIME = datetime(2019, 4, 1, 11, tzinfo=UTC)
WHOLE, NORTH, SOUTH = (3.0, 50.0, 4.0, 51.0), (3.0, 50.49, 4.0, 51.0), (3.0, 50.0, 4.0, 50.51)


def product(name: str, over: tuple[float, float, float, float] = WHOLE, **about: Any) -> Product:
    values = {"tile": "31UES", "platform": "S2A", "datatake": "20190401T105031_1", **about}
    return Product(id=name, href=name, level="L2A", time=TIME, footprint=mapping(box(*over)), **values)


def newest(*products: Product) -> tuple[list[Product], list[LeftOut]]:
    left_out: list[LeftOut] = []
    return newest_versions(products, left_out), left_out


def test_the_newest_carries_the_others_from_new_to_old() -> None:
    (best,), left_out = newest(
        product("a", baseline="02.11"), product("c", baseline="05.00"), product("b", baseline="04.00")
    )
    assert [version.id for version in versions_of(best)] == ["c", "b", "a"]
    assert [(left.product, left.kind) for left in left_out] == [("b", Reason.DUPLICATE), ("a", Reason.DUPLICATE)]
    again = Product.model_validate_json(best.model_dump_json())
    assert again.model_dump_json() == best.model_dump_json()


@pytest.mark.parametrize("datatake", ["20190401T105031_1", "unknown"])
@pytest.mark.parametrize("datastrip", ["S20190401T105658", "unknown"])
def test_complementary_parts_of_a_tile_are_no_versions(datatake: str, datastrip: str) -> None:
    about = {"datatake": datatake, "datastrip": datastrip}
    parts, left_out = newest(product("north", NORTH, **about), product("south", SOUTH, **about))
    assert (sorted(part.id for part in parts), left_out) == (["north", "south"], [])


def test_each_part_has_versions_of_its_own() -> None:
    parts, left_out = newest(
        product("n1", NORTH, baseline="02.11"),
        product("s1", SOUTH, baseline="02.11"),
        product("n2", NORTH, baseline="05.00"),
        product("s2", SOUTH, baseline="05.00"),
    )
    assert sorted([version.id for version in versions_of(part)] for part in parts) == [["n2", "n1"], ["s2", "s1"]]
    assert sorted(left.product for left in left_out) == ["n1", "s1"]


def test_footprints_that_are_no_polygons_leave_the_decision_to_the_names() -> None:
    first, second = product("a"), product("b").model_copy(update={"footprint": {"type": "Polygon"}})
    assert shows_same_pixels(first, second)
    assert not shows_same_pixels(first, second.model_copy(update={"tile": "31UET"}))
