"""Conformance classes, one by one: what each asks for, by the models that a client makes of the standard's schemas and by OpenAPI.

The standard's own schema files and its test suite (TEAM Engine) couldn't be had here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from ogc_api_processes_client.models.conf_classes import ConfClasses
from ogc_api_processes_client.models.exception import Exception as OgcException
from ogc_api_processes_client.models.inline_or_ref_data import InlineOrRefData
from ogc_api_processes_client.models.job_list import JobList
from ogc_api_processes_client.models.landing_page import LandingPage
from ogc_api_processes_client.models.process import Process
from ogc_api_processes_client.models.process_list import ProcessList
from ogc_api_processes_client.models.status_info import StatusInfo
from ogc_kit import ADDRESS, Partner, Prefect
from ogcapi_registry.ogc_types import ConformanceClass
from ogcapi_registry.strategies.processes import ProcessesStrategy
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV30SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT4

from flows.ogc.documents import CONFORMANCE

PROCESSES = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/"
COMMON = "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/"
EXCEPTIONS = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
RELATIONS = "http://www.opengis.net/def/rel/ogc/1.0/"

Check = Callable[["Asker"], None]
CHECKS: dict[str, Check] = {}


def check(*classes: str) -> Callable[[Check], Check]:
    """A test of conformance classes."""

    def add(function: Check) -> Check:
        CHECKS.update(dict.fromkeys(classes, function))
        return function

    return add


class Asker:
    """Asks as a partner, and holds each answer against the interface's own OpenAPI definition."""

    def __init__(self, partner: Partner, prefect: Prefect, inputs: dict[str, Any]) -> None:
        self.partner, self.prefect, self.inputs = partner, prefect, inputs
        self.definition = partner.get("/openapi").json()

    def ask(self, method: str, path: str, **more: Any) -> Any:
        answer = self.partner.ask(method, path, **more)
        declared = self._operation(method, path)["responses"]
        assert str(answer.status_code) in declared, (
            f"{method} {path} answers {answer.status_code}, which isn't declared"
        )
        response = self._at(declared[str(answer.status_code)])
        kind = answer.headers.get("content-type", "").split(";")[0]
        if kind:
            content = next(value for name, value in response["content"].items() if name.split(";")[0] in (kind, "*/*"))
            if kind.endswith("json"):
                root = Registry().with_resource("urn:definition", DRAFT4.create_resource(self.definition))
                schema = json.loads(json.dumps(content["schema"]).replace('"#/', '"urn:definition#/'))
                OAS30Validator(schema, registry=root).validate(answer.json())
        return answer

    def json(self, path: str, status: int = 200, **more: Any) -> Any:
        answer = self.ask("GET", path, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    def order(self, process: str = "crop-map", **more: Any) -> Any:
        body = {"inputs": self.inputs, **more.pop("body", {})}
        return self.ask("POST", f"/processes/{process}/execution", json=body, **more)

    def _operation(self, method: str, path: str) -> Any:
        bare = path.partition("?")[0]
        for template, operations in self.definition["paths"].items():
            if re.fullmatch(re.sub(r"\{(\w+)\}", "[^/]+", template), bare):
                return operations[method.lower()]
        raise AssertionError(f"{path} is not in the definition")

    def _at(self, part: Any) -> Any:
        while "$ref" in part:
            found = self.definition
            for name in part["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            part = found
        return part


@pytest.fixture
def asker(partner: Partner, prefect: Prefect, inputs: dict[str, Any]) -> Asker:
    return Asker(partner, prefect, inputs)


def _links(document: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for link in document["links"]:
        found.setdefault(link["rel"], []).append(link["href"])
    return found


def test_each_class_that_is_claimed_has_its_test() -> None:
    assert set(CHECKS) == set(CONFORMANCE)


@pytest.mark.parametrize("name", CONFORMANCE)
def test_class(name: str, asker: Asker) -> None:
    assert name in asker.json("/conformance")["conformsTo"]
    CHECKS[name](asker)


@check(f"{PROCESSES}core")
def core(asker: Asker) -> None:
    """Everything from the landing page to results; sync execution and several outputs are not there to be tested."""
    listed = asker.json("/processes")
    assert ProcessList.from_dict(listed) is not None
    assert [process["id"] for process in asker.json("/processes?limit=1")["processes"]] == ["crop-map"]
    assert {"self", "alternate"} <= set(_links(listed))
    for summary in listed["processes"]:
        assert "inputs" not in summary
        description = asker.json(f"/processes/{summary['id']}")
        assert Process.from_dict(description) is not None
        assert description["jobControlOptions"] == ["async-execute", "dismiss"]
        assert description["outputTransmission"] == ["value", "reference"]
        assert _links(description)[f"{RELATIONS}execute"]
    refused = asker.json("/processes/none", 404)
    assert OgcException.from_dict(refused) is not None
    assert refused["type"] == f"{EXCEPTIONS}no-such-process"

    # Asynchronously whatever is preferred, for that is the only way.
    for prefer in ({}, {"Prefer": "respond-async"}, {"Prefer": "wait=5"}):
        created = asker.order(headers=prefer)
        assert created.status_code == 201
        status = created.json()
        assert created.headers["location"] == f"{ADDRESS}/jobs/{status['jobID']}"
        assert StatusInfo.from_dict(status) is not None
        assert status["status"] == "accepted"
    wrong = asker.ask("POST", "/processes/crop-map/execution", json={"inputs": {"year": 2019, "source": "mission:"}})
    assert (wrong.status_code, wrong.json()["detail"]) == (400, "area: missing. It is required.")

    job = status["jobID"]
    assert StatusInfo.from_dict(asker.json(f"/jobs/{job}")) is not None
    assert asker.json(f"/jobs/{job}/results", 404)["type"] == f"{EXCEPTIONS}result-not-ready"
    for path in ("/jobs/none", "/jobs/none/results"):
        assert asker.json(path, 404)["type"] == f"{EXCEPTIONS}no-such-job"
    asker.prefect.runs[job] |= {"state_type": "FAILED", "state": {"message": "the disk is full"}}
    failed = asker.json(f"/jobs/{job}/results", 500)
    assert OgcException.from_dict(failed) is not None

    estimate = asker.order("estimate", body={"response": "document"}).json()["jobID"]
    asker.prefect.runs[estimate]["state_type"] = "COMPLETED"
    asker.prefect.report(estimate, "estimate", "[]")
    (output,) = asker.json(f"/jobs/{estimate}/results").values()
    assert InlineOrRefData.from_json(json.dumps(output)) is not None
    asker.prefect.runs[estimate]["tags"].append("ogc-reference")
    (output,) = asker.json(f"/jobs/{estimate}/results").values()
    assert InlineOrRefData.from_json(json.dumps(output)) is not None
    asker.prefect.runs[estimate]["tags"].remove("ogc-document")
    empty = asker.ask("GET", f"/jobs/{estimate}/results")
    assert (empty.status_code, empty.content) == (204, b"")
    assert empty.headers["link"].endswith('rel="estimate"; type="application/json"')


@check(f"{PROCESSES}ogc-process-description")
def process_description(asker: Asker) -> None:
    """Inputs and outputs in OGC's words, their schemas in those of OpenAPI 3.0, which take what they should."""
    description = asker.json("/processes/crop-map")
    assert Process.from_dict(description) is not None
    inputs = description["inputs"]
    assert (inputs["area"]["minOccurs"], inputs["months"]["minOccurs"]) == (1, 0)
    for name, given in inputs.items():
        assert given["description"], name
        OAS30Validator.check_schema(given["schema"])
        assert '"null"' not in json.dumps(given["schema"]), "OpenAPI 3.0 knows no such type"
        if "default" in given["schema"]:
            OAS30Validator(given["schema"]).validate(given["schema"]["default"])
    takes = {name: OAS30Validator(given["schema"]).is_valid for name, given in inputs.items()}
    assert takes["year"](2019)
    assert not takes["year"](2014)
    assert takes["crops"]({"corn": 0.5})
    assert not takes["crops"]({"corn": 0})
    assert takes["limits"]({"gb": 1})
    assert not takes["limits"]({"hours": 1})
    assert not takes["level"]("L3")
    assert {"labels", "output", "replace", "dry_run"}.isdisjoint(inputs), "what names files is not offered"
    assert set(description["outputs"]) == {"delivery"}


@check(f"{PROCESSES}json", f"{COMMON}json")
def as_json(asker: Asker) -> None:
    """JSON by default, by `f` and by the header."""
    for path in ("/", "/conformance", "/processes", "/processes/crop-map", "/jobs"):
        by_default = asker.json(path)
        assert by_default == asker.json(f"{path}?f=json") == asker.json(path, headers={"Accept": "application/json"})


@check(f"{PROCESSES}html", f"{COMMON}html")
def as_html(asker: Asker) -> None:
    """Pages of all that is JSON, exceptions too; they ask no other address, and what is shown is no markup."""
    job = asker.order().json()["jobID"]
    failed = asker.prefect.add("FAILED", {}, ["ogc", "ogc-key:partner", "ogc-process:crop-map"], "<b>x</b>")["id"]
    paths = (
        "/",
        "/conformance",
        "/processes",
        "/processes/crop-map",
        "/jobs",
        f"/jobs/{job}",
        f"/jobs/{failed}",
        "/jobs/none",
    )
    for path in paths:
        answer = asker.ask("GET", path, headers={"Accept": "text/html"})
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert "<script" not in answer.text
        asked = re.findall(r'(?:src|<link rel="stylesheet" href)="([^"]+)"', answer.text)
        assert asked == [f"{ADDRESS}/static/cropline.css"]
        assert "<b>x</b>" not in answer.text
    assert "&lt;b&gt;x&lt;/b&gt;" in asker.ask("GET", f"/jobs/{failed}?f=html").text
    assert asker.ask("GET", "/jobs/none?f=html").status_code == 404
    assert asker.partner.get("/static/cropline.css").status_code == 200


@check(f"{PROCESSES}job-list")
def job_list(asker: Asker) -> None:
    """Jobs by type, process, status, time, duration and in pages; what each finds is in `test_jobs.py`."""
    created = [asker.order(process).json() for process in ("crop-map", "estimate", "crop-map")]
    listed = asker.json("/jobs")
    assert JobList.from_dict(listed) is not None
    assert len(listed["jobs"]) == 3
    assert {"self", "alternate"} <= set(_links(listed))
    declared = {parameter.get("name") for parameter in asker.definition["paths"]["/jobs"]["get"]["parameters"]}
    assert {"type", "processID", "status", "datetime", "minDuration", "maxDuration"} <= declared
    one = asker.json("/jobs?limit=1&processID=crop-map&status=accepted&type=process&datetime=2020-01-01/..")
    assert [job["jobID"] for job in one["jobs"]] == [created[2]["jobID"]]
    assert all(datetime.fromisoformat(job["created"]) for job in listed["jobs"])


@check(f"{PROCESSES}dismiss")
def dismiss(asker: Asker) -> None:
    """A job is cancelled by DELETE."""
    job = asker.order().json()["jobID"]
    answer = asker.ask("DELETE", f"/jobs/{job}")
    assert (answer.status_code, answer.json()["status"]) == (200, "dismissed")
    assert StatusInfo.from_dict(answer.json()) is not None
    assert asker.prefect.runs[job]["state_type"] == "CANCELLING"
    assert asker.ask("DELETE", "/jobs/none").json()["type"] == f"{EXCEPTIONS}no-such-job"


@check(f"{PROCESSES}oas30", f"{COMMON}oas30")
def open_api(asker: Asker) -> None:
    """A definition that is one of OpenAPI 3.0, holds what such an interface needs, and names who may ask."""
    answer = asker.partner.get("/openapi")
    assert answer.headers["content-type"] == "application/vnd.oai.openapi+json;version=3.0"
    OpenAPIV30SpecValidator(asker.definition).validate()
    classes = [ConformanceClass(uri=name) for name in CONFORMANCE]
    judged = ProcessesStrategy().validate(asker.definition, classes)
    assert judged.is_valid, judged.errors
    assert asker.definition["servers"] == [{"url": ADDRESS}]
    assert asker.definition["security"] == [{"bearer": []}, {"basic": []}]
    for path, operations in asker.definition["paths"].items():
        for method, operation in operations.items():
            assert method == "parameters" or "401" in operation["responses"], path


@check(f"{COMMON}core", f"{COMMON}landing-page")
def landing_page(asker: Asker) -> None:
    """A landing page that leads to everything, and to nothing that isn't there."""
    document = asker.json("/")
    assert LandingPage.from_dict(document) is not None
    links = _links(document)
    assert {"service-desc", "conformance", f"{RELATIONS}processes", f"{RELATIONS}job-list"} <= set(links)
    for address in {address for addresses in links.values() for address in addresses}:
        assert asker.partner.get(address.removeprefix(ADDRESS) or "/").status_code == 200, address
    assert ConfClasses.from_dict(asker.json("/conformance")) is not None
