"""What is imported only by what needs it: each of these costs every command tenths of a second or seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LEARNING = {"torch", "sklearn", "lightgbm", "s2cloudless", "optuna"}
SERVICES = {"sentinelhub", "pystac_client", "distributed", "dask"}
TABLES = {"geopandas", "pandas", "pyogrio", "xarray", "scipy"}
PICTURES = {"matplotlib"}
SLOW = LEARNING | SERVICES | TABLES | PICTURES


def _imported(code: str, folder: Path | None = None) -> set[str]:
    """Top-level names of the modules that are there after these statements, in a process of their own."""
    program = f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "without"),
    [
        ("import flows.commands.main", SLOW | {"prefect", "numpy", "rasterio", "zarr", "shapely", "pydantic"}),
        ("import flows.prefect_process.temporary_server", SLOW | {"prefect", "numpy", "rasterio", "pydantic"}),
        ("import flows.request, flows.commands.local", SLOW | {"prefect", "rasterio", "zarr"}),
        ("import flows.notebook", SLOW | {"prefect", "numpy", "rasterio", "zarr", "shapely", "pydantic"}),
        ("import flows.crop_map", SLOW),
        ("import catalog.registry", SLOW | {"prefect", "rasterio", "zarr"}),
        ("import flows.commands.inspect", SLOW | {"prefect", "zarr"}),
        ("import processors.thematic.registry as r; r.describe_processors()", SLOW | {"prefect"}),
        ("import processors.mask.acquisition", LEARNING | SERVICES),
    ],
)
def test_what_is_slow_is_imported_by_what_needs_it(code: str, without: set[str]) -> None:
    assert _imported(code) & without == set()


def test_plugin_of_prefect_adds_nothing_to_its_commands(tmp_path: Path) -> None:
    """It is loaded by every `prefect` command; in a folder without prefect.toml by none."""
    alone = _imported("import prefect.plugins", tmp_path)
    added = _imported("import flows.prefect_process.plugin", tmp_path) - alone
    assert added <= {"catalog", "flows", "pluggy"}, "this project's own, and what Prefect loads plugins with"
