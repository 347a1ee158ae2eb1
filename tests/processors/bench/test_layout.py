"""The benchmark of layouts: both pipelines write and read the same numbers, and each layout is what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

from catalog.errors import StoreError
from catalog.grid import Cell
from flows.commands.main import app
from processors.bench import layout as bench_layout
from processors.bench.layout import LAYOUTS, measure_layouts
from processors.cube.cell import Cube, ensure_cell


def test_each_layout_is_measured_through_both_pipelines(tmp_path: Path) -> None:
    told: list[str] = []
    layouts = [layout for layout in LAYOUTS if layout.name in ("design", "no shards")]
    rows = measure_layouts(
        tmp_path, 1, 1, "here", layouts, lambda done, total, what: told.append(f"{done}/{total} {what}")
    )
    assert told == [
        "0/4 design, zarrs",
        "1/4 design, zarr-python",
        "2/4 no shards, zarrs",
        "3/4 no shards, zarr-python",
    ]
    assert [(row.layout.name, row.pipeline, row.files) for row in rows] == [
        ("design", "zarrs", 1),
        ("design", "zarr-python", 1),
        ("no shards", "zarrs", 64),
        ("no shards", "zarr-python", 64),
    ]
    for row in rows:
        assert row.write_megapixels_per_second > 0
        assert row.patch_ms > 0
        assert 0.3 < row.bytes_per_pixel < 2
    assert list(tmp_path.iterdir()) == []


def test_the_layout_called_design_is_that_of_cells(tmp_path: Path) -> None:
    cell = Cell(32631, 56, 549)
    ensure_cell(tmp_path / "cell.zarr", cell, "L2A", source="s", synthetic=True)
    of_cells = Cube(tmp_path / "cell.zarr").arrays["reflectance"]
    measured = bench_layout._create(tmp_path / "measured.zarr", LAYOUTS[0], "zarrs", 0)
    assert measured.metadata.codecs == of_cells.metadata.codecs
    assert (measured.shape, measured.chunks, measured.shards) == (of_cells.shape, of_cells.chunks, of_cells.shards)


def test_numbers_that_come_back_wrong_are_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = zarr.Array.__setitem__
    monkeypatch.setattr(zarr.Array, "__setitem__", lambda self, key, slab: write(self, key, slab + np.uint16(1)))
    with pytest.raises(StoreError, match="is not what was written"):
        measure_layouts(tmp_path, 1, 1, "here", LAYOUTS[:1])
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: Any = measure_layouts
    monkeypatch.setattr(bench_layout, "measure_layouts", lambda *words, watch: measured(*words, LAYOUTS[:1], watch))
    words = ["bench", "cube", "--dates", "1", "--rounds", "1", "--json", str(tmp_path / "rows.json")]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == (
        "1 dates, 12 bands, synthetic fields, from the system's cache; the fastest of 1 rounds"
    )
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [(row["layout"]["name"], row["pipeline"], row["dates"]) for row in rows] == [
        ("design", "zarrs", 1),
        ("design", "zarr-python", 1),
    ]
