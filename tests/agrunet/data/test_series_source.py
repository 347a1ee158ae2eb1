"""Tables of series as data sets: nothing of a row is lost, and what lies together is held out together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from series_kit import DAYS, series_table

from agrunet.data.folds import FieldFold
from agrunet.data.header import SPLITS
from agrunet.data.patches import FieldSource
from agrunet.data.public.datasets import open_dataset
from agrunet.data.series_folds import deal, ground_groups
from agrunet.data.series_source import SeriesSource
from agrunet.data.series_table import SeriesTable, write_series
from agrunet.errors import AgrunetError


def _rows(source: SeriesSource) -> dict[str, tuple[int, list[tuple[int, list[int]]]]]:
    """Label, and the clear dates with their values, of each row by the name of its field."""
    rows = {}
    for index in range(len(source)):
        patch, field = source.read(index), source.field(index)
        assert patch.label is not None
        for row, column in zip(*np.nonzero(field >= 0), strict=True):
            seen = patch.clear[:, row, column]
            series = list(zip(patch.days[seen].tolist(), patch.values[seen, :, row, column].tolist(), strict=True))
            rows[source.header.fields[field[row, column]].name] = int(patch.label[row, column]), series
    return rows


@pytest.mark.parametrize("irregular", [False, True])
def test_every_labelled_row_is_a_pixel_with_its_clear_dates(irregular: bool) -> None:
    table = series_table(irregular=irregular, months=(1, 7))
    source = SeriesSource(table)
    assert isinstance(source, FieldSource)
    assert (len(source) > 1) == irregular, "days of all rows together are more than a series may have"
    rows = _rows(source)
    assert sorted(rows) == sorted(name for name, label in zip(table.ids, table.labels, strict=True) if label)
    for row, name in enumerate(table.ids):
        if name in rows:
            own = table.dates(row)
            clear = (table.values[own] > 0).all(axis=1)
            wanted = list(zip((table.days[own][clear] - 1).tolist(), table.values[own][clear].tolist(), strict=True))
            assert rows[name] == (source.header.classes.index(str(table.labels[row])), wanted)


def test_the_header_says_what_the_table_states() -> None:
    header = SeriesSource(series_table(baselines=("05.09",), min_acquisitions=3)).header
    assert (header.bands, header.classes, header.months, header.years) == (("B04", "B08"), ("early", "late"), (1, 7), (2019,))  # fmt: skip
    assert (header.level, header.synthetic, header.baselines, header.min_acquisitions) == ("L2A", False, ("05.09",), 3)
    assert [(entry["value"], entry["name"]) for entry in header.legend] == [(1, "early"), (2, "late")]
    assert header.evidence == "grouped k-fold"
    assert {field.fold for field in header.fields} == {1, 2, 3}


def test_classes_follow_the_legend_that_a_table_states() -> None:
    legend = [
        {"value": 9, "name": "early", "colour": "#00ff00"},
        {"value": 4, "name": "late", "colour": "#ff0000"},
        {"value": 5, "name": "never seen", "colour": "#0000ff"},
    ]
    assert SeriesSource(series_table(legend=legend)).header.classes == ("late", "early")
    with pytest.raises(AgrunetError, match="label 'late' is none of its legend: early"):
        SeriesSource(series_table(legend=legend[:1]))


def test_months_cut_the_season(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_series(path, series_table())
    source = open_dataset(f"series:{path}", (4, 6))
    assert source.header.months == (4, 6)
    assert source.read(0).days.tolist() == [int(day) - 91 for day in DAYS if 91 <= day <= 181]
    with pytest.raises(AgrunetError, match=r"t\.parquet: months 4 to 9 of series that hold 1 to 7"):
        open_dataset(f"series:{path}", (4, 9))


def test_a_season_over_the_turn_of_the_year_begins_in_the_year_before() -> None:
    table = series_table()
    source = SeriesSource(replace(table, days=(table.days - 60).astype(np.int16)))
    assert source.header.months == (11, 5)
    days = source.read(0).days
    assert (days[0], days[-1]) == (30 + 31 + 10 - 60 - 1, 30 + 31 + 150 - 1)


def test_points_of_one_field_or_block_are_held_out_together() -> None:
    lon = np.array([3.0, 3.001, 3.2, 3.4, 3.4001])
    groups = ground_groups(lon, np.full(5, 51.0), ["a", "b", "b", "c", "d"])
    assert groups[0] == groups[1] == groups[2]
    assert groups[3] == groups[4] != groups[0]
    table = series_table()
    together = replace(table, fields=tuple(f"f{row // 6}" for row in range(len(table))))
    source = SeriesSource(together)
    folds: dict[str, set[int | None]] = {}
    for field in source.header.fields:
        folds.setdefault(field.name.partition("/")[0], set()).add(field.fold)
    assert all(len(of) == 1 for of in folds.values())
    assert len({field.name for field in source.header.fields}) == len(source.header.fields)


def test_each_fold_gets_its_part_of_every_class() -> None:
    rng = np.random.default_rng(1)
    groups, labels = rng.integers(0, 60, 600), rng.choice(4, 600, p=[0.6, 0.25, 0.1, 0.05])
    names = [str(row) for row in range(600)]
    folds = deal(groups, labels, names)
    assert all(len(set(folds[groups == group])) == 1 for group in range(60))
    for label in range(4):
        part = np.bincount(folds[labels == label], minlength=4)[1:] / (labels == label).sum()
        assert part.min() > 0.25, (label, part)
    assert np.array_equal(folds, deal(groups, labels, names))


def test_what_a_fold_leaves_out_is_of_no_use_to_those_who_choose() -> None:
    source = SeriesSource(series_table())
    outer, left = FieldFold(source, 2).split(0), FieldFold(source, 1, hidden=2).split(0)
    assert (left[outer == SPLITS["hold-out"]] == SPLITS["none"]).all()
    assert {SPLITS["train"], SPLITS["hold-out"]} <= set(left.reshape(-1).tolist())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: replace(table, labels=("early",) * len(table)), "its labels tell nothing apart: early"),
        (lambda table: replace(table, values=np.zeros_like(table.values)), "no row has a clear date in the season"),
        (lambda _: _long(), r"row 0 \(p0\) has 80 clear dates in the season; a series has 70 at most"),
    ],
)
def test_tables_that_nothing_can_be_learnt_from_are_refused(change, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "t.parquet"
    write_series(path, change(series_table()))
    with pytest.raises(AgrunetError, match=rf"t\.parquet: {message}"):
        open_dataset(f"series:{path}")


def _long() -> SeriesTable:
    table = series_table(2)
    return replace(
        table,
        labels=("early", "late"),
        offsets=np.array([0, 80, 80]),
        days=np.arange(1, 81, dtype=np.int16),
        values=np.ones((80, 2), np.uint16),
    )
