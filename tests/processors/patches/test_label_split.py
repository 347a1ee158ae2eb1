"""Which pixels are learnt from and which are scored: ground that is held out, fields on both sides of its border, folds of fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agrunet.data.header import SPLITS, LabelledField, foldable
from catalog.grid import Window
from processors.patches.label_split import (
    GUARD,
    MIN_FIELD,
    NO_FIELD,
    connected_parts,
    describe_estimate,
    describe_hold_out,
    in_folds,
    lacking,
    split_ground,
)
from processors.patches.labels import open_labels

TRAIN, HELD, NONE = (SPLITS[name] for name in ("train", "hold-out", "none"))
WINDOW = Window(32631, 50_000, 560_000, 60, 40)


def test_fields_are_connected_by_edges_not_by_corners() -> None:
    labels = np.array([[1, 1, 0, -1], [-1, 0, 1, 1], [0, 0, -1, 1]], np.int16)
    fields, owners = connected_parts(labels)
    # Of label 0: the pixel (0, 2), then the three at the lower left. Of label 1: the upper left, then the lower right.
    assert fields.tolist() == [[3, 3, 1, 0], [0, 2, 4, 4], [2, 2, 0, 4]]
    assert owners.tolist() == [0, 0, 1, 1]


def test_labels_without_a_pixel_have_no_fields() -> None:
    ground = split_ground(np.full((40, 60), -1, np.int16), np.ones((40, 60), np.bool_), WINDOW)
    assert (ground.split == NONE).all()
    assert (ground.field == NO_FIELD).all()
    assert ground.names == ()


def test_the_split_of_a_small_map_by_hand() -> None:
    held = np.zeros((40, 60), np.bool_)
    held[:, 30:] = True
    labels = np.full((40, 60), -1, np.int16)
    labels[0:4, 0:10] = 0  # on ground to learn from
    labels[6:10, 40:50] = 0  # held out
    labels[12:16, 28:38] = 1  # 40 pixels, 32 of them held out
    labels[18:22, 22:32] = 1  # 40 pixels, 8 of them held out
    labels[24:26, 50:55] = 1  # held out, too small to be a field
    labels[30:32, 0:5] = 1  # to learn from, too small to be a field
    ground = split_ground(labels, held, WINDOW)
    expected = np.full((40, 60), NONE, np.uint8)
    expected[0:4, 0:10] = TRAIN
    expected[6:10, 40:50] = HELD
    expected[12:16, 30:38] = HELD  # its other pixels serve for nothing
    expected[30:32, 0:5] = TRAIN
    assert np.array_equal(ground.split, expected)
    assert ground.names == ("32631_50000_560000", "32631_50040_559994", "32631_50028_559988", "32631_50022_559982")
    assert ground.owners.tolist() == [0, 0, 1, 1]
    assert np.unique(ground.field).tolist() == [-1, 0, 1, 2, 3]
    assert (ground.field[12:16, 28:38] == 2).all()


def test_land_larger_than_a_block_is_cut_there_and_keeps_a_distance() -> None:
    window = Window(32631, 50_050, 560_000, 200, 60)  # a block ends after 50 columns and after 150
    held = np.zeros((60, 200), np.bool_)
    held[:, 50:150] = True
    labels = np.zeros((60, 200), np.int16)
    labels[50:, :40] = 1
    ground = split_ground(labels, held, window)
    assert (ground.split[:, 50:150] == HELD).all()
    assert (ground.split[:50, : 50 - GUARD] == TRAIN).all()
    assert (ground.split[:, 50 - GUARD : 50] == NONE).all()
    assert (ground.split[:, 150 : 150 + GUARD] == NONE).all()
    assert (ground.split[:, 150 + GUARD :] == TRAIN).all()
    assert (ground.split[50:, :40] == TRAIN).all(), "a field of its own"
    assert sorted(ground.owners.tolist()) == [0, 0, 0, 1]


def test_the_same_field_has_the_same_name_and_use_in_another_window() -> None:
    rng = np.random.default_rng(2)
    labels = np.kron(rng.integers(0, 3, (10, 12)), np.ones((8, 8))).astype(np.int16)
    held = np.zeros((80, 96), np.bool_)
    held[:, 44:] = True
    whole = Window(32631, 50_000, 560_000, 96, 80)
    part = Window(32631, 50_024, 560_000, 72, 80)
    wide, narrow = split_ground(labels, held, whole), split_ground(labels[:, 24:], held[:, 24:], part)
    cut = set(wide.field[:, 24].tolist()) | {NO_FIELD}
    for field, name in enumerate(wide.names):
        there = wide.field[:, 24:] == field
        if there.any() and field not in cut:
            (number,) = np.unique(narrow.field[there])
            assert narrow.names[number] == name
            assert np.array_equal(narrow.split[there], wide.split[:, 24:][there])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 12), st.integers(0, 60))
def test_nothing_is_learnt_on_held_out_ground_and_no_field_is_learnt_from_and_scored_on(
    seed: int, classes: int, scale: int, border: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(-1, classes, (6, 5)), np.ones((scale, scale))).astype(np.int16)
    held = np.zeros(labels.shape, np.bool_)
    held[:, border:] = True
    window = Window(32631, 50_000, 560_000, labels.shape[1], labels.shape[0])
    ground = split_ground(labels, held, window)
    assert not (held & (ground.split == TRAIN)).any()
    assert not (~held & (ground.split == HELD)).any()
    assert ((ground.split == NONE) | (labels >= 0)).all()
    parts, _ = connected_parts(labels)
    for part in range(1, parts.max() + 1):
        uses = set(ground.split[parts == part].tolist())
        assert not {TRAIN, HELD} <= uses
        assert HELD not in uses or ((parts == part) & (ground.split == HELD)).sum() >= MIN_FIELD
        if not held[parts == part].any():
            assert uses == {TRAIN}


def test_folds_deal_each_class_evenly_and_alike_whatever_else_there_is() -> None:
    names = [f"32631_{50_000 + number}_560000" for number in range(17)]
    owners = np.array([0] * 10 + [1] * 6 + [2], np.int16)
    fields = in_folds(names, owners)
    counts = np.array(
        [[sum(f.label == label and f.fold == fold for f in fields) for fold in (1, 2, 3)] for label in range(3)]
    )
    assert counts.sum(axis=1).tolist() == [10, 6, 1]
    assert np.ptp(counts[:2], axis=1).max() <= 1
    assert {field.name: field.fold for field in in_folds(names[::-1], owners[::-1])} == {
        field.name: field.fold for field in fields
    }
    assert foldable(fields)


@pytest.mark.parametrize(("owners", "can"), [([0, 0, 1, 1], True), ([0, 1], False), ([0, 0, 0, 1], False), ([], False)])
def test_folds_have_to_leave_two_classes_to_learn_from(owners: list[int], can: bool) -> None:
    names = [f"32631_{number}_0" for number in range(len(owners))]
    assert foldable(in_folds(names, np.array(owners, np.int16))) == can


def test_a_score_rests_on_five_fields_of_each_class_and_something_to_learn_from() -> None:
    assert lacking([0, 1, 3], [5, 7, 0, 9], [10, 10, 0, 10]) == []
    assert lacking([0, 1, 3], [5, 4, 0, 9], [10, 10, 0, 0]) == [1, 3]


def fields(*labels: int) -> list[LabelledField]:
    return [LabelledField(name=str(number), label=label, fold=number % 3 + 1) for number, label in enumerate(labels)]


def test_the_card_says_what_the_scores_rest_on() -> None:
    names = ("wheat", "maize")
    proven = describe_hold_out(fields(*[0] * 20, *[1] * 12), names)
    assert proven == "32 fields held out, on blocks of ground of 1 km that no model learns from (wheat 20, maize 12)."
    few = describe_hold_out(fields(*[0] * 5, *[1] * 5), names)
    assert "With fewer than 30 fields the scores check the wiring and carry no claim of accuracy." in few
    estimate = describe_estimate(fields(0, 0, 0, 1, 1), names, [1], [5, 2])
    assert (
        "Unproven: held-out ground has fewer than 5 fields, or leaves nothing to learn from, of maize (2)." in estimate
    )
    assert "The model learnt from all 5 fields (wheat 3, maize 2); its scores are those of a grouped 3-fold" in estimate
    assert "too few for any score" in describe_estimate(fields(0, 1), names, [0, 1], [0, 0])


def test_the_real_fields_are_those_counted_before(real_data: Path, tmp_path: Path) -> None:
    legend = tmp_path / "legend.csv"
    rows = [(1110, 1, "wheat"), (1200, 2, "maize"), (1500, 3, "barley"), (1510, 3, "barley"), (5100, 4, "potato")]
    rows += [(8100, 5, "beet"), (9120, 6, "grassland")]
    lines = [f"{code},{value},{name},#000000,class" for code, value, name in rows]
    legend.write_text("\n".join(["source_code,value,name,colour,role", *lines]))
    labels = open_labels(real_data / "flanders-2019" / "labels" / "crop_type.tif", legend)
    window = Window(32631, 57_468, 562_244, 64, 64)
    ground = split_ground(labels.read(window), np.zeros(window.shape, np.bool_), window)
    counts = np.bincount(ground.owners, minlength=6)
    names = np.array([entry.name for entry in labels.legend.mapped])
    assert names[counts >= 2].tolist() == ["wheat", "maize", "barley", "grassland"]
    assert counts[counts >= 2].sum() == 14
    assert foldable(in_folds(ground.names, ground.owners))


def test_each_point_of_a_survey_is_a_field_of_its_own() -> None:
    labels = np.full((40, 60), -1, np.int16)
    labels[5, 5], labels[5, 50], labels[30, 30] = 0, 1, 0
    held = np.zeros(labels.shape, np.bool_)
    held[:, 40:] = True
    ground = split_ground(labels, held, WINDOW, least=1)
    assert len(ground.names) == 3
    assert ground.owners.tolist() == [0, 0, 1]
    assert [ground.split[5, 5], ground.split[30, 30], ground.split[5, 50]] == [SPLITS["train"], SPLITS["train"], HELD]
