"""Confidence is called relative where it isn't known to agree with accuracy."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.confidence import ConfidenceKind, confidence_worth


def config(*ece: float, synthetic: bool = False) -> dict[str, Any]:
    return {"calibration": [{"split": "hold-out", "ece": value} for value in ece], "synthetic": synthetic}


@pytest.mark.parametrize(
    ("made", "of_synthetic", "kind", "ece", "said"),
    [
        (config(0.08), False, "calibrated", 0.08, "differs from the accuracy by 0.08"),
        (config(0.02, 0.081), False, "relative", 0.081, "relative: it says which pixels are surer"),
        (config(), False, "relative", None, "wasn't measured"),
        ({}, False, "relative", None, "wasn't measured"),
        (config(0.004, synthetic=True), True, "calibrated", 0.004, "calibrated"),
        (config(0.004, synthetic=True), False, "relative", None, "wasn't measured"),
    ],
)
def test_what_confidence_is_worth(
    made: dict[str, Any], of_synthetic: bool, kind: str, ece: float | None, said: str
) -> None:
    worth = confidence_worth(made, synthetic=of_synthetic)
    assert (worth.kind, worth.ece) == (ConfidenceKind(kind), ece)
    assert said in worth.words
