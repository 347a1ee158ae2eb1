"""Offsets that a request gives: whom they are for, and which date of a cube they make."""

from __future__ import annotations

import pytest

from catalog.errors import RequestError
from catalog.given_offsets import variant, with_offsets
from catalog.products import Acquisition, Product

TIME = "2019-04-01T10:56:58Z"


def acquisition(name: str, *products: str) -> Acquisition:
    listed = tuple(
        Product.model_validate(
            {"id": product, "href": "", "level": "L2A", "time": TIME, "footprint": {"type": "Point"}}
        )
        for product in products
    )
    return Acquisition.model_validate({"id": name, "time": TIME, "products": listed})


def test_an_offset_makes_a_date_of_its_own() -> None:
    plain, given = with_offsets([acquisition("S2A_1", "a"), acquisition("S2A_2", "b", "c")], {"S2A_2": -1000})
    assert (plain.id, [one.offset for one in plain.products]) == ("S2A_1", [None])
    assert (given.id, [one.offset for one in given.products]) == ("S2A_2_offset-1000", [-1000, -1000])
    assert (variant(plain.id), variant(given.id)) == ("", "_offset-1000")


def test_an_offset_of_zero_is_one() -> None:
    (given,) = with_offsets([acquisition("S2A_1", "a")], {"a": 0})
    assert (given.id, given.products[0].offset) == ("S2A_1_offset0", 0)
    assert variant(given.id) == "_offset0"


def test_a_products_own_offset_goes_before_its_acquisitions() -> None:
    (given,) = with_offsets([acquisition("S2A_1", "a", "b")], {"S2A_1": -1000, "b": 0})
    assert [one.offset for one in given.products] == [-1000, 0]
    (other,) = with_offsets([acquisition("S2A_1", "a", "b")], {"S2A_1": 0, "b": -1000})
    assert len({given.id, other.id, "S2A_1"}) == 3
    assert variant(given.id) != variant(other.id)


def test_an_offset_for_what_is_not_ordered_is_an_error_that_lists_what_is() -> None:
    with pytest.raises(RequestError, match=r"offset: no acquisition or product S2A_9 is ordered.*S2A_1, S2A_2"):
        with_offsets([acquisition("S2A_1", "a"), acquisition("S2A_2", "b")], {"S2A_9": -1000, "b": 0})
