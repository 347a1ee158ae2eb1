"""Input of others is read by the guards: nobody else calls the readers whose errors have to be known by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOMS = ("catalog", "processors", "flows")
RAW = {
    "csv.DictReader", "csv.reader", "defusedxml.ElementTree.fromstring", "geopandas.read_file", "json.load", "json.loads",
    "os.environ.get", "os.getenv", "pyogrio.read_info", "pyogrio.list_layers", "rasterio.open", "urllib.parse.urljoin",
    "urllib.parse.urlparse", "urllib.parse.urlsplit", "zipfile.ZipFile", ".expanduser", ".model_validate_json",
}  # fmt: skip
READERS_OF_THEIR_OWN = {
    "catalog/guards/": "the guards",
    "catalog/storage/zip_files.py": "what archives may hold is judged there, within the guard of archives",
    "processors/patches/vector_rows.py": "within the guard of vector files",
    "processors/ingest/left_out.py": "records of this software in its own cubes",
    "processors/cube/": "its own cubes",
    "processors/mask/options.py": "records of this software in its own cubes",
    "processors/season.py": "records of this software in its own cubes",
    "processors/patches/training_set.py": "patches that it wrote itself",
    "processors/rasters.py": "rasters that it wrote itself",
    "processors/delivery/": "rasters that it wrote itself",
    "processors/views/parcel_map.py": "rasters that this software wrote",
    "processors/views/quicklooks.py": "rasters that it wrote itself",
    "processors/views/segments.py": "rasters that this software wrote",
    "processors/thematic/check.py": "what it wrote as JSON in that moment",
    "processors/thematic/results.py": "its own results",
    "processors/thematic/sent_job.py": "jobs between its own processes",
    "flows/pruning.py": "what a run wrote",
    "processors/engine/machine.py": "a variable of CUDA's driver",
    "processors/bench/": "what the benchmarks wrote",
    "processors/simulation/": "what the simulation wrote",
    "catalog/sources/sentinel_hub/process_api.py": "answers of a service, written down by itself",
    "flows/reporting/": "what a run wrote",
    "flows/run_folder.py": "what a run wrote",
    "flows/prefect_process/server_file.py": "what `cropline up` and its own server wrote",
}
REPOSITORY = Path(__file__).resolve().parents[3]
MODULES = sorted(
    path.relative_to(REPOSITORY).as_posix() for room in ROOMS for path in (REPOSITORY / room).rglob("*.py")
)


def _raw_calls(module: str) -> Iterator[str]:
    tree = ast.parse((REPOSITORY / module).read_text(encoding="utf-8"))
    named = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            written = ast.unparse(node.func)
            first, _, rest = written.partition(".")
            name = f"{named.get(first, first)}.{rest}".rstrip(".")
            if name in RAW or f".{name.rpartition('.')[2]}" in RAW:
                yield f"line {node.lineno}: {written}"


@pytest.mark.parametrize("module", [name for name in MODULES if not name.startswith(tuple(READERS_OF_THEIR_OWN))])
def test_input_comes_in_through_the_guards(module: str) -> None:
    assert list(_raw_calls(module)) == []


@pytest.mark.parametrize("place", READERS_OF_THEIR_OWN)
def test_those_that_read_by_themselves_are_there(place: str) -> None:
    assert any(calls for name in MODULES if name.startswith(place) for calls in _raw_calls(name))
