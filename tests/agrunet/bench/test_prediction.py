"""Prediction measured over patches: each number in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from agrunet.bench.prediction import measure_prediction
from agrunet.data.folder import PatchFolder


def test_a_row_per_number_of_patches(toy_folder: Path) -> None:
    told: list[str] = []
    rows = measure_prediction(PatchFolder(toy_folder), (1, 4), ("B04", "B08"), watch=told.append)
    assert [row.patches for row in rows] == [1, 4]
    assert len(told) == 2
    for row in rows:
        assert row.share == pytest.approx(row.images_per_second / row.network_images_per_second)
        assert (row.dates, row.size, row.precision) == (6, 16, "fp32")
        assert 50_000_000 < row.peak_bytes < 4 * 10**9
