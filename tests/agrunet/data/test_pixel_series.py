"""Pixels to learn from, taken out of their patches: all of them where they are few, none that isn't to be learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from series_kit import series_table

from agrunet.data.folder import PatchFolder
from agrunet.data.folds import FieldFold
from agrunet.data.pixel_series import PixelBatches, gather_pixels
from agrunet.data.series_source import SeriesSource


def test_all_pixels_to_learn_from_are_there_with_their_own_series(toy_folder: Path) -> None:
    folder = PatchFolder(toy_folder)
    series = gather_pixels(folder, 10_000, 0)
    seen = [folder.read(index) for index in range(4)]  # of six, one stops and one is held out
    assert len(series) == sum((patch.clear.sum(0) >= folder.header.min_acquisitions).sum() for patch in seen)
    first = seen[0].clear.sum(0) >= folder.header.min_acquisitions
    assert np.array_equal(series.values[: first.sum()], seen[0].values[:, :, first].transpose(2, 0, 1))
    assert np.array_equal(series.label[: first.sum()], seen[0].label[first])
    assert series.valid.all()


def test_small_classes_stay_whole_where_not_all_pixels_fit() -> None:
    source = SeriesSource(series_table(400))
    label = source.label(0)
    whole = np.bincount(label[label >= 0])
    drawn = np.bincount(gather_pixels(source, 250, 0).label)
    assert whole.min() > 125 > 0
    assert drawn.sum() == pytest.approx(250, abs=40)
    assert np.bincount(gather_pixels(source, int(whole.min()) * 2 + 20, 0).label).min() == whole.min()


def test_nothing_of_a_fold_that_is_held_out_is_learnt() -> None:
    source = SeriesSource(series_table())
    held = sum(field.fold == 1 for field in source.header.fields)
    assert len(gather_pixels(FieldFold(source, 1), 1000, 0)) == len(source.header.fields) - held


def test_batches_go_through_all_series_and_repeat_themselves_by_their_seed() -> None:
    series = gather_pixels(SeriesSource(series_table(irregular=True)), 1000, 0)
    drawn = [list(PixelBatches(series, 0.2, 5, (seed,)).batches(9, len(series) // 3)) for seed in (1, 1, 2)]
    days = [np.concatenate([batch.days.numpy().reshape(-1) for batch, _ in batches]) for batches in drawn]
    assert np.array_equal(days[0], days[1])
    assert not np.array_equal(days[0], days[2])
    assert len({batch.days.shape[1] for batch, _ in drawn[0]}) > 1, "dates are left out"
    for batch, label in drawn[0]:
        assert batch.values.shape[3:] == (1, 1)
        assert label.shape == (len(batch.values), 1, 1)
        later = batch.days[:, 1:] - batch.days[:, :-1]
        assert (later[batch.valid[:, 1:]] > 0).all(), "dates rise, whatever is left out"
    labels = np.concatenate([label.numpy().reshape(-1) for _, label in drawn[0]])
    assert np.bincount(labels) == pytest.approx(3 * np.bincount(series.label), abs=3)
