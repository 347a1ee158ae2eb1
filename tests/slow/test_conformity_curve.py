"""Wrong declarations are found on simulated fields that the shipped model saw nothing of; the script beside this file does the work."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from agrunet.evidence import load_evidence
from processors.conformity.thresholds import FEWEST, fit_thresholds


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("conformity_curve", Path(__file__).with_name("conformity_curve.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_record_is_of_the_shipped_models_fields(script: ModuleType, repository: Path) -> None:
    """Thresholds of the record follow from the model's evidence, and on as many other fields the rates asked for lie in the intervals."""
    record = json.loads((repository / "docs" / "benchmarks" / "conformity-simulated.json").read_text())
    evidence = load_evidence(script.MODEL)
    assert evidence is not None
    assert record["fields_fitted"] == len(evidence.fields)
    for row in record["by_rate"]:
        fitted = fit_thresholds(evidence, row["asked"], script.LEAST_PIXELS, script.BACKGROUND)
        assert fitted.verified
        assert fitted.not_conform_below == pytest.approx(row["not_conform_below"], abs=1e-5)
        low, high = row["false_alarms_by_patch"]
        assert low <= row["asked"] <= high
        assert row["wrong_found"]["share"] > (0.9 if row["asked"] >= 0.05 else 0.8), "fewer alarms find less"


def test_fourteen_real_fields_verify_nothing(repository: Path) -> None:
    record = json.loads((repository / "docs" / "benchmarks" / "conformity-flanders.json").read_text())
    assert record["fields"] == 14 < FEWEST
    for row in record["by_rate"]:
        low, high = row["false_alarms"]["interval"]
        assert high - low > 0.2, "so few say little"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_wrong_declarations_are_found_on_new_simulated_fields(script: ModuleType, tmp_path: Path) -> None:
    """Other lands than those of the record: thresholds from the shipped model's fields."""
    first, second = script.simulated(tmp_path / "patches", count=6, seed=77)
    fields = first.model_copy(update={"fields": (*first.fields, *second.fields)})
    evidence = load_evidence(script.MODEL)
    assert len(fields.fields) > 150
    tested = script.tested(fit_thresholds(evidence, 0.05, script.LEAST_PIXELS, script.BACKGROUND), fields)
    assert tested["false_alarms"]["share"] < 0.12
    assert tested["wrong_found"]["share"] > 0.9
