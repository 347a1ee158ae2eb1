"""Kinds of models: what each learns from, and that all are scored on the same folds of the same fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from series_kit import series_table

from agrunet.__main__ import main
from agrunet.checkpoint.folder import load_checkpoint
from agrunet.data.folder import PatchFolder
from agrunet.data.series_table import write_series
from agrunet.errors import AgrunetError
from agrunet.evidence import load_evidence
from agrunet.inference import predict
from agrunet.training.field_mapping import map_fields
from agrunet.training.forest import ForestSettings
from agrunet.training.settings import KINDS, TrainingConfig, read_training_config
from agrunet.training.train import train

TINY = TrainingConfig(
    kind="pixel", steps=60, passes=0, batch=32, rate=5e-3, fold_part=1, supervision=1, day_shift=3, device="cpu"
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("series") / "t.parquet"
    write_series(path, series_table())
    return path


@pytest.fixture(scope="module")
def trained(table: Path) -> Path:
    torch.set_num_threads(1)
    train(f"series:{table}", table.with_name("pixel"), TINY)
    return table.with_name("pixel")


def test_a_pixel_network_learns_series_and_is_scored_by_folds(table: Path, trained: Path) -> None:
    _, config = load_checkpoint(trained)
    assert (config.scores[0].split, config.scores[0].oa > 0.9) == ("grouped k-fold", True)
    assert config.temperature != 1
    assert list(config.training_data) == ["series"]
    train(f"series:{table}", table.with_name("forest"), ForestSettings(trees=20, device="cpu"))
    ours, theirs = load_evidence(trained), load_evidence(table.with_name("forest"))
    assert ours is not None
    assert theirs is not None
    assert [(field.name, field.label) for field in ours.fields] == [
        (field.name, field.label) for field in theirs.fields
    ]


def test_a_table_is_mapped_by_a_model_of_another(trained: Path, tmp_path: Path) -> None:
    write_series(tmp_path / "other.parquet", series_table(60, seed=5, irregular=True, months=(1, 7)))
    labels, counts = map_fields(f"series:{tmp_path / 'other.parquet'}", trained).counts()
    assert counts.sum() == len(labels) == 54
    assert counts[np.arange(len(labels)), labels].sum() > 0.85 * len(labels)


def test_members_are_averaged_and_the_same_by_their_seed(table: Path) -> None:
    for name in ("a", "b"):
        train(
            f"series:{table}",
            table.with_name(name),
            TINY.model_copy(update={"members": 2, "steps": 2, "fold_part": 0.5}),
        )
    a, b = ((table.with_name(name) / "weights.safetensors").read_bytes() for name in ("a", "b"))
    assert a == b


def test_a_pixel_network_learns_from_patches_and_maps_windows(toy_folder: Path, tmp_path: Path) -> None:
    train(toy_folder, tmp_path / "model", TINY)
    network, config = load_checkpoint(tmp_path / "model")
    assert config.scores[0].oa > 0.9
    assert next(predict(network, config, PatchFolder(toy_folder), [5]))[1].shape == (2, 16, 16)


def test_networks_that_look_at_windows_refuse_series(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AgrunetError, match=r"kind agrunet looks at windows.*one of pixel, forest"):
        train(f"series:{table}", table.with_name("agrunet"))
    assert main(["train", "--data", f"series:{table}", "--output", str(table.with_name("agrunet"))]) == 1


def test_kinds_have_presets_of_their_own(tmp_path: Path) -> None:
    assert set(KINDS) == {"agrunet", "fine-tuned", "pixel", "forest", "forest-replay"}
    assert all({"quick", "standard"} <= set(presets) for presets in KINDS.values())
    (tmp_path / "c.json").write_text('{"trees": 7}')
    assert read_training_config(tmp_path / "c.json", "standard", "forest") == ForestSettings(trees=7)
    (tmp_path / "d.json").write_text('{"kind": "agrunet"}')
    with pytest.raises(AgrunetError, match="are those of kind agrunet, asked is pixel"):
        read_training_config(tmp_path / "d.json", "standard", "pixel")
    with pytest.raises(AgrunetError, match="no kind 'tree'"):
        read_training_config(None, "standard", "tree")


def test_the_command_line_trains_a_kind_on_some_months(table: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", f"series:{table}", "--output", str(tmp_path / "m"), "--kind", "forest"]
    assert main([*arguments, "--preset", "quick", "--months", "2", "5"]) == 0
    assert load_checkpoint(tmp_path / "m")[1].months == (2, 5)
