"""The application: routes of OGC API - Processes, all of them behind a key."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml
from pygeoapi.api import APIRequest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from catalog.errors import CroplineError
from catalog.guards.addresses import split_address
from flows.ogc import documents
from flows.ogc.documents import Interface
from flows.ogc.filters import JobFilter, read_filter
from flows.ogc.inputs import LARGEST, read_execution
from flows.ogc.keys import REALM, Keys
from flows.ogc.manager import Asked
from flows.ogc.offers import OFFERS
from flows.ogc.pages import POLICY, STYLE, page
from flows.ogc.refusals import MEDIA_TYPE, NO_SUCH_PROCESS, RefusedError, invalid, of_error
from flows.ogc.results import as_json, file_of, output_of
from flows.prefect_process.api import Api
from flows.prefect_process.delivery_files import FILE_HEADERS

_CHALLENGES = (f'Basic realm="{REALM}", charset="UTF-8"', f'Bearer realm="{REALM}"')
"""Each in a header of its own: of several in one, Chromium understands the first only, and asks its user by Basic."""
_HERE = ["127.0.0.1", "localhost", "[::1]"]
_log = logging.getLogger("uvicorn.error")

Answer = Callable[["Call"], Response]


class Call:
    """A request as routes see it: who asks, in which form, and what pygeoapi wants to know of it."""

    def __init__(self, interface: Interface, request: Request, asked: APIRequest, server: Api, body: bytes) -> None:
        self.request, self.asked, self.body = request, asked, body
        self.key = str(request.scope["cropline.key"])
        self._interface, self._server = interface, server

    @property
    def html(self) -> bool:
        """Whether a page is wanted."""
        return bool(self.asked.format == "html")

    def interface(self, jobs: JobFilter | None = None) -> Interface:
        """The interface for who asks."""
        return self._interface.asked_by(Asked(self._server, self.key, jobs or JobFilter()))

    def path(self, name: str) -> str:
        """A part of the address."""
        return str(self.request.path_params[name])

    def answer(self, document: Mapping[str, Any], template: str, inside: str = "") -> Response:
        """A document, or the page of it; ``inside``: the name that the template has for it."""
        if self.html:
            return _page(page(self._interface, template, {inside: document} if inside else document))
        return Response(as_json(document), media_type="application/json")


def application(address: str, keys: Keys, server: Api) -> Starlette:
    """The interface at an address, for those who have a key, in front of Prefect's server."""
    interface = Interface(address)

    def route(path: str, answer: Answer, *methods: str) -> Route:
        return Route(path, _endpoint(interface, server, answer), methods=list(methods or ("GET",)))

    routes: list[Route | Mount] = [
        Mount("/static", StaticFiles(directory=STYLE)),
        route("/", _landing),
        route("/openapi", _openapi),
        route("/conformance", _conformance),
        route("/processes", _processes),
        route("/processes/{process}", _process),
        route("/processes/{process}/execution", _execution, "POST"),
        route("/jobs", _jobs),
        route("/jobs/{job}", _job, "GET", "DELETE"),
        route("/jobs/{job}/results", _results),
        route("/jobs/{job}/results/{file:path}", _file),
    ]
    host = split_address(address, CroplineError).hostname or ""
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=[*_HERE, host], www_redirect=False),
        Middleware(_KeyCheck, keys=keys),
    ]
    return Starlette(routes=routes, middleware=middleware, exception_handlers={HTTPException: _unknown})


class _KeyCheck:
    """Answers nobody who shows no key."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            name = self._keys.name_of(Request(scope).headers.get("authorization"))
            if name is None:
                refused = RefusedError(
                    HTTPStatus.UNAUTHORIZED,
                    "A key is needed: send the header `Authorization: Bearer KEY`, or its name and the key by basic authentication.",
                )
                answer = _problem(refused)
                for challenge in _CHALLENGES:
                    answer.headers.append("WWW-Authenticate", challenge)
                await answer(scope, receive, send)
                return
            scope["cropline.key"] = name
        await self._app(scope, receive, send)


def _endpoint(interface: Interface, server: Api, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of a route: what it raises becomes an exception as the standard has it."""

    async def endpoint(request: Request) -> Response:
        call = None
        try:
            body = await _body(request)
            call = Call(interface, request, APIRequest(request, interface.locales), server, body)
            if call.asked.format not in (None, "json", "html") and "f" in request.query_params:
                raise invalid("f: neither json nor html.")
            return await run_in_threadpool(answer, call)
        except RefusedError as error:
            refused = error
        except CroplineError as error:
            refused = of_error(error)
        except Exception:  # noqa: BLE001 - who asks is answered whatever it is, and the log tells all of it
            _log.exception("a fault while answering %s", request.url.path)
            refused = RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "A fault of this server; its log says more.")
        if call is not None and call.html:
            return _page(page(interface, "exception.html", refused.document), refused.status)
        return _problem(refused)

    return endpoint


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body has more than {LARGEST:,} bytes.")
    return body


def _landing(call: Call) -> Response:
    return call.answer(call.interface().landing(call.asked), "landing_page.html")


def _openapi(call: Call) -> Response:
    text = Path(__file__).with_name("openapi.yaml").read_text(encoding="utf-8")
    document = {**yaml.safe_load(text), "servers": [{"url": call.interface().base_url}]}
    return Response(as_json(document), media_type="application/vnd.oai.openapi+json;version=3.0")


def _conformance(call: Call) -> Response:
    return call.answer({"conformsTo": list(documents.CONFORMANCE)}, "conformance.html")


def _processes(call: Call) -> Response:
    return call.answer(call.interface().processes(call.asked), "processes/index.html")


def _process(call: Call) -> Response:
    return call.answer(call.interface().process(call.asked, call.path("process")), "processes/process.html")


def _execution(call: Call) -> Response:
    offer = OFFERS.get(call.path("process"))
    if offer is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "There is no such process; /processes lists them.", NO_SUCH_PROCESS)
    interface = call.interface()
    job = interface.manager.order(offer, read_execution(call.body, offer))
    status = interface.job(call.asked, job["identifier"])
    return Response(
        as_json(status),
        HTTPStatus.CREATED,
        {"Location": f"{interface.base_url}/jobs/{status['jobID']}", "Preference-Applied": "respond-async"},
        "application/json",
    )


def _jobs(call: Call) -> Response:
    wanted = read_filter(call.request.query_params)
    return call.answer(call.interface(wanted).job_list(call.asked), "jobs/index.html")


def _job(call: Call) -> Response:
    interface, job = call.interface(), call.path("job")
    if call.request.method == "DELETE":
        return Response(as_json(interface.dismissed(call.asked, job)), media_type="application/json")
    return call.answer(interface.job(call.asked, job), "jobs/job.html", "jobs")


def _results(call: Call) -> Response:
    interface, job = call.interface(), call.path("job")
    if call.html:
        jobs = interface.manager.jobs
        value = output_of(jobs.api, jobs.find(job), f"{interface.base_url}/jobs/{job}/results")
        tables = {title: value[title] for title in ("estimate", "acquisitions", "left_out") if title in value}
        shown = {"job": job, "assets": value.get("assets"), "tables": tables}
        return _page(page(interface, "jobs/results/index.html", shown))
    media_type, result = interface.manager.get_job_result(job)
    if result.link is not None:
        # The relation of such a link is the output's identifier, as the standard has it.
        return Response(
            None, HTTPStatus.NO_CONTENT, {"Link": f'<{result.link}>; rel="{result.output}"; type="{media_type}"'}
        )
    return Response(as_json(result.content), media_type=media_type)


def _file(call: Call) -> Response:
    interface, job = call.interface(), call.path("job")
    jobs = interface.manager.jobs
    found = file_of(jobs.api, jobs.find(job), call.path("file"), f"{interface.base_url}/jobs/{job}/results")
    if isinstance(found, Path):
        return FileResponse(found, headers=FILE_HEADERS)
    kind = "application/geo+json" if found.get("type") == "Feature" else "application/json"
    return Response(as_json(found), media_type=kind)


def _page(text: str, status: int = HTTPStatus.OK) -> Response:
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(text, status, headers)


def _problem(refused: RefusedError) -> Response:
    return Response(as_json(refused.document), refused.status, refused.headers, MEDIA_TYPE)


async def _unknown(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    headers = error.headers if isinstance(error, HTTPException) else None
    return _problem(RefusedError(status, HTTPStatus(status).description or HTTPStatus(status).phrase, headers=headers))
