"""Forests that learn from simulated series beside the labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from series_kit import series_table

from agrunet.__main__ import main
from agrunet.checkpoint.folder import load_checkpoint, read_config
from agrunet.data.folds import AllScored
from agrunet.data.pixel_series import PixelSeries
from agrunet.data.series_rows import take_rows
from agrunet.data.series_source import SeriesSource
from agrunet.data.series_table import SeriesTable, write_series
from agrunet.errors import AgrunetError
from agrunet.inference import predict
from agrunet.training.evaluation import Tally
from agrunet.training.forest import ForestSettings
from agrunet.training.kinds import candidates
from agrunet.training.replay import Replayed, learnt_fields, replayed
from agrunet.training.train import train

SETTINGS = ForestSettings(kind="forest-replay", trees=20, least_leaf=3, thresholds="random", device="cpu")


def named(table: SeriesTable, names: dict[str, str | None]) -> SeriesTable:
    """The same with other names of its crops; None leaves a crop out."""
    labels = [None if label is None else names.get(label, label) for label in table.labels]
    return replace(table, labels=tuple(labels))


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    path = tmp_path / "simulated.parquet"
    write_series(path, series_table(200, seed=3, synthetic=True))
    return path


def few(early: int, late: int) -> SeriesTable:
    """So many labelled rows of each crop, those of a table of 90."""
    table = series_table()
    rows = [
        row
        for name, count in (("early", early), ("late", late))
        for row in [number for number, label in enumerate(table.labels) if label == name][:count]
    ]
    return take_rows(table, np.sort(rows))


def pixels(label: list[int]) -> PixelSeries:
    shape = (len(label), 1)
    empty = np.zeros(shape, np.bool_)
    return PixelSeries(
        np.zeros((*shape, 1), np.uint16), empty, np.zeros(shape, np.int32), empty, np.array(label, np.int16)
    )


def test_classes_weigh_the_same_and_labels_the_more_the_more_fields_show_a_class() -> None:
    label = np.array([0, 0, 1, 2, 2, 2], np.int16)
    weights = Replayed(pixels([0, 0, 0, 0, 1, 3]), np.array([2, 50, 3, 0])).weights(label, trust=50.0)
    whole = np.concatenate([label, [0, 0, 0, 0, 1, 3]])
    by_class = np.bincount(whole, weights)
    assert by_class == pytest.approx(np.full(4, 3.0))  # 12 series over four classes
    labelled = np.bincount(label, weights[:6], 4) / by_class
    assert labelled == pytest.approx([2 / 52, 0.5, 1, 0])  # the third isn't simulated, the fourth not labelled


def test_what_simulation_shows_is_known_where_labels_are_few(simulated: Path, tmp_path: Path) -> None:
    write_series(tmp_path / "few.parquet", few(3, 3))
    train(f"series:{tmp_path / 'few.parquet'}", tmp_path / "model", SETTINGS.model_copy(update={"replay": simulated}))
    network, config = load_checkpoint(tmp_path / "model")
    target = AllScored(SeriesSource(series_table(60, seed=9)))
    tally = Tally(target.header)
    for index, probabilities in predict(network, config, target, range(len(target))):
        tally.add(target, index, probabilities)
    matrix = tally.confusion["hold-out"]
    assert np.trace(matrix) > 0.9 * matrix.sum()
    assert (config.synthetic, config.classes) == (False, ("early", "late"))
    assert "It learnt from 180 simulated series of early, late beside 6 labelled pixels." in config.hold_out
    assert set(config.training_data) == {"series", "simulated"}
    assert (config.training["learnt_pixels"], config.training["replayed_pixels"]) == (6, 180)
    assert str(tmp_path) not in (tmp_path / "model" / "config.json").read_text("utf-8")


def test_a_class_that_isn_t_simulated_is_learnt_from_its_labels(tmp_path: Path, simulated: Path) -> None:
    source = SeriesSource(named(few(8, 8), {"early": "strange"}))
    found = replayed(simulated, source, 1000, 0)
    late = source.header.classes.index("late")
    assert set(found.series.label.tolist()) == {late}
    assert found.fields.tolist() == learnt_fields(source).tolist() == [8, 8]


def test_where_every_crop_means_two_classes_nothing_is_replayed_and_the_other_kinds_are_tried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_series(tmp_path / "s.parquet", named(series_table(60, synthetic=True), {"early": "wheat", "late": "oak"}))
    source = SeriesSource(named(few(8, 8), {"early": "winter wheat", "late": "spring wheat"}))
    caplog.set_level("INFO", "agrunet")
    assert list(candidates(source, "standard", replay=tmp_path / "s.parquet")) == ["pixel", "forest"]
    assert "shows no crop that one of the classes" in caplog.text


def test_few_series_make_a_forest_all_the_same(simulated: Path, tmp_path: Path) -> None:
    write_series(tmp_path / "few.parquet", few(2, 2))
    settings = SETTINGS.model_copy(update={"replay": simulated, "least_leaf": 1000})
    assert train(f"series:{tmp_path / 'few.parquet'}", tmp_path / "model", settings).training["replayed_pixels"] == 180


def test_months_that_are_not_simulated_are_named(tmp_path: Path) -> None:
    write_series(tmp_path / "s.parquet", series_table(60, synthetic=True, months=(3, 7)))
    with pytest.raises(AgrunetError, match=r"holds months 3 to 7, the data set 1 to 7.*--months 3 7"):
        replayed(tmp_path / "s.parquet", SeriesSource(few(8, 8), (1, 7)), 1000, 0)


def test_a_crop_that_two_classes_could_be_is_not_replayed(tmp_path: Path) -> None:
    write_series(tmp_path / "s.parquet", named(series_table(60, synthetic=True), {"early": "wheat"}))
    both = named(few(4, 4), {"early": "winter wheat", "late": "spring wheat"})
    with_late = replace(both, labels=(*both.labels[:-1], "late"))
    found = replayed(tmp_path / "s.parquet", SeriesSource(with_late), 1000, 0)
    assert {SeriesSource(with_late).header.classes[label] for label in found.series.label} == {"late"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"synthetic": False}, "holds no simulated series"),
        ({"synthetic": True, "level": "L1C"}, "the data set holds level L2A, not L1C"),
        ({"synthetic": True, "names": {"early": "oak", "late": "pine"}}, "shows no crop that one of the classes"),
    ],
)
def test_a_table_that_can_t_be_replayed_is_not_tried_and_refused_where_it_is_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], message: str
) -> None:
    names = changes.pop("names", {})
    path = tmp_path / "other.parquet"
    write_series(path, named(series_table(**changes), names))
    source = SeriesSource(few(8, 8))
    caplog.set_level("INFO", "agrunet")
    assert "forest-replay" not in candidates(source, "standard", replay=path)
    assert message in caplog.text
    with pytest.raises(AgrunetError, match=message):
        replayed(path, source, 1000, 0)


def test_it_is_compared_with_the_other_kinds(simulated: Path) -> None:
    source = SeriesSource(few(8, 8))
    assert list(candidates(source, "standard", replay=simulated)) == ["forest-replay", "pixel", "forest"]
    assert list(candidates(source, "quick", replay=simulated)) == ["forest"]


def test_the_command_says_what_is_missing_and_learns_from_both(
    simulated: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_series(tmp_path / "few.parquet", few(5, 5))
    arguments = ["train", "--data", f"series:{tmp_path / 'few.parquet'}", "--output", str(tmp_path / "m")]
    assert main([*arguments, "--kind", "forest-replay", "--preset", "quick"]) == 1
    assert "Give --replay" in caplog.text
    assert main([*arguments, "--kind", "forest", "--replay", str(simulated)]) == 1
    assert "Give --kind forest-replay" in caplog.text
    assert main([*arguments, "--kind", "forest-replay", "--preset", "quick", "--replay", str(simulated)]) == 0
    assert read_config(tmp_path / "m").training["kind"] == "forest-replay"
