"""`cropline simulate`: what it says of what it made, and of what can't be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from catalog.errors import RequestError, StoreError
from flows.commands.main import app

AREA = [4.0600, 50.7100, 4.0606, 50.7104]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without starting processes, which takes longer than the pieces."""

    def write_pieces(work: Any, pieces: Any, processes: int, progress: Any) -> None:
        for number, piece in enumerate(pieces, start=1):
            work(*piece)
            progress(number)

    monkeypatch.setattr("processors.simulation.training_patches.write_pieces", write_pieces)
    monkeypatch.setattr("processors.simulation.products.archive.write_pieces", write_pieces)


def said(*words: str) -> str:
    done = CliRunner().invoke(app, ["simulate", *words])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_patches_are_counted_by_class_and_found_again(tmp_path: Path) -> None:
    wanted = ("patches", str(tmp_path / "set"), "--count", "5", "--size", "16", "--months", "6", "6")
    text = said(*wanted)
    assert f"read them as pastis:{tmp_path / 'set'}" in text
    assert "patches per minute and core" in text
    assert "background" in text
    again = json.loads(said(*wanted, "--json"))
    assert (again["patches"], again["made"], sum(again["pixels"].values())) == (5, 0, 5 * 256)
    with pytest.raises(StoreError, match="size 16 there, 32 wanted"):
        said(*wanted[:5], "32", *wanted[6:])


def test_products_are_said_with_where_to_order_them(tmp_path: Path) -> None:
    (tmp_path / "aoi.json").write_text(json.dumps({"area": AREA, "year": 2019}))
    folder = tmp_path / "archive"
    wanted = (
        "products",
        str(folder),
        "--area",
        str(tmp_path / "aoi.json"),
        "--start",
        "2019-04-01",
        "--format",
        "stac",
    )
    text = said(*wanted, "--end", "2019-04-03")
    assert "products      1\n" in text
    assert f"source        stac:{folder}/products/catalog.json\n" in text
    assert f"labels        {folder}/truth/crops_2019.tif\n" in text
    assert "All of it is synthetic." in text
    found = json.loads(said(*wanted, "--end", "2019-04-03", "--json"))
    assert (found["acquisitions"], found["made"]) == (1, 0)
    with pytest.raises(StoreError, match="levels"):
        said(*wanted, "--end", "2019-04-03", "--level", "both")
    with pytest.raises(RequestError, match="end: 'soon' is no date"):
        said(*wanted, "--end", "soon")


def test_a_point_is_an_area_too(tmp_path: Path) -> None:
    (tmp_path / "point.json").write_text(json.dumps({"type": "Point", "coordinates": AREA[:2]}))
    folder, file = str(tmp_path / "archive"), str(tmp_path / "point.json")
    text = said("products", folder, "--area", file, "--start", "2019-04-01", "--end", "2019-04-03", "--level", "both")
    assert "products      2\n" in text


def test_series_are_counted_by_crop(tmp_path: Path) -> None:
    file = tmp_path / "series.parquet"
    wanted = ("series", str(file), "--count", "30", "--months", "4", "9", "--timing", "monthly", "--seed", "3")
    text = said(*wanted)
    assert f"30 series in {file}; read them as series:{file}. All of it is synthetic." in text
    with pytest.raises(RequestError, match="is there already"):
        said(*wanted, "--farming", "delta")
    made = json.loads(said(*wanted, "--farming", "delta", "--replace", "--json"))
    assert sum(made["series"].values()) == 30
    assert "soybeans" in made["series"]
    with pytest.raises(RequestError, match="months"):
        said(*wanted[:4], "--months", "9", "4")
