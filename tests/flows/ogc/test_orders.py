"""Orders: what is taken, what a run is made of it, and what is refused with its cause in the first line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_kit import checkpoint
from ogc_kit import ADDRESS, KEY, OTHER_KEY, Partner, Prefect

from catalog.area import Area, parse_area
from catalog.area_file import area_value
from catalog.errors import RequestError, StoreError
from catalog.networks import Network
from catalog.registry import Registry
from catalog.storage.store import Store
from flows.checked_request import check_request
from flows.ogc.inputs import LARGEST, read_execution
from flows.ogc.offers import OFFERS, check_names
from flows.ogc.refusals import INVALID_VALUE, NO_SUCH_PROCESS, of_error
from flows.settings import load_settings

SHIPPED_MODEL = Registry(Store(Path("none"))).shipped_models()[0].name


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
        ({"model": "../models/mine"}, "model: '../models/mine' is no model of this installation"),
        ({"model": "nobody-made-it"}, "model: 'nobody-made-it' is no model of this installation. Take one of "),
        ({"model": ["mine"]}, "model: ['mine'] is no model of this installation"),
        ({"start_from": "mine"}, "start_from: not an input of crop-map"),
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
        (b'{"outputs": {"delivery": {"mode": "value"}}}', "outputs: 'mode' isn't known of an output"),
        (
            b'{"outputs": {"delivery": {"format": {"mediaType": "image/png"}}}}',
            "outputs: delivery isn't made with 'mediaType' 'image/png', only as application/geo+json. Ask for that",
        ),
        (
            b'{"outputs": {"delivery": {"format": {"encoding": "base64"}}}}',
            "outputs: delivery isn't made with 'encoding'",
        ),
        (b'{"outputs": {"delivery": {"format": {"schema": "a"}}}}', "outputs: delivery isn't made with 'schema' 'a'"),
        (b'{"outputs": {"delivery": {"format": "image/png"}}}', "outputs: format 'image/png' is no JSON object"),
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


@pytest.mark.parametrize("name", ["private-model", "./private-model", "s5", "nosuch", "store", "store/models/listed"])
def test_a_folder_is_no_model(
    name: str, partner: Partner, inputs: dict[str, Any], store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkpoint(store.models / "listed")
    checkpoint(tmp_path / "private-model")
    (tmp_path / "s5").mkdir()
    monkeypatch.chdir(tmp_path)
    answer = partner.order({**inputs, "model": name})
    assert answer.status_code == 400
    detail = answer.json()["detail"]
    assert detail.startswith(f"model: '{name}' is no model of this installation. Take one of listed, ")
    assert "simulated-here" in detail
    assert str(tmp_path) not in detail
    assert "folder" not in detail


def test_a_model_that_is_listed_is_taken(
    partner: Partner, prefect: Prefect, inputs: dict[str, Any], store: Store
) -> None:
    checkpoint(store.models / "listed")
    answer = partner.order({**inputs, "processor": "crop-map", "model": "listed"})
    assert answer.status_code == 201, answer.text
    assert [run["parameters"]["model"] for run in prefect.runs.values()] == ["listed"]


@pytest.mark.parametrize("name", ["listed", "simulated-here"])
def test_a_folder_is_not_taken_by_the_name_of_a_model(
    name: str, partner: Partner, inputs: dict[str, Any], store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint(store.models / "listed")
    checkpoint(tmp_path / name)
    answer = partner.order({**inputs, "processor": "crop-map", "model": name})
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith(f"model: '{name}' can't be taken at the moment, ")
    assert str(tmp_path) not in answer.text
    assert str(tmp_path / name) in caplog.text


def test_a_model_whose_name_reads_like_a_path_is_not_offered(store: Store) -> None:
    checkpoint(store.models / "a b")
    with pytest.raises(
        RequestError, match=r"'a b' is no model of this installation\. Take one of simulated-18-crops, "
    ):
        check_names({"source": "mission:", "model": "a b"}, load_settings())


@pytest.mark.parametrize("name", ["simulated-here", SHIPPED_MODEL])
def test_models_that_come_with_the_software_are_offered(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CROPLINE_STORE", str(tmp_path / "store"))
    check_names({"source": "mission:", "model": name}, load_settings())
    assert not (tmp_path / "store").exists()


def test_an_output_may_be_asked_for_as_it_is_made() -> None:
    wanted = {
        "delivery": {"format": {"mediaType": "Application/Geo+JSON", "encoding": None}, "transmissionMode": "reference"}
    }
    read = read_execution(json.dumps({"outputs": wanted}).encode(), OFFERS["crop-map"])
    assert read.by_reference


def test_a_process_that_is_not_there(partner: Partner) -> None:
    for answer in (partner.order({}, "none"), partner.get("/processes/none")):
        assert (answer.status_code, answer.json()["type"]) == (404, NO_SUCH_PROCESS)


def test_a_server_that_is_away_is_said(
    partner: Partner, prefect: Prefect, inputs: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    prefect.away = True
    for answer in (partner.get("/processes"), partner.get("/jobs"), partner.order(inputs)):
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("The server behind this address doesn't answer at the moment")
        assert "Try again later" in answer.json()["detail"]
        assert "4200" not in answer.text
    assert "no answer from http://127.0.0.1:4200/api" in caplog.text


def test_files_of_the_server_are_told_to_its_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    refused = of_error(StoreError("store /home/somebody/store: can't be created."))
    assert (refused.status, "somebody" in refused.detail) == (503, False)
    assert "/home/somebody/store" in caplog.text


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
