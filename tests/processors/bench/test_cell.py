"""The synthetic cell that benchmarks read is one that the pipeline itself would read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from catalog.products import CROP_BANDS
from processors.bench.cell import write_bench_cube
from processors.patches.cube_patches import PatchGrid


def test_its_patches_cover_a_whole_cell_and_are_partly_clear(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    source = write_bench_cube(tmp_path, 2, PatchGrid(128, 0), lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    assert len(source) == 64
    patch = source.read(63)
    assert patch.values.shape == (2, len(CROP_BANDS), 128, 128)
    assert patch.values.min() > 0
    assert 0.6 < patch.clear.mean() < 0.95
    assert (np.diff(patch.days) > 0).all()
