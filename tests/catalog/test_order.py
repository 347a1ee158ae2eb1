"""Orders from products made by hand: what is a duplicate, what makes an acquisition, why something was left out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box, mapping

from catalog.area import Area, as_geojson
from catalog.errors import NoProductError, Reason, SourceError
from catalog.order import group_acquisitions, make_order
from catalog.products import Asset, LeftOut, Level, Order, Product
from catalog.sources.protocol import SearchResult

AREA = box(4.2, 50.2, 4.3, 50.3)
TIME = datetime(2019, 5, 1, 10, 56, 31, tzinfo=UTC)
FOOTPRINT = as_geojson(box(4, 50, 5, 51))


def product(name: str, **fields: Any) -> Product:
    known = {
        "level": "L2A",
        "time": TIME,
        "tile": "31UES",
        "platform": "S2A",
        "datatake": "20190501T105031_020142",
        "datastrip": "S20190501T105300",
        "relative_orbit": "R051",
        "baseline": "02.11",
        "footprint": FOOTPRINT,
    }
    return Product(id=name, href=f"/archive/{name}.json", **{**known, **fields})


def unknown(name: str, minutes: float = 0, **fields: Any) -> Product:
    nothing = dict.fromkeys(["platform", "datatake", "datastrip", "relative_orbit", "baseline"], "unknown")
    return product(name, time=TIME + timedelta(minutes=minutes), **{**nothing, **fields})


@dataclass
class Shelf:
    """A source that holds what a test puts there."""

    products: tuple[Product, ...]
    left_out: tuple[LeftOut, ...] = ()
    address: str = "stac:/archive/catalog.json"
    id: str = "stac-archive-00000000"
    searches: list[tuple[Area, tuple[datetime, datetime], Level]] = field(default_factory=list)

    def search(self, area: Area, period: tuple[datetime, datetime], level: Level) -> SearchResult:
        self.searches.append((area, period, level))
        return SearchResult(self.products, self.left_out, "the source holds what it holds")

    def assets(self, product: Product) -> dict[str, Asset]:
        return {"B04": Asset(href=product.href)}


def order(*products: Product, max_cloud: float = 95, months: tuple[int, int] = (1, 7)) -> Order:
    return make_order(Shelf(products), AREA, 2019, months, "L2A", max_cloud)


def taken(made: Order) -> list[str]:
    return sorted(product.id for acquisition in made.acquisitions for product in acquisition.products)


def when(hours: int) -> datetime:
    return TIME + timedelta(hours=hours)


DUPLICATES = [
    ("newer-baseline", product("a", baseline="05.00"), product("b", baseline="02.11"), "a"),
    ("numbers-not-letters", product("a", baseline="10.00"), product("b", baseline="09.99"), "a"),
    (
        "baseline-before-generation-time",
        product("a", baseline="05.00", generation_time=when(1)),
        product("b", baseline="04.00", generation_time=when(9)),
        "a",
    ),
    ("generation-time", product("a", generation_time=when(9)), product("b", generation_time=when(1)), "a"),
    ("a-time-before-none", product("a", generation_time=when(1)), product("b"), "a"),
    ("id", product("a"), product("b"), "b"),
    ("00.01-never-wins", product("a", baseline="00.01", generation_time=when(9)), product("b", baseline="02.04"), "b"),
    ("99.99-never-wins", product("a", baseline="99.99", generation_time=when(9)), product("b", baseline="02.04"), "b"),
    (
        "between-no-numbers-generation-time",
        product("a", baseline="00.01", generation_time=when(9)),
        product("b", baseline="99.99", generation_time=when(1)),
        "a",
    ),
    ("unknown-never-wins", product("a", baseline="unknown"), product("b", baseline="02.04"), "b"),
    ("one-does-not-know-its-orbit", product("a", datatake="20190501T105031"), product("b", baseline="05.00"), "b"),
    ("unknown-datatake-within-a-minute", unknown("a"), unknown("b", 0.9), "b"),
    ("unknown-datatake-and-tile-same-footprint", unknown("a", tile="unknown"), unknown("b", tile="unknown"), "b"),
]


@pytest.mark.parametrize(
    ("one", "other", "best"), [case[1:] for case in DUPLICATES], ids=[case[0] for case in DUPLICATES]
)
def test_of_duplicates_the_best_is_taken(one: Product, other: Product, best: str) -> None:
    for products in ((one, other), (other, one)):
        made = order(*products)
        assert taken(made) == [best]
        assert len(made.left_out) == 1
        assert made.left_out[0].product == ({one.id, other.id} - {best}).pop()
        assert made.left_out[0].reason.startswith(f"duplicate: {best} is taken")


COMPLEMENTS = [
    ("two-datastrips", product("a"), product("b", datastrip="S20190501T105731")),
    ("two-tiles", product("a"), product("b", tile="31UFS")),
    ("two-platforms", product("a"), product("b", platform="S2B")),
    ("two-datatakes", product("a"), product("b", datatake="20190501T105731_020143")),
    ("unknown-datatake-two-minutes-apart", unknown("a"), unknown("b", 2)),
    ("unknown-datatake-two-tiles", unknown("a"), unknown("b", tile="31UFS")),
    (
        "unknown-tile-two-footprints",
        unknown("a", tile="unknown"),
        unknown("b", tile="unknown", footprint=mapping(box(3, 50, 4.5, 51))),
    ),
]


@pytest.mark.parametrize(("one", "other"), [case[1:] for case in COMPLEMENTS], ids=[case[0] for case in COMPLEMENTS])
def test_complementary_products_are_both_kept(one: Product, other: Product) -> None:
    made = order(one, other)
    assert taken(made) == ["a", "b"]
    assert made.left_out == ()


def test_of_two_parts_of_a_tile_each_is_taken_in_its_newest_version() -> None:
    second, newer = {"datastrip": "S20190501T105731"}, {"baseline": "05.00"}
    first_part = product("a-old"), product("a-new", **newer)
    made = order(*first_part, product("b-old", **second), product("b-new", **second, **newer))
    assert taken(made) == ["a-new", "b-new"]
    assert len(made.acquisitions) == 1


def test_a_reason_names_the_baselines() -> None:
    made = order(product("old", baseline="02.11"), product("new", baseline="05.00"))
    assert made.left_out == (
        LeftOut(
            product="old", reason="duplicate: new is taken, baseline 05.00 rather than 02.11", kind=Reason.DUPLICATE
        ),
    )


def test_products_of_one_datatake_make_one_acquisition() -> None:
    made = order(
        product(
            "east", tile="31UFS", time=TIME + timedelta(seconds=14), sun_zenith=40, sun_azimuth=350, cloud_cover=10
        ),
        product("west", sun_zenith=42, sun_azimuth=20, cloud_cover=30),
    )
    (acquisition,) = made.acquisitions
    assert acquisition.id == "S2A_20190501T105031_R051"
    assert [member.id for member in acquisition.products] == ["west", "east"]
    assert acquisition.time == TIME
    assert (acquisition.sun_zenith, acquisition.cloud_cover) == (41, 20)
    assert acquisition.sun_azimuth == pytest.approx(5)
    assert (acquisition.platform, acquisition.baseline) == ("S2A", "02.11")


def test_an_acquisition_of_two_baselines_says_both() -> None:
    (acquisition,) = order(product("a", baseline="05.00"), product("b", tile="31UFS", baseline="04.00")).acquisitions
    assert acquisition.baseline == "04.00+05.00"


def test_unknown_datatakes_are_grouped_by_twenty_minutes() -> None:
    made = order(unknown("a"), unknown("b", 19, tile="31UFS"), unknown("c", 21, tile="31UFS"), unknown("d", 90))
    assert [(acquisition.id, len(acquisition.products)) for acquisition in made.acquisitions] == [
        ("S2_20190501T105631", 2),
        ("S2_20190501T111731", 1),
        ("S2_20190501T122631", 1),
    ]


def test_unknown_datatakes_of_two_platforms_or_orbits_are_apart() -> None:
    made = order(unknown("a"), unknown("b", 2, platform="S2B"), unknown("c", 4, platform="S2B", relative_orbit="R051"))
    assert [acquisition.id for acquisition in made.acquisitions] == [
        "S2_20190501T105631",
        "S2B_20190501T105831",
        "S2B_20190501T110031_R051",
    ]


def test_clouds_over_the_limit_are_left_out_and_the_limit_itself_is_not() -> None:
    made = order(
        product("at", cloud_cover=40),
        product("over", tile="31UFS", cloud_cover=40.01),
        product("silent", tile="31UGS"),
        max_cloud=40,
    )
    assert taken(made) == ["at", "silent"]
    assert made.left_out == (
        LeftOut(product="over", reason="too cloudy: 40.0 % of the tile, over max_cloud 40", kind=Reason.TOO_CLOUDY),
    )


def test_the_newest_version_decides_about_clouds() -> None:
    with pytest.raises(SourceError, match="1 duplicate, 1 too cloudy"):
        order(product("old", cloud_cover=10), product("new", baseline="05.00", cloud_cover=99))


def test_a_footprint_that_only_touches_is_left_out() -> None:
    made = order(product("in"), product("beside", tile="31UFS", footprint=mapping(box(4.3, 50, 5, 51))))
    assert taken(made) == ["in"]
    assert made.left_out[0].reason.startswith("outside: ")


def test_a_footprint_that_is_no_polygon_is_left_out() -> None:
    made = order(product("in"), product("odd", tile="31UFS", footprint={"type": "Polygon", "coordinates": [[[1]]]}))
    assert taken(made) == ["in"]
    assert made.left_out[0].reason.startswith("not understood: ")


def test_a_season_across_the_year_is_searched_as_one() -> None:
    shelf = Shelf((product("a"),))
    made = make_order(shelf, AREA, 2019, (10, 7), "L2A", 95)
    period = (datetime(2018, 10, 1, tzinfo=UTC), datetime(2019, 8, 1, tzinfo=UTC))
    assert shelf.searches == [(AREA, period, "L2A")]
    assert (made.start, made.end) == period


def test_nothing_found_says_what_was_searched_and_what_to_do() -> None:
    with pytest.raises(SourceError) as failure:
        make_order(Shelf(()), AREA, 2019, (1, 7), "L2A", 95)
    text = str(failure.value)
    for part in (
        "stac:/archive",
        "L2A",
        "2019-01-01 to 2019-07-31",
        "4.2000 to 4.3000",
        "holds what it holds",
        "other months",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("reasons", "remedy"),
    [
        ([Reason.TOO_CLOUDY, Reason.TOO_CLOUDY, Reason.OTHER_LEVEL], "Raise max_cloud"),
        ([Reason.OTHER_LEVEL, Reason.OTHER_LEVEL, Reason.TOO_CLOUDY], "Ask for the other level"),
        ([Reason.NOT_UNDERSTOOD], "Repair the items"),
        ([Reason.OUTSIDE], "Ask for other months"),
    ],
)
def test_the_remedy_follows_the_commonest_reason(reasons: list[Reason], remedy: str) -> None:
    left_out = tuple(LeftOut(product=str(index), reason="a text", kind=kind) for index, kind in enumerate(reasons))
    with pytest.raises(SourceError, match=rf"{len(reasons)} left out \(\d {reasons[0].words}.*{remedy}"):
        make_order(Shelf((), left_out), AREA, 2019, (1, 7), "L2A", 95)


def test_an_order_goes_through_json_and_knows_what_is_synthetic() -> None:
    made = order(product("a", synthetic=True), unknown("b", 60))
    assert made.synthetic
    assert not order(product("a")).synthetic
    assert Order.model_validate_json(made.model_dump_json()) == made


def test_an_order_of_before_there_were_kinds_is_read() -> None:
    made = order(product("a"), product("over", tile="31UFS", cloud_cover=99))
    older = json.loads(made.model_dump_json())
    del older["left_out"][0]["kind"]
    read = Order.model_validate(older)
    assert [(left.product, left.kind) for left in read.left_out] == [("over", Reason.UNKNOWN)]
    assert not any(left.denied or left.passing for left in read.left_out)


products = st.lists(
    st.builds(
        product,
        st.sampled_from("abcdefgh"),
        time=st.integers(0, 4000).map(lambda minutes: TIME + timedelta(minutes=minutes)),
        tile=st.sampled_from(["31UES", "31UFS", "unknown"]),
        datatake=st.sampled_from(["unknown", "20190501T105031_020142", "20190504T105031_020185"]),
        datastrip=st.sampled_from(["unknown", "S20190501T105300"]),
        baseline=st.sampled_from(["unknown", "00.01", "02.11", "05.00"]),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda made: made.id,
)


@given(products, st.randoms(use_true_random=False))
def test_an_order_does_not_depend_on_the_order_of_the_catalogue(members: list[Product], random: Any) -> None:
    shuffled = list(members)
    random.shuffle(shuffled)
    assert order(*members) == order(*shuffled)


@given(products)
def test_every_product_is_taken_or_left_out_once(members: list[Product]) -> None:
    made = order(*members)
    assert sorted(taken(made) + [left.product for left in made.left_out]) == sorted(member.id for member in members)
    assert [a.time for a in made.acquisitions] == sorted(a.time for a in made.acquisitions)
    assert len({a.id for a in made.acquisitions}) == len(made.acquisitions)


@given(products)
def test_grouping_loses_nothing(members: list[Product]) -> None:
    grouped = [member.id for acquisition in group_acquisitions(members) for member in acquisition.products]
    assert sorted(grouped) == sorted(member.id for member in members)


class Bare(Shelf):
    """A source that says how much it holds."""

    def __init__(self, count: int | None, left_out: tuple[LeftOut, ...] = ()) -> None:
        super().__init__((), left_out)
        self.count = count

    def search(self, *asked: Any) -> SearchResult:
        return replace(super().search(*asked), count=self.count)


def test_structural_causes_stand_first_and_have_remedies_of_their_own() -> None:
    with pytest.raises(NoProductError) as empty:
        make_order(Bare(0), AREA, 2019, (1, 7), "L2A", 95)
    assert "it holds no product at all" in str(empty.value)
    assert "Check that it is the catalogue or folder you mean" in str(empty.value)
    broken = tuple(
        LeftOut(product=name, reason="not understood: no datetime", kind=Reason.NOT_UNDERSTOOD) for name in ("a", "b")
    )
    with pytest.raises(NoProductError) as unclear:
        make_order(Bare(0, broken), AREA, 2019, (1, 7), "L2A", 95)
    assert "none of its 2 products can be understood (a: not understood: no datetime)" in str(unclear.value)
    assert "Repair the items" in str(unclear.value)
    with pytest.raises(NoProductError, match="Ask for other months"):
        make_order(Bare(12), AREA, 2019, (1, 7), "L2A", 95)
    assert all("months" not in str(failure.value) for failure in (empty, unclear))


@pytest.mark.parametrize(
    ("extent", "said", "remedy"),
    [
        (
            (50.5, 4.0, 51.0, 4.5),
            "the area lies outside of what it holds, longitude 50.5000 to 51.0000",
            "swapped it would",
        ),
        (
            (5.0, 60.0, 6.0, 61.0),
            "outside of what it holds, longitude 5.0000 to 6.0000, latitude 60",
            "Ask for an area",
        ),
        ((4.0, 50.0, 5.0, 51.0), "no L2A product to take", "Ask for other months"),
        (None, "no L2A product to take", "Ask for other months"),
    ],
)
def test_an_area_elsewhere_is_told_where_the_source_lies(
    extent: tuple[float, float, float, float] | None, said: str, remedy: str
) -> None:
    class Elsewhere(Shelf):
        def search(self, area: Area, period: tuple[datetime, datetime], level: Level) -> SearchResult:  # noqa: ARG002
            return SearchResult((), count=4, extent=extent)

    with pytest.raises(NoProductError) as refusal:
        make_order(Elsewhere(()), box(4.2, 50.6, 4.3, 50.7), 2019, (1, 7), "L2A", 95)
    assert said in str(refusal.value)
    assert remedy in str(refusal.value)


def test_what_is_sensed_after_the_day_that_is_taken_for_today_is_not_there_yet() -> None:
    later = product("later", time=TIME + timedelta(days=5), datatake="20190506T105031_020142")
    shelf = Shelf((product("now"), later))
    made = make_order(shelf, AREA, 2019, (1, 7), "L2A", 95, until=TIME + timedelta(days=5))
    assert [one.products[0].id for one in made.acquisitions] == ["now"]
    assert [(left.product, left.kind) for left in made.left_out] == [("later", Reason.NOT_THERE_YET)]
    with pytest.raises(NoProductError):
        make_order(shelf, AREA, 2019, (1, 7), "L2A", 95, until=TIME)
    assert len(make_order(shelf, AREA, 2019, (1, 7), "L2A", 95).acquisitions) == 2
