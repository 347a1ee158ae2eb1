"""An installation with a server and a worker of its own, and what tests ask of it."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.own_server import authorization, read_secret
from flows.prefect_process.server_file import Services


@dataclass(frozen=True)
class Installation:
    """A folder in which commands run, with a store, a server and a worker of its own."""

    folder: Path
    env: dict[str, str]
    command: Any

    @property
    def services(self) -> Services:
        return Services.model_validate_json((self.folder / "store" / "prefect" / "server.json").read_text())

    @property
    def secret(self) -> str:
        secret = read_secret(self.folder / "store" / "prefect")
        assert secret is not None
        return secret

    def run(self, *words: str, text: str | None = None) -> Any:
        return self.command(*words, cwd=self.folder, env=self.env, text=text)

    def ask(self, path: str, body: dict[str, Any] | None, method: str | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.services.api}/{path}",
            data=data,
            headers={"Content-Type": "application/json", **authorization(self.secret)},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.loads(answer.read() or b"null")


def wait_until(true: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.2)
    return value


def _post(installation: Installation, deployment: str, body: dict[str, Any]) -> tuple[dict[str, Any], Counter[str]]:
    """The run that was made, and what refused it before. Sent again with backoff; by its key it is made once all the same."""
    refused: Counter[str] = Counter()
    for attempt in range(8):
        try:
            return installation.ask(f"deployments/{deployment}/create_flow_run", body), refused
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            refused["503"] += 1
        except OSError as error:
            refused[type(error).__name__] += 1
        time.sleep(0.5 * 2**attempt)
    raise AssertionError(f"refused for good: {refused}")


def post_at_once(
    installation: Installation, requests: list[dict[str, Any]], keys: list[str] | None = None, **more: Any
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The runs of all requests, posted by as many threads within a moment, and how often which refusal came.

    ``keys`` tell one post from another, by default their outputs.
    """
    deployment = installation.ask("deployments/filter", {"deployments": {"name": {"any_": ["request"]}}})[0]["id"]
    keys = keys or [request["output"] for request in requests]
    bodies = [
        {"parameters": request, "idempotency_key": key, **more} for request, key in zip(requests, keys, strict=True)
    ]
    with ThreadPoolExecutor(len(bodies)) as threads:
        made = list(threads.map(lambda body: _post(installation, deployment, body), bodies))
    return [run for run, _ in made], sum((refused for _, refused in made), Counter())


def requests_of(installation: Installation, count: int, name: str, first: int = 1) -> list[dict[str, Any]]:
    """So many different requests for the same map, each delivered into a folder of its own."""
    request = json.loads((installation.folder / "aoi.json").read_text())
    return [
        # Too small a difference for another acquisition to be used; the same request twice at a time is another matter.
        {**request, "output": str(installation.folder / f"{name}-{number:03}"), "min_clear": 0.5 + number * 1e-7}
        for number in range(first, first + count)
    ]
