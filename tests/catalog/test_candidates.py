"""Of what could make a map one is taken, by rules that hold for any list, and every other one is told why not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.candidates import Accuracy, Against, Candidate, Wish, choose, clearly_better, taken_of


def candidate(processor: str = "crop-map", model: str | None = "a", place: str = "here", **fields: Any) -> Candidate:
    return Candidate(processor=processor, model=model, place=place, **fields)


def accuracy(miou: float, low: float | None = None, high: float | None = None, split: str = "hold-out") -> Accuracy:
    return Accuracy(split=split, miou=miou, interval=None if low is None or high is None else (low, high))


GOOD = candidate(accuracy=accuracy(0.70, 0.65, 0.75), seconds=300, measured=True)
FAST = candidate("crop-map-fast", accuracy=accuracy(0.70, 0.65, 0.75), seconds=120, measured=True)
FOREST = candidate(
    model="forest", accuracy=accuracy(0.60, 0.55, 0.64), seconds=20, measured=True, against=Against.NOT_IN_USE,
    reason="a is in use",
)  # fmt: skip
NEW = candidate(model="new", seconds=5)
OTHER = candidate(model="other", against=Against.UNFIT, reason="trained on L1C, not L2A", place="")


def taken(candidates: list[Candidate], **wish: Any) -> tuple[str, str | None, str]:
    found = taken_of(choose(candidates, Wish(**wish)))
    assert found is not None
    return found.processor, found.model, found.place


def test_without_a_wish_the_first_is_taken_and_all_say_why() -> None:
    decided = choose([GOOD, FAST, FOREST, OTHER], Wish())
    assert [(one.taken, one.reason) for one in decided] == [
        (True, "in use, and nothing is clearly better"),
        (
            False,
            "not clearly better than crop-map, a, in here: mIoU 0.700 (0.65 to 0.75), not above mIoU 0.700 (0.65 to 0.75)",
        ),
        (False, "a is in use"),
        (False, "trained on L1C, not L2A"),
    ]


@pytest.mark.parametrize(
    ("figure", "wins"),
    [
        (accuracy(0.9, 0.80, 0.95), True),
        (accuracy(0.9, 0.70, 0.95), False),
        (accuracy(0.9), False),
        (accuracy(0.9, 0.80, 0.95, split="truth"), False),
        (None, False),
    ],
)
def test_quality_takes_another_only_where_its_interval_lies_wholly_above(figure: Accuracy | None, wins: bool) -> None:
    other = candidate("forest", None, accuracy=figure, seconds=1, measured=True)
    assert taken([GOOD, other]) == (("forest", None, "here") if wins else ("crop-map", "a", "here"))


def test_time_takes_the_fastest_that_was_measured() -> None:
    assert taken([GOOD, FAST, FOREST, NEW], prefer="time") == ("crop-map", "forest", "here")
    decided = {one.model: one.reason for one in choose([GOOD, FOREST, NEW], Wish("time"))}
    assert decided["forest"] == "the fastest that was measured: about 20 s"
    assert decided["new"] == "how fast it is was never measured there: name it once, and it is"
    assert decided["a"] == "about 300 s, crop-map, forest, in here about 20 s"


def test_nothing_is_taken_for_a_speed_that_nobody_measured() -> None:
    unknown = GOOD.model_copy(update={"measured": False})
    decided = choose([unknown, NEW], Wish("time"))
    assert decided[0].taken
    assert decided[0].reason.startswith("no speed was measured yet, so as with quality: ")


def test_a_deadline_leaves_what_fits_and_measured_speeds_go_first() -> None:
    assert taken([GOOD, FAST, FOREST], seconds=200) == ("crop-map-fast", "a", "here")
    assert taken([GOOD, FAST, FOREST], seconds=30) == ("crop-map", "forest", "here"), (
        "it isn't in use, but there in time"
    )
    decided = choose([GOOD, FAST, FOREST, NEW], Wish(seconds=10))
    assert taken_of(decided) == decided[3], "by the benchmark, since nothing that was measured is in time"
    assert decided[0].reason == "too late: about 300 s, and 10 s are left"
    assert taken_of(choose([GOOD], Wish(seconds=10))) is None
    assert choose([NEW, FOREST], Wish(seconds=100))[0].reason.startswith("its speed was never measured there")
    trained = candidate(model=None)
    assert choose([trained, FOREST], Wish(seconds=100))[0].reason.startswith("nobody can say yet how long it takes")


def test_where_none_is_in_use_the_best_figure_counts_and_among_equals_the_speed() -> None:
    def unused(name: str, figure: Accuracy | None, seconds: float) -> Candidate:
        return candidate(
            model=name,
            accuracy=figure,
            seconds=seconds,
            measured=True,
            against=Against.NOT_IN_USE,
            reason="x is in use",
        )

    low = unused("low", accuracy(0.5, 0.45, 0.55), 1)
    best = unused("best", accuracy(0.7, 0.6, 0.8), 50)
    equal = unused("equal", accuracy(0.68, 0.58, 0.78), 9)
    flattered = unused("flattered", accuracy(0.99, split="truth"), 1)
    assert taken([low, best, flattered, unused("unknown", None, 1)]) == ("crop-map", "best", "here")
    assert taken([low, best, equal, flattered]) == ("crop-map", "equal", "here")


def test_the_same_in_two_places_is_done_in_the_first_unless_time_counts() -> None:
    there = GOOD.model_copy(update={"place": "gpu", "seconds": 30.0})
    decided = choose([GOOD, there], Wish())
    assert [(one.taken, one.reason) for one in decided][1] == (False, "the same is done in here, which comes first")
    assert taken([GOOD, there], prefer="time") == ("crop-map", "a", "gpu")


FIGURES = st.none() | st.builds(
    lambda split, low, wide, bounded: accuracy(
        low + wide / 2, *((low, low + wide) if bounded else (None, None)), split
    ),
    st.sampled_from(["hold-out", "grouped k-fold", "truth", "unheard of"]),
    st.floats(0, 0.6),
    st.floats(0, 0.4),
    st.booleans(),
)
CANDIDATES = st.lists(
    st.builds(
        candidate,
        st.sampled_from(["crop-map", "crop-map-fast", "forest"]),
        st.sampled_from([None, "a", "b"]),
        st.sampled_from(["here", "gpu"]),
        accuracy=FIGURES,
        seconds=st.none() | st.floats(0, 1e5),
        measured=st.booleans(),
        against=st.sampled_from(list(Against)),
        reason=st.just("for a reason"),
    ),
    max_size=8,
)
WISHES = st.builds(Wish, st.sampled_from(["quality", "time"]), st.none() | st.floats(-10, 1e5))


@given(CANDIDATES, WISHES)
def test_at_most_one_is_taken_that_may_be_and_everyone_is_told(candidates: list[Candidate], wish: Wish) -> None:
    decided = choose(candidates, wish)
    plain = {"taken": False, "reason": ""}
    assert [one.model_copy(update=plain) for one in decided] == [one.model_copy(update=plain) for one in candidates]
    assert all(one.reason for one in decided)
    chosen = [one for one in decided if one.taken]
    in_time = [
        one
        for one in candidates
        if one.against is not Against.UNFIT
        and (wish.seconds is None or (one.seconds is not None and one.seconds <= wish.seconds))
    ]
    assert len(chosen) == bool(in_time)
    if chosen:
        (best,) = chosen
        assert best.against is not Against.UNFIT
        assert wish.seconds is None or (best.seconds is not None and best.seconds <= wish.seconds)
        timed = [one.seconds for one in in_time if one.measured and one.seconds is not None]
        if wish.prefer == "time" and timed:
            assert best.measured
            assert best.seconds == min(timed)
        elif best.against is Against.NOTHING:
            eligible = [one for one in in_time if one.measured] if wish.seconds is not None and timed else in_time
            rivals = [one for one in eligible if one.against is Against.NOTHING]
            assert not any(clearly_better(rival, best) for rival in rivals)


@given(CANDIDATES, WISHES)
def test_what_is_refused_changes_nothing_for_the_others(candidates: list[Candidate], wish: Wish) -> None:
    fit = [one for one in candidates if one.against is not Against.UNFIT]
    assert taken_of(choose(candidates, wish)) == taken_of(choose(fit, wish))
