"""Results of a run that are damaged at rest are made anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from catalog.errors import RewrittenError
from processors.thematic.results import Results, open_results

SHAPE = (2, 1, 8, 8)


@pytest.fixture
def made(tmp_path: Path) -> Results:
    results = open_results(tmp_path / "results.zarr", SHAPE, "a run")
    write = results.writer()
    for index in range(2):
        write(index, np.random.default_rng(index).random(SHAPE[1:]).astype(np.float32))
    return results


@pytest.mark.parametrize("file", ["fields/c/1/0/0/0", "done/c/1"])
@pytest.mark.parametrize("how", ["cut", "changed"])
def test_a_damaged_patch_is_made_anew(made: Results, file: str, how: str) -> None:
    assert isinstance(made.path, Path)
    place = made.path / file
    data = place.read_bytes()
    place.write_bytes(data[:-3] if how == "cut" else data[:-1] + bytes([data[-1] ^ 255]))
    with pytest.raises(RewrittenError, match=r"patch 1 is damaged .*made anew"):
        made.read(1)
    assert open_results(made.path, SHAPE, "a run").todo() == [1]


@pytest.mark.parametrize("file", ["zarr.json", "fields/zarr.json", "done/zarr.json"])
def test_a_run_that_finds_it_damaged_begins_anew(made: Results, file: str) -> None:
    assert isinstance(made.path, Path)
    (made.path / file).write_bytes((made.path / file).read_bytes()[:2])
    assert open_results(made.path, SHAPE, "a run").todo() == [0, 1]
