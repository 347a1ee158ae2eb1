"""Rows of the accuracy that is measured: what counts, what was asked, and a record that is gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from processors.bench.accuracy.picture import draw
from processors.bench.accuracy.rows import Curve, Measured, Row, Run, read_measured, record, table


def runs(*oa: float) -> tuple[Run, ...]:
    return tuple(Run(seed=seed, oa=value, miou=value / 2, n_pixels=10, iou={}) for seed, value in enumerate(oa))


def row(name: str = "a", **settings: object) -> Row:
    kinds = {"pixel": runs(0.8, 0.9), "forest": runs(0.8, 0.8)}
    return Row.model_validate({"name": name, "what": "w", "figure": "oa", "kinds": kinds, **settings})


def test_what_was_chosen_counts_and_else_the_best_beside_the_forest() -> None:
    assert row().delivered == "pixel"
    assert row(kinds={"pixel": runs(0.9), "chosen": runs(0.7)}).delivered == "chosen"
    assert row(kinds={"forest": runs(0.7)}).delivered == "forest"


@pytest.mark.parametrize(
    ("asked", "wanted", "reached"),
    [
        ({}, None, None),
        ({"asked": 0.86}, 0.86, False),
        ({"asked": 0.85}, 0.85, True),
        ({"above_forest": 0.04}, 0.84, True),
    ],
)
def test_what_is_asked_is_stated_or_so_much_above_the_forest_of_the_same_run(
    asked: dict[str, float], wanted: float | None, reached: bool | None
) -> None:
    assert row(**asked).wanted == (None if wanted is None else pytest.approx(wanted))
    assert row(**asked).reached is reached


def test_a_record_is_gone_on_with_and_drawn(tmp_path: Path) -> None:
    path = tmp_path / "accuracy.json"
    measured = record(path, read_measured(path, "a machine"), row("b", asked=0.9))
    measured = record(path, measured, row("a"))
    curve = Curve(name="few", what="w", fields=(5, 10), kinds={"pixel": ((0.1, 0.2), (0.3, 0.5))})
    record(path, measured, curve)
    again = record(path, read_measured(path, "another"), row("b", asked=0.8))
    assert [(found.name, found.asked) for found in again.rows] == [("a", None), ("b", 0.8)]
    assert again.machine == "a machine"
    assert read_measured(path, "") == again
    assert table(again.rows)[1] == {
        "row": "b",
        "figure": "oa",
        "pixel": "0.850 (0.800 to 0.900)",
        "forest": "0.800 (0.800 to 0.800)",
        "asked": "0.800 reached",
    }
    draw(again, tmp_path / "accuracy.png")
    with Image.open(tmp_path / "accuracy.png") as picture:
        assert picture.width > 800
    draw(Measured(machine="m", rows=(row(),)), tmp_path / "rows.png")
