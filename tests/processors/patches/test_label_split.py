"""Which pixels are held out: blocks inside fields, and whole fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agrunet.data.header import SPLITS
from catalog.grid import Window
from processors.patches.label_split import block_folds, connected_fields, describe_split, held_out_fields, split_map
from processors.patches.labels import open_labels

TRAIN, WITHIN, DISJOINT, NONE = (SPLITS[name] for name in ("train", "within-field", "field-disjoint", "none"))


def test_folds_count_blocks_of_sixteen_pixels_from_the_upper_left() -> None:
    folds = block_folds((33, 80))
    assert folds[0, [0, 15, 16, 32, 48, 64, 79]].tolist() == [0, 0, 1, 2, 3, 0, 0]
    assert folds[[15, 16, 32], 0].tolist() == [0, 1, 2]
    assert folds[32, 33] == 0  # (2 + 2) mod 4
    assert folds.shape == (33, 80)


def test_fields_are_connected_by_edges_not_by_corners() -> None:
    labels = np.array([[1, 1, 0, -1], [-1, 0, 1, 1], [0, 0, -1, 1]], np.int16)
    fields, owners = connected_fields(labels)
    # Of label 0: the pixel (0, 2), then the three at the lower left. Of label 1: the upper left, then the lower right.
    assert fields.tolist() == [[3, 3, 1, 0], [0, 2, 4, 4], [2, 2, 0, 4]]
    assert owners.tolist() == [0, 0, 1, 1]


def test_labels_without_a_pixel_have_no_fields() -> None:
    fields, owners = connected_fields(np.full((2, 3), -1, np.int16))
    assert not fields.any()
    assert len(owners) == 0
    assert (split_map(np.full((2, 3), -1, np.int16), 2) == NONE).all()


def test_the_field_nearest_to_a_quarter_of_its_class_is_held_out() -> None:
    # Class 0: 100 pixels and small ones, a quarter of 180 is 45: 50 is nearer than 30. Class 1: one field is large enough.
    # Class 2: 40 and 40, a quarter is 20: as near, so the first.
    sizes = np.array([100, 30, 50, 19, 19, 40, 40], np.int64)
    owners = np.array([0, 0, 0, 1, 1, 2, 2], np.int16)
    assert held_out_fields(sizes, owners) == [3, 6]
    assert held_out_fields(np.array([200, 19]), np.array([0, 0], np.int16)) == []


def labelled_map() -> np.ndarray:
    """48 x 48: class 0 has two fields, class 1 lies in a block of fold 0 alone, class 2 is one field through many blocks."""
    labels = np.full((48, 48), -1, np.int16)
    labels[0:4, 20:30] = 0  # 40 pixels
    labels[6:12, 20:30] = 0  # 60 pixels
    labels[2:8, 2:8] = 1  # 36 pixels in block (0, 0)
    labels[16:48, 0:16] = 2  # blocks (1, 0), (2, 0): folds 1 and 2
    labels[32:48, 16:48] = 2  # blocks (2, 1), (2, 2): folds 3 and 0
    return labels


def test_the_split_of_a_small_map_by_hand() -> None:
    labels = labelled_map()
    split = split_map(labels, 3)
    expected = np.full((48, 48), NONE, np.uint8)
    expected[0:4, 20:30] = DISJOINT  # a quarter of 100 is 25: 40 is nearer than 60
    expected[6:12, 20:30] = TRAIN  # block (0, 1), fold 1
    expected[2:8, 2:8] = TRAIN  # fold 0, given back: the class had nothing else to learn from
    expected[16:48, 0:16] = TRAIN
    expected[32:48, 16:32] = TRAIN
    expected[32:48, 32:48] = WITHIN
    assert split.dtype == np.uint8
    assert np.array_equal(split, expected)


def test_another_fold_holds_out_other_blocks() -> None:
    split = split_map(labelled_map(), 3, fold=1)
    assert (split[16:32, 0:16] == WITHIN).all()
    assert (split[32:48, 0:48] == TRAIN).all()
    assert (split[2:8, 2:8] == TRAIN).all()
    # The field that stays for learning lies in fold 1 alone: given back.
    assert (split[6:12, 20:30] == TRAIN).all()


def test_a_label_beyond_the_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="label 2 in a map of 2 classes"):
        split_map(labelled_map(), 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 12), st.integers(0, 3))
def test_every_class_keeps_something_to_learn_from_and_no_field_is_torn(
    seed: int, classes: int, scale: int, fold: int
) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(-1, classes, (6, 5)).astype(np.int16)
    labels = np.kron(coarse, np.ones((scale, scale), np.int16))
    split = split_map(labels, classes, fold)
    assert ((split == NONE) == (labels < 0)).all()
    fields, owners = connected_fields(labels)
    for label in np.unique(owners):
        assert (split[labels == label] == TRAIN).any()
    for field in range(1, len(owners) + 1):
        held = split[fields == field] == DISJOINT
        assert held.all() or not held.any()
        assert not held.any() or len(held) >= 20


def test_the_description_names_what_the_scores_leave_out() -> None:
    labels = labelled_map()
    text = " ".join(describe_split(labels, split_map(labels, 3), ("wheat", "maize", "beet")))
    assert "4 fields of at least 20 pixels" in text
    assert "one whole field held out of each of 1 class (wheat)" in text
    assert "for want of a second field: maize, beet." in text
    assert "Not in the within-field score: wheat, maize." in text
    assert "no claim of accuracy" in text


def test_many_fields_carry_no_warning() -> None:
    labels = np.full((80, 80), -1, np.int16)
    for row in range(0, 80, 10):
        for column in range(0, 80, 10):
            labels[row : row + 8, column : column + 8] = (row // 10 + column // 10) % 2
    text = " ".join(describe_split(labels, split_map(labels, 2), ("a", "b")))
    assert "64 fields" in text
    assert "no claim" not in text


def test_the_real_fields_are_those_counted_before(real_data: Path, tmp_path: Path) -> None:
    legend = tmp_path / "legend.csv"
    rows = [(1110, 1, "wheat"), (1200, 2, "maize"), (1500, 3, "barley"), (1510, 3, "barley"), (5100, 4, "potato")]
    rows += [(8100, 5, "beet"), (9120, 6, "grassland")]
    lines = [f"{code},{value},{name},#000000,class" for code, value, name in rows]
    legend.write_text("\n".join(["source_code,value,name,colour,role", *lines]))
    labels = open_labels(real_data / "flanders-2019" / "labels" / "crop_type.tif", legend)
    read = labels.read(Window(32631, 57_468, 562_244, 64, 64))
    fields, owners = connected_fields(read)
    large = owners[np.bincount(fields.ravel())[1:] >= 20]
    counts = np.bincount(large, minlength=6)
    names = np.array([entry.name for entry in labels.legend.mapped])
    assert names[counts >= 2].tolist() == ["wheat", "maize", "barley", "grassland"]
    assert counts[counts >= 2].sum() == 14
    split = split_map(read, 6)
    assert set(names[np.unique(read[split == DISJOINT])]) == {"wheat", "maize", "barley", "grassland"}
