"""`cropline bench ingest`: a whole run on tiny files, and what goes where."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from catalog.errors import RequestError
from catalog.sources.registry import open_source
from flows.commands.main import app
from processors.bench.archive import CODECS, TILE_OFFSET, write_archive
from processors.bench.ingest import QUICK, measure_ingest

AGREED = {"pixels_per_second", "share_of_decode_cog", "share_of_decode_jp2", "ratio_to_odc_stac", "patch_read_ratio"}


def test_a_quick_run_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    pytest.importorskip("odc.stac", reason="odc-stac is not installed: pip install 'cropline[bench]'")
    file = tmp_path / "bench.json"
    done = CliRunner().invoke(app, ["bench", "ingest", "--quick", "--json", str(file)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "Synthetic archives, 2 acquisitions x 10 bands of 256 x 256 pixels" in done.stdout
    assert "QUICK: says nothing about speed" in done.stdout
    told = json.loads(file.read_text())
    assert all(told[name] > 0 for name in AGREED)
    # a ratio is that of its rounds: here there is one
    assert told["share_of_decode_cog"] == pytest.approx(
        told["pixels_per_second"] / told["decode_pixels_per_second_cog"]
    )
    assert told["ratio_to_odc_stac"] == pytest.approx(told["pixels_per_second"] / told["odc_stac_pixels_per_second"])
    assert list(told["peak_memory_mb"]) == ["256x256"]
    assert all(50 < peak < 2000 for peak in told["peak_memory_mb"].values())
    assert (told["synthetic"], told["quick"], told["versions"]["odc-stac"] > "0.5") == (True, True, True)


def test_without_odc_stac_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "odc.stac", None)
    with pytest.raises(RequestError, match=r"pip install -c constraints.txt 'cropline\[bench\]'"):
        measure_ingest(tmp_path, QUICK)
    assert list(tmp_path.iterdir()) == []  # before anything is written


@pytest.mark.parametrize("codec", list(CODECS))
def test_the_archive_is_one_that_sources_read_and_looks_like_real_ones(tmp_path: Path, codec: str) -> None:
    archive = write_archive(tmp_path / codec, codec, 3, 256, 2, offset=TILE_OFFSET)  # type: ignore[arg-type]
    from shapely.geometry import box

    from catalog.grid import to_lonlat
    from catalog.order import make_order

    area = to_lonlat(box(*archive.window.bounds), archive.window.epsg)
    order = make_order(open_source(archive.address), area, 2023, (1, 1), "L2A", 100)
    assert (len(order.acquisitions), order.synthetic) == (3, True)
    with rasterio.open(archive.file(0, "B04")) as file, rasterio.open(archive.file(2, "B04")) as linked:
        raw = file.read(1)
        assert (file.shape, file.bounds) == ((256, 256), archive.window.bounds)
        np.testing.assert_array_equal(raw, linked.read(1))
    assert raw.min() > 1000
    bits = archive.file(0, "B04").stat().st_size * 8 / raw.size
    assert 5 < bits < 14
