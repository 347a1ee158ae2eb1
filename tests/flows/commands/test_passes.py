"""`cropline passes`: the files it takes, what it prints, and what it says of bad input."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from catalog.errors import CroplineError, RequestError
from flows.commands.main import app
from flows.commands.passes import parse_time, passes_ahead, show

POINT = {"type": "Point", "coordinates": [15.6, 46.5]}
FIELD = {"type": "Polygon", "coordinates": [[[15.5, 46.4], [15.6, 46.4], [15.6, 46.5], [15.5, 46.5], [15.5, 46.4]]]}
LINE = {"type": "LineString", "coordinates": [[15.5, 46.4, 310.0], [15.6, 46.5, 290.0]]}


def _file(folder: Path, value: Any) -> Path:
    file = folder / "aoi.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    return file


def _listed(*words: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(app, ["passes", *words, "--json"])
    if done.exception is not None:
        raise done.exception
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "value",
    [
        POINT,
        LINE,
        FIELD,
        {"type": "Feature", "properties": {}, "geometry": POINT},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": None, "geometry": FIELD}]},
        {"type": "GeometryCollection", "geometries": [POINT, FIELD, LINE]},
        {"type": "MultiPoint", "coordinates": [[15.6, 46.5], [15.5, 46.4]]},
        {"area": FIELD, "year": 2023},
        {"area": [15.5, 46.4, 15.6, 46.5], "year": 2023, "labels": "anything.tif"},
    ],
)
def test_a_request_and_any_geojson_will_do(value: Any, tmp_path: Path) -> None:
    found = _listed(str(_file(tmp_path, value)), "--days", "11", "--start", "2023-08-10")
    assert [one["time"][:10] for one in found] == ["2023-08-10", "2023-08-13", "2023-08-15", "2023-08-18", "2023-08-20"]


def test_json_says_who_sees_what_when(tmp_path: Path) -> None:
    found = _listed(str(_file(tmp_path, POINT)), "--days", "4", "--start", "2023-08-10T12:00+02:00")
    assert [one["time"][:10] for one in found] == ["2023-08-13"]  # on the 10th it was imaged at 9:57 UTC
    (one,) = found
    assert set(one) == {
        "time", "platform", "relative_orbit", "tiles", "covered", "sun_elevation", "downlink", "l2a_ready",
    }  # fmt: skip
    assert (one["platform"], one["relative_orbit"], one["tiles"], one["covered"]) == ("S2B", "R122", ["33TWM"], 1.0)
    assert one["sun_elevation"] == pytest.approx(56, abs=1)
    sensed, down, ready = (datetime.fromisoformat(one[name]) for name in ("time", "downlink", "l2a_ready"))
    assert sensed < down < ready < sensed + timedelta(hours=12)


def test_without_a_start_it_is_the_coming_days(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    found = _listed(str(_file(tmp_path, POINT)))
    times = [datetime.fromisoformat(one["time"]) for one in found]
    assert len(times) >= 6
    assert times == sorted(times)
    assert before - timedelta(seconds=1) <= times[0]
    assert times[-1] < before + timedelta(days=30, minutes=5)


def test_elements_take_the_place_of_the_reference(tmp_path: Path, real_data: Path) -> None:
    file, tle = _file(tmp_path, POINT), real_data / "tle" / "sentinel2_historic.tle"
    start = ["--days", "11", "--start", "2023-08-10"]
    ours, theirs = _listed(str(file), *start), _listed(str(file), *start, "--tle", str(tle))
    assert ours != theirs
    for one, other in zip(ours, theirs, strict=True):
        assert (one["platform"], one["relative_orbit"]) == (other["platform"], other["relative_orbit"])
        apart = datetime.fromisoformat(one["time"]) - datetime.fromisoformat(other["time"])
        assert abs(apart) < timedelta(seconds=15)


def test_the_table_fits_eighty_columns_and_says_what_it_rests_on(tmp_path: Path) -> None:
    out = io.StringIO()
    show(passes_ahead(_file(tmp_path, POINT), 11, "2026-11-01"), Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[0].split() == ["time", "(UTC)", "sat", "orbit", "tiles", "seen", "sun", "downlink", "L2A", "ready"]
    assert any(line.startswith("2026-11-") and "33TWM" in line and "100%" in line for line in lines)
    text = " ".join(out.getvalue().split())
    assert "Orbits: S2B, S2C, S2A by reference orbit." in text
    assert "S2A observes part of the land only" in text


def test_a_far_future_says_what_it_can_not_know(tmp_path: Path) -> None:
    out = io.StringIO()
    show(passes_ahead(_file(tmp_path, POINT), 5, "2031-01-01"), Console(file=out, width=120))
    assert "known as of 2026-11; later moves are not in these dates" in out.getvalue()


def test_no_pass_is_said(tmp_path: Path) -> None:
    out = io.StringIO()
    dark = {"type": "Point", "coordinates": [25.0, 75.0]}
    show(passes_ahead(_file(tmp_path, dark), 5, "2026-12-20"), Console(file=out, width=80))
    assert "No pass by day in 5 days from 2026-12-20 00:00 UTC." in out.getvalue()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"year": 2023}, "a GeoJSON geometry is needed, such as a Point or a Polygon, got None"),
        ({"type": "Circle", "coordinates": [1, 2]}, "got 'Circle'"),
        ({"type": "Point", "coordinates": [500000, 5600000]}, "is not \\[longitude, latitude\\] in degrees"),
        ({"type": "Point", "coordinates": []}, "is not a \\[longitude, latitude\\] pair"),
        ({"type": "Point", "coordinates": None}, "is not a \\[longitude, latitude\\] pair"),
        ({"type": "Point", "coordinates": [True, 1]}, "is not a \\[longitude, latitude\\] pair"),
        ({"type": "LineString", "coordinates": [[1, 2]]}, "not a LineString.*at least two vertices"),
        ({"type": "LineString", "coordinates": 7}, "not the nested lists"),
        ({"type": "MultiPoint", "coordinates": []}, "the MultiPoint is empty"),
        ({"type": "GeometryCollection", "geometries": [3]}, "got 3"),
        ({"type": "GeometryCollection", "geometries": []}, "at least one point, line or polygon"),
        ({"type": "FeatureCollection", "features": []}, "at least one point, line or polygon"),
        ({"type": "MultiPoint", "coordinates": [[-100, 2], [0, 2], [100, 2]]}, "more than half of the Earth"),
        ({"type": "Point", "coordinates": [0, 89]}, "no tile of Sentinel-2 holds it"),
        ({"area": [3, 4, 1, 5], "year": 2023}, "west 3 lies east of 1"),
        ([1, 2, 3], "holds a JSON list"),
    ],
)
def test_bad_areas_are_messages(value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=message):
        passes_ahead(_file(tmp_path, value), 5, "2023-08-10")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.json"], "no request file none.json"),
        (["{file}", "--start", "soon"], "start: 'soon' is no date. Give one like 2027-03-01"),
        (["{file}", "--start", "1999-01-01"], "start: '1999-01-01' lies outside the years 2000 to 2100"),
        (["{file}", "--start", "2014-01-01"], "no Sentinel-2 satellite observed between 2014-01-01"),
        (["{file}", "--tle", "none.tle"], "no file of two-line elements none.tle"),
        (["{file}", "--tle", "{file}"], "line 1: neither a name nor an element line"),
    ],
)
def test_bad_options_are_messages(words: list[str], message: str, tmp_path: Path) -> None:
    file = _file(tmp_path, POINT)
    with pytest.raises(CroplineError, match=message):
        _listed(*(word.format(file=file) for word in words))


@pytest.mark.parametrize("days", ["0", "367", "many"])
def test_days_have_bounds(days: str, tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["passes", str(_file(tmp_path, POINT)), "--days", days]).exit_code == 2


def test_times_without_a_zone_are_utc() -> None:
    assert parse_time("2027-03-01") == datetime(2027, 3, 1, tzinfo=UTC)
    assert parse_time("2027-03-01T12:00+02:00") == datetime(2027, 3, 1, 10, tzinfo=UTC)
