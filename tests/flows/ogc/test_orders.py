"""Orders: what is taken, what a run is made of it, and what is refused with its cause in the first line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ogc_kit import ADDRESS, KEY, OTHER_KEY, Partner, Prefect

from catalog.area import Area, parse_area
from catalog.area_file import area_value
from catalog.networks import Network
from flows.checked_request import check_request
from flows.ogc.inputs import LARGEST, read_execution
from flows.ogc.offers import OFFERS
from flows.ogc.refusals import INVALID_VALUE, NO_SUCH_PROCESS


def test_an_order_becomes_a_run_of_the_deployment(
    partner: Partner, prefect: Prefect, inputs: dict[str, Any], tmp_path: Path
) -> None:
    answer = partner.order(inputs, response="document")
    assert answer.status_code == 201, answer.text
    (run,) = prefect.runs.values()
    assert answer.headers["location"] == f"{ADDRESS}/jobs/{run['id']}"
    assert answer.json()["jobID"] == run["id"]
    assert run["tags"] == ["ogc", "ogc-key:partner", "ogc-process:crop-map", "ogc-document"]
    checked = check_request(inputs, tmp_path)
    assert run["parameters"] == {**checked.model_dump(mode="json"), "dry_run": False}
    assert Path(run["parameters"]["output"]).parent == tmp_path / "deliveries"
    assert KEY not in json.dumps(run)


def test_an_estimate_is_a_dry_run_of_the_same_deployment(
    partner: Partner, prefect: Prefect, inputs: dict[str, Any]
) -> None:
    assert partner.order(inputs, "estimate").status_code == 201
    (run,) = prefect.runs.values()
    assert run["parameters"]["dry_run"] is True
    assert "ogc-process:estimate" in run["tags"]


def area_of(given: Any) -> Area:
    return parse_area(area_value(given, 0))


GEOJSON = {"type": "Polygon", "coordinates": [[[3.2, 51.0], [3.21, 51.0], [3.21, 51.01], [3.2, 51.0]]]}


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ([3.2, 51.0, 3.21, 51.01], [3.2, 51.0, 3.21, 51.01]),
        ({"value": [3.2, 51.0, 3.21, 51.01]}, [3.2, 51.0, 3.21, 51.01]),
        ({"bbox": [3.2, 51.0, 3.21, 51.01]}, [3.2, 51.0, 3.21, 51.01]),
        (
            {"bbox": [3.2, 51.0, 0, 3.21, 51.01, 9], "crs": "http://www.opengis.net/def/crs/OGC/0/CRS84h"},
            [3.2, 51.0, 3.21, 51.01],
        ),
        (GEOJSON, GEOJSON),
        ({"value": GEOJSON, "mediaType": "application/geo+json"}, GEOJSON),
        ("tile:31UES4520", "tile:31UES4520"),
    ],
)
def test_an_area_is_taken_in_each_of_its_forms(given: Any, taken: Any, partner: Partner, prefect: Prefect) -> None:
    answer = partner.order({"area": given, "year": 2019, "source": "mission:", "processor": "vegetation"})
    assert answer.status_code == 201, answer.text
    (run,) = prefect.runs.values()
    assert area_of(run["parameters"]["area"]).equals(area_of(taken))


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"year": 2014}, "year: input should be greater than or equal to 2015"),
        ({"year": None}, "year: "),
        ({"months": [1, 13]}, "months.1: "),
        ({"area": [3, 51, 9, 55]}, "area: "),
        ({"area": "/etc/passwd"}, "area: '/etc/passwd' is no place on a tile"),
        ({"area": "fields.gpkg"}, "area: 'fields.gpkg' is no place on a tile"),
        ({"area": {"bbox": [3, 51, 4, 52], "crs": "EPSG:3857"}}, "area: 'EPSG:3857' is not taken"),
        ({"source": "stac:/etc/catalog.json"}, "source: 'stac:/etc/catalog.json' is not offered here"),
        ({"source": "stac:https://10.0.0.1/catalog.json"}, "source: 'stac:https://10.0.0.1/catalog.json' is not"),
        ({"source": "safe:/data"}, "source: 'safe:/data' is not offered here"),
        ({"source": None}, "source: missing, and this installation is set to none. Take one of earth-search"),
        ({"model": "../models/mine"}, "model: '../models/mine' is no name of a model"),
        ({"model": "nobody-made-it"}, "model"),
        ({"processor": "none"}, "processor: there is no 'none'"),
        ({"output": "/tmp/mine"}, "output: not an input of crop-map"),
        ({"labels": "/etc/passwd"}, "labels: not an input of crop-map"),
        ({"dry_run": True}, "dry_run: not an input of crop-map"),
        ({"year": {"value": 2019, "encoding": "base64"}}, "year: encoded values are not taken"),
        ({"crops": ["corn"]}, "crops: vegetation names no crops"),
        ({"area": {"href": "file:///etc/passwd"}}, "area: 'file:///etc/passwd' is no address with http"),
        ({"area": {"href": "http://127.0.0.1:1/area.json"}}, "area: 'http://127.0.0.1:1/area.json' can't be read: "),
    ],
)
def test_what_is_wrong_is_refused_before_a_run_is_made(
    change: dict[str, Any], detail: str, partner: Partner, prefect: Prefect, inputs: dict[str, Any]
) -> None:
    answer = partner.order({**inputs, **change})
    refused = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert (refused["type"], refused["status"]) == (INVALID_VALUE, 400)
    assert refused["title"]
    assert refused["detail"].splitlines()[0].startswith(detail), refused["detail"]
    assert not prefect.runs


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the body is not JSON"),
        (b"[1]", "the body holds a JSON list, not an object"),
        (b'{"inputs": {}, "inputs": {}}', "the body is not JSON"),
        (b'{"inputs": []}', "inputs: no JSON object"),
        (b'{"input": {}}', "input: not known in an execute request"),
        (b'{"response": "xml"}', "response: 'xml' is neither raw nor document"),
        (b'{"subscriber": {"successUri": "http://127.0.0.1/"}}', "subscriber: callbacks are not offered"),
        (b'{"outputs": {"map": {}}}', "outputs: crop-map has no 'map', only delivery"),
        (b'{"outputs": ["delivery"]}', "outputs: no JSON object of objects"),
        (b'{"outputs": {"delivery": {"transmissionMode": "mail"}}}', "outputs: transmissionMode 'mail' is neither"),
    ],
)
def test_a_body_that_is_no_execute_request_is_refused(body: bytes, detail: str, partner: Partner) -> None:
    answer = partner.ask("POST", "/processes/crop-map/execution", content=body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(detail), answer.text


def test_a_body_without_end_is_not_read_to_its_end(partner: Partner) -> None:
    answer = partner.ask("POST", "/processes/crop-map/execution", content=b" " * (LARGEST + 1))
    assert answer.status_code == 413


def test_the_source_that_the_installation_is_set_to_is_offered(
    partner: Partner, inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CROPLINE_SOURCE", "safe:products")
    (tmp_path / "products").mkdir()
    del inputs["source"]
    refused = partner.order(inputs)
    assert "not offered" not in refused.text
    assert "not offered" not in partner.order({**inputs, "source": "safe:products"}).text


def test_a_process_that_is_not_there(partner: Partner) -> None:
    for answer in (partner.order({}, "none"), partner.get("/processes/none")):
        assert (answer.status_code, answer.json()["type"]) == (404, NO_SUCH_PROCESS)


def test_a_server_that_is_away_is_said(partner: Partner, prefect: Prefect, inputs: dict[str, Any]) -> None:
    prefect.away = True
    for answer in (partner.get("/processes"), partner.get("/jobs"), partner.order(inputs)):
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("no answer from")


def test_an_input_by_reference_is_read_where_that_is_allowed(file_server: Any) -> None:
    (file_server.folder / "area.geojson").write_text(json.dumps(GEOJSON))
    body = json.dumps({"inputs": {"area": {"href": f"{file_server.address}/area.geojson"}, "year": 2019}})
    read = read_execution(body.encode(), OFFERS["crop-map"], (Network.LOOPBACK,))
    assert read.inputs == {"area": GEOJSON, "year": 2019}


@pytest.mark.parametrize(
    ("content", "detail"),
    [(b"not json", "is not JSON"), (b"1" * (LARGEST + 1), "has more than"), (None, "can't be read: 404")],
)
def test_what_an_input_refers_to_has_to_be_json_of_a_size(content: bytes | None, detail: str, file_server: Any) -> None:
    if content is not None:
        (file_server.folder / "area.json").write_bytes(content)
    body = json.dumps({"inputs": {"area": {"href": f"{file_server.address}/area.json"}}})
    with pytest.raises(Exception, match=detail):
        read_execution(body.encode(), OFFERS["crop-map"], (Network.LOOPBACK,))


def test_each_key_has_its_own_jobs(partner: Partner, prefect: Prefect, inputs: dict[str, Any]) -> None:
    other = Partner(partner.app, OTHER_KEY)
    job = partner.order(inputs).json()["jobID"]
    untagged = prefect.add("COMPLETED", {}, [])["id"]
    assert [found["jobID"] for found in partner.get("/jobs").json()["jobs"]] == [job]
    assert other.get("/jobs").json()["jobs"] == []
    for who, which in ((other, job), (partner, untagged), (partner, "../../etc/passwd"), (partner, "none")):
        asked: list[Callable[[], Any]] = [
            lambda who=who, which=which: who.get(f"/jobs/{which}"),
            lambda who=who, which=which: who.ask("DELETE", f"/jobs/{which}"),
            lambda who=who, which=which: who.get(f"/jobs/{which}/results"),
            lambda who=who, which=which: who.get(f"/jobs/{which}/results/item.json"),
        ]
        assert {ask().status_code for ask in asked} == {404}
    assert prefect.runs[job]["state_type"] == "SCHEDULED"
