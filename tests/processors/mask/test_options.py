"""Mask settings: what is allowed, and what tells one mask from another."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from processors.mask import options as mask_options
from processors.mask.options import USUAL_MASK, L1CMask, L2AMask, MaskOptions


def test_the_usual_options() -> None:
    assert json.loads(USUAL_MASK.record("L2A")) == {
        "version": 1, "clear": [4, 5, 6, 7], "dilated": [3, 8, 9], "dilation": 60, "cloud_threshold": None,
    }  # fmt: skip
    assert json.loads(USUAL_MASK.record("L1C")) == {
        "version": 1, "cloud_threshold": 0.4, "average": 240, "dilation": 120, "cirrus": 0.012, "dark_nir": 0.15,
        "shadow_distance": 5120, "shadow_dilation": 60, "resolution": 40,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"l2a": {"dilation": -1}}, "greater than or equal to 0"),
        ({"l2a": {"clear": [4, 12]}}, "less than or equal to 11"),
        ({"l2a": {"clear": [0, 4]}}, "greater than or equal to 1"),
        ({"l2a": {"clear": []}}, "nothing would ever be clear"),
        ({"l2a": {"clear": [3, 4]}}, r"classes \[3\] are both clear and dilated"),
        ({"l2a": {"cloud_threshold": 40}}, "less than or equal to 1"),
        ({"l1c": {"resolution": 60}}, "10, 20, 40, 80 or 160"),
        ({"l1c": {"average": 0}}, "greater than or equal to 10"),
        ({"l1c": {"cloud_threshold": "nan"}}, "finite"),
        ({"l1c": {"shadow_distance": 1e6}}, "less than or equal to 20000"),
        ({"l1c": {"treshold": 0.3}}, "Extra inputs"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        MaskOptions.model_validate(given)


def test_records_tell_options_of_their_own_level_apart_and_no_spelling() -> None:
    changed = MaskOptions(l2a=L2AMask(dilation=80))
    assert changed.record("L2A") != USUAL_MASK.record("L2A")
    assert changed.record("L1C") == USUAL_MASK.record("L1C")
    spelt = MaskOptions.model_validate({"l2a": {"clear": [7, 6, 5, 4, 4], "dilation": 60.0}})
    assert spelt.record("L2A") == USUAL_MASK.record("L2A")


def test_a_new_version_of_the_algorithms_is_another_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    before = USUAL_MASK.record("L1C")
    assert USUAL_MASK.shares_clouds(before)
    monkeypatch.setattr(mask_options, "MASK_VERSION", 2)
    assert USUAL_MASK.record("L1C") != before
    assert not USUAL_MASK.shares_clouds(before)


def test_cloud_probability_depends_on_the_resolution_alone() -> None:
    record = MaskOptions(l1c=L1CMask(cloud_threshold=0.7, dilation=0)).record("L1C")
    assert USUAL_MASK.shares_clouds(record)
    assert not MaskOptions(l1c=L1CMask(resolution=20)).shares_clouds(record)
    assert not USUAL_MASK.shares_clouds("")


@pytest.mark.parametrize("model", [L1CMask, L2AMask])
def test_every_option_is_described(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []
