"""A first request from a file, a tile or a bbox: valid as it is, explained beside it, and nothing overwritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import pytest
from shapely.geometry import box
from typer.testing import CliRunner

from catalog.errors import RequestError
from catalog.sources.presets import PRESETS
from flows.checked_request import check_request
from flows.commands.main import app
from flows.request import MapRequest, read_parameters
from flows.settings import load_settings


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("CROPLINE_TODAY", "2026-03-01")
    for name in ("CDSE_S3_ACCESS_KEY", "CDSE_S3_SECRET_KEY"):
        monkeypatch.setenv(name, "a-key")


def _init(*words: str) -> Any:
    done = CliRunner().invoke(app, ["init", *words])
    if isinstance(done.exception, RequestError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.parametrize("source", PRESETS)
@pytest.mark.parametrize("area", ["tile:31UES4520", "4.0,50.7,4.05,50.75", "-5.1, 40, -5.05, 40.05", "fields.gpkg"])
def test_what_it_writes_is_a_request(area: str, source: str, tmp_path: Path) -> None:
    geopandas.GeoDataFrame(geometry=[box(4, 50, 4.01, 50.01)], crs=4326).to_crs(32631).to_file("fields.gpkg")
    _init(area, "--source", source)
    given = read_parameters(Path("aoi.json"))
    assert check_request(given, tmp_path, load_settings()).processor == "vegetation"
    assert given["year"] == 2025, "the last season that is over"
    assert given["area"] == (area if area[0] in "tf" else [float(number) for number in area.split(",")])


def test_each_field_is_explained_beside_it() -> None:
    done = _init("tile:31UES4520", "--source", "cdse", "-o", "my.json")
    text = Path("my.md").read_text(encoding="utf-8")
    for name, field in MapRequest.model_fields.items():
        assert f"`{name}`" in text
        assert str(field.description) in text
    assert "cropline run --dry-run my.json" in text
    assert "CDSE_S3_ACCESS_KEY" in done.output


def test_with_labels_it_asks_for_a_crop_map() -> None:
    done = _init("tile:31UES4520", "--labels", "crops.gpkg", "--json")
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["processor"], told["labels"]) == ("crop-map", "crops.gpkg")
    assert told["request"] == "aoi.json"


@pytest.mark.parametrize("there", ["aoi.json", "aoi.md"])
def test_no_file_is_overwritten(there: str) -> None:
    Path(there).write_text("mine")
    with pytest.raises(RequestError, match=f"{there} is there already"):
        _init("tile:31UES4520")
    assert Path(there).read_text() == "mine"
    assert sorted(path.name for path in Path().glob("aoi.*")) == [there]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tile:31UES"], r"12,0\d\d km² is over the limit of 2,500 km². Ask for a part, such as tile:31UES55"),
        (["nowhere.gpkg"], "there is no file: nowhere.gpkg"),
        (["4,50,4.1"], "there is no file"),
        (["."], "a folder, no file: ."),
        (["tile:31UES4520", "--year", "0"], "year: Input should be greater than or equal to 2015"),
        (["tile:31UES4520", "--output", "."], "can't be the request's file"),
        (["tile:31UES4520", "--output", ""], "output: "),
        (["tile:31UES4520", "--output", "aoi.md"], "its explanation is called so"),
        (
            ["tile:31UES4520", "--source", "sentinel"],
            "no source's name. There are earth-search, cdse, planetary-computer",
        ),
        (["tile:31UES4520", "--source", "earth-search", "--level", "L1C"], "cdse has"),
        (["tile:31UES4520", "--level", "L3"], "level: Input should be"),
        (["tile:31UES4520", "--year", "1999"], "year: Input should be"),
    ],
)
def test_what_makes_no_request_is_refused_and_leaves_nothing(words: list[str], said: str) -> None:
    with pytest.raises(RequestError, match=said) as refused:
        _init(*words)
    assert "\n" not in str(refused.value)
    assert not list(Path().glob("aoi.*"))
