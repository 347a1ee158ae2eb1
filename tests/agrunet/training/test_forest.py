"""Forests: laid out as arrays they say what scikit-learn says, and are models like any other."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from series_kit import series_table
from sklearn.ensemble import RandomForestClassifier

from agrunet.checkpoint.folder import load_checkpoint
from agrunet.data.folder import PatchFolder
from agrunet.data.inputs import Normalisation, interpolate
from agrunet.data.series_source import SeriesSource
from agrunet.data.series_table import write_series
from agrunet.errors import AgrunetError
from agrunet.evidence import load_evidence
from agrunet.inference import predict
from agrunet.networks.day_grid import at_days
from agrunet.networks.forest import Forest, ForestConfig, with_differences
from agrunet.training.forest import ForestSettings, differences_of, forest_of
from agrunet.training.train import train

SMALL = ForestSettings(trees=20, device="cpu")


def test_the_probabilities_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 6)).astype(np.float32).round(2)  # so that values lie on thresholds
    label = rng.choice([0, 2, 3], 400)
    grown = RandomForestClassifier(30, random_state=0, class_weight="balanced").fit(features, label)
    forest = forest_of([(grown, None)], 2, 4, (0, 10, 20))
    other = np.concatenate([features, rng.normal(size=(3000, 6)).round(2)]).astype(np.float32)
    wanted = np.zeros((len(other), 4))
    wanted[:, [0, 2, 3]] = grown.predict_proba(other)
    ours = forest.probabilities(torch.from_numpy(other))
    assert np.abs(ours.numpy() - wanted).max() < 1e-5
    values = torch.from_numpy(other).view(1, -1, 3, 2).permute(0, 2, 3, 1).unsqueeze(-1)
    logits = forest(values, torch.ones(1, 3, dtype=torch.bool), torch.tensor([[0, 10, 20]]))
    assert (torch.softmax(logits, 1)[0, :, :, 0].T - torch.from_numpy(wanted)).abs().max() < 1e-5
    assert (logits.argmax(1)[0, :, 0].numpy() == wanted.argmax(1)).mean() > 0.999, "but for ties"


def test_thresholds_between_float32_numbers_part_them_as_before() -> None:
    features = np.nextafter(np.float32(1), np.float32([[2], [0], [2], [0]]), dtype=np.float32)
    grown = RandomForestClassifier(3, bootstrap=False, random_state=0).fit(features, [0, 1, 0, 1])
    forest = forest_of([(grown, None)], 1, 2, (0,))
    assert forest.probabilities(torch.from_numpy(features)).argmax(1).tolist() == [0, 1, 0, 1]


def test_differences_are_those_of_reflectance_and_known_to_the_checkpoint(tmp_path: Path) -> None:
    bands, mean, std = ("B04", "B08"), (800.0, 3000.0), (300.0, 900.0)
    normalisation = Normalisation(mean=mean, std=std)
    differences = differences_of(bands, normalisation)
    assert differences is not None
    assert differences.pairs == ((1, 0),), "B08 and B04; the others need bands that aren't there"
    stored = np.float32([[400, 3600], [1000, 1000], [0, 0]])
    inputs = torch.from_numpy((stored - mean) / std).float().view(3, 1, 2, 1, 1)
    made = with_differences(inputs, differences)[:, 0, :, 0, 0]
    assert made[:, :2].numpy() == pytest.approx(inputs[:, 0, :, 0, 0].numpy())
    assert made[:, 2].numpy() == pytest.approx([0.8, 0, 0], abs=0.003), "NDVI"
    assert differences_of(("B04", "B12"), normalisation) is None


@pytest.mark.parametrize(("thresholds", "differences"), [("best", "beside"), ("random", "half")])
def test_a_forest_of_differences_predicts_what_it_was_grown_on(
    thresholds: str, differences: str, tmp_path: Path
) -> None:
    write_series(tmp_path / "t.parquet", series_table())
    settings = ForestSettings.model_validate(
        {"trees": 20, "device": "cpu", "differences": differences, "thresholds": thresholds}
    )
    train(f"series:{tmp_path / 't.parquet'}", tmp_path / "model", settings)
    network, config = load_checkpoint(tmp_path / "model", torch.device("cpu"))
    assert isinstance(network, Forest)
    assert network.config.differences is not None
    bands, pairs = len(config.bands), len(network.config.differences.pairs)
    assert int(network.feature.max()) < len(network.config.grid) * (bands + pairs)
    inner = network.threshold < torch.inf
    second = torch.arange(len(inner)) >= network.roots[10]
    of_differences = (network.feature[inner & second] % (bands + pairs) >= bands).float().mean().item()
    assert (of_differences == 1) == (differences == "half"), "half of the trees look at nothing else"
    source = SeriesSource.open(tmp_path / "t.parquet")
    right, known = 0, 0
    for index, probabilities in predict(network, config, source, range(len(source))):
        label = source.label(index)
        right += int((probabilities.argmax(axis=0) == label)[label >= 0].sum())
        known += int((label >= 0).sum())
    assert right / known > 0.95


def test_days_of_a_grid_lie_on_the_lines_between_clear_dates() -> None:
    rng = np.random.default_rng(3)
    days = torch.tensor([[3, 10, 18, 40, 41], [0, 5, 30, 0, 0]])
    valid = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    values = torch.from_numpy(rng.normal(size=(2, 5, 2, 1, 1)).astype(np.float32))
    clear = torch.tensor([[1, 0, 1, 0, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)[..., None, None]
    grid = torch.tensor([0, 7, 18, 25, 41, 60])
    filled = interpolate(values, clear, days)
    filled[1, 3:] = torch.nan
    ours = at_days(filled, valid, days, grid)
    for sample in range(2):
        seen = clear[sample, :, 0, 0]
        for band in range(2):
            wanted = np.interp(grid, days[sample, seen], values[sample, seen, band, 0, 0])
            assert ours[sample, :, band, 0, 0].numpy() == pytest.approx(wanted, abs=1e-5)


def test_padding_that_is_not_a_number_changes_nothing() -> None:
    forest = Forest(ForestConfig(bands=3, classes=5, grid=(0, 5), trees=2, nodes=6)).eval()
    values = torch.full((2, 4, 3, 8, 8), torch.nan)
    logits = forest(values, torch.zeros(2, 4, dtype=torch.bool))
    assert torch.softmax(logits, 1) == pytest.approx(np.full((2, 5, 8, 8), 0.2), abs=1e-6)


def test_a_forest_is_a_whole_checkpoint_the_same_by_its_seed(tmp_path: Path) -> None:
    write_series(tmp_path / "t.parquet", series_table())
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        train(f"series:{tmp_path / 't.parquet'}", tmp_path / name, SMALL.model_copy(update={"seed": seed}))
    one, two, other = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "two", "other"))
    assert one == two
    assert one != other
    network, config = load_checkpoint(tmp_path / "one")
    assert isinstance(network, Forest)
    assert config.network.grid == tuple(range(5, 212, 10))
    assert (config.scores[0].split, config.scores[0].oa > 0.9) == ("grouped k-fold", True)
    assert config.temperature != 1
    assert config.calibration[0].ece < 0.15
    evidence = load_evidence(tmp_path / "one")
    assert evidence is not None
    assert len(evidence.fields) == 81


def test_a_forest_maps_windows(toy_folder: Path, tmp_path: Path) -> None:
    train(toy_folder, tmp_path / "model", SMALL)
    network, config = load_checkpoint(tmp_path / "model")
    assert config.scores[0].oa > 0.9
    ((_, mapped),) = predict(network, config, PatchFolder(toy_folder), [5])
    assert mapped.shape == (2, 16, 16)
    ((_, half),) = predict(network, config, PatchFolder(toy_folder), [5], precision="bf16")
    assert np.array_equal(mapped, half), "half precision would move values across thresholds"


def test_without_scikit_learn_the_extra_is_named(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(AgrunetError, match=r"scikit-learn isn't installed.*\n?.*cropline\[forest\]"):
        train(toy_folder, tmp_path / "model", SMALL)
