"""How fields were mapped is counted by field, written beside a model, and read back only as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agrunet.errors import AgrunetError
from agrunet.evidence import FieldEvidence, FieldTally, MappedField, load_evidence, read_evidence, write_evidence

EVIDENCE = FieldEvidence(
    kind="hold-out",
    classes=("wheat", "maize"),
    fields=(MappedField(name="a", label=0, mapped=(5, 1, 2)), MappedField(name="b", label=1, mapped=(0, 9, 0))),
)


def test_pixels_are_counted_by_field_and_class() -> None:
    tally = FieldTally(fields=2, classes=3)
    tally.add(np.array([[0, 0, 1], [1, -1, 1]], np.int32), np.array([[2, -1, 0], [0, 1, 2]], np.int16))
    tally.add(np.array([[0]], np.int32), np.array([[1]], np.int16))
    assert tally.counts.tolist() == [[0, 1, 1, 1], [2, 0, 1, 0]]


def test_mean_probabilities_are_those_of_the_mapped_pixels_of_a_field() -> None:
    probabilities = np.array([[[0.8, 0.6, np.nan, 0.1]], [[0.2, 0.4, np.nan, 0.9]]], np.float32)
    first, second = FieldTally(fields=2, classes=2), FieldTally(fields=2, classes=2)
    first.add(np.array([[0, 0, 0, -1]], np.int32), np.array([[0, 0, -1, 1]], np.int16), probabilities)
    second.add(np.array([[-1, 0, 1, -1]], np.int32), np.array([[0, 0, -1, 1]], np.int16), probabilities)
    first += second
    mapped, unmapped = first.mapped([("a", 0), ("b", 1)])
    assert mapped.mapped == (3, 0, 1)
    assert mapped.probabilities == pytest.approx(((0.8 + 0.6 + 0.6) / 3, (0.2 + 0.4 + 0.4) / 3), abs=1e-5)
    assert unmapped.probabilities is None
    assert "probabilities" not in unmapped.model_dump()


def test_evidence_comes_back(tmp_path: Path) -> None:
    write_evidence(tmp_path / "fields.json", EVIDENCE)
    assert read_evidence(tmp_path / "fields.json") == EVIDENCE
    labels, counts = EVIDENCE.counts()
    assert labels.tolist() == [0, 1]
    assert counts.tolist() == [[5, 1, 2], [0, 9, 0]]
    assert [field.name for field in EVIDENCE.of(["b"]).fields] == ["b"]


def test_a_folder_without_evidence_has_none(tmp_path: Path) -> None:
    assert load_evidence(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        (
            '{"kind": "hold-out", "classes": ["a", "b"], "fields": [{"name": "x", "label": 0, "mapped": [1, 2]}]}',
            "field x",
        ),
        (
            '{"kind": "hold-out", "classes": ["a", "b"], "fields": '
            '[{"name": "x", "label": 1, "mapped": [1, 2, 3], "probabilities": [1]}]}',
            "field x",
        ),
        (
            '{"kind": "hold-out", "classes": ["a", "b"], "fields": [{"name": "x", "label": 2, "mapped": [1, 2, 3]}]}',
            "field x",
        ),
        (
            '{"kind": "hold-out", "classes": ["a", "b"], "fields": [{"name": "x", "label": 0, "mapped": [1, -2, 3]}]}',
            "mapped",
        ),
    ],
)
def test_what_is_no_evidence_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "fields.json").write_text(text)
    with pytest.raises(AgrunetError, match=said):
        read_evidence(tmp_path / "fields.json")
    (tmp_path / "fields.json").unlink()
    with pytest.raises(AgrunetError, match="can't be read: No such file"):
        read_evidence(tmp_path / "fields.json")
