"""What the accuracy is measured on: points by region, the square of Flanders, and kinds scored on both."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from series_kit import series_table

from agrunet.data.folds import AllScored
from agrunet.data.header import SPLITS
from agrunet.data.series_rows import take_rows
from agrunet.data.series_source import SeriesSource
from agrunet.training.forest import ForestSettings
from processors.bench.accuracy import points
from processors.bench.accuracy.kinds import CHOSEN, across, by_folds
from processors.bench.accuracy.square import write_square


def test_labels_are_renamed_and_rows_without_a_name_left_out() -> None:
    table = series_table()
    renamed = points.relabelled(table, lambda label: {"early": "maize"}.get(label))
    assert set(renamed.labels) == {"maize"}
    assert len(renamed) == Counter(table.labels)["early"]
    twice = points.joined([take_rows(renamed, [0, 1]), take_rows(renamed, [2])])
    assert twice.ids == renamed.ids[:3]
    assert twice.values[twice.dates(2)].tolist() == renamed.values[renamed.dates(2)].tolist()
    assert points.in_degrees(renamed).fields == ("3 51",) * sum(lat < 52 for lat in renamed.lat)


def test_kinds_are_scored_by_folds_and_on_another_region() -> None:
    torch.set_num_threads(1)
    here, there = SeriesSource(series_table(seed=1)), SeriesSource(series_table(seed=2))
    small = {"forest": ForestSettings(trees=5), "other": ForestSettings(trees=7)}
    folds = by_folds(here, small, [0, 1])
    assert list(folds) == ["forest", "other", CHOSEN]
    assert [run.seed for run in folds[CHOSEN]] == [0, 1]
    assert all(run.oa > 0.9 and run.ece is not None for run in folds[CHOSEN])
    found = across(here, there, small, small, [3])
    assert found[CHOSEN] in (found["forest"], found["other"])
    (run,) = found[CHOSEN]
    labelled = sum(label is not None for label in series_table(seed=2).labels)
    assert (run.seed, run.n_pixels) == (3, labelled)
    assert run.oa > 0.9
    assert run.ece is not None
    assert set(np.unique(AllScored(there).split(0))) == {SPLITS["hold-out"], SPLITS["none"]}


def test_the_square_has_fourteen_fields_in_folds(real_data: Path, tmp_path: Path) -> None:
    folder = write_square(real_data, tmp_path / "square")
    assert folder.read(0).values.shape == (20, 10, 64, 64)
    counts = Counter(folder.header.classes[field.label] for field in folder.header.fields)
    assert counts == {"winter wheat": 4, "maize": 3, "barley": 2, "grassland": 5}
    assert {field.fold for field in folder.header.fields} == {1, 2, 3}


@pytest.mark.parametrize("region", [points.ARKANSAS, points.CALIFORNIA, points.CANADA])
def test_the_regions_are_read(real_data: Path, region: points.Region) -> None:
    table = region.table(real_data)
    labels = Counter(table.labels)
    known = {"Arkansas": ("maize", 1520), "California, north": ("orchards", 410), "Canada, west": ("grassland", 476)}
    name, count = known[region.name]
    assert labels[name] == count
