"""Which model is in use follows from the record of decisions, to which lines are only added."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from catalog.errors import StoreError
from catalog.promotions import RECORD, Decision, Promotion, Promotions, decided, read_promotions, record

BETTER, FIRST, USER, BACK = Decision.BETTER, Decision.FIRST, Decision.USER, Decision.ROLLED_BACK


def made(*steps: tuple[str, Decision, str | None]) -> Promotions:
    return Promotions(tuple(decided(model, kind, "", in_use) for model, kind, in_use in steps))


CASES = {
    "the first of its kind": ([("a", FIRST, None)], "a"),
    "one that did better": ([("a", FIRST, None), ("b", BETTER, "a")], "b"),
    "one that did not": ([("a", FIRST, None), ("b", Decision.NOT_BETTER, "a")], "a"),
    "one that is unproven": ([("a", FIRST, None), ("b", Decision.UNPROVEN, "a")], "a"),
    "one of too few fields": ([("a", FIRST, None), ("b", Decision.TOO_FEW_FIELDS, "a")], "a"),
    "whatever it scores": ([("a", FIRST, None), ("b", Decision.ALWAYS, "a")], "b"),
    "in place of a damaged one": ([("a", FIRST, None), ("b", Decision.IN_USE_DAMAGED, "a")], "b"),
    "one after the other": ([("a", FIRST, None), ("b", BETTER, "a"), ("c", BETTER, "b")], "c"),
    "rolled back": ([("a", FIRST, None), ("b", BETTER, "a"), ("b", BACK, "a")], "a"),
    "rolled back twice": ([("a", FIRST, None), ("b", BETTER, "a"), ("c", BETTER, "b"), ("c", BACK, "b"), ("b", BACK, "a")], "a"),
    "promoted by a person": ([("a", FIRST, None), ("b", Decision.NOT_BETTER, "a"), ("b", USER, "a")], "b"),
    "promoted again, and that taken back": ([("a", FIRST, None), ("b", BETTER, "a"), ("a", USER, "b"), ("a", BACK, "b")], "b"),
    "rolled back, and promoted after all": ([("a", FIRST, None), ("b", BETTER, "a"), ("b", BACK, "a"), ("b", USER, "a")], "b"),
    "the one between is rolled back": ([("a", FIRST, None), ("b", BETTER, "a"), ("c", BETTER, "b"), ("b", BACK, "a")], "c"),
    "two that were never compared: the earlier stays": ([("a", FIRST, None), ("b", FIRST, None)], "a"),
    "none": ([("a", Decision.NOT_BETTER, "gone")], None),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "used"), CASES.values(), ids=CASES)
def test_which_is_in_use(steps: list[tuple[str, Decision, str | None]], used: str | None) -> None:
    assert made(*steps).in_use("abc") == used


def test_only_models_that_fit_count_and_what_was_won_stays_won() -> None:
    """c took over from b, which had taken over from a: where b doesn't fit, c still goes before a."""
    promotions = made(("a", FIRST, None), ("b", BETTER, "a"), ("c", BETTER, "b"))
    assert promotions.in_use(["a", "c"]) == "c"
    assert promotions.in_use(["a", "b"]) == "b"
    assert promotions.in_use([]) is None


def test_decisions_are_added_and_come_back(tmp_path: Path) -> None:
    entries = [decided("a", FIRST, "the first", evidence="hold-out"), decided("b", BETTER, "better", "a")]
    assert read_promotions(tmp_path / "models") == Promotions()
    for entry in entries:
        assert record(tmp_path / "models", entry)
    assert read_promotions(tmp_path / "models").entries == tuple(entries)
    lines = (tmp_path / "models" / RECORD).read_text().splitlines()
    assert [json.loads(line)["model"] for line in lines] == ["a", "b"]
    assert read_promotions(tmp_path / "models").of("b") == entries[1]


def test_a_decision_on_an_older_state_is_not_recorded(tmp_path: Path) -> None:
    assert record(tmp_path, decided("a", FIRST, ""), known=0)
    assert not record(tmp_path, decided("b", FIRST, ""), known=0)
    assert record(tmp_path, decided("b", BETTER, "", "a"), known=1)
    assert [entry.model for entry in read_promotions(tmp_path).entries] == ["a", "b"]


def test_damaged_lines_are_counted_and_kept(tmp_path: Path) -> None:
    record(tmp_path, decided("a", FIRST, ""))
    path = tmp_path / RECORD
    path.write_bytes(path.read_bytes() + b'{"model": "b"}\n\xff\n{"time": ')
    record(tmp_path, decided("c", BETTER, "", "a"))
    promotions = read_promotions(tmp_path)
    assert [entry.model for entry in promotions.entries] == ["a", "c"]
    assert promotions.damaged == 3
    assert len(path.read_bytes().splitlines()) == 5


def test_many_writers_lose_no_decision(tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: record(tmp_path, decided(f"m{number}", FIRST, "")), range(20)))
    assert len(read_promotions(tmp_path).entries) == 20


def test_a_record_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / RECORD).mkdir()
    with pytest.raises(StoreError, match=r"promotions\.jsonl can't be read: Is a directory"):
        read_promotions(tmp_path)


def test_every_kind_of_decision_promotes_or_does_not() -> None:
    promoting = {kind for kind in Decision if Promotion.model_construct(decision=kind).promoted}
    assert promoting == {FIRST, BETTER, USER, Decision.ALWAYS, Decision.IN_USE_DAMAGED}
