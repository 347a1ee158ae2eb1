"""The Python call for notebooks: a request in; paths, arrays, parcels and a page out. And the notebook of the docs runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import delivery_kit
import geopandas
import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - as users open it
from shapely.geometry import box

from catalog.errors import CroplineError, DeliveryError, RequestError
from flows.notebook import PARCELS, MadeMap, estimate_area, map_area
from flows.reporting.delivery import Delivery
from processors.delivery.deliver import deliver

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebook.ipynb"


def _made(folder: Path, *, notes: tuple[str, ...] = (), vegetation: bool = False) -> MadeMap:
    area = delivery_kit.window(30, 20)
    (folder / "rasters").mkdir()
    if vegetation:
        rasters = delivery_kit.vegetation_rasters(folder / "rasters", area)
        variables: Any = (delivery_kit.NDVI, delivery_kit.DEVIATION)
    else:
        rasters = delivery_kit.crop_rasters(folder / "rasters", area)
        variables = (delivery_kit.CROP_MAP, delivery_kit.CONFIDENCE)
    files = deliver(folder / "map", rasters, variables, delivery_kit.facts(area))
    return MadeMap(
        Delivery(delivery=str(folder / "map"), files=tuple(map(str, files)), acquisitions=(), seconds={}, notes=notes)
    )


def test_rasters_open_as_labelled_arrays_on_the_ground(tmp_path: Path) -> None:
    made = _made(tmp_path)
    assert made.variables == ("confidence", "crop_map")
    array = made.open("crop_map")
    with rasterio.open(made.files["crop_map.tif"]) as file:
        np.testing.assert_array_equal(array.values, file.read())
        assert array.rio.crs.to_epsg() == file.crs.to_epsg() == array.attrs["epsg"]
        assert array.rio.bounds() == tuple(file.bounds)
        assert array.attrs["nodata"] == file.nodata
    assert array.dims == ("band", "y", "x")
    assert made.classes == {0: "not cropland", 1: "winter wheat", 2: "maize", 5: "sugar beet"}


def test_bands_are_called_as_in_the_file(tmp_path: Path) -> None:
    ndvi = _made(tmp_path, vegetation=True).open("ndvi")
    assert list(ndvi["band"].values) == ["2019-04", "2019-05", "2019-06"]
    assert float(ndvi.sel(band="2019-05").mean()) == pytest.approx(0.5)


def test_what_is_not_there_is_an_error_that_says_what_is(tmp_path: Path) -> None:
    made = _made(tmp_path)
    with pytest.raises(DeliveryError, match=r"has no ndvi.tif. Its rasters are confidence, crop_map."):
        made.open("ndvi")
    without = MadeMap(made.delivery.model_copy(update={"files": made.delivery.files[:1]}))
    with pytest.raises(DeliveryError, match=r"has no parcels.parquet. Only maps of classes have parcels"):
        _ = without.parcels


def test_parcels_are_a_table_of_polygons(tmp_path: Path) -> None:
    made = _made(tmp_path)
    path = made.folder / PARCELS
    frame = geopandas.GeoDataFrame({"id": [1], "crop": ["maize"]}, geometry=[box(0, 0, 10, 10)], crs=32631)
    frame.to_parquet(path)
    files = tuple({*made.delivery.files, str(path)})
    parcels = MadeMap(made.delivery.model_copy(update={"files": files})).parcels
    assert parcels.crs.to_epsg() == 32631
    assert list(parcels["crop"]) == ["maize"]


def test_its_page_has_the_picture_and_plain_text_of_others(tmp_path: Path) -> None:
    page = _made(tmp_path, notes=("<script>alert(1)</script>",))._repr_html_()
    assert 'src="data:image/png;base64,' in page
    assert "winter wheat" in page
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_an_estimate_from_python(parameters: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    assert estimate_area(parameters).cells == 1


@pytest.mark.slow
def test_the_notebook_of_the_docs_runs(tmp_path: Path) -> None:
    """In a kernel, as it is: without an error, and with the outputs that it was saved with in kind."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    saved = [_kinds(cell) for cell in notebook.cells]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "CROPLINE_"))}
    client = NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute(env={**environment, "CROPLINE_STORE": str(tmp_path / "store")})
    assert [_kinds(cell) for cell in client.nb.cells] == saved


def _kinds(cell: Any) -> list[str]:
    """What a cell shows, by kind; progress on standard error doesn't count."""
    return sorted({kind for output in cell.get("outputs", []) for kind in output.get("data", {})})


def test_the_notebook_is_saved_with_its_outputs_and_names_no_place_of_a_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    notebook = json.loads(text)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell["outputs"])
    assert "/tmp" not in text
    assert "/root" not in text
    assert len(text) < 800_000


def test_a_map_is_made_by_one_call(parameters: dict[str, Any], tmp_path: Path) -> None:
    program = (
        "import json, sys\nfrom flows.notebook import map_area\n"
        "made = map_area(json.loads(sys.argv[1]))\n"
        "print(json.dumps([made.variables, made.open('ndvi').shape, len(made._repr_html_()) > 1000]))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "CROPLINE_"))}
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps({**parameters, "months": [4, 6], "output": "out"})],
        cwd=tmp_path, env={**environment, "CROPLINE_STORE": str(tmp_path / "store")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    variables, shape, page = json.loads(done.stdout.splitlines()[-1])
    assert variables == ["clear_count", "ndvi", "ndvi_deviation"]
    assert (shape[0], page) == (3, True)


def test_what_a_run_refuses_is_raised_with_its_words(
    parameters: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What only the run finds out: before it, a request is checked here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    with pytest.raises(RequestError, match="year"):
        map_area({**parameters, "year": 1999})
    with pytest.raises(CroplineError, match=r"^limits: minutes is 0.0001") as refused:
        map_area({**parameters, "limits": {"minutes": 0.0001}})
    assert "waiting for" not in str(refused.value)
    assert "order: waiting for" in capfd.readouterr().err
