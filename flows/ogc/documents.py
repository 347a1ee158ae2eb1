"""The documents of the interface, made by pygeoapi and put right where the standard asks for something else.

pygeoapi 0.21 links collections and tiles that aren't here, offers synchronous execution always, tells times that aren't known as null, and
claims a class (callback) and lacks others (job-list, dismiss).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from typing import Any

from pygeoapi.api import API, APIRequest, landing_page
from pygeoapi.api.processes import delete_job, describe_processes, get_jobs

from catalog.guards.json_text import parse_object
from flows.ogc.manager import NAME, Asked
from flows.ogc.refusals import NO_SUCH_PROCESS, RefusedError, invalid

Document = dict[str, Any]

_PROCESSES = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/"
CONFORMANCE = (
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/landing-page",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/json",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/oas30",
    f"{_PROCESSES}core",
    f"{_PROCESSES}ogc-process-description",
    f"{_PROCESSES}json",
    f"{_PROCESSES}html",
    f"{_PROCESSES}oas30",
    f"{_PROCESSES}job-list",
    f"{_PROCESSES}dismiss",
)
"""Conformance classes that are claimed; each has its test in `tests/flows/ogc`."""

TITLE = "Cropline"
ABOUT = "Crop maps from Sentinel-2, ordered by OGC API - Processes and delivered as STAC items."
MOST_LISTED = 1000
_RELATIONS = "http://www.opengis.net/def/rel/ogc/1.0/"
_KEPT = ("self", "alternate", "service-desc", "conformance", f"{_RELATIONS}processes", f"{_RELATIONS}job-list")


class Interface(API):  # type: ignore[misc] # pygeoapi has no types
    """pygeoapi's interface for one address, whose exceptions are raised as `RefusedError`."""

    def __init__(self, address: str) -> None:
        super().__init__(_configuration(address), None)
        logging.getLogger("pygeoapi").setLevel(logging.ERROR)  # it warns of each parameter that wasn't given

    def get_exception(self, status: int, headers: Any, format_: Any, code: str, description: str) -> tuple[Any, ...]:  # noqa: ARG002
        """Raise the exception that pygeoapi would answer with."""
        if code == "NoSuchProcess":
            raise RefusedError(status, "There is no such process; /processes lists them.", NO_SUCH_PROCESS)
        raise RefusedError(status, description, invalid("").kind)

    def asked_by(self, asked: Asked) -> Interface:
        """The same interface for who asks now."""
        scoped = copy.copy(self)
        scoped.manager = self.manager.scoped(asked)
        return scoped

    def landing(self, request: APIRequest) -> Document:
        """The landing page."""
        document = _made(landing_page, self, request)
        document["links"] = [
            link for link in document["links"] if link["rel"] in _KEPT and link["type"] != "application/ld+json"
        ]
        return document

    def processes(self, request: APIRequest) -> Document:
        """The list of processes."""
        document = _made(describe_processes, self, request)
        document["processes"] = [_process(process) for process in document["processes"]]
        document["links"] = _without_rdf(document["links"])
        return document

    def process(self, request: APIRequest, process: str) -> Document:
        """The description of a process."""
        return _process(_made(describe_processes, self, request, process))

    def job_list(self, request: APIRequest) -> Document:
        """A page of jobs."""
        document = _made(get_jobs, self, request)
        document["jobs"] = sorted(
            (self.status(job) for job in document["jobs"]), key=lambda job: str(job["created"]), reverse=True
        )
        return document

    def job(self, request: APIRequest, job: str) -> Document:
        """The status of a job."""
        return self.status(_made(get_jobs, self, request, job))

    def dismissed(self, request: APIRequest, job: str) -> Document:
        """The status of a job that is dismissed now."""
        before = self.job(request, job)
        document = _made(delete_job, self, request, job)
        return {**before, **document, "progress": before["progress"]}

    def status(self, job: Mapping[str, Any]) -> Document:
        """A status as the standard has it: without what isn't known, and with results once there are some."""
        known = {name: value for name, value in job.items() if value not in (None, "") and name != "parameters"}
        place = f"{self.base_url}/jobs/{job['jobID']}"
        links = [
            link(place, "self", "This job"),
            link(f"{place}?f=html", "alternate", "This job as a page", "text/html"),
        ]
        links.append(link(f"{self.base_url}/jobs", "up", "All jobs"))
        if job["status"] in ("successful", "failed"):
            kind = "results" if job["status"] == "successful" else "exceptions"
            links.append(link(f"{place}/results", f"{_RELATIONS}{kind}", f"The job's {kind}"))
        return {**known, "links": links}


def link(href: str, rel: str, title: str, kind: str = "application/json") -> dict[str, str]:
    """A link as all documents have them."""
    return {"href": href, "rel": rel, "type": kind, "title": title}


def _made(function: Callable[..., Any], interface: Interface, request: APIRequest, *more: str) -> Document:
    """What a function of pygeoapi answers, as JSON; the page is made of it when it is right."""
    wanted, request._format = request._format, None
    try:
        _, _, content = function(interface, request, *more)
    finally:
        request._format = wanted
    return parse_object(content, ValueError)


def _process(process: Document) -> Document:
    return {
        **process,
        "jobControlOptions": ["async-execute", "dismiss"],
        "outputTransmission": ["value", "reference"],
        "links": _without_rdf(process["links"]),
    }


def _without_rdf(links: list[dict[str, str]]) -> list[dict[str, str]]:
    return [link for link in links if link["type"] != "application/ld+json"]


def _configuration(address: str) -> dict[str, Any]:
    """The configuration of pygeoapi: no file, for all of it follows from the address."""
    return {
        "server": {
            "url": address,
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "languages": ["en-US"],
            "limits": {"default_items": 100, "max_items": MOST_LISTED, "on_exceed": "throttle"},
            "map": {"url": "", "attribution": ""},
            "manager": {"name": NAME, "address": address},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {
                "title": TITLE,
                "description": ABOUT,
                "keywords": ["Sentinel-2", "crops"],
                "url": address,
            },
            "license": {"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "provider": {"name": TITLE, "url": address},
            "contact": {"name": TITLE},
        },
        "resources": {},
    }
