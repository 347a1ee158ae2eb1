"""Models that are scored by fields: held out on the ground, or by folds of fields; and others mapped on the same fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from agrunet.__main__ import main
from agrunet.checkpoint.folder import load_checkpoint
from agrunet.data.folder import PatchFolder, write_folder_header, write_patch
from agrunet.data.folds import FieldFold
from agrunet.data.header import SPLITS, LabelledField
from agrunet.data.patches import Patch
from agrunet.errors import AgrunetError
from agrunet.evidence import load_evidence, read_evidence
from agrunet.training.field_mapping import map_fields
from agrunet.training.settings import TrainingConfig
from agrunet.training.train import train

TINY = TrainingConfig(filters=(4, 8), hidden=4, steps=45, passes=0, crop=16, rate=1e-2, device="cpu")


def with_fields(folder: Path, make_toy: Callable[..., Path], kind: str) -> Path:
    """The toy's six patches, each of two fields: patches 0 to 3 are learnt from and 4, 5 held out, or all are dealt into three folds."""
    make_toy(folder, lambda index: "hold-out" if kind == "hold-out" and index > 3 else "train")
    source = PatchFolder(folder)
    fields: list[LabelledField] = []
    for index in range(6):
        patch, split = source.read(index), source.split(index)
        assert patch.label is not None
        field = np.full(patch.label.shape, -1, np.int32)
        if kind != "hold-out" or index > 3:
            for label in (0, 1):
                field[patch.label == label] = len(fields)
                fold = None if kind == "hold-out" else index % 3 + 1
                fields.append(LabelledField(name=f"32631_{index}_{label}", label=label, fold=fold))
        write_patch(folder, index, patch, split, field)
    write_folder_header(folder, source.header.model_copy(update={"fields": tuple(fields), "evidence": kind}))
    return folder


@pytest.fixture(scope="module", params=["hold-out", "grouped k-fold"])
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, make_toy: Callable[..., Path]
) -> tuple[str, Path, Path, list[tuple[int, int]]]:
    """Kind, patches, model, and the steps that were told."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("fields")
    patches = with_fields(folder / "patches", make_toy, request.param)
    told: list[tuple[int, int]] = []
    train(patches, folder / "model", TINY, lambda step, steps, _: told.append((step, steps)))
    return request.param, patches, folder / "model", told


def test_each_held_out_field_is_counted_and_scored(trained: tuple[str, Path, Path, list[tuple[int, int]]]) -> None:
    kind, patches, model, told = trained
    _, config = load_checkpoint(model)
    evidence = load_evidence(model)
    assert evidence is not None
    assert (config.evidence, evidence.kind) == (kind, kind)
    assert [score.split for score in config.scores] == [kind]
    labels, counts = evidence.counts()
    assert labels.tolist() == [0, 1] * (2 if kind == "hold-out" else 6)
    assert counts.sum(axis=1).tolist() == [128] * len(labels)
    for field in evidence.fields:
        assert field.probabilities is not None
        assert sum(field.probabilities) == pytest.approx(1, abs=1e-4)
    assert config.scores[0].n_pixels + config.scores[0].n_unmapped == counts.sum()
    assert config.scores[0].oa == pytest.approx(counts[np.arange(len(labels)), labels].sum() / counts[:, :-1].sum())
    assert config.scores[0].oa > (0.9 if kind == "hold-out" else 0.65), "networks of folds are trained a third as long"
    assert config.training_data["patches"] == PatchFolder(patches).digest()
    steps = 45 if kind == "hold-out" else 45 + 3 * 15
    assert told == [(step, steps) for step in range(1, steps + 1)]
    said = "These networks were trained for 15 steps each, the model for 45."
    assert (said in config.hold_out) == (kind == "grouped k-fold")


def test_the_model_maps_the_same_fields_the_same_way(
    trained: tuple[str, Path, Path, list[tuple[int, int]]], tmp_path: Path
) -> None:
    kind, patches, model, _ = trained
    assert (
        main(["map-fields", "--data", str(patches), "--model", str(model), "--output", str(tmp_path / "fields.json")])
        == 0
    )
    mapped, evidence = read_evidence(tmp_path / "fields.json"), load_evidence(model)
    assert evidence is not None
    assert [(field.name, field.label) for field in mapped.fields] == [
        (field.name, field.label) for field in evidence.fields
    ]
    if kind == "hold-out":
        assert mapped == evidence
    else:
        labels, counts = mapped.counts()
        assert counts[np.arange(len(labels)), labels].sum() > 0.95 * counts[:, :-1].sum(), "the model learnt from them"


def test_evidence_that_was_changed_is_refused(
    trained: tuple[str, Path, Path, list[tuple[int, int]]], tmp_path: Path
) -> None:
    evidence, item = ((trained[2] / name).read_text() for name in ("fields.json", "item.json"))
    (tmp_path / "item.json").write_text(item)
    (tmp_path / "fields.json").write_text(evidence.replace('"label":1', '"label":0', 1))
    with pytest.raises(AgrunetError, match=r"fields\.json is not the file that was written"):
        load_evidence(tmp_path)
    document = json.loads(item)
    del document["assets"]["fields"]
    (tmp_path / "item.json").write_text(json.dumps(document))
    with pytest.raises(AgrunetError, match=r"states no checksum of fields\.json"):
        load_evidence(tmp_path)


def test_a_fold_holds_out_its_fields_only(tmp_path: Path, make_toy: Callable[..., Path]) -> None:
    source = PatchFolder(with_fields(tmp_path / "p", make_toy, "grouped k-fold"))
    for number in (1, 2, 3):
        fold = FieldFold(source, number)
        held = [index for index in range(6) if (fold.split(index) == SPLITS["hold-out"]).any()]
        assert held == [number - 1, number + 2]
        assert all((fold.split(index) == SPLITS["hold-out"]).all() for index in held)


def test_a_model_maps_patches_of_more_bands_and_of_other_class_order(
    tmp_path: Path, make_toy: Callable[..., Path]
) -> None:
    patches = with_fields(tmp_path / "p", make_toy, "hold-out")
    train(patches, tmp_path / "model", TINY)
    wanted = load_evidence(tmp_path / "model")
    assert wanted is not None
    source = PatchFolder(patches)
    for index in range(6):
        patch, split, field = source.read(index), source.split(index), source.field(index)
        assert patch.label is not None
        values = np.concatenate([patch.values[:, ::-1], patch.values[:, :1] * 0], axis=1)
        write_patch(tmp_path / "q", index, Patch(values, patch.clear, patch.days, 1 - patch.label), split, field)
    fields = tuple(field.model_copy(update={"label": 1 - field.label}) for field in source.header.fields)
    changed = {"bands": ("B08", "B04", "B11"), "classes": ("late", "early"), "fields": fields}
    write_folder_header(tmp_path / "q", source.header.model_copy(update=changed))
    mapped = map_fields(tmp_path / "q", tmp_path / "model")
    _, counts = mapped.counts()
    assert counts[:, [1, 0, 2]].tolist() == wanted.counts()[1].tolist()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"bands": ("B04", "B11")}, "can't be applied to the patches"),
        ({"months": (2, 7)}, "can't be applied to the patches"),
        ({"classes": ("early", "other")}, "tells early, late apart, the patches early, other"),
        ({"fields": ()}, "the patches list no fields"),
    ],
)
def test_what_a_model_cannot_be_applied_to_is_refused(
    tmp_path: Path, make_toy: Callable[..., Path], changed: dict[str, object], said: str
) -> None:
    patches = with_fields(tmp_path / "p", make_toy, "hold-out")
    train(patches, tmp_path / "model", TINY.model_copy(update={"steps": 1}))
    write_folder_header(patches, PatchFolder(patches).header.model_copy(update=changed))
    with pytest.raises(AgrunetError, match=said):
        map_fields(patches, tmp_path / "model")
