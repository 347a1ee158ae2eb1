"""The network against the real labels: what it must reach, beside a random forest in the same run.

`flanders.py` beside this file does the work and says what the figures can and can't tell. Results go to
`docs/benchmarks/accuracy-flanders-2019.json`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytestmark = pytest.mark.slow

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def flanders() -> ModuleType:
    """The benchmark, which is a script and not a part of any package."""
    spec = importlib.util.spec_from_file_location("flanders", Path(__file__).with_name("flanders.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def test_the_square_is_what_its_readme_says(flanders: ModuleType, real_data: Path) -> None:
    data = flanders.read(real_data)
    assert data.patch.values.shape == (20, 10, 64, 64)
    counts = np.bincount(data.label[data.label >= 0])
    assert counts.tolist() == [1378, 413, 366, 27, 154, 1387]
    assert len(flanders.eligible_fields(data.label)) == 14


@pytest.mark.timeout(3600)
def test_within_field_reaches_its_targets(flanders: ModuleType, real_data: Path, repository: Path) -> None:
    result = flanders.within_field(real_data, seed=0)
    flanders.record(repository / "docs" / "benchmarks" / flanders.RECORD, result)
    mean = result["mean_of_folds"]["agrunet"]
    assert mean["oa"] >= 0.91
    assert mean["miou"] >= 0.79
    assert mean["dice"] >= 0.85
    assert mean["miou"] > result["mean_of_folds"]["forest"]["miou"]


@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("seed", SEEDS)
def test_field_disjoint_is_recorded(flanders: ModuleType, real_data: Path, repository: Path, seed: int) -> None:
    result = flanders.field_disjoint(real_data, seed=seed)
    flanders.record(repository / "docs" / "benchmarks" / flanders.RECORD, result)
    # No target is stated for unseen fields of one square; mapping everything as the largest class gives 0.39 at most.
    assert result["pooled"]["agrunet"]["oa"] > 0.4
