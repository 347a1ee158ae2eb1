"""Ground is held out by its place alone: whoever asks, in whatever zone the area is laid out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer
from shapely.geometry import box

from catalog.grid import Window, to_lonlat
from catalog.hold_out import BLOCK, SHARE, field_name, held_out, is_held_out, reaching


def test_the_choice_never_changes() -> None:
    """Models of all generations rest on it: these blocks of tile 31UES were held out by the first version, and stay so."""
    held = [(column, row) for row in range(5600, 5610) for column in range(570, 580) if is_held_out(32631, column, row)]
    assert held == HELD
    assert SHARE == 5
    assert BLOCK == 100


HELD = [
    (573, 5600),
    (576, 5600),
    (572, 5602),
    (576, 5603),
    (579, 5603),
    (570, 5604),
    (572, 5604),
    (574, 5604),
    (578, 5604),
    (576, 5605),
    (578, 5606),
    (578, 5607),
    (575, 5609),
]


def test_one_block_in_five_is_held_out_and_blocks_are_whole() -> None:
    window = Window(32631, 50_000, 560_000, 3000, 3000)
    mask = held_out(window)
    assert mask.mean() == pytest.approx(1 / 5, abs=0.04)
    blocks = mask.reshape(30, 100, 30, 100)
    assert (blocks.all(axis=(1, 3)) == blocks.any(axis=(1, 3))).all()
    assert mask[0, 0] == is_held_out(32631, 500, 5599)
    assert mask[-1, -1] == is_held_out(32631, 529, 5570)


@given(st.integers(-500, 500), st.integers(-500, 500), st.integers(1, 300), st.integers(1, 300))
def test_windows_agree_wherever_they_begin(left: int, top: int, width: int, height: int) -> None:
    whole = Window(32631, 49_500, 560_800, 1400, 1700)
    part = Window(32631, 50_000 + left, 560_000 + top, width, height)
    assert np.array_equal(held_out(part), held_out(whole)[whole.slices(part)])


def test_areas_in_two_zones_agree_on_the_ground_between_them() -> None:
    """Blocks of zone 31 end at 6° E. An area in zone 32 that reaches over holds the same ground out, but for edges that cut pixels."""
    west, east = 32631, 32632
    x, y = Transformer.from_crs(4326, east, always_xy=True).transform(6.0, 50.7)
    over = Window(east, int(x / 10) - 300, int(y / 10) + 150, 600, 300)
    columns, rows = np.meshgrid(over.left + np.arange(600) + 0.5, over.top - np.arange(300) - 0.5)
    x_west, y_west = Transformer.from_crs(east, west, always_xy=True).transform(10 * columns, 10 * rows)
    longitude, _ = Transformer.from_crs(east, 4326, always_xy=True).transform(10 * columns, 10 * rows)
    of_west = np.array(
        [is_held_out(west, int(a // 1000), int(b // 1000)) for a, b in zip(x_west.ravel(), y_west.ravel(), strict=True)]
    ).reshape(over.shape)
    of_east = np.array(
        [is_held_out(east, int(a // 100), int(b // 100)) for a, b in zip(columns.ravel(), rows.ravel(), strict=True)]
    ).reshape(over.shape)
    expected = np.where(longitude < 6, of_west, of_east)
    assert np.array_equal(held_out(over), expected)
    assert (of_west != of_east).any(), "the zones themselves would disagree"


def test_beyond_the_equator_the_southern_zone_decides() -> None:
    north = Window(32631, 50_000, 150, 200, 300)  # its lower half lies south of the equator
    south = Window(32731, 50_000, 1_000_000, 200, 150)
    assert np.array_equal(held_out(north)[150:], held_out(south))


def test_fields_that_may_reach_into_some_ground_are_found_by_their_names() -> None:
    assert field_name(32631, 57_468, 562_244) == "32631_57468_562244"
    ground = to_lonlat(box(574_600, 5_622_000, 574_800, 5_622_500), 32631)
    inside, near, far = (field_name(32631, left, 562_244) for left in (57_468, 57_480 + 130, 57_480 + 150))
    assert reaching([inside, near, far], ground) == {inside, near}
    assert reaching([], ground) == set()
    with pytest.raises(ValueError, match="not a field's name: 'field 7'"):
        reaching(["field 7"], ground)
