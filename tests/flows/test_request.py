"""Every kind of bad request is refused with a message that names the field and says what to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely.geometry import box

from catalog.errors import DeliveryError, RequestError
from catalog.storage.store import digest
from flows.checked_request import check_request
from flows.request import MapRequest, parse_parameters, read_parameters
from flows.request_paths import absolute_source
from flows.settings import Settings

SQUARE = [[[3.0, 51.0], [3.1, 51.0], [3.1, 51.1], [3.0, 51.1], [3.0, 51.0]]]
BOWTIE = [[[3.0, 51.0], [3.1, 51.1], [3.1, 51.0], [3.0, 51.1], [3.0, 51.0]]]
LINE = [[[3.0, 51.0], [3.1, 51.0], [3.0, 51.0], [3.0, 51.0]]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A catalogue without items: enough for a source to open."""
    file = tmp_path / "archive" / "catalog.json"
    file.parent.mkdir()
    catalog = {"type": "Catalog", "id": "empty", "stac_version": "1.1.0", "description": "nothing", "links": []}
    file.write_text(json.dumps(catalog), encoding="utf-8")
    return file


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(store=str(tmp_path / "store"))


def _request(**changes: Any) -> dict[str, Any]:
    return {
        "area": {"type": "Polygon", "coordinates": SQUARE},
        "year": 2019,
        "source": "stac:archive/catalog.json",
        **changes,
    }


def _square(west: float, south: float) -> list[list[float]]:
    """A ring of about a hectare."""
    return [[west, south], [west + 0.001, south], [west + 0.001, south + 0.001], [west, south + 0.001], [west, south]]


def _polygon(coordinates: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": coordinates}


BAD = {
    "crossing edges": ({"area": _polygon(BOWTIE)}, r"area: .*Self-intersection.*may not cross"),
    "no area": ({"area": _polygon(LINE)}, r"area: .*no surface"),
    "three-dimensional": ({"area": _polygon([[[*xy, 5.0] for xy in SQUARE[0]]])}, r"area: .*three-dimensional.*Drop"),
    "not degrees": (
        {"area": _polygon([[[x * 1e5, y] for x, y in SQUARE[0]]])},
        r"area: .*not \[longitude, latitude\].*Reproject",
    ),
    "west and east swapped": ({"area": [4.2, 51.0, 4.1, 51.1]}, r"area: west 4.2 lies east of 4.1.*Write \[west"),
    "a pole": (
        {"area": _polygon([[[0, 89], [120, 89], [-120, 89], [0, 89]]])},
        r"area: it goes round a pole.*UTM ends at",
    ),
    "too many cells": (
        {
            "area": {
                "type": "MultiPolygon",
                "coordinates": [[_square(2 + x / 5, 45 + y / 5)] for x in range(20) for y in range(20)],
            }
        },
        r"area: its parts touch 4\d\d cells of 10.24 km.*191 cells are the limit.*CROPLINE_MAX_AREA_KM2",
    ),
    "over two oceans": (
        {"area": {"type": "MultiPolygon", "coordinates": [[_square(-20, 45)], [_square(20, 45)]]}},
        r"area: it reaches over 1,000 km from the middle of UTM zone 31",
    ),
    "far apart": (
        {"area": {"type": "MultiPolygon", "coordinates": [[_square(3, 10)], [_square(4, 70)], [_square(-8, 40)]]}},
        r"area: its parts lie so far apart.* 10 thousand million",
    ),
    "too large": ({"area": [3.0, 50.0, 5.0, 52.0]}, r"area: .*limit of 2,500 km².*CROPLINE_MAX_AREA_KM2"),
    "no pixel's centre": (
        {"area": [4.0630001, 50.7460001, 4.0630101, 50.7460101]},
        r"area: no pixel's centre lies in it",
    ),
    "an area that is a word": (
        {"area": "Flanders"},
        r"area: there is no file: .*Flanders. Give GeoJSON, a bbox, a place on a tile",
    ),
    "a bbox of words": ({"area": [3, 51, "x", 51.1]}, r"area: a bbox has four numbers"),
    "future year": ({"year": datetime.now(UTC).year + 1}, r"year: \d{4} is in the future. Ask for a year from 2015"),
    "early year": ({"year": 2014}, r"year: input should be greater than or equal to 2015, got 2014"),
    "impossible month": ({"months": [1, 13]}, r"months\.1: .*less than or equal to 12, got 13"),
    "one month only": ({"months": [4]}, r"months: .*at least 2 items"),
    "unknown level": ({"level": "L3A"}, r"level: .*'L1C' or 'L2A', got \"L3A\""),
    "unknown source": (
        {"source": "ftp:somewhere"},
        r"source: 'ftp:.*Known are: cdse:.*mission:.*safe:PATH.*sentinelhub:.*stac:PATH",
    ),
    "no source": ({"source": None}, r"source: .*CROPLINE_SOURCE is not set"),
    "source that isn't there": ({"source": "stac:nowhere/catalog.json"}, r"nowhere/catalog\.json"),
    "unknown processor": (
        {"processor": "magic"},
        r"processor: there is no 'magic'. Installed are conformity, crop-map, ",
    ),
    "cloud over 100": ({"max_cloud": 120}, r"max_cloud: .*less than or equal to 100, got 120"),
    "clear as percent": ({"min_clear": 50}, r"min_clear: .*less than or equal to 1, got 50"),
    "labels that aren't there": ({"labels": "crops.tif"}, r"labels: no file .*crops\.tif"),
    "parcels that aren't there": ({"parcels": "fields.gpkg"}, r"parcels: no file .*fields\.gpkg"),
    "a layer of no parcels": ({"parcels_layer": "fields"}, r"parcels_layer: given without parcels"),
    "a radius of no labels": ({"labels_radius": 20}, r"labels_radius: given without labels"),
    "a radius of more than a field": ({"labels_radius": 300}, r"labels_radius: .*less than or equal to 250, got 300"),
    "mask that isn't there": ({"crop_mask": "mask.tif"}, r"crop_mask: no file .*mask\.tif"),
    "legend without labels": ({"legend": "legend.csv"}, r"legend: given without labels"),
    "unknown model": ({"model": "best"}, r"model: 'best' is neither .*cropline models"),
    "unknown field": ({"cloud": 3}, r"cloud: no such parameter. A request takes area, year"),
    "processor's parameter": (
        {"processor": "vegetation", "parameters": {"colour": 1}},
        r"parameters\.colour: .*vegetation takes",
    ),
    "a preference that is none": ({"prefer": "price"}, r"prefer: .*'quality' or 'time', got \"price\""),
    "a deadline that has passed": (
        {"deadline": "2026-01-01"},
        r"deadline: 2026-01-01 00:00 UTC has passed. Give a later one",
    ),
    "a deadline that is no time": ({"deadline": "tomorrow"}, r"deadline: .*no date such as 2026-05-01"),
    "a place that is none": ({"places": ["moon"]}, r"places: .* in cropline: the request names only moon"),
    "remote output": ({"output": "s3://bucket/map"}, r"output: s3://bucket/map is no folder"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.usefixtures("source")
def test_bad_request_is_refused_naming_field_and_remedy(name: str, tmp_path: Path, settings: Settings) -> None:
    changes, message = BAD[name]
    with pytest.raises(RequestError, match=message) as refused:
        check_request(_request(**changes), tmp_path, settings)
    assert len(str(refused.value).splitlines()) == 1, "one problem is one line"


@pytest.mark.parametrize(
    "given",
    [
        {"months": [True, 6]},
        {"year": True},
        {"max_cloud": False},
        {"min_acquisitions": True},
        {"offset": {"p": True}},
    ],
)
def test_true_is_no_number(given: dict[str, Any], source: Path, settings: Settings) -> None:
    with pytest.raises(RequestError, match=rf"^{next(iter(given))}: .*true and false are no numbers"):
        check_request(_request(**given), source.parents[1], settings)


@pytest.mark.parametrize("field", ["area", "year"])
@pytest.mark.usefixtures("source")
def test_only_area_and_year_are_required(field: str, tmp_path: Path, settings: Settings) -> None:
    parameters = _request()
    assert check_request(parameters, tmp_path, settings).processor == "crop-map"
    del parameters[field]
    with pytest.raises(RequestError, match=rf"^{field}: missing. It is required\.$"):
        check_request(parameters, tmp_path, settings)


@pytest.mark.usefixtures("source")
def test_all_problems_are_told_at_once(tmp_path: Path, settings: Settings) -> None:
    bad = _request(year=2014, months=[0, 5], area=_polygon(BOWTIE), processor="magic", labels="none.tif")
    with pytest.raises(RequestError) as refused:
        check_request(bad, tmp_path, settings)
    fields = [line.split(":")[0] for line in str(refused.value).splitlines()]
    assert fields == ["year", "months.0", "area", "processor", "labels"]


@pytest.mark.usefixtures("source")
def test_season_that_has_not_begun_is_refused(tmp_path: Path, settings: Settings) -> None:
    now = datetime.now(UTC)
    if now.month == 12:
        pytest.skip("in December every month of the year has begun")
    with pytest.raises(RequestError, match=r"months: the season .* in the future"):
        check_request(_request(year=now.year, months=[now.month + 1, 12]), tmp_path, settings)


@pytest.mark.usefixtures("source")
def test_a_subscription_may_wait_for_its_season(tmp_path: Path, settings: Settings) -> None:
    later = _request(year=datetime.now(UTC).year + 1)
    assert check_request(later, tmp_path, settings, waits=True).year == later["year"]


@pytest.mark.usefixtures("source")
def test_the_day_that_is_taken_for_today_counts(tmp_path: Path, settings: Settings) -> None:
    then = settings.model_copy(update={"today": datetime(2019, 2, 1, tzinfo=UTC)})
    assert check_request(_request(year=2019, months=[1, 7]), tmp_path, then).year == 2019
    with pytest.raises(RequestError, match=r"months: the season 3 to 7 of 2019 begins on 2019-03-01, in the future"):
        check_request(_request(year=2019, months=[3, 7]), tmp_path, then)


def _write_labels(folder: Path) -> None:
    """One crop, code 1, where the requests lie."""
    place = Affine(0.1 / 32, 0, 3.0, 0, -0.1 / 32, 51.1)
    shape = {"width": 32, "height": 32, "count": 1, "dtype": "uint8", "crs": "EPSG:4326", "transform": place}
    with rasterio.open(folder / "crops.tif", "w", driver="GTiff", **shape) as file:
        file.write(np.ones((32, 32), np.uint8), 1)


@pytest.mark.usefixtures("source")
def test_labels_without_a_model_of_their_classes_wait_for_the_end_of_the_season(
    tmp_path: Path, settings: Settings
) -> None:
    _write_labels(tmp_path)
    asked = _request(labels="crops.tif", year=2019, months=[1, 7])
    then = settings.model_copy(update={"today": datetime(2019, 5, 1, tzinfo=UTC)})
    with pytest.raises(
        RequestError, match=r"^labels: no model fits, and none is trained from a season that isn't over: April"
    ):
        check_request(asked, tmp_path, then)
    assert check_request(asked, tmp_path, then, waits=True).labels
    later = settings.model_copy(update={"today": datetime(2019, 8, 8, tzinfo=UTC)})
    assert check_request(asked, tmp_path, later).labels


def test_paths_start_where_the_command_runs(source: Path, tmp_path: Path, settings: Settings) -> None:
    _write_labels(tmp_path)
    request = check_request(_request(labels="crops.tif", output="out/map"), tmp_path, settings)
    assert request.source == f"stac:{source}"
    assert request.labels == str(tmp_path / "crops.tif")
    assert request.output == str(tmp_path / "out" / "map")


@pytest.mark.parametrize(
    "address",
    [
        "stac:https://example.org/api",
        "stac:/data/catalog.json",
        "sentinelhub:",
        "sentinelhub:https://services.sentinel-hub.com",
        "safe:s3://bucket/prefix",
        "safe:/data/safe",
        "nonsense",
    ],
)
def test_absolute_sources_stay_as_they_are(address: str, tmp_path: Path) -> None:
    assert absolute_source(address, tmp_path) == address


def test_sentinel_hub_without_an_oauth_client_is_refused_when_checked(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SH_CLIENT_ID", "SH_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RequestError, match=r"source: Sentinel Hub .* set SH_CLIENT_ID and SH_CLIENT_SECRET"):
        check_request(_request(source="sentinelhub:"), tmp_path, settings)


def test_relative_sources_start_where_the_command_runs(tmp_path: Path) -> None:
    for address in ("safe:archive", "safe:./archive/", "stac:archive", f"safe:{tmp_path}/archive"):
        assert absolute_source(address, tmp_path) == f"{address.partition(':')[0]}:{tmp_path / 'archive'}"


@pytest.mark.usefixtures("source")
def test_checking_twice_changes_nothing(tmp_path: Path, settings: Settings) -> None:
    once = check_request(_request(area=[3.0, 51.0, 3.1, 51.1]), tmp_path, settings)
    twice = check_request(once.model_dump(mode="json"), Path("/elsewhere"), settings)
    assert twice == once
    assert twice.digest == once.digest


@pytest.mark.usefixtures("source")
def test_digest_ignores_output_and_the_form_of_the_area(tmp_path: Path, settings: Settings) -> None:
    geometry = _polygon(SQUARE)
    feature = {"type": "Feature", "geometry": geometry, "properties": {"name": "field"}}
    plain = check_request(_request(), tmp_path, settings)
    assert check_request(_request(area=feature, output="elsewhere"), tmp_path, settings).digest == plain.digest
    assert check_request(_request(year=2020), tmp_path, settings).digest != plain.digest


@pytest.mark.usefixtures("source")
def test_default_output_is_named_by_processor_year_and_request(tmp_path: Path, settings: Settings) -> None:
    request = check_request(_request(), tmp_path, settings)
    assert request.output == str(tmp_path / "deliveries" / f"crop-map-2019-{request.digest}")


@pytest.mark.usefixtures("source")
def test_folder_with_other_files_is_refused(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.doc").touch()
    with pytest.raises(DeliveryError, match=r"output .*/out: holds files that are no delivery"):
        check_request(_request(output="out"), tmp_path, settings)


@pytest.mark.usefixtures("source")
def test_delivery_of_another_request_is_replaced_only_where_that_is_asked_for(
    tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "item.json").write_text('{"properties": {"cropline:request_digest": "0123456789ab"}}')
    with pytest.raises(DeliveryError, match=r"another request .* `cropline run --replace`, or \"replace\": true"):
        check_request(_request(output="out"), tmp_path, settings)
    replacing = check_request(_request(output="out", replace=True), tmp_path, settings)
    # What trains delivers nothing, and so asks for no folder.
    training = check_request(_request(output="out"), tmp_path, settings, delivers=False)
    assert replacing.digest == training.digest
    assert "replace" not in training.model_dump(mode="json")


def test_source_of_the_settings_is_taken(source: Path, tmp_path: Path) -> None:
    settings = Settings(store=str(tmp_path / "store"), source="stac:archive/catalog.json")
    assert check_request(_request(source=None), tmp_path, settings).source == f"stac:{source}"


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no request file .*aoi\.json. Give the path"):
        read_parameters(tmp_path / "aoi.json")


@pytest.mark.parametrize(
    ("text", "message"), [("{area", "is not JSON"), ("[1, 2]", "holds a JSON list, not an object")]
)
def test_text_that_is_no_request_is_refused(text: str, message: str) -> None:
    with pytest.raises(RequestError, match=f"aoi.json {message}"):
        parse_parameters(text, "aoi.json")


def test_binary_file_is_not_json(tmp_path: Path) -> None:
    file = tmp_path / "aoi.json"
    file.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(RequestError, match="is no UTF-8 text"):
        read_parameters(file)


def test_every_field_is_described() -> None:
    assert [name for name, field in MapRequest.model_fields.items() if not field.description] == []


@pytest.mark.usefixtures("source")
def test_a_field_that_is_not_used_leaves_the_digest_of_older_requests(tmp_path: Path, settings: Settings) -> None:
    plain = check_request(_request(), tmp_path, settings)
    new = {
        "offset", "labels_layer", "labels_column", "labels_radius", "crops", "crop_mask_layer", "parcels", "parcels_layer", "start_from",
    }  # fmt: skip
    before = plain.model_dump(mode="json", exclude={"output", *new})
    assert plain.digest == digest(before)
    assert check_request(_request(offset={"p": -1000}), tmp_path, settings).digest != plain.digest


@pytest.mark.usefixtures("source")
def test_how_a_map_is_made_is_no_part_of_what_is_asked_for_but_what_it_is_made_for_is(
    tmp_path: Path, settings: Settings
) -> None:
    plain = check_request(_request(), tmp_path, settings)
    late = check_request(_request(deadline="2099-12-01T06:00", places=["cropline"]), tmp_path, settings)
    assert late.deadline == datetime(2099, 12, 1, 6, tzinfo=UTC)
    assert (late.digest, late.output) == (plain.digest, plain.output)
    assert check_request(_request(prefer="quality"), tmp_path, settings).digest == plain.digest
    assert check_request(_request(prefer="time"), tmp_path, settings).digest != plain.digest, "both maps may be wanted"
    assert check_request(late.model_dump(mode="json"), tmp_path, settings) == late
    assert not {"prefer", "deadline", "places"} & plain.model_dump(mode="json").keys()


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("offset", [{"p": "much"}, {"p": 10_001}, [], "p", 7, {"p": 0.5}])
def test_offsets_are_whole_numbers_by_name(offset: Any, tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(RequestError, match=r"^offset"):
        check_request(_request(offset=offset), tmp_path, settings)


@pytest.mark.usefixtures("source")
def test_parcels_are_looked_at_before_anything_is_ordered(tmp_path: Path, settings: Settings) -> None:
    there = geopandas.GeoDataFrame({"farm": ["a"]}, geometry=[box(3.01, 51.01, 3.02, 51.02)], crs=4326)
    there.to_file(tmp_path / "fields.gpkg")
    there.translate(20).to_file(tmp_path / "elsewhere.gpkg")
    request = check_request(_request(parcels="fields.gpkg"), tmp_path, settings)
    assert request.parcels == str(tmp_path / "fields.gpkg")
    assert request.digest != check_request(_request(), tmp_path, settings).digest
    with pytest.raises(RequestError, match=r"^parcels .*elsewhere.gpkg: none of its 1 rows lies in the area"):
        check_request(_request(parcels="elsewhere.gpkg"), tmp_path, settings)
    (tmp_path / "damaged.gpkg").write_bytes((tmp_path / "fields.gpkg").read_bytes()[:3000])
    with pytest.raises(RequestError, match=r"^parcels .*damaged.gpkg"):
        check_request(_request(parcels="damaged.gpkg"), tmp_path, settings)


@pytest.mark.usefixtures("source")
def test_crops_that_nobody_can_name_are_refused_before_anything_is_read(tmp_path: Path, settings: Settings) -> None:
    shipped = {"model": "simulated-18-crops", "crops": {"corn": 2, "3302000000": 1}}
    assert check_request(_request(**shipped), tmp_path, settings).crop_weights == {"corn": 2, "3302000000": 1}
    for changes, message in (
        ({**shipped, "crops": ["maize"]}, r"crops: the model names no 'maize'\. It has background, meadow"),
        ({"processor": "vegetation", "crops": ["corn"]}, "crops: vegetation names no crops"),
        ({**shipped, "crops": {"corn": 0}}, "crops"),
        ({**shipped, "crops": {"corn": True}}, "true and false are no numbers"),
    ):
        with pytest.raises(RequestError, match=message):
            check_request(_request(**changes), tmp_path, settings)
