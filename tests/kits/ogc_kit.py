"""The OGC interface without a server of Prefect's: the application, what it asks of Prefect, and somebody who asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from starlette.applications import Starlette

from catalog.storage.whole import write_json
from flows.prefect_process.api import ServiceError

ADDRESS = "http://127.0.0.1:4280"
KEY = "the-key-of-the-first-partner"
OTHER_KEY = "the-key-of-the-other-partner"
START = datetime(2026, 5, 1, 12, tzinfo=UTC)


@dataclass
class Prefect:
    """What `Api.ask` is answered about deployments, runs and artifacts: a few paths of Prefect's, as 3.8.8 has them."""

    schema: dict[str, Any]
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    away: bool = False

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        if self.away:
            raise ServiceError("no answer from http://127.0.0.1:4200/api: connection refused")
        match path.split("/"):
            case ["deployments", "name", "crop-map", "request"]:
                return {"id": "of-the-request", "parameter_openapi_schema": self.schema}
            case ["deployments", "of-the-request", "create_flow_run"]:
                assert body is not None
                return self.add("SCHEDULED", body["parameters"], body["tags"])
            case ["flow_runs", "filter"]:
                assert body is not None
                found = self._found(body["flow_runs"])
                return found[body["offset"] : body["offset"] + body["limit"]]
            case ["flow_runs", "count"]:
                assert body is not None
                return len(self._found(body["flow_runs"]))
            case ["flow_runs", run]:
                if method == "PATCH":
                    self.runs[run] |= body or {}
                    return None
                return self.runs.get(run)
            case ["flow_runs", run, "set_state"]:
                assert body is not None
                self.runs[run]["state_type"] = body["state"]["type"]
                return {"status": "ACCEPT"}
            case ["artifacts", "filter"]:
                assert body is not None
                wanted = body["artifacts"]
                runs, keys = wanted["flow_run_id"]["any_"], wanted["key"]["any_"]
                return [found for found in self.artifacts if found["flow_run_id"] in runs and found["key"] in keys]
        raise AssertionError(f"nothing here asks Prefect for {path}")

    def add(self, state: str, parameters: Mapping[str, Any], tags: list[str], message: str = "") -> dict[str, Any]:
        """A run in a state; each is created an hour after the one before, and takes ten minutes where it is over."""
        created = START + timedelta(hours=len(self.runs))
        over = state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        run = {
            "id": str(uuid4()),
            "tags": tags,
            "parameters": dict(parameters),
            "state_type": state,
            "state": {"message": message},
            "created": created.isoformat(),
            "updated": created.isoformat(),
            "start_time": created.isoformat() if over or state == "RUNNING" else None,
            "end_time": (created + timedelta(minutes=10)).isoformat() if over else None,
        }
        self.runs[str(run["id"])] = run
        return run

    def report(self, run: str, key: str, data: Any, description: str = "") -> None:
        """An artifact of a run."""
        self.artifacts.append({"flow_run_id": run, "key": key, "data": data, "description": description})

    def _found(self, which: Mapping[str, Any]) -> list[dict[str, Any]]:
        tags, states = which["tags"], which.get("state", {}).get("type", {}).get("any_")
        found = [
            run
            for run in self.runs.values()
            if set(tags["all_"]) <= set(run["tags"])
            and (not tags.get("any_") or set(tags["any_"]) & set(run["tags"]))
            and (states is None or run["state_type"] in states)
        ]
        return sorted(found, key=lambda run: str(run["created"]), reverse=True)


@dataclass
class Partner:
    """Asks the application, without a server."""

    app: Starlette
    key: str | None = KEY

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        given = {**more, "headers": {**headers, **more.get("headers", {})}}

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
                return await client.request(method, path, **given)

        return asyncio.run(asked())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def order(self, inputs: Mapping[str, Any], process: str = "crop-map", **more: Any) -> httpx.Response:
        return self.ask("POST", f"/processes/{process}/execution", json={"inputs": dict(inputs), **more})


def write_delivery(folder: Path, digest: str) -> None:
    """A delivery of two files and one that its item doesn't name."""
    folder.mkdir(parents=True)
    for name in ("report.html", "crop_map.tif", "notes.txt"):
        (folder / name).write_text(name)
    assets = {
        "report": {"href": "./report.html", "title": "Report", "type": "text/html"},
        "crop_map": {"href": "./crop_map.tif", "title": "Map", "type": "image/tiff; application=geotiff"},
        "up": {"href": "../outside.txt"},
    }
    links = [
        {"rel": "license", "href": "https://example.org/licence", "type": "text/html"},
        {"rel": "canonical", "href": str(folder / "item.json")},
    ]
    item = {"type": "Feature", "id": f"vegetation-2019-{digest}", "links": links, "assets": assets}
    write_json(folder / "item.json", {**item, "properties": {"cropline:request_digest": digest}})
